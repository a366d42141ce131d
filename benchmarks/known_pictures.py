"""Known maps of pictures: the error of convolutional and other potentials on new pictures.

    python benchmarks/known_pictures.py                          # everything: an hour of CPU time
    python benchmarks/known_pictures.py --families colours --methods convolutional gaussian
    python benchmarks/known_pictures.py --report                 # the tables of the results so far

The source has random square crops of photographs, reduced to 16 x 16 places of three colours, with mirror images. The
target has images of other crops by a map that is known, the gradient of a convex function. The photographs are those of
summer in the folder that the environment variable SKLEARN_OT_DATA names (``s2w128_summer_*.npz``); maps are fitted on
crops of the training part and judged on 500 crops of the test part. Without this folder they are the two photographs of
`sklearn.datasets.load_sample_images`, and so are the pictures of the test.

Families of maps, each with random weights for every seed; none is of the shape of the network that is fitted:

``layers``
    A `sklearn_ot.nn.ConvICNN` with other widths, kernels and activation.
``patches``
    The sum over all 4 x 4 patches of a log-sum-exp of affine functions.
``colours``
    The sum over all places of a log-sum-exp of affine functions of the colour.

Methods:

``convolutional``
    `W2Transport` with ``network=ConvexConvolutional((16, 16, 3))`` and ``batch_size=64``, for a number of CPU-seconds.
``dense``
    `W2Transport` with its default network, for as long.
``gaussian``, ``stationary``
    `GaussianTransport` and `StationaryGaussianTransport`.
``nothing``
    The source with the mean and the total variance of the target.

Columns: ``uvp`` is the L2-UVP of the map in per cent, ``inverse_uvp`` that of the inverse map. ``cpu_s`` is the CPU
time of the fit. ``is_gaussian`` says whether the fit kept its start.
"""

import io
import os
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from sklearn.datasets import load_sample_images
from torch.nn import functional as F

from sklearn_ot.metrics import l2_uvp
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import ConvexConvolutional
from sklearn_ot.nn import ConvICNN
from sklearn_ot.transport import GaussianTransport, StationaryGaussianTransport, W2Transport

RESULTS = Results(
    "known_pictures.csv",
    key=("pictures", "family", "method", "budget", "seed"),
    columns=("rows", "uvp", "inverse_uvp", "cpu_s", "n_iter", "is_gaussian", "diverged", "note"),
    packages=("numpy", "torch"),
)
SMALLEST = ["--families", "colours", "--methods", "convolutional", "stationary", "--seeds", "0", "--budget", "1"]
SMALLEST += ["--rows", "100"]
SHAPE = (16, 16, 3)
N_TEST = 500
# With batches of 256 pictures the default errors are a sixth larger after a minute.
BATCH_SIZE = 64
FAMILIES = ("layers", "patches", "colours")
METHODS = ("convolutional", "dense", "gaussian", "stationary", "nothing")
# Smallest length of a crop, as a part of the shorter side of the photograph.
LEAST_PART = 0.5


def photographs():
    """The name of the collection, and its training part and its test part, lists of pictures."""
    from PIL import Image

    folder = Path(os.environ.get("SKLEARN_OT_DATA", "/no data"))
    if not (folder / "s2w128_summer_test.npz").exists():
        print("SKLEARN_OT_DATA names no folder with s2w128_summer_test.npz: the pictures are those of scikit-learn.")
        pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
        return "samples", pictures, pictures
    parts = []
    for name in ("train", "test"):
        part = []
        for path in sorted(folder.glob(f"s2w128_summer_{name}*.npz")):
            file = np.load(path)
            packed = file["jpeg"].tobytes()
            part += [Image.open(io.BytesIO(packed[start:end])) for start, end in pairwise(file["offsets"])]
        parts.append([picture.convert("RGB") for picture in part])
    return "summer", *parts


def crops(pictures, n_rows, rng):
    """Flattened random crops of random pictures, half of them mirrored, with numbers from 0 to 1."""
    from PIL import Image

    rows = np.empty((n_rows, *SHAPE))
    for row in rows:
        picture = pictures[rng.randint(len(pictures))]
        length = round(rng.uniform(LEAST_PART, 1) * min(picture.size))
        left, top = (rng.randint(side - length + 1) for side in picture.size)
        row[:] = picture.resize(SHAPE[:2], Image.Resampling.BOX, (left, top, left + length, top + length))
        if rng.randint(2):
            row[:] = row[:, ::-1].copy()
    return rows.reshape(n_rows, -1) / 255


class LogSumExps:
    """The sum over all patches of a log-sum-exp of affine functions, by its gradient."""

    def __init__(self, kernel_size, n_functions, steepness, generator):
        shape = (n_functions, SHAPE[2], kernel_size, kernel_size)
        self.weight = steepness * torch.randn(shape, generator=generator, dtype=torch.float64) / kernel_size
        self.bias = torch.randn(n_functions, generator=generator, dtype=torch.float64)

    def gradient(self, x):
        # With zeros around the picture, all its places are in equally many patches.
        padding = self.weight.shape[-1] - 1
        slopes = F.conv2d(x.view(-1, *SHAPE).permute(0, 3, 1, 2), self.weight, self.bias, padding=padding).softmax(1)
        return F.conv_transpose2d(slopes, self.weight, padding=padding).permute(0, 2, 3, 1).flatten(1)


def layers(generator):
    """A random convolutional network of two layers."""
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        network = ConvICNN(int(np.prod(SHAPE)), SHAPE, (6, 12), kernel_size=3, activation="softplus").double()
    with torch.no_grad():
        for skip, top in zip(network.skips, network.tops, strict=True):
            skip *= 5
            top.copy_(torch.rand(top.shape, generator=generator))
        network.quadratic.zero_()
    return network.requires_grad_(False)


class KnownMap:
    """The map x -> x + s N(x) of pictures with variance 1.

    N is the gradient of a convex function of the family, and the variance of s N(x) is a quarter of that of x.
    """

    def __init__(self, family, pictures, seed):
        generator = torch.Generator().manual_seed(seed)
        make = {
            "layers": layers,
            "patches": lambda generator: LogSumExps(4, 8, 1.5, generator),
            "colours": lambda generator: LogSumExps(1, 6, 1.5, generator),
        }
        self.function = make[family](generator)
        self.mean, self.deviation = pictures.mean(), pictures.std()
        self.factor = 0.5 / np.sqrt(self._moved(pictures).var(axis=0).mean())

    def _standard(self, X):
        return (X - self.mean) / self.deviation

    def _moved(self, X):
        return self.function.gradient(torch.from_numpy(self._standard(X))).numpy()

    def __call__(self, X):
        return self._standard(X) + self.factor * self._moved(X)


def fitted(method, Xs, Xt, seed, budget):
    """A fitted transport."""
    if method == "nothing":
        return None
    if method == "gaussian":
        return GaussianTransport().fit(Xs, Xt)
    if method == "stationary":
        return StationaryGaussianTransport(SHAPE).fit(Xs, Xt)
    network = ConvexConvolutional(SHAPE) if method == "convolutional" else None
    callbacks = [TimeBudget(budget, clock=time.process_time)]
    transport = W2Transport(network=network, batch_size=BATCH_SIZE, callbacks=callbacks, random_state=seed)
    return transport.fit(Xs, Xt)


def fit_and_judge(method, samples, X, Y, seed, budget):
    """The cells of a row."""
    clock = Clock()
    transport = fitted(method, *samples, seed, budget)
    cells = {"cpu_s": clock()}
    if transport is None:
        (mean, size), (new_mean, new_size) = ((rows.mean(axis=0), rows.std()) for rows in samples)
        return {"uvp": l2_uvp(new_mean + (X - mean) * new_size / size, Y), **cells}
    errors = {"uvp": l2_uvp(transport.transform(X), Y), "inverse_uvp": l2_uvp(transport.inverse_transform(Y), X)}
    if method in ("convolutional", "dense"):
        cells |= {"n_iter": transport.n_iter_, "is_gaussian": int(transport.is_gaussian_)}
    return {**errors, **cells}


def measure(arguments, results):
    name, train, test = photographs()
    for seed in arguments.seeds:
        rng = np.random.RandomState(seed)
        Xs, others, X = (
            crops(part, n_rows, rng)
            for part, n_rows in ((train, arguments.rows), (train, arguments.rows), (test, N_TEST))
        )
        for family in arguments.families:
            known = KnownMap(family, Xs, seed)
            Xt, Y = known(others), known(X)
            for method in arguments.methods:
                budget = arguments.budget if method in ("convolutional", "dense") else 0
                cells = guarded(fit_and_judge, method, (Xs, Xt), X, Y, seed, budget)
                row = {"pictures": name, "family": family, "method": method, "budget": budget, "seed": seed}
                results.store({**row, "rows": arguments.rows, **cells})


def report(results):
    by = {"pictures": "pictures", "family": "map", "method": "method"}
    columns = {"uvp": "L2-UVP, %", "inverse_uvp": "of the inverse, %", "cpu_s": "CPU-s of the fit"}
    results.summarise("known_pictures_table.csv", by, columns, is_in=lambda row: not int(row["diverged"]))


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--rows", type=int, default=5000, help="rows of each sample")
    parser.add_argument("--budget", type=float, default=60, help="CPU-seconds of a fit with networks")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

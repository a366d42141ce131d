"""Generators with and without a critic: coverage of known modes, and exact distances on digits.

    python benchmarks/generators.py                                    # modes and mnist
    python benchmarks/generators.py --tables modes --seeds 1000
    SKLEARN_OT_DATA=folder python benchmarks/generators.py --tables mnist faces --budgets 600
    python benchmarks/generators.py --tables mnist --keep samples      # judges samples that are kept there already
    python benchmarks/generators.py --report                           # the tables of the results so far

All fits run in turn, on one thread. Each result is written to results/generators.csv at once, and replaces an older one
of the same problem, seed, method and budget. Times are CPU-seconds of this process. The table modes takes about two
hours, and mnist three. Tables:

modes
    The ring of 8 and the grid of 25 Gaussians of PacGAN's protocol: 2500 training rows, 2500 samples, `mode_coverage`.
    Each estimator has its default settings; ``--estimators`` selects some of them.
    ``spread`` is the standard deviation of the samples of high quality around their centres, divided by the true one.
mnist
    10 000 digits; each method has the same CPU-seconds. `SemiDiscreteOTGenerator`, the published loop of its method and
    a WGAN-GP have networks of 100-512-512-512-784 and tanh; the estimators with a critic have narrow convolutions.
    Between 5000 samples and 5000 test images: exact W1 and W2, with pixels from 0 to 1; ``class_tv``, the total
    variation between equal shares and the shares of the classes that a classifier finds; Frechet distance, precision,
    recall, density and coverage in the features of the classifier, which are the last hidden layer of an MLP of
    784-256-64-10 trained on the same digits. The last five cannot be compared with other tables. All images are drawn
    at random: the first half of the test images of MNIST was written more neatly than the second. The row of fresh
    images, on which neither a method nor the classifier was trained, has the figures of a sample with the right
    distribution. Its W1 and W2 are not the smallest possible ones: a mean of images is nearer to other images than an
    image is. ``--keep`` keeps the samples of each method in a folder; a method whose samples are there is not trained
    again.
faces
    `SemiDiscreteOTGenerator` in the space of 200 principal components of 3500 colour faces of 64 x 64 pixels. Exact W1
    and W2 in this space between 2000 samples and 500 test faces; pixels are from 0 to 1.

Images need the files of `load_usps_mnist`, or of LFWcrop, in the folder that the environment variable SKLEARN_OT_DATA
names; for a trial, ``--random-images`` replaces them by noise. Grids of samples and curves of the distance are written
to doc/images.
"""

import os
import re
import sys
from functools import reduce
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from _image_methods import METHODS, fit_ours
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier

from sklearn_ot.datasets import grid_modes, make_gaussian_grid, make_gaussian_ring, ring_modes
from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.metrics import SampleQuality, frechet_distance, mode_coverage, sample_quality, wasserstein_distance
from sklearn_ot.objectives.fgan import DIVERGENCES

MODES = ("modes", "high_quality", "reverse_kl", "spread")
DISTANCES = ("w1", "w2", "w1_floor", "w2_floor")
FEATURES = ("class_tv", "frechet", *SampleQuality._fields)
RESULTS = Results(
    "generators.csv",
    key=("problem", "seed", "method", "budget_s"),
    columns=(*MODES, *DISTANCES, *FEATURES, "images", "cpu_s", "wall_s", "diverged", "note"),
    packages=("torch", "POT", "scikit-learn"),
)
SMALLEST = [
    *("--tables", "modes", "mnist", "faces", "--seeds", "0", "--problems", "ring of 8", "--rounds", "3"),
    *("--estimators", "WGANGenerator", "FGAN kl", "--random-images", "300", "--test-images", "100", "--budgets", "0.1"),
]
TOYS = {
    "ring of 8": (make_gaussian_ring, ring_modes(), 0.01),
    "grid of 25": (make_gaussian_grid, grid_modes(), 0.05),
}
N_TRAIN, N_TEST = 10_000, 5000

ESTIMATORS = {
    "SemiDiscreteOTGenerator": SemiDiscreteOTGenerator(),
    "WGANGenerator": WGANGenerator(),
    "CramerGAN": CramerGAN(),
    "MMDGAN": MMDGAN(),
    "WGANQC": WGANQC(),
    "GAN": GAN(),
    **{f"FGAN {name}": FGAN(name) for name in DIVERGENCES if name != "gan"},
    **{f"WGANGenerator {name}": WGANGenerator(name) for name in ("one-sided-penalty", "spectral-norm", "clip")},
}


def run_modes(method, problem, n_rounds, seed):
    """Fit an estimator with its default settings to a toy distribution, and return the cells of the row."""
    make, modes, std = TOYS[problem]
    generator = clone(ESTIMATORS[method]).set_params(device="cpu", random_state=seed)
    if n_rounds:
        generator.set_params(max_iter=n_rounds)
    X, clock = make(2500, random_state=seed), Clock()
    generator.fit(X)
    seconds = clock.seconds()
    samples = generator.sample(2500, random_state=seed + 500)
    coverage = mode_coverage(samples, modes, std)
    distances = np.linalg.norm(samples[:, None] - modes, axis=2).min(axis=1)
    good = distances[distances <= 3 * std]
    spread = np.sqrt(np.mean(good**2) / 2) / std if len(good) else ""
    return {**dict(zip(MODES, (*coverage, spread), strict=True)), **seconds}


def data_folder():
    folder = os.environ.get("SKLEARN_OT_DATA")
    if not folder:
        sys.exit("Images need the environment variable SKLEARN_OT_DATA, the folder of their files.")
    return Path(folder)


def load_images(names, n, is_noise=False):
    """Rows of pixels in [-1, 1] drawn at random from some files, and their digits; or rows of noise, for a trial."""
    if is_noise:
        return np.random.RandomState(n).uniform(-1, 1, (n, 28 * 28)).astype(np.float32), np.arange(n) % 10
    files = [np.load(data_folder() / name) for name in names]
    images, digits = (np.concatenate([file[key] for file in files]) for key in ("x", "y"))
    drawn = np.random.RandomState(0).permutation(len(images))[:n]
    return images[drawn].reshape(n, -1).astype(np.float32) / 127.5 - 1, digits[drawn]


def load_faces(n_random=None):
    """Rows of pixels in [0, 1]; with ``n_random``, this number of images of noise."""
    if n_random:
        return np.random.RandomState(0).uniform(0, 1, (n_random, 64 * 64 * 3)).astype(np.float32)
    from matplotlib import image

    faces = []
    for k in range(2):
        pack = np.load(data_folder() / f"lfwcrop_jpeg_{k}of2.npz")
        for begin, end in zip(pack["offsets"], pack["offsets"][1:], strict=False):
            faces.append(image.imread(BytesIO(pack["jpeg"][begin:end].tobytes()), format="jpeg"))
    return np.stack(faces).reshape(len(faces), -1).astype(np.float32) / 255


def run_faces(results, arguments, budget_s, seed):
    faces = np.random.RandomState(seed).permutation(load_faces(arguments.random_images))
    n_test = min(500, arguments.test_images)
    train, test = faces[:-n_test], faces[-n_test:]
    pca = PCA(200, svd_solver="randomized", random_state=0).fit(train)
    clock = Clock(budget_s)
    generator = fit_ours(pca.transform(train), clock, seed)
    seconds = clock.seconds()
    distances = [row["distance"] for row in generator.history_]
    save_rounds(results, distances, "generators_rounds_faces.png")
    samples = generator.sample(4 * n_test, random_state=seed)
    images = pca.inverse_transform(samples[:100]).clip(0, 1).reshape(-1, 64, 64, 3)
    save_grid(results, images, "generators_faces.jpg")
    test, real = pca.transform(test), pca.transform(train[: 4 * n_test])
    steps = generator.n_iter_ * generator.n_fit_steps
    distances = {f"w{p}": wasserstein_distance(samples, test, p=p) for p in (1, 2)}
    floor = {f"w{p}_floor": wasserstein_distance(real, test, p=p) for p in (1, 2)}
    return {**distances, **floor, "images": steps * generator.batch_size, **seconds}


def slug(method):
    """The name of a method in names of files."""
    return re.sub("[^a-z]+", "_", method.lower())


def run_mnist(results, arguments, method, budget_s, images, judge):
    made = kept_samples(arguments, method, budget_s, images)
    pictures = (made["samples"][:100].reshape(-1, 28, 28) + 1) / 2
    save_grid(results, pictures, f"generators_mnist_{slug(method)}.png")
    if len(made["distances"]):
        save_rounds(results, made["distances"], "generators_rounds.png")
    return {**judge(made["samples"]), **{name: made[name].item() for name in ("images", "cpu_s", "wall_s")}}


def kept_samples(arguments, method, budget_s, images):
    """The samples that an earlier run has kept, or those of a new fit, with its times and its curve."""
    seed = arguments.seeds[0]
    path = arguments.keep and arguments.keep / f"{slug(method)}_{budget_s:g}_{seed}.npz"
    if path and path.exists():
        with np.load(path) as file:
            return dict(file)
    clock = Clock(budget_s)
    draw, n_images, history = METHODS[method](images, clock, seed)
    made = {"images": n_images, **clock.seconds(), "distances": [row["distance"] for row in history or ()]}
    torch.manual_seed(seed)
    made = {name: np.asarray(value) for name, value in {**made, "samples": draw(arguments.test_images)}.items()}
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **made)
    return made


class DigitJudge:
    """Distances of images from test images: exact ones, and those of the features of a classifier of real images.

    The features are the last hidden layer. Pixels are taken from 0 to 1: the distances are half of those in [-1, 1].
    """

    def __init__(self, images, digits, test, seed):
        self.test = test
        self.classifier = MLPClassifier((256, 64), max_iter=20, random_state=seed)
        self.classifier.fit(images, digits)

    def features(self, images):
        layers = zip(self.classifier.coefs_[:-1], self.classifier.intercepts_[:-1], strict=True)
        return reduce(lambda rows, layer: np.maximum(rows @ layer[0] + layer[1], 0), layers, images)

    def __call__(self, images):
        shares = np.bincount(self.classifier.predict(images), minlength=10) / len(images)
        features, test_features = self.features(images), self.features(self.test)
        return {
            "class_tv": np.abs(shares - 0.1).sum() / 2,
            "frechet": frechet_distance(features, test_features),
            **sample_quality(features, test_features)._asdict(),
            **{f"w{p}": wasserstein_distance(images, self.test, p=p) / 2 for p in (1, 2)},
        }


def save_grid(results, images, name):
    """Save 100 images with values from 0 to 1, as 10 rows of 10."""
    from matplotlib import image

    side = images.shape[1]
    grid = images.reshape(10, 10, *images.shape[1:]).swapaxes(1, 2).reshape(10 * side, 10 * side, *images.shape[3:])
    results.images.mkdir(parents=True, exist_ok=True)
    image.imsave(results.images / name, grid, cmap="gray", vmin=0, vmax=1)


def save_rounds(results, distances, name):
    """The distance after each round."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    ax.plot(distances, marker=".")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="round", ylabel="W2 distance to the training rows")
    results.save_figure(figure, name, dpi=100)


def report(results):
    """The tables of the guide."""
    modes = {
        "modes": "modes",
        "high_quality": "high quality",
        "reverse_kl": "reverse KL",
        "spread": "spread",
        "cpu_s": "CPU s",
    }
    by = {"problem": "problem", "method": "estimator"}
    results.summarise("generators_modes.csv", by, modes, lambda row: row["problem"] in TOYS)
    mnist = {
        "class_tv": "classes, TV",
        "w1": "W1",
        "w2": "W2",
        "frechet": "Fréchet",
        "precision": "precision",
        "recall": "recall",
        "density": "density",
        "coverage": "coverage",
        "cpu_s": "CPU s",
    }
    results.summarise("generators_mnist.csv", {"method": "method"}, mnist, lambda row: row["problem"] == "mnist")


def measure(arguments, results):
    """Measure each cell, and store its row."""
    if "modes" in arguments.tables:
        for seed, problem, method in product(arguments.seeds, arguments.problems, arguments.estimators):
            cell = guarded(run_modes, method, problem, arguments.rounds, seed)
            results.store({"problem": problem, "seed": seed, "method": method, **cell})
    seed = arguments.seeds[0]
    if "faces" in arguments.tables:
        for budget_s in arguments.budgets:
            key = {"problem": "faces", "seed": seed, "method": "SemiDiscreteOTGenerator", "budget_s": f"{budget_s:g}"}
            results.store({**key, **guarded(run_faces, results, arguments, budget_s, seed)})
    if "mnist" in arguments.tables:
        measure_mnist(arguments, results, seed)


def measure_mnist(arguments, results, seed):
    n_test, n_train = arguments.test_images, arguments.random_images or N_TRAIN
    is_noise = arguments.random_images is not None
    images, digits = load_images([f"mnist_train_{k}of4.npz" for k in range(4)], n_train + n_test, is_noise)
    test_images, _ = load_images(["mnist_test.npz"], n_test, is_noise)
    images, fresh, digits = images[:n_train], images[n_train:], digits[:n_train]
    judge = DigitJudge(images, digits, test_images, seed)
    for name, rows in (("training images", images[:n_test]), ("fresh images", fresh)):
        results.store({"problem": "mnist", "seed": seed, "method": name, **guarded(judge, rows)})
    for budget_s, method in product(arguments.budgets, arguments.methods):
        key = {"problem": "mnist", "seed": seed, "method": method, "budget_s": f"{budget_s:g}"}
        results.store({**key, **guarded(run_mnist, results, arguments, method, budget_s, images, judge)})


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", choices=("modes", "mnist", "faces"), default=("modes", "mnist"))
    parser.add_argument("--budgets", nargs="+", type=float, default=(1200.0,), help="CPU-s of each method on images")
    parser.add_argument(
        "--methods", nargs="*", choices=METHODS, default=tuple(METHODS), help="of mnist; none: images", metavar="METHOD"
    )
    parser.add_argument("--problems", nargs="+", choices=TOYS, default=tuple(TOYS), help="of modes", metavar="PROBLEM")
    parser.add_argument(
        "--estimators", nargs="+", choices=ESTIMATORS, default=tuple(ESTIMATORS), help="of modes", metavar="ESTIMATOR"
    )
    parser.add_argument("--rounds", type=int, help="max_iter of the estimators of modes, for a trial")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="images: only the first of them")
    parser.add_argument("--test-images", type=int, default=N_TEST, help="fewer for a trial")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep samples of mnist there, or read them")
    parser.add_argument("--random-images", type=int, help="number of images of noise to train on, for a trial")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

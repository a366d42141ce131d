"""Colour transfer between pictures, with our map and with the recipes in use.

    python benchmarks/pictures.py                                  # everything there is data for: an hour of CPU time
    python benchmarks/pictures.py --pairs china-flower --methods strict emd1000
    python benchmarks/pictures.py --report                         # the table of the results so far

The pair "china-flower" is of `sklearn.datasets`. The others need photographs in the folder that the environment
variable SKLEARN_OT_DATA names, in ``photos``: "seeding-sunset" has 15.9 and 12.2 megapixels, "house-road" 1.1 and 2.2.

``strict``, ``smooth``
    `ColorTransfer` with and without ``smooth=None``, and white and black not kept.
``kept``
    The defaults: smooth, and white and black kept if both pictures have them.
``gaussian``, ``linear``
    The Gaussian map of all pixels: ours, and POT's `LinearTransport`.
``emd1000``, ``emd5000``, ``sinkhorn``
    POT's `EMDTransport` and `SinkhornTransport` (``reg_e=0.1``) between so many (1000 for the last) random pixels of
    each picture, with its rule for other pixels: the recipe of POT's gallery.
``histogram``
    Each channel on its own, by `numpy.interp` between quantiles.
``nothing``
    The source as it is.

Columns; distances and levels are those of 255:

``distance``, ``floor``
    Wasserstein-2 distance between 5000 random pixels of the result and of the target, mean over five draws; and between
    two such draws of the target. ``distance_error`` is the standard error of the difference of both. The draws are the
    same for all methods.
``flat_step``, ``flat_step_source``
    Largest distance of the colours of two pixels beside each other, but for 1 % of them, in tiles of 32 × 32 pixels of
    the source whose standard deviation is between 2 and 8 levels; in the result, and in the source.
``neighbors``
    Largest distance of the images of two colours one level apart, but for 1 % of the pixels; without the smoothing.
``turns``
    Largest fall of a channel from one step of a grey ramp to the next.
``clipped``
    Share of the pixels that are more than 8 levels out of range before they are clipped.
``white``
    Mean level of the pixels that were white.
``cycle``
    Root mean square error of source colours after the map and its inverse, as floats.
``read_s``, ``fit_s``, ``transform_s``, ``inverse_s``, ``peak_gib``
    CPU-seconds, the first for both pictures; and the largest memory of the process since the row began, without the
    evaluation. Except on Linux, it is that of all rows until then.
"""

import os
import resource
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import ot
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from sklearn.datasets import load_sample_image

from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, W2Transport
from sklearn_ot.vision import ColorTransfer
from sklearn_ot.vision._distinct import DistinctColors
from sklearn_ot.vision._files import read_picture
from sklearn_ot.vision._pictures import to_levels, to_unit

RESULTS = Results(
    "pictures.csv",
    key=("pair", "method", "seed"),
    columns=(
        "distance",
        "floor",
        "distance_error",
        "flat_step",
        "flat_step_source",
        "neighbors",
        "turns",
        "clipped",
        "white",
        "cycle",
        "read_s",
        "fit_s",
        "transform_s",
        "inverse_s",
        "peak_gib",
        "diverged",
        "note",
    ),
    packages=("numpy", "torch", "pot"),
)
SMALLEST = ["--pairs", "china-flower", "--methods", "strict", "emd1000", "--seeds", "0", "--steps", "2", "--draws", "1"]
SMALLEST += ["--pixels", "200"]
PHOTOS = {
    "seeding": "seeding_by_Clements_Engelhardt.jpg",
    "sunset": "sunset_by_Aitzol_Berasategi.jpg",
    "bridge": "Bridge_by_Sander_Klootwijk.jpg",
    "house": "w2gn_country_house.jpg",
    "road": "w2gn_forest_road.jpg",
}
PAIRS = ("china-flower", "house-road", "seeding-sunset")
# Side of a tile, and the standard deviations of the colours of a flat one, in levels.
TILE, FLAT = 32, (2, 8)
OURS = {"strict": {"smooth": None}, "smooth": {}, "kept": {}, "gaussian": {"smooth": None}}


def picture(name):
    """A picture by its name, uint8; None without the data."""
    if name not in PHOTOS:
        return load_sample_image(f"{name}.jpg")
    path = Path(os.environ.get("SKLEARN_OT_DATA", "data")) / "photos" / PHOTOS[name]
    return read_picture(str(path)).pixels if path.exists() else None


def ours(name, seed, steps):
    """A `ColorTransfer`."""
    transport = GaussianTransport() if name == "gaussian" else None
    if steps is not None and transport is None:
        transport = W2Transport(max_iter=steps, network=Convex((64, 64)), random_state=seed)
    keeps = {} if name == "kept" else {"keep_white": False, "keep_black": False}
    return ColorTransfer(transport, random_state=seed, **OURS[name], **keeps)


class Recipe:
    """A map of colours of other packages; through distinct colours like ours, so that it takes less time."""

    def __init__(self, name, seed):
        self.name, self.rng = name, np.random.RandomState(seed)

    def fit(self, source, target):
        X, Y = (to_unit(part.reshape(-1, 3)) for part in (source, target))
        if self.name == "histogram":
            q = np.linspace(0, 1, 1025)
            self.quantiles = np.quantile(X, q, axis=0), np.quantile(Y, q, axis=0)
        elif self.name == "linear":
            self.transport = ot.da.LinearTransport().fit(Xs=X, Xt=Y)
        elif self.name != "nothing":
            n = 5000 if self.name == "emd5000" else 1000
            X, Y = (part[self.rng.randint(len(part), size=n)] for part in (X, Y))
            kind = ot.da.SinkhornTransport(reg_e=0.1) if self.name == "sinkhorn" else ot.da.EMDTransport(max_iter=10**7)
            self.transport = kind.fit(Xs=X, Xt=Y)
        return self

    def colors(self, colors):
        """Images that are not clipped."""
        if self.name == "nothing":
            return colors
        if self.name == "histogram":
            columns = zip(colors.T, *(quantiles.T for quantiles in self.quantiles), strict=True)
            return np.column_stack([np.interp(*column) for column in columns])
        return self.transport.transform(Xs=colors)

    def transform(self, pixels):
        distinct = DistinctColors(pixels)
        images = np.clip(self.colors(to_unit(distinct.colors)), 0, 1)
        return distinct.gather(to_levels(images, np.uint8), pixels)


def images_of(method):
    """A function from colours to images that are not clipped, without the smoothing."""
    if isinstance(method, Recipe):
        return method.colors
    return method.transport_.transform


def drawn(pixels, n, rng):
    """Random pixels as rows of float."""
    return pixels.reshape(-1, 3)[rng.randint(pixels.size // 3, size=n)].astype(float)


@cache
def target_draws(name, n_pixels, n_draws, seed):
    """Draws of the pixels of a picture, and the distance of each from another one."""
    rng, pixels = np.random.RandomState(seed), picture(name)
    draws = [drawn(pixels, n_pixels, rng) for _ in range(n_draws)]
    return draws, np.array([wasserstein_distance(drawn(pixels, n_pixels, rng), draw) for draw in draws])


def distances(result, target_name, arguments, seed):
    """The mean Wasserstein-2 distance, the mean floor, and the standard error of their difference."""
    draws, floor = target_draws(target_name, arguments.pixels, arguments.draws, seed + 10**6)
    rng = np.random.RandomState(seed + 2 * 10**6)
    moved = np.array([wasserstein_distance(drawn(result, arguments.pixels, rng), draw) for draw in draws])
    error = (moved - floor).std(ddof=1) / np.sqrt(len(draws)) if len(draws) > 1 else 0.0
    return {"distance": moved.mean(), "floor": floor.mean(), "distance_error": error}


def flat_steps(source, result):
    """Steps between neighbouring pixels in the flat tiles of the source."""
    height, width = (size // TILE * TILE for size in source.shape[:2])
    source, result = (
        part[:height, :width].reshape(height // TILE, TILE, width // TILE, TILE, 3).swapaxes(1, 2)
        for part in (source, result)
    )
    deviations = np.stack([row.std(axis=(1, 2), dtype=np.float32).mean(axis=1) for row in source])
    is_flat = (deviations > FLAT[0]) & (deviations < FLAT[1])
    steps = [np.linalg.norm(np.diff(part[is_flat].astype(np.int16), axis=2), axis=-1) for part in (result, source)]
    names = "flat_step", "flat_step_source"
    return {name: float(np.quantile(step, 0.99)) for name, step in zip(names, steps, strict=True) if step.size}


def slopes(method, source, rng):
    """How the map treats colours that are near each other, and a grey ramp."""
    images, colors = images_of(method), drawn(source, 5000, rng) / 255
    near = colors + np.eye(3)[rng.randint(3, size=len(colors))] / 255
    moved = images(colors)
    out = np.maximum(-moved, moved - 1).max(axis=1)
    steps = np.linalg.norm(np.clip(images(near), 0, 1) - np.clip(moved, 0, 1), axis=1)
    ramp = np.clip(images(np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1)), 0, 1)
    return {
        "neighbors": float(255 * np.quantile(steps, 0.99)),
        "turns": float(max(0.0, -255 * np.diff(ramp, axis=0).min())),
        "clipped": float(np.mean(out > 8 / 255)),
    }


def forget_peak():
    """Begin to measure the largest memory of this process anew, on Linux."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measured(pair, name, seed, arguments):
    """The cells of one row."""
    forget_peak()
    clock = Clock()
    source, target = map(picture, pair.split("-"))
    cells, clock = {"read_s": clock()}, Clock()
    method = ours(name, seed, arguments.steps) if name in OURS else Recipe(name, seed)
    method.fit(source, target)
    cells["fit_s"], clock = clock(), Clock()
    result = method.transform(source)
    cells["transform_s"], clock = clock(), Clock()
    if name in OURS:
        method.inverse_transform(target)
        cells["inverse_s"] = clock()
    cells["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rng = np.random.RandomState(seed)
    cells |= distances(result, pair.split("-")[1], arguments, seed) | flat_steps(source, result)
    cells |= slopes(method, source, rng)
    is_white = np.all(source == 255, axis=2)
    if is_white.any():
        cells["white"] = float(result[is_white].mean())
    if name in OURS:
        colors = drawn(source, 5000, rng) / 255
        back = method.transport_.inverse_transform(method.transport_.transform(colors))
        cells["cycle"] = float(255 * np.sqrt(np.square(back - colors).mean()))
    return {key: float(value) for key, value in cells.items()}


def measure(arguments, results):
    for pair in arguments.pairs:
        if any(picture(name) is None for name in pair.split("-")):
            print(f"{pair}: its photographs are not in the folder that SKLEARN_OT_DATA names; left out.")
            continue
        for seed in arguments.seeds:
            for name in arguments.methods:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    cells = guarded(measured, pair, name, seed, arguments)
                results.store({"pair": pair, "method": name, "seed": seed, **cells})


def report(results):
    columns = {name: name.replace("_", " ") for name in results.columns if name not in ("diverged", "note")}
    results.summarise("pictures_table.csv", {"pair": "pair", "method": "method"}, columns)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--pairs", nargs="+", default=PAIRS, help=f"names of two pictures: {' '.join(PHOTOS)}")
    recipes = ["nothing", "emd1000", "emd5000", "linear", "sinkhorn", "histogram"]
    parser.add_argument("--methods", nargs="+", default=[*OURS, *recipes], choices=[*OURS, *recipes])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--pixels", type=int, default=5000, help="pixels of each exact plan of the evaluation")
    parser.add_argument("--draws", type=int, default=5, help="number of such plans")
    parser.add_argument("--steps", type=int, help="steps of our map, instead of the default")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

"""Unpaired translation of pictures: summer and winter, and digits, by our estimators and simpler maps.

    SKLEARN_OT_DATA=folder python benchmarks/translation.py        # everything there is data for
    python benchmarks/translation.py --pairs digits --seeds 1000   # needs no data
    SKLEARN_OT_DATA=folder python benchmarks/translation.py --pairs seasons --methods stationary --pictures folder
    python benchmarks/translation.py --report                      # the tables of the results so far

All fits run in turn, on one thread. Every row is one direction. A seed splits the pictures, trains the network that
compares them, and is the seed of the method. Times are CPU-seconds. Pairs:

seasons
    Summer and winter at Yosemite, a data set of CycleGAN, 64 x 64 pixels, from the folder that the environment variable
    SKLEARN_OT_DATA names: 1231 and 962 training pictures and their mirror images, 309 and 238 held-out pictures. The
    published split is not used: each seed splits all pictures at random.
usps
    MNIST and USPS, 16 x 16, from the same folder, see `load_usps_mnist`: 5000 training and 2000 test images of each.
digits
    Threes and eights of scikit-learn, 8 x 8: 103 and 94 training images, 80 held-out images of each.

Methods:

``nothing``, ``histogram``
    Pictures as they are; each channel on its own, by `numpy.interp` between the quantiles of all pixels.
``colours, Gaussian``, ``colours, W2``
    One map for the colours of all pixels, from 50 000 of them: a `GaussianTransport`, and the `W2Transport` that
    `ColorTransfer` has by default.
``50 components, Gaussian``
    A `GaussianTransport` of the first 50 principal components of both sets.
``stationary``
    A `StationaryGaussianTransport`.
``closed``, ``patches``, ``patches 8 x 8``, ``patches, no statistics``, ``conv``
    `ImageTranslator` without a network; with its default, potentials of patches; with patches of 8 x 8 pixels; without
    the statistics of each picture; and with a convolutional network, which runs only if it is named, because it takes
    hours.

Columns:

``network``, ``hand``
    Fréchet distance of translated held-out pictures to held-out pictures of the other side, in 32 principal components
    of standardised features. The features of ``network`` are the last 128 of a small network that each seed trains to
    distinguish the training pictures of both sides (`_translation_scores.SeasonNetwork`). Those of ``hand`` are the
    means and deviations of the colours of CIELAB in a 4 x 4 grid, and the mean sizes of three levels of Haar
    coefficients of the lightness. Both were fixed before any method was scored by them. Pictures are rounded to 8 bits.
``network_ratio``, ``hand_ratio``; ``network_floor``, ``hand_floor``
    These distances divided by those of pictures that are left as they are; and the distances of training pictures of
    the other side, as many as are translated. The distance has a bias, so that no method can reach 0.
``taken``, ``taken_real``
    Share of the pictures that the network takes for those of the other side, and that of real ones there. For digits,
    the nearest neighbour among all training images decides.
``accuracy``
    Share of the translated digits whose nearest neighbour among the training images there is the same digit.
``cycle``, ``cycle_8bit``
    Mean squared error after the map and its inverse, in % of the variance of held-out pictures: as floats, and with the
    translated picture rounded to 8 bits in between.
``moved``, ``clipped``
    Mean squared change in % of the same variance; share of the values outside the range before they are clipped.
``fit_s``, ``transform_s``
    CPU-seconds of the fit, which is for both directions, and of the translation of held-out pictures.
"""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from _translation_data import PAIRS, is_available, load
from _translation_methods import METHODS, SLOW
from _translation_scores import N_STEPS, Scores

from sklearn_ot.vision import ImageTranslator

DISTANCES = ("network", "hand")
RESULTS = Results(
    "translation.csv",
    key=("pair", "direction", "method", "seed"),
    columns=(
        *(f"{name}{suffix}" for name in DISTANCES for suffix in ("", "_ratio", "_floor")),
        *("taken", "taken_real", "accuracy", "cycle", "cycle_8bit", "moved", "clipped", "fit_s", "transform_s"),
        *("diverged", "note"),
    ),
    packages=("numpy", "torch", "scikit-learn"),
)
SMALLEST = ["--pairs", "seasons", "digits", "--random-pictures", "60", "--network-steps", "3", "--seeds", "0"]
SMALLEST += ["--methods", "nothing", "histogram", "stationary", "closed"]
N_SHOWN = 8


class Pair:
    """A pair of sets of pictures, its scores, and the methods that are fitted to it."""

    def __init__(self, name, seed, arguments):
        self.name, self.seed = name, seed
        self.pictures = load(name, seed, arguments.random_pictures)
        self.scores = Scores(self.pictures, seed, arguments.network_steps)
        self.held_out = [part / 255 for part in self.pictures.held_out]
        self.shown = {"held-out": [part[:N_SHOWN] for part in self.pictures.held_out]}

    def measure(self, method, results):
        """Fit a method, and store one row for each direction."""
        fitted = guarded(self.fit, method)
        for side in (0, 1):
            cells = fitted if fitted["diverged"] else {**fitted, **guarded(self.compared, side)}
            direction = f"{self.pictures.names[side]} to {self.pictures.names[1 - side]}"
            results.store({"pair": self.name, "direction": direction, "method": method, "seed": self.seed, **cells})
        if method != "nothing" and not fitted["diverged"]:
            self.shown[method] = [as_levels(self.maps[k](part[:N_SHOWN])) for k, part in enumerate(self.held_out)]

    def fit(self, method):
        sides, is_mirrored = self.pictures.to_fit(), self.pictures.is_mirrored
        fitted = METHODS[method](sides[0].shape[1:], self.seed)
        if is_mirrored and isinstance(fitted, ImageTranslator):
            # It makes the mirror images itself.
            sides = [side[: len(side) // 2] for side in sides]
            fitted.set_params(mirror=True)
        clock = Clock()
        fitted.fit(*sides)
        self.maps = fitted.transform, fitted.inverse_transform
        return {"fit_s": clock()}

    def compared(self, side):
        """The cells of the pictures of one side."""
        pictures, (forward, back) = self.held_out[side], self.maps[:: 1 - 2 * side]
        clock = Clock()
        moved = forward(pictures)
        cells, levels = {"transform_s": clock()}, as_levels(moved)
        cells |= self.scores.compared(levels, 1 - side)
        variance = pictures.var(axis=0).mean()
        for name, end in {"cycle": back(moved), "cycle_8bit": back(levels / 255), "moved": moved}.items():
            cells[name] = float(100 * np.square(end - pictures).mean() / variance)
        cells["clipped"] = float(np.mean((moved < 0) | (moved > 1)))
        return cells

    def save_pictures(self, results):
        """Held-out pictures in the first row, and each method in a row below: on the left and on the right."""
        from matplotlib import pyplot as plt

        height = self.held_out[0].shape[1] / self.held_out[0].shape[2] / N_SHOWN
        size = (16, 0.3 + len(self.shown) * (8 * height + 0.05))
        figure, axes = plt.subplots(len(self.shown), 2, figsize=size, layout="constrained", squeeze=False)
        for row, (method, sides) in zip(axes, self.shown.items(), strict=True):
            for ax, pictures in zip(row, sides, strict=True):
                ax.imshow(np.concatenate(list(pictures), axis=1).squeeze(), cmap="gray", vmin=0, vmax=255)
                ax.set(xticks=[], yticks=[])
            row[0].set_ylabel(method, rotation=0, ha="right", va="center")
        for ax, name in zip(axes[0], self.pictures.names, strict=True):
            ax.set_title(f"{name}, and its translation")
        results.save_figure(figure, f"translation_{self.name}_{self.seed}.png")


def as_levels(pictures):
    return np.rint(255 * np.clip(pictures, 0, 1)).astype(np.uint8)


def measure(arguments, results):
    for name in arguments.pairs:
        if not (is_available(name) or (name == "seasons" and arguments.random_pictures)):
            message = f"{name}: its pictures are not in the folder that the variable SKLEARN_OT_DATA names"
            print(f"{message}; left out. The pair digits needs no data.")
            continue
        for seed in arguments.seeds:
            pair = Pair(name, seed, arguments)
            for method in arguments.methods:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)
                    pair.measure(method, results)
            if arguments.pictures:
                pair.save_pictures(replace(results, images=arguments.pictures))


def report(results):
    columns = {name: name.replace("_", " ") for name in results.columns if name not in ("diverged", "note")}
    for name in PAIRS:
        rows = [row for row in results.rows() if row["pair"] == name]
        measured = {column: title for column, title in columns.items() if any(row[column] for row in rows)}
        by = {"direction": "direction", "method": "method"}
        results.summarise(f"translation_{name}.csv", by, measured, lambda row, name=name: row["pair"] == name)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=tuple(PAIRS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[name for name in METHODS if name != SLOW])
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--pictures", type=Path, help="folder for a grid of held-out pictures of each pair and seed")
    parser.add_argument(
        "--network-steps", type=int, default=N_STEPS, help="training steps of the network that compares"
    )
    parser.add_argument("--random-pictures", type=int, help="number of pictures of noise as seasons, for a trial")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

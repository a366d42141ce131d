"""Pairs of sets of pictures that benchmarks/translation.py translates into each other."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sklearn_ot.datasets import load_usps_mnist

SEASONS, SIZE = ("summer", "winter"), 64
SEASON_FILES = ("train_0of2", "train_1of2", "test")
HELD_OUT = {"summer": 309, "winter": 238}  # as many as in the published split


@dataclass
class Pictures:
    """Two sets of pictures of the same shape, uint8, each split into training and held-out pictures.

    ``train``, ``held_out`` and ``labels`` have one entry for each set; ``labels`` is None or pairs of the labels of
    both parts. ``is_mirrored`` says whether mirror images of the training pictures are fitted too, and ``has_network``
    whether a network compares the pictures.
    """

    names: tuple
    train: list
    held_out: list
    labels: list | None = None
    is_mirrored: bool = False
    has_network: bool = False

    def to_fit(self):
        """Training pictures of both sides, float32 from 0 to 1."""
        sides = [np.concatenate([part, part[:, :, ::-1]]) if self.is_mirrored else part for part in self.train]
        return [part.astype(np.float32) / 255 for part in sides]


def is_available(name):
    """Whether the pictures are in the folder that SKLEARN_OT_DATA names, if they come from there."""
    file = {"seasons": "s2w128_summer_test.npz", "usps": "usps.npz"}.get(name)
    return file is None or (folder() / file).exists()


def folder():
    return Path(os.environ.get("SKLEARN_OT_DATA") or "data")


def load(name, seed, n_random=None):
    """A pair by its name, split by a seed; with ``n_random``, so many blurred pictures of noise as seasons."""
    if name == "seasons" and n_random:
        return noise(n_random, seed)
    return PAIRS[name](seed)


def split(sets, names, seed, n_held_out, **options):
    """Split each set at random into training and held-out pictures."""
    parts = [train_test_split(part, test_size=n, random_state=seed) for part, n in zip(sets, n_held_out, strict=True)]
    train, held_out = zip(*parts, strict=True)
    return Pictures(names, list(train), list(held_out), **options)


def seasons(seed):
    """Summer and winter at Yosemite, 64 x 64; the published parts are put together, and split again."""
    sets = [np.concatenate([unpacked(f"s2w128_{name}_{part}.npz") for part in SEASON_FILES]) for name in SEASONS]
    return split(sets, SEASONS, seed, [HELD_OUT[name] for name in SEASONS], is_mirrored=True, has_network=True)


def unpacked(file_name):
    """Pictures of a file of JPEG streams, reduced by the mean over areas."""
    from PIL import Image

    pack = np.load(folder() / file_name)
    streams = (pack["jpeg"][begin:end] for begin, end in zip(pack["offsets"][:-1], pack["offsets"][1:], strict=True))
    pictures = (Image.open(io.BytesIO(stream.tobytes())).convert("RGB") for stream in streams)
    return np.stack([np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BOX)) for picture in pictures])


def noise(n, seed):
    """Noise of 16 x 16 pixels; the second set is smoother, brighter and bluer."""
    rng = np.random.RandomState(seed)
    sets = [
        level + 0.3 * deviation * gaussian_filter(rng.randn(n, 16, 16, 3), (0, deviation, deviation, 0))
        for level, deviation in (([0.4, 0.4, 0.3], 1), ([0.5, 0.5, 0.6], 2))
    ]
    sets = [np.rint(255 * part.clip(0, 1)).astype(np.uint8) for part in sets]
    return split(sets, SEASONS, seed, [n // 2] * 2, is_mirrored=True, has_network=True)


def usps(seed, n_train=5000, n_held_out=2000):
    """MNIST and USPS, 16 x 16: random rows of the training sets, and of the test sets."""
    pair, rng = load_usps_mnist(framing="centre"), np.random.RandomState(seed)
    train, held_out, labels = [], [], []
    for domain in (pair.target, pair.source):
        rows, held_out_rows = rng.permutation(len(domain.y_train))[:n_train], rng.permutation(len(domain.y_test))
        held_out_rows = held_out_rows[:n_held_out]
        train.append(as_levels(domain.images_train[rows]))
        held_out.append(as_levels(domain.images_test[held_out_rows]))
        labels.append((domain.y_train[rows], domain.y_test[held_out_rows]))
    return Pictures(("MNIST", "USPS"), train, held_out, labels)


def digits(seed):
    """The threes and the eights of scikit-learn, 8 x 8."""
    images, labels = load_digits(return_X_y=True)
    sets = [as_levels(images[labels == digit].reshape(-1, 8, 8) / 16) for digit in (3, 8)]
    return split(sets, ("3", "8"), seed, [80, 80])


def as_levels(images):
    """Grey pictures with one channel, uint8, of images with values from 0 to 1."""
    return np.rint(255 * images[..., None]).astype(np.uint8)


PAIRS = {"seasons": seasons, "usps": usps, "digits": digits}

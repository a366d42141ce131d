"""The methods that benchmarks/translation.py compares.

Each has ``fit(source, target)``, ``transform`` and ``inverse_transform``, for pictures with values from 0 to 1 of shape
(n_pictures, height, width, n_channels); images are not clipped.
"""

import numpy as np
from sklearn.decomposition import PCA

from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, PatchTransport, StationaryGaussianTransport, W2Transport
from sklearn_ot.vision import ImageTranslator

N_PIXELS, N_COMPONENTS = 50_000, 50
N_QUANTILES = 1025


class Identity:
    """Pictures as they are."""

    def fit(self, source, target):
        return self

    def transform(self, pictures):
        return pictures

    inverse_transform = transform


class Histogram:
    """Each channel on its own, by `numpy.interp` between the quantiles of all pixels."""

    def fit(self, source, target):
        levels = np.linspace(0, 1, N_QUANTILES)
        self.quantiles = [np.quantile(part, levels, axis=(0, 1, 2)) for part in (source, target)]
        return self

    def transform(self, pictures):
        return self.interpolated(pictures, *self.quantiles)

    def inverse_transform(self, pictures):
        return self.interpolated(pictures, *self.quantiles[::-1])

    def interpolated(self, pictures, x, y):
        channels = zip(np.moveaxis(pictures, -1, 0), x.T, y.T, strict=True)
        return np.stack([np.interp(*channel) for channel in channels], axis=-1)


class Rows:
    """A transport of rows: of flattened pictures, of the colours of random pixels, or of principal components.

    Parameters
    ----------
    transport : estimator
        The transport.
    rows : {"pictures", "pixels", "components"}
        The rows. Principal components are those of both samples together, and the rest of a picture is kept.
    seed : int
        Draws pixels, and the components.
    """

    def __init__(self, transport, rows, seed):
        self.transport, self.rows, self.seed = transport, rows, seed

    def fit(self, source, target):
        rng = np.random.RandomState(self.seed)
        sides = [self.as_rows(part) for part in (source, target)]
        if self.rows == "pixels":
            sides = [part[rng.randint(len(part), size=N_PIXELS)] for part in sides]
        if self.rows == "components":
            n = min(N_COMPONENTS, len(source), sides[0].shape[1])
            self.components = PCA(n, svd_solver="randomized", random_state=rng).fit(np.concatenate(sides))
            sides = [self.components.transform(part) for part in sides]
        self.transport.fit(*sides)
        return self

    def as_rows(self, pictures):
        return (
            pictures.reshape(-1, pictures.shape[-1]) if self.rows == "pixels" else pictures.reshape(len(pictures), -1)
        )

    def transform(self, pictures):
        return self.moved(pictures, self.transport.transform)

    def inverse_transform(self, pictures):
        return self.moved(pictures, self.transport.inverse_transform)

    def moved(self, pictures, function):
        rows = self.as_rows(pictures)
        if self.rows != "components":
            return function(rows).reshape(pictures.shape)
        codes = self.components.transform(rows)
        return (rows + (function(codes) - codes) @ self.components.components_).reshape(pictures.shape)


def translator(network, seed, **options):
    return ImageTranslator(network, random_state=seed, **options)


def color_transport(seed):
    """The default transport of `ColorTransfer`."""
    return W2Transport(max_iter=300, network=Convex((64, 64)), random_state=seed)


# A method that takes hours for pictures of 64 x 64 pixels.
SLOW = "conv"
# Functions of the shape of a picture and of the seed, by the names of the methods.
METHODS = {
    "nothing": lambda shape, seed: Identity(),
    "histogram": lambda shape, seed: Histogram(),
    "colours, Gaussian": lambda shape, seed: Rows(GaussianTransport(), "pixels", seed),
    "colours, W2": lambda shape, seed: Rows(color_transport(seed), "pixels", seed),
    "50 components, Gaussian": lambda shape, seed: Rows(GaussianTransport(), "components", seed),
    "stationary": lambda shape, seed: Rows(StationaryGaussianTransport(shape), "pictures", seed),
    "closed": lambda shape, seed: translator(None, seed),
    "patches": lambda shape, seed: translator("patches", seed),
    "patches 8 x 8": lambda shape, seed: translator(PatchTransport(patch_size=8), seed),
    "patches, no statistics": lambda shape, seed: translator("patches", seed, statistics=False),
    "conv": lambda shape, seed: translator("conv", seed),
}

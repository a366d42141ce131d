"""StatisticsTransport: the map that gives each picture other statistics of its colours and contrasts."""

from dataclasses import dataclass

import numpy as np
from scipy import fft

from sklearn_ot.base import InvertibleTransport
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.stationary import cosine_coefficients, octaves
from sklearn_ot.solvers.units import UnitCoordinates

# Smallest variance of a direction of the channels in a band of a picture, relative to the mean one of the source.
LEAST_VARIANCE = 1e-3


@dataclass(eq=False, repr=False)
class StatisticsTransport(InvertibleTransport):
    r"""Give each picture the statistics to which a Gaussian map sends its own.

    The statistics of a picture are the mean m of its pixels, and for each band of frequencies the covariance
    :math:`S_k` of the channels of its cosine coefficients, which is the contrast of the picture at one size of details.
    The bands are octaves. Over all pictures the vectors :math:`(m, \tfrac12 \log S_1, \tfrac12 \log S_2, \dots)` have a
    distribution. The Gaussian map between the distributions of source and target sends one vector to another one, with
    :math:`m'` and :math:`S_k'`. The mean of the picture becomes :math:`m'`, and the coefficients of each band move by
    the optimal map between Gaussians with these covariances,

    .. math:: z \mapsto A_k z, \qquad A_k S_k A_k = S_k' .

    Means are in units of the standard deviation of all pixels of the source. The inverse map has the same form. It is
    exact, unless a picture hardly varies in a direction of the channels.

    Parameters
    ----------
    image_shape : tuple of int
        The shape of a picture, with the channels last.
    """

    image_shape: tuple[int, ...]

    def _fit(self, source, target, rng):
        n_channels = self.image_shape[-1]
        n_pixels = self.n_features_in_ // n_channels
        weight = np.repeat(source.mass / n_pixels, n_pixels)
        self._deviation = UnitCoordinates.standard(source.rows.reshape(-1, n_channels), weight).scale
        self._bands = octaves(self.image_shape[:-1])
        shares = in_chunks(lambda rows: self._covariances(self._coefficients(rows)), source.rows)
        self._floors = LEAST_VARIANCE * np.einsum("i,ikcc->k", source.mass, shares) / n_channels
        moments = [sample._replace(rows=in_chunks(self._statistics, sample.rows)) for sample in (source, target)]
        self.map_ = sample_gaussian_map(*moments, "auto")

    def _transform(self, X):
        return in_chunks(lambda rows: self._moved(rows, self.map_.transport), X)

    def _inverse_transform(self, X):
        return in_chunks(lambda rows: self._moved(rows, self.map_.inverse), X)

    def _coefficients(self, rows):
        """The cosine coefficients of pictures, shape (n, n_pixels, n_channels); the first is their mean, times √n."""
        coefficients = cosine_coefficients(rows.astype(np.float64, copy=False) / self._deviation, self.image_shape)
        return coefficients.reshape(len(rows), -1, self.image_shape[-1])

    def _covariances(self, coefficients):
        """Covariances of the channels in all bands, shape (n, n_bands, n_channels, n_channels)."""
        parts = (coefficients[:, band] for band in self._bands)
        return np.stack([np.einsum("npc,npd->ncd", part, part) / part.shape[1] for part in parts], axis=1)

    def _statistics(self, rows):
        return self._statistics_of(self._coefficients(rows))

    def _statistics_of(self, coefficients):
        """m and the upper halves of ½ log S, scaled so that their lengths are those of the whole matrices."""
        variance, axes = np.linalg.eigh(self._covariances(coefficients))
        log_roots = _function_of(np.log(np.maximum(variance, self._floors[:, None])) / 2, axes)
        (i, j), scale = self._upper()
        mean = coefficients[:, 0] / np.sqrt(coefficients.shape[1])
        return np.hstack([mean, (log_roots[..., i, j] * scale).reshape(len(mean), -1)])

    def _moments(self, statistics):
        """m and ½ log S of statistics."""
        n_channels, ((i, j), scale) = self.image_shape[-1], self._upper()
        mean, upper = np.split(statistics, [n_channels], axis=1)
        log_roots = np.zeros((len(upper), len(self._bands), n_channels, n_channels))
        log_roots[..., i, j] = log_roots[..., j, i] = upper.reshape(*log_roots.shape[:2], -1) / scale
        return mean, log_roots

    def _upper(self):
        i, j = np.triu_indices(self.image_shape[-1])
        return (i, j), np.where(i == j, 1.0, np.sqrt(2))

    def _moved(self, rows, move):
        coefficients = self._coefficients(rows)
        before = self._statistics_of(coefficients)
        (_, log_roots), (mean, new_log_roots) = map(self._moments, (before, move(before)))
        moved = np.empty_like(coefficients)
        moved[:, 0] = mean * np.sqrt(coefficients.shape[1])
        for k, band in enumerate(self._bands):
            moved[:, band] = coefficients[:, band] @ _gaussian_stretch(log_roots[:, k], new_log_roots[:, k])
        axes = tuple(range(1, len(self.image_shape)))
        pictures = fft.idctn(moved.reshape(-1, *self.image_shape), axes=axes, norm="ortho") * self._deviation
        return pictures.reshape(rows.shape).astype(rows.dtype, copy=False)


def _gaussian_stretch(log_root, new_log_root):
    """The optimal maps between Gaussians with covariances S and S', from ½ log S and ½ log S'."""
    size, axes = np.linalg.eigh(log_root)
    root, inverse_root = _function_of(np.exp(size), axes), _function_of(np.exp(-size), axes)
    size, axes = np.linalg.eigh(new_log_root)
    variance, axes = np.linalg.eigh(root @ _function_of(np.exp(2 * size), axes) @ root)
    return inverse_root @ _function_of(np.sqrt(np.maximum(variance, 0)), axes) @ inverse_root


def _function_of(values, axes):
    """Symmetric matrices with these eigenvalues and eigenvectors."""
    return (axes * values[..., None, :]) @ np.swapaxes(axes, -1, -2)

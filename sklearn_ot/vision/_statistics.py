"""StatisticsTransport: the map that gives each picture other statistics of its colours and contrasts."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import fft

from sklearn_ot.base import InvertibleTransport
from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.pooled import pooled_gaussian_map
from sklearn_ot.solvers.stationary import cosine_coefficients, cosine_transform, octaves
from sklearn_ot.solvers.tensors import constants
from sklearn_ot.solvers.units import UnitCoordinates
from sklearn_ot.vision._statistics_map import StatisticsMap

# Smallest variance of a direction of the channels in a band of a picture, relative to the mean one of the source.
LEAST_VARIANCE = 1e-4
# Smallest number of coefficients of a band for each channel: with fewer, variances are often near 0.
LEAST_COEFFICIENTS = 3


@stored
@dataclass(eq=False, repr=False)
class StatisticsTransport(InvertibleTransport):
    r"""Give each picture the statistics to which a Gaussian map sends its own.

    The statistics of a picture are those of the cosine coefficients of its channels: the coefficients m of the lowest
    frequencies, which are its mean and its slopes, and for each higher band of frequencies the covariance :math:`S_k`
    between the channels, which is the contrast at one size of details. The bands are octaves. Over all pictures the
    vectors :math:`(m, \tfrac{r_1}{2} \log S_1, \tfrac{r_2}{2} \log S_2, \dots)` have a distribution. The Gaussian map
    between the distributions of source and target sends one vector to another one, with :math:`m'` and :math:`S_k'`.
    The lowest coefficients of the picture become :math:`m'`, and those of each band move by the optimal map between
    Gaussians with these covariances,

    .. math:: z \mapsto A_k z, \qquad A_k S_k A_k = S_k' .

    :math:`r_k` is the typical size of :math:`S_k^{1/2}`. The squared distance of two vectors is then, for small
    differences, the one by which the pixels move, so that the Gaussian map moves them no more than it needs to.
    Variances below 1e-4 of the mean one of their band are taken as that. The inverse map has the same form, and is
    exact but for such variances.

    Parameters
    ----------
    image_shape : tuple of int
        The shape of a picture, with the channels last.
    n_copies : int, default=1
        So many pictures of a sample that follow each other are versions of one picture.
    """

    image_shape: tuple[int, ...]
    n_copies: int = 1

    def _fit(self, source, target, rng):
        n_channels = self.image_shape[-1]
        n_pixels = self.n_features_in_ // n_channels
        weight = np.repeat(source.mass / n_pixels, n_pixels)
        # In these units the coefficient of the frequency 0 is the mean of a picture.
        deviation = UnitCoordinates.standard(source.rows.reshape(-1, n_channels), weight).scale
        self._unit = deviation * np.sqrt(n_pixels)
        self._low, *self._bands = octaves(self.image_shape[:-1], LEAST_COEFFICIENTS * n_channels)
        covariances = in_chunks(lambda rows: self._covariances(self._coefficients(rows)), source.rows)
        variances = np.trace(covariances, axis1=-2, axis2=-1) / n_channels
        # Bands in which no picture varies keep their unit.
        typical = np.where(variances.any(axis=0), source.mass @ variances, 1)
        self._floors, self._sizes = LEAST_VARIANCE * typical, np.sqrt(typical)
        moments = [
            sample._replace(rows=in_chunks(lambda rows: self._statistics(self._coefficients(rows)), sample.rows))
            for sample in (source, target)
        ]
        self.map_ = pooled_gaussian_map(*moments, rng, self.n_copies)

    def _transform(self, X):
        return in_chunks(lambda rows: self._moved(rows, self.map_.transport), X)

    def _inverse_transform(self, X):
        return in_chunks(lambda rows: self._moved(rows, self.map_.inverse), X)

    def _module(self, inverse):
        bands = [torch.from_numpy(band) for band in self._bands]
        return StatisticsMap(
            self.map_.to_torch(inverse),
            cosine_transform(self.image_shape[:-1]),
            self.image_shape,
            float(self._unit),
            torch.from_numpy(self._low),
            bands,
            *constants(self._floors, self._sizes),
        )

    def _coefficients(self, rows):
        """The cosine coefficients of pictures, shape (n, n_pixels, n_channels)."""
        coefficients = cosine_coefficients(rows.astype(np.float64, copy=False) / self._unit, self.image_shape)
        return coefficients.reshape(len(rows), -1, self.image_shape[-1])

    def _covariances(self, coefficients):
        """Sums over the coefficients of each band of their products, shape (n, n_bands, n_channels, n_channels)."""
        n_channels = self.image_shape[-1]
        sums = np.empty((len(coefficients), len(self._bands), n_channels, n_channels))
        for k, band in enumerate(self._bands):
            sums[:, k] = np.einsum("npc,npd->ncd", coefficients[:, band], coefficients[:, band])
        return sums

    def _statistics(self, coefficients):
        """m and the upper halves of ½ r log S, scaled so that their lengths are those of the whole matrices."""
        variance, axes = np.linalg.eigh(self._covariances(coefficients))
        log_roots = _function_of(np.log(np.maximum(variance, self._floors[:, None])) / 2, axes)
        (i, j), scale = self._upper()
        contrasts = log_roots[..., i, j] * scale * self._sizes[:, None]
        return np.hstack([part.reshape(len(part), -1) for part in (coefficients[:, self._low], contrasts)])

    def _moments(self, statistics):
        """m and ½ log S of statistics."""
        n_channels, ((i, j), scale) = self.image_shape[-1], self._upper()
        low, upper = np.split(statistics, [len(self._low) * n_channels], axis=1)
        log_roots = np.zeros((len(upper), len(self._bands), n_channels, n_channels))
        log_roots[..., i, j] = upper.reshape(*log_roots.shape[:2], len(scale)) / scale / self._sizes[:, None]
        log_roots[..., j, i] = log_roots[..., i, j]
        return low.reshape(len(low), -1, n_channels), log_roots

    def _upper(self):
        i, j = np.triu_indices(self.image_shape[-1])
        return (i, j), np.where(i == j, 1.0, np.sqrt(2))

    def _moved(self, rows, move):
        coefficients = self._coefficients(rows)
        before = self._statistics(coefficients)
        (_, log_roots), (low, new_log_roots) = map(self._moments, (before, move(before)))
        moved = np.empty_like(coefficients)
        moved[:, self._low] = low
        for k, band in enumerate(self._bands):
            moved[:, band] = coefficients[:, band] @ _gaussian_stretch(log_roots[:, k], new_log_roots[:, k])
        axes = tuple(range(1, len(self.image_shape)))
        pictures = fft.idctn(moved.reshape(-1, *self.image_shape), axes=axes, norm="ortho") * self._unit
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

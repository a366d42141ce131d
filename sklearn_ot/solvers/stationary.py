"""The optimal map between two stationary Gaussian pictures."""

from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import uniform_filter

from sklearn_ot.nn import CosineAffine, CosineTransform
from sklearn_ot.plain import stored
from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.chunks import CHUNK_NUMBERS, in_chunks
from sklearn_ot.solvers.covariances import RELATIVE_FLOOR, ROUNDING
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants

# Larger numbers, and numbers all smaller than the reciprocal, have squares beyond the range of floats.
MAX_SIZE = 1e150
# Coefficients of so many rows and neighbouring frequencies determine the covariance of one frequency.
LEAST_COEFFICIENTS = 128


@stored
class StationaryMap(NamedTuple):
    r"""An affine map :math:`T(x) = m_t + C^\top A\, C (x - m_s)` of flattened pictures.

    C is the orthonormal cosine transform of each channel, and A a symmetric positive definite matrix of the channels
    for each frequency.

    Attributes
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        Means :math:`m_s` of the source and :math:`m_t` of the target.
    blocks : ndarray of shape (*picture_shape, n_channels, n_channels)
        A.
    wasserstein_distance : float
        Wasserstein-2 distance between the two Gaussians.
    unvaried : float
        Share of the variance of the target that is in directions in which the source does not vary.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    blocks: np.ndarray
    wasserstein_distance: float
    unvaried: float

    def transport(self, X: np.ndarray) -> np.ndarray:
        """Map source rows to the target, in float64; the images have the dtype of ``X``."""
        return self._affine(X, self.source_mean, self.target_mean, self.blocks)

    def inverse(self, Y: np.ndarray) -> np.ndarray:
        """Map target rows to the source, as `transport` does in the other direction."""
        return self._affine(Y, self.target_mean, self.source_mean, np.linalg.inv(self.blocks))

    def potential(self, X: np.ndarray) -> np.ndarray:
        """The convex potential whose gradient is the map, with the value 0 at the mean of the source."""

        def values(x):
            centred = x - self.source_mean
            return np.sum((stretched(centred, self.blocks) / 2 + self.target_mean) * centred, axis=1)

        return in_chunks(lambda x: values(x).astype(X.dtype, copy=False), X)

    def to_torch(self, inverse: bool = False) -> CosineAffine:
        """The map, or its inverse, as a torch module."""
        if inverse:
            return cosine_module(self.target_mean, self.source_mean, np.linalg.inv(self.blocks))
        return cosine_module(self.source_mean, self.target_mean, self.blocks)

    def _affine(self, X, mean, new_mean, blocks):
        return in_chunks(lambda x: (new_mean + stretched(x - mean, blocks)).astype(X.dtype, copy=False), X)


def cosine_module(start: np.ndarray, end: np.ndarray, blocks: np.ndarray) -> CosineAffine:
    r"""The affine map :math:`x \mapsto b + C^\top A\, C (x - a)` of flattened pictures as a torch module.

    Parameters
    ----------
    start, end : ndarray of shape (n_features,)
        a and b.
    blocks : ndarray of shape (*picture_shape, n_channels)
        A, see `stretched`.
    """
    return CosineAffine(*constants(start, end, blocks), cosine_transform(blocks.shape[:-2]))


def cosine_transform(lengths: tuple[int, ...]) -> CosineTransform:
    """The cosine transform of `cosine_coefficients` as a torch module, for pictures with these lengths of axes."""
    return CosineTransform(constants(*(fft.dct(np.eye(length), axis=0, norm="ortho") for length in lengths)))


def stretched(rows: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    r"""Flattened pictures times :math:`C^\top A\, C`, where C is the cosine transform.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
        The pictures.
    blocks : ndarray of shape (*picture_shape, n_channels)
        A, a symmetric matrix of the channels for each frequency.

    Returns
    -------
    images : ndarray of shape (n_samples, n_features)
        The products.
    """
    coefficients = cosine_coefficients(rows, blocks.shape[:-1])
    axes = tuple(range(1, coefficients.ndim - 1))
    coefficients = np.einsum("n...c,...cd->n...d", coefficients, blocks)
    return fft.idctn(coefficients, axes=axes, norm="ortho").reshape(rows.shape)


def cosine_coefficients(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Coefficients of the orthonormal cosine transform (DCT-II) of rows that are flattened pictures.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
        The rows.
    shape : tuple of int
        The shape of a picture; the last axis is that of the channels, which are transformed on their own.

    Returns
    -------
    coefficients : ndarray of shape (n_samples, *shape)
        The coefficients, in the dtype of the rows.
    """
    return fft.dctn(rows.reshape(-1, *shape), axes=tuple(range(1, len(shape))), norm="ortho")


def octaves(shape: tuple[int, ...], least: int = 1) -> list[np.ndarray]:
    """Places of the cosine coefficients of bands of frequencies.

    Parameters
    ----------
    shape : tuple of int
        Numbers of pixels along each axis.
    least : int, default=1
        Smallest number of coefficients of a band after the first one. An octave with fewer of them is joined with the
        next one, and what is left in the end with the last band.

    Returns
    -------
    bands : list of ndarray of int
        First those with less than 2 half waves in the length of the longest axis: the mean and the slopes. Then for
        each k > 0 with such coefficients those with 2ᵏ to 2ᵏ⁺¹ half waves. The last band has all higher frequencies of
        the corner as well.
    """
    waves = np.meshgrid(*(np.arange(n) * max(shape) / n for n in shape), indexing="ij")
    octave = np.floor(np.log2(np.maximum(np.linalg.norm(waves, axis=0).ravel(), 1)))
    # The corner of highest frequencies has few coefficients.
    octave = np.minimum(octave, max(0, np.ceil(np.log2(max(shape))) - 1))
    bands, rest = [np.flatnonzero(octave == 0)], np.empty(0, int)
    for k in np.unique(octave[octave > 0]):
        rest = np.concatenate([rest, np.flatnonzero(octave == k)])
        if len(rest) >= least:
            bands, rest = [*bands, rest], rest[:0]
    if len(rest) and len(bands) > 1:
        bands, rest = bands[:-1], np.concatenate([bands[-1], rest])
    return [*bands, rest] if len(rest) else bands


@in_own_settings
def stationary_map(
    source: Sample, target: Sample | None, shape: tuple[int, ...], smoothing: int | str = "auto"
) -> StationaryMap:
    r"""The optimal map between two stationary Gaussian pictures with the moments of two samples.

    The cosine transform makes a stationary covariance a matrix of the channels for each frequency k, up to effects of
    the edges. The map is the Bures map between both matrices,

    .. math:: A_k = F_t\, U F_s^{-1}, \qquad \Sigma_k = F F^\top ,

    where U is the orthogonal factor in the polar decomposition of :math:`F_t^\top F_s`.

    The matrices of neighbouring frequencies are averaged, so that few rows determine them. They are divided before by
    the sum g of the traces of both, because spectra of pictures fall steeply, and multiplied by it afterwards. If the
    shapes of both spectra are the same near k, then this average has no bias.

    A direction without variance, that is with less than 1e-6 of the variance of the frequency, has the typical stretch,
    the median over the frequencies, if the source does not vary there, and about 1e-3 of the typical stretch if only
    the target does not.

    Parameters
    ----------
    source : Sample
        Source rows and their weights.
    target : Sample or None
        Target rows and their weights; None is the standard normal distribution.
    shape : tuple of int
        The shape of a picture, with the channels last.
    smoothing : int or "auto", default="auto"
        Width of the window of frequencies over which matrices are averaged, along each axis; 1 averages nothing. "auto"
        is the smallest odd width with 128 or more coefficients in a window of both samples.

    Returns
    -------
    map : StationaryMap
        The map, and the distance between the Gaussians.

    Raises
    ------
    ValueError
        If squares of the data would leave the range of floats.
    """
    n_channels = shape[-1]
    for sample in filter(None, (source, target)):
        size = float(max(np.abs(sample.rows.max()), np.abs(sample.rows.min())))
        if size > MAX_SIZE or 0 < size < 1 / MAX_SIZE:
            raise ValueError(
                f"The numbers of a sample are up to {size:.3g}. Their squares are no floats unless they are between "
                f"{1 / MAX_SIZE:g} and {MAX_SIZE:g}: divide both samples by a unit."
            )
    source_mean, source_covariance = _moments(source, shape)
    if target is None:
        target_mean = np.zeros_like(source_mean)
        target_covariance = np.broadcast_to(np.eye(n_channels), source_covariance.shape)
    else:
        target_mean, target_covariance = _moments(target, shape)
    if smoothing == "auto":
        smoothing = _width(min(sample.size for sample in (source, target) if sample is not None), len(shape) - 1)
    size, both = _smoothed(source_covariance, target_covariance, smoothing)
    traces = np.trace(both, axis1=-2, axis2=-1)
    typical = _typical(*(size * trace for trace in traces))
    both[:, size == 0] = np.eye(n_channels) * np.array([1, typical**2])[:, None, None, None]
    blocks, overlap, lost = _bures(*both, typical)
    excess = float(np.sum(size * (traces[0] + traces[1] - 2 * overlap)))
    distance = np.hypot(np.linalg.norm(target_mean - source_mean), np.sqrt(max(excess, 0.0)))
    unvaried = float(np.sum(size * lost) / np.sum(size * traces[1])) if np.any(size * traces[1]) else 0.0
    return StationaryMap(source_mean, target_mean, blocks, float(distance), unvaried)


def _moments(sample, shape):
    """The mean of flattened pictures, and the covariance of the channels for each frequency."""
    first = sample.rows[0].astype(np.float64)
    offset = sum(weight @ (rows - first) for rows, weight in _parts(sample))
    mean, covariance = first + offset, 0.0
    for rows, weight in _parts(sample):
        coefficients = cosine_coefficients(rows - mean, shape)
        weighted = coefficients * weight.reshape(-1, *[1] * len(shape))
        covariance = covariance + np.einsum("n...c,n...d->...cd", weighted, coefficients)
    return mean, covariance


def _parts(sample):
    """Chunks of rows and their masses."""
    size = max(1, CHUNK_NUMBERS // sample.rows.shape[1])
    for start in range(0, len(sample.rows), size):
        rows = slice(start, start + size)
        yield sample.rows[rows].astype(np.float64, copy=False), sample.mass[rows]


def _width(n_rows, n_axes):
    """The smallest odd width of a window with enough coefficients."""
    width = int(np.ceil((LEAST_COEFFICIENTS / n_rows) ** (1 / n_axes)))
    return max(1, width + 1 - width % 2)


def _smoothed(source, target, width):
    """The size g of each frequency, and both covariances divided by it and averaged over neighbouring frequencies."""
    size = np.trace(source, axis1=-2, axis2=-1) + np.trace(target, axis1=-2, axis2=-1)
    # A frequency that is constant in all rows has rounding errors of the others.
    size = np.where(size > ROUNDING**2 * size.max(initial=0), size, 0.0)
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    both = np.stack([source, target]) * inverse[..., None, None]
    if width == 1:
        return size, both
    axes = tuple(range(1, both.ndim - 2))
    counts = uniform_filter((size > 0).astype(float), width, mode="reflect")
    both = uniform_filter(both, width, axes=axes, mode="reflect")
    return size, both / np.where(size > 0, counts, 1.0)[..., None, None]


def _typical(source, target):
    """The median of the stretches of all frequencies, or 1."""
    varies = (source > 0) & (target > 0)
    return float(np.exp(np.median(np.log(target[varies] / source[varies])) / 2)) if varies.any() else 1.0


def _bures(source, target, typical):
    """The Bures map of each frequency, the trace of the optimal coupling, and the target variance that it cannot give.

    The map is computed from factors of the covariances, which loses fewer digits than their roots.
    """
    overlap = np.linalg.svd(_transposed(_factor(target)) @ _factor(source), compute_uv=False).sum(axis=-1)
    variances, axes = np.linalg.eigh(source)
    largest = np.maximum(variances[..., -1], np.linalg.eigvalsh(target)[..., -1] / typical**2)[..., None]
    least = RELATIVE_FLOOR * largest
    is_lost = variances <= least
    lost = axes * is_lost[..., None, :]
    lost = lost @ _transposed(lost)
    kept = np.eye(source.shape[-1]) - lost
    # Both have a variance in the directions that are lost, with the typical stretch.
    reached = kept @ target @ kept + (typical**2 * largest)[..., None] * lost
    start = axes * np.sqrt(np.where(is_lost, largest, variances))[..., None, :]
    end = _factor(reached, typical**2 * least)
    left, _, right = np.linalg.svd(_transposed(end) @ start)
    blocks = end @ left @ right @ np.linalg.inv(start)
    return (blocks + _transposed(blocks)) / 2, overlap, np.trace(lost @ target, axis1=-2, axis2=-1)


def _factor(covariance, least=0.0):
    """Matrices F with the covariances F Fᵀ, whose variances are at least a number."""
    variances, axes = np.linalg.eigh(covariance)
    return axes * np.sqrt(np.maximum(variances, least))[..., None, :]


def _transposed(matrices):
    return np.swapaxes(matrices, -1, -2)

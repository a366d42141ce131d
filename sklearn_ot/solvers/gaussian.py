"""The optimal map between two Gaussians, and moments of samples."""

from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.covariance import shrunk_covariance
from sklearn.utils import gen_batches

RELATIVE_FLOOR = 1e-6
# Size of the chunks of rows that are multiplied, and of the smaller blocks that are centred and fit into a cache.
CHUNK_NUMBERS, BLOCK_NUMBERS = 2**24, 2**17


class GaussianMap(NamedTuple):
    """An affine map :math:`T(x) = m_t + A (x - m_s)` with a symmetric positive definite :math:`A`.

    Attributes
    ----------
    source_mean : ndarray of shape (n_features,)
        Mean :math:`m_s` of the source.
    target_mean : ndarray of shape (n_features,)
        Mean :math:`m_t` of the target.
    linear : ndarray of shape (n_features, n_features)
        The matrix :math:`A`.
    wasserstein_distance : float
        Wasserstein-2 distance between the two Gaussians.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    linear: np.ndarray
    wasserstein_distance: float


def sample_moments(X: np.ndarray, shrinkage: float | str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and (shrunk) covariance of a sample, computed in chunks of rows.

    The rows are centred and scaled before they are squared, so a mean that is large against the standard deviation does
    no harm, and a factor of ``X`` becomes its square in the covariance. Products of float32 rows are computed in
    float32 and added up in float64. Memory does not grow with the number of rows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The sample.
    shrinkage : float, "auto" or None, default=None
        Weight in [0, 1] of the isotropic covariance :math:`\\frac{\\operatorname{tr} S}{d} I` in its mean with the
        empirical covariance :math:`S`. "auto" is the weight of [LedoitWolf04]_, None is 0.

    Returns
    -------
    mean : ndarray of shape (n_features,)
        The mean.
    covariance : ndarray of shape (n_features, n_features)
        The covariance, with the divisor n_samples.

    References
    ----------
    .. [LedoitWolf04] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
       Journal of Multivariate Analysis, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.gaussian import sample_moments
    >>> mean, covariance = sample_moments(1e8 + np.array([[0.0, 0.0], [2.0, 4.0]]))
    >>> covariance
    array([[1., 2.],
           [2., 4.]])
    """
    n_samples, n_features = X.shape
    first = X[0].astype(np.float64)
    offset = sum(block.sum(axis=0) for block in _centred(X, first)) / n_samples
    # Without a scale, the fourth powers for the shrinkage could leave the range of floats.
    scale = max(max(block.max(), -block.min()) for block in _centred(X, first, offset)) or 1.0
    covariance, fourth = np.zeros((n_features, n_features)), 0.0
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    n_rows = min(n_samples, max(1, CHUNK_NUMBERS // n_features))
    # New memory for each chunk would take a third of the time.
    buffer, product = np.empty((n_rows, n_features), dtype), np.empty((n_features, n_features), dtype)
    for rows in gen_batches(n_samples, n_rows):
        chunk, end = buffer[: rows.stop - rows.start], 0
        for block in _centred(X[rows], first, offset):
            start, end = end, end + len(block)
            np.divide(block, scale, out=chunk[start:end], casting="same_kind")
        covariance += np.matmul(chunk.T, chunk, out=product)
        fourth += np.sum(np.einsum("ij,ij->i", chunk, chunk).astype(np.float64) ** 2)
    covariance /= n_samples
    if shrinkage == "auto":
        shrinkage = _ledoit_wolf_weight(covariance, fourth / n_samples, n_samples)
    if shrinkage is not None:
        covariance = shrunk_covariance(covariance, shrinkage)
    return first + offset, covariance * scale**2


def _centred(X, first, offset=0.0):
    """Yield the rows minus ``first``, a row of the sample, and minus ``offset``, in blocks of float64.

    The difference of two large numbers is exact, unlike their mean: constant columns become exact zeros.
    """
    for rows in gen_batches(len(X), max(1, BLOCK_NUMBERS // X.shape[1])):
        block = X[rows] - first
        block -= offset
        yield block


def _ledoit_wolf_weight(covariance, fourth, n_samples):
    """The shrinkage of Ledoit and Wolf, from the empirical covariance and the mean of the fourth powers of the norms.

    `sklearn.covariance.ledoit_wolf` computes the same number from all rows at once.
    """
    n_features = len(covariance)
    mean_variance = np.trace(covariance) / n_features
    noise = (fourth - np.sum(covariance**2)) / n_samples
    signal = np.sum((covariance - mean_variance * np.eye(n_features)) ** 2)
    return float(np.clip(noise / signal, 0, 1)) if signal > 0 else 0.0


def _roots(covariance, floor):
    """The root of a covariance, and its root and inverse root with eigenvalues raised to at least ``floor``."""
    variances, axes = linalg.eigh(covariance)
    deviations, lifted = np.sqrt(np.maximum(variances, 0)), np.sqrt(np.maximum(variances, floor))
    return (axes * deviations) @ axes.T, (axes * lifted) @ axes.T, (axes / lifted) @ axes.T


def gaussian_map(
    source_mean: np.ndarray, source_covariance: np.ndarray, target_mean: np.ndarray, target_covariance: np.ndarray
) -> GaussianMap:
    """The optimal map of the squared cost between two Gaussians, also called the Bures map.

    .. math:: T(x) = m_t + A (x - m_s), \\qquad
        A = \\Sigma_s^{-1/2} (\\Sigma_s^{1/2} \\Sigma_t \\Sigma_s^{1/2})^{1/2} \\Sigma_s^{-1/2}

    The formula is that of [Olkin82]_. The matrix is computed as :math:`A = \\Sigma_t^{1/2} U \\Sigma_s^{-1/2}`, where
    :math:`U` is the orthogonal factor in the polar decomposition of :math:`\\Sigma_t^{1/2} \\Sigma_s^{1/2}`. This form
    squares no matrix, and so stays accurate for covariances with a large condition number, for which the first form
    (`ot.gaussian.bures_wasserstein_mapping`) loses many or all digits.

    The map needs covariances of full rank, so their eigenvalues are raised to at least 1e-6 of their mean (or of the
    mean of the other covariance, if all are 0). In a direction without variance in

    * both distributions, the map multiplies by the square root of the ratio of the traces;
    * the target only, the map shrinks to 1e-3 of the typical standard deviation of the target, and so has an inverse;
    * the source only, the rows do not determine the map, and it stretches by up to 1e3. Shrink the covariances if new
      rows may vary in this direction.

    Parameters
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        Means :math:`m_s` and :math:`m_t`.
    source_covariance, target_covariance : ndarray of shape (n_features, n_features)
        Symmetric positive semi-definite covariances :math:`\\Sigma_s` and :math:`\\Sigma_t`.

    Returns
    -------
    map : GaussianMap
        Both means, the matrix :math:`A`, and the distance between the Gaussians with their unchanged covariances.

    References
    ----------
    .. [Olkin82] I. Olkin and F. Pukelsheim, "The distance between two random vectors with given dispersion matrices",
       Linear Algebra and its Applications, 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.gaussian import gaussian_map
    >>> print(gaussian_map(np.zeros(2), np.diag([1.0, 4.0]), np.ones(2), np.diag([9.0, 1.0])).linear)
    [[3.  0. ]
     [0.  0.5]]
    """
    n_features = len(source_mean)
    source_scale = np.trace(source_covariance) / n_features
    target_scale = np.trace(target_covariance) / n_features
    source_floor = RELATIVE_FLOOR * (source_scale or target_scale or 1.0)
    target_floor = RELATIVE_FLOOR * (target_scale or source_scale or 1.0)
    source_root, lifted_source_root, inverse_root = _roots(source_covariance, source_floor)
    target_root, lifted_target_root, _ = _roots(target_covariance, target_floor)
    rotation, _ = linalg.polar(lifted_target_root @ lifted_source_root)
    linear = lifted_target_root @ rotation @ inverse_root
    # The distance is that of the roots up to a rotation. For similar covariances the trace formula is a small
    # difference of large numbers, and the cost of the map leaves out directions in which only the target varies.
    squared_distance = np.sum((target_mean - source_mean) ** 2) + np.sum((rotation @ source_root - target_root) ** 2)
    return GaussianMap(
        np.asarray(source_mean), np.asarray(target_mean), (linear + linear.T) / 2, float(np.sqrt(squared_distance))
    )


def sample_gaussian_map(
    X: np.ndarray, target: np.ndarray | None, shrinkage: float | str | None = None
) -> tuple[GaussianMap, np.ndarray]:
    """The optimal map between Gaussians with the moments of two samples, and the covariance of the source.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Source sample.
    target : ndarray of shape (n_target_samples, n_features) or None
        Target sample; None is the standard normal distribution.
    shrinkage : float, "auto" or None, default=None
        See `sample_moments`.

    Returns
    -------
    map : GaussianMap
        See `gaussian_map`.
    source_covariance : ndarray of shape (n_features, n_features)
        Shrunk covariance of ``X``.
    """
    n_features = X.shape[1]
    moments = sample_moments(X, shrinkage)
    target_moments = (np.zeros(n_features), np.eye(n_features)) if target is None else sample_moments(target, shrinkage)
    return gaussian_map(*moments, *target_moments), moments[1]

"""The optimal map between two Gaussians."""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_ot.nn import Affine
from sklearn_ot.plain import stored
from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.covariances import Columns, Core, stretches_of
from sklearn_ot.solvers.moments import RARE_PEAK, Moments, sample_moments
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants

# Largest stretch, in units of the typical one, of a column of the source that varies in a few rows of many only.
MAX_RARE_STRETCH = 10


@stored
class GaussianMap(NamedTuple):
    r"""An affine map :math:`T(x) = m_t + A (x - m_s)` with a symmetric positive definite A.

    .. math:: A = W (I + Q (C - I) Q^\top) W

    The diagonal matrix W holds the roots of the stretches of the columns: :math:`W (x - m_s)` and
    :math:`W^{-1} (y - m_t)` have the same deviation in each column. Their inner products are those of the data, so that
    A is found there. The columns of Q are an orthonormal basis of the directions in which the rows vary, if the rows
    are fewer than the columns; then no matrix is larger than the rows.

    Attributes
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        Means :math:`m_s` of the source and :math:`m_t` of the target.
    roots : ndarray of shape (n_features,)
        The diagonal of W.
    core : ndarray of shape (n_directions, n_directions)
        C, symmetric positive definite.
    basis : ndarray of shape (n_features, n_directions) or None
        Q; None for the identity.
    wasserstein_distance : float
        Wasserstein-2 distance between the two Gaussians.
    deviation : float
        Root of the mean variance, over the directions, of both samples in balanced coordinates; 1 without any variance.
    unvaried : ndarray of shape (n_features,)
        For each column a number from 0 to 1: its share in directions in which the target varies and the source does
        not. It is 1 for a column that is constant in the source only.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    roots: np.ndarray
    core: np.ndarray
    basis: np.ndarray | None
    wasserstein_distance: float
    deviation: float
    unvaried: np.ndarray

    @property
    def linear(self) -> np.ndarray:
        """A, a new array of shape (n_features, n_features)."""
        inner = times(np.eye(len(self.roots)), self.core, self.basis)
        return (inner + inner.T) / 2 * np.outer(self.roots, self.roots)

    def transport(self, X: np.ndarray) -> np.ndarray:
        """Map source rows to the target, in float64 and in chunks of rows; the images have the dtype of ``X``."""

        def images(x):
            return (self.target_mean + self.stretch(x - self.source_mean)).astype(X.dtype, copy=False)

        return in_chunks(images, X)

    def inverse(self, Y: np.ndarray) -> np.ndarray:
        """Map target rows to the source, as `transport` does in the other direction."""
        inverse = linalg.inv(self.core)

        def preimages(y):
            centred = (y - self.target_mean) / self.roots
            return (self.source_mean + times(centred, inverse, self.basis) / self.roots).astype(Y.dtype, copy=False)

        return in_chunks(preimages, Y)

    def potential(self, X: np.ndarray) -> np.ndarray:
        """The convex potential whose gradient is the map, with the value 0 at the mean of the source."""

        def values(x):
            centred = x - self.source_mean
            return np.sum((self.stretch(centred) / 2 + self.target_mean) * centred, axis=1).astype(X.dtype, copy=False)

        return in_chunks(values, X)

    def to_torch(self, inverse: bool = False) -> Affine:
        """The map, or its inverse, as a torch module."""
        core = linalg.inv(self.core) if inverse else self.core
        source, target, roots, core, basis = constants(self.source_mean, self.target_mean, self.roots, core, self.basis)
        if inverse:
            return Affine(target, source, before=1 / roots, after=1 / roots, core=core, basis=basis)
        return Affine(source, target, before=roots, after=roots, core=core, basis=basis)

    def stretch(self, rows: np.ndarray) -> np.ndarray:
        """Rows times A."""
        return times(rows * self.roots, self.core, self.basis) * self.roots


def times(rows: np.ndarray, core: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    r"""Rows times :math:`I + Q (C - I) Q^\top`, in the dtype of the rows."""
    core = core.astype(rows.dtype, copy=False)
    if basis is None:
        return rows @ core
    basis = basis.astype(rows.dtype, copy=False)
    along = rows @ basis
    return rows + (along @ core - along) @ basis.T


@in_own_settings
def gaussian_map(
    source_mean: np.ndarray, source_covariance: np.ndarray, target_mean: np.ndarray, target_covariance: np.ndarray
) -> GaussianMap:
    r"""The optimal map of the squared cost between two Gaussians, also called the Bures map.

    .. math:: T(x) = m_t + A (x - m_s), \qquad
        A = \Sigma_s^{-1/2} (\Sigma_s^{1/2} \Sigma_t \Sigma_s^{1/2})^{1/2} \Sigma_s^{-1/2}

    The formula is that of [Olkin82]_. The matrix is computed as :math:`A = F_t U F_s^{-1}`, where
    :math:`\Sigma = F F^\top` for both and U is the orthogonal factor in the polar decomposition of
    :math:`F_t^\top F_s`. This form squares no matrix, and so stays accurate for covariances with a large condition
    number, for which the first form (`ot.gaussian.bures_wasserstein_mapping`) loses many or all digits. It is computed
    in columns that have the same deviation in source and target, see `GaussianMap`, so that every column has its own
    unit.

    The map needs covariances of full rank. In a direction without variance, that is with less than 1e-6 of the variance
    that it has in the other distribution, or that uncorrelated columns would have, the map is

    * for the source, and for both: the typical stretch, the median of the ratios of the deviations of the columns. The
      rows do not determine the map there. The other directions are mapped as if this one did not exist.
    * for the target only: a stretch of 1e-3 of the typical one, so that the map has an inverse. The inverse sends rows
      that do vary there far away.

    Parameters
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        Means :math:`m_s` and :math:`m_t`.
    source_covariance, target_covariance : ndarray of shape (n_features, n_features)
        Symmetric positive semi-definite covariances :math:`\Sigma_s` and :math:`\Sigma_t`.

    Returns
    -------
    map : GaussianMap
        The map, and the distance between the Gaussians with their unchanged covariances.

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
    return map_between(
        Moments.of_covariance(source_mean, source_covariance), Moments.of_covariance(target_mean, target_covariance)
    )


def sample_gaussian_map(source: Sample, target: Sample | None, shrinkage: float | str | None = None) -> GaussianMap:
    """The optimal map between Gaussians with the (shrunk) moments of two samples.

    If a column of the source varies in a few rows of many only, such as a category that is nearly unseen, and its
    stretch would be more than ten times the typical one, then these rows are left out, so that the column is constant.

    Parameters
    ----------
    source : Sample
        Source rows and their weights.
    target : Sample or None
        Target rows and their weights; None is the standard normal distribution.
    shrinkage : float, "auto" or None, default=None
        See `sklearn_ot.solvers.moments.sample_moments` and `map_between`.

    Returns
    -------
    map : GaussianMap
        See `gaussian_map`.
    """
    n_features = source.rows.shape[1]
    samples = [sample for sample in (source, target) if sample is not None]
    # The same for integer weights and for as many equal rows.
    keep_rows = sum(max(sample.size, len(sample.rows)) for sample in samples) < n_features
    options = {"shrinkage": shrinkage, "keep_rows": keep_rows}
    moments = [sample_moments(sample, **options) for sample in samples]
    if target is None:
        moments.append(Moments.standard(n_features))
    stretches, typical = stretches_of(*moments)
    is_rare = moments[0].is_rare & (stretches > typical + np.log(MAX_RARE_STRETCH))
    if is_rare.any():
        moments[0] = sample_moments(_without_peaks(source, moments[0], is_rare), **options)
    return map_between(*moments)


def _without_peaks(sample, moments, columns):
    """The sample without the rows that are far from the mean in some columns."""
    distances = np.abs(sample.rows[:, columns] - moments.mean[columns])
    kept = (distances <= RARE_PEAK * moments.deviations[columns]).all(axis=1)
    weight = sample.mass[kept]
    share = weight.sum()
    return Sample(sample.rows[kept], None if sample.weight is None else weight / share, share * sample.size)


def map_between(source: Moments, target: Moments) -> GaussianMap:
    r"""The optimal map between Gaussians with given moments, see `gaussian_map`.

    If the moments hold rows that are fewer than the columns, the covariances are restricted to the span of the rows.
    With an orthonormal basis Q of the span of both samples, in the columns of `GaussianMap`, C is the map between
    :math:`Q^\top \Sigma_s Q` and :math:`Q^\top \Sigma_t Q`. Outside of the span each column has its own stretch. This
    is the map of the whole matrices if Q spans all directions, or if both weights of the shrinkage are equal and all
    columns have the same deviation, so that both Σ map the span to itself.

    Sampled moments with the shrinkage "auto" have ``noise``. Then the logarithms of the stretches of the columns are
    also shrunk towards their mean, with the weight :math:`(d - 1) \sigma^2 / \sum_j (l_j - \bar l)^2` of [Stein56]_,
    where σ² is the noise of both. Different stretches make the weight small, also if one column alone differs.

    Parameters
    ----------
    source, target : Moments
        Moments of the source and of the target.

    Returns
    -------
    map : GaussianMap
        The map.

    References
    ----------
    .. [Stein56] C. Stein, "Inadmissibility of the usual estimator for the mean of a multivariate normal distribution",
       Berkeley Symposium on Mathematical Statistics and Probability, 1956.
    """
    columns = Columns.of(source, target)
    n_features, live = len(source.mean), columns.live
    core, basis, cost = np.zeros((0, 0)), np.zeros((n_features, 0)), 0.0
    # If one sample is constant, the other one has this size in the coordinates.
    deviation = float(max(np.max(columns.source * columns.roots), np.max(columns.target / columns.roots))) or 1.0
    unvaried = columns.is_lost.astype(float)
    if live.size:
        found = Core.of(source, target, columns)
        deviation, cost, unvaried[live] = found.deviation, found.cost, found.unvaried
        if found.basis is None:
            core, basis = np.eye(n_features), None
            core[np.ix_(live, live)] = found.core
        else:
            core, basis = found.core, np.zeros((n_features, len(found.core)))
            basis[live] = found.basis
    # The products of the deviations of constant columns are left out: they are 0, or next to nothing.
    parts = linalg.norm(target.mean - source.mean), linalg.norm(columns.source - columns.target), cost
    return GaussianMap(
        source.mean, target.mean, columns.roots, core, basis, float(np.hypot.reduce(parts)), deviation, unvaried
    )

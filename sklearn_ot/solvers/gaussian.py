"""The optimal map between two Gaussians."""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_ot.nn import Affine
from sklearn_ot.plain import stored
from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.moments import RARE_PEAK, Moments, sample_moments
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants

# A direction has no variance if its variance is below this fraction of a usual one.
RELATIVE_FLOOR = 1e-6
# Relative size of singular values that are only rounding.
ROUNDING = 1e-13
# A direction of the target varies if its variance is above this fraction of that of uncorrelated columns.
LEAST_SHARE = 1e-3
# Largest stretch, in units of the typical one, of a column of the source that varies in a few rows of many only.
MAX_RARE_STRETCH = 10
# Relative units of columns below which singular values need more care, and below which columns cannot be coupled.
LEAST_GRADED, LEAST_UNIT = 1e-6, 1e-30


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
    stretches, typical = _stretches(*moments)
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
    columns = _Columns.of(source, target)
    n_features, live = len(source.mean), columns.live
    core, basis, cost = np.zeros((0, 0)), np.zeros((n_features, 0)), 0.0
    # If one sample is constant, the other one has this size in the coordinates.
    deviation = float(max(np.max(columns.source * columns.roots), np.max(columns.target / columns.roots))) or 1.0
    unvaried = columns.is_lost.astype(float)
    if live.size:
        found = _Core.of(source, target, columns)
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


class _Columns(NamedTuple):
    """Deviations and roots of the stretches of all columns; those that vary, in descending order; those that do not."""

    source: np.ndarray
    target: np.ndarray
    roots: np.ndarray
    live: np.ndarray
    is_lost: np.ndarray
    typical_root: float

    @classmethod
    def of(cls, source, target):
        s, t = source.deviations, target.deviations
        (stretches, typical), least = _stretches(source, target), np.log(RELATIVE_FLOOR) / 2
        # Columns that are constant in both samples have the stretch NaN.
        of_source, of_target = ~(stretches - typical < -least), ~(stretches - typical > least)
        roots = np.where(of_source, np.exp(typical / 2), np.exp((typical + least) / 2))
        live = np.flatnonzero(~(of_source | of_target))
        if source.noise + target.noise > 0 and live.size > 1:
            change = _towards_mean(stretches[live], source.noise + target.noise)
            s, t = s.copy(), t.copy()
            s[live], t[live] = s[live] * np.exp(-change / 2), t[live] * np.exp(change / 2)
        roots[live] = np.sqrt(t[live]) / np.sqrt(s[live])
        units = np.sqrt(s) * np.sqrt(t)
        live = live[np.argsort(-units[live], kind="stable")]
        live = live[units[live] > LEAST_UNIT * units[live].max(initial=0)]
        return cls(s, t, roots, live, of_source & ~of_target, np.exp(typical / 2))


def _stretches(source, target):
    """The logarithms of the ratios of the deviations, and the typical one.

    That is the median, of two in the middle the one nearer to 0, or 0 without any.
    """
    s, t = source.deviations, target.deviations
    with np.errstate(divide="ignore", invalid="ignore"):
        stretches = np.log(t) - np.log(s)
    known = np.sort(stretches[(s > 0) & (t > 0)])
    if not known.size:
        return stretches, 0.0
    middle = known[[(known.size - 1) // 2, known.size // 2]]
    return stretches, middle[np.argmin(np.abs(middle))]


def _towards_mean(numbers, noise):
    """The change of numbers by shrinkage towards their mean."""
    differences = numbers.mean() - numbers
    spread = np.sum(differences**2)
    noise *= numbers.size - 1
    return differences * (noise / spread if noise < spread else 1.0)


class _Core(NamedTuple):
    """The map between the columns that vary in both samples, divided by the roots of their stretches."""

    core: np.ndarray
    basis: np.ndarray | None
    deviation: float
    cost: float
    unvaried: np.ndarray

    @classmethod
    def of(cls, source, target, columns):
        live = columns.live
        deviations = np.sqrt(columns.source[live]) * np.sqrt(columns.target[live])
        largest = deviations[0]
        deviations /= largest
        basis, unit = _span(source, target, live, deviations)
        left, right = (_Factor.of(moments, live, deviations, basis, unit) for moments in (source, target))
        rotation, overlap = _couple(left, right)
        deviation = float(largest * np.sqrt(overlap / len(unit))) or 1.0
        cost = np.sum((right.matrix @ rotation - left.matrix) ** 2)
        # Outside of the span the rows have no variance but that of the shrinkage.
        outside = max(0.0, np.sum(deviations**2) - np.sum(unit**2))
        cost += outside * (np.sqrt(source.shrinkage) - np.sqrt(target.shrinkage)) ** 2
        is_lost, unvaried = left.is_lost(source.size), np.zeros(live.size)
        if is_lost.any():
            if source.size > len(unit) and basis is None:
                stretches = target.deviations[live] / source.deviations[live]
                unvaried = right.loadings(left.axes[:, is_lost] * stretches[:, None])
            left, right = _without(left, right, is_lost, basis, columns, source.deviations[live])
        if is_lost.any() or right.is_degenerate:
            left, right = left.lifted(), right.lifted()
            rotation, _ = _couple(left, right)
        # Units descend, so that rounding errors of the entries below the diagonal are those of the smaller unit.
        core = np.tril(left.divide(right.matrix @ rotation))
        core += np.tril(core, -1).T
        return cls(core, basis, deviation, float(largest * np.sqrt(cost)), unvaried)


def _without(left, right, is_lost, basis, columns, deviations):
    """Both covariances with the typical stretch in the directions in which the source does not vary."""
    lost, roots = left.axes[:, is_lost], np.ones(len(left.unit))
    if basis is None:
        # Orthogonal in the units of the data, so that rows in a subspace, of both samples, stay in it.
        lost = lost * (deviations.max() / deviations)[:, None]
        roots = columns.roots[columns.live] / columns.typical_root
    else:
        lost = linalg.solve_triangular(left.unit.T, lost)
    lost = linalg.qr(lost / linalg.norm(lost, axis=0), mode="economic")[0]
    return left.without(lost, roots), right.without(lost, 1 / roots)


def _span(source, target, live, deviations):
    """An orthonormal basis of the span of the rows, and a triangular root of the variances there; None for all."""
    if source.rows is None or target.rows is None:
        return None, np.diag(deviations)
    # As for `keep_rows`; the normal distribution has no rows.
    if sum(max(moments.size, len(moments.rows)) for moments in (source, target) if len(moments.rows)) >= live.size:
        return None, np.diag(deviations)
    rows = np.concatenate([source.rows[:, live], target.rows[:, live]]) * deviations
    basis, triangle = linalg.qr(rows.T, mode="economic", overwrite_a=True)
    axes, lengths, _ = linalg.svd(triangle)
    basis = basis @ axes[:, lengths > ROUNDING * lengths[0]]
    scaled = basis * deviations[:, None]
    return basis, linalg.cholesky(scaled.T @ scaled, lower=True)


def _couple(left, right):
    """The orthogonal factor U of the polar decomposition of F_tᵀ F_s, and the sum of the singular values."""
    matrix, units = right.matrix.T @ left.matrix, np.diag(left.unit)
    if units.min() > LEAST_GRADED * units.max():
        u, overlaps, v = linalg.svd(matrix)
        return u @ v, np.sum(overlaps)
    # Jacobi's method finds small singular values of a graded matrix to full precision, but takes four times as long.
    overlaps, u, v, work, _, info = linalg.lapack.dgejsv(matrix, joba=0, jobu=0, jobv=0)
    if info:
        raise linalg.LinAlgError(f"The singular values of the covariances were not found (dgejsv: info={info}).")
    return u @ v.T, np.sum(overlaps) * work[0] / work[1]


class _Factor(NamedTuple):
    """A covariance as L (E diag(λ) Eᵀ) Lᵀ, where L is triangular and holds the units."""

    unit: np.ndarray
    axes: np.ndarray
    empirical: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, moments, live, deviations, basis, unit):
        """The shrunk covariance of the columns that vary, within a span."""
        if moments.correlation is not None:
            correlation = moments.correlation[np.ix_(live, live)]
        else:
            rows = moments.rows[:, live]
            if basis is not None:
                rows = linalg.solve_triangular(unit, ((rows * deviations) @ basis).T, lower=True).T
            correlation = rows.T @ rows
        variances, axes = linalg.eigh(correlation)
        variances[variances < ROUNDING * variances[-1]] = 0
        return cls(unit, axes, variances, (1 - moments.shrinkage) * variances + moments.shrinkage)

    @property
    def matrix(self):
        """A triangular matrix F with the covariance F Fᵀ.

        With units in descending order, each of its entries has only rounding errors of its own size.
        """
        triangle = linalg.qr((self.axes * np.sqrt(self.variances)).T, mode="r")[0]
        return self.unit @ triangle.T

    def is_lost(self, size):
        """Which axes have no variance; with fewer rows than directions, without counting the shrinkage."""
        return (self.empirical if size > len(self.unit) else self.variances) < RELATIVE_FLOOR

    @property
    def is_degenerate(self):
        """Whether some axes have no variance."""
        return bool((self.variances < RELATIVE_FLOOR).any())

    def loadings(self, directions):
        """Shares of the columns in those of the directions of a subspace, in standardised columns, that vary."""
        axes = linalg.qr(directions / linalg.norm(directions, axis=0), mode="economic")[0]
        parts = (self.axes * np.sqrt(self.empirical)).T @ axes
        variances, turn = linalg.eigh(parts.T @ parts)
        return linalg.norm(axes @ turn[:, variances > LEAST_SHARE], axis=1)

    def without(self, lost, roots):
        """The covariance without orthonormal directions, which get the variances of uncorrelated columns instead.

        The covariance is that of columns times ``roots``, the directions those of the columns themselves.
        """
        matrix = self.matrix / roots[:, None]
        parts = [matrix - lost @ (lost.T @ matrix), lost @ (lost.T @ self.unit)]
        matrix = linalg.solve_triangular(self.unit, np.hstack(parts) * roots[:, None], lower=True)
        variances, axes = linalg.eigh(matrix @ matrix.T)
        return self._replace(axes=axes, empirical=variances, variances=variances)

    def lifted(self):
        """The covariance with full rank."""
        return self._replace(variances=np.maximum(self.variances, RELATIVE_FLOOR))

    def divide(self, rows):
        """Rows times the inverse of ``matrix``."""
        return linalg.solve_triangular(self.matrix, rows.T, lower=True, trans="T").T

"""Two covariances, and the map between them: stretches of columns, and a symmetric matrix between these."""

from typing import NamedTuple

import numpy as np
from scipy import linalg

# A direction has no variance if its variance is below this fraction of a usual one.
RELATIVE_FLOOR = 1e-6
# Relative size of singular values that are only rounding.
ROUNDING = 1e-13
# A direction of the target varies if its variance is above this fraction of that of uncorrelated columns.
LEAST_SHARE = 1e-3
# Relative units of columns below which singular values need more care, and below which columns cannot be coupled.
LEAST_GRADED, LEAST_UNIT = 1e-6, 1e-30


class Columns(NamedTuple):
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
        (stretches, typical), least = stretches_of(source, target), np.log(RELATIVE_FLOOR) / 2
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


def stretches_of(source, target):
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


class Core(NamedTuple):
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

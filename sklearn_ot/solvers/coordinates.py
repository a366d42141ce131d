"""Coordinates in which transport problems are solved, for data in any units."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import linalg
from torch import Tensor

from sklearn_ot.nn import Affine
from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.gaussian import GaussianMap, times
from sklearn_ot.solvers.tensors import constants

# A direction varies if its variance is above this fraction of the mean variance.
LEAST_VARIANCE = 1e-4
# Number of rows for variances.
RANK_ROWS = 8192
# Larger deviations and differences have squares beyond the range of floats.
MAX_SIZE = 1e150


@stored
class BalancedCoordinates(NamedTuple):
    r"""Coordinates of source and target in which the Gaussian map between them is the identity.

    With the Gaussian map :math:`T_0(x) = m_t + A (x - m_s)`, a matrix B with :math:`A = B^\top B` and a scale s, the
    coordinates are

    .. math:: u = B (x - m_s) / s, \qquad v = B^{-\top} (y - m_t) / s .

    Since :math:`\langle u, v \rangle = \langle x - m_s, y - m_t \rangle / s^2`, the optimal map of the squared cost
    between the samples of u and v is the optimal map between those of x and y, in these coordinates. Both samples have
    the same covariance there, with mean variance 1, for data in any units and with any condition number. In the form of
    A in `sklearn_ot.solvers.gaussian.GaussianMap`, :math:`B = (I + Q (C^{1/2} - I) Q^\top) W`.

    Attributes
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        :math:`m_s` and :math:`m_t`.
    roots : ndarray of shape (n_features,)
        The diagonal of W.
    root, inverse_root : ndarray of shape (n_directions, n_directions)
        :math:`C^{1/2}` and :math:`C^{-1/2}`, symmetric.
    basis : ndarray of shape (n_features, n_directions) or None
        Q; None for the identity.
    scale : float
        s, in the unit of (source unit × target unit)^½.
    axes : ndarray of shape (n_features, n_axes) or None
        E, an orthonormal basis of the directions in which the coordinates of both samples vary; None if that is all of
        them. See `focus`.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    roots: np.ndarray
    root: np.ndarray
    inverse_root: np.ndarray
    basis: np.ndarray | None
    scale: float
    axes: np.ndarray | None = None

    @classmethod
    def balance(cls, gaussian: GaussianMap) -> "BalancedCoordinates":
        """The coordinates of a Gaussian map, with a scale that makes the mean variance 1.

        Raises
        ------
        ValueError
            If squares of the data would leave the range of floats.
        """
        scale, roots = gaussian.deviation, gaussian.roots
        sizes = np.concatenate([np.abs(gaussian.target_mean - gaussian.source_mean), scale * roots, scale / roots])
        if sizes.max() > MAX_SIZE or scale < 1 / MAX_SIZE:
            raise ValueError(
                f"The samples have the deviation {scale:.3g} and sizes of up to {sizes.max():.3g}. Their squares "
                f"are no floats unless they are between {1 / MAX_SIZE:g} and {MAX_SIZE:g}: divide both by a unit."
            )
        # Columns that are constant in a sample have no part in the matrix, and rounding errors must not give them one.
        identity = np.eye(len(gaussian.core))
        coupled = np.flatnonzero((gaussian.core != identity).any(axis=1))
        stretches, axes = linalg.eigh(gaussian.core[np.ix_(coupled, coupled)])
        root, inverse_root = identity, identity.copy()
        root[np.ix_(coupled, coupled)] = (axes * np.sqrt(stretches)) @ axes.T
        inverse_root[np.ix_(coupled, coupled)] = (axes / np.sqrt(stretches)) @ axes.T
        return cls(gaussian.source_mean, gaussian.target_mean, roots, root, inverse_root, gaussian.basis, scale)

    @classmethod
    def of_deviations(
        cls, source_mean: np.ndarray, target_mean: np.ndarray, source_deviation: float, target_deviation: float
    ) -> "BalancedCoordinates":
        """Coordinates of the map that moves the means and stretches all columns alike; no matrix is made."""
        n_features, none = len(source_mean), np.empty((0, 0))
        roots = np.full(n_features, np.sqrt(target_deviation / source_deviation))
        scale = float(np.sqrt(source_deviation * target_deviation))
        return cls(source_mean, target_mean, roots, none, none, np.empty((n_features, 0)), scale)

    def focus(
        self, X: np.ndarray, Y: np.ndarray, x_weight: np.ndarray | None = None, y_weight: np.ndarray | None = None
    ) -> "BalancedCoordinates":
        """Restrict the coordinates to ``axes`` if a sample does not vary in some directions.

        Such directions exist if columns are constant, or combinations of other columns, or if the rows are fewer than
        the columns. A direction does not vary if its variance in one of the samples is below 1e-4 of the mean over all
        directions. In such a direction the rows have no information about a map other than the Gaussian one. The scale
        makes the mean variance of the other directions 1.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Source rows.
        Y : ndarray of shape (n_target_samples, n_features)
            Target rows.
        x_weight, y_weight : ndarray of shape (n_samples,) and (n_target_samples,), default=None
            Positive weights of the rows; None weighs all rows of a sample equally.

        Returns
        -------
        coordinates : BalancedCoordinates
            The coordinates.
        """
        covariances = []
        for rows, weight, to_coordinates in ((X, x_weight, self.of_source), (Y, y_weight, self.of_target)):
            some = slice(None, None, max(1, len(rows) // RANK_ROWS))
            w = to_coordinates(rows[some].astype(np.float64))
            if self.basis is not None:
                w = w @ self.basis
            if weight is None:
                weight = np.ones(len(rows))
            w *= np.sqrt(weight[some, None] / weight[some].sum())
            covariances.append(w.T @ w)
        variance = sum(np.trace(covariance) for covariance in covariances) / max(1, 2 * len(self.root))
        least = LEAST_VARIANCE * variance
        # First those of single columns, without the rounding of eigenvectors.
        axes = np.eye(len(self.root))[:, np.min([np.diag(covariance) for covariance in covariances], axis=0) > least]
        for covariance in covariances:
            axes = axes @ _varying(axes.T @ covariance @ axes, least)
        # Rounding errors would make the images of constant columns vary.
        axes[~np.all([covariance.any(axis=1) for covariance in covariances], axis=0)] = 0
        n_axes = axes.shape[1]
        if n_axes in (0, len(self.source_mean)):
            return self
        variance = sum(np.sum((covariance @ axes) * axes) for covariance in covariances) / (2 * n_axes)
        axes = axes if self.basis is None else self.basis @ axes
        return self._replace(scale=self.scale * float(np.sqrt(variance)), axes=axes)

    @property
    def n_axes(self) -> int:
        """Number of directions in which the coordinates vary, the number of inputs of a network."""
        return len(self.source_mean) if self.axes is None else self.axes.shape[1]

    def within(self, U: np.ndarray) -> np.ndarray:
        r"""Coordinates :math:`E^\top u` along ``axes``, of coordinates u or v; u or v if all directions vary."""
        return U if self.axes is None else U @ self._like(self.axes, U)

    def lift(self, function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        r"""Images of coordinates by a map m of the coordinates along ``axes``; the other coordinates do not change.

        .. math:: u + E (m(E^\top u) - E^\top u)
        """
        if self.axes is None:
            return function(U)
        W = self.within(U)
        return U + (function(W) - W) @ self._like(self.axes, U).T

    def lift_values(self, function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        r"""Values of the convex potential whose gradient is the map of `lift`; its conjugate has the same form.

        .. math:: \psi(E^\top u) + \tfrac12 \|u\|^2 - \tfrac12 \|E^\top u\|^2
        """
        if self.axes is None:
            return function(U)
        W = self.within(U)
        return function(W) + (np.square(U).sum(axis=1) - np.square(W).sum(axis=1)) / 2

    def mean_cost(
        self,
        X: np.ndarray,
        Y: np.ndarray,
        product: float,
        x_weight: np.ndarray | None = None,
        y_weight: np.ndarray | None = None,
    ) -> float:
        r"""The mean of :math:`\tfrac12 \|x - y\|^2` over a plan between two samples.

        .. math::
            \tfrac12 E\|x - m_t\|^2 + \tfrac12 E\|y - m_s\|^2 - \tfrac12 \|m_s - m_t\|^2 - s^2 E \langle u, v \rangle

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Source rows.
        Y : ndarray of shape (n_target_samples, n_features)
            Target rows.
        product : float
            The mean of :math:`\langle u, v \rangle` over the plan.
        x_weight, y_weight : ndarray of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows; None weighs all rows of a sample equally.

        Returns
        -------
        cost : float
            The mean, in squared units of the data.
        """
        m, n = self.source_mean, self.target_mean
        squares = mean_square(X, n, x_weight) + mean_square(Y, m, y_weight) - np.sum((m - n) ** 2)
        return float(squares / 2 - self.scale**2 * product)

    def of_source(self, X: np.ndarray) -> np.ndarray:
        """Coordinates u of source rows, in the dtype of ``X``."""
        rows = scaled(X - self._like(self.source_mean, X), self.roots / self.scale)
        return times(rows, self.root, self.basis)

    def of_target(self, Y: np.ndarray) -> np.ndarray:
        """Coordinates v of target rows."""
        rows = scaled(Y - self._like(self.target_mean, Y), 1 / self.roots / self.scale)
        return times(rows, self.inverse_root, self.basis)

    def to_source(self, U: np.ndarray) -> np.ndarray:
        """Source rows with coordinates u."""
        rows = times(U, self.inverse_root, self.basis)
        return self._like(self.source_mean, U) + scaled(rows, self.scale / self.roots)

    def to_target(self, V: np.ndarray) -> np.ndarray:
        """Target rows with coordinates v."""
        rows = times(V, self.root, self.basis)
        return self._like(self.target_mean, V) + scaled(rows, self.roots * self.scale)

    def to_torch(self, name: str) -> Affine:
        """A method of rows as a torch module: "of_source", "of_target", "to_source" or "to_target"."""
        source, target, basis = constants(self.source_mean, self.target_mean, self.basis)
        root, inverse_root = constants(self.root, self.inverse_root)
        stretch, shrink = constants(self.roots * self.scale, self.roots / self.scale)
        arguments = {
            "of_source": {"start": source, "before": shrink, "core": root},
            "of_target": {"start": target, "before": 1 / stretch, "core": inverse_root},
            "to_source": {"end": source, "after": 1 / shrink, "core": inverse_root},
            "to_target": {"end": target, "after": stretch, "core": root},
        }
        return Affine(**arguments[name], basis=basis)

    @property
    def torch_axes(self) -> Tensor | None:
        """``axes`` as a constant of a torch module."""
        return constants(self.axes)[0]

    @property
    def lengths(self) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
        """Linear functions of coordinates of source and target whose results have the lengths of the data.

        They take coordinates along ``axes`` and return arrays of the same shape. Lengths are those of differences of
        rows, in a unit in which the largest entry of the matrix of the function is 1.
        """
        origin = np.zeros(len(self.source_mean))
        centred = self._replace(source_mean=origin, target_mean=origin)
        axes = np.eye(len(origin)) if self.axes is None else self.axes.T
        moved = centred.to_source(axes), centred.to_target(axes)
        factors = [linalg.qr(rows.T, mode="r")[0][: len(axes)].T for rows in moved]
        matrices = [factor / np.abs(factor).max() for factor in factors]
        return tuple(lambda rows, matrix=matrix: rows @ self._like(matrix, rows) for matrix in matrices)

    @staticmethod
    def _like(array, X):
        return array.astype(X.dtype, copy=False)


def scaled(rows, factors):
    """Rows times a factor for each column, in the dtype of the rows, also if the factors are beyond its range."""
    limits, sizes = np.finfo(rows.dtype), np.abs(factors)
    if sizes.max() > limits.max or sizes.min() < limits.tiny:
        return (rows * factors).astype(rows.dtype)
    return rows * factors.astype(rows.dtype, copy=False)


def _varying(covariance, least):
    """An orthonormal basis of the directions whose variance is above a number.

    Eigenvectors of nearly equal variances turn with rounding errors, and the networks with them. The basis is therefore
    that of the same space which is nearest to some unit vectors.
    """
    identity = np.eye(len(covariance))
    try:
        # Much faster than the eigenvalues, in the usual case that all directions vary.
        linalg.cholesky(covariance - least * identity)
    except linalg.LinAlgError:
        variances, axes = linalg.eigh(covariance)
        axes = axes[:, variances > least]
        _, _, order = linalg.qr(axes.T, mode="economic", pivoting=True)
        left, _, right = linalg.svd(axes[np.sort(order[: axes.shape[1]])])
        return axes @ (left @ right).T
    return identity


def mean_square(X, centre=0.0, weight=None):
    """Mean squared distance of rows from a centre, in float64; equal weights if ``weight`` is None."""
    squares = in_chunks(lambda rows: np.sum(np.square(rows - centre, dtype=np.float64), axis=1), X)
    return np.average(squares, weights=weight)

"""Coordinates in which transport problems are solved, for data in any units."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.gaussian import GaussianMap

# A direction varies if its variance is above this fraction of the mean variance.
LEAST_VARIANCE = 1e-4
# Number of rows for variances, and the largest number of features: the time grows with the cube of the features.
RANK_ROWS, MAX_RANK_FEATURES = 8192, 1024


class BalancedCoordinates(NamedTuple):
    r"""Coordinates of source and target in which the Gaussian map between them is the identity.

    With the Gaussian map :math:`T_0(x) = m_t + A (x - m_s)` and a scale s, the coordinates are

    .. math:: u = A^{1/2} (x - m_s) / s, \qquad v = A^{-1/2} (y - m_t) / s .

    Since :math:`\langle u, v \rangle = \langle x - m_s, y - m_t \rangle / s^2`, the optimal map of the squared cost
    between the samples of u and v is the optimal map between those of x and y, in these coordinates. Both samples have
    the same covariance there, with mean variance 1, for data in any units and with any condition number.

    Attributes
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        :math:`m_s` and :math:`m_t`.
    root, inverse_root : ndarray of shape (n_features, n_features)
        :math:`A^{1/2}` and :math:`A^{-1/2}`, symmetric.
    scale : float
        s, in the unit of (source unit × target unit)^½.
    axes : ndarray of shape (n_features, n_axes) or None
        A, an orthonormal basis of the directions in which the coordinates vary; None if that is all of them. See
        `focus`.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    root: np.ndarray
    inverse_root: np.ndarray
    scale: float
    axes: np.ndarray | None = None

    @classmethod
    def balance(cls, gaussian: GaussianMap, source_covariance: np.ndarray) -> "BalancedCoordinates":
        """The coordinates of a Gaussian map, with a scale that makes the mean variance 1."""
        stretches, axes = linalg.eigh(gaussian.linear)
        root, inverse_root = (axes * np.sqrt(stretches)) @ axes.T, (axes / np.sqrt(stretches)) @ axes.T
        # The trace of the common covariance root @ source_covariance @ root. Without any variance the scale is 1.
        variance = np.sum(gaussian.linear * source_covariance) / len(stretches)
        return cls(gaussian.source_mean, gaussian.target_mean, root, inverse_root, float(np.sqrt(variance)) or 1.0)

    def focus(self, X: np.ndarray, Y: np.ndarray) -> "BalancedCoordinates":
        """Restrict the coordinates to ``axes`` if neither sample varies in some directions.

        Such directions exist if columns are constant, or combinations of other columns. A direction does not vary if
        its variance, a mean over both samples, is below 1e-4 of the mean over all directions. In such a direction the
        rows have no information about a map other than the Gaussian one. The scale makes the mean variance of the other
        directions 1. Above 1024 features the computation takes too long, and all directions are assumed to vary.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Source rows.
        Y : ndarray of shape (n_target_samples, n_features)
            Target rows.

        Returns
        -------
        coordinates : BalancedCoordinates
            The coordinates.
        """
        n_features = X.shape[1]
        if n_features > MAX_RANK_FEATURES:
            return self
        u, v = (rows[:: max(1, len(rows) // RANK_ROWS)].astype(np.float64) for rows in (X, Y))
        u, v = self.of_source(u), self.of_target(v)
        variances, axes = linalg.eigh((u.T @ u / len(u) + v.T @ v / len(v)) / 2)
        varies = variances > LEAST_VARIANCE * variances.mean()
        if varies.all() or not varies.any():
            return self
        return self._replace(scale=self.scale * float(np.sqrt(variances[varies].mean())), axes=axes[:, varies])

    @property
    def n_axes(self) -> int:
        """Number of directions in which the coordinates vary, the number of inputs of a network."""
        return len(self.source_mean) if self.axes is None else self.axes.shape[1]

    def within(self, U: np.ndarray) -> np.ndarray:
        r"""Coordinates :math:`A^\top u` along ``axes``, of coordinates u or v; u or v if all directions vary."""
        return U if self.axes is None else U @ self._like(self.axes, U)

    def lift(self, function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        r"""Images of coordinates by a map m of the coordinates along ``axes``; the other coordinates do not change.

        .. math:: u + A (m(A^\top u) - A^\top u)
        """
        if self.axes is None:
            return function(U)
        W = self.within(U)
        return U + (function(W) - W) @ self._like(self.axes, U).T

    def lift_values(self, function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        r"""Values of the convex potential whose gradient is the map of `lift`; its conjugate has the same form.

        .. math:: \psi(A^\top u) + \tfrac12 \|u\|^2 - \tfrac12 \|A^\top u\|^2
        """
        if self.axes is None:
            return function(U)
        W = self.within(U)
        return function(W) + (np.square(U).sum(axis=1) - np.square(W).sum(axis=1)) / 2

    def mean_cost(self, X: np.ndarray, Y: np.ndarray, product: float) -> float:
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

        Returns
        -------
        cost : float
            The mean, in squared units of the data.
        """
        m, n = self.source_mean, self.target_mean
        squares = mean_square(X, n) + mean_square(Y, m) - np.sum((m - n) ** 2)
        return float(squares / 2 - self.scale**2 * product)

    def of_source(self, X: np.ndarray) -> np.ndarray:
        """Coordinates u of source rows, in the dtype of ``X``."""
        return (X - self._like(self.source_mean, X)) @ self._like(self.root / self.scale, X)

    def of_target(self, Y: np.ndarray) -> np.ndarray:
        """Coordinates v of target rows."""
        return (Y - self._like(self.target_mean, Y)) @ self._like(self.inverse_root / self.scale, Y)

    def to_source(self, U: np.ndarray) -> np.ndarray:
        """Source rows with coordinates u."""
        return self._like(self.source_mean, U) + U @ self._like(self.inverse_root * self.scale, U)

    def to_target(self, V: np.ndarray) -> np.ndarray:
        """Target rows with coordinates v."""
        return self._like(self.target_mean, V) + V @ self._like(self.root * self.scale, V)

    @staticmethod
    def _like(array, X):
        return array.astype(X.dtype, copy=False)


def mean_square(X, centre=0.0):
    """Mean squared distance of rows from a centre, in float64."""
    return np.mean(in_chunks(lambda rows: np.sum(np.square(rows - centre, dtype=np.float64), axis=1), X))

"""Coordinates in which transport problems are solved, whatever the units of the data."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.utils import gen_batches

from sklearn_ot.solvers.chunks import CHUNK_ROWS, mean_square
from sklearn_ot.solvers.gaussian import GaussianMap

# A direction varies if its variance is more than this part of the mean variance.
LEAST_VARIANCE = 1e-4
# Variances are computed of about so many rows, and of so many features at most: the time grows with their cube.
RANK_ROWS, MAX_RANK_FEATURES = 8192, 1024


class BalancedCoordinates(NamedTuple):
    r"""Coordinates of source and target in which the Gaussian map between them is the identity.

    With :math:`T_0(x) = m_t + A (x - m_s)` the Gaussian map and s a scale,

    .. math:: u = A^{1/2} (x - m_s) / s, \qquad v = A^{-1/2} (y - m_t) / s .

    Since :math:`\langle u, v \rangle = \langle x - m_s, y - m_t \rangle / s^2`, the optimal map of the squared cost
    between the samples of u and v is the optimal map between those of x and y, written in these coordinates. Both
    samples have the same covariance there, of mean variance 1, whatever the units and the conditioning of the data.

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
        """The coordinates of a Gaussian map; the scale brings the mean variance to 1."""
        stretches, axes = linalg.eigh(gaussian.linear)
        root, inverse_root = (axes * np.sqrt(stretches)) @ axes.T, (axes / np.sqrt(stretches)) @ axes.T
        # The trace of the common covariance root @ source_covariance @ root; without any variance, any scale will do.
        variance = np.sum(gaussian.linear * source_covariance) / len(stretches)
        return cls(gaussian.source_mean, gaussian.target_mean, root, inverse_root, float(np.sqrt(variance)) or 1.0)

    def focus(self, X: np.ndarray, Y: np.ndarray) -> "BalancedCoordinates":
        """The coordinates with ``axes``, if neither sample varies in some directions.

        Constant columns are such directions, and those in which all columns are combinations of a few. Where the
        variance, averaged over both samples, is below 1e-4 of that of a mean direction, rows say nothing about a map
        beyond the Gaussian one. The scale brings the mean variance of the other directions to 1. Above 1024 features
        the search for such directions takes too long, and all are taken to vary.

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
        """Number of directions in which the coordinates vary, which is the number of inputs of a network."""
        return len(self.source_mean) if self.axes is None else self.axes.shape[1]

    def within(self, U: np.ndarray) -> np.ndarray:
        r"""Coordinates :math:`A^\top u` along ``axes`` of coordinates u or v; u or v itself if all directions vary."""
        return U if self.axes is None else U @ self._like(self.axes, U)

    def lift(self, function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        r"""Images of coordinates by a map m of the coordinates along ``axes``; across them a row stays as it is.

        .. math:: u + A (m(A^\top u) - A^\top u)
        """
        if self.axes is None:
            return function(U)
        W = self.within(U)
        return U + (function(W) - W) @ self._like(self.axes, U).T

    def lift_values(self, function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        r"""Values of a convex potential whose gradient is lifted as `lift` does; so is that of its conjugate.

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
            The mean, in the squared units of the data.
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


class UnitCoordinates(NamedTuple):
    r"""Coordinates in which one sample has mean variance 1, or values between −1 and 1, whatever its units.

    .. math:: u = (x - c) / s

    with one scale s for all features: distances are those of the data, divided by s.

    Attributes
    ----------
    center : ndarray of shape (n_features,)
        c.
    scale : float
        s.
    """

    center: np.ndarray
    scale: float

    @classmethod
    def standard(cls, X: np.ndarray, weights: np.ndarray) -> "UnitCoordinates":
        """Coordinates with mean 0 and, on average over the features, variance 1; ``weights`` have sum 1."""
        # In float64, in which sums over many rows lose nothing, and piece by piece: a copy of all rows may not fit.
        center = np.einsum("i,ij->j", weights, X, dtype=np.float64)
        pieces = list(gen_batches(len(X), CHUNK_ROWS))
        # Squares of very small or large numbers would leave the range of the dtype.
        largest = max(np.abs(X[rows] - center).max() for rows in pieces)
        # Equal rows have no variance but that of rounding.
        if largest <= 10 * np.finfo(X.dtype).eps * np.abs(X).max():
            return cls(center, 1.0)
        variance = sum(weights[rows] @ np.square((X[rows] - center) / largest).mean(axis=1) for rows in pieces)
        return cls(center, float(largest * np.sqrt(variance)))

    @classmethod
    def bounded(cls, X: np.ndarray) -> "UnitCoordinates":
        """Coordinates between −1 and 1. All features have one range: brightness 0 is −1 in each pixel of an image."""
        low, high = float(X.min()), float(X.max())
        return cls(np.full(X.shape[1], low + (high - low) / 2), (high - low) / 2 or 1.0)

    def to_coordinates(self, X: np.ndarray) -> np.ndarray:
        """Coordinates of rows, in the dtype of ``X``."""
        return (X - self.center.astype(X.dtype, copy=False)) / X.dtype.type(self.scale)

    def from_coordinates(self, U: np.ndarray) -> np.ndarray:
        """Rows with coordinates u, in the dtype of ``U``."""
        return self.center.astype(U.dtype, copy=False) + U * U.dtype.type(self.scale)

    # The interface of `BalancedCoordinates`: source and target have the same coordinates, and all directions vary.
    of_source = of_target = to_coordinates
    to_source = to_target = from_coordinates

    @staticmethod
    def lift(function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        """The images themselves, see `BalancedCoordinates.lift`."""
        return function(U)

"""Coordinates in which every W2 problem starts alike."""

from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.utils import gen_batches

from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.gaussian import GaussianMap

# A direction varies if it has more than this part of the mean variance; about so many rows tell, of so many features.
LEAST_VARIANCE, RANK_ROWS, MAX_RANK_FEATURES = 1e-4, 8192, 1024


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
        Orthonormal basis of the directions in which the coordinates vary, if that is not all of them: see `focus`.
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
        """The coordinates with ``axes`` if there are directions in which next to nothing varies, in either sample.

        Constant columns are such directions, and those in which all columns are combinations of a few. Where the mean
        variance of both samples is below 1e-4 of that of an average direction, rows say nothing about a map but what
        the Gaussian one knows. The scale brings the mean variance of the other directions to 1. Above 1024 features the
        question costs too much, and the answer is that all vary.

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

    def within(self, U: np.ndarray) -> np.ndarray:
        """Coordinates along ``axes`` of coordinates u or v; these themselves where all directions vary."""
        return U if self.axes is None else U @ self._like(self.axes, U)

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
    r"""Coordinates in which one sample is of size 1, whatever its units.

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
        """The mean is 0, and the variance is 1 on average over the features; ``weights`` have sum 1."""
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
        """All values lie within −1 and 1, of all features together: brightness 0 is −1 in each pixel of an image."""
        low, high = float(X.min()), float(X.max())
        return cls(np.full(X.shape[1], low + (high - low) / 2), (high - low) / 2 or 1.0)

    def to_coordinates(self, X: np.ndarray) -> np.ndarray:
        """Coordinates of rows, in the dtype of ``X``."""
        return (X - self.center.astype(X.dtype, copy=False)) / X.dtype.type(self.scale)

    def from_coordinates(self, U: np.ndarray) -> np.ndarray:
        """Rows with coordinates u, in the dtype of ``U``."""
        return self.center.astype(U.dtype, copy=False) + U * U.dtype.type(self.scale)

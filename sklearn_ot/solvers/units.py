"""Units in which generators and potentials of one sample work."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils import gen_batches

from sklearn_ot.nn import FromUnits, ToUnits
from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.tensors import constants

# Numbers whose spread is below this multiple of their rounding are equal.
ROUNDINGS = 10
# Mean and variance of a column are those of its cells within an interval around its middle rows: the quantiles that
# these rows lie between, and the length of the interval in multiples of their distance.
QUANTILES, REACH = (0.05, 0.95), 3.0
# Deviations beyond which coordinates of a column are bent. Among 10⁸ normal cells one or none is that far.
BEND = 6.0
# Units have changed if the size of a column has by more than this factor, or its mean by more than as many sizes.
CHANGE = 3.0


@stored
class UnitCoordinates(NamedTuple):
    r"""Coordinates in which the columns of a sample have size 1.

    .. math:: u_j = \beta\left(\frac{x_j - c_j}{s_j}\right), \qquad
        \beta(t) = \begin{cases} t & |t| \le b \\ \operatorname{sign}(t)\, b\, (1 + \log(|t| / b)) & |t| > b \end{cases}

    For tables, each column has its own scale, so that the unit of a column does not matter, and the bend b draws far
    cells nearer, so that they do not set the scale of the others: see `of_columns`. For images, and for other rows
    whose distances have a meaning, all columns have the same scale and there is no bend. Distances are then those of
    the data, divided by s: see `standard` and `bounded`.

    Attributes
    ----------
    center : ndarray of shape (n_features,)
        c.
    scale : float or ndarray of shape (n_features,)
        s; a float if all columns have the same scale. A constant column has the scale 0, and no coordinate.
    bend : float
        b; ∞ without a bend.
    limits : ndarray of shape (2, n_axes) or None
        Smallest and largest coordinates of rows, those of the training rows or −b and b. Beyond the bend a small error
        of a network is a large one of the row. None without a bend.
    """

    center: np.ndarray
    scale: float | np.ndarray
    bend: float = np.inf
    limits: np.ndarray | None = None

    @classmethod
    def standard(cls, X: np.ndarray, weight: np.ndarray) -> "UnitCoordinates":
        """One scale for all columns: means are 0, and the mean variance is 1; ``weight`` has sum 1."""
        # In float64, because sums over many rows lose digits in float32, and in chunks, to save memory.
        center = np.einsum("i,ij->j", weight, X, dtype=np.float64)
        pieces = list(gen_batches(len(X), CHUNK_ROWS))
        # Squares of very small or large numbers would leave the range of the dtype.
        largest = max(np.abs(X[rows] - center).max() for rows in pieces)
        # If all rows are equal, their variance is only rounding.
        if largest <= ROUNDINGS * np.finfo(X.dtype).eps * np.abs(X).max():
            return cls(center, 1.0)
        variance = sum(weight[rows] @ np.square((X[rows] - center) / largest).mean(axis=1) for rows in pieces)
        return cls(center, float(largest * np.sqrt(variance)))

    @classmethod
    def of_columns(cls, X: np.ndarray, weight: np.ndarray) -> "UnitCoordinates":
        """A scale for each column: means are 0 and variances 1, up to far cells; ``weight`` has sum 1.

        The mean and the variance of a column are those of its cells after far cells have been moved to the ends of an
        interval. It is three times as long as the interval from the 5 % to the 95 % quantile, and has the same middle.
        All cells of usual samples of bounded or normal distributions are within it. If the two quantiles are equal, no
        cell is moved. The bend is at 6 deviations.
        """
        center, scale = np.transpose([_centre_and_scale(column.astype(np.float64), weight, X.dtype) for column in X.T])
        units = cls(center, scale, BEND)
        U = units.to_coordinates(X)
        return units._replace(limits=np.stack([U.min(axis=0).clip(max=-BEND), U.max(axis=0).clip(min=BEND)]))

    @classmethod
    def bounded(cls, X: np.ndarray, axis: int | None = None) -> "UnitCoordinates":
        """Coordinates between −1 and 1, for the range of all numbers, like those of pixels, or of columns (axis 0)."""
        low, half = _interval(X.astype(np.float64, copy=False), axis)
        center = np.broadcast_to(low + half, X.shape[1]).copy()
        return cls(center, float(half) or 1.0) if axis is None else cls(center, half)

    @property
    def unit(self) -> float:
        """Length of a distance of 1 in the data, or 1 if the columns have different scales."""
        return 1.0 if np.ndim(self.scale) else self.scale

    @property
    def varying(self) -> np.ndarray:
        """Which columns have a coordinate: those that are not constant, or all of them if every column is constant."""
        varies = np.broadcast_to(np.asarray(self.scale) > 0, self.center.shape)
        return varies if varies.any() else ~varies

    @property
    def n_axes(self) -> int:
        """Number of coordinates, the number of outputs of a network."""
        return int(np.count_nonzero(self.varying))

    def to_coordinates(self, X: np.ndarray) -> np.ndarray:
        """Coordinates of rows, in the dtype of ``X``."""
        center, scale = self._of_axes(X.dtype)
        # Cells of constant columns have the coordinate 0 even if all columns are constant.
        U = np.divide(
            X[:, self.varying] - center, scale, out=np.zeros_like(X, shape=(len(X), len(center))), where=scale > 0
        )
        far = np.abs(U) > self.bend
        U[far] = np.sign(U[far]) * self.bend * (1 + np.log(np.abs(U[far]) / self.bend))
        return U

    def from_coordinates(self, U: np.ndarray) -> np.ndarray:
        """Rows with coordinates u, in the dtype of ``U``; beyond the bend, none is farther than the training rows."""
        center, scale = self._of_axes(U.dtype)
        if self.limits is not None:
            U = np.clip(U, *self.limits.astype(U.dtype))
        far = np.abs(U) > self.bend
        if far.any():
            U = U.copy()
            U[far] = np.sign(U[far]) * self.bend * np.exp(np.abs(U[far]) / self.bend - 1)
        X = np.tile(self.center.astype(U.dtype), (len(U), 1))
        X[:, self.varying] = center + U * scale
        return X

    def to_torch(self, name: str) -> ToUnits | FromUnits:
        """A method of rows as a torch module: "to_coordinates" or "from_coordinates"."""
        places = torch.from_numpy(np.flatnonzero(self.varying))
        center, scale, limits = constants(self.center, np.broadcast_to(self.scale, self.center.shape), self.limits)
        if name == "to_coordinates":
            return ToUnits(places, center[places], scale[places], float(self.bend))
        return FromUnits(places, center, scale[places], float(self.bend), limits)

    def differs(self, other: "UnitCoordinates") -> np.ndarray:
        """Which columns have another place or size in other coordinates: by a factor of 3, or by 3 sizes."""
        scales = [np.broadcast_to(coordinates.scale, self.center.shape) for coordinates in (self, other)]
        smaller, larger = np.minimum(*scales), np.maximum(*scales)
        is_moved = np.abs(other.center / CHANGE - self.center / CHANGE) > larger
        return (larger / CHANGE > smaller) | is_moved

    # The interface of `BalancedCoordinates`: source and target have the same coordinates, and all directions vary.
    of_source = of_target = to_coordinates
    to_source = to_target = from_coordinates

    @staticmethod
    def lift(function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        """The images themselves, see `BalancedCoordinates.lift`."""
        return function(U)

    def _of_axes(self, dtype):
        """Centres and scales of the columns that have a coordinate."""
        varying = self.varying
        return (np.broadcast_to(a, varying.shape)[varying].astype(dtype) for a in (self.center, self.scale))


def _centre_and_scale(x, weight, dtype):
    """Mean and deviation of a column after far cells have been moved nearer; a deviation of 0 if it is constant."""
    low, half = _interval(x)
    if half <= ROUNDINGS * np.finfo(dtype).eps * np.abs(x).max():
        return x[0], 0.0
    order = np.argsort(x)
    places = np.searchsorted(np.cumsum(weight[order]), QUANTILES)
    begin, middle_half = _interval(x[order[places]])
    if middle_half > 0:
        # Before the division: beside a very far cell, the others would be equal.
        ends = (begin + middle_half) + REACH * middle_half * np.array([-1, 1])
        x = np.clip(x, *ends)
        low, half = _interval(x)
    # Between −1 and 1, so that squares stay in the range of the dtype.
    t = (x - (low + half)) / half
    mean = weight @ t
    return low + half + half * mean, half * np.sqrt(weight @ np.square(t - mean))


def _interval(x, axis=None):
    """The smallest number, and half the range of the numbers; the range of very large numbers would be infinite."""
    low, high = x.min(axis=axis), x.max(axis=axis)
    return low, high / 2 - low / 2

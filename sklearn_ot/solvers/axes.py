"""Coordinates for Wasserstein-1: principal axes of both samples, in a unit in which their box has size 1."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from sklearn_ot.nn import Constants
from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.gap import Side
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants

# With more features than the first number, only axes with this share of the largest deviation are taken.
FEW_FEATURES, LEAST_DEVIATION = 6, 0.01
# The box ends so many times the range of the middle rows beyond them; the share of the rows on each side of the middle.
REACH, TAIL = 0.5, 1e-3
# Principal axes are taken if they make the box smaller by this factor; otherwise the columns are the axes.
GAIN = 0.9


@stored
class Axes(NamedTuple):
    """Coordinates in which both samples fill a box of size 1.

    Attributes
    ----------
    unit : float
        The largest number, in the units of the data.
    centre : ndarray of shape (n_features,)
        The centre of the box, in ``unit``.
    size : float
        The longest side of the box, in ``unit``.
    directions : ndarray of shape (n_features, n_axes)
        Orthonormal directions of the axes.
    """

    unit: float
    centre: np.ndarray
    size: float
    directions: np.ndarray

    @property
    def n_axes(self) -> int:
        """Number of axes."""
        return self.directions.shape[1]

    @property
    def length(self) -> float:
        """Size of the box in the units of the data."""
        return self.size * self.unit

    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates of rows on the axes; shape (n, n_axes)."""
        return in_chunks(lambda part: np.einsum("ij,jk->ik", self.scaled(part), self.directions), rows)

    def of_samples(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        """Samples of coordinates."""
        return tuple(sample._replace(rows=self.coordinates(sample.rows)) for sample in samples)

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """All features of rows in the unit and from the origin of the coordinates; float64."""
        return (rows.astype(np.float64) / self.unit - self.centre) / self.size

    def moved(self, rows: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Rows moved by steps on the axes, in their dtype; directions beside the axes stay as they are."""
        turn = self.directions * self.size * self.unit
        return in_chunks(lambda part, step: (part + np.einsum("ik,jk->ij", step, turn)).astype(part.dtype), rows, steps)


def find_axes(source, target, n_axes: int | None = None) -> Axes:
    """The axes of two samples.

    Parameters
    ----------
    source, target : Sample
        The samples, in float64.
    n_axes : int, default=None
        Number of principal axes. If None, all axes of at most six features; with more features those with a deviation
        above 1 % of the largest one.

    Returns
    -------
    axes : Axes
        The axes.
    """
    both = source.rows, target.rows
    unit = max(float(np.abs(rows).max()) for rows in both) or 1.0
    both = [rows / unit for rows in both]
    low, high = _ends(both)
    centre, size = (low + high) / 2, float((high - low).max()) or 1.0
    both = [(rows - centre) / size for rows in both]
    # A few rows far out must not set the axes.
    middle = [np.clip(rows, *middle_box(both)) for rows in both]
    deviations, directions = _principal(middle, (source.mass, target.mass))
    n_features = len(directions)
    if n_axes is None and n_features > FEW_FEATURES:
        n_axes = max(1, np.count_nonzero(deviations > LEAST_DEVIATION * deviations[0]))
    directions = directions[:, : n_axes or n_features]
    # The box is smaller on axes of its own, unless the rows fill a box of the columns.
    if directions.shape[1] == n_features:
        sides = [np.subtract(*_ends([rows @ turn for rows in both])[::-1]) for turn in (directions, np.eye(n_features))]
        volumes = [np.prod(np.maximum(side, 1e-3)) for side in sides]
        directions = directions if volumes[0] < GAIN * volumes[1] else np.eye(n_features)
    # As it is stored: sums of products depend on the order of the numbers in memory, by rounding errors.
    return Axes(unit, centre, size, np.ascontiguousarray(directions))


def middle_box(samples: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper end of a box of all rows of samples, except those far beyond the middle of each.

    Parameters
    ----------
    samples : sequence of ndarrays of shape (n, d)
        The rows.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The ends.
    """
    ends, quantiles = [], []
    for rows in samples:
        ends.append([rows.min(axis=0), rows.max(axis=0)])
        quantiles.append(np.quantile(rows, [TAIL, 1 - TAIL], axis=0))
    (low, high), (first, last) = ((np.min(part, axis=0)[0], np.max(part, axis=0)[1]) for part in (ends, quantiles))
    reach = REACH * (last - first)
    return np.maximum(low, first - reach), np.minimum(high, last + reach)


def _principal(both, masses):
    """Deviations along the principal axes of the mixture of two samples, in descending order, and the axes."""
    mean = sum(mass @ rows for rows, mass in zip(both, masses, strict=True)) / 2
    covariance = sum((rows - mean).T @ ((rows - mean) * mass[:, None]) for rows, mass in zip(both, masses, strict=True))
    values, directions = np.linalg.eigh(covariance / 2)
    # The sign of an axis is that of its largest entry.
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(len(values))])
    return np.sqrt(np.maximum(values[::-1], 0)), (directions * signs)[:, ::-1]


def _ends(both):
    return np.min([rows.min(axis=0) for rows in both], axis=0), np.max([rows.max(axis=0) for rows in both], axis=0)


@stored
@dataclass(frozen=True, eq=False)
class AxesTransport:
    """A potential and a map of coordinates, for rows in the units of the data.

    Parameters
    ----------
    axes : Axes
        The coordinates.
    inner : GridTransport, LineTransport or RayTransport
        The potential and the map, with the methods of a `sklearn_ot.solvers.grid.LineTransport`.
    """

    axes: Axes
    inner: Any

    def potential(self, rows: np.ndarray) -> np.ndarray:
        """The potential u in the units of the data; float64, shape (n,)."""
        return in_chunks(lambda part: self.axes.length * self.inner.potential(self.axes.coordinates(part)), rows)

    def gradient(self, rows: np.ndarray) -> np.ndarray:
        """The gradient of u, whose norm is about 1 on rays; float64, shape (n, n_features)."""
        gradient, turn = self.inner.gradient, self.axes.directions
        return in_chunks(lambda part: np.einsum("ik,jk->ij", gradient(self.axes.coordinates(part)), turn), rows)

    def transport(self, rows: np.ndarray) -> np.ndarray:
        """Images of rows, in their dtype."""
        return self._moved(rows, self.inner.transport)

    def inverse(self, rows: np.ndarray) -> np.ndarray:
        """Preimages of rows, in their dtype."""
        return self._moved(rows, self.inner.inverse)

    def to_torch(self, inverse: bool = False) -> "AxesMap":
        """The map, or its inverse, as a torch module."""
        return AxesMap(self.axes, self.inner.to_torch(inverse))

    def ray_efficiency(self, rows: np.ndarray) -> float:
        r"""The fall of u from rows to their images, :math:`\sum u(x) - u(T(x))`, divided by the length of all moves.

        It is 1 if no row is moved.
        """
        images = self.transport(rows)
        moved = np.linalg.norm((rows - images) / self.axes.length, axis=1).sum()
        fall = (self.potential(rows) - self.potential(images)) / self.axes.length
        return float(fall.sum() / moved) if moved > 0 else 1.0

    def _moved(self, rows, function):
        def moved(part):
            z = self.axes.coordinates(part)
            return self.axes.moved(part, function(z) - z)

        return in_chunks(moved, rows)


class AxesMap(Constants):
    """A map of coordinates, for rows in the units of the data; coordinates are float64.

    Parameters
    ----------
    axes : Axes
        The coordinates.
    inner : nn.Module
        The map of coordinates.
    """

    def __init__(self, axes: Axes, inner: nn.Module):
        super().__init__()
        self.inner, self.unit, self.size = inner, axes.unit, axes.size
        centre, directions = constants(axes.centre, axes.directions)
        self.keep(centre=centre, directions=directions)

    def forward(self, x: Tensor) -> Tensor:
        """Images of rows, in their dtype."""
        z = ((x.to(self.centre.dtype) / self.unit - self.centre) / self.size) @ self.directions
        return x + ((self.inner(z) - z) @ self.directions.T * (self.size * self.unit)).to(x.dtype)


class Solution(NamedTuple):
    """A solution of Wasserstein-1 between two samples; lengths are in the units of the data.

    Attributes
    ----------
    transport : AxesTransport
        The potential and the map.
    distance : float
        An estimate of the Wasserstein-1 distance between the distributions of the rows.
    in_sample, held_out : float or None
        The dual value on rows from which the potential was found, and on held-out rows. None if there are too few
        rows.
    sides : pair of Side or None
        Held-out rows of both samples, with values of the potential u on the source and −u on the target, made
        1-Lipschitz, see `sklearn_ot.solvers.lipschitz.held_out_sides`.
    history : list of dict
        A row for each block of a training; none without networks.
    n_iter : int
        Number of steps of the training of the potential; 1 without networks.
    """

    transport: AxesTransport
    distance: float
    in_sample: float | None = None
    held_out: float | None = None
    sides: tuple[Side, Side] | None = None
    history: Sequence[dict] = ()
    n_iter: int = 1

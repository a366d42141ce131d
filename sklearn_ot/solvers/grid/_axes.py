"""Coordinates of a grid: principal axes of both samples, in a unit in which the box has size 1."""

from typing import NamedTuple

import numpy as np

from sklearn_ot.solvers.chunks import in_chunks

# Largest number of axes: a grid of 2²⁰ cells has 10 of them on each of six axes.
MAX_AXES = 6
# With more features, only axes with this share of the largest deviation need cells.
LEAST_DEVIATION = 0.01
# Principal axes are taken if they make the box smaller by this factor; otherwise the columns are the axes.
GAIN = 0.9


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
    def length(self) -> float:
        """Size of the box in the units of the data."""
        return self.size * self.unit

    def coordinates(self, rows: np.ndarray) -> np.ndarray:
        """Coordinates of rows on the axes; shape (n, n_axes)."""
        return in_chunks(lambda part: np.einsum("ij,jk->ik", self.scaled(part), self.directions), rows)

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

    Raises
    ------
    ValueError
        If the samples vary along more axes than a grid has.
    """
    both = source.rows, target.rows
    unit = max(float(np.abs(rows).max()) for rows in both) or 1.0
    both = [rows / unit for rows in both]
    low, high = _ends(both)
    centre, size = (low + high) / 2, float((high - low).max()) or 1.0
    both = [(rows - centre) / size for rows in both]
    deviations, directions = _principal(both, (source.mass, target.mass))
    n_features = len(directions)
    if n_axes is None and n_features > MAX_AXES:
        n_axes = max(1, np.count_nonzero(deviations > LEAST_DEVIATION * deviations[0]))
        if n_axes > MAX_AXES:
            raise ValueError(
                f"The grid has at most {MAX_AXES} axes, but X and X_target have {n_features} features and vary along "
                f"{n_axes} principal axes. Set n_axes={MAX_AXES} or less, for a potential and a map on the first "
                "principal axes, or reduce the number of features."
            )
    directions = directions[:, : n_axes or n_features]
    # The box is smaller on axes of its own, unless the rows fill a box of the columns.
    if directions.shape[1] == n_features:
        sides = [np.subtract(*_ends([rows @ turn for rows in both])[::-1]) for turn in (directions, np.eye(n_features))]
        volumes = [np.prod(np.maximum(side, 1e-3)) for side in sides]
        directions = directions if volumes[0] < GAIN * volumes[1] else np.eye(n_features)
    return Axes(unit, centre, size, directions)


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

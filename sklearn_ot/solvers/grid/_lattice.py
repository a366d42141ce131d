"""Regular grids of cells: masses of rows, and fields at rows."""

from typing import NamedTuple

import numpy as np
from scipy.fft import next_fast_len

from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import CHUNK_ROWS, in_chunks

# Ratio of the spacings that are tried.
STEP = 1.002


@stored
class Lattice(NamedTuple):
    """A regular grid of cubic cells, in coordinates whose first ones are the axes of the grid.

    Attributes
    ----------
    low : ndarray of shape (k,)
        The corner of the box with the smallest coordinates.
    spacing : float
        The size of a cell.
    shape : tuple of int
        Numbers of cells, 2 or more on each axis.
    """

    low: np.ndarray
    spacing: float
    shape: tuple[int, ...]

    @classmethod
    def over(cls, low: np.ndarray, high: np.ndarray, n_cells: float) -> "Lattice":
        """The grid over a box with at most so many cells, and with one more layer of cells than the box needs.

        An axis on which the box is shorter than a cell has two cells.
        """
        extent = high - low
        if not extent.any():
            return cls.of_spacing(low, high, 1.0)
        spacing = (np.prod(extent[extent > 0]) / n_cells) ** (1 / np.count_nonzero(extent))
        # Numbers of cells are rounded up, so the spacing is found by trial.
        while np.prod(_cells(extent, spacing), dtype=float) > n_cells:
            spacing *= STEP
        return cls.of_spacing(low, high, spacing)

    @classmethod
    def of_spacing(cls, low: np.ndarray, high: np.ndarray, spacing: float) -> "Lattice":
        """The grid over a box with cells of this size, with the same centre as the box."""
        cells = _cells(high - low, spacing)
        return cls((low + high - cells * spacing) / 2, spacing, tuple(int(n) for n in cells))

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(np.prod(self.shape))

    def corners(self, rows: np.ndarray, shift: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """The cells around each row and their weights of multilinear interpolation; both of shape (n, 2 ** k).

        Values belong to the centres of cells. Rows outside of all centres are moved to the nearest point between them.
        ``shift`` moves the places of the values, in cells.
        """
        index, weight = np.zeros((len(rows), 1), np.intp), np.ones((len(rows), 1))
        place = (rows[:, : len(self.shape)] - self.low) / self.spacing - 0.5 - shift
        for t, n_cells in zip(place.T, self.shape, strict=True):
            t = np.clip(t, 0, n_cells - 1)
            below = np.minimum(t.astype(np.intp), n_cells - 2)[:, None]
            part = t[:, None] - below
            index = n_cells * index + below
            index = np.concatenate([index, index + 1], axis=1)
            weight = np.concatenate([weight * (1 - part), weight * part], axis=1)
        return index, weight

    def masses(self, rows: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """The mass of each cell: each row is divided among the cells around it ("cloud in cell")."""
        found = np.zeros(self.n_cells)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            index, weight = self.corners(rows[part])
            weight *= mass[part, None]
            found += np.bincount(index.ravel(), weight.ravel(), minlength=self.n_cells)
        return found.reshape(self.shape)

    def at(self, fields: list[np.ndarray], rows: np.ndarray, shift: np.ndarray | float = 0.0) -> np.ndarray:
        """Fields at rows, by multilinear interpolation; shape (n, n_fields).

        The mean of a field over rows is its inner product with `masses` of these rows.
        """
        fields = [field.ravel() for field in fields]

        def values(part):
            index, weight = self.corners(part, shift)
            return np.stack([np.einsum("ij,ij->i", field[index], weight) for field in fields], axis=1)

        return in_chunks(values, rows)

    def resampled(self, field: np.ndarray, coarse: "Lattice") -> np.ndarray:
        """A field of a coarser grid, linearly interpolated at the centres of these cells."""
        for axis, n_cells in enumerate(self.shape):
            t = (self.low[axis] - coarse.low[axis] + (np.arange(n_cells) + 0.5) * self.spacing) / coarse.spacing - 0.5
            t = np.clip(t, 0, coarse.shape[axis] - 1)
            below = np.minimum(t.astype(np.intp), coarse.shape[axis] - 2)
            part = (t - below).astype(field.dtype).reshape([-1 if k == axis else 1 for k in range(field.ndim)])
            field = field.take(below, axis) * (1 - part) + field.take(below + 1, axis) * part
        return field


def _cells(extent, spacing):
    # The cosine transform is slow for large prime numbers.
    return np.array([next_fast_len(max(2, int(n)), real=True) for n in np.ceil(extent / spacing) + 1])

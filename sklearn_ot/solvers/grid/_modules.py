"""Maps on a line and on a grid as torch modules."""

from itertools import pairwise

import torch
from torch import Tensor

from sklearn_ot.nn import Constants
from sklearn_ot.solvers.tensors import constants


class LineMap(Constants):
    """The map of a `LineTransport`, of numbers of shape (n, 1), in float64.

    Parameters
    ----------
    source, target : pair of ndarray
        The numbers of each side, sorted, and the distribution function there.
    """

    def __init__(self, source, target):
        super().__init__()
        names = ("source", "source_levels", "target", "target_levels")
        self.keep(**dict(zip(names, constants(*source, *target), strict=True)))

    def forward(self, z: Tensor) -> Tensor:
        """Images of numbers."""
        inside = torch.clamp(z, self.source[0], self.source[-1])
        level = interpolated(inside, self.source, self.source_levels)
        return interpolated(level, self.target_levels, self.target) + (z - inside)


def interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """The function that is linear between sorted places, and constant beyond them, as `numpy.interp`."""
    if len(places) == 1:
        return values + 0 * x
    right = torch.bucketize(x.detach(), places, right=True).clamp(1, len(places) - 1)
    low, high = places[right - 1], places[right]
    return torch.lerp(values[right - 1], values[right], ((x - low) / (high - low)).clamp(0, 1))


class GridMap(Constants):
    """The flow of a `GridTransport`, of rows of coordinates, in float64.

    Parameters
    ----------
    lattice : Lattice
        The grid.
    fields : list of ndarray
        The speed, and the masses of both samples.
    faces : list of tuple
        The axis of a slope, the slopes on the faces, and how far they are from the centres of cells, in cells.
    times : ndarray
        The times of the steps.
    backwards : bool
        Whether this is the inverse map.
    n_corrections : int
        Number of corrections of a step backwards.
    least : float
        Smallest density of a cell.
    """

    def __init__(self, lattice, fields, faces, *, times, backwards, n_corrections, least):
        super().__init__()
        self.shape, self.spacing, self.least = lattice.shape, float(lattice.spacing), float(least)
        self.times, self.backwards, self.n_corrections = times.tolist(), backwards, n_corrections
        self.axes = [axis for axis, _, _ in faces]
        low, *flat = constants(lattice.low, *(field.ravel() for field in fields))
        slopes = constants(*(face.ravel() for _, face, _ in faces))
        shifts = constants(*(0 * lattice.low + shift for _, _, shift in faces))
        self.keep(low=low, fields=torch.stack(flat), slopes=torch.stack(slopes), shifts=torch.stack(shifts))

    def forward(self, z: Tensor) -> Tensor:
        """Images of rows, or preimages."""
        if not self.backwards:
            for before, after in pairwise(self.times):
                z = z + self._step(z, before, after)
            return z
        for after, before in pairwise(self.times[::-1]):
            start = z + self._step(z, after, before)
            for _ in range(self.n_corrections):
                start = z - self._step(start, before, after)
            z = start
        return z

    def _step(self, z, before, after):
        middle = z + (after - before) / 2 * self._velocity(z, before)
        return (after - before) * self._velocity(middle, (before + after) / 2)

    def _velocity(self, z, t):
        speed, start, end = self._at(self.fields, z, 0.0)
        slope = self._slope(z)
        factor = speed * self.spacing / ((1 - t) * start + t * end).clamp(min=self.least)
        norm = torch.linalg.vector_norm(slope, dim=1)
        return -slope * (factor / norm.clamp(min=1e-6))[:, None]

    def _slope(self, z):
        n_axes, columns = len(self.shape), {}
        for axis, face, shift in zip(self.axes, self.slopes, self.shifts, strict=True):
            part = self._at(face[None], z, shift)[0] * n_axes / len(self.axes)
            columns[axis] = columns[axis] + part if axis in columns else part
        return torch.stack([columns[axis] for axis in range(n_axes)], 1)

    def _at(self, fields, z, shift):
        """Fields at rows, by multilinear interpolation, shape (n_fields, n)."""
        index, weight = z.new_zeros(z.shape[0], 1, dtype=torch.int64), z.new_ones(z.shape[0], 1)
        place = (z - self.low) / self.spacing - 0.5 - shift
        for axis, n_cells in enumerate(self.shape):
            t = place[:, axis, None].clamp(0, n_cells - 1)
            below = t.detach().to(torch.int64).clamp(max=n_cells - 2)
            part = t - below
            index = n_cells * index + below
            index = torch.cat([index, index + 1], 1)
            weight = torch.cat([weight * (1 - part), weight * part], 1)
        return [(field[index] * weight).sum(1) for field in fields]

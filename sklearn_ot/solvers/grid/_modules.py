"""Maps on a line and on a grid as torch modules."""

import math
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
        self.spacing, self.least = float(lattice.spacing), float(least)
        self.times, self.backwards, self.n_corrections = times.tolist(), backwards, n_corrections
        low, *flat = constants(lattice.low, *(field.ravel() for field in (*fields, *(face for _, face, _ in faces))))
        # Fields that are not on faces have the same places.
        shifts = constants(*(0 * lattice.low + shift for shift in (0, *(part for _, _, part in faces))))
        self.n_more = len(fields) - 1
        # All fields are one table, from which rows are read at once: an ONNX graph has all operations of all steps.
        starts = len(flat[0]) * torch.arange(len(flat))[:, None, None]
        self.keep(low=low, table=torch.cat(flat), starts=starts, shifts=torch.stack(shifts)[:, None])
        n_cells, axes = torch.tensor(lattice.shape), torch.arange(len(lattice.shape))
        strides = n_cells.flip(0).cumprod(0).flip(0) // n_cells
        self.keep(last=n_cells.double() - 1, last_below=n_cells - 2, strides=strides)
        # Whether each corner of a cell is beyond the first one along each axis, and its place in the table.
        corners = torch.cartesian_prod(*[torch.arange(2)] * len(axes)).view(-1, len(axes))
        self.keep(is_beyond=corners == 1, corners=(corners * strides).sum(1))
        # The slope along an axis is the mean of those on its faces.
        is_along = torch.tensor([axis for axis, _, _ in faces]) == axes[:, None]
        self.keep(means=is_along.double() * len(axes) / len(faces))

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
        found = self._at(z)
        speed, start, end = found[:3]
        slope = (self.means @ found[3:]).T
        factor = speed * self.spacing / ((1 - t) * start + t * end).clamp(min=self.least)
        norm = torch.linalg.vector_norm(slope, dim=1)
        return -slope * (factor / norm.clamp(min=1e-6))[:, None]

    def _at(self, z):
        """All fields at rows, by multilinear interpolation, shape (n_fields, n)."""
        place = ((z - self.low) / self.spacing - 0.5 - self.shifts).clamp(min=0).minimum(self.last)
        below = place.detach().to(torch.int64).minimum(self.last_below)
        index = (below * self.strides).sum(2, keepdim=True) + self.corners
        part = (place - below)[:, :, None]
        factors = torch.where(self.is_beyond, part, 1 - part).unbind(3)
        index, weight = map(self._repeated, (index, math.prod(factors[1:], start=factors[0])))
        return (self.table[index + self.starts] * weight).sum(2)

    def _repeated(self, of_grids):
        return torch.cat([of_grids[:1].expand(self.n_more, -1, -1), of_grids])

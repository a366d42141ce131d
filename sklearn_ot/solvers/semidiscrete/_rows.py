"""Rows of a source in the units of the solver, and their masses of cells."""

import math

import torch
from torch import Tensor

from sklearn_ot.solvers.semidiscrete._tiles import Tiles, row_argmax
from sklearn_ot.solvers.semidiscrete._units import Units
from sklearn_ot.solvers.sources import Source, pushforward


class ScoredRows:
    """Independent rows of a source, in the units of the solver, with the masses of their cells.

    Parameters
    ----------
    source : Source
        The source, in the units of the data.
    units : Units
        The units of the solver.
    multiple : int, default=1
        See `Tiles`.

    Attributes
    ----------
    sample, even_sample : callable
        Functions that take n and return n rows in units: independent rows, and quasi-random rows if the source has
        them.
    effective_rows : float
        Number of independent rows that one row counts as: masses from n rows vary like those from
        ``n * effective_rows`` independent rows.
    """

    effective_rows = 1.0

    def __init__(self, source: Source, units: Units, multiple: int = 1):
        self.units, self.tiles = units, Tiles(units, multiple)
        in_units = pushforward(source, units.rows)
        self.sample, self.even_sample = in_units.sample, in_units.quasi_sample or in_units.sample

    def n_for(self, n_effective: float) -> int:
        """Number of rows that have ``n_effective`` effective rows."""
        n_rows = math.ceil(n_effective / self.effective_rows)
        return math.ceil(n_rows / self.tiles.multiple) * self.tiles.multiple

    def state(self) -> dict:
        """On what the next rows depend, besides the random numbers."""
        return {}

    def load_state(self, state: dict):
        """Go on like rows with a stored state."""

    def scores(self, x: Tensor, offsets: Tensor):
        """Yield pairs of a tile and a number, whose products are the scores. The next tile overwrites a tile."""
        for _, tile in self.tiles.scores(x, offsets):
            yield tile, 1.0

    def masses(self, x: Tensor, offsets: Tensor) -> Tensor:
        """The share of the rows (of `scores`) in each cell, float64."""
        cells = torch.cat([row_argmax(tile) for tile, _ in self.scores(x, offsets)])
        return torch.bincount(cells, minlength=self.tiles.n_points).double() / len(cells)

    def soft_masses(self, x: Tensor, offsets: Tensor, epsilons) -> Tensor:
        """The mean over the rows of the softmax of their scores at each temperature, shape (len(epsilons), N)."""
        masses = torch.zeros(len(epsilons), self.tiles.n_points, dtype=torch.float64, device=x.device)
        n_rows = 0
        for tile, factor in self.scores(x, offsets):
            n_rows += len(tile)
            for mass, epsilon in zip(masses, epsilons, strict=True):
                exponents = torch.mul(tile, factor / epsilon, out=self.tiles.workspace(len(tile), 3))
                mass += torch.softmax(exponents, 1, out=exponents).sum(0)
        return masses / n_rows

"""Rows of a source in the units of the solver, and their masses of cells."""

import math
from functools import partial

import torch
from torch import Tensor

from sklearn_ot.solvers.semidiscrete._tiles import Tiles, row_argmax
from sklearn_ot.solvers.semidiscrete._units import Units
from sklearn_ot.solvers.semidiscrete._workers import Workers
from sklearn_ot.solvers.sources import Source, pushforward


def _plain_pairs(tiles, x, offsets, lengths):
    return ((tile, 1.0) for _, tile in tiles.scores(x, offsets))


def _counts(pairs, tiles, *rows):
    """The number of rows in each cell."""
    cells = torch.cat([row_argmax(tile) for tile, _ in pairs(tiles, *rows)])
    return torch.bincount(cells, minlength=tiles.n_points)


def _soft_sums(pairs, tiles, x, offsets, lengths, epsilons):
    """The sum over the rows of the softmax of their scores at each temperature, and the number of rows."""
    sums = torch.zeros(len(epsilons), tiles.n_points + 1, dtype=torch.float64, device=x.device)
    for tile, factor in pairs(tiles, x, offsets, lengths):
        sums[:, -1] += len(tile)
        for total, epsilon in zip(sums, epsilons, strict=True):
            exponents = torch.mul(tile, factor / epsilon, out=tiles.workspace(len(tile), 3))
            total[:-1] += torch.softmax(exponents, 1, out=exponents).sum(0)
    return sums


class ScoredRows:
    """Independent rows of a source, in the units of the solver, with the masses of their cells.

    Parameters
    ----------
    source : Source
        The source, in the units of the data.
    units : Units
        The units of the solver.
    multiple, workers
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

    def __init__(self, source: Source, units: Units, workers: Workers | None = None, multiple: int = 1):
        self.units, self.tiles = units, Tiles(units, multiple, workers)
        in_units = pushforward(source, units.rows)
        self.sample, self.even_sample = in_units.sample, in_units.quasi_sample or in_units.sample

    def n_for(self, n_effective: float) -> int:
        """Number of rows that have about ``n_effective`` effective rows: whole tiles, if one is not enough."""
        multiple, tile = self.tiles.multiple, self.tiles.tile_rows
        n_rows = math.ceil(n_effective / self.effective_rows)
        if multiple > 1 and n_rows > tile:
            return round(n_rows / tile) * tile
        return math.ceil(n_rows / multiple) * multiple

    def state(self) -> dict:
        """On what the next rows depend, besides the random numbers."""
        return {}

    def load_state(self, state: dict):
        """Go on like rows with a stored state."""

    def lengths(self, x: Tensor) -> Tensor | None:
        """Numbers that belong to the rows x, for `pairs`."""
        return None

    # A function of tiles, rows, offsets and `lengths`, which yields pairs of a tile and a number. The products are the
    # scores. The next tile overwrites a tile. It needs no source, so that another process can evaluate it.
    pairs = staticmethod(_plain_pairs)

    def masses(self, x: Tensor, offsets: Tensor) -> Tensor:
        """The share of the rows (of `pairs`) in each cell, float64."""
        counts = sum(self.tiles.over_blocks(partial(_counts, self.pairs), x, offsets, self.lengths(x))).double()
        return counts / counts.sum()

    def soft_masses(self, x: Tensor, offsets: Tensor, epsilons: Tensor) -> Tensor:
        """The mean over the rows of the softmax of their scores at each temperature, shape (len(epsilons), N)."""
        sums = sum(self.tiles.over_blocks(partial(_soft_sums, self.pairs), x, offsets, self.lengths(x), epsilons))
        return sums[:, :-1] / sums[:, -1:]

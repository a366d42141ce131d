"""Scores of many rows and many points, computed in tiles."""

import torch
from torch import Tensor

from sklearn_ot.solvers.semidiscrete._units import Units

# Largest number of scores in a tile: 64 MB of float32.
MAX_TILE = 2**24
# The same on a CPU, where a tile of 2 MB stays in the cache, and the smallest number of rows of such a tile.
CPU_TILE, MIN_TILE_ROWS = 2**19, 256
# Number of rows for an estimate of the mean gap, and the weight of a new estimate in the running mean: the gap changes
# slowly from step to step.
GAP_ROWS, GAP_WEIGHT = 8, 0.1


class Tiles:
    """Scores, computed in tiles that share their memory.

    Parameters
    ----------
    units : Units
        The points and their scores.
    multiple : int, default=1
        The rows of a tile are a multiple of this number.
    """

    def __init__(self, units: Units, multiple: int = 1):
        self.units, self.multiple = units, multiple
        self.n_points = len(units.points)
        self._workspaces = [units.points.new_empty(0) for _ in range(4)]

    def slices(self, n_rows: int):
        """Yield slices of ``n_rows`` rows, one for each tile."""
        tile = MAX_TILE if self.units.points.is_cuda else CPU_TILE
        size = max(1, min(max(tile // self.n_points, MIN_TILE_ROWS), MAX_TILE // self.n_points))
        size = max(1, size // self.multiple) * self.multiple
        return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))

    def workspace(self, n_rows: int, k: int = 0) -> Tensor:
        """The k-th of four pieces of memory, shape (n_rows, N), with its previous content.

        The memory is kept between calls: on the CPU, new memory takes several times as long as the computation that
        fills it.
        """
        size = n_rows * self.n_points
        if self._workspaces[k].numel() < size:
            self._workspaces[k] = self.units.points.new_empty(size)
        return self._workspaces[k][:size].view(n_rows, self.n_points)

    def scores(self, x: Tensor, offsets: Tensor):
        """Yield slices of the rows x, in units, with their scores, which the next tile overwrites."""
        for rows in self.slices(len(x)):
            part = x[rows]
            yield rows, self.units.scores(part, offsets, self.workspace(len(part)))

    def cells(self, x: Tensor, offsets: Tensor) -> Tensor:
        """The cell of each row."""
        index = torch.empty(len(x), dtype=torch.int64, device=x.device)
        for rows, scores in self.scores(x, offsets):
            index[rows] = row_argmax(scores)
        return index

    def gaps(self, x: Tensor, offsets: Tensor) -> Tensor:
        """The difference between the two largest scores of each row; there must be at least two points."""
        gaps = torch.empty(len(x), dtype=x.dtype, device=x.device)
        for rows, scores in self.scores(x, offsets):
            best = row_argmax(scores)[:, None]
            largest = scores.gather(1, best)[:, 0]
            gaps[rows] = largest - scores.scatter_(1, best, -torch.inf).amax(1)
        return gaps

    def mean_gap(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Estimate of the mean gap from the first few rows, float64, shape ()."""
        return self.gaps(x[:GAP_ROWS], offsets).mean().double()

    def updated_gap(self, gap: Tensor, x: Tensor, offsets: Tensor) -> Tensor:
        """Update a running mean of `mean_gap`, which was ``gap`` before."""
        return (1 - GAP_WEIGHT) * gap + GAP_WEIGHT * self.mean_gap(x, offsets)


def row_argmax(scores: Tensor) -> Tensor:
    """The column of the largest number in each row."""
    # On the CPU, argmax of NumPy is vectorised, and that of torch is not.
    return torch.from_numpy(scores.numpy().argmax(1)) if scores.device.type == "cpu" else scores.argmax(1)

"""Scores of many rows and many points, computed in tiles."""

import math
import threading
from uuid import uuid4

import torch
from torch import Tensor

from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete._units import ScoredPoints
from sklearn_ot.solvers.semidiscrete._workers import Workers
from sklearn_ot.solvers.tensors import to_tensor

# Largest number of scores in a tile: 64 MB of float32.
MAX_TILE = 2**24
# The same on a CPU, where a tile of 2 MB stays in the cache, and the smallest number of rows of such a tile.
CPU_TILE, MIN_TILE_ROWS = 2**19, 256
# Number of rows for an estimate of the mean gap, and the weight of a new estimate in the running mean: the gap changes
# slowly from step to step.
GAP_ROWS, GAP_WEIGHT = 8, 0.1
# Smallest number of multiply-adds of the scores in a block, about a fiftieth of a second. A worker needs about a
# thousandth of a second to get a block.
BLOCK_WORK = 2**30


class Tiles:
    """Scores, computed in tiles that share their memory.

    A worker gets a copy, whose points are in the memory of all workers of a machine, and keeps it for the next block.

    Parameters
    ----------
    units : ScoredPoints
        The points and their scores.
    multiple : int, default=1
        The rows of a tile are a multiple of this number.
    workers : Workers, default=None
        Workers for `over_blocks`; none if None.
    """

    def __init__(self, units: ScoredPoints, multiple: int = 1, workers: Workers | None = None):
        self.units, self.multiple, self.workers = units, multiple, workers
        self.n_points = len(units.points)
        # Threads may share this object, but not their memory.
        self._memory = threading.local()
        self._name = uuid4().hex

    def __reduce__(self):
        # The array is the same object in each call, so that joblib writes it to the memory of the workers only once.
        if not hasattr(self, "_array"):
            self._array = self.units.points.numpy()
        return _kept, (self._name, self._array, self.units.cost, self.multiple)

    @property
    def has_blocks(self) -> bool:
        """Whether rows are divided into blocks, for workers."""
        return self.workers is not None and self.workers.has_blocks

    @property
    def tile_rows(self) -> int:
        """The number of rows of a tile."""
        tile = MAX_TILE if self.units.points.is_cuda else CPU_TILE
        size = max(1, min(max(tile // self.n_points, MIN_TILE_ROWS), MAX_TILE // self.n_points))
        return max(1, size // self.multiple) * self.multiple

    @property
    def block_rows(self) -> int:
        """The number of rows of a block, which is computed by one worker."""
        return self.tile_rows * math.ceil(BLOCK_WORK / (self.tile_rows * self.units.points.numel()))

    def slices(self, n_rows: int):
        """Yield slices of ``n_rows`` rows, one for each tile."""
        return _slices(n_rows, self.tile_rows)

    def over_blocks(self, function, x: Tensor, offsets: Tensor, lengths: Tensor | None = None, *shared) -> list[Tensor]:
        """Evaluate a function in blocks of rows, by the workers if there are some; a list of its tensors.

        Parameters
        ----------
        function : callable
            Takes these tiles, rows, offsets, lengths and all other arguments, and returns a tensor.
        x : Tensor of shape (n, d)
            The rows, in units.
        offsets : Tensor of shape (N,)
            The offsets.
        lengths : Tensor of shape (n, ...), default=None
            Other numbers that belong to the rows.
        *shared : Tensor
            The same for all blocks.
        """
        offsets = offsets.to(x.dtype)
        size = self.block_rows if self.has_blocks else max(len(x), 1)
        parts = ((x[rows], None if lengths is None else lengths[rows]) for rows in _slices(len(x), size))
        tasks = [(self, part, offsets, length, *shared) for part, length in parts]
        return self.workers.map(function, tasks) if self.has_blocks else [function(*task) for task in tasks]

    def workspace(self, n_rows: int, k: int = 0) -> Tensor:
        """The k-th of four pieces of memory of this thread, shape (n_rows, N), with its previous content.

        The memory is kept between calls: on the CPU, new memory takes several times as long as the computation that
        fills it.
        """
        size = n_rows * self.n_points
        pieces = self._memory.__dict__
        if k not in pieces or pieces[k].numel() < size:
            pieces[k] = self.units.points.new_empty(size)
        return pieces[k][:size].view(n_rows, self.n_points)

    def scores(self, x: Tensor, offsets: Tensor):
        """Yield slices of the rows x, in units, with their scores, which the next tile overwrites."""
        for rows in self.slices(len(x)):
            part = x[rows]
            yield rows, self.units.scores(part, offsets, self.workspace(len(part)))

    def cells(self, x: Tensor, offsets: Tensor) -> Tensor:
        """The cell of each row."""
        return torch.cat(self.over_blocks(_cells, x, offsets))

    def gaps(self, x: Tensor, offsets: Tensor) -> Tensor:
        """The difference between the two largest scores of each row; there must be at least two points."""
        return torch.cat(self.over_blocks(_gaps, x, offsets))

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


def _slices(n_rows, size):
    return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def _cells(tiles, x, offsets, _):
    index = torch.empty(len(x), dtype=torch.int64, device=x.device)
    for rows, scores in tiles.scores(x, offsets):
        index[rows] = row_argmax(scores)
    return index


def _gaps(tiles, x, offsets, _):
    gaps = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for rows, scores in tiles.scores(x, offsets):
        best = row_argmax(scores)[:, None]
        largest = scores.gather(1, best)[:, 0]
        gaps[rows] = largest - scores.scatter_(1, best, -torch.inf).amax(1)
    return gaps


# The tiles that this worker got last, by their name.
_LAST: dict[str, Tiles] = {}


def _kept(name, points, cost: Cost, multiple: int) -> Tiles:
    """The tiles of a worker: those of the last block, if they have this name."""
    tiles = _LAST.get(name)
    if tiles is None:
        _LAST.clear()
        tiles = _LAST[name] = Tiles(ScoredPoints(to_tensor(points), cost), multiple)
    return tiles

"""Rows of N(0, I) that are orthogonal to each other, and reflections of them."""

import math
from dataclasses import replace

import numpy as np
import torch
from scipy.special import gammaincinv
from torch import Tensor

from sklearn_ot.solvers.semidiscrete._rows import ScoredRows
from sklearn_ot.solvers.semidiscrete._tiles import MIN_TILE_ROWS

# Reflections of each tile of rows; the effective rows below are measured with this number.
N_TURNS = 12
# A tile has a multiple of this number of rows: reflections of 2^k rows would undo each other.
ROW_MULTIPLE = 12
# Effective rows of each row of each reflection, measured: if a tile has at least as many rows as columns, and if it has
# fewer, so that its rows do not reach all directions.
EFFECTIVE_TALL, EFFECTIVE_WIDE = 1.8, 1.2
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def _reflected_pairs(tiles, x, offsets, lengths):
    """Yield pairs of a tile and a number, whose products are scores, 2 (1 + `N_TURNS`) for each row of x.

    The next tile overwrites a tile, and may be computed from it.
    """
    for rows in tiles.slices(len(x)):
        part, length = orthonormal_rows(x[rows]), lengths[rows.start].tolist()
        scores, other = (tiles.workspace(len(part), k) for k in range(2))
        # The scores are divided by the length of the rows, so that the rows themselves need no factor.
        torch.addmm(offsets / length[0], part, tiles.units.points.T, out=scores)
        for turn in range(1 + N_TURNS):
            if turn:
                # Twice the reflected rows, which takes one operation less.
                workspace = tiles.workspace(len(scores) // 4, 2)
                scores, other = doubly_reflected(scores, workspace, out=other), scores
            first, second = (number / 2**turn for number in length[turn : turn + 2])
            yield scores, first
            yield torch.sub(offsets * (1 / first + 1 / second), scores, out=scores), second


class OrthonormalRows(ScoredRows):
    """Orthonormal rows of a normal source, in sets of one tile, for the squared cost.

    Independent rows are replaced by `orthonormal_rows`, which fill all directions more evenly [Yu16]_. An orthonormal
    row is normal after multiplication by a length from the chi distribution, whose degrees of freedom are the rows or
    the columns of the tile, whichever are more.

    An orthogonal matrix maps orthonormal rows to other orthonormal rows, and their inner products with the points in
    the same way. The solver takes matrices that reflect groups of four rows at the mean of the group, because these
    leave the offsets unchanged. A score of a reflected row then needs two additions; that of a new row needs an inner
    product. Each row is used with both signs.

    All these rows are normal. They are not independent, but their cells nearly are. With 1000 points, each row counts
    as 0.93 independent rows in 64 dimensions and as 0.5 to 0.7 in 784 dimensions. With few points, or tiles of fewer
    rows than columns, it counts as less.

    Parameters
    ----------
    source : Source
        A normal source.
    units : Units
        The units of the solver, for the squared cost.

    References
    ----------
    .. [Yu16] F. X. Yu et al., "Orthogonal random features", NeurIPS 2016.
    """

    def __init__(self, source, units, workers=None):
        # Made orthogonal, independent rows are uniform on the sphere, and quasi-random rows are not.
        super().__init__(replace(source, quasi_sample=None), units, workers, ROW_MULTIPLE)
        is_tall = units.points.shape[1] <= MIN_TILE_ROWS
        self.effective_rows = (EFFECTIVE_TALL if is_tall else EFFECTIVE_WIDE) * (1 + N_TURNS)
        self._shift = 0.0

    def state(self) -> dict:
        """The last quantile of the lengths."""
        return {"shift": self._shift}

    def load_state(self, state: dict):
        """Go on with the quantiles of the lengths."""
        self._shift = state["shift"]

    pairs = staticmethod(_reflected_pairs)

    def lengths(self, x: Tensor) -> Tensor:
        """Lengths for all turns and one more, shape (n, N_TURNS + 2), the same for all rows of a tile.

        They are quantiles of the chi distribution, one in each of as many equal parts. Its degrees of freedom are the
        rows or the columns of a tile. The quantiles change from tile to tile, so that over many tiles all lengths have
        their right frequency.
        """
        lengths = torch.empty(len(x), N_TURNS + 2, dtype=torch.float64)
        for rows in self.tiles.slices(len(x)):
            part = lengths[rows]
            self._shift = (self._shift + GOLDEN_RATIO) % 1
            level = (np.linspace(0, 1, N_TURNS + 2, endpoint=False) + self._shift) % 1
            n = max(len(part), x.shape[1])
            part[:] = torch.from_numpy(np.sqrt(2 * gammaincinv(n / 2, level)) / self.units.source_width)
        return lengths


def orthonormal_rows(x: Tensor) -> Tensor:
    """Make the columns of x, shape (n, d), orthonormal by a QR factorisation, or its rows if n < d.

    If the rows of x are normal and the triangular factor has a positive diagonal, the result is uniformly distributed
    (F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the AMS, 2007).
    """
    is_tall = len(x) >= x.shape[1]
    columns, triangle = torch.linalg.qr(x if is_tall else x.T)
    columns *= triangle.diagonal().sign()
    return columns if is_tall else columns.T


def doubly_reflected(rows: Tensor, workspace: Tensor, out: Tensor) -> Tensor:
    """Compute 2 (2 m - x) for each row x, where m is the mean of a group of four rows, in ``out``.

    The rows of a group are a quarter of all rows apart. In the result they are neighbours, so that the groups of each
    turn are different. Rows beyond a multiple of four are left out.
    """
    groups = rows[: len(rows) // 4 * 4].view(4, -1, rows.shape[1])
    total = torch.sum(groups, 0, out=workspace)
    out = out[: 4 * len(total)]
    torch.sub(total[:, None], groups.transpose(0, 1), alpha=2, out=out.view(-1, 4, rows.shape[1]))
    return out

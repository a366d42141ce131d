"""The coordinates of the solver, which do not depend on the units and the origin of the data."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_ot.solvers.costs import Cost, read_cost

# Number of rows that are converted to float64 together, so that the data are not copied as a whole.
BLOCK_ROWS = 256
# The same for sums over all rows, which take less time with large blocks.
SUM_BLOCK_ROWS = 4096


# Beyond this width and its inverse, differences of rows and the width itself may be no float32.
MAX_SINGLE = 1e30


class Location(NamedTuple):
    """The mean of a distribution, float64, and the root mean square distance of its rows from the mean."""

    centre: Tensor
    width: float


def location(rows: Tensor) -> Location:
    """The location of a sample."""
    centre = sum(block.double().sum(0) for block in rows.split(SUM_BLOCK_ROWS)) / len(rows)
    return Location(centre, float(_squares(rows, centre).mean().sqrt()))


def normal_location(points: Tensor) -> Location:
    """The location of N(0, I) in the dimension of points."""
    n_features = points.shape[1]
    return Location(torch.zeros(n_features, dtype=torch.float64, device=points.device), math.sqrt(n_features))


class ScoredPoints:
    """Points and the scores of rows, both in the units of the solver, see `Units`.

    Parameters
    ----------
    points : Tensor of shape (N, d)
        The points.
    cost : Cost
        The cost.
    """

    def __init__(self, points: Tensor, cost: Cost):
        self.points, self.cost = points, cost

    def scores(self, x: Tensor, offsets: Tensor, out: Tensor | None = None) -> Tensor:
        """Scores of rows in these units, shape (n, N); they may be written to ``out``."""
        offsets = offsets.to(x.dtype)
        if self.cost.is_squared:
            return torch.addmm(offsets, x, self.points.T, out=out)
        return torch.sub(offsets, self.cost.pairwise(x, self.points, by_product=True), out=out)


class Units(ScoredPoints):
    r"""Points in the coordinates of the solver, and scores, of which the largest shows the cell of a source row.

    With rows :math:`x' = (x - s) / a` and points :math:`y' = (y - m) / b`, the cell of x is that of the largest score

    .. math:: \langle x', y'_i \rangle + h_i \quad \text{(squared cost)}, \qquad h_i - c(x', y'_i)
        \quad \text{(other costs, where } s = m, a = b \text{)}

    Both differ from :math:`(\psi_i - c(x, y_i)) / \text{unit}` only by a number that depends on x alone. The offsets h,
    and all steps of the solver, do not depend on the units of the data.

    Parameters
    ----------
    points : Tensor of shape (N, d)
        The points.
    cost : str, float or Cost
        The cost.
    source : Location, default=None
        The location of the source; that of the points if None.
    dtype : torch.dtype, default=None
        Dtype of rows and points in these units; that of ``points`` if None. For one feature it is always float64,
        because gaps then fall with the square of the number of points.
    """

    def __init__(self, points, cost, source: Location | None = None, dtype=None):
        cost = read_cost(cost)
        self.shift, width = location(points)
        self.source_shift, source_width = source or (self.shift, width)
        # A single point, or a source of a single row, has no width.
        self.width = width or source_width or 1.0
        self.source_width = source_width or self.width
        if cost.is_squared:
            self.unit = 2 * self.width * self.source_width
            # The difference of potential and offsets, in float64 also for points far from the origin.
            self.bend = _squares(points, self.source_shift)
        else:
            distance = float((self.shift - self.source_shift).norm())
            self.width = self.source_width = max(self.width, self.source_width, distance)
            self.shift = self.source_shift = (self.shift + self.source_shift) / 2
            self.unit = self.width**cost.power
            self.bend = 0.0
        self.dtype = torch.float64 if points.shape[1] == 1 else dtype or points.dtype
        super().__init__(points.new_empty(points.shape, dtype=self.dtype), cost)
        for block, scaled in zip(points.split(BLOCK_ROWS), self.points.split(BLOCK_ROWS), strict=True):
            scaled.copy_((block.double() - self.shift) / self.width)

    def offsets(self, potential: Tensor) -> Tensor:
        """The offsets of a potential, float64; the largest is 0."""
        offsets = (potential.double() - self.bend) / self.unit
        return offsets - offsets.max()

    def potential(self, offsets: Tensor, weights: Tensor) -> Tensor:
        """The potential with given offsets, float64, with a weighted mean of 0."""
        potential = self.unit * offsets + self.bend
        return potential - weights @ potential

    def rows(self, x: Tensor) -> Tensor:
        """Source rows in these units."""
        if not 1 / MAX_SINGLE < self.source_width < MAX_SINGLE:
            x = x.double()
        return ((x - self.source_shift.to(x.dtype)) / self.source_width).to(self.dtype)


def _squares(rows, centre):
    return torch.cat([(block.double() - centre).square().sum(1) for block in rows.split(SUM_BLOCK_ROWS)])

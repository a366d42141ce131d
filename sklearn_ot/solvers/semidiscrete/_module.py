"""The map of a potential as a torch module."""

import torch
from torch import Tensor

from sklearn_ot.nn import Constants
from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete._units import Units


class CellsMap(Constants):
    """The map to the points of the cells of a potential, or to their barycentres at a temperature.

    All scores of a batch are in memory at once. The map to points is constant in each cell, and its derivative is 0.

    Parameters
    ----------
    points, potential, cost
        As in `Cells`.
    epsilon : float
        The temperature, in units of the cost; 0 for the points.
    """

    def __init__(self, points: Tensor, potential: Tensor, cost: str | float | Cost, epsilon: float):
        super().__init__()
        units = Units(points.double(), cost)
        self.cost, self.width, self.source_width = units.cost, units.width, units.source_width
        self.sharpness = units.unit / epsilon if epsilon else torch.inf
        images = units.points if epsilon else points.double()
        parts = {"points": units.points, "offsets": units.offsets(potential), "images": images}
        self.keep(**parts, shift=units.shift, source_shift=units.source_shift)

    def forward(self, x: Tensor) -> Tensor:
        """Images of rows, in their dtype."""
        # For one feature, differences of scores are too small for float32, see `Units`. So they are at temperatures.
        is_fine = x.shape[1] == 1 or self.sharpness < torch.inf
        rows = x.to(self.points.dtype) if is_fine else x
        scores = self._scores((rows - self.source_shift.to(rows.dtype)) / self.source_width)
        if self.sharpness == torch.inf:
            return self.images.to(x.dtype)[scores.argmax(1)] + 0 * x
        images = (scores * self.sharpness).softmax(1) @ self.images.to(rows.dtype)
        return (images * self.width + self.shift.to(rows.dtype)).to(x.dtype)

    def _scores(self, x):
        points, offsets = self.points.to(x.dtype), self.offsets.to(x.dtype)
        if self.cost.is_squared:
            return torch.addmm(offsets, x, points.T)
        return offsets - self.cost.pairwise(x, points, by_product=True)

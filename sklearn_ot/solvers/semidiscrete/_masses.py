"""The test of the masses of cells on fresh rows."""

import math

import torch
from torch import Tensor

from sklearn_ot.checks import check_weight

# Largest number of rows of a test; and, if it is larger, this many times the number that equal weights need.
MAX_TEST_ROWS, MAX_RATIO = 2**20, 8
# A test has at least this number times 1 / mass rows. They all miss a cell with this mass with a probability of
# exp(-20).
ROWS_PER_MASS = 20
# The same for offsets that have not reached the tolerance: a probability of exp(-10) is enough.
FEWER_ROWS_PER_MASS = 10
# The standard error of the squared error of the masses, in units of the squared tolerance: the wanted one, and the
# largest one, which is used if the wanted one needs too many rows.
WANTED_PRECISION, LEAST_PRECISION = 1 / 4, 1
# For k cells a test needs (1 + this number / √k) times the rows that many cells need, because the errors of its two
# estimates are multiplied. With more than 256 cells the standard error is up to an eighth above the wanted one.
FEW_CELLS = 16
# The largest standard error of the squared error in a test that only chooses the next phase or reports the end, and the
# smallest number of its rows.
COARSE_PRECISION, MIN_COARSE_ROWS = 1 / 20, 2**13
# Largest difference of the sum of the weights from 1: weights of very many points in float32 are rounded.
MAX_ROUNDING = 1e-4
# Numbers and rows that are drawn at once: 16 MB of float32, also for the scores with 64 points.
BLOCK_NUMBERS, BLOCK_ROWS = 2**22, 2**16


def read_weights(weights: Tensor | None, points: Tensor) -> Tensor:
    """Check the weights of the points, and return them in float64 with sum 1; equal weights if None.

    Raises
    ------
    ValueError
        If there is not one finite, positive number for each point, or the sum is not 1.
    """
    n_points = len(points)
    if weights is None:
        return torch.full((n_points,), 1 / n_points, dtype=torch.float64, device=points.device)
    weights = weights.detach().double()
    check_weight(weights.cpu().numpy(), n_points, "weights", "points")
    if not bool((weights > 0).all()) or abs(float(weights.sum()) - 1) > MAX_ROUNDING:
        raise ValueError("weights must be positive numbers with sum 1.")
    return weights / weights.sum()


def rows_at_once(n_rows: int, n_features: int) -> int:
    """The number of rows, of ``n_rows`` fresh rows, that are drawn together."""
    return max(1, min(n_rows, BLOCK_NUMBERS // n_features, BLOCK_ROWS))


class MassTest:
    """The test of the masses on fresh rows: their error, and the number of empty cells.

    Parameters
    ----------
    weights : Tensor of shape (N,)
        The wanted masses.
    tol : float
        The error that the test must be able to detect.

    Attributes
    ----------
    visible : Tensor of shape (N,)
        Mask of the cells that are tested, see `visible_cells`.
    n_rows : int
        Number of rows of a test.
    rarity : float
        The mean of 1 / weight over the tested cells: the number of points of equal weight that need as many rows.
    n_fewer_rows : float
        Number of rows of the smallest test that detects empty cells.
    n_coarse_rows : float
        Number of rows of a test that measures the error, but sees no empty cells. It grows as the root of the number of
        cells, because each of them gives an independent estimate.
    """

    def __init__(self, weights: Tensor, tol: float):
        self.weights = weights
        self.visible, self.n_rows = visible_cells(weights, tol)
        self.rarity = float((1 / weights[self.visible]).mean())
        self.n_fewer_rows = FEWER_ROWS_PER_MASS / float(weights[self.visible].min())
        spread = float(weights[self.visible].pow(-2).mean().sqrt()) / math.sqrt(int(self.visible.sum()))
        precision = min(COARSE_PRECISION, LEAST_PRECISION * tol**2)
        self.n_coarse_rows = max(MIN_COARSE_ROWS, 2 / precision * spread)

    def __call__(self, rows, offsets: Tensor, n: float) -> tuple[float, int]:
        """Measure the error and the number of empty cells on about n effective rows.

        The squared error is the mean product of two independent estimates of each relative error, which is unbiased. If
        it is negative, the error is 0. Cells in which few rows are expected are not counted as empty.
        """
        counts = torch.zeros(2, len(offsets), dtype=torch.float64, device=offsets.device)
        n_half = math.ceil(n / rows.effective_rows / 2)
        block = rows_at_once(n_half, rows.units.points.shape[1])
        for _ in range(math.ceil(n_half / block)):
            for half in counts:
                half += rows.masses(rows.sample(block), offsets) * block
        ratio = (counts / counts.sum(1, keepdim=True) / self.weights - 1)[:, self.visible]
        square = float((ratio[0] * ratio[1]).mean())
        is_tested = self.visible & (self.weights * n >= 0.99 * FEWER_ROWS_PER_MASS)
        return math.sqrt(max(square, 0.0)), int((counts.sum(0)[is_tested] == 0).sum())


def visible_cells(weights: Tensor, tol: float) -> tuple[Tensor, int]:
    r"""Choose the cells whose masses can be tested, as a mask, and the number of rows of a test.

    Over k cells the squared estimate of `MassTest` from n rows has a standard error of about

    .. math:: \frac{2}{n} \Bigl( S + \sqrt 2\, \mathrm{tol} \sqrt{S n / 2 \sqrt k} \Bigr), \qquad
        S = \frac1k \sqrt{\textstyle\sum_i \nu_i^{-2}} \quad (\sqrt k \text{ for equal weights}).

    The wanted standard error is a quarter of tol², for which :math:`8 S (1 + 16 / \sqrt k) / \mathrm{tol}^2` rows are
    needed. If these are too many rows, tol² is enough. If this still needs too many, the lightest cells are left out.
    """
    n_points = len(weights)
    equal = 2 / WANTED_PRECISION * (math.sqrt(n_points) + FEW_CELLS) / tol**2
    most = max(MAX_TEST_ROWS, MAX_RATIO * equal, MAX_RATIO * ROWS_PER_MASS * n_points)
    sorted_weights, order = weights.sort(descending=True)
    count = torch.arange(1, n_points + 1, dtype=torch.float64, device=weights.device)
    wanted = 2 / WANTED_PRECISION * sorted_weights.pow(-2).cumsum(0).sqrt() / count
    wanted = wanted * (1 + FEW_CELLS / count.sqrt()) / tol**2
    least = ROWS_PER_MASS / sorted_weights
    enough = torch.maximum(wanted * (WANTED_PRECISION / LEAST_PRECISION), least)
    n_visible = int((enough <= most).nonzero().max()) + 1
    visible = torch.zeros_like(weights, dtype=torch.bool)
    visible[order[:n_visible]] = True
    return visible, math.ceil(min(most, max(wanted[n_visible - 1], least[n_visible - 1])))

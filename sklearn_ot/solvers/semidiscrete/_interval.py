"""Lower and upper bounds of the optimal cost, from any potential."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.semidiscrete._assignment import assignment_cost
from sklearn_ot.solvers.semidiscrete._masses import read_weights, rows_at_once
from sklearn_ot.solvers.semidiscrete._newton import Level, Pool
from sklearn_ot.solvers.semidiscrete._problem import LOCATION_ROWS, MAX_NEWTON_FEATURES, TINY
from sklearn_ot.solvers.semidiscrete._soft import logarithmic_change
from sklearn_ot.solvers.semidiscrete._tiles import MAX_TILE, Tiles
from sklearn_ot.solvers.semidiscrete._units import Units, location
from sklearn_ot.solvers.semidiscrete._workers import Workers
from sklearn_ot.solvers.sources import Source, read_source

# Number of rows for the dual value: 20 for each point, and at least 100 000. If their scores take more multiply-adds
# than the last number, about a minute, there are fewer rows, but at least 20 000.
ROWS_PER_POINT, MIN_ROWS, LEAST_ROWS, MAX_WORK = 20, 100_000, 20_000, 1e12
# Number of rows of a batch of the upper bound: for each point, with the same limit of the work, and the smallest
# number.
BATCH_ROWS_PER_POINT, MIN_BATCH = 2, 1000
# Largest number of pairs of a row and a point for an exact plan of a whole batch, which takes a tenth of a second.
SMALL_PROBLEM = 400_000
# Largest number of pairs in an exact plan of the repair, which takes two seconds. Larger plans are divided into slabs.
MAX_PAIRS = 4_000_000
# Levels of Newton's method that balance the offsets for the rows of a batch, in few dimensions. In more dimensions:
# number of steps of Sinkhorn's algorithm, first temperature in gaps, and the factor by which it falls with the step
# sizes.
BALANCE_LEVELS = (Level(0.4, 16, 0.05), Level(0.1, 16, 0.05))
N_BALANCE_STEPS, BALANCE_TEMPERATURE, BALANCE_DECAY = 40, 0.5, 0.93


class CostInterval(NamedTuple):
    """The result of `primal_dual_interval`; all costs are means of c, without a root.

    Attributes
    ----------
    low, high : float
        Ends of the interval.
    confidence : float
        Its confidence level.
    dual_value : float
        An unbiased estimate of the dual value, which is a lower bound of the optimal cost.
    """

    low: float
    high: float
    confidence: float
    dual_value: float


@in_own_settings
@torch.no_grad()
def primal_dual_interval(
    source: Source | str,
    points: Tensor,
    potential: Tensor,
    weights: Tensor | None = None,
    *,
    cost: str | float | Cost = "sqeuclidean",
    confidence: float = 0.95,
    n_samples: int | None = None,
    n_batches: int = 6,
    generator: torch.Generator | None = None,
    n_jobs: int | None = None,
) -> CostInterval:
    r"""An interval for the optimal cost between a source that can be sampled and weighted points.

    The dual value of any potential is a lower bound,

    .. math:: D = E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i \le \mathrm{OT}_c(P, \nu).

    Fresh rows give an unbiased estimate of it with a standard error. For the upper bound, fresh rows are divided into
    batches. In each batch, rows are sent to the points of their cells, of a potential that a few steps have balanced
    for the batch. If a cell has more rows than its mass, the rows with the smallest additional cost are sent to points
    with too few rows, by an exact plan. The result is a coupling of the batch :math:`P_m` and :math:`\nu`, so its cost
    :math:`U_m` is at least :math:`\mathrm{OT}_c(P_m, \nu)`. Since OT is convex in its first argument and
    :math:`E P_m = P`, Jensen's inequality gives

    .. math:: E\, U_m \ge E\, \mathrm{OT}_c(P_m, \nu) \ge \mathrm{OT}_c(P, \nu).

    The upper end is the dual value plus the mean over batches of :math:`U_m - D_m`, plus the standard error of both. It
    is conservative, and less so with larger batches. The errors are those of the central limit theorem (normal, and
    Student's t for the batches), each one-sided at half of the error probability.

    Parameters
    ----------
    source, points, weights, cost, generator, n_jobs
        See `semidiscrete_dual`.
    potential : Tensor of shape (N,)
        Any potential; a better one gives a narrower interval.
    confidence : float, default=0.95
        The smallest probability with which the interval contains the optimal cost.
    n_samples : int, default=None
        Number of rows for the dual value. If None, 20 for each point and at least 100 000, but fewer if these would
        take more than about a minute.
    n_batches : int, default=6
        Number of batches for the upper bound, 2 or more. A batch has two rows for each point (or fewer, as above) and
        at least 1000. With 0 there is no upper bound, and ``high`` is infinite.

    Returns
    -------
    interval : CostInterval
        The ends of the interval, and the estimate of the dual value.

    Examples
    --------
    The squared cost between a normal variable and the points -1 and 1 is :math:`2 - 2 \sqrt{2 / \pi} = 0.404`.

    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import primal_dual_interval
    >>> generator = torch.Generator().manual_seed(0)
    >>> interval = primal_dual_interval("normal", torch.tensor([[-1.0], [1.0]]), torch.zeros(2), generator=generator)
    >>> print(f"{interval.low:.2f} to {interval.high:.2f}")
    0.40 to 0.41
    """
    source, weights = read_source(source, points, generator), read_weights(weights, points)
    with Workers(n_jobs, points.device) as workers:
        place = location(source.sample(LOCATION_ROWS))
        costs = _Costs(points, potential.double(), weights, read_cost(cost), place, workers)
        return _interval(source, costs, confidence, n_samples, n_batches)


def _interval(source, costs, confidence, n_samples, n_batches):
    n_points, n_features = costs.points.shape
    affordable = int(MAX_WORK / (n_points * n_features))
    if n_samples is None:
        n_samples = max(LEAST_ROWS, min(max(MIN_ROWS, ROWS_PER_POINT * n_points), affordable))
    block = rows_at_once(n_samples, n_features)
    # Numbers without a unit, because squares of costs may be beyond the range of floats.
    unit = costs.units.unit
    reduced = torch.cat([costs.reduced(source.sample(block)).cpu() / unit for _ in range(-(-n_samples // block))])
    dual_value = float(reduced.mean() + costs.weights @ costs.potential / unit)
    dual_error = float(reduced.std()) / math.sqrt(len(reduced))
    tail = 1 - (1 - confidence) / 2
    low = max(dual_value - float(stats.norm.ppf(tail)) * dual_error, 0.0)
    if n_batches == 0:
        return CostInterval(low * unit, math.inf, confidence, dual_value * unit)
    # The cost of the coupling of a batch minus the dual value of the same batch: random differences between batches
    # cancel.
    batch_size = max(MIN_BATCH, min(BATCH_ROWS_PER_POINT * n_points, affordable // n_batches))
    gaps = np.array([costs.duality_gap(source.sample(batch_size)) / unit for _ in range(n_batches)])
    upper_error = math.hypot(dual_error, gaps.std(ddof=1) / math.sqrt(n_batches))
    high = dual_value + gaps.mean() + stats.t.ppf(tail, n_batches - 1) * upper_error
    return CostInterval(low * unit, float(high) * unit, confidence, dual_value * unit)


class _Costs:
    """Costs of samples of a source with a potential: in the dual, and of a coupling with the points."""

    def __init__(self, points, potential, weights, cost, source_location, workers):
        self.points, self.potential, self.weights, self.cost = points, potential, weights, cost
        self.units = Units(points, cost, source_location, torch.float32)
        self.tiles, self.offsets = Tiles(self.units, workers=workers), self.units.offsets(potential)

    def reduced(self, x):
        """The value c - ψ of each row and its cell."""
        index = self.tiles.cells(self.units.rows(x), self.offsets)
        return assignment_cost(x, self.points, index, self.cost) - self.potential[index]

    def duality_gap(self, x):
        """The cost of a coupling between the rows of x and the points, minus the dual value of these rows."""
        dual = float(self.reduced(x).mean() + self.weights @ self.potential)
        if len(x) * len(self.points) <= SMALL_PROBLEM:
            return exact_plan(x, self.points, None, self.weights, self.cost).value - dual
        rows = self.units.rows(x)
        offsets = self.balanced(rows)
        index = self.tiles.cells(rows, offsets)
        costs = assignment_cost(x, self.points, index, self.cost)
        return float(costs.mean()) + self.repair_cost(x, offsets, index, costs) - dual

    def balanced(self, rows):
        """Offsets whose cells have about the right masses for these rows."""
        offsets = self.offsets
        if rows.shape[1] <= MAX_NEWTON_FEATURES and self.cost.power > 1:
            gap = max(float(self.tiles.mean_gap(rows, offsets)), TINY)
            balanced = offsets.cpu().numpy()
            pool = Pool(self.tiles, rows, self.weights.cpu().numpy(), balanced)
            for level in BALANCE_LEVELS:
                balanced, _ = pool.minimise(balanced, gap, level)
            return torch.from_numpy(balanced).to(offsets.device)
        if len(rows) * len(offsets) > MAX_TILE:
            return offsets
        base = self.units.scores(rows, torch.zeros_like(offsets))
        gap = self.tiles.mean_gap(rows, offsets)
        epsilon = BALANCE_TEMPERATURE * gap.to(base) + torch.finfo(base.dtype).tiny
        for _ in range(N_BALANCE_STEPS):
            mass = torch.softmax(base.add(offsets.to(base.dtype)).div_(epsilon), 1).mean(0).double()
            offsets = offsets + gap * logarithmic_change(self.weights, mass)
            epsilon, gap = epsilon * BALANCE_DECAY, gap * BALANCE_DECAY
        return offsets

    def repair_cost(self, x, offsets, index, costs):
        """The additional cost (or gain, if negative) of moving rows until each cell has its mass."""
        n_rows = len(x)
        surplus = torch.bincount(index, minlength=len(self.weights)).double() / n_rows - self.weights
        candidates = (surplus[index] > 0).nonzero()[:, 0]
        if not len(candidates):
            return 0.0
        # From each cell with a surplus, the rows with the smallest additional cost are moved; the last one in part.
        order = self.tiles.gaps(self.units.rows(x[candidates]), offsets).argsort()
        order = order[index[candidates][order].argsort(stable=True)]
        candidates = candidates[order]
        cells = index[candidates]
        rank = torch.arange(len(cells), device=x.device) - torch.searchsorted(cells, cells)
        moved = (surplus[cells] - rank.double() / n_rows).clamp(0, 1 / n_rows)
        leaving, moved = candidates[moved > 0], moved[moved > 0]
        lacking = (surplus < 0).nonzero()[:, 0]
        rows, points = x[leaving].double().cpu(), self.points[lacking].double().cpu()
        value = slab_cost(rows, moved.cpu().numpy(), points, -surplus[lacking].cpu().numpy(), self.cost)
        return value - float(moved @ costs[leaving])


def slab_cost(x, mass, y, wanted, cost):
    """Cost of a plan between weighted rows: an exact plan, or exact plans of slabs if it would be too large."""
    axis = int(y.var(0, correction=0).argmax())
    by_axis = [rows[:, axis].argsort().numpy() for rows in (x, y)]
    x, mass, y, wanted = x[by_axis[0]], mass[by_axis[0]], y[by_axis[1]], wanted[by_axis[1]]
    total = wanted.sum()
    ends = [np.concatenate([[0], part.cumsum() * (total / part.sum())]) for part in (mass, wanted)]
    value = 0.0
    n_slabs = max(1, math.ceil(math.sqrt(len(x) * len(y) / MAX_PAIRS)))
    levels = np.linspace(0, total, n_slabs + 1)
    for low, high in pairwise(levels):
        # Rows and points on the boundary of two slabs belong to both, with a part of their mass.
        parts = [np.clip(end[1:], low, high) - np.clip(end[:-1], low, high) for end in ends]
        rows, columns = (part > 0 for part in parts)
        a, b = parts[0][rows], parts[1][columns]
        plan = exact_plan(x[torch.from_numpy(rows)], y[torch.from_numpy(columns)], a / a.sum(), b / b.sum(), cost)
        value += plan.value * (high - low)
    return float(value)

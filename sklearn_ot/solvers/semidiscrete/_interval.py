"""Lower and upper bounds of the optimal cost from a potential, good or bad."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.semidiscrete._ascent import top_gap
from sklearn_ot.solvers.semidiscrete._newton import MAX_FEATURES, Pool
from sklearn_ot.solvers.semidiscrete._scores import (
    MAX_TILE,
    Scores,
    assignment_cost,
    best_gaps,
)
from sklearn_ot.solvers.sources import Source, read_source

# Largest cost matrix of an exact problem of the repair, and of a whole batch.
MAX_COSTS, SMALL_PROBLEM = 4_000_000, 400_000
N_BALANCE_STEPS = 40
# Multiply-adds for the scores of all rows.
MAX_WORK = 1e12


class CostInterval(NamedTuple):
    """What `primal_dual_interval` returns; all costs are means of c, without a root.

    Attributes
    ----------
    low, high : float
        Ends of the interval.
    confidence : float
        Its confidence level.
    dual_value : float
        The estimate of the dual value: an unbiased one of a number that the optimal cost is not below.
    """

    low: float
    high: float
    confidence: float
    dual_value: float


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
) -> CostInterval:
    r"""An interval for the optimal cost between a source one can sample and weighted points.

    Any potential bounds it from below, by the dual value

    .. math:: D = E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i \le \mathrm{OT}_c(P, \nu),

    of which fresh rows give an unbiased estimate with a standard error. For the upper bound, fresh rows are divided
    into batches. In each, rows go to the points of their cells (of a potential that a few steps have balanced for the
    batch), and where a cell has more of them than its mass, the rows that lose least by leaving go to points that have
    too few, by an exact plan. That is a coupling of the batch :math:`P_m` and :math:`\nu`, so its cost :math:`U_m` is
    at least :math:`\mathrm{OT}_c(P_m, \nu)`; and since OT is convex in its first argument and :math:`E P_m = P`,
    Jensen's inequality gives

    .. math:: E\, U_m \ge E\, \mathrm{OT}_c(P_m, \nu) \ge \mathrm{OT}_c(P, \nu).

    The upper end is the dual value plus the mean over batches of :math:`U_m - D_m`, plus the standard error of both. It
    is conservative: the excess falls as batches grow. The errors are those of the central limit theorem (normal, and
    Student's t where there are batches), each one-sided at half of what the confidence level leaves.

    Parameters
    ----------
    source, points, weights, cost, generator
        See `semidiscrete_dual`.
    potential : Tensor of shape (N,)
        Any potential; the better, the narrower the interval.
    confidence : float, default=0.95
        The probability that the interval holds the optimal cost, at least.
    n_samples : int, default=None
        Rows for the dual value. If None, 20 for each point and at least 100 000, but fewer where that would take more
        than about a minute.
    n_batches : int, default=6
        Batches for the upper bound, 2 or more, of two rows for each point (or, as above, fewer) and at least 1000.
        0 leaves that bound out: ``high`` is infinite.

    Returns
    -------
    interval : CostInterval
        Its ends, and the estimate of the dual value.

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
    n_points, n_features = points.shape
    cost, sampler = read_cost(cost), read_source(source, points, generator).sample
    if weights is None:
        weights = torch.full((n_points,), 1 / n_points, dtype=torch.float64, device=points.device)
    weights, potential = weights.double(), potential.double()
    affordable = int(MAX_WORK / (n_points * n_features))
    batch_size = max(1000, min(2 * n_points, affordable // max(n_batches, 1)))
    if n_samples is None:
        n_samples = max(20_000, min(max(100_000, 20 * n_points), affordable))
    scores = Scores(points, cost, sampler(4096), torch.float32)
    h = scores.offsets(potential)
    # Many fresh rows for the dual value, a block at a time.
    block = max(1, min(n_samples, 2**22 // n_features, 2**16))
    reduced = [
        _reduced_costs(scores, sampler(block), points, potential, h, cost).cpu() for _ in range(-(-n_samples // block))
    ]
    reduced = torch.cat(reduced)
    dual_value, dual_error = float(reduced.mean() + weights @ potential), float(reduced.std()) / math.sqrt(len(reduced))
    tail = 1 - (1 - confidence) / 2
    low = max(dual_value - float(stats.norm.ppf(tail)) * dual_error, 0.0)
    if n_batches == 0:
        return CostInterval(low, math.inf, confidence, dual_value)
    # How much more the coupling of a batch costs than its own dual value: a difference in which the chance that the
    # batch is far away cancels.
    gaps = []
    for _ in range(n_batches):
        x = sampler(batch_size)
        dual = float(_reduced_costs(scores, x, points, potential, h, cost).mean() + weights @ potential)
        gaps.append(_coupling_cost(scores, x, points, weights, h, cost) - dual)
    gaps = np.array(gaps)
    upper_error = math.hypot(dual_error, gaps.std(ddof=1) / math.sqrt(n_batches))
    high = dual_value + gaps.mean() + stats.t.ppf(tail, n_batches - 1) * upper_error
    return CostInterval(low, float(high), confidence, dual_value)


def _reduced_costs(scores, x, points, potential, h, cost):
    """c - ψ of the cell of each row."""
    index = scores.cells(scores.rows(x), h)
    return assignment_cost(x, points, index, cost).double() - potential[index]


def _coupling_cost(scores, x, points, weights, h, cost):
    """Cost of a coupling between the rows of x, equally weighted, and the points."""
    if len(x) * len(points) <= SMALL_PROBLEM:
        mass = np.full(len(x), 1 / len(x))
        return _transport(x.double().cpu(), mass, points.double().cpu(), weights.cpu().numpy(), cost)
    rows = scores.rows(x)
    h = _balance(scores, rows, weights, h)
    index = scores.cells(rows, h)
    costs = assignment_cost(x, points, index, cost).double()
    return float(costs.mean()) + _repair(scores, x, points, h, index, costs, weights, cost)


def _balance(scores, x, weights, h):
    """Offsets whose cells hold about the right masses of the rows of this batch."""
    if x.shape[1] <= MAX_FEATURES and scores.cost.power > 1:
        gap = max(float(top_gap(scores, x, h)), 1e-12)
        pool = Pool(scores, x, weights.cpu().numpy(), h.cpu().numpy())
        balanced = h.cpu().numpy()
        for epsilon in (0.4, 0.1):
            balanced, _ = pool.minimise(balanced, epsilon * gap, gap, tol=0.05, n_candidates=16)
        return torch.from_numpy(balanced).to(h.device)
    if len(x) * len(h) > MAX_TILE or len(h) == 1:
        return h
    base = scores.tile(x, torch.zeros_like(h))
    gap = top_gap(scores, x, h)
    epsilon = 0.5 * gap.to(base) + torch.finfo(base.dtype).tiny
    h = h.clone()
    for _ in range(N_BALANCE_STEPS):
        mass = torch.softmax(base.add(h.to(base.dtype)).div_(epsilon), 1).mean(0).double()
        h += gap * torch.log(weights / mass.clamp_min(1e-3 * weights.min())).clamp(-1, 1)
        epsilon = epsilon * 0.93
        gap = gap * 0.93
    return h


def _repair(scores, x, points, h, index, costs, weights, cost):
    """What it costs to bring the masses of an assignment of m rows to ``weights``."""
    n_rows = len(x)
    surplus = torch.bincount(index, minlength=len(weights)) / n_rows - weights
    candidates = (surplus[index] > 0).nonzero()[:, 0]
    if not len(candidates) or len(points) == 1:
        return 0.0
    # In each cell with a surplus the rows leave that have the least to lose, the last of them in part.
    order = best_gaps(scores, scores.rows(x[candidates]), h).argsort()
    order = order[index[candidates][order].argsort(stable=True)]
    candidates = candidates[order]
    cells = index[candidates]
    first = torch.searchsorted(cells, cells)
    rank = torch.arange(len(cells), device=x.device) - first
    moved = (surplus[cells] - rank / n_rows).clamp(0, 1 / n_rows)
    leaving, moved = candidates[moved > 0], moved[moved > 0]
    lacking = (surplus < 0).nonzero()[:, 0]
    value = _transport(
        x[leaving].double().cpu(),
        moved.cpu().numpy(),
        points[lacking].double().cpu(),
        -surplus[lacking].cpu().numpy(),
        cost,
    )
    return value - float(moved @ costs[leaving])


def _transport(x, mass, y, wanted, cost):
    """Cost of a plan between weighted rows: the exact one, or exact in slabs if it would be too large."""
    axis = int(y.var(0, correction=0).argmax())
    by_axis = [rows[:, axis].argsort().numpy() for rows in (x, y)]
    x, mass, y, wanted = x[by_axis[0]], mass[by_axis[0]], y[by_axis[1]], wanted[by_axis[1]]
    total = wanted.sum()
    ends = [np.concatenate([[0], part.cumsum() * (total / part.sum())]) for part in (mass, wanted)]
    value = 0.0
    n_slabs = max(1, math.ceil(math.sqrt(len(x) * len(y) / MAX_COSTS)))
    levels = np.linspace(0, total, n_slabs + 1)
    for low, high in pairwise(levels):
        # Rows and points on the edge of a slab belong to both, each with a part of its mass.
        parts = [np.clip(end[1:], low, high) - np.clip(end[:-1], low, high) for end in ends]
        rows, columns = (part > 0 for part in parts)
        a, b = parts[0][rows], parts[1][columns]
        plan = exact_plan(x[torch.from_numpy(rows)], y[torch.from_numpy(columns)], a / a.sum(), b / b.sum(), cost)
        value += plan.value * (high - low)
    return float(value)

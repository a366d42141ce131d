"""Confidence bounds of the squared cost, from potentials and a plan on rows that they have not seen."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from sklearn_ot.solvers.costs import COSTS, Cost
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.sparse_plan import SparsePlan, sparse_plan

# Rounding errors of a dual value, if the largest difference of numbers is 1.
ROUNDING = 1000 * np.finfo(np.float64).eps


class Side(NamedTuple):
    """One side of a transport problem.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, n_features)
        Independent rows, or all points of a discrete distribution.
    mass : ndarray of shape (n_samples,)
        Weights of the rows, with sum 1.
    values : ndarray of shape (n_samples,)
        A Kantorovich potential at the rows, in units of the squared cost, without a factor ½.
    is_sample : bool
        Whether the rows are a sample of the distribution, or the distribution itself.
    """

    rows: np.ndarray
    mass: np.ndarray
    values: np.ndarray
    is_sample: bool = True

    @classmethod
    def of(cls, rows: np.ndarray, mass: np.ndarray) -> "Side":
        """The rows with a positive mass, in float64, and values of 0."""
        used = mass > 0
        return cls(rows[used].astype(np.float64), mass[used], np.zeros(np.count_nonzero(used)))

    def at(self, index: np.ndarray) -> "Side":
        """Some of the rows, with masses whose sum is 1."""
        mass = self.mass[index]
        return Side(self.rows[index], mass / mass.sum(), self.values[index], self.is_sample)

    def in_unit(self, unit: float, power: float = 2.0) -> "Side":
        """The side in another unit of length; values have the unit of a cost of the given power."""
        return self._replace(rows=self.rows / unit, values=self.values / unit**power)

    def draw(self, n_rows: int, rng: np.random.RandomState) -> np.ndarray:
        """Numbers of at most ``n_rows`` rows, drawn without replacement; all points if the rows are no sample."""
        if self.is_sample and len(self.rows) > n_rows:
            return np.sort(rng.permutation(len(self.rows))[:n_rows])
        return np.arange(len(self.rows))

    def moments(self, terms: np.ndarray) -> tuple[float, float]:
        """Second and third moment of a sum over independent rows, from their terms; 0 for all points."""
        if not self.is_sample:
            return 0.0, 0.0
        return float(np.sum(terms**2)) * len(terms) / (len(terms) - 1), float(np.sum(terms**3))


class CostBounds(NamedTuple):
    """The result of `cost_bounds`; each number errs to one side with the given confidence, asymptotically.

    Attributes
    ----------
    value : float
        An unbiased estimate of the dual value.
    low, high : float
        A lower and an upper bound of the optimal cost.
    excess : float
        An upper bound of the optimal cost minus the dual value.
    plan_value : float
        The cost of the plan, which is too large on average, without a confidence.
    """

    value: float
    low: float
    high: float
    excess: float
    plan_value: float


def upper_error(confidence: float, n_rows: int, variance: float, third: float) -> float:
    """By how much a mean of so many rows is at most too small, from the second and third moment of its error.

    The quantile is that of Student's distribution. For a mean that is skewed to the right, whose large terms are rare,
    Hall's correction is added, see `cost_bounds`.
    """
    quantile = float(stats.t.ppf(confidence, n_rows - 1))
    if variance == 0:
        return 0.0
    # The third moment divided by the variance is a length. A power of a tiny variance could be 0.
    skewness = max(third, 0.0) / variance
    return math.sqrt(variance) * quantile + skewness * (1 + 2 * quantile**2) / 6


def sample_gap(source: Side, target: Side) -> float:
    """The squared cost of a plan between the rows of two sides, minus the dual value of these rows."""
    unit = _unit(source, target)
    source, target = source.in_unit(unit), target.in_unit(unit)
    plan = plan_between(source, target, COSTS["sqeuclidean"])
    return float(plan.value - source.mass @ source.values - target.mass @ target.values) * unit**2


def _unit(*sides):
    """The largest difference of numbers in a column of both sides, so that squares of costs are floats."""
    low = np.min([side.rows.min(axis=0) for side in sides], axis=0)
    high = np.max([side.rows.max(axis=0) for side in sides], axis=0)
    return float(np.max(high - low)) or 1.0


def plan_between(source: Side, target: Side, cost: Cost) -> SparsePlan:
    """A plan between the rows of two sides."""
    if cost.is_squared:
        return sparse_plan(source.rows, target.rows, source.mass, target.mass, source.values, target.values)
    plan = exact_plan(source.rows, target.rows, source.mass, target.mass, cost)
    return SparsePlan(plan.value, plan.potential.numpy(), plan.target_potential.numpy())


def cost_bounds(
    source: Side,
    target: Side,
    confidence: float,
    plan_size: int = 10_000,
    cost: Cost = COSTS["sqeuclidean"],
) -> CostBounds:
    r"""Bounds of the optimal squared cost between two distributions, from rows that the potentials have not seen.

    The dual value of potentials f and g with :math:`f(x) + g(y) \le \|x - y\|^2` is at most the optimal cost, and the
    mean over rows is an unbiased estimate of it,

    .. math:: D = E_P f(x) + E_Q\, g(y) \le W_2^2(P, Q), \qquad \hat D = \hat E f(x) + \hat E g(y) .

    The optimal cost is a supremum of functions that are linear in both distributions, so that it is convex in both. By
    Jensen's inequality, a plan between n rows of each side costs more on average than the optimal plan,

    .. math:: E\, W_2^2(P_n, Q_n) \ge W_2^2(P, Q) .

    The plan is that of a part of the rows, see `sklearn_ot.solvers.sparse_plan.sparse_plan`. The dual values of all
    rows and of this part are its control variate, :math:`\hat U = W_2^2(P_n, Q_n) - \hat D_n + \hat D`. Around its
    *mean*, the cost of a plan is asymptotically normal in every dimension, with the variance of the mean of its
    potentials [DelBarrio19]_. So the bounds are :math:`\hat D - t s_D`, :math:`\hat U + t s_U` and
    :math:`\hat U - \hat D + t s_{U - D}`, where t is the quantile of Student's distribution with the confidence, plus
    Hall's correction [Hall92]_ if the mean is skewed to the other side. The standard errors s come from the terms of
    the rows. The upper bounds are too large by the bias of the plan, of the order of :math:`n^{-2/d}`: without
    assumptions on the distributions no rule has a smaller order.

    Parameters
    ----------
    source, target : Side
        Both sides, with values of f and g.
    confidence : float
        Confidence of each of the three bounds.
    plan_size : int, default=10_000
        Largest number of rows of a sample in the plan.
    cost : Cost, default=EuclideanPower(2)
        Another cost, whose plan holds all pairs of rows in memory. The values of both sides are in its units.

    Returns
    -------
    bounds : CostBounds
        The bounds, in units of the cost.

    References
    ----------
    .. [DelBarrio19] E. del Barrio and J.-M. Loubes, "Central limit theorems for empirical transportation cost in
       general dimension", Annals of Probability, 2019.
    .. [Hall92] P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical Society B,
       1992.

    Examples
    --------
    The potentials of a shift by 1 are -1 - 2 x and 2 y, and the distance is 1.

    >>> import numpy as np
    >>> from sklearn_ot.solvers.gap import Side, cost_bounds
    >>> x, y = np.random.RandomState(0).standard_normal((2, 500, 1)) + [[[0.0]], [[1.0]]]
    >>> mass = np.full(500, 1 / 500)
    >>> bounds = cost_bounds(Side(x, mass, -2 * x[:, 0] - 1), Side(y, mass, 2 * y[:, 0]), 0.95)
    >>> bool(bounds.low < 1 < bounds.high)
    True
    """
    rng, unit = np.random.RandomState(0), _unit(source, target)
    sides = source, target = source.in_unit(unit, cost.power), target.in_unit(unit, cost.power)
    chosen = [side.draw(plan_size, rng) for side in sides]
    parts = [side.at(rows) for side, rows in zip(sides, chosen, strict=True)]
    plan = plan_between(*parts, cost)
    potentials = plan.potential, plan.target_potential
    value = gap = 0.0
    moments = np.zeros((3, 2))
    for side, part, rows, potential in zip(sides, parts, chosen, potentials, strict=True):
        differences = potential - part.values
        means = side.mass @ side.values, part.mass @ differences
        value, gap = value + means[0], gap + means[1]
        # Terms of the rows in both means; the upper bound is their sum.
        of_value, of_gap = side.mass * (side.values - means[0]), np.zeros(len(side.rows))
        of_gap[rows] = part.mass * (differences - means[1])
        moments += [side.moments(terms) for terms in (-of_value, of_value + of_gap, of_gap)]
    n_rows = [min(len(side.rows) for side in group if side.is_sample) for group in (sides, parts, parts)]
    errors = [upper_error(confidence, *part) for part in zip(n_rows, *moments.T, strict=True)]
    # Values are differences of squares, which are rounded. Rounding can also make the gap of a good potential negative.
    low, high, excess = value - errors[0] - ROUNDING, value + gap + errors[1], max(gap, 0.0) + errors[2] + ROUNDING
    ends = value, max(low, 0.0), max(high, 0.0), excess, plan.value
    return CostBounds(*(float(end) * unit**cost.power for end in ends))

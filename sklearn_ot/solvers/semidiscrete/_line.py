"""The exact solution for one feature, whose cells are intervals between quantiles of the source."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete._problem import Problem

# Number of rows for the quantiles of a source: their squared error is a quarter of the squared tolerance, within
# bounds.
MIN_ROWS, MAX_ROWS, ROWS_PER_ERROR = 2**16, 2**24, 4
# The largest probability below 1. Cumulative weights can round to 1, which has no quantile.
LARGEST_PROBABILITY = 1 - 2**-53
# Cumulative weights this near to a whole number of rows are equal to it up to rounding.
NEAR_ROW = 1e-6


def quantiles_of(problem: Problem) -> tuple[Callable[[Tensor], Tensor], int]:
    """The quantile function of the source, and the number of rows from which it was estimated."""
    source = problem.source
    if source.quantile is not None:
        return source.quantile, 0
    wanted = math.ceil(ROWS_PER_ERROR * problem.mass_test.rarity / problem.tol**2)
    rows = (source.quasi_sample or source.sample)(min(problem.max_samples, MAX_ROWS, max(MIN_ROWS, wanted)))
    return sample_quantile(rows), len(rows)


def line_potential(points: Tensor, weights: Tensor, cost: Cost, quantile: Callable[[Tensor], Tensor]) -> Tensor:
    r"""Compute the exact potential of points with one feature.

    For a convex cost of x - y the optimal plan is monotone: the cells of sorted points are consecutive intervals, whose
    ends :math:`b_i` are the quantiles of the cumulative weights. At each end two points are equally good:

    .. math:: \psi_{i+1} - \psi_i = c(b_i, y_{i+1}) - c(b_i, y_i)

    Parameters
    ----------
    points : Tensor of shape (N, 1)
        The points, all different.
    weights : Tensor of shape (N,)
        Their masses.
    cost : Cost
        The cost, convex in x - y.
    quantile : callable
        The quantile function of the source, of a float64 tensor of probabilities in (0, 1).

    Returns
    -------
    potential : Tensor of shape (N,)
        float64, up to a constant.
    """
    order = points[:, 0].argsort()
    y = points[order, 0].double()
    ends = quantile(weights[order].cumsum(0)[:-1].clamp(max=LARGEST_PROBABILITY))
    left, right = y[:-1] - ends, y[1:] - ends
    if cost.is_squared:
        # A difference of the squares of far points would lose digits.
        steps = (right - left) * (right + left)
    else:
        steps = cost.value(right[:, None]) - cost.value(left[:, None])
    potential = torch.zeros(len(y), dtype=torch.float64, device=y.device)
    potential[order[1:]] = steps.cumsum(0)
    return potential


def sample_quantile(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """The quantile function of a sample, with the mean of two rows for a probability between them."""
    rows = rows[:, 0].double().sort().values

    def quantile(probability):
        position = probability * len(rows)
        is_near = (position - position.round()).abs() < NEAR_ROW
        below = torch.where(is_near, position.round() - 1, position.floor()).long().clamp(0, len(rows) - 1)
        above = torch.where(is_near, position.round(), position.floor()).long().clamp(0, len(rows) - 1)
        return (rows[below] + rows[above]) / 2

    return quantile

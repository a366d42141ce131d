"""The soft phase: Sinkhorn's algorithm with a falling temperature, which reduces the error to about a half."""

import math

import numpy as np
import torch
from sklearn.covariance import shrunk_covariance
from torch import Tensor

from sklearn_ot.solvers.gaussian import gaussian_map
from sklearn_ot.solvers.semidiscrete._problem import LOCATION_ROWS, Problem, State
from sklearn_ot.solvers.semidiscrete._units import SUM_BLOCK_ROWS

# Number of rows of the first step, whose temperature is so high that few rows show all masses, and largest number of
# rows of the last step, which has one for each point.
FIRST_BATCH, MAX_LAST_BATCH = 256, 4096
# Number of steps: three for each halving of the temperature with the squared cost, whose start is good for nearly
# normal distributions; with other costs the largest number.
STEPS_PER_HALVING, MIN_STEPS, MAX_STEPS = 3, 4, 40
# The first temperature, in units of the standard deviation of the scores of a row.
FIRST_TEMPERATURE = 1 / 2
# Smallest temperature and gap of this phase, in units of the scores.
LEAST_TEMPERATURE = 1e-9
# Smallest mass in a step, as a fraction of the smallest weight, and largest change of an offset, in temperatures.
LEAST_MASS, MAX_CHANGE = 1e-3, 1.0
# Typical error after the phase.
EXPECTED_ERROR = 0.5
# Smallest number of points for each feature in a covariance, and largest number of features, which takes a second.
POINTS_PER_FEATURE, MAX_MOMENT_FEATURES = 4, 1024


def soft(problem: Problem) -> State:
    r"""Maximise the softened dual, while the temperature ε falls from the spread of the scores to their gap.

    .. math:: h_i \leftarrow h_i + \varepsilon \log(\nu_i / m_i), \qquad
        m_i = E_x\, \mathrm{softmax}_i(s(x) / \varepsilon)

    This is the step of Sinkhorn's algorithm, which does not depend on units and needs no step size. With a large ε the
    masses are smooth, and few rows are enough to estimate all of them. When ε is equal to the gap, about one row for
    each point is needed.

    Parameters
    ----------
    problem : Problem
        The problem.

    Returns
    -------
    state : State
        The state at the end of the phase, which starts at the map between Gaussians.
    """
    rows, weights = problem.rows, problem.weights
    offsets = moment_offsets(problem)
    x = rows.even_sample(FIRST_BATCH)
    n_rows = len(x)
    spread, gap = FIRST_TEMPERATURE * mean_deviation(rows, x, offsets), rows.tiles.mean_gap(x, offsets)
    n_steps = number_of_steps(problem, float(spread / gap.clamp_min(LEAST_TEMPERATURE)))
    last_batch = max(FIRST_BATCH, min(len(weights), MAX_LAST_BATCH))
    for step in range(n_steps):
        done = step / n_steps
        batch = int(FIRST_BATCH * (last_batch / FIRST_BATCH) ** done)
        x = rows.even_sample(rows.n_for(batch))
        n_rows += len(x)
        gap = rows.tiles.updated_gap(gap, x, offsets)
        epsilon = spread ** (1 - done) * gap**done + LEAST_TEMPERATURE
        (mass,) = rows.soft_masses(x, offsets, epsilon[None])
        offsets = offsets + epsilon * logarithmic_change(weights, mass)
    return State(offsets, gap, EXPECTED_ERROR, n_rows)


def logarithmic_change(weights: Tensor, mass: Tensor) -> Tensor:
    """The step of Sinkhorn's algorithm, in units of the temperature and limited to `MAX_CHANGE`."""
    return torch.log(weights / mass.clamp_min(LEAST_MASS * weights.min())).clamp(-MAX_CHANGE, MAX_CHANGE)


def mean_deviation(rows, x: Tensor, offsets: Tensor) -> Tensor:
    """The mean over the rows x of the standard deviation of their scores, float64."""
    scores = torch.cat([rows.units.scores(x[part], offsets) for part in rows.tiles.slices(len(x))])
    return scores.std(1).mean().double()


def number_of_steps(problem: Problem, ratio: float) -> int:
    """Number of steps in which the temperature falls by a ratio."""
    if not problem.cost.is_squared:
        return MAX_STEPS
    return min(MAX_STEPS, max(MIN_STEPS, math.ceil(STEPS_PER_HALVING * math.log2(ratio + LEAST_TEMPERATURE))))


def moment_offsets(problem: Problem) -> Tensor:
    r"""Offsets of the map between Gaussians with the moments of both sides; 0 if the cost is not the squared one.

    The cells of :math:`h_i = -\frac12 y_i' A y_i` approximate the gradient of the convex conjugate of this quadratic. A
    is the matrix of the Gaussian map from the points to the source. With few points for a covariance, it is a multiple
    of I.
    """
    rows, points = problem.rows, problem.rows.units.points
    n_points, n_features = points.shape
    offsets = torch.zeros(n_points, dtype=torch.float64, device=points.device)
    if not problem.cost.is_squared:
        return offsets
    if n_points < POINTS_PER_FEATURE * n_features or n_features > MAX_MOMENT_FEATURES:
        offsets[:] = -points.double().square().sum(1) / 2
        return offsets
    if problem.source.is_normal:
        covariance = np.eye(n_features) / rows.units.source_width**2
    else:
        covariance = weighted_covariance(rows.sample(LOCATION_ROWS))
    mean = (problem.weights @ points.double()).to(points)
    zero = np.zeros(n_features)
    linear = gaussian_map(zero, weighted_covariance(points, problem.weights), zero, covariance).linear
    linear = torch.from_numpy(linear).to(points)
    for block, part in zip(points.split(SUM_BLOCK_ROWS), offsets.split(SUM_BLOCK_ROWS), strict=True):
        centred = block - mean
        part.copy_(-((centred @ linear) * centred).sum(1).double() / 2)
    return offsets


def weighted_covariance(rows: Tensor, weights: Tensor | None = None) -> np.ndarray:
    """The covariance of weighted rows, shrunk towards a multiple of I; more so for few rows of many features."""
    n_rows, n_features = rows.shape
    weights = torch.full((n_rows,), 1 / n_rows, dtype=rows.dtype, device=rows.device) if weights is None else weights
    weights = weights.to(rows)[:, None]
    mean = weights[:, 0] @ rows
    covariance = torch.zeros(n_features, n_features, dtype=torch.float64, device=rows.device)
    for block, weight in zip(rows.split(SUM_BLOCK_ROWS), weights.split(SUM_BLOCK_ROWS), strict=True):
        centred = block - mean
        covariance += (weight * centred).T @ centred
    return shrunk_covariance(covariance.cpu().numpy(), n_features / (n_features + n_rows))

"""The average phase: natural gradient steps on the dual, and the average of their results."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_ot.solvers.semidiscrete._orthonormal import OrthonormalRows
from sklearn_ot.solvers.semidiscrete._problem import TINY, Problem, State

# Effective rows of a step: four for each point, within these bounds, and later the number of rows so far divided by 20.
ROWS_PER_POINT, MIN_BATCH, MAX_BATCH, BATCHES_SO_FAR = 4, 2048, 4096, 20
# The largest number of rows of a step, in blocks of workers, if these are more than the bound above. It does not depend
# on the number of workers.
BLOCKS_PER_STEP = 8
# The first step size, in units of gap / mass, is twice the squared error divided by the variance of the masses of a
# step.
# It is at most a half: a step then corrects about half of the error of a mass, and does not overshoot although the
# neighbouring cells change too.
RATE_PER_ERROR, MAX_RATE = 2, 0.5
# Exponents of the step size and of the weight of an iterate in the average, as powers of the number of rows. For p = 1
# cells are thin rays. Large steps then leave a bias in the average, and small steps take long, so that the average must
# give early iterates little weight.
DECAY, RECENCY = 0.7, 0.5
DECAY_OF_DISTANCE, RECENCY_OF_DISTANCE = 0.85, 2
# Number of rows at which the schedule starts: four for each point at the first step size, and at least 20 batches.
POINTS_BEFORE, BATCHES_BEFORE = 4, 20
# A mass counts as this many times its weight and this many rows at most. Larger masses are rare near the solution.
# Far from it, they would decrease the offset of a light cell so much in one step that many steps are needed to undo it.
MAX_MASS, MAX_MASS_ROWS = 2, 3
# From this number of features on, softened masses save more time by their small variance than their exponentials take.
# These take as long as scores with 100 features. Orthonormal rows are cheaper than both.
SMOOTH_FEATURES = 256
# Number of rows for each point up to which the kernel is as wide as the gap.
KERNEL_ROWS = 50
# Power of the number of rows with which the width falls then. The bias is of the fourth order in the width, so that it
# falls like the inverse of the number of rows, faster than the noise.
KERNEL_DECAY = 1 / 4
# The error, in units of that of counting as many effective rows, with kernel estimates and without. Measured.
SMOOTH_ERROR, COUNTED_ERROR = 0.75, 1.15
# Ratios of the rows between two states for the callback, and between two tests.
REPORT_RATIO, TEST_RATIO = 1.1, 1.3


@dataclass
class Place:
    """The place of the phase between two steps.

    Attributes
    ----------
    offsets, gap : Tensor
        The offsets and the gap of the last step.
    mean : Tensor of shape (N,)
        The average of the offsets.
    total : float
        The sum of the weights of the average.
    used, seen : int, float
        Number of rows of this phase, and of effective rows.
    next_report, next_test : float
        Numbers of rows at which the next state and the next test are due.
    """

    offsets: Tensor
    gap: Tensor
    mean: Tensor
    total: float = 0.0
    used: int = 0
    seen: float = 0
    next_report: float = 0
    next_test: float = 0

    @classmethod
    def at(cls, state: State) -> "Place":
        """The place at which the phase begins."""
        return cls(state.offsets, state.gap, state.offsets)


def average(
    problem: Problem, state: State, place: Place | None = None, after_step: Callable[[], None] | None = None
) -> Iterator[State]:
    r"""Averages of natural steps on the dual itself.

    .. math:: h_i \leftarrow h_i + \eta_n \, \frac{\gamma}{\nu_i} (\nu_i - m_i)

    If the offset of a cell changes by the mean gap γ, its mass changes by about all of it; so η is a number of about 1
    in any units. The first η makes the noise of a step equal to the error of the start. It falls as :math:`n^{-0.7}`
    with the number n of rows (faster for p = 1). The average [Polyak92]_ weighs an iterate by the root of the number of
    rows so far (by its square for p = 1).

    In many dimensions, if rows are not orthonormal, the masses m are not counts but kernel estimates, which have much
    less variance: the softmax at two widths, combined so that the leading term of the bias cancels,

    .. math:: m = \tfrac43 m_\varepsilon - \tfrac13 m_{2 \varepsilon}, \qquad
        \varepsilon = \gamma \min(1, (50 N / n)^{1/4})

    Parameters
    ----------
    problem : Problem
        The problem.
    state : State
        The start; its error sets the first step size.
    place : Place, default=None
        Where the phase goes on if it was ended; changed in place.
    after_step : callable, default=None
        It is called after each step and the test that follows from it.

    Yields
    ------
    state : State
        The average, at intervals, until ``problem.max_samples`` rows are used. Its error is finite if a test is due.

    References
    ----------
    .. [Polyak92] B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
       Journal on Control and Optimization, 1992.
    """
    rows = problem.rows
    factor = (SMOOTH_ERROR if is_smooth(problem) else COUNTED_ERROR) / math.sqrt(rows.effective_rows)
    place = place or Place.at(state)
    for used in averages(problem, state, place):
        expected, n_rows = factor * problem.expected_error(used), state.n_rows + used
        is_last = n_rows >= problem.max_samples
        is_due = used >= place.next_test and expected <= problem.tol and not is_last
        if is_due or is_last or used >= place.next_report:
            place.next_report = used * REPORT_RATIO if used >= place.next_report else place.next_report
            place.next_test = used * TEST_RATIO if is_due else place.next_test
            yield State(place.mean, place.gap, expected if is_due else math.inf, n_rows)
        if is_last:
            return
        if after_step is not None:
            after_step()


def averages(problem: Problem, state: State, place: Place):
    """Take steps from a place, without end, and yield the number of rows after each of them."""
    rows, weights = problem.rows, problem.weights
    n_points, smooth = len(weights), is_smooth(problem)
    decay, recency = (DECAY, RECENCY) if problem.cost.power > 1 else (DECAY_OF_DISTANCE, RECENCY_OF_DISTANCE)
    largest = largest_batch(problem)
    batch = min(largest, max(MIN_BATCH, ROWS_PER_POINT * n_points))
    rate = min(MAX_RATE, RATE_PER_ERROR * state.error**2 * batch / n_points)
    before = max(POINTS_BEFORE * n_points / rate ** (1 / decay), BATCHES_BEFORE * batch)
    while True:
        offsets, seen = place.offsets, place.seen
        x = rows.sample(rows.n_for(min(largest, max(batch, seen // BATCHES_SO_FAR))))
        size = len(x) * rows.effective_rows
        place.used, place.seen = place.used + len(x), seen + size
        seen = place.seen
        place.gap = gap = rows.tiles.updated_gap(place.gap, x, offsets)
        step = gap * rate * (before / (before + seen)) ** decay
        if smooth:
            width = min(1.0, (KERNEL_ROWS * n_points / (before + seen)) ** KERNEL_DECAY)
            mass = kernel_masses(rows, x, offsets, width * gap + TINY)
            # Softened masses change less with the offsets, so the step is larger.
            step = step * (1 + 2 * width)
        else:
            mass = rows.masses(x, offsets)
        place.offsets = offsets + step * (1 - mass.clamp_max(MAX_MASS * weights + MAX_MASS_ROWS / size) / weights)
        weight = size * seen**recency
        place.total += weight
        place.mean = place.mean + (place.offsets - place.mean) * (weight / place.total)
        yield place.used


def largest_batch(problem: Problem) -> float:
    """The largest number of effective rows of a step."""
    if not problem.rows.tiles.has_blocks:
        return MAX_BATCH
    in_blocks = BLOCKS_PER_STEP * problem.rows.tiles.block_rows * problem.rows.effective_rows
    return max(MAX_BATCH, min(ROWS_PER_POINT * len(problem.weights), in_blocks))


def kernel_masses(rows, x, offsets, epsilon):
    """Softened masses at two temperatures, combined so that the leading term of the bias cancels."""
    near, far = rows.soft_masses(x, offsets, torch.stack([epsilon, 2 * epsilon]))
    return (4 * near - far) / 3


def is_smooth(problem: Problem) -> bool:
    """Whether the phase uses kernel estimates of the masses."""
    return problem.points.shape[1] >= SMOOTH_FEATURES and not isinstance(problem.rows, OrthonormalRows)

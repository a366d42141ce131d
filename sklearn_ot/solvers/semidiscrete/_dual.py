"""The driver of the solver, which chooses the phases and ends the fit."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.semidiscrete._assignment import distinct
from sklearn_ot.solvers.semidiscrete._line import line_potential, quantiles_of
from sklearn_ot.solvers.semidiscrete._log import SolverLog
from sklearn_ot.solvers.semidiscrete._masses import MIN_COARSE_ROWS, read_weights
from sklearn_ot.solvers.semidiscrete._newton import newton
from sklearn_ot.solvers.semidiscrete._problem import LOCATION_ROWS, Problem, State
from sklearn_ot.solvers.semidiscrete._soft import soft
from sklearn_ot.solvers.semidiscrete._workers import Workers
from sklearn_ot.solvers.sources import CountedDraws, Source, read_source

# Largest number of source rows: the first number, plus the second divided by the squared tolerance for each point.
DEFAULT_ROWS, DEFAULT_ROWS_PER_ERROR = 2**20, 8
# Largest number of rows in the test of a start, times the mean of 1 / weight.
START_ROWS_PER_MASS = 8
# If the error of a start is larger, the fit begins with the soft phase, which does not use the start. This phase takes
# little time and ends with an error of about 0.5, so that a start with a larger error has little to offer.
GOOD_START = 0.7
# The precision of scores in float32 is about 1e-7 of their spread: smaller gaps, in units of the scores, need float64.
FINE_GAP = 1e-5


class SemiDiscreteSolution(NamedTuple):
    """The result of `semidiscrete_dual`.

    Attributes
    ----------
    potential : Tensor of shape (N,)
        ψ, float64, in units of the cost, with a weighted mean of 0. The cell of x is
        :math:`\\arg\\min_i c(x, y_i) - \\psi_i`.
    mass_error : float
        The root mean square relative error of the masses of the cells,
        :math:`(\\frac1N \\sum_i (P(\\text{cell}_i) / \\nu_i - 1)^2)^{1/2}`, estimated from fresh rows. The estimate of
        its square is unbiased; if it is negative, the error is 0. Very light cells are left out of this mean and of the
        next two numbers: those whose test would need more than 2²⁰ rows, and more than eight times as many as with
        equal weights.
    mass_error_floor : float
        :math:`(\\frac1N \\sum_i 1 / \\nu_i / n)^{1/2}`, with equal weights :math:`\\sqrt{N / n}`: the error of masses
        that are counted on ``n_samples`` independent rows. Quasi-random rows, kernel estimates and exact quantiles can
        have a smaller error.
    n_empty : int
        Number of cells without a fresh row, although at least 10 were expected. If ``max_samples`` does not allow as
        many fresh rows, no cell is counted.
    n_samples : int
        Number of source rows in the fit, without those of tests.
    converged : bool
        Whether ``mass_error`` is at most ``tol`` and no cell is empty.
    """

    potential: Tensor
    mass_error: float
    mass_error_floor: float
    n_empty: int
    n_samples: int
    converged: bool


def default_max_samples(n_points: int, tol: float) -> int:
    """The largest number of source rows if the user sets none: several times the rows that most problems need."""
    return DEFAULT_ROWS + math.ceil(DEFAULT_ROWS_PER_ERROR * n_points / tol**2)


@in_own_settings
@torch.no_grad()
def semidiscrete_dual(
    source: Source | str,
    points: Tensor,
    weights: Tensor | None = None,
    *,
    cost: str | float | Cost = "sqeuclidean",
    tol: float = 0.05,
    max_samples: int | None = None,
    start: Tensor | None = None,
    generator: torch.Generator | None = None,
    n_jobs: int | None = None,
    callback: Callable[[Tensor, int], bool | None] | None = None,
    part: Any = None,
) -> SemiDiscreteSolution:
    r"""The potential of the optimal transport from a source that can be sampled to weighted points.

    .. math:: \max_\psi E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i

    The problem is concave, its gradient is :math:`\nu_i - P(\text{cell}_i)`, and the optimal plan sends each x to the
    point of its cell, :math:`\arg\min_i c(x, y_i) - \psi_i` [Genevay16]_, [Kitagawa19]_.

    * With one feature the potential is exact, from the quantiles of the source.
    * Otherwise the potential starts at that of the map between Gaussians with the moments of both sides (for the
      squared cost, else at 0), followed by steps of Sinkhorn's algorithm with a falling temperature.
    * In two and three dimensions the last steps are those of Newton's method on growing pools of rows. With
      quasi-random rows, which "normal" and "uniform" have, the error becomes far smaller than that of counts of
      independent rows.
    * In more dimensions, and if Newton's method does not reach the tolerance, the last steps are averaged natural
      steps. For the squared cost, the rows of "normal" are orthonormal rows, each of which is used 26 times, after
      reflections and with both signs. All these rows are normal, and fill space more evenly than independent rows. For
      other rows with 256 features or more, masses are estimated by kernels.

    If all data are multiplied by a number, the potential is multiplied by its power, and nothing else changes. Equal
    points are one point with the sum of their weights.

    Parameters
    ----------
    source : Source or {"normal", "uniform"}
        The source, with rows on the device of ``points``; or the name of N(0, I) or of the uniform distribution on the
        unit cube. See `sklearn_ot.solvers.sources`.
    points : Tensor of shape (N, d)
        The points.
    weights : Tensor of shape (N,), default=None
        Masses of the points, positive and with sum 1; all equal if None.
    cost : {"sqeuclidean", "euclidean", "cityblock"}, float or Cost, default="sqeuclidean"
        The cost c(x, y); a number p ≥ 1 is :math:`|x - y|^p` with the Euclidean norm. See `sklearn_ot.solvers.costs`.
    tol : float, default=0.05
        The solver stops when the error of the masses is at most this.
    max_samples : int, default=None
        Number of source rows after which the fit ends; :math:`2^{20} + 8 N / \mathrm{tol}^2` if None, several times the
        number that most problems need. The first phase, of some ten thousand rows, and a pool of Newton's method are
        always finished.
    start : Tensor of shape (N,), default=None
        A potential at which the fit starts. With a good one the first phase is skipped; one that satisfies ``tol`` is
        returned.
    generator : torch.Generator, default=None
        Generator of the named sources.
    n_jobs : int, default=None
        Number of workers that count masses, on the CPU, through joblib and its active backend; -1 is one for each
        processor. Each worker and everything else uses one thread, and the number of workers changes no bit of the
        result. With None all is computed in this process with torch's threads, unless `joblib.parallel_config` sets a
        number above 1.
    callback : callable, default=None
        ``callback(potential, n_samples)`` is called at intervals with the present result. If it returns True, the
        solver ends.
    part : Part, default=None
        The solution as a part of a fit with a checkpoint, see `sklearn_ot.checkpoints`. The solver goes on with what
        the part has stored, if the arguments are the same and the source gives the same rows again.

    Returns
    -------
    solution : SemiDiscreteSolution
        The potential and its error.

    Raises
    ------
    ValueError
        If the shapes of the arguments differ, or an argument is unusable.

    Notes
    -----
    With "cityblock", and with "euclidean" for one feature, the costs to two points can differ by the same number on a
    set of positive mass. No potential divides such a set between the two points: the dual value is then right, but the
    masses may be wrong.

    References
    ----------
    .. [Genevay16] A. Genevay, M. Cuturi, G. Peyré and F. Bach, "Stochastic optimization for large-scale optimal
       transport", NeurIPS 2016.
    .. [Kitagawa19] J. Kitagawa, Q. Mérigot and B. Thibert, "Convergence of a Newton algorithm for semi-discrete
       optimal transport", Journal of the European Mathematical Society, 2019.

    Examples
    --------
    The quantiles 1/3 and 2/3 of the uniform distribution divide the line between three points.

    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import assign, semidiscrete_dual
    >>> points = torch.tensor([[0.0], [5.0], [6.0]])
    >>> solution = semidiscrete_dual("uniform", points)
    >>> assign(torch.tensor([[0.33], [0.34], [0.66], [0.67]]), points, solution.potential).tolist()
    [0, 1, 1, 2]
    """
    _check_arguments(points, tol, start)
    cost, source, weights = read_cost(cost), read_source(source, points, generator), read_weights(weights, points)
    kept, group = distinct(points)
    if kept is not None:
        weights = torch.zeros(len(kept), dtype=weights.dtype, device=weights.device).index_add_(0, group, weights)
        points, start = points[kept], None if start is None else start[kept]
    max_samples = max_samples or default_max_samples(len(points), tol)
    draws = CountedDraws(source)
    if part and part.is_done:
        draws.repeat(part.content["draws"])
        solution = part.content["solution"]
        return SemiDiscreteSolution(**{**solution, "potential": solution["potential"].to(points.device)})
    with Workers(n_jobs, points.device) as workers:
        problem = Problem(draws.source, points, weights, cost, tol, max_samples, workers=workers)
        solution = _Fit(problem, callback, group, SolverLog(part, draws)).run(start)
    if part:
        part.finish({"draws": draws.runs, "solution": solution._asdict()})
    return solution


class _Fit:
    """One fit, which runs the phases, reports their states to the callback, and tests them."""

    def __init__(self, problem: Problem, callback, group, log):
        self.problem, self.callback, self.group, self.log = problem, callback, group, log
        self.ended = False

    def run(self, start):
        """Run the phases, and return the solution of the first one that reaches the tolerance, or of the last one."""
        problem = self.problem
        if len(problem.points) == 1:
            return self.solution(State(torch.zeros_like(problem.weights), None, 0.0, 0))
        if problem.points.shape[1] == 1:
            return self.line()
        if self.log.stored:
            self.problem, state, place = self.log.go_on(problem)
            return self.follow(partial(self.log.average, place=place), state)[1]
        state, solution = self.first_state(start)
        if solution is not None and solution.converged:
            return solution
        if state.error < GOOD_START:
            rows = problem.rows.sample(LOCATION_ROWS)
            state = state._replace(gap=problem.rows.tiles.mean_gap(rows, state.offsets))
        else:
            state = soft(problem)
            if state.gap < FINE_GAP:
                problem = self.problem = replace(problem, dtype=torch.float64)
        # For p = 1 the dual has ridges, on which a quadratic model is of no use.
        if problem.has_few_features and problem.cost.power > 1:
            last, solution = self.follow(newton, state)
            if solution.converged or self.ended:
                return solution
            if solution.mass_error < state.error:
                state = state._replace(offsets=last.offsets, error=max(solution.mass_error, problem.tol))
            state = state._replace(n_rows=last.n_rows)
        return self.follow(self.log.average, state)[1]

    def line(self):
        """Return the solution for one feature."""
        problem = self.problem
        quantile, n_rows = quantiles_of(problem)
        potential = line_potential(problem.points, problem.weights, problem.cost, quantile)
        state = State(problem.rows.units.offsets(potential), None, 0.0, n_rows)
        self.report(state)
        # With exact quantiles and p > 1 the masses are exact and need no test.
        return self.solution(state) if n_rows == 0 and problem.cost.power > 1 else self.tested(state)

    def first_state(self, start):
        """Test a start; return its state (error 1 if the start is None), and its solution if it may be good enough."""
        problem, rows = self.problem, self.problem.rows
        if start is None:
            return State(None, None, 1.0, 0), None
        offsets = rows.units.offsets(start)
        n_test = max(START_ROWS_PER_MASS * problem.mass_test.rarity, MIN_COARSE_ROWS)
        n_test = min(n_test, problem.mass_test.n_coarse_rows)
        state = State(offsets, None, problem.mass_test(rows, offsets, n_test)[0], 0)
        if state.error > problem.tol:
            return state, None
        solution = self.tested(state)
        # The step sizes of the next phase need an error that is not 0.
        return state._replace(error=max(solution.mass_error, problem.tol)), solution

    def follow(self, phase, state):
        """Run a phase until a test confirms the tolerance, and return its last state and solution."""
        last, solution = state, None
        for last in phase(self.problem, state):
            solution = None
            if self.report(last):
                break
            if last.error <= self.problem.tol:
                solution = self.tested(last)
                if solution.converged:
                    break
        return last, solution or self.tested(last, is_candidate=False)

    def report(self, state):
        """Call the callback, and store whether it ends the fit."""
        self.ended = self.callback is not None and bool(self.callback(self.potential(state), state.n_rows))
        return self.ended

    def tested(self, state, *, is_candidate=True):
        """Test a state, and return its solution; a state that is no candidate for ``tol`` is tested on fewer rows."""
        rows, test = self.problem.rows, self.problem.mass_test
        n_test = test.n_rows
        if not is_candidate:
            # The user may allow fewer rows than a test of empty cells needs.
            n_fewer = min(test.n_fewer_rows, max(self.problem.max_samples, test.n_coarse_rows))
            n_test = max(min(n_test, state.n_rows * rows.effective_rows), n_fewer)
        error, n_empty = test(rows, state.offsets, n_test)
        return self.solution(state._replace(error=error), n_empty)

    def solution(self, state, n_empty=0):
        """Make the solution of a state with a measured error."""
        return SemiDiscreteSolution(
            potential=self.potential(state),
            mass_error=state.error,
            mass_error_floor=self.problem.expected_error(state.n_rows),
            n_empty=n_empty,
            n_samples=state.n_rows,
            converged=state.error <= self.problem.tol and n_empty == 0,
        )

    def potential(self, state):
        """The potential at all points, including equal ones."""
        potential = self.problem.rows.units.potential(state.offsets, self.problem.weights)
        return potential if self.group is None else potential[self.group]


def _check_arguments(points, tol, start):
    if points.ndim != 2 or not len(points):
        raise ValueError(f"points must have shape (N, d) with N >= 1, got {tuple(points.shape)}.")
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol!r}.")
    if start is not None and start.shape != (len(points),):
        raise ValueError(f"start must have one number per point, shape ({len(points)},), got {tuple(start.shape)}.")

"""The semi-discrete dual: which ascent, how long, and how good the result is."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from sklearn.covariance import shrunk_covariance
from torch import Tensor

from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.gaussian import gaussian_map
from sklearn_ot.solvers.semidiscrete import _newton
from sklearn_ot.solvers.semidiscrete._ascent import is_smooth, natural_ascent, soft_ascent, top_gap
from sklearn_ot.solvers.semidiscrete._line import line_potential, sample_quantile
from sklearn_ot.solvers.semidiscrete._scores import Scores, distinct
from sklearn_ot.solvers.sources import Source, read_source

MOMENT_ROWS, MAX_MOMENT_FEATURES = 4096, 1024
MAX_LINE_ROWS = 2**24
CHECK_RATIO = 1.3
# A test of the masses takes more rows than this only where equal weights need more than an eighth of it.
MIN_TEST_ROWS, MAX_TEST_ROWS = 2**13, 2**20
# A start whose error is larger is improved by the soft phase first.
GOOD_START = 0.7
# float32 resolves the scores to about 1e-7 of their spread.
FINE_GAP = 1e-5


class SemiDiscreteSolution(NamedTuple):
    """What `semidiscrete_dual` returns.

    Attributes
    ----------
    potential : Tensor of shape (N,)
        ψ, float64, in the units of the cost, with a weighted mean of zero; cells are :math:`\\arg\\min_i c(x, y_i) -
        \\psi_i`.
    mass_error : float
        Estimate from fresh rows, unbiased before its root is taken, of the root mean square relative error of the
        masses of the cells, :math:`(\\frac1N \\sum_i (P(\\text{cell}_i) / \\nu_i - 1)^2)^{1/2}`. 0 if the fresh rows
        can't tell it from 0. Cells so light that a test would take over 2²⁰ rows to see their masses, and over eight
        times as many as for equal weights, are left out of this mean and of the next two numbers.
    mass_error_floor : float
        :math:`(\\frac1N \\sum_i 1 / \\nu_i / n)^{1/2}`, with equal weights :math:`\\sqrt{N / n}`: the error of the best
        that counting ``n_samples`` independent rows can do. Below it is what quasi-random rows, kernel estimates or
        exact quantiles have gained.
    n_empty : int
        Cells that no fresh row fell into, though 20 or more were to be expected.
    n_samples : int
        Source rows used for the fit; those of the tests come on top.
    converged : bool
        Whether ``mass_error`` is at most ``tol`` and no cell is empty.
    """

    potential: Tensor
    mass_error: float
    mass_error_floor: float
    n_empty: int
    n_samples: int
    converged: bool


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
    callback: Callable[[Tensor, int], bool | None] | None = None,
) -> SemiDiscreteSolution:
    r"""The potential of the optimal transport from a source one can sample to weighted points.

    .. math:: \max_\psi E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i

    It is concave, its gradient is :math:`\nu_i - P(\text{cell}_i)`, and the optimal plan sends each x to the point of
    its cell, :math:`\arg\min_i c(x, y_i) - \psi_i` [Genevay16]_, [Kitagawa19]_.

    * On a line the potential is exact, from the quantiles of the source.
    * Otherwise it starts at the map between Gaussians with the moments of both sides (squared cost; else at 0), and
      steps of Sinkhorn's algorithm with a falling temperature bring it near.
    * In two and three dimensions Newton's method on growing pools of rows finishes it. With quasi-random
      rows, which the sources with a name have, this goes far below the error of counting independent rows.
    * In more, and where the pool was not enough, averaged natural steps do. Rows of "normal" are made orthogonal, and
      taken 26 times, turned into others: all of these are normal, and fill space more evenly than independent ones
      (squared cost). Of other rows with 256 features or more, kernel estimates of the masses are taken.

    Multiplying all data by a number multiplies the potential by its power and changes nothing else. Points that are
    exactly equal are one point with the sum of their weights.

    Parameters
    ----------
    source : Source or {"normal", "uniform"}
        What is transported, with rows on the device of ``points``; or the name of N(0, I) or of the uniform
        distribution on the unit cube. See `sklearn_ot.solvers.sources`.
    points : Tensor of shape (N, d)
        The points.
    weights : Tensor of shape (N,), default=None
        Their masses, positive, with sum 1; all equal if None.
    cost : {"sqeuclidean", "euclidean", "cityblock"} or float, default="sqeuclidean"
        c(x, y); a number p ≥ 1 is :math:`|x - y|^p` with the Euclidean norm.
    tol : float, default=0.05
        The solver stops as soon as the error of the masses is at most this.
    max_samples : int, default=None
        Source rows after which the fit ends; :math:`2^{20} + 8 N / \mathrm{tol}^2` if None, several times what most
        problems need. The first phase, of some ten thousand rows, and a pool that was begun are not cut short.
    start : Tensor of shape (N,), default=None
        A potential to go on from; a good one skips the first phase, one that is good enough is returned at once.
    generator : torch.Generator, default=None
        For the sources with a name.
    callback : callable, default=None
        ``callback(potential, n_samples)`` is called from time to time with the result so far; if it returns True, the
        solver ends.

    Returns
    -------
    solution : SemiDiscreteSolution
        The potential and how good it is.

    Raises
    ------
    ValueError
        If the arguments do not fit each other.

    Notes
    -----
    With "cityblock", and with "euclidean" on a line, sets of positive mass can be equally near to two points up to a
    constant. No potential divides such a set between them: the dual value is right, the masses may not be.

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
    cost = read_cost(cost)
    weights = _read_arguments(points, weights, tol, start)
    source = read_source(source, points, generator)
    kept, group = distinct(points)
    if kept is not None:
        weights = torch.zeros(len(kept), dtype=weights.dtype, device=weights.device).index_add_(0, group, weights)
        points, start = points[kept], None if start is None else start[kept]
    if max_samples is None:
        max_samples = 2**20 + math.ceil(8 * len(points) / tol**2)
    solution = _Fit(source, points, weights, cost, tol, max_samples, callback, group).run(start)
    return solution if kept is None else solution._replace(potential=solution.potential[group])


class _Fit:
    """One fit: the source, the points, and the tests on fresh rows."""

    def __init__(self, source, points, weights, cost, tol, max_samples, callback, group):
        self.source, self.points, self.weights, self.cost = source, points, weights, cost
        self.tol, self.max_samples, self.callback, self.group = tol, max_samples, callback, group
        self.used, self.ended = 0, False
        self.visible, self.n_test = visible_cells(weights, tol)
        # As many points of equal weight would be as hard to tell.
        self.rarity = float((1 / weights[self.visible]).mean())
        self.scores = self.make_scores(torch.float32)

    def run(self, start):
        if len(self.points) == 1:
            return SemiDiscreteSolution(torch.zeros_like(self.weights), 0.0, math.inf, 0, 0, True)
        if self.points.shape[1] == 1:
            return self.line()
        rms = 1.0
        if start is not None:
            h = self.scores.offsets(start)
            rms = self.test(h, max(8 * self.rarity, MIN_TEST_ROWS))[0]
            if rms <= self.tol:
                solution = self.finish(h)
                if solution.converged:
                    return solution
                rms = solution.mass_error
        if rms < GOOD_START:
            gap = top_gap(self.scores, self.draw(MOMENT_ROWS), h)
        else:
            # The soft phase keeps what is wrong with a start: not with one as bad as this.
            h, gap, used = soft_ascent(self.scores, self.draw_well, self.weights, self.moment_start())
            self.used, rms = used, 0.5
            if gap < FINE_GAP:
                potential = self.scores.potential(h, self.weights)
                self.scores = self.make_scores(torch.float64)
                h = self.scores.offsets(potential)
        # Where costs grow with the distance itself, the dual has ridges on which a quadratic model is of no use.
        if self.points.shape[1] <= _newton.MAX_FEATURES and self.cost.power > 1:
            best, solution = self.newton(h, gap)
            if solution.converged or self.ended:
                return solution
            if solution.mass_error < rms:
                h, rms = best, max(solution.mass_error, self.tol)
        return self.ascend(h, gap, rms)

    def make_scores(self, dtype):
        # In few dimensions quasi-random rows are better than turned ones.
        is_turned = self.source.is_normal and self.points.shape[1] > _newton.MAX_FEATURES
        shape = "normal" if is_turned else self.source.sample(MOMENT_ROWS)
        return Scores(self.points, self.cost, shape, dtype)

    def draw(self, n):
        return self.scores.rows(self.source.sample(n))

    def draw_well(self, n):
        quasi_sample = self.source.quasi_sample
        # Where rows become orthonormal frames, independent ones become uniform.
        return self.draw(n) if quasi_sample is None or self.scores.is_normal else self.scores.rows(quasi_sample(n))

    def report(self, h):
        """Tell the callback, and note whether it wants to end."""
        if self.callback is not None:
            potential = self.scores.potential(h, self.weights)
            self.ended = bool(self.callback(potential if self.group is None else potential[self.group], self.used))
        return self.ended

    def moment_start(self):
        r"""Offsets of the map between Gaussians with the moments of both sides, for the squared cost, else 0.

        The cells of :math:`h_i = -\frac12 y_i' A y_i` follow the gradient of the convex conjugate of this quadratic;
        A is the map from the points to the source.
        """
        h = torch.zeros(len(self.points), dtype=torch.float64, device=self.points.device)
        if not self.cost.is_squared:
            return h
        y = self.scores.points
        if not is_worth_moments(*y.shape):
            h[:] = -y.double().square().sum(1) / 2
            return h
        n_features = y.shape[1]
        if self.source.is_normal:
            covariance = np.eye(n_features) / self.scores.source_width**2
        else:
            covariance = self._covariance(self.draw(MOMENT_ROWS))
        mean = self.weights @ y.double()
        zero = np.zeros(n_features)
        linear = gaussian_map(zero, self._covariance(y, self.weights), zero, covariance).linear
        linear = torch.from_numpy(linear).to(y)
        for rows in torch.arange(len(h), device=h.device).split(4096):
            block = y[rows] - mean.to(y)
            h[rows] = -((block @ linear) * block).sum(1).double() / 2
        return h

    @staticmethod
    def _covariance(rows, weights=None):
        n_rows, n_features = rows.shape
        weights = torch.full((n_rows,), 1 / n_rows, device=rows.device) if weights is None else weights
        weights = weights.to(rows)[:, None]
        mean = weights[:, 0] @ rows
        covariance = torch.zeros(n_features, n_features, dtype=torch.float64, device=rows.device)
        for block, weight in zip(rows.split(4096), weights.split(4096), strict=True):
            centred = block - mean
            covariance += (weight * centred).T @ centred
        # Few rows say little of many features: enough of the isotropic one makes a start of any.
        return shrunk_covariance(covariance.cpu().numpy(), n_features / (n_features + n_rows))

    def line(self):
        quantile = self.source.quantile
        if quantile is None:
            n = min(self.max_samples, MAX_LINE_ROWS, max(2**16, math.ceil(4 * self.rarity / self.tol**2)))
            sample = self.source.quasi_sample or self.source.sample
            rows = sample(n)
            self.used = len(rows)
            quantile = sample_quantile(rows)
        h = self.scores.offsets(line_potential(self.points, self.weights, self.cost, quantile))
        self.report(h)
        if self.source.quantile is None or self.cost.power == 1:
            return self.finish(h)
        # Nothing is left for fresh rows to find.
        return SemiDiscreteSolution(self.scores.potential(h, self.weights), 0.0, math.inf, 0, 0, True)

    def newton(self, h, gap):
        levels = _newton.newton_levels(
            self.scores,
            self.draw_well,
            self.weights,
            h,
            gap,
            tol=self.tol,
            rarity=self.rarity,
            max_rows=self.max_samples,
            is_quasi=self.source.quasi_sample is not None,
        )
        solution = None
        for last, predicted, n_new in levels:
            h = last
            self.used += n_new
            solution = None
            if self.report(h):
                break
            if predicted <= self.tol:
                solution = self.finish(h)
                if solution.converged:
                    break
        return h, solution or self.finish(h, is_candidate=False)

    def ascend(self, h, gap, rms):
        # Error expected of n rows, in units of that of counting them.
        factor = (0.75 if is_smooth(self.scores) else 1.15) / math.sqrt(self.scores.rows_worth)
        before = self.used
        next_report = next_test = 0
        for average, used in natural_ascent(self.scores, self.draw, self.weights, h, gap, rms):
            h = average
            self.used = before + used
            if used >= next_report:
                next_report = used * 1.1
                if self.report(h):
                    break
            if self.used >= self.max_samples:
                break
            if used >= next_test and factor * math.sqrt(self.rarity / used) <= self.tol:
                next_test = used * CHECK_RATIO
                solution = self.finish(h)
                if solution.converged:
                    return solution
        return self.finish(h, is_candidate=False)

    def test(self, h, n):
        """Error of the masses of h on about n fresh rows, and the number of empty cells."""
        counts = torch.zeros(2, len(h), dtype=torch.float64, device=h.device)
        # Blocks bound the rows held at once.
        n = math.ceil(n / self.scores.rows_worth)
        block = max(1, min(n // 2, 2**22 // self.points.shape[1], 2**16))
        for _ in range(math.ceil(n / 2 / block)):
            for half in counts:
                half += self.scores.masses(self.draw(block), h) * block
        ratio = (counts / counts.sum(1, keepdim=True) / self.weights - 1)[:, self.visible]
        square = float((ratio[0] * ratio[1]).mean())
        return math.sqrt(max(square, 0.0)), int((counts.sum(0)[self.visible] == 0).sum())

    def finish(self, h, *, is_candidate=True):
        """The solution with offsets h; one that was cut short is no candidate for ``tol``, and tested on fewer rows."""
        n_test = self.n_test
        if not is_candidate:
            # Such a cell is still missed with a chance of exp(-10) only.
            n_test = max(min(n_test, self.used * self.scores.rows_worth), 10 / float(self.weights[self.visible].min()))
        error, n_empty = self.test(h, n_test)
        return SemiDiscreteSolution(
            potential=self.scores.potential(h, self.weights),
            mass_error=error,
            mass_error_floor=math.sqrt(self.rarity / self.used) if self.used else math.inf,
            n_empty=n_empty,
            n_samples=self.used,
            converged=error <= self.tol and n_empty == 0,
        )


def visible_cells(weights, tol):
    """A mask of the cells whose masses a test can tell, and the number of rows that it takes.

    Over k cells the squared estimate of `_Fit.test` has a standard error of about (S + √2 tol (S n / 2 √k)^½) / (n / 2)
    with S = (Σ ν⁻²)^½ / k, which for equal weights is √k. A quarter of tol² is wanted, which takes
    n = 8 S (1 + 16 / √k) / tol² rows; where those are too many, tol² will do. A cell that has its mass is missed by
    20 / ν rows with a chance of exp(-20).
    """
    n_points = len(weights)
    most = max(MAX_TEST_ROWS, 64 * (math.sqrt(n_points) + 16) / tol**2, 160 * n_points)
    sorted_weights, order = weights.sort(descending=True)
    count = torch.arange(1, n_points + 1, dtype=torch.float64, device=weights.device)
    wanted = 8 * sorted_weights.pow(-2).cumsum(0).sqrt() / count * (1 + 16 / count.sqrt()) / tol**2
    least = 20 / sorted_weights
    n_visible = int((torch.maximum(wanted / 4, least) <= most).nonzero().max()) + 1
    visible = torch.zeros_like(weights, dtype=torch.bool)
    visible[order[:n_visible]] = True
    return visible, math.ceil(min(most, max(wanted[n_visible - 1], least[n_visible - 1])))


def is_worth_moments(n_points, n_features):
    """Whether all second moments are told by the points and computed in a second; else one variance is."""
    return n_points >= 4 * n_features and n_features <= MAX_MOMENT_FEATURES


def _read_arguments(points, weights, tol, start):
    if points.ndim != 2 or not len(points):
        raise ValueError(f"points must have shape (N, d) with N >= 1, got {tuple(points.shape)}.")
    if not tol > 0:
        raise ValueError(f"tol must be positive, got {tol!r}.")
    n_points = len(points)
    if start is not None and start.shape != (n_points,):
        raise ValueError(f"start must have one number per point, shape ({n_points},), got {tuple(start.shape)}.")
    if weights is None:
        return torch.full((n_points,), 1 / n_points, dtype=torch.float64, device=points.device)
    weights = weights.double()
    if weights.shape != (n_points,) or not bool((weights > 0).all()) or abs(float(weights.sum()) - 1) > 1e-4:
        raise ValueError(f"weights must be {n_points} positive numbers with sum 1.")
    return weights / weights.sum()

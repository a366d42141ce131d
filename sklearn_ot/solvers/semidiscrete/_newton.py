"""The Newton phase, which minimises the softened dual of a pool of rows, in two and three dimensions."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree
from torch import Tensor

from sklearn_ot.solvers.semidiscrete._problem import TINY, Problem, State
from sklearn_ot.solvers.semidiscrete._tiles import Tiles


class Level(NamedTuple):
    """A level of the Newton phase: temperature in gaps, number of candidate cells for each row, error that ends it.

    The error None is half the tolerance of the fit. Levels with a higher temperature need more candidates and less
    accuracy, because their softened masses differ from those of the cells.
    """

    epsilon: float
    n_candidates: int
    tol: float | None


# Each level has twice the rows and half the temperature of the previous one, which keeps the number of rows near a
# boundary.
LEVELS = (Level(0.4, 20, 0.1), Level(0.2, 12, 0.03), *(Level(0.4 / 2**k, 10, None) for k in range(2, 8)))
# Number of rows of the first pool for each point (of equal weight), a power of 2, and its smallest value; and of the
# largest pool, which takes half a gigabyte with its candidates.
ROWS_PER_POINT, MIN_POOL, MAX_POOL = 16, 2**12, 2**20
# If the error of a level is above this fraction of the previous one, the average phase is faster.
USEFUL_RATIO = 0.85
# Number of rows that are checked against all cells, and the largest share of them whose best cell is no candidate.
CHECKED_ROWS, MAX_MISSED = 4096, 2e-3
# Newton steps of a level, at most; a step must lower F by this part of its slope times its length. The part is the
# usual one, so small that a step is only rejected if the quadratic model is useless.
MAX_STEPS, ARMIJO = 12, 1e-4
# Damping, in units of mass / gap, which is the curvature of a cell of ordinary shape: its first, smallest and largest
# value, and its factors after a step that failed and after one that succeeded. The first damping leaves the steps of
# ordinary cells nearly as they are. With the largest one a step is a thirtieth of the natural step, and if this fails
# too, the candidates or the scores are wrong. Damping rises faster than it falls, because a failed step is lost.
DAMPING, MIN_DAMPING, MAX_DAMPING, RAISE, LOWER = 0.1, 0.03, 30.0, 4, 1 / 2
# Fraction of the damping for all cells, also those with enough curvature.
LEAST_DAMPING = 1e-3
# Smallest mass in a step, as a fraction of the weight.
LEAST_MASS = 1e-2
# Tolerance and largest number of steps of conjugate gradients: the direction of a step need not be more accurate.
CG_TOL, CG_STEPS = 1e-2, 500
# Left out of the Hessian: rows with a larger share in one cell, which are far from boundaries, and smaller shares.
LARGEST_SHARE, SMALLEST_SHARE = 0.99, 3e-3
# Number of rows whose differences from all candidates stay in the cache.
BLOCK_ROWS = 4096


def newton(problem: Problem, state: State) -> Iterator[State]:
    """Minimise the softened dual on growing pools, with a falling temperature.

    The softened masses differ from those of the cells, relatively, by about the temperature in gaps. Counts of the rows
    of the pool show this error. A pool of independent rows adds the error of counting.

    Parameters
    ----------
    problem : Problem
        The problem.
    state : State
        The start.

    Yields
    ------
    state : State
        The state after each level, with its expected error.
    """
    weights, device = problem.weights.cpu().numpy(), problem.weights.device
    offsets, gap, n_rows = state.offsets.cpu().numpy(), max(float(state.gap), TINY), state.n_rows
    size = max(MIN_POOL, 2 ** math.ceil(math.log2(ROWS_PER_POINT * problem.mass_test.rarity)))
    largest = min(MAX_POOL, problem.max_samples)
    pool, error = None, math.inf
    for level in LEVELS:
        if pool is None or min(size, largest) > len(pool.rows):
            x = problem.rows.even_sample(min(size, largest))
            n_rows += len(x)
            # A source that is a finite sample may have no more rows.
            if pool is None or len(x) > len(pool.rows):
                pool = Pool(problem.rows.tiles, x, weights, offsets)
        offsets, is_reached = pool.minimise(offsets, gap, level._replace(tol=level.tol or problem.tol / 2))
        offsets = pool.fill(offsets)
        offsets = offsets - offsets.max()
        noise = 0.0 if problem.source.quasi_sample else problem.expected_error(len(pool.rows))
        last, error = error, math.hypot(pool.error(offsets), noise)
        yield State(torch.from_numpy(offsets).to(device), state.gap, error, n_rows)
        # After a level that fails, the next one would fail too.
        if not is_reached or error > USEFUL_RATIO * last:
            return
        size *= 2


class Pool:
    r"""Rows, the candidate cells of each row, and the softened dual of these rows.

    .. math:: F_\varepsilon(h) = \frac1M \sum_m \varepsilon \log \sum_i e^{s_i(x_m) / \varepsilon} - \sum_i \nu_i h_i

    F is convex. For ε → 0 its minimum is the maximum of the dual, with the opposite sign.

    Parameters
    ----------
    tiles : Tiles
        The scores.
    x : Tensor of shape (M, d)
        Rows in units.
    weights : ndarray of shape (N,)
        Masses of the cells.
    offsets : ndarray of shape (N,)
        Offsets at the start.
    """

    def __init__(self, tiles: Tiles, x: Tensor, weights: np.ndarray, offsets: np.ndarray):
        self.tiles, self.x, self.weights = tiles, x, weights
        self.rows = x.double().cpu().numpy()
        self.points = tiles.units.points.double().cpu().numpy()
        self.centres = self.points
        self.best = self._exact_cells(x, offsets)

    def _exact_cells(self, x, offsets):
        return self.tiles.cells(x, torch.from_numpy(offsets).to(x.device)).cpu().numpy()

    def refresh(self, offsets, n_candidates):
        """Choose the candidate cells of each row: its best cell so far, and the cells with the nearest means of rows.

        A tree of the means works for any cost, and finds the best cell of all but about one row in 10⁵ while offsets
        change little. It fails if points lie in clusters, so that cells are thin. Therefore some rows are checked
        against all cells, and ``is_lost`` is True if the best cell of too many of them is no candidate. A tree of the
        points with the square root of max ψ - ψ as an additional feature would be exact for the squared cost, but its
        distances are nearly all equal, and a query takes ten times as long.
        """
        counts = np.bincount(self.best, minlength=len(self.weights))[:, None]
        sums = [np.bincount(self.best, column, len(self.weights)) for column in self.rows.T]
        self.centres = np.where(counts, np.stack(sums, axis=1) / np.maximum(counts, 1), self.centres)
        k = min(n_candidates, len(self.weights))
        self.index = cKDTree(self.centres).query(self.rows, k=k)[1].reshape(len(self.rows), k)
        missing = (self.index != self.best[:, None]).all(axis=1)
        self.index[missing, -1] = self.best[missing]
        self.base = self.bare_scores(self.index)
        self.best = self._best(offsets)
        exact = self._exact_cells(self.x[:CHECKED_ROWS], offsets)
        self.is_lost = np.mean(exact != self.best[:CHECKED_ROWS]) > MAX_MISSED

    def bare_scores(self, index):
        """Scores of the rows with points, without offsets; in float64, as the steps of the last levels are tiny."""
        if self.tiles.units.cost.is_squared:
            return sum(x[:, None] * y[index] for x, y in zip(self.rows.T, self.points.T, strict=True))
        rows, points, index = (torch.from_numpy(part) for part in (self.rows, self.points, index))
        blocks = zip(rows.split(BLOCK_ROWS), index.split(BLOCK_ROWS), strict=True)
        return -torch.cat([self.tiles.units.cost.value(x[:, None] - points[i]) for x, i in blocks]).numpy()

    def _best(self, offsets):
        return self.index[np.arange(len(self.index)), np.argmax(self.base + offsets[self.index], axis=1)]

    def fill(self, offsets):
        """Raise the offset of each cell without rows until the cell has its mass.

        A cell that is thinner than its softened boundary can have the right softened mass but no row.
        """
        empty = np.flatnonzero(np.bincount(self.best, minlength=len(offsets)) == 0)
        if not len(empty):
            return offsets
        offsets = offsets.copy()
        top = offsets[self.best] + self.bare_scores(self.best[:, None])[:, 0]
        for i in empty:
            own = self.bare_scores(np.full((len(self.rows), 1), i))[:, 0]
            n_wanted = max(1, round(self.weights[i] * len(own)))
            taken = np.argpartition(top - own, n_wanted - 1)[:n_wanted]
            offsets[i] = np.max((top - own)[taken])
            top[taken], self.best[taken] = own[taken] + offsets[i], i
        return offsets

    def dual(self, offsets, epsilon):
        """The value of F, and the share of each row in each of its candidate cells."""
        share = self.base + offsets[self.index]
        top = share.max(axis=1, keepdims=True)
        share -= top
        share /= epsilon
        np.exp(share, out=share)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        return float(np.mean(top + epsilon * np.log(total)) - self.weights @ offsets), share

    def excess(self, share):
        """The weights minus the softened masses, which is minus the gradient of F."""
        return self.weights - np.bincount(self.index.ravel(), share.ravel(), len(self.weights)) / len(self.index)

    def hessian(self, share, epsilon):
        """The Hessian of F, a weighted graph Laplacian, as a sparse matrix."""
        rows = share.max(axis=1) < LARGEST_SHARE
        share, index = share[rows], self.index[rows]
        kept = share > SMALLEST_SHARE
        ends = np.concatenate([[0], kept.sum(axis=1).cumsum()])
        shares = sparse.csr_matrix((share[kept], index[kept], ends), shape=(len(share), len(self.weights)))
        product = (shares.T @ shares) / (epsilon * len(self.index))
        return sparse.diags(np.asarray(product.sum(axis=1)).ravel()) - product

    def error(self, offsets):
        """The error of the masses of the cells (not softened), on the rows of the pool."""
        masses = np.bincount(self._best(offsets), minlength=len(self.weights)) / len(self.index)
        return relative_error(masses - self.weights, self.weights)

    def step(self, excess, share, epsilon, gap, damping):
        """The damped Newton step of the offsets."""
        hessian, natural = self.hessian(share, epsilon), self.weights / gap
        # Cells with few rows near their boundary have little curvature, and would change too much without damping.
        least = LEAST_DAMPING * damping * natural
        hessian += sparse.diags(np.maximum(damping * natural - hessian.diagonal(), least))
        # The boundary of a cell that is too small is short, but becomes longer with the cell. A linear step would be
        # too large, and the logarithm gives a smaller one.
        mass = np.maximum(self.weights - excess, LEAST_MASS * self.weights)
        change = np.where(excess > 0, mass * np.log(self.weights / mass), excess)
        change -= change.sum() * self.weights
        preconditioner = sparse.diags(1 / hessian.diagonal())
        return cg(hessian, change, rtol=CG_TOL, maxiter=CG_STEPS, M=preconditioner)[0]

    def minimise(self, offsets, gap, level):
        """Take damped Newton steps, which must lower F, until the error of the softened masses is ``level.tol``.

        Returns the offsets, and whether this error was reached.
        """
        self.refresh(offsets, level.n_candidates)
        if self.is_lost:
            return offsets, False
        epsilon, damping = level.epsilon * gap, DAMPING
        value, share = self.dual(offsets, epsilon)
        for _ in range(MAX_STEPS):
            excess = self.excess(share)
            if relative_error(excess, self.weights) < level.tol:
                return offsets, True
            if damping > MAX_DAMPING:
                break
            step = self.step(excess, share, epsilon, gap, damping)
            trial = offsets + step - np.median(step)
            before = self.index, self.base, self.best
            self.refresh(trial, level.n_candidates)
            if self.is_lost:
                break
            new_value, new_share = self.dual(trial, epsilon)
            if new_value <= value - ARMIJO * excess @ step:
                offsets, value, share, damping = trial, new_value, new_share, max(LOWER * damping, MIN_DAMPING)
            else:
                self.index, self.base, self.best = before
                damping *= RAISE
        return offsets, False


def relative_error(difference: np.ndarray, weights: np.ndarray) -> float:
    """Root mean square of differences of masses, in units of the weights."""
    return float(np.sqrt(np.mean((difference / weights) ** 2)))

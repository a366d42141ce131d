"""Newton's method on the softened dual of a pool of rows: what one to three dimensions allow."""

import math

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

MAX_FEATURES = 3
# Rows of the first pool for each point (of equal weight), and the largest pool. Each level has twice the rows of the
# last and half its epsilon (in gaps), which keeps about as many rows within reach of each boundary.
ROWS_PER_POINT, MAX_POOL = 16, 2**20
FIRST_EPSILON, N_LEVELS = 0.4, 8
# Softer levels need more candidates and deserve less care: their masses are not those of the cells.
CANDIDATES, SOFT_TOLERANCES = (20, 12, 10), (0.1, 0.03, None)
CHECKED_ROWS, MAX_MISSED = 4096, 2e-3
MAX_STEPS, MIN_DAMPING, MAX_DAMPING = 12, 0.03, 30.0


class Pool:
    r"""Rows, the cells that each may be in, and the softened dual of these rows.

    .. math:: F_\varepsilon(h) = \frac1M \sum_m \varepsilon \log \sum_i e^{s_i(x_m) / \varepsilon} - \sum_i \nu_i h_i

    is convex; its minimum is that of the dual (with the sign turned) as ε falls to 0.

    Parameters
    ----------
    scores : Scores
        The points.
    x : Tensor of shape (M, d)
        Rows in the units of the scores.
    weights : ndarray of shape (N,)
        Masses of the cells.
    h : ndarray of shape (N,)
        Offsets to begin with.
    """

    def __init__(self, scores, x, weights, h):
        self.scores, self.x, self.cost, self.weights = scores, x, scores.cost, weights
        self.rows = x.double().cpu().numpy()
        self.points = scores.points.double().cpu().numpy()
        self.centres = self.points
        self.best = self._exact_cells(x, h)

    def _exact_cells(self, x, h):
        return self.scores.cells(x, torch.from_numpy(h).to(x.device)).cpu().numpy()

    def refresh(self, h, n_candidates):
        """Take as candidates of each row its best cell so far and the cells whose rows are centred nearest to it.

        That is a tree in the space of the rows, whatever the cost, and finds the best cell of all but about one row
        in 10⁵ as long as h moves little. It does not where points cluster, and cells are slivers: some rows are checked
        against all cells, and ``is_lost`` says if too many missed theirs. A tree of the points lifted by the square
        root of max ψ - ψ would be exact for the squared cost, but there all distances are nearly the same, and a query
        takes ten times as long.
        """
        counts = np.bincount(self.best, minlength=len(self.weights))[:, None]
        sums = [np.bincount(self.best, column, len(self.weights)) for column in self.rows.T]
        self.centres = np.where(counts, np.stack(sums, axis=1) / np.maximum(counts, 1), self.centres)
        k = min(n_candidates, len(self.weights))
        self.index = cKDTree(self.centres).query(self.rows, k=k)[1].reshape(len(self.rows), k)
        self._add_best()
        self.best = self._best(h)
        exact = self._exact_cells(self.x[:CHECKED_ROWS], h)
        self.is_lost = np.mean(exact != self.best[:CHECKED_ROWS]) > MAX_MISSED

    def _add_best(self):
        missing = (self.index != self.best[:, None]).all(axis=1)
        self.index[missing, -1] = self.best[missing]
        self.base = self._base()

    def _base(self):
        """Scores of the candidates less h."""
        return self._less_h(((x[:, None], y[self.index]) for x, y in zip(self.rows.T, self.points.T, strict=True)))

    def _less_h(self, pairs):
        """Scores less h, in float64: the steps of the last levels are tiny. ``pairs`` are the coordinates of both."""
        if self.cost.is_squared:
            return sum(x * y for x, y in pairs)
        differences = torch.from_numpy(np.stack([x - y for x, y in pairs]))
        return -self.cost.value(differences.movedim(0, -1)).numpy()

    def _best(self, h):
        return self.index[np.arange(len(self.index)), np.argmax(self.base + h[self.index], axis=1)]

    def fill(self, h):
        """Raise each cell that has no row until it has its mass: the exact step along its coordinate.

        A cell that is thinner than its softened boundary may have its softened mass, and none of its own.
        """
        empty = np.flatnonzero(np.bincount(self.best, minlength=len(h)) == 0)
        if not len(empty):
            return h
        h = h.copy()
        top = h[self.best] + self._less_h(zip(self.rows.T, self.points[self.best].T, strict=True))
        for i in empty:
            own = self._less_h(zip(self.rows.T, self.points[i], strict=True))
            n_wanted = max(1, round(self.weights[i] * len(own)))
            taken = np.argpartition(top - own, n_wanted - 1)[:n_wanted]
            h[i] = np.max((top - own)[taken])
            top[taken], self.best[taken] = own[taken] + h[i], i
        return h

    def dual(self, h, epsilon):
        """The value of F and the share of each row in each of its candidates."""
        share = self.base + h[self.index]
        top = share.max(axis=1, keepdims=True)
        share -= top
        share /= epsilon
        np.exp(share, out=share)
        total = share.sum(axis=1, keepdims=True)
        share /= total
        return float(np.mean(top + epsilon * np.log(total)) - self.weights @ h), share

    def excess(self, share):
        """Wanted less found masses: minus the gradient of F."""
        return self.weights - np.bincount(self.index.ravel(), share.ravel(), len(self.weights)) / len(self.index)

    def hessian(self, share, epsilon):
        """The Hessian of F, a weighted graph Laplacian, as a sparse matrix."""
        # A row well inside its cell says nothing about boundaries.
        rows = share.max(axis=1) < 0.99
        share, index = share[rows], self.index[rows]
        kept = share > 3e-3
        ends = np.concatenate([[0], kept.sum(axis=1).cumsum()])
        shares = sparse.csr_matrix((share[kept], index[kept], ends), shape=(len(share), len(self.weights)))
        product = (shares.T @ shares) / (epsilon * len(self.index))
        return sparse.diags(np.asarray(product.sum(axis=1)).ravel()) - product

    def error(self, h):
        """Root mean square relative error of the masses of the cells themselves, on the rows of the pool."""
        masses = np.bincount(self._best(h), minlength=len(self.weights)) / len(self.index)
        return relative_error(masses - self.weights, self.weights)

    def minimise(self, h, epsilon, gap, tol, n_candidates):
        """Damped Newton steps until the error of the softened masses is ``tol``; a step must lower F.

        Returns the offsets, and whether ``tol`` was reached.
        """
        self.refresh(h, n_candidates)
        if self.is_lost:
            return h, False
        value, share = self.dual(h, epsilon)
        natural = self.weights / gap
        damping = 0.1
        for _ in range(MAX_STEPS):
            excess = self.excess(share)
            if relative_error(excess, self.weights) < tol:
                return h, True
            if damping > MAX_DAMPING:
                break
            hessian = self.hessian(share, epsilon)
            # Cells that few rows are near have little curvature, and would take steps that no other could bear.
            hessian += sparse.diags(np.maximum(damping * natural - hessian.diagonal(), 1e-3 * damping * natural))
            # A cell that is too small has too little boundary now for all that it lacks; logarithms allow for that.
            mass = np.maximum(self.weights - excess, 1e-2 * self.weights)
            change = np.where(excess > 0, mass * np.log(self.weights / mass), excess)
            change -= change.sum() * self.weights
            step = cg(hessian, change, rtol=1e-2, maxiter=500, M=sparse.diags(1 / hessian.diagonal()))[0]
            trial = h + step - np.median(step)
            before = self.index, self.base, self.best
            self.refresh(trial, n_candidates)
            if self.is_lost:
                break
            new_value, new_share = self.dual(trial, epsilon)
            if new_value <= value - 1e-4 * excess @ step:
                h, value, share, damping = trial, new_value, new_share, max(damping / 2, MIN_DAMPING)
            else:
                self.index, self.base, self.best = before
                damping *= 4
        return h, False


def relative_error(difference, weights):
    """Root mean square of the differences of masses, in units of the wanted masses."""
    return float(np.sqrt(np.mean((difference / weights) ** 2)))


def newton_levels(scores, draw_pool, weights, h, gap, *, tol, rarity, max_rows, is_quasi):
    """Minimise on growing pools with falling epsilon; yields (h, predicted error, new rows) after each level.

    Softening moves the masses by about ε in gaps, which the hard counts of the pool's own rows show, and a pool of
    independent rows adds its sampling error √(N / M), with the ``rarity``, the mean of 1 / ν, in place of N.
    """
    device = weights.device
    weights, h, gap = weights.cpu().numpy(), h.cpu().numpy(), max(float(gap), 1e-12)
    max_rows = min(MAX_POOL, max_rows)
    size, pool, error = 2 ** max(12, math.ceil(math.log2(ROWS_PER_POINT * rarity))), None, math.inf
    for level in range(N_LEVELS):
        n_new = 0
        if pool is None or min(size, max_rows) > len(pool.rows):
            x = draw_pool(min(size, max_rows))
            n_new = len(x)
            # A source that is a sample itself has no more rows than it has.
            if pool is None or n_new > len(pool.rows):
                pool = Pool(scores, x, weights, h)
        care = min(level, len(CANDIDATES) - 1)
        soft_tol = SOFT_TOLERANCES[care] or tol / 2
        h, reached = pool.minimise(h, FIRST_EPSILON / 2**level * gap, gap, soft_tol, CANDIDATES[care])
        h = pool.fill(h)
        h = h - h.max()
        noise = 0.0 if is_quasi else math.sqrt(rarity / len(pool.rows))
        last, error = error, math.hypot(pool.error(h), noise)
        yield torch.from_numpy(h).to(device), error, n_new
        # Steps that get lost, or converge slowly, or to no avail, have met something that another kind does better.
        if not reached or error > 0.85 * last:
            return
        size *= 2

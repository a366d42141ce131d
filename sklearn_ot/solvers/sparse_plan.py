"""Plans between large samples, on the pairs of rows that potentials find cheap."""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.plan import network_simplex

# Pairs of each row with the cheapest rows of the other sample, and rounds in which they are chosen.
N_NEIGHBORS, MAX_ROUNDS = 32, 20
# The plan is good enough if another round lowers its cost, reduced by the potentials, by at most this share.
TOLERANCE = 1e-2


class SparsePlan(NamedTuple):
    """The result of `sparse_plan`.

    Attributes
    ----------
    value : float
        The mean cost of the plan, at least that of an optimal plan.
    potential, target_potential : ndarray of shape (n,), (m,)
        Kantorovich potentials at the rows of both samples, those of the chosen pairs.
    """

    value: float
    potential: np.ndarray
    target_potential: np.ndarray


@in_own_settings
def sparse_plan(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, f: np.ndarray, g: np.ndarray) -> SparsePlan:
    r"""A plan of the squared cost between two samples, with a cost close to that of an optimal plan.

    An optimal plan has mass only where the reduced cost :math:`\|x - y\|^2 - f(x) - g(y)` of its potentials is 0. The
    network simplex therefore gets the pairs of each row with the rows of the other sample for which this number is
    smallest, instead of all pairs. With h = max g - g it is a squared distance in d + 1 dimensions, between (x, 0) and
    (y, √h), so that a search for nearest neighbours finds the pairs. The potentials of the plan choose the pairs of
    the next round. Ten thousand rows take a few seconds, and a few megabytes.

    Parameters
    ----------
    x, y : ndarray of shape (n, d), (m, d)
        The samples.
    a, b : ndarray of shape (n,), (m,)
        Positive weights of the rows, with sum 1.
    f, g : ndarray of shape (n,), (m,)
        Potentials to start with, in units of the squared cost (no factor ½). Good ones save rounds.

    Returns
    -------
    plan : SparsePlan
        The plan.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.sparse_plan import sparse_plan
    >>> x, y, third = np.array([[0.0], [1.0], [2.0]]), np.array([[5.0], [3.0], [4.0]]), np.full(3, 1 / 3)
    >>> round(sparse_plan(x, y, third, third, np.zeros(3), np.zeros(3)).value, 6)
    9.0
    """
    base = a @ f + b @ g
    pairs, value = _monotone(x, y, a, b), np.inf
    for _ in range(MAX_ROUNDS):
        pairs = np.concatenate([pairs, _cheapest(x, y, g), _cheapest(y, x, f)[:, ::-1]])
        rows, columns = np.divmod(np.unique(pairs[:, 0] * len(y) + pairs[:, 1]), len(y))
        reduced = np.sum((x[rows] - y[columns]) ** 2, axis=1) - f[rows] - g[columns]
        reduced -= reduced.min()
        # The tolerances of the simplex are absolute.
        unit = float(reduced.max()) or 1.0
        coupling, u, v = network_simplex(a, b, sparse.coo_matrix((reduced / unit, (rows, columns)), (len(x), len(y))))
        pairs, mass = np.stack([coupling.row, coupling.col], axis=1), coupling.data / coupling.data.sum()
        before, value = value, float(mass @ np.sum((x[coupling.row] - y[coupling.col]) ** 2, axis=1))
        f, g = f + unit * u, g + unit * v
        if before - value <= TOLERANCE * max(value - base, 0.0):
            break
    return SparsePlan(value, f + (value - a @ f - b @ g), g)


def _cheapest(x, y, g):
    """Pairs of each row of x with the rows of y for which ‖x - y‖² - g(y) is smallest."""
    lifted = np.column_stack([y, np.sqrt(g.max() - g)])
    search = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(y)), algorithm="brute").fit(lifted)
    found = search.kneighbors(np.column_stack([x, np.zeros(len(x))]), return_distance=False)
    return np.stack([np.repeat(np.arange(len(x)), found.shape[1]), found.ravel()], axis=1)


def _monotone(x, y, a, b):
    """Pairs of a plan that keeps the order of one column. With them the simplex always has a plan."""
    axis = int(y.var(axis=0).argmax())
    by_axis = x[:, axis].argsort(), y[:, axis].argsort()
    ends = a[by_axis[0]].cumsum(), b[by_axis[1]].cumsum()
    # All mass up to a level is that of the first rows of both samples.
    levels = np.concatenate([[0.0], np.unique(np.concatenate([end[:-1] for end in ends])), [1.0]])
    middles = (levels[1:] + levels[:-1]) / 2
    places = [np.minimum(end.searchsorted(middles), len(end) - 1) for end in ends]
    return np.stack([order[place] for order, place in zip(by_axis, places, strict=True)], axis=1)

"""Exact transport plans between samples."""

import math
from dataclasses import dataclass

import numpy as np
import ot
import torch
from torch import Tensor

from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.tensors import to_tensor

# More pivots than any plan needs that fits into memory. With POT's default, plans of 5000 × 5000 rows end too early.
MAX_PIVOTS = 10**9
# A plan is optimal if its cost exceeds the dual value by at most this share. With ordinary rows the share is 1e-13.
TOLERANCE = 1e-10
# Each round reduces the error by a factor of 10⁵ or more; two or three are enough for all float64 costs.
MAX_ROUNDS = 12
ROUNDING = torch.finfo(torch.float64).eps
# Mass of the size of rounding errors is left out if it is at most this share of the weights of both of its rows.
SMALL_SHARE = 1e-6


@dataclass(frozen=True)
class Plan:
    """An optimal plan between two weighted samples; its tensors are float64 and on the CPU.

    Parameters
    ----------
    value : float
        The mean cost of the plan.
    potential, target_potential : Tensor of shape (n,), (m,)
        Kantorovich potentials at the rows of both samples, in units of the cost; the mean of the first is 0.
    coupling : Tensor of shape (n, m)
        The mass that each row sends to each row of the target.
    """

    value: float
    potential: Tensor
    target_potential: Tensor
    coupling: Tensor

    @property
    def partner(self) -> Tensor:
        """Index of the target row that gets most of the mass of each row, int64, shape (n,)."""
        return self.coupling.argmax(1)

    def images(self, y: Tensor) -> Tensor:
        """Barycentric image of each row: the mean of the target rows y that get its mass; shape (n, d)."""
        return (self.coupling / self.coupling.sum(1, keepdim=True)).to(y) @ y


@in_own_settings
@torch.no_grad()
def exact_plan(
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    a: Tensor | np.ndarray | None = None,
    b: Tensor | np.ndarray | None = None,
    cost: str | float | Cost = "sqeuclidean",
    *,
    by_product: bool = False,
) -> Plan:
    r"""Compute the optimal plan between two samples, by POT's network simplex on the CPU in float64.

    .. math:: \min_{\pi \in \Pi(a, b)} \sum_{ij} \pi_{ij}\, c(x_i, y_j)

    The simplex has an absolute error of about :math:`10^{-14}` times the largest cost and the number of rows. If a few
    rows are far away, that can be more than all costs of the plan. Therefore the plan is compared with its dual value,
    and if they differ, the problem is solved again for the reduced costs :math:`c - u - v` of its potentials, of which
    the large ones are made smaller: no better plan contains them. See the Notes.

    Parameters
    ----------
    x, y : Tensor or ndarray of shape (n, d), (m, d)
        The samples. Memory grows with n m, and time a little faster.
    a, b : Tensor or ndarray of shape (n,), (m,), default=None
        Weights of the rows, positive and with equal sums. If None, all weights are equal, with sum 1. With equal
        weights and m = n the plan is a permutation.
    cost : str, float or Cost, default="sqeuclidean"
        The cost c, see `sklearn_ot.solvers.costs.read_cost`; the squared cost has no factor ½.
    by_product : bool, default=False
        Whether a matrix product may compute the costs, see `sklearn_ot.solvers.costs.Cost.pairwise`.

    Returns
    -------
    plan : Plan
        The plan. All its numbers are NaN if a cost is not finite.

    Raises
    ------
    RuntimeError
        If the simplex ends before the optimum.

    Notes
    -----
    With :math:`r = c - u - v \ge 0`, the cost of a plan exceeds the dual value by :math:`\sum \pi r`. Let M be the
    largest r at which the plan has mass. A better plan differs from it by cycles, in which at most
    :math:`\min(n, m)` costs, each at most M, are exchanged for others. None of the others is therefore above
    :math:`\min(n, m) M`, and all larger r can be replaced by any number above that. The largest cost of the new problem
    is some :math:`10^{-10}` of that of the old one.

    Mass of the size of the rounding errors of sums of weights is left out of the plan. It appears, for example, between
    two clusters that have the same share of both samples, with other numbers of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.plan import exact_plan
    >>> plan = exact_plan(np.array([[0.0], [1.0], [2.0]]), np.array([[5.0], [3.0], [4.0]]))
    >>> plan.value, plan.partner.tolist()
    (9.0, [1, 2, 0])
    """
    x, y = (to_tensor(sample, torch.float64, "cpu") for sample in (x, y))
    a, b = ([] if weight is None else to_tensor(weight, torch.float64, "cpu").numpy() for weight in (a, b))
    costs = read_cost(cost).pairwise(x, y, by_product=by_product)
    largest = float(costs.max())
    if not math.isfinite(largest):
        return Plan(math.nan, *(torch.full_like(part, math.nan) for part in (costs[:, 0], costs[0], costs)))
    # A matrix product has an error of this size.
    return _solve(a, b, costs, largest or 1.0, noise=ROUNDING * largest if by_product else 0.0)


def network_simplex(a, b, costs):
    """POT's network simplex.

    Parameters
    ----------
    a, b : ndarray of shape (n,), (m,), or empty list
        Weights of the rows of both samples; all equal for an empty list.
    costs : ndarray or scipy.sparse.coo_matrix of shape (n, m)
        Costs of all pairs, or of the pairs that a plan may use. They should be of size 1: tolerances are absolute.

    Returns
    -------
    coupling : ndarray or scipy.sparse.coo_matrix of shape (n, m)
        The mass of each pair.
    potential, target_potential : ndarray of shape (n,), (m,)
        The potentials of both samples.

    Raises
    ------
    RuntimeError
        If the simplex ends before the optimum.
    """
    coupling, log = ot.emd(a, b, costs, numItermax=MAX_PIVOTS, log=True)
    if log["warning"] is not None:
        n, m = costs.shape
        raise RuntimeError(f"No exact plan between {n} and {m} rows was found. POT says: {log['warning']}")
    return coupling, log["u"], log["v"]


def _solve(a, b, costs, bound, noise):
    """The plan of a matrix of costs, which are at most ``bound`` and have errors of the size of ``noise``."""
    reduced = costs.clone()
    u, v = torch.zeros_like(costs[:, 0]), torch.zeros_like(costs[0])
    for _ in range(MAX_ROUNDS):
        # The costs are scaled, because the tolerances of the simplex are absolute.
        found = network_simplex(a, b, reduced.clamp(max=bound).div_(bound).numpy())
        coupling, step, target_step = map(torch.from_numpy, found)
        rows, columns = _used(coupling)
        reduced -= (step[:, None] + target_step).mul_(bound)
        slack = reduced.amin(0)
        reduced -= slack
        u, v = u + bound * step, v + bound * target_step + slack
        mass, rest = coupling[rows, columns], reduced[rows, columns]
        value = float(mass @ costs[rows, columns])
        if float(mass @ rest) <= max(TOLERANCE * value, noise) or value == 0:
            return Plan(value, u - u.mean(), v + u.mean(), coupling)
        bound = (min(costs.shape) + 1) * float(rest.max())
    raise RuntimeError(f"No plan between {len(u)} and {len(v)} rows was found whose cost equals its dual value.")


def _used(coupling):
    """Indices of the pairs of rows with mass; mass of the size of rounding errors is set to 0 before."""
    rows, columns = coupling.nonzero(as_tuple=True)
    mass = coupling[rows, columns]
    a, b = (torch.bincount(index, mass) for index in (rows, columns))
    # A weight is rounded, and so is each sum of weights: the simplex finds the mass of a pair as a difference of such
    # sums, so that light rows have the same errors as heavy ones.
    error = (len(a) + len(b)) * ROUNDING * mass.sum()
    is_used = mass > torch.minimum(a[rows], b[columns]).mul_(SMALL_SHARE).clamp_(max=error)
    coupling[rows[~is_used], columns[~is_used]] = 0
    return rows[is_used], columns[is_used]

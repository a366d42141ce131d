"""Exact transport plans between samples."""

import math
from dataclasses import dataclass

import numpy as np
import ot
import torch
from torch import Tensor

from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.tensors import to_tensor

# More pivots than any plan needs that fits into memory. With POT's default, plans of 5000 × 5000 rows end too early.
MAX_PIVOTS = 10**9


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
    # The costs are scaled, because the tolerances of the simplex are absolute.
    scale = float(costs.max()) or 1.0
    if not math.isfinite(scale):
        return Plan(math.nan, *(torch.full_like(part, math.nan) for part in (costs[:, 0], costs[0], costs)))
    coupling, log = ot.emd(a, b, costs.div_(scale).numpy(), numItermax=MAX_PIVOTS, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"No exact plan between {len(x)} and {len(y)} rows was found. POT says: {log['warning']}")
    constant = log["u"].mean()
    return Plan(
        float(scale * log["cost"]),
        torch.from_numpy(scale * (log["u"] - constant)),
        torch.from_numpy(scale * (log["v"] + constant)),
        torch.from_numpy(coupling),
    )

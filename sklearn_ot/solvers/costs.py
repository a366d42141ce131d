"""Costs of transport: functions of the difference of two rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from torch import Tensor

from sklearn_ot.plain import stored

# Size of a block of differences (rows x rows x features), for costs without a faster method: 16 MB of float32.
BLOCK_NUMBERS = 2**22


@dataclass(frozen=True)
class Cost:
    r"""A convex cost :math:`c(x, y) = h(x - y)` with a homogeneous h: :math:`h(t z) = t^p h(z)` for t > 0.

    A row of the table `COSTS` gives a cost a name: ``COSTS["mine"] = Cost(h, power=p)``.

    Parameters
    ----------
    value : callable
        The function h, which takes differences of shape (..., d) and returns values of shape (...). It must be
        differentiable by autograd.
    power : float
        The power p, 1 or more. If the data are multiplied by t, all costs are multiplied by :math:`t^p`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.costs import Cost
    >>> cost = Cost(lambda difference: difference.abs().amax(-1) ** 2, power=2)
    >>> cost.pairwise(torch.zeros(1, 2), torch.tensor([[1.0, 1.0], [3.0, 4.0]]))
    tensor([[ 1., 16.]])
    >>> cost.gradient(torch.tensor([3.0, 4.0]))
    tensor([0., 8.])
    """

    value: Callable[[Tensor], Tensor]
    power: float

    @property
    def is_squared(self) -> bool:
        """Whether this is the squared Euclidean distance, for which cells and plans only need inner products."""
        return False

    def pairwise(self, x: Tensor, y: Tensor, *, by_product: bool = False) -> Tensor:
        """Costs between all rows of x, shape (n, d), and y, shape (m, d); the result has shape (n, m).

        With ``by_product`` they may be computed by a matrix product, which is faster in many dimensions. It is as
        precise if the norms of the rows are not large against their distances.
        """
        blocks = x.split(max(1, BLOCK_NUMBERS // y.numel()))
        return torch.cat([self.value(block[:, None] - y) for block in blocks])

    def gradient(self, difference: Tensor) -> Tensor:
        r"""The gradient :math:`\nabla h` at differences of shape (..., d)."""
        return torch.func.grad(lambda z: self.value(z).sum())(difference)

    def inverse_gradient(self, gradient: Tensor) -> Tensor:
        r"""The difference :math:`(\nabla h)^{-1}(g)` for gradients g of shape (..., d), if h is strictly convex.

        Raises
        ------
        ValueError
            If the gradient has no inverse, or its inverse is not implemented.
        """
        raise ValueError(
            f"The inverse of the gradient of {self} is not known, so a potential does not determine the map. "
            "Take a power p > 1 of the Euclidean distance as the cost."
        )


@stored
class Cityblock(Cost):
    """The sum of the absolute differences of all features."""

    def __init__(self):
        super().__init__(_absolute_sum, 1.0)

    def __repr__(self):
        return "Cityblock()"

    def __getstate__(self):
        return {}

    def __setstate__(self, state):
        self.__init__()

    def pairwise(self, x: Tensor, y: Tensor, *, by_product: bool = False) -> Tensor:
        """See `Cost.pairwise`."""
        return torch.cdist(x, y, p=1.0)


@stored
class EuclideanPower(Cost):
    r"""The power :math:`\|x - y\|^p` of the Euclidean distance, with p = 1 or more.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.costs import EuclideanPower
    >>> cost = EuclideanPower(3.0)
    >>> cost.value(torch.tensor([3.0, 4.0]))
    tensor(125.)
    >>> cost.inverse_gradient(cost.gradient(torch.tensor([3.0, 4.0])))
    tensor([3., 4.])
    """

    def __init__(self, power: float):
        super().__init__(partial(_norm_power, power=power), power)

    def __repr__(self):
        return f"EuclideanPower({self.power:g})"

    def __getstate__(self):
        return {"power": self.power}

    def __setstate__(self, state):
        self.__init__(state["power"])

    # Two partial functions are never equal, so the value is left out.
    def __eq__(self, other):
        return type(other) is type(self) and other.power == self.power

    def __hash__(self):
        return hash((type(self), self.power))

    @property
    def is_squared(self) -> bool:
        """See `Cost.is_squared`."""
        return self.power == 2

    def pairwise(self, x: Tensor, y: Tensor, *, by_product: bool = False) -> Tensor:
        """See `Cost.pairwise`."""
        if self.is_squared and by_product:
            return 2 * half_squared_distances(x, y)
        mode = "use_mm_for_euclid_dist_if_necessary" if by_product else "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(x, y, compute_mode=mode)
        if self.power == 1:
            return distance
        # In place unless a gradient needs the distances: new memory takes more time than the powers.
        return distance.pow(self.power) if distance.requires_grad else distance.pow_(self.power)

    def gradient(self, difference: Tensor) -> Tensor:
        r"""See `Cost.gradient`; it is :math:`p \|z\|^{p - 2} z`, and 0 at 0."""
        return self.power * _scaled(difference, self.power - 2)

    def inverse_gradient(self, gradient: Tensor) -> Tensor:
        r"""See `Cost.inverse_gradient`; it is :math:`(\|g\| / p)^{(2 - p) / (p - 1)}\, g / p` for p > 1."""
        if self.power == 1:
            return super().inverse_gradient(gradient)
        return _scaled(gradient / self.power, (2 - self.power) / (self.power - 1))


def _absolute_sum(difference: Tensor) -> Tensor:
    return difference.abs().sum(-1)


def _norm_power(difference: Tensor, power: float) -> Tensor:
    if power == 2:
        return difference.square().sum(-1)
    return torch.linalg.vector_norm(difference, dim=-1) ** power


def _scaled(rows: Tensor, exponent: float) -> Tensor:
    """Multiply each row by a power of its norm; the result is 0 at 0."""
    if exponent == 0:
        return rows
    norm = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows * torch.where(norm > 0, norm, 1.0) ** exponent


# The costs by their names. Estimators accept every key of this table, also keys that are added later.
COSTS: dict[str, Cost] = {
    "sqeuclidean": EuclideanPower(2.0),
    "euclidean": EuclideanPower(1.0),
    "cityblock": Cityblock(),
}


def read_cost(cost: str | float | Cost) -> Cost:
    r"""Read a cost: a key of `COSTS`, a number p ≥ 1 for :math:`\|x - y\|^p`, or a `Cost`.

    Raises
    ------
    ValueError
        If ``cost`` is none of these.

    Examples
    --------
    >>> from sklearn_ot.solvers.costs import read_cost
    >>> read_cost("sqeuclidean"), read_cost(1.5).power
    (EuclideanPower(2), 1.5)
    """
    if isinstance(cost, Cost):
        return cost
    if isinstance(cost, str) and cost in COSTS:
        return COSTS[cost]
    if not isinstance(cost, Real) or isinstance(cost, bool) or not 1 <= cost < float("inf"):
        raise ValueError(f"cost must be one of {', '.join(COSTS)} or a power p >= 1 of the distance, got {cost!r}.")
    return EuclideanPower(float(cost))


def half_squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Costs ½‖x − y‖² of all pairs, shape (n, m), by one matrix product; used for batches of a training."""
    costs = torch.addmm(y.square().sum(1) / 2, x, y.T, alpha=-1)
    return (costs + x.square().sum(1, keepdim=True) / 2).clamp(min=0)

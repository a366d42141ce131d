"""The networks of a map for another cost than the squared one."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sklearn_ot.nn._potentials import ConvexPair, Network

# Steps of a bisection, each of which halves the error.
N_HALVINGS = 50


class CostPair(ConvexPair):
    r"""A `ConvexPair` for a cost h(w) of the step w from the image to its row, which is quadratic up to a rest.

    The step between the rows with coordinates u and v is :math:`w = F^\top u - G^\top v + \bar w`. With a symmetric
    matrix H and a vector b,

    .. math::
        \kappa\, h(w) = a(u) + b(v) - \langle u, v \rangle + r(u, v), \qquad
        r(u, v) = \kappa \left( h(w) - \tfrac12 \langle w - \bar w, H (w - \bar w) \rangle
        - \langle b, w - \bar w \rangle \right) .

    If ψ is the potential, :math:`a(u) - \psi(u)` is a Kantorovich potential of the cost κ h, and the other one is
    :math:`b(v) - \max_u [\langle u, v \rangle - \psi(u) - r(u, v)]`. The step w of the map solves
    :math:`\nabla h(w) = H (w_0 - \bar w) + b`, where :math:`w_0` is the step to ∇ψ(u), the map without r.

    Beyond the ball around 0 that holds all rows u, the maximum has another term: it is one over the rows, and without
    the term it can be infinite for a cost that grows less than a square.

    Parameters
    ----------
    potential, inverse, is_guess, sizes, inverse_sizes
        See `ConvexPair`.
    cost : object
        h, with the methods of `sklearn_ot.solvers.costs.Cost`.
    geometry : dict
        Arrays ``source`` (F) and ``target`` (G), with one row for each coordinate; ``inverse``, which takes
        :math:`G^\top v` to v; ``step`` (:math:`\bar w`), ``slope`` (b), ``curvature`` (H) and ``unit`` (κ). ``leg`` is
        the length of a constant part of all steps, which is orthogonal to w. ``radius`` and ``rim`` are those of the
        ball, and the curvature of the term beyond it.
    """

    def __init__(
        self, potential: Network, inverse: Network, *, is_guess: bool, cost, geometry: dict[str, Any], **sizes
    ):
        super().__init__(potential, inverse, is_guess=is_guess, **sizes)
        self.cost = cost
        self.leg = float(geometry["leg"])
        for name, array in geometry.items():
            if name != "leg":
                self.register_buffer(name, torch.as_tensor(array, dtype=torch.float32), persistent=False)

    def rest(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The values of r, with the term beyond the ball, and their gradients in u; shapes (n,) and (n, d)."""
        w = u @ self.source - v @ self.target + self.step
        change = w - self.step
        linear = change @ self.curvature
        full = F.pad(w, (0, 1), value=self.leg)
        value = self.cost.value(full) - (change * (linear / 2 + self.slope)).sum(1)
        gradient = self.cost.gradient(full)[:, :-1] - linear - self.slope
        norm = torch.linalg.vector_norm(u, dim=1).clamp_min(self.radius)
        beyond = norm - self.radius
        return (
            self.unit * value + self.rim / 2 * beyond.square(),
            self.unit * (gradient @ self.source.T) + (self.rim * beyond / norm)[:, None] * u,
        )

    def transport(self, u: Tensor) -> Tensor:
        """The images of rows, in the coordinates of the target."""
        change = u @ self.source - self.potential.gradient(u) @ self.target
        step = self._step(change @ self.curvature + self.slope)
        return (u @ self.source + self.step - step) @ self.inverse_of_target

    def source_part(self, u: Tensor) -> Tensor:
        """The values a(u), shape (n,)."""
        return self._part(u @ self.source)

    def target_part(self, v: Tensor) -> Tensor:
        """The values b(v), shape (n,)."""
        return self._part(-v @ self.target)

    def _part(self, change):
        return self.unit * (change * (change @ self.curvature / 2 + self.slope)).sum(1)

    def _step(self, slope):
        """The steps w at which the cost has given slopes."""
        steps = self.cost.inverse_gradient(slope)
        if self.leg == 0:
            return steps
        # The slope along the constant part is unknown: the one for which this part has its length.
        high = torch.maximum(*(self._slope(rows)[:, -1:] for rows in (steps, torch.zeros_like(steps))))
        low = torch.zeros_like(high)
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            steps = self.cost.inverse_gradient(torch.cat([slope, middle], 1))
            is_short = steps[:, -1:] < self.leg
            low, high = torch.where(is_short, middle, low), torch.where(is_short, high, middle)
        return steps[:, :-1]

    def _slope(self, steps):
        return self.cost.gradient(F.pad(steps, (0, 1), value=self.leg))

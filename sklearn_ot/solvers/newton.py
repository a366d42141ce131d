"""Convex conjugates by Newton's method, in few dimensions."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_ot.solvers.conjugate import Maximum

# Length of the longest move. A Hessian says little of what is far away: near a bend of ψ it changes a hundredfold.
LONGEST = 0.5
# Factor of the next move if one is not accepted.
SHORTER = 1 / 3


@torch.no_grad()
def newton_conjugate(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    start: Maximum,
    *,
    tol: float,
    max_iter: int = 8,
) -> Maximum:
    r"""Continue a search for convex conjugates by Newton's method.

    .. math:: x \leftarrow x - t\, (\nabla^2 \psi(x))^{-1} (\nabla\psi(x) - y)

    Where ψ is nearly flat, a small residual leaves a large error of the maximiser, :math:`(\nabla^2 \psi)^{-1}` times
    the residual, and first-order searches take many steps to reduce it. A Hessian takes d backward passes, so this is
    for few dimensions. A move has at most the length 0.5. As in `sklearn_ot.solvers.conjugate.convex_conjugate`, a row
    accepts a move only if it lowers ψ(x) − ⟨x, y⟩, and otherwise makes a shorter one next.

    Parameters
    ----------
    value_and_gradient : callable
        Takes a tensor of shape (n, d) and returns the values of ψ, shape (n,), and its gradients, shape (n, d), which
        must be differentiable. ψ is strictly convex.
    y : Tensor of shape (n, d)
        Points.
    start : Maximum
        The result of another search.
    tol : float
        A row has converged, and leaves the search, when its residual is at most ``tol``.
    max_iter : int, default=8
        Largest number of steps.

    Returns
    -------
    conjugate : Maximum
        Maximisers, values and residuals; rows that have converged before are those of ``start``.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.conjugate import convex_conjugate
    >>> from sklearn_ot.solvers.newton import newton_conjugate
    >>> def flat(x):
    ...     return (0.005 * x.square()).sum(1), 0.01 * x
    >>> y = torch.tensor([[4e-3, -2e-3]])
    >>> start = convex_conjugate(flat, y, torch.zeros(1, 2), tol=1e-2)  # has converged at once
    >>> newton_conjugate(flat, y, start, tol=1e-4).argmax
    tensor([[ 0.4000, -0.2000]])
    """
    argmax, value, residual = start.argmax.clone(), start.value.clone(), start.residual.clone()
    rows = (~(residual <= tol)).nonzero()[:, 0]
    if len(rows) == 0 or max_iter == 0:
        return start
    search = _Newton.begin(value_and_gradient, y[rows], argmax[rows])
    n_iter = 0
    while len(rows) and n_iter < max_iter:
        n_iter += 1
        search = search.step(value_and_gradient)
        argmax[rows], value[rows], residual[rows] = search.x, -search.objective, search.residual.norm(dim=1)
        unsolved = (~(residual[rows] <= tol)).nonzero()[:, 0]
        rows, search = rows[unsolved], _Newton(*(tensor[unsolved] for tensor in search))
    return Maximum(argmax, value, residual, start.n_iter + n_iter)


class _Newton(NamedTuple):
    """The state of the search: one row of each tensor for each unsolved point."""

    x: Tensor
    y: Tensor
    objective: Tensor
    residual: Tensor
    hessian: Tensor
    fraction: Tensor

    @classmethod
    def begin(cls, value_and_gradient, y, x):
        value, gradient, hessian = _derivatives(value_and_gradient, x)
        return cls(x, y, value - (x * y).sum(1), gradient - y, hessian, torch.ones_like(value))

    def step(self, value_and_gradient):
        """Try one move for every point."""
        move, info = torch.linalg.solve_ex(self.hessian, self.residual)
        # Where rounding leaves no positive Hessian, the search goes down the gradient.
        is_descent = (info == 0) & ((move * self.residual).sum(1) > 0)
        move = torch.where(is_descent[:, None], move, self.residual)
        move = move * (self.fraction * (LONGEST / move.norm(dim=1)).clamp(max=1))[:, None]
        x = self.x - move
        value, gradient, hessian = _derivatives(value_and_gradient, x)
        objective = value - (x * self.y).sum(1)
        # A smaller difference of objectives is only rounding, and no reason to reject a move.
        rounding = 4 * torch.finfo(x.dtype).eps * (1 + value.abs())
        accepted = self.objective - objective >= 1e-4 * (move * self.residual).sum(1) - rounding
        column = accepted[:, None]
        return _Newton(
            torch.where(column, x, self.x),
            self.y,
            torch.where(accepted, objective, self.objective),
            torch.where(column, gradient - self.y, self.residual),
            torch.where(column[..., None], hessian, self.hessian),
            torch.where(accepted, 1.0, SHORTER * self.fraction),
        )


def _derivatives(value_and_gradient, x):
    """Values, gradients and Hessians at rows."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        value, gradient = value_and_gradient(x)
        columns = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in gradient.unbind(1)]
    hessian = torch.stack(columns, 1)
    return value.detach(), gradient.detach(), (hessian + hessian.mT) / 2

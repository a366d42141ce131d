"""Convex conjugates by Newton's method, in few dimensions."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_ot.solvers.conjugate import Maximum, Rest, is_enough, with_rest

# The largest number of features in which a Hessian is cheap.
FEW_FEATURES = 4
# Length of the longest move. A Hessian says little of what is far away: near a bend of ψ it changes a hundredfold.
LONGEST = 0.5
# Factor of the next move if one is not accepted.
SHORTER = 1 / 3


@torch.no_grad()
def newton_conjugate(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    start: Tensor,
    *,
    tol: float | Tensor = 1e-4,
    max_iter: int = 20,
    rest: Rest | None = None,
) -> Maximum:
    r"""The convex conjugate of a smooth convex function at every row of ``y``, by Newton's method.

    .. math:: x \leftarrow x - t\, (\nabla^2 \psi(x))^{-1} (\nabla\psi(x) - y)

    Where ψ is nearly flat, a small residual leaves a large error of the maximiser, the inverse Hessian times the
    residual, and `sklearn_ot.solvers.conjugate.convex_conjugate` takes many steps to reduce it. A Hessian takes d
    backward passes, so this is for few dimensions. A move has at most the length 0.5. A row accepts a move only if it
    lowers ψ(x) − ⟨x, y⟩, and otherwise makes a shorter one next, so no row ends worse than it started. Rows that have
    converged leave the search. It reads its results in each step, and cannot be recorded as a CUDA graph.

    Parameters
    ----------
    value_and_gradient : callable
        Takes a tensor of shape (n, d) and returns the values of ψ, shape (n,), and its gradients, shape (n, d), which
        must be differentiable.
    y : Tensor of shape (n, d)
        Points.
    start : Tensor of shape (n, d)
        First guesses of the maximisers.
    tol : float or Tensor of shape (n,), default=1e-4
        A row has converged when its residual is at most ``tol``.
    max_iter : int, default=20
        Largest number of steps.
    rest : callable, default=None
        See `sklearn_ot.solvers.conjugate.convex_conjugate`; its gradients must be differentiable.

    Returns
    -------
    conjugate : Maximum
        Maximisers, values and residuals.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.newton import newton_conjugate
    >>> def flat(x):
    ...     return (0.005 * x.square()).sum(1), 0.01 * x
    >>> newton_conjugate(flat, torch.tensor([[4e-3, -2e-3]]), start=torch.zeros(1, 2)).argmax
    tensor([[ 0.4000, -0.2000]])
    """
    function = with_rest(value_and_gradient, rest)
    search = _Newton.begin(function, y, start, tol)
    argmax, objective, residual = search.x.clone(), search.objective.clone(), search.residual.norm(dim=1)
    rows, n_iter = torch.arange(len(y), device=y.device), 0
    while True:
        unsolved = (~(search.residual.norm(dim=1) <= search.tol)).nonzero()[:, 0]
        rows, search = rows[unsolved], _Newton(*(tensor[unsolved] for tensor in search))
        if len(rows) == 0 or n_iter >= max_iter:
            return Maximum(argmax, -objective, residual, n_iter)
        search = search.step(function)
        argmax[rows], objective[rows], residual[rows] = search.x, search.objective, search.residual.norm(dim=1)
        n_iter += 1


class _Newton(NamedTuple):
    """The state of the search: one row of each tensor for each unsolved point."""

    x: Tensor
    y: Tensor
    objective: Tensor
    residual: Tensor
    hessian: Tensor
    fraction: Tensor
    tol: Tensor

    @classmethod
    def begin(cls, function, y, x, tol):
        value, gradient, hessian = _derivatives(function, x, y)
        if not isinstance(tol, Tensor):
            tol = torch.full_like(value, tol)
        return cls(x, y, value - (x * y).sum(1), gradient - y, hessian, torch.ones_like(value), tol)

    def step(self, function):
        """Try one move for every point."""
        move, info = torch.linalg.solve_ex(self.hessian, self.residual)
        # Where rounding leaves no positive Hessian, the search goes down the gradient.
        is_descent = (info == 0) & ((move * self.residual).sum(1) > 0)
        move = torch.where(is_descent[:, None], move, self.residual)
        move = move * (self.fraction * (LONGEST / move.norm(dim=1)).clamp(max=1))[:, None]
        x = self.x - move
        value, gradient, hessian = _derivatives(function, x, self.y)
        objective = value - (x * self.y).sum(1)
        accepted = is_enough(self.objective - objective, (move * self.residual).sum(1), value)
        column = accepted[:, None]
        return _Newton(
            torch.where(column, x, self.x),
            self.y,
            torch.where(accepted, objective, self.objective),
            torch.where(column, gradient - self.y, self.residual),
            torch.where(column[..., None], hessian, self.hessian),
            torch.where(accepted, 1.0, SHORTER * self.fraction),
            self.tol,
        )


def _derivatives(function, x, y):
    """Values, gradients and Hessians at rows."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        value, gradient = function(x, y)
        columns = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in gradient.unbind(1)]
    hessian = torch.stack(columns, 1)
    return value.detach(), gradient.detach(), (hessian + hessian.mT) / 2

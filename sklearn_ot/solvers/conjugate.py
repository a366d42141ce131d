"""Convex conjugates, one convex minimisation per point."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Conjugate(NamedTuple):
    """What `convex_conjugate` returns.

    Attributes
    ----------
    argmax : Tensor of shape (n, d)
        The maximisers x of ⟨x, y⟩ − ψ(x): the images of y under the inverse of ∇ψ.
    value : Tensor of shape (n,)
        The values ψ*(y) reached there, never above the true ones.
    residual : Tensor of shape (n,)
        ‖∇ψ(x) − y‖. If ψ is β-strongly convex, the value is short of ψ*(y) by at most residual² / (2 β).
    n_iter : int
        Steps taken.
    """

    argmax: Tensor
    value: Tensor
    residual: Tensor
    n_iter: int


@torch.no_grad()
def convex_conjugate(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    start: Tensor,
    *,
    tol: float = 1e-4,
    max_iter: int = 100,
) -> Conjugate:
    r"""The convex conjugate of a smooth convex function at every row of ``y``.

    .. math:: \psi^*(y) = \max_x \langle x, y \rangle - \psi(x)

    Gradient steps of the length of [Barzilai88]_, each row with its own; a row accepts a step only if it lowers
    the row's own objective ψ(x) − ⟨x, y⟩, else it shortens the next one, so no row can end worse than it started.

    Parameters
    ----------
    value_and_gradient : callable
        Takes a tensor of shape (n, d), returns the values ψ, shape (n,), and the gradients, shape (n, d).
    y : Tensor of shape (n, d)
        Points.
    start : Tensor of shape (n, d)
        First guesses of the maximisers.
    tol : float, default=1e-4
        A row has converged when its residual is at most ``tol``; all have, the search ends.
    max_iter : int, default=100
        Steps at most.

    Returns
    -------
    conjugate : Conjugate
        Maximisers, values and residuals.

    References
    ----------
    .. [Barzilai88] J. Barzilai and J. M. Borwein, "Two-point step size gradient methods", IMA Journal of Numerical
       Analysis, 1988.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.conjugate import convex_conjugate
    >>> def quadratic(x):
    ...     return (2 * x.square()).sum(1), 4 * x
    >>> y = torch.tensor([[4.0, -8.0]])
    >>> convex_conjugate(quadratic, y, start=torch.zeros(1, 2)).argmax
    tensor([[ 1., -2.]])
    """
    x = start
    value, gradient = value_and_gradient(x)
    objective, residual = value - (x * y).sum(1), gradient - y
    step = torch.ones_like(objective)
    # Below this, a difference of objectives is rounding and says nothing about a step.
    rounding = 4 * torch.finfo(y.dtype).eps
    n_iter = 0
    while n_iter < max_iter and bool((residual.norm(dim=1) > tol).any()):
        x_new = x - step[:, None] * residual
        value, gradient = value_and_gradient(x_new)
        objective_new, residual_new = value - (x_new * y).sum(1), gradient - y
        enough = 1e-4 * step * residual.square().sum(1) - rounding * (1 + value.abs())
        accepted = objective - objective_new >= enough
        change = residual_new - residual
        curvature_step = ((x_new - x) * change).sum(1) / change.square().sum(1).clamp_min(torch.finfo(y.dtype).tiny)
        curvature_step = curvature_step.clamp(1e-5, 1e5)
        step = torch.where(accepted, curvature_step, torch.minimum(curvature_step, 0.4 * step))
        x = torch.where(accepted[:, None], x_new, x)
        residual = torch.where(accepted[:, None], residual_new, residual)
        objective = torch.where(accepted, objective_new, objective)
        n_iter += 1
    return Conjugate(x, -objective, residual.norm(dim=1), n_iter)

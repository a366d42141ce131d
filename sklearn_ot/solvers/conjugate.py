"""Convex conjugates, by one convex minimisation for each point."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Maximum(NamedTuple):
    """Result of `convex_conjugate`.

    Attributes
    ----------
    argmax : Tensor of shape (n, d)
        The maximisers x of ⟨x, y⟩ − ψ(x): the images of y under the inverse of ∇ψ.
    value : Tensor of shape (n,)
        The values ⟨x, y⟩ − ψ(x) at the maximisers, lower bounds of ψ*(y).
    residual : Tensor of shape (n,)
        ‖∇ψ(x) − y‖. If ψ is β-strongly convex, ψ*(y) is at most residual² / (2 β) above the value.
    n_iter : int
        Number of steps.
    """

    argmax: Tensor
    value: Tensor
    residual: Tensor
    n_iter: int


CHECK_EVERY = 4


@torch.no_grad()
def convex_conjugate(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    start: Tensor,
    *,
    tol: float | Tensor = 1e-4,
    max_iter: int = 100,
) -> Maximum:
    r"""The convex conjugate of a smooth convex function at every row of ``y``.

    .. math:: \psi^*(y) = \max_x \langle x, y \rangle - \psi(x)

    The method is gradient descent with the step sizes of [Barzilai88]_, one for each row. A row accepts a step only if
    the step lowers its objective ψ(x) − ⟨x, y⟩, and otherwise takes a smaller step next. So no row ends worse than it
    started. Every few steps, rows that have converged leave the search. During the recording of a CUDA graph no row
    leaves it, and all rows take ``max_iter`` steps.

    Parameters
    ----------
    value_and_gradient : callable
        Takes a tensor of shape (n, d) and returns the values of ψ, shape (n,), and its gradients, shape (n, d).
    y : Tensor of shape (n, d)
        Points.
    start : Tensor of shape (n, d)
        First guesses of the maximisers.
    tol : float or Tensor of shape (n,), default=1e-4
        A row has converged when its residual is at most ``tol``. The search ends when all rows have.
    max_iter : int, default=100
        Largest number of steps.

    Returns
    -------
    conjugate : Maximum
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
    search = _Search.begin(value_and_gradient, y, start, tol)
    if y.is_cuda and torch.cuda.is_current_stream_capturing():
        # On a GPU, steps of rows that have converged take almost no time.
        for _ in range(max_iter):
            search = search.step(value_and_gradient)
        return Maximum(search.x, -search.objective, search.residual.norm(dim=1), max_iter)
    argmax, objective, residual = start.clone(), search.objective.clone(), search.residual.norm(dim=1)
    rows = torch.arange(len(y), device=y.device)
    n_iter = 0
    while True:
        # The only place where the results are read: a GPU has to finish its computation here.
        unsolved = (~(search.residual.norm(dim=1) <= search.tol)).nonzero()[:, 0]
        if len(unsolved) < len(rows) or n_iter >= max_iter:
            argmax[rows], objective[rows], residual[rows] = search.x, search.objective, search.residual.norm(dim=1)
            rows, search = rows[unsolved], search.keep(unsolved)
        if len(rows) == 0 or n_iter >= max_iter:
            return Maximum(argmax, -objective, residual, n_iter)
        for _ in range(min(CHECK_EVERY, max_iter - n_iter)):
            search = search.step(value_and_gradient)
            n_iter += 1


class _Search(NamedTuple):
    """The state of the search: one row of each tensor for each unsolved point."""

    x: Tensor
    y: Tensor
    objective: Tensor
    residual: Tensor
    length: Tensor
    tol: Tensor

    @classmethod
    def begin(cls, value_and_gradient, y, start, tol):
        value, gradient = value_and_gradient(start)
        if not isinstance(tol, Tensor):
            tol = torch.full_like(value, tol)
        return cls(start, y, value - (start * y).sum(1), gradient - y, torch.ones_like(value), tol)

    def keep(self, rows):
        return _Search(*(tensor[rows] for tensor in self))

    def step(self, value_and_gradient):
        """Try one step for every point, and set the size of the next step."""
        move = self.length[:, None] * self.residual
        x = self.x - move
        value, gradient = value_and_gradient(x)
        objective, residual = value - (x * self.y).sum(1), gradient - self.y
        # A smaller difference of objectives is only rounding, and no reason to reject a step.
        rounding = 4 * torch.finfo(x.dtype).eps * (1 + value.abs())
        enough = 1e-4 * (move * self.residual).sum(1) - rounding
        accepted = self.objective - objective >= enough
        change = self.residual - residual
        length = (move * change).sum(1) / change.square().sum(1).clamp_min(torch.finfo(x.dtype).tiny)
        length = length.clamp(1e-5, 1e5)
        length = torch.where(accepted, length, torch.minimum(length, 0.4 * self.length))
        column = accepted[:, None]
        return _Search(
            torch.where(column, x, self.x),
            self.y,
            torch.where(accepted, objective, self.objective),
            torch.where(column, residual, self.residual),
            length,
            self.tol,
        )

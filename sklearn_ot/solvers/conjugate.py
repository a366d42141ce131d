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


# Values and gradients in x of a function r(x, y).
Rest = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
CHECK_EVERY = 4
# Number of steps that the estimate of the inverse Hessian remembers.
MEMORY = 3


@torch.no_grad()
def convex_conjugate(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    start: Tensor,
    *,
    tol: float | Tensor = 1e-4,
    max_iter: int = 100,
    rest: Rest | None = None,
) -> Maximum:
    r"""The convex conjugate of a smooth convex function at every row of ``y``.

    .. math:: \psi^*(y) = \max_x \langle x, y \rangle - \psi(x)

    The method is L-BFGS [Liu89]_, with an estimate of the inverse Hessian for each row. A row accepts a step only if
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
    rest : callable, default=None
        A function r(x, y), by its values and gradients in x, that is added to ψ(x). The conjugate is then that of a
        cost which is not a square, see `sklearn_ot.nn.CostPair`. If the sum is not convex, the search may end at a
        local maximum.

    Returns
    -------
    conjugate : Maximum
        Maximisers, values and residuals.

    References
    ----------
    .. [Liu89] D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical
       Programming, 1989.

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
    function = with_rest(value_and_gradient, rest)
    search = _Search.begin(function, y, start, tol)
    if y.is_cuda and torch.cuda.is_current_stream_capturing():
        # On a GPU, steps of rows that have converged take almost no time.
        for _ in range(max_iter):
            search = search.step(function)
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
            search = search.step(function)
            n_iter += 1


@torch.no_grad()
def fixed_steps(
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
    y: Tensor,
    start: Tensor,
    *,
    n_steps: int,
    rest: Rest | None = None,
) -> Tensor:
    """The places of smallest residual in ``n_steps`` steps of the search of `convex_conjugate`, for each row.

    Nothing depends on the values of tensors but their values, so that `torch.vmap` can take the search.

    Parameters
    ----------
    value_and_gradient, y, start, rest
        See `convex_conjugate`.
    n_steps : int
        Number of steps of each row.

    Returns
    -------
    places : Tensor of shape (n, d)
        The rows x.
    """
    function = with_rest(value_and_gradient, rest)
    search = _Search.begin(function, y, start, 0.0)
    best, least = search.x, search.residual.square().sum(1, keepdim=True)
    for _ in range(n_steps):
        search = search.step(function)
        square = search.residual.square().sum(1, keepdim=True)
        best, least = torch.where(square < least, search.x, best), torch.minimum(square, least)
    return best


class _Search(NamedTuple):
    """The state of the search: one row of each tensor for each unsolved point.

    ``pairs`` describe the last moves, newest first. Moves that were not accepted show the curvature too.
    """

    x: Tensor
    y: Tensor
    objective: Tensor
    residual: Tensor
    move: Tensor
    fraction: Tensor
    length: Tensor
    tol: Tensor
    pairs: tuple["_Secant", ...] = ()

    @classmethod
    def begin(cls, function, y, start, tol):
        value, gradient = function(start, y)
        if not isinstance(tol, Tensor):
            tol = torch.full_like(value, tol)
        residual, ones = gradient - y, torch.ones_like(value)
        return cls(start, y, value - (start * y).sum(1), residual, residual, ones, ones, tol)

    def keep(self, rows):
        *tensors, pairs = self
        return _Search(*(tensor[rows] for tensor in tensors), tuple(pair.keep(rows) for pair in pairs))

    def step(self, function):
        """Try one move for every point, and choose the next one."""
        x = self.x - self.move
        value, gradient = function(x, self.y)
        objective, residual = value - (x * self.y).sum(1), gradient - self.y
        accepted = is_enough(self.objective - objective, (self.move * self.residual).sum(1), value)
        pairs, length = _remembered(self.pairs, self.move, self.residual - residual, self.length)
        column = accepted[:, None]
        residual = torch.where(column, residual, self.residual)
        fraction = torch.where(accepted, 1.0, self.fraction / 2)
        return _Search(
            torch.where(column, x, self.x),
            self.y,
            torch.where(accepted, objective, self.objective),
            residual,
            fraction[:, None] * _quasi_newton(residual, pairs, length),
            fraction,
            length,
            self.tol,
            pairs,
        )


def with_rest(value_and_gradient: Callable, rest: Rest | None) -> Callable:
    """Values and gradients of ψ(x) + r(x, y) as a function of x and y."""
    if rest is None:
        return lambda x, y: value_and_gradient(x)

    def function(x, y):
        return tuple(map(torch.add, value_and_gradient(x), rest(x, y)))

    return function


def is_enough(decrease: Tensor, linear: Tensor, value: Tensor) -> Tensor:
    """Whether moves lower an objective enough (the rule of Armijo), by rows; all shapes are (n,).

    Parameters
    ----------
    decrease, linear : Tensor
        By how much the objective decreases, and by how much its linear part at the row does.
    value : Tensor
        ψ after the move, whose rounding error is no reason to reject a move, but a value beyond the floats is.
    """
    rounding = 4 * torch.finfo(value.dtype).eps * (1 + value.abs())
    return (decrease >= 1e-4 * linear - rounding) & value.isfinite()


class _Secant(NamedTuple):
    """A move, the change of the residual that it undoes, and the reciprocal of their product, by rows."""

    move: Tensor
    change: Tensor
    reciprocal: Tensor

    def keep(self, rows):
        return _Secant(*(tensor[rows] for tensor in self))


def _remembered(pairs, move, change, length):
    """The last pairs with a new one, and the step sizes of gradient descent that fit the new one."""
    product, square = (move * change).sum(1), change.square().sum(1)
    # The product is positive because ψ is convex. If it is not, the change is only rounding, or beyond the floats.
    is_positive = product > 1e-8 * square
    move, change = (torch.where(is_positive[:, None], rows, 0.0) for rows in (move, change))
    reciprocal = torch.where(is_positive, 1 / product, 0.0)
    pairs = (_Secant(move, change, reciprocal[:, None]), *pairs[: MEMORY - 1])
    return pairs, torch.where(is_positive, (product / square).clamp(1e-5, 1e5), length)


def _quasi_newton(residual, pairs, length):
    """The residual times the estimate of the inverse Hessian by L-BFGS, for each row."""
    factors = []
    for move, change, reciprocal in pairs:
        factor = reciprocal * (move * residual).sum(1, keepdim=True)
        residual = torch.addcmul(residual, factor, change, value=-1)
        factors.append(factor)
    step = length[:, None] * residual
    for (move, change, reciprocal), factor in zip(reversed(pairs), reversed(factors), strict=True):
        step = torch.addcmul(step, factor - reciprocal * (change * step).sum(1, keepdim=True), move)
    return step

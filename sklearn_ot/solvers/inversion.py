"""The inverse of the gradient of a convex function as a torch module: a search with a fixed number of steps."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sklearn_ot.nn import AlongAxes, Inversion
from sklearn_ot.solvers.conjugate import fixed_steps

# Numbers of quasi-Newton steps, of Newton steps after them, and the largest number of Hessians times vectors in one.
N_STEPS, N_NEWTON, MAX_PRODUCTS = 100, 4, 100


class InverseSearch(nn.Module):
    r"""The rows x with :math:`\nabla\psi(x) = y`, or with :math:`\nabla\psi(x) + \nabla_x r(x, y) = y`.

    The search of `sklearn_ot.solvers.conjugate.convex_conjugate` takes ``n_steps`` steps. Then there are some steps of
    Newton's method, which solve for the step by conjugate gradients. Each row keeps the place with the smallest
    residual. The derivative of the result is the inverse Hessian, also by conjugate gradients. There is no second
    derivative.

    Parameters
    ----------
    pair : nn.Module
        A `sklearn_ot.nn.ConvexPair` whose second network gives the start of the search.

    Attributes
    ----------
    n_steps : int
        Number of quasi-Newton steps, 100 at first.
    """

    def __init__(self, pair: nn.Module):
        super().__init__()
        self.pair, self.n_steps = pair, N_STEPS

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The rows x, shape (n, d), and ``∇ψ(x) - y``, of the same shape and without a gradient."""
        x = self._search(y.detach()).detach()
        excess = self._excess(x, y)
        return _Implicit.apply(self._excess, x, y.detach(), excess), excess.detach()

    def _excess(self, x, y):
        gradient = self.pair.potential.gradient(x) - y
        return gradient if self.pair.rest is None else gradient + self.pair.rest(x, y)[1]

    @torch.no_grad()
    def _search(self, y):
        start, function = self.pair.inverse.gradient(y), self.pair.potential.value_and_gradient
        x = fixed_steps(function, y, start, n_steps=self.n_steps, rest=self.pair.rest)
        excess = self._excess(x, y)
        for _ in range(N_NEWTON):
            moved = x - solve_hessian(self._excess, x, y, excess)
            moved_excess = self._excess(moved, y)
            is_better = moved_excess.square().sum(1, keepdim=True) < excess.square().sum(1, keepdim=True)
            x, excess = torch.where(is_better, moved, x), torch.where(is_better, moved_excess, excess)
        return x


class SearchInCoordinates(nn.Module):
    """An `InverseSearch` for rows in the units of the data.

    Parameters
    ----------
    start, end : nn.Module
        Coordinates of target rows, and source rows of coordinates.
    search : InverseSearch
        The search, in the coordinates along the axes.
    axes : Tensor or None
        See `sklearn_ot.nn.AlongAxes`.
    image : nn.Module
        Target rows of coordinates; a map with a method ``linear``.
    """

    def __init__(self, start: nn.Module, search: InverseSearch, end: nn.Module, image: nn.Module, axes: Tensor | None):
        super().__init__()
        self.start, self.search, self.end, self.image = start, AlongAxes(search, axes), end, image

    def forward(self, y: Tensor) -> Inversion:
        """Preimages of target rows."""
        v, lift = self.start(y), self.search
        along = lift.within(v)
        found, excess = lift.inner(along)
        rows = self.end(lift.lifted(v, along, found))
        return Inversion(rows, self.image.linear(lift.outward(excess)).norm(dim=1))


class _Implicit(torch.autograd.Function):
    """The rows x, as a function of the excess of their gradient: its derivative is minus the inverse Hessian."""

    generate_vmap_rule = True

    @staticmethod
    def forward(function, x, y, excess):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.function, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx, grad):
        x, y, excess = ctx.saved_tensors
        return None, None, None, _Once.apply(-solve_hessian(ctx.function, x, y, grad), excess)


class _Once(torch.autograd.Function):
    """A derivative that cannot be differentiated again: a wrong second derivative would not be seen."""

    generate_vmap_rule = True

    @staticmethod
    def forward(derivative, excess):
        return derivative.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError(
            "The inverse map is a search and has no second derivative. Differentiate the map itself instead: the "
            "derivative of the inverse is the inverse matrix of that of the map."
        )


@torch.no_grad()
def solve_hessian(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, b: Tensor) -> Tensor:
    r"""The solution v of :math:`H v = b` for each row by conjugate gradients.

    Parameters
    ----------
    function : callable
        A gradient in x, as a function of x and y, whose derivative H is symmetric and positive.
    x, y, b : Tensor of shape (n, d)
        Rows.

    Returns
    -------
    v : Tensor of shape (n, d)
        The solutions, after as many steps as twice the number of columns, and at most 100.
    """
    _, pull_back = torch.func.vjp(lambda u: function(u, y), x)
    v, rest = torch.zeros_like(b), b
    direction, square = rest, rest.square().sum(1, keepdim=True)
    tiny = torch.finfo(b.dtype).tiny
    for _ in range(min(2 * x.shape[1], MAX_PRODUCTS)):
        product = pull_back(direction)[0]
        curvature = (direction * product).sum(1, keepdim=True)
        # Rows whose solution has all its digits, and directions that are no descent, stay.
        length = torch.where(curvature > tiny, square / curvature.clamp(min=tiny), 0.0)
        v, rest = v + length * direction, rest - length * product
        before, square = square, rest.square().sum(1, keepdim=True)
        direction = rest + torch.where(before > tiny, square / before.clamp(min=tiny), 0.0) * direction
    return v

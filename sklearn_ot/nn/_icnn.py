"""Input-convex neural networks."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Activation(torch.autograd.Function):
    """A convex, non-decreasing activation together with its slope: both are needed, and they share their work."""

    @classmethod
    def forward(cls, ctx, v):
        value, slope = cls.value_and_slope(v)
        ctx.save_for_backward(slope)
        return value, slope

    @classmethod
    def backward(cls, ctx, value_grad, slope_grad):
        (slope,) = ctx.saved_tensors
        return torch.addcmul(value_grad * slope, slope_grad, cls.curvature(slope))


class CELU(_Activation):
    """``max(v, 0) + exp(min(v, 0)) - 1``."""

    @staticmethod
    def value_and_slope(v):
        slope = v.clamp(max=0).exp_()
        return v.relu().add_(slope).sub_(1), slope

    @staticmethod
    def curvature(slope):
        # slope where it is below 1, else 0: one pass, where `torch.where` takes several.
        return -F.threshold(-slope, -1, 0)


class Softplus(_Activation):
    """``log(1 + exp(v))``."""

    @staticmethod
    def value_and_slope(v):
        return F.softplus(v), v.sigmoid()

    @staticmethod
    def curvature(slope):
        return slope * (1 - slope)


ACTIVATIONS = {"celu": CELU, "softplus": Softplus}


class DenseICNN(nn.Module):
    r"""Fully connected input-convex network with convex-quadratic skips, and its gradient in closed form.

    .. math::
        \psi(x) &= \tfrac{\beta}{2} \|x\|^2 + \tfrac12 \|F x\|^2 + \langle s, x \rangle + \langle w, z_K(x) \rangle \\
        z_k(x) &= \sigma(W_k z_{k-1}(x) + q_k(x)), \qquad z_0 = 0 \\
        q_k(x)_h &= \sum_{r} \langle a_{khr}, x \rangle^2 + \langle b_{kh}, x \rangle + c_{kh}

    It is convex because :math:`W_k, w \ge 0` and :math:`\sigma` is convex and non-decreasing [Amos17]_; the quadratic
    skips are those of [Korotin21]_. As built, :math:`w = 0` and :math:`F = \sqrt{1 - \beta}\, I`, so the network *is*
    :math:`\|x\|^2 / 2` and its gradient the identity.

    Parameters
    ----------
    n_features : int
        Dimension d of the input.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the K hidden layers.
    rank : int, default=1
        Number of squares in each convex-quadratic skip; 0 leaves affine skips.
    activation : {"celu", "softplus"}, default="celu"
        The activation :math:`\sigma`.
    strong_convexity : float, default=1e-2
        The modulus :math:`\beta`, between 0 and 1; with it above 0 the gradient is invertible.

    References
    ----------
    .. [Amos17] B. Amos, L. Xu, J. Z. Kolter, "Input convex neural networks", ICML 2017.
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative networks",
       ICLR 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import DenseICNN
    >>> value, gradient = DenseICNN(2).value_and_gradient(torch.tensor([[3.0, 4.0]]))
    >>> round(value.item(), 4), gradient.round(decimals=4).tolist()
    (12.5, [[3.0, 4.0]])
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        *,
        rank: int = 1,
        activation: str = "celu",
        strong_convexity: float = 1e-2,
    ):
        super().__init__()
        self.hidden_layer_sizes = tuple(hidden_layer_sizes)
        self.rank = rank
        self.strong_convexity = strong_convexity
        self.activation = activation
        n_hidden, scale = sum(self.hidden_layer_sizes), 1 / math.sqrt(n_features)
        self.quadratic = nn.Parameter(math.sqrt(1 - strong_convexity) * torch.eye(n_features))
        self.shift = nn.Parameter(torch.zeros(n_features))
        # The skips of all layers read the same input, so they are one matrix product.
        self.skip = nn.Linear(n_features, n_hidden)
        nn.init.normal_(self.skip.weight, std=scale)
        nn.init.normal_(self.skip.bias, std=0.5)
        self.squares = nn.Parameter(0.3 * scale * torch.randn(n_hidden * rank, n_features)) if rank else None
        widths = [*self.hidden_layer_sizes, 1]
        # Non-negative weights of mean 1 / n_in: a layer's output is then of the size of its input at any width.
        self.inner = nn.ParameterList([2 * torch.rand(n, m) / m for m, n in pairwise(widths)])
        nn.init.zeros_(self.inner[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        top, _, _ = self._hidden(x)
        return self._value(x, top)

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients, shape (n, d): a monotone map, differentiable in ``x`` and in the weights."""
        _, slopes, projections = self._hidden(x)
        return self._gradient(x, slopes, projections)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both at the cost of one forward and one backward pass, without automatic differentiation."""
        top, slopes, projections = self._hidden(x)
        return self._value(x, top), self._gradient(x, slopes, projections)

    @torch.no_grad()
    def project_(self) -> None:
        """Set the negative ones of the weights that must not be negative to zero."""
        for weight in self.inner:
            weight.clamp_(min=0)

    def _hidden(self, x):
        """The top layer, the slopes of all layers, and the projections that the quadratic skips square."""
        activation = ACTIVATIONS[self.activation].apply
        projections, skips = None, self.skip(x)
        if self.rank:
            projections = F.linear(x, self.squares)
            for projection in projections.chunk(self.rank, dim=1):
                skips = torch.addcmul(skips, projection, projection)
        first, *rest = skips.split(self.hidden_layer_sizes, dim=1)
        z, slope = activation(first)
        slopes = [slope]
        for weight, skip in zip(self.inner, rest, strict=False):
            z, slope = activation(skip + F.linear(z, weight))
            slopes.append(slope)
        return z, slopes, projections

    def _value(self, x, top):
        quadratic = self.strong_convexity * x.square().sum(1) + F.linear(x, self.quadratic).square().sum(1)
        return quadratic / 2 + x @ self.shift + top @ self.inner[-1][0]

    def _gradient(self, x, slopes, projections):
        # The chain rule from the top layer down, written as a forward computation.
        deltas = [self.inner[-1] * slopes[-1]]
        for weight, slope in zip(reversed(self.inner[:-1]), reversed(slopes[:-1]), strict=True):
            deltas.append(deltas[-1] @ weight * slope)
        deltas = torch.cat(deltas[::-1], dim=1)
        gradient = torch.addmm(self.shift, F.linear(x, self.quadratic), self.quadratic)
        gradient = torch.addmm(gradient, deltas, self.skip.weight)
        if self.rank:
            squares = projections.unflatten(1, (self.rank, -1)) * deltas.unsqueeze(1)
            gradient = torch.addmm(gradient, squares.flatten(1), self.squares, alpha=2)
        return torch.add(gradient, x, alpha=self.strong_convexity)

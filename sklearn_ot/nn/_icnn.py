"""Input-convex neural networks."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Activation(torch.autograd.Function):
    """A convex, non-decreasing activation and its slope, which share their computation.

    The input ``v`` of shape (n, pool_size, n_pools) has one pool of units for each output, so that sums over a pool run
    over whole vectors. The results are the outputs, shape (n, n_pools), and the slope of each output in the units of
    its pool, of the shape of ``v``.
    """

    @classmethod
    def forward(cls, ctx, v):
        value, slope = cls.value_and_slope(v)
        ctx.save_for_backward(slope)
        ctx.set_materialize_grads(False)  # the slope is often not used
        return value.squeeze(1), slope

    @classmethod
    def backward(cls, ctx, value_grad, slope_grad):
        (slope,) = ctx.saved_tensors
        grad = None if value_grad is None else value_grad.unsqueeze(1) * slope
        if slope_grad is None:
            return grad
        curved = cls.curve(slope, slope_grad)
        return curved if grad is None else grad + curved


class CELU(_Activation):
    """``max(v, 0) + exp(min(v, 0)) - 1``."""

    @staticmethod
    def value_and_slope(v):
        slope = v.clamp(max=0).exp_()
        return v.relu().add_(slope).sub_(1), slope

    @staticmethod
    def curve(slope, direction):
        # Where the slope is below 1 the curvature is equal to it, elsewhere 0. `torch.where` would take several passes.
        return -F.threshold(-slope, -1, 0) * direction


class Softplus(_Activation):
    """``log(1 + exp(v))``."""

    @staticmethod
    def value_and_slope(v):
        return F.softplus(v), v.sigmoid()

    @staticmethod
    def curve(slope, direction):
        return slope * (1 - slope) * direction


class LogSumExp(_Activation):
    """``log(sum(exp(v)))`` over each pool of units, a smooth maximum; its slopes are the softmax of ``v``."""

    @staticmethod
    def value_and_slope(v):
        largest = v.amax(1, keepdim=True)
        slope = (v - largest).exp_()
        total = slope.sum(1, keepdim=True)
        slope /= total
        return total.log_().add_(largest), slope

    @staticmethod
    def curve(slope, direction):
        return slope * (direction - (slope * direction).sum(1, keepdim=True))


ALIVE = 1e-4  # smallest weight of a pool in the top layer
MAX_MATRIX_FEATURES = 512  # with more features a full matrix would take more time than the rest of the network
ACTIVATIONS = {"celu": CELU, "softplus": Softplus, "logsumexp": LogSumExp}


class DenseICNN(nn.Module):
    r"""Fully connected input-convex network with convex-quadratic skip connections and a gradient in closed form.

    .. math::
        \psi(x) &= \tfrac{\beta}{2} \|x\|^2 + \tfrac12 \|F x\|^2 + \langle s, x \rangle + \langle w, z_K(x) \rangle \\
        z_k(x) &= \sigma(W_k z_{k-1}(x) + q_k(x)), \qquad z_0 = 0 \\
        q_k(x)_h &= \sum_{r} \langle a_{khr}, x \rangle^2 + \langle b_{kh}, x \rangle + c_{kh}

    The network is convex because :math:`W_k, w \ge 0` and :math:`\sigma` is convex and non-decreasing [Amos17]_. The
    quadratic skip connections :math:`q_k` are those of [Korotin21]_. The activation "logsumexp" is a smooth maximum
    over pools of units, :math:`\sigma(v)_g = \log \sum_{j} e^{v_{jg}}`, with one output for each pool. Its layers are
    smooth maxima of affine functions, whose gradient changes quickly from one slope to another. F is a square matrix,
    and a diagonal one above 512 features. A new network has :math:`w = 0` and :math:`F = \sqrt{1 - \beta}\, I`, so that
    it is equal to :math:`\|x\|^2 / 2` and its gradient is the identity.

    Parameters
    ----------
    n_features : int
        Dimension d of the input.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the K hidden layers, counted before pooling.
    rank : int, default=1
        Number of squares in each convex-quadratic skip connection. With 0 the skip connections are affine.
    activation : {"celu", "softplus", "logsumexp"}, default="celu"
        The activation :math:`\sigma`.
    pool_size : int, default=8
        Units in a pool of "logsumexp"; it must divide the widths.
    strong_convexity : float, default=1e-2
        The modulus :math:`\beta`, between 0 and 1. If it is above 0, the gradient is an invertible map.

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
        pool_size: int = 8,
        strong_convexity: float = 1e-2,
    ):
        super().__init__()
        self.hidden_layer_sizes = tuple(hidden_layer_sizes)
        self.rank = rank
        self.strong_convexity = strong_convexity
        self.activation = activation
        self.pool_size = pool_size if activation == "logsumexp" else 1
        if any(width % self.pool_size for width in self.hidden_layer_sizes):
            raise ValueError(
                f"Hidden layers of {self.hidden_layer_sizes} units cannot be split into pools of {self.pool_size}: "
                "choose widths that pool_size divides."
            )
        n_hidden, scale = sum(self.hidden_layer_sizes), 1 / math.sqrt(n_features)
        # The gradient of a smooth maximum is an average over its pool, which steeper units compensate.
        steepness = 2 if activation == "logsumexp" else 1
        is_small = n_features <= MAX_MATRIX_FEATURES
        self.quadratic = nn.Parameter(
            math.sqrt(1 - strong_convexity) * (torch.eye(n_features) if is_small else torch.ones(n_features))
        )
        self.shift = nn.Parameter(torch.zeros(n_features))
        # The skip connections of all layers have the same input, so they are computed by one matrix product.
        self.skip = nn.Linear(n_features, n_hidden)
        nn.init.normal_(self.skip.weight, std=steepness * scale)
        nn.init.normal_(self.skip.bias, std=0.5)
        if activation == "logsumexp":
            self._scatter_pools_()
        self.squares = nn.Parameter(0.3 * scale * torch.randn(n_hidden * rank, n_features)) if rank else None
        pools = [width // self.pool_size for width in self.hidden_layer_sizes]
        # Weights of 0 or more with the mean 1 / n_in, so that the output of a layer has the size of its input.
        self.inner = nn.ParameterList(
            [2 * torch.rand(n, m) / m for m, n in zip(pools, [*self.hidden_layer_sizes[1:], 1], strict=True)]
        )
        nn.init.zeros_(self.inner[-1])

    @torch.no_grad()
    def _scatter_pools_(self):
        """Shift the biases so that all units of a pool are equal near a centre, drawn from N(0, I) for each pool.

        A pool is nearly linear far away from the points where its units are equal. The centres are drawn like rows, so
        that some pools can bend the map in the tails of the data.
        """
        layers = zip(*(part.split(self.hidden_layer_sizes) for part in self.skip.parameters()), strict=True)
        for weight, bias in layers:
            centres = torch.randn(len(bias) // self.pool_size, weight.shape[1])
            bias -= (weight * centres.repeat(self.pool_size, 1)).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the values, shape (n,)."""
        top, _, _ = self._hidden(x)
        return self._value(x, self._quadratic_gradient(x), top)

    def gradient(self, x: Tensor) -> Tensor:
        """Compute the gradients, shape (n, d): a monotone map, differentiable in ``x`` and in the weights."""
        _, slopes, projections = self._hidden(x)
        return self._gradient(self._quadratic_gradient(x), slopes, projections)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute values and gradients in the time of one forward and one backward pass, without autograd."""
        top, slopes, projections = self._hidden(x)
        quadratic = self._quadratic_gradient(x)
        return self._value(x, quadratic, top), self._gradient(quadratic, slopes, projections)

    @torch.no_grad()
    def project_(self) -> None:
        """Raise the weights that must not be negative to at least 0.

        With "logsumexp" the weights w of the top layer are raised to at least 1e-4 instead. Otherwise a target with
        heavier tails than the source can bring all of them to zero in the first steps, and they stay there.
        """
        for weight in self.inner:
            weight.clamp_(min=0)
        if self.activation == "logsumexp":
            # The units below a weight of zero get no gradient. The steps of Adam do not depend on the size of a
            # gradient, so a small weight is enough.
            self.inner[-1].clamp_(min=ALIVE)

    @torch.no_grad()
    def pruned(self) -> "DenseICNN":
        """Make a narrower network for the same function, without the pools (or units) that have no effect.

        A pool has no effect if all its outgoing weights are exactly zero, or lead only to pools without effect. A layer
        keeps at least one pool. The two functions are equal up to rounding.
        """
        kept, inner = [], []
        rows, is_read = torch.ones(1, dtype=torch.bool, device=self.shift.device), True
        for weight in reversed(self.inner):
            # A pool that is kept only because a layer needs one gets no input.
            weight = weight[rows] * is_read
            pools = weight.any(dim=0)
            is_read = pools.any()
            pools[0] |= ~is_read
            inner.insert(0, nn.Parameter(weight[:, pools]))
            rows = pools.repeat(self.pool_size)
            kept.insert(0, rows)
        network = copy.deepcopy(self)
        network.hidden_layer_sizes = tuple(int(units.sum()) for units in kept)
        network.inner = nn.ParameterList(inner)
        kept = torch.cat(kept)
        network.skip.weight, network.skip.bias = (nn.Parameter(part[kept]) for part in self.skip.parameters())
        network.skip.out_features = len(network.skip.bias)
        if self.rank:
            network.squares = nn.Parameter(self.squares[kept.repeat(self.rank)])
        return network

    def _hidden(self, x):
        """The top layer, the slopes of all layers, and the projections whose squares are in the skip connections."""
        projections, skips = None, self.skip(x)
        if self.rank:
            projections = F.linear(x, self.squares)
            for projection in projections.chunk(self.rank, dim=1):
                skips = torch.addcmul(skips, projection, projection)
        first, *rest = skips.split(self.hidden_layer_sizes, dim=1)
        z, slope = self._activate(first)
        slopes = [slope]
        for weight, skip in zip(self.inner, rest, strict=False):
            z, slope = self._activate(torch.addmm(skip, z, weight.T))
            slopes.append(slope)
        return z, slopes, projections

    def _activate(self, v):
        return ACTIVATIONS[self.activation].apply(v.unflatten(1, (self.pool_size, -1)))

    def _quadratic_gradient(self, x):
        linear = torch.add(self.shift, x, alpha=self.strong_convexity)
        if self.quadratic.ndim == 1:
            return torch.addcmul(linear, x, self.quadratic.square())
        return torch.addmm(linear, F.linear(x, self.quadratic), self.quadratic)

    def _value(self, x, quadratic, top):
        # ½⟨x, Q x⟩ + ⟨s, x⟩ is half of the product ⟨x, (Q x + s) + s⟩, where Q x + s is the gradient.
        products = (x * (quadratic + self.shift)).sum(1)
        return torch.addmv(products, top, self.inner[-1][0], beta=0.5)

    def _gradient(self, quadratic, slopes, projections):
        # The chain rule, from the top layer down, computed without autograd so that it can be differentiated again.
        deltas = [(self.inner[-1] * slopes[-1]).flatten(1)]
        for weight, slope in zip(reversed(self.inner[:-1]), reversed(slopes[:-1]), strict=True):
            deltas.append(((deltas[-1] @ weight).unsqueeze(1) * slope).flatten(1))
        deltas = torch.cat(deltas[::-1], dim=1)
        gradient = torch.addmm(quadratic, deltas, self.skip.weight)
        if self.rank:
            squares = projections.unflatten(1, (self.rank, -1)) * deltas.unsqueeze(1)
            gradient = torch.addmm(gradient, squares.flatten(1), self.squares, alpha=2)
        return gradient

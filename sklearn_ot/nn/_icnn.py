"""Input-convex neural networks."""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_ot.nn._convex_layers import ConvexLayer, LogSumExp

ALIVE = 1e-4  # smallest weight of a pool in the top layer
SHARPENING = 0.1  # the logarithm of a sharpness moves by this share of a step of Adam
MAX_SHARPNESS = 1e3  # the largest sharpness, and the reciprocal of the smallest, so that no product overflows
MAX_MATRIX_FEATURES = 512  # with more features a full matrix would take more time than the rest of the network


class _Sharpened(NamedTuple):
    """Weights of a network whose units have a sharpness of 1."""

    skip: Tensor
    bias: Tensor
    squares: Tensor | None
    inner: list[Tensor]


class DenseICNN(nn.Module):
    r"""Fully connected input-convex network with convex-quadratic skip connections and a gradient in closed form.

    .. math::
        \psi(x) &= \tfrac{\beta}{2} \|x\|^2 + \tfrac12 \|F x\|^2 + \langle s, x \rangle + \langle w, z_K(x) \rangle \\
        z_k(x) &= \tfrac1{s_k} \sigma\bigl(s_k (W_k z_{k-1}(x) + q_k(x))\bigr), \qquad z_0 = 0 \\
        q_k(x)_h &= \sum_{r} \langle a_{khr}, x \rangle^2 + \langle b_{kh}, x \rangle + c_{kh}

    The network is convex because :math:`W_k, w \ge 0` and :math:`\sigma` is convex and non-decreasing [Amos17]_. The
    quadratic skip connections :math:`q_k` are those of [Korotin21]_. The activation "logsumexp" is a smooth maximum
    over pools of units, :math:`\sigma(v)_g = \log \sum_{j} e^{v_{jg}}`, with one output for each pool. Its layers are
    smooth maxima of affine functions, whose gradient changes quickly from one slope to another. A layer of "mixed" has
    as many units of "logsumexp" as of "celu", in this order. F is a square matrix, and a diagonal one above 512
    features. A new network has :math:`w = 0` and :math:`F = \sqrt{1 - \beta}\, I`, so that
    it is equal to :math:`\|x\|^2 / 2` and its gradient is the identity.

    The sharpness :math:`s_k > 0` is a weight, one for each layer and kind of units; all are ``sharpness`` in a new
    network. A larger one makes the bends of a layer sharper and keeps its slopes, which takes many steps if all other
    weights have to grow instead.

    Parameters
    ----------
    n_features : int
        Dimension d of the input.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the K hidden layers, counted before pooling. With "mixed" a width can also be a pair, the numbers of
        units of both kinds.
    rank : int, default=1
        Number of squares in each convex-quadratic skip connection. With 0 the skip connections are affine.
    activation : {"celu", "softplus", "logsumexp", "mixed"}, default="celu"
        The activation :math:`\sigma`.
    pool_size : int, default=8
        Units in a pool of "logsumexp"; it must divide the widths. "mixed" has as many pools as fit into half of each
        layer, rounded up.
    strong_convexity : float, default=1e-2
        The modulus :math:`\beta`, between 0 and 1. If it is above 0, the gradient is an invertible map.
    sharpness : float, default=1.0
        The sharpness of all layers in a new network, above 0.

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
        sharpness: float = 1.0,
    ):
        super().__init__()
        self.hidden_layer_sizes = tuple(hidden_layer_sizes)
        self.rank = rank
        self.strong_convexity = strong_convexity
        self.activation = activation
        self.pool_size = pool_size if activation in ("logsumexp", "mixed") else 1
        self.layers = [ConvexLayer.of(activation, size, pool_size) for size in self.hidden_layer_sizes]
        widths = [layer.width for layer in self.layers]
        n_hidden, scale = sum(widths), 1 / math.sqrt(n_features)
        is_small = n_features <= MAX_MATRIX_FEATURES
        self.quadratic = nn.Parameter(
            math.sqrt(1 - strong_convexity) * (torch.eye(n_features) if is_small else torch.ones(n_features))
        )
        self.shift = nn.Parameter(torch.zeros(n_features))
        # The skip connections of all layers have the same input, so they are computed by one matrix product.
        self.skip = nn.Linear(n_features, n_hidden)
        nn.init.normal_(self.skip.weight, std=scale)
        nn.init.normal_(self.skip.bias, std=0.5)
        self._scatter_pools_()
        self.squares = nn.Parameter(0.3 * scale * torch.randn(n_hidden * rank, n_features)) if rank else None
        pools = [layer.n_pools for layer in self.layers]
        # Weights of 0 or more with the mean 1 / n_in, so that the output of a layer has the size of its input.
        self.inner = nn.ParameterList([2 * torch.rand(n, m) / m for m, n in zip(pools, [*widths[1:], 1], strict=True)])
        nn.init.zeros_(self.inner[-1])
        n_kinds = self._number_kinds_()
        self.log_sharpness = nn.Parameter(torch.full((n_kinds,), math.log(sharpness) / SHARPENING))

    @torch.no_grad()
    def _scatter_pools_(self):
        """Make the units of pools steeper, and shift them so that all units of a pool are equal near a centre.

        The gradient of a smooth maximum is an average over its pool, which steeper units compensate. A pool is nearly
        linear far away from the points where its units are equal. The centres are drawn from N(0, I), like rows, so
        that some pools can bend the map in the tails of the data.
        """
        kinds = [units for layer in self.layers for units in layer.kinds]
        rows = zip(*(part.split([units.n_units for units in kinds]) for part in self.skip.parameters()), strict=True)
        for units, (weight, bias) in zip(kinds, rows, strict=True):
            if units.activation is LogSumExp:
                weight *= 2
                centres = torch.randn(units.n_pools, weight.shape[1])
                bias -= (weight * centres.repeat(units.pool_size, 1)).sum(1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the values, shape (n,)."""
        weights = self._sharpened()
        top, _, _ = self._hidden(x, weights)
        return self._value(x, self._quadratic_gradient(x), top, weights)

    def gradient(self, x: Tensor) -> Tensor:
        """Compute the gradients, shape (n, d): a monotone map, differentiable in ``x`` and in the weights."""
        weights = self._sharpened()
        _, slopes, projections = self._hidden(x, weights)
        return self._gradient(self._quadratic_gradient(x), slopes, projections, weights)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute values and gradients in the time of one forward and one backward pass, without autograd."""
        weights = self._sharpened()
        top, slopes, projections = self._hidden(x, weights)
        quadratic = self._quadratic_gradient(x)
        return self._value(x, quadratic, top, weights), self._gradient(quadratic, slopes, projections, weights)

    @property
    def hidden_weights(self) -> list[Tensor]:
        """The weights between hidden layers, which must not be negative and start far below 1."""
        return list(self.inner[:-1])

    @torch.no_grad()
    def project_(self) -> None:
        """Raise the weights that must not be negative to at least 0, and bound the sharpness.

        The weights w of pools in the top layer are raised to at least 1e-4 instead. Otherwise a target with heavier
        tails than the source can bring all of them to zero in the first steps, and they stay there. A sharpness is at
        most 1000, and at least its reciprocal.
        """
        for weight in self.inner:
            weight.clamp_(min=0)
        largest = math.log(MAX_SHARPNESS) / SHARPENING
        self.log_sharpness.clamp_(-largest, largest)
        first = self.layers[-1].kinds[0]
        if first.activation is LogSumExp:
            # The units below a weight of zero get no gradient. The steps of Adam do not depend on the size of a
            # gradient, so a small weight is enough.
            self.inner[-1][:, : first.n_pools].clamp_(min=ALIVE)

    @torch.no_grad()
    def pruned(self) -> "DenseICNN":
        """Make a narrower network for the same function, without the pools (or units) that have no effect.

        A pool has no effect if all its outgoing weights are exactly zero, or lead only to pools without effect. A layer
        keeps at least one pool. The two functions are equal up to rounding.
        """
        kept, inner, layers = [], [], []
        rows, is_read = torch.ones(1, dtype=torch.bool, device=self.shift.device), True
        for layer, weight in zip(reversed(self.layers), reversed(self.inner), strict=True):
            # A pool that is kept only because a layer needs one gets no input.
            weight = weight[rows] * is_read
            pools = weight.any(dim=0)
            is_read = pools.any()
            pools[0] |= ~is_read
            inner.insert(0, nn.Parameter(weight[:, pools]))
            layer, rows = layer.units_of(pools)
            layers.insert(0, layer)
            kept.insert(0, rows)
        network = copy.deepcopy(self)
        network.layers, network.hidden_layer_sizes = layers, tuple(layer.size for layer in layers)
        network.inner = nn.ParameterList(inner)
        kept = torch.cat(kept)
        network.skip.weight, network.skip.bias = (nn.Parameter(part[kept]) for part in self.skip.parameters())
        network.skip.out_features = len(network.skip.bias)
        if self.rank:
            network.squares = nn.Parameter(self.squares[kept.repeat(self.rank)])
        network._number_kinds_()
        return network

    @property
    def sharpness(self) -> list[Tensor]:
        """The sharpness of the units of each layer, one number for each kind."""
        return list(self._kind_sharpness().split([len(layer.kinds) for layer in self.layers]))

    def _sharpened(self):
        """The weights of units s v with outputs s z, for a sharpness s.

        Products of weights take less time than those of rows, and these units need no sharpness any more.
        """
        sharpness = self._kind_sharpness()
        units, outputs = sharpness[self.kind_of_unit], sharpness[self.kind_of_output]
        below = outputs.split([layer.n_pools for layer in self.layers])
        above = units.split([layer.width for layer in self.layers])[1:]
        inner = [weight / s for weight, s in zip(self.inner, below, strict=True)]
        inner[:-1] = [weight * s[:, None] for weight, s in zip(inner[:-1], above, strict=True)]
        squares = self.squares * units.sqrt().repeat(self.rank)[:, None] if self.rank else None
        return _Sharpened(self.skip.weight * units[:, None], self.skip.bias * units, squares, inner)

    def _kind_sharpness(self):
        return (SHARPENING * self.log_sharpness).exp()

    def _number_kinds_(self):
        """Store the number of the kind, over all layers, of each unit and of each output; return how many there are."""
        kinds = [units for layer in self.layers for units in layer.kinds]
        for name, counts in (
            ("kind_of_unit", [units.n_units for units in kinds]),
            ("kind_of_output", [units.n_pools for units in kinds]),
        ):
            numbers = torch.arange(len(kinds)).repeat_interleave(torch.tensor(counts), output_size=sum(counts))
            self.register_buffer(name, numbers.to(self.shift.device), persistent=False)
        return len(kinds)

    def _hidden(self, x, weights):
        """The top layer, the slopes of all layers, and the projections whose squares are in the skip connections.

        Each has one column for each row of x, so that a unit is contiguous in memory.
        """
        projections, skips = None, torch.addmm(weights.bias[:, None], weights.skip, x.T)
        if self.rank:
            projections = weights.squares @ x.T
            for projection in projections.chunk(self.rank):
                skips = torch.addcmul(skips, projection, projection)
        slopes, z = [], None
        skips = skips.split([layer.width for layer in self.layers])
        for layer, weight, v in zip(self.layers, (None, *weights.inner[:-1]), skips, strict=True):
            z, slope = layer.activate(v if weight is None else torch.addmm(v, weight, z))
            slopes.append(slope)
        return z, slopes, projections

    def _quadratic_gradient(self, x):
        linear = torch.add(self.shift, x, alpha=self.strong_convexity)
        if self.quadratic.ndim == 1:
            return torch.addcmul(linear, x, self.quadratic.square())
        return torch.addmm(linear, F.linear(x, self.quadratic), self.quadratic)

    def _value(self, x, quadratic, top, weights):
        # ½⟨x, Q x⟩ + ⟨s, x⟩ is half of the product ⟨x, (Q x + s) + s⟩, where Q x + s is the gradient.
        products = (x * (quadratic + self.shift)).sum(1)
        return torch.addmv(products, top.T, weights.inner[-1][0], beta=0.5)

    def _gradient(self, quadratic, slopes, projections, weights):
        # The chain rule, from the top layer down, computed without autograd so that it can be differentiated again.
        deltas, outputs = [], weights.inner[-1].T
        for k in reversed(range(len(self.layers))):
            deltas.append(self.layers[k].spread(outputs, slopes[k]))
            outputs = weights.inner[k - 1].T @ deltas[-1] if k else None
        deltas = torch.cat(deltas[::-1])
        gradient = torch.addmm(quadratic, deltas.T, weights.skip)
        if self.rank:
            squares = (projections.unflatten(0, (self.rank, -1)) * deltas).flatten(0, 1)
            gradient = torch.addmm(gradient, squares.T, weights.squares, alpha=2)
        return gradient

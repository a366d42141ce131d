"""A bound of the curvature of an input-convex network, from its weights."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_ot.nn._convex_layers import CELU, LogSumExp, Softplus
from sklearn_ot.nn._icnn import DenseICNN
from sklearn_ot.nn._potentials import RIM_STRETCH, HalfSquare, WithRim

# The largest curvature of each activation: the second derivative, or for pools the largest eigenvalue of
# diag(p) - p pᵀ with a softmax p.
CURVATURES = {CELU: 1.0, Softplus: 0.25, LogSumExp: 0.5}


@torch.no_grad()
def curvature_bound(network: nn.Module, n_features: int) -> Tensor | None:
    r"""A matrix that is above the Hessian of a network at every point.

    .. math:: \nabla^2 \psi(x) \preceq S \quad \text{for all } x

    Its largest eigenvalue is a Lipschitz constant of the map ∇ψ. It is a bound, and no estimate: it does not depend on
    rows. It is usually several times the largest curvature that rows meet.

    Parameters
    ----------
    network : nn.Module
        The network, such as a `DenseICNN`, also in a `WithRim`.
    n_features : int
        Number of features.

    Returns
    -------
    bound : Tensor of shape (n_features, n_features) or None
        S in float64, on the CPU. None if no bound is known: for a network of another class, and if the skip connections
        have squares, because the gradient of a unit is then not bounded.

    Notes
    -----
    In the notation of `DenseICNN` without squares, units :math:`v_k = W_k z_{k-1} + A_k x + c_k` have the Jacobian
    :math:`J_k = A_k + W_k Z_{k-1}`, where the rows of :math:`Z_k` are the gradients of the outputs. The Hessian is

    .. math:: \nabla^2 \psi = \beta I + F^\top F + \sum_k \sum_g c_{kg}(x)\, J_{kg}^\top D_{kg}(x) J_{kg} ,

    a sum over the pools g of all layers. :math:`c_{kg}` is the derivative of ψ with respect to the output g. Slopes
    are between 0 and 1, and have the sum 1 in a pool, so that

    .. math:: c_{kg} \le \hat c_{kg} = \sum_{g'} \hat c_{k+1,g'} \max_{j \in g'} W_{k+1,jg} .

    :math:`D \preceq \kappa C` has the curvature κ of the activation, ¼ for softplus, 1 for CELU, and ½ for the softmax
    of a pool, times the sharpness of its units. C subtracts the mean over the pool (C = I for the others). The
    Jacobians of deeper layers are those of mean slopes plus a deviation, and
    :math:`(a + b)(a + b)^\top \preceq (1 + t) a a^\top + (1 + 1/t) b b^\top`. Deviations of slopes s from their mean
    have :math:`\|s - \bar s\|^2 \le 1 - 1/p` in a pool of p units, and at most ¼ for one unit. The sum over outputs
    is bounded by a diagonal matrix (Gershgorin).

    Examples
    --------
    >>> from sklearn_ot.nn import DenseICNN, curvature_bound
    >>> curvature_bound(DenseICNN(2, rank=0), 2).round(decimals=6).tolist()  # a new network is half the squared norm
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if isinstance(network, HalfSquare):
        return torch.eye(n_features, dtype=torch.float64)
    if isinstance(network, WithRim):
        bound = curvature_bound(network.potential, n_features)
        return None if bound is None else bound + RIM_STRETCH * torch.eye(n_features, dtype=torch.float64)
    if not isinstance(network, DenseICNN) or network.rank:
        return None
    layers = _layers(network)
    quadratic = network.quadratic.detach().double().cpu()
    square = torch.diag(quadratic.square()) if quadratic.ndim == 1 else quadratic.T @ quadratic
    bound = square + network.strong_convexity * torch.eye(n_features, dtype=torch.float64)
    slopes = network.inner[-1][0].detach().double().cpu()
    for number in reversed(range(len(layers))):
        parts = list(zip(layers[number], _split(layers[number], slopes), strict=True))
        for kind, weights in parts:
            own = kind.curvature * kind.weighted_square(weights)
            bound = bound + _sum(own, kind.curvature * _deviation(layers[:number], kind.gram(weights)))
        slopes = sum(
            kind.largest(part) for kind, part in zip(layers[number], _split(layers[number], slopes), strict=True)
        )
    return (bound + bound.T) / 2


class _Kind(NamedTuple):
    """Units of one activation in a layer: weights of inputs, Jacobian at mean slopes, with axes (unit, pool, ...).

    ``spread`` bounds the squared deviation of the slopes of a pool from their mean.
    """

    weight: Tensor
    jacobian: Tensor
    curvature: float
    spread: float

    @classmethod
    def of(cls, units, weight, jacobian, sharpness):
        """The units of a kind, with the rows of both matrices that are theirs, and their sharpness."""
        weight, jacobian = (part.unflatten(0, (units.pool_size, units.n_pools)) for part in (weight, jacobian))
        spread = 1 - 1 / units.pool_size if units.pool_size > 1 else 0.25
        return cls(weight, jacobian, CURVATURES[units.activation] * float(sharpness), spread)

    @property
    def mean_gradient(self):
        """Gradients of the outputs at mean slopes, shape (n_pools, n_features)."""
        return self.jacobian.mean(0) if len(self.jacobian) > 1 else self.jacobian[0] / 2

    def centred(self, units):
        """Rows of the units of each pool minus their mean; for a single unit the row itself."""
        return units - units.mean(0) if len(units) > 1 else units

    def weighted_square(self, weights):
        r""":math:`\sum_g w_g J_g^\top C J_g` for weights of the pools."""
        rows = (self.centred(self.jacobian) * weights.sqrt()[:, None]).flatten(0, 1)
        return rows.T @ rows

    def gram(self, weights):
        r"""Diagonal bound of :math:`\sum_g w_g W_g^\top C W_g`, of shape (n_inputs,)."""
        rows = (self.centred(self.weight) * weights.sqrt()[:, None]).flatten(0, 1)
        return (rows.T @ rows).abs().sum(1)

    def largest(self, weights):
        """Largest derivatives with respect to the inputs, of weights of the pools."""
        return weights @ self.weight.amax(0)

    def passed_on(self, weights):
        r"""Diagonal bound of :math:`\sum_g w_g \sum_j s_j W_{gj}^\top W_{gj}` over all slopes s."""
        return weights @ (self.weight * self.weight.sum(2, keepdim=True)).amax(0)


def _layers(network):
    """The kinds of units of all layers, with Jacobians at mean slopes in all layers below. The first has no inputs."""
    layers, mean_gradient = [], torch.zeros(0, network.skip.in_features, dtype=torch.float64)
    widths = [layer.width for layer in network.layers]
    weights = [torch.zeros(widths[0], 0), *network.inner[:-1]]
    parts = network.layers, network.skip.weight.split(widths), weights, network.sharpness
    for layer, skip, weight, sharpness in zip(*parts, strict=True):
        skip, weight = (part.detach().double().cpu() for part in (skip, weight))
        sizes = [units.n_units for units in layer.kinds]
        parts = weight.split(sizes), (skip + weight @ mean_gradient).split(sizes), sharpness
        parts = zip(layer.kinds, *parts, strict=True)
        layers.append([_Kind.of(*part) for part in parts])
        mean_gradient = torch.cat([kind.mean_gradient for kind in layers[-1]])
    return layers


def _split(layer, weights):
    """Weights of the outputs of a layer, for each kind of its units."""
    return weights.split([kind.jacobian.shape[1] for kind in layer])


def _deviation(layers, weights):
    r"""A bound of :math:`\sum_h w_h r_h r_h^\top`, with the deviations r of the gradients of the last layer's outputs.

    The gradient of an output is :math:`\sum_j s_j (J_j + N_j)`, where N is the deviation of the Jacobian that the
    layers below cause; its mean is that of equal slopes and N = 0.
    """
    if not layers:
        return torch.zeros((), dtype=torch.float64)
    parts = list(zip(layers[-1], _split(layers[-1], weights), strict=True))
    own = sum(kind.spread * kind.weighted_square(part) for kind, part in parts)
    return _sum(own, _deviation(layers[:-1], sum(kind.passed_on(part) for kind, part in parts)))


def _sum(first, second):
    """A bound of the square of a sum by the squares of both terms, with the weights that make its trace smallest."""
    if second.ndim == 0:
        return first
    traces = math.sqrt(float(first.trace())), math.sqrt(float(second.trace()))
    if min(traces) == 0:
        return first + second
    return first * (1 + traces[1] / traces[0]) + second * (1 + traces[0] / traces[1])

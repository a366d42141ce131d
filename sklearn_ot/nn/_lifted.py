"""A potential without constraints that also sees the squared norm of its input."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_ot.nn._mlp import MLP

# Deviation of the offsets of hidden layers before training.
BIAS = 0.3


class LiftedPotential(nn.Module):
    r"""A network plus a linear function, of a row and its squared norm.

    .. math:: f(x) = N(h) + \langle a, h \rangle, \qquad h = \left(x, \frac{\|x\|^2 - d}{\sqrt{2 d}}\right)

    The last column of h has mean 0 and variance 1 for normal rows. In many dimensions functions like the distance to a
    point are nearly functions of it. Hidden linear layers have the initial weights of [He15]_ and normal offsets.

    Parameters
    ----------
    n_features : int
        Dimension d of a row.
    network : tuple of a class and a dict
        The class of N and its arguments, with d + 1 inputs; its values have shape (n,).

    References
    ----------
    .. [He15] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    gradient = MLP.gradient
    value_and_gradient = MLP.value_and_gradient

    def __init__(self, n_features: int, network: tuple[type[nn.Module], dict[str, Any]]):
        super().__init__()
        module, arguments = network
        self.network = module(**arguments)
        for layer in self.network.modules():
            # A layer of zeros is the last one, with which the network starts at 0. On the device "meta" there is no
            # weight to draw.
            if isinstance(layer, nn.Linear) and not layer.weight.is_meta and layer.weight.any():
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.normal_(layer.bias, std=BIAS)
        self.linear = nn.Parameter(torch.zeros(n_features + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        d = x.shape[1]
        h = torch.cat([x, (x.square().sum(1, keepdim=True) - d) / math.sqrt(2 * d)], 1)
        return self.network(h) + h @ self.linear

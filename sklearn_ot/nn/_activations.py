"""Activations of networks that need not be convex, by name."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class GroupSort(nn.Module):
    """The activation that sorts pairs of features: first the larger one of each pair, then the smaller one.

    It is the activation of [Anil19]_; a pair has one feature of each half. Its Jacobian is a permutation, so that it
    keeps the norm of a gradient, unlike ReLU. A network whose weights have norm 1 can therefore have slope 1
    everywhere, like the best critic of a Wasserstein-1 distance.

    References
    ----------
    .. [Anil19] C. Anil, J. Lucas, R. Grosse, "Sorting out Lipschitz function approximation", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import GroupSort
    >>> GroupSort()(torch.tensor([[1.0, 5.0, 3.0, 2.0]])).tolist()
    [[3.0, 5.0, 1.0, 2.0]]
    """

    def forward(self, x: Tensor) -> Tensor:
        """Sort the features of ``x``, whose second dimension must be even."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([torch.maximum(first, second), torch.minimum(first, second)], dim=1)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "celu": nn.CELU,
    "softplus": nn.Softplus,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "groupsort": GroupSort,
}


def activation_layer(name: str) -> nn.Module:
    """A new layer of the activation with this name."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {name!r}.")
    return ACTIVATIONS[name]()


def hidden_layers(n_inputs: int, sizes: Sequence[int], activation: str) -> list[nn.Module]:
    """Linear layers of these widths, each followed by the activation."""
    if activation == "groupsort" and any(size % 2 for size in sizes):
        raise ValueError(f'The activation "groupsort" sorts pairs and needs even widths, got {tuple(sizes)}.')
    layers = []
    for n_in, n_out in pairwise([n_inputs, *sizes]):
        layers += [nn.Linear(n_in, n_out), activation_layer(activation)]
    return layers

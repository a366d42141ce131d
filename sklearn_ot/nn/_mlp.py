"""Fully connected networks without constraints."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_ot.nn._activations import hidden_layers


class MLP(nn.Module):
    """Fully connected network that is zero before training.

    Parameters
    ----------
    n_features : int
        Dimension d of the input.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the hidden layers.
    n_outputs : int, default=None
        Dimension of the output; None for a scalar function, whose values have shape (n,).
    activation : {"silu", "celu", "softplus", "relu", "leaky_relu", "groupsort"}, default="silu"
        Activation of the hidden layers. The first three have a continuous gradient; "groupsort" needs even widths.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import MLP
    >>> MLP(2)(torch.ones(3, 2)).tolist()
    [0.0, 0.0, 0.0]
    """

    def __init__(
        self,
        n_features: int,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        n_outputs: int | None = None,
        activation: str = "silu",
    ):
        super().__init__()
        self.n_outputs = n_outputs
        layers = hidden_layers(n_features, hidden_layer_sizes, activation)
        last = nn.Linear(hidden_layer_sizes[-1], n_outputs or 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs, shape (n, n_outputs), or (n,) without ``n_outputs``."""
        outputs = self.layers(x)
        return outputs.squeeze(1) if self.n_outputs is None else outputs

    def gradient(self, x: Tensor) -> Tensor:
        """Compute the gradients of a scalar function at each row, shape (n, d); differentiable in the weights."""
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute values and gradients by automatic differentiation, even if gradients are off."""
        differentiable = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.enable_grad():
            # A tensor from inference mode never has a gradient.
            x = x.clone() if x.is_inference() else x
            x = x if x.requires_grad else x.detach().requires_grad_()
            value = self(x)
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=differentiable)
        return (value, gradient) if differentiable else (value.detach(), gradient)

"""Networks of critics: functions and embeddings of rows."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sklearn_ot.nn._activations import activation_layer, hidden_layers
from sklearn_ot.nn._generators import FIRST_SIDES, image_shape
from sklearn_ot.nn._mlp import MLP

# The slope of SiLU is largest at 2.3994; the other activations have slopes of at most 1.
LIPSCHITZ_CONSTANTS = {"silu": 1.09984}


class MLPCritic(nn.Module):
    r"""A fully connected critic.

    With ``n_outputs`` it is an embedding, :math:`h(x) = x A + \text{MLP}(x)`. A is an isometry and the MLP is zero at
    first, so that distances of embedded rows start as the distances of the rows, including their labels.

    Parameters
    ----------
    n_features : int
        Dimension d of a row.
    n_classes : int, default=0
        Number of columns of the label, which follow the columns of the row.
    hidden_layer_sizes : sequence of int, default=(128, 128, 128)
        Widths of the hidden layers.
    n_outputs : int, default=None
        Dimension of the embedding; None for a scalar function, whose values have shape (n,).
    activation : {"relu", "silu", "celu", "softplus", "leaky_relu", "groupsort"}, default="relu"
        Activation of the hidden layers.

    Raises
    ------
    ValueError
        If a width is odd and the activation is "groupsort".

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import MLPCritic
    >>> MLPCritic(2)(torch.ones(3, 2)).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int = 0,
        hidden_layer_sizes: Sequence[int] = (128, 128, 128),
        n_outputs: int | None = None,
        activation: str = "relu",
    ):
        super().__init__()
        self.n_outputs = n_outputs
        self.activation = activation
        layers = hidden_layers(n_features + n_classes, hidden_layer_sizes, activation)
        last = nn.Linear(hidden_layer_sizes[-1], n_outputs or 1)
        if n_outputs is not None:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            self.linear = nn.Parameter(nn.init.orthogonal_(torch.empty(n_features + n_classes, n_outputs)))
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, n_features + n_classes), to values, shape (n,), or embeddings, shape (n, n_outputs)."""
        if self.n_outputs is None:
            return self.layers(x).squeeze(1)
        return torch.addmm(self.layers(x), x, self.linear)

    @torch.no_grad()
    def lipschitz_bound(self) -> float:
        """An upper bound of all slopes: the product of the spectral norms of the layers, by SVD.

        The bound is rigorous. It is loose if the layers stretch different directions.
        """
        norms = [
            torch.linalg.matrix_norm(layer.weight.double(), ord=2).item()
            for layer in self.layers
            if isinstance(layer, nn.Linear)
        ]
        slope = LIPSCHITZ_CONSTANTS.get(self.activation, 1.0)
        linear = 0.0 if self.n_outputs is None else torch.linalg.matrix_norm(self.linear.double(), ord=2).item()
        return linear + math.prod(norms) * slope ** (len(norms) - 1)


class DCGANCritic(nn.Module):
    """A critic of strided convolutions from square images to numbers.

    The architecture is that of [Radford16]_, the mirror image of `DCGANGenerator`. Each layer halves the sides and
    doubles the channels, down to 7 × 7 (28 pixels) or 4 × 4 (32 and 64 pixels). There is no batch normalisation,
    because a gradient penalty needs outputs that depend on one row only. Labels become constant maps beside the
    colours.

    Parameters
    ----------
    n_features : int
        Pixels of an image times its channels, see `DCGANGenerator`.
    n_classes : int, default=0
        Number of columns of the label, which follow the columns of the image.
    n_channels : int, default=64
        Channels of the first hidden layer.
    n_outputs : int, default=None
        Dimension of the output; None for a scalar function, whose values have shape (n,).
    activation : {"leaky_relu", "relu", "silu", "celu", "softplus", "groupsort"}, default="leaky_relu"
        Activation of the hidden layers.

    Raises
    ------
    ValueError
        If ``n_features`` is not the size of such an image.

    References
    ----------
    .. [Radford16] A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional
       generative adversarial networks", ICLR 2016.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import DCGANCritic
    >>> DCGANCritic(n_features=28 * 28, n_channels=8)(torch.randn(2, 784)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int = 0,
        n_channels: int = 64,
        n_outputs: int | None = None,
        activation: str = "leaky_relu",
    ):
        super().__init__()
        side, n_colours = image_shape(n_features)
        self.shape = (side, side, n_colours)
        self.n_outputs = n_outputs
        last = FIRST_SIDES[side]
        n_halvings = (side // last).bit_length() - 1
        widths = [n_colours + n_classes, *(n_channels * 2**k for k in range(n_halvings))]
        layers = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Conv2d(n_in, n_out, 4, stride=2, padding=1), activation_layer(activation)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * last**2, n_outputs or 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, n_features + n_classes), to values, shape (n,), or outputs, shape (n, n_outputs)."""
        n_features = math.prod(self.shape)
        images = x[:, :n_features].unflatten(1, self.shape).permute(0, 3, 1, 2)
        if x.shape[1] > n_features:
            maps = x[:, n_features:, None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, maps], dim=1)
        outputs = self.layers(images)
        return outputs.squeeze(1) if self.n_outputs is None else outputs


def with_labels(rows: Tensor, labels: Tensor) -> Tensor:
    """Rows followed by their labels; the rows themselves if labels have no columns."""
    return torch.cat([rows, labels], dim=-1) if labels.shape[-1] else rows


class LabelledCritic:
    """A critic as a function of rows without labels; the labels of a batch are fixed.

    Parameters
    ----------
    module : nn.Module
        The critic.
    labels : Tensor of shape (n, n_classes)
        One-hot labels of the rows of a call. Without classes they have no columns.
    """

    value_and_gradient = MLP.value_and_gradient

    def __init__(self, module: nn.Module, labels: Tensor):
        self.module = module
        self.labels = labels

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs of the critic at rows of shape (n, n_features)."""
        return self.module(with_labels(x, self.labels))


def normalise_spectra_(module: nn.Module) -> nn.Module:
    """Parametrise each weight matrix of a module, in place, so that its largest singular value is 1.

    This is the spectral normalisation of [Miyato18]_. The singular value is an estimate: each evaluation in training
    mode takes one step of the power method. A linear layer then has slope 1. For a convolution, the reshaped weight has
    norm 1, and the slope is at most the root of the number of its taps.

    Parameters
    ----------
    module : nn.Module
        Any module.

    Returns
    -------
    module : nn.Module
        The same.

    References
    ----------
    .. [Miyato18] T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral normalization for generative adversarial
       networks", ICLR 2018.
    """
    for layer in list(module.modules()):
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            spectral_norm(layer)
    return module

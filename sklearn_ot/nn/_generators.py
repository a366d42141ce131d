"""Networks from noise to rows."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sklearn_ot.nn._mlp import MLP

OUTPUT_ACTIVATIONS = {"identity": nn.Identity, "tanh": nn.Tanh}
# Side of an image: side of the output of the first layer, which every further layer doubles.
FIRST_SIDES = {28: 7, 32: 4, 64: 4}


class MLPGenerator(nn.Module):
    r"""A generator of a random isometry plus a multilayer perceptron that is zero at first.

    .. math:: g(z) = \sigma(z A + \text{MLP}(z))

    At first the rows have a normal distribution with a mean variance of 1 over the features, like the data in unit
    coordinates. With ReLU, the default, the slope can jump: such a network leaves far fewer rows between clusters than
    a smooth one.

    Parameters
    ----------
    latent_dim : int
        Dimension of the noise.
    n_features : int
        Dimension of a row.
    hidden_layer_sizes : sequence of int, default=(128, 128, 128)
        Widths of the hidden layers.
    activation : {"relu", "silu", "celu", "softplus"}, default="relu"
        Activation of the hidden layers.
    output_activation : {"identity", "tanh"}, default="identity"
        σ; "tanh" keeps the outputs within −1 and 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import MLPGenerator
    >>> MLPGenerator(latent_dim=2, n_features=5)(torch.randn(3, 2)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        latent_dim: int,
        n_features: int,
        hidden_layer_sizes: Sequence[int] = (128, 128, 128),
        activation: str = "relu",
        output_activation: str = "identity",
    ):
        super().__init__()
        scale = math.sqrt(n_features / min(latent_dim, n_features))
        self.linear = nn.Parameter(nn.init.orthogonal_(torch.empty(latent_dim, n_features), scale))
        self.rest = MLP(latent_dim, hidden_layer_sizes, n_outputs=n_features, activation=activation)
        self.output = OUTPUT_ACTIVATIONS[output_activation]()

    def forward(self, z: Tensor) -> Tensor:
        """Map noise, shape (n, latent_dim), to rows, shape (n, n_features)."""
        return self.output(torch.addmm(self.rest(z), z, self.linear))


class DCGANGenerator(nn.Module):
    """A generator of transposed convolutions from noise to square images.

    The architecture is that of [Radford16]_. The first layer has 7 × 7 outputs (for images of 28 pixels) or 4 × 4 (32
    and 64 pixels). Each further layer doubles the sides and halves the number of channels. Batch normalisation and ReLU
    follow every layer but the last.

    Parameters
    ----------
    latent_dim : int
        Dimension of the noise.
    n_features : int
        Pixels of an image times its channels: 28², 32² or 64², times 1 or 3. A row is an image of shape (side, side) or
        (side, side, 3), flattened in this order.
    n_channels : int, default=64
        Channels of the last hidden layer.
    output_activation : {"tanh", "identity"}, default="tanh"
        Activation of the outputs; "tanh" keeps them within −1 and 1.

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
    >>> from sklearn_ot.nn import DCGANGenerator
    >>> DCGANGenerator(latent_dim=10, n_features=28 * 28, n_channels=8)(torch.randn(2, 10)).shape
    torch.Size([2, 784])
    """

    output_activation = "tanh"

    def __init__(
        self, latent_dim: int, n_features: int, n_channels: int = 64, output_activation: str = output_activation
    ):
        super().__init__()
        self.output_activation = output_activation
        side, n_colours = image_shape(n_features)
        first = FIRST_SIDES[side]
        n_doublings = (side // first).bit_length() - 1
        widths = [n_channels * 2**k for k in reversed(range(n_doublings))]
        layers = [nn.ConvTranspose2d(latent_dim, widths[0], first, bias=False)]
        for n_in, n_out in pairwise(widths):
            layers += [*_normalised(n_in), nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=False)]
        layers += [*_normalised(n_channels), nn.ConvTranspose2d(n_channels, n_colours, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers, OUTPUT_ACTIVATIONS[output_activation]())
        self.apply(_initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Map noise, shape (n, latent_dim), to rows, shape (n, n_features)."""
        images = self.layers(z[:, :, None, None])
        return images.permute(0, 2, 3, 1).flatten(1)


def image_shape(n_features: int) -> tuple[int, int]:
    """Side and number of colours of a square image with ``n_features`` numbers."""
    for side in FIRST_SIDES:
        for n_colours in (1, 3):
            if n_features == side**2 * n_colours:
                return side, n_colours
    sizes = ", ".join(f"{side}x{side}" for side in FIRST_SIDES)
    raise ValueError(
        f"Rows of {n_features} features are not images of {sizes} pixels with 1 or 3 colours, which the "
        "convolutional networks need. Resize the images, or use fully connected layers."
    )


def _normalised(n_channels):
    return nn.BatchNorm2d(n_channels), nn.ReLU(inplace=True)


def _initialise(module):
    if isinstance(module, nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)

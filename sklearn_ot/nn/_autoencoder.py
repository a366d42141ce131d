"""Networks from rows to codes and back."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_ot.nn._generators import OUTPUT_ACTIVATIONS

Network = tuple[type[nn.Module], dict[str, Any]]
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)

# Added to the variances of a batch of codes, like that of torch's batch normalisation.
SMALL_VARIANCE = 1e-5
# The mean of a pixel, in a range of −1 to 1, where tanh is still steep enough to follow components.
LARGEST_MEAN = 0.9


class EncoderDecoder(nn.Module):
    """An encoder and a decoder, which it builds.

    Parameters
    ----------
    encoder, decoder : tuple of a class and a dict
        The class of each network and its arguments: from rows of shape (n, d) to codes of shape (n, k), and back.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.networks import Dense
    >>> module, arguments = Dense((16, 8), "silu").autoencoder(n_features=5, latent_dim=2)
    >>> module.__name__, module(**arguments).encode(torch.ones(3, 5)).shape
    ('EncoderDecoder', torch.Size([3, 2]))
    """

    def __init__(self, encoder: Network, decoder: Network):
        super().__init__()
        self.encoder, self.decoder = (module(**arguments) for module, arguments in (encoder, decoder))

    def encode(self, x: Tensor) -> Tensor:
        """Codes of rows, shape (n, k)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Rows of codes, shape (n, d)."""
        return self.decoder(z)

    @torch.no_grad()
    def start_(self, components: Tensor, deviations: Tensor, mean: Tensor) -> None:
        """Start at principal components, shape (r, d) with r ≤ k, if the networks have a linear part.

        Then the autoencoder of a `StandardCode` is PCA at first. ``deviations`` are those of the components.
        """
        for network, parts in (
            (self.encoder, (components.T,)),
            (self.decoder, (deviations[:, None] * components, mean)),
        ):
            if hasattr(network, "start_"):
                network.start_(*parts)


class WithLinear(nn.Module):
    r"""A network beside a linear map, which can start at principal components.

    .. math:: x \mapsto \sigma(x A / \sqrt{n} + b + r(x))

    The network r is 0 at first. With the factor, where n is the number of inputs, a step of the optimiser changes A as
    little as other weights, so that the first steps do not undo the start.

    Parameters
    ----------
    network : tuple of a class and a dict
        The class of r and its arguments: from rows of shape (n, n_inputs) to rows of shape (n, n_outputs), with no
        activation after its last layer.
    n_inputs, n_outputs : int
        Dimensions of the input and of the output.
    output_activation : {"identity", "tanh"}, default="identity"
        The activation σ.
    """

    def __init__(self, network: Network, n_inputs: int, n_outputs: int, output_activation: str = "identity"):
        super().__init__()
        module, arguments = network
        self.rest = module(**arguments)
        last = [layer for layer in self.rest.modules() if isinstance(layer, LAYERS)][-1]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.factor = 1 / math.sqrt(n_inputs)
        self.linear = nn.Parameter(nn.init.orthogonal_(torch.empty(n_inputs, n_outputs), 1 / self.factor))
        self.offset = nn.Parameter(torch.zeros(n_outputs))
        self.output = OUTPUT_ACTIVATIONS[output_activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, n_inputs), to rows, shape (n, n_outputs)."""
        return self.output(torch.addmm(self.offset, x, self.factor * self.linear) + self.rest(x))

    @torch.no_grad()
    def start_(self, matrix: Tensor, offset: Tensor | None = None) -> None:
        """Start at a linear map of the first columns of ``x``, or to the first columns of the output, plus an offset.

        With "tanh" the map is the one with this slope where the output is the offset.
        """
        if offset is not None and isinstance(self.output, nn.Tanh):
            mean = offset.clamp(-LARGEST_MEAN, LARGEST_MEAN)
            matrix, offset = matrix / (1 - mean.square()), mean.atanh()
        self.linear[: matrix.shape[0], : matrix.shape[1]] = matrix / self.factor
        if offset is not None:
            self.offset.copy_(offset)


class StandardCode(nn.Module):
    """An autoencoder whose codes have mean 0 and variance 1 in each column.

    In training these are means over the batch, so that the decoder never sees codes of another size, as with batch
    normalisation without weights. Otherwise they are the numbers of the last `standardise_`.

    Parameters
    ----------
    network : tuple of a class and a dict
        The class of the autoencoder and its arguments, with the methods of `EncoderDecoder`.
    latent_dim : int
        Number k of columns of a code.
    """

    def __init__(self, network: Network, latent_dim: int):
        super().__init__()
        module, arguments = network
        self.network = module(**arguments)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))

    def encode(self, x: Tensor) -> Tensor:
        """Standardised codes of rows, shape (n, k)."""
        codes = self.network.encode(x)
        if not self.training:
            return (codes - self.mean) / self.scale
        variance, mean = torch.var_mean(codes, dim=0, correction=0)
        return (codes - mean) * torch.rsqrt(variance + SMALL_VARIANCE)

    def decode(self, z: Tensor) -> Tensor:
        """Rows of codes, shape (n, d)."""
        return self.network.decode(z)

    @torch.no_grad()
    def standardise_(self, codes: Tensor, mass: Tensor) -> None:
        """Set the mean and the scale to those of codes of ``network``; ``mass`` has sum 1 and is on the CPU."""
        codes = codes.cpu().double()
        mean = mass @ codes
        scale = (mass @ (codes - mean).square()).sqrt()
        # A column that is constant but for rounding keeps its size.
        is_constant = scale <= 1e-6 * codes.abs().amax(0)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(is_constant, torch.ones_like(scale), scale))

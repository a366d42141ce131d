"""An input-convex convolutional network."""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_ot.nn._convex_layers import ConvexLayer


class ConvICNN(nn.Module):
    r"""Convolutional input-convex network of flattened pictures, with a gradient in closed form.

    .. math::
        \psi(x) &= \tfrac{\beta}{2} \|x\|^2 + \tfrac12 \sum_p \|F x_p\|^2 + \langle s, x \rangle
        + \sum_k \sum_p \langle w_k, z_{kp}(x) \rangle \\
        z_k(x) &= \sigma(W_k * z_{k-1}(x) + A_k * P^{k-1} x + b_k), \qquad z_0 = 0

    A row is a flattened picture with the channels last. Sums over p are over all places of a layer. P halves a picture:
    it averages four neighbouring places and multiplies them by 2, which keeps the norm of a smooth picture.
    :math:`A_k` are convolutions, and :math:`W_k * z` has one output for four places of z. Pictures of odd lengths are
    continued by a line of zeros before they are halved. The network is convex because :math:`W_k, w_k \ge 0` and σ is
    convex and non-decreasing [Amos17]_. A deeper layer sees a larger part of the picture, and each layer has a part in
    the sum, so that ψ is a sum over all places of convex functions of their surroundings.

    A new network has :math:`w_k = 0` and :math:`F = \sqrt{1 - \beta}\, I`, so that it is equal to :math:`\|x\|^2 / 2`
    and its gradient is the identity.

    Parameters
    ----------
    n_features : int
        Number of features of a row.
    image_shape : tuple of int
        Height, width and number of channels of a picture, with the product ``n_features``.
    n_channels : sequence of int, default=(16, 32)
        Number of channels of each hidden layer, counted before pooling.
    kernel_size : int, default=5
        Width of the convolutions :math:`A_k`, an odd number.
    activation : {"celu", "softplus", "logsumexp", "mixed"}, default="celu"
        The activation σ, as in `DenseICNN`.
    pool_size : int, default=4
        Units in a pool of "logsumexp"; it must divide the numbers of channels.
    strong_convexity : float, default=1e-2
        The modulus :math:`\beta`, between 0 and 1. If it is above 0, the gradient is an invertible map.

    References
    ----------
    .. [Amos17] B. Amos, L. Xu, J. Z. Kolter, "Input convex neural networks", ICML 2017.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import ConvICNN
    >>> network = ConvICNN(4 * 5 * 3, (4, 5, 3))
    >>> pictures = torch.rand(2, 60)
    >>> bool((network.gradient(pictures) - pictures).abs().max() < 1e-6)
    True
    """

    def __init__(
        self,
        n_features: int,
        image_shape: tuple[int, int, int],
        n_channels: Sequence[int] = (16, 32),
        *,
        kernel_size: int = 5,
        activation: str = "celu",
        pool_size: int = 4,
        strong_convexity: float = 1e-2,
    ):
        super().__init__()
        self.image_shape = tuple(image_shape)
        if math.prod(self.image_shape) != n_features:
            raise ValueError(f"A row of {n_features} features is not a picture of shape {self.image_shape}.")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be an odd number, got {kernel_size}.")
        self.strong_convexity = strong_convexity
        self.layers = [ConvexLayer.of(activation, size, pool_size) for size in n_channels]
        colours, widths = self.image_shape[-1], [layer.width for layer in self.layers]
        self.padding = kernel_size // 2
        self.quadratic = nn.Parameter(math.sqrt(1 - strong_convexity) * torch.eye(colours))
        self.shift = nn.Parameter(torch.zeros(n_features))
        self.skips = nn.ParameterList(
            [torch.randn(n, colours, kernel_size, kernel_size) / (kernel_size * math.sqrt(colours)) for n in widths]
        )
        self.biases = nn.ParameterList([torch.randn(n) / 2 for n in widths])
        pools = [layer.n_pools for layer in self.layers]
        # Weights of 0 or more with the mean 1 / n_in, so that the output of a layer has the size of its input.
        self.inner = nn.ParameterList(
            [torch.rand(n, m, 2, 2) / (2 * m) for m, n in zip(pools[:-1], widths[1:], strict=True)]
        )
        self.tops = nn.ParameterList([torch.zeros(n) for n in pools])

    def forward(self, x: Tensor) -> Tensor:
        """Compute the values, shape (n,)."""
        with _all_digits(x):
            outputs, _, _ = self._hidden(x)
            return self._value(x, self._quadratic_gradient(x), outputs)

    def gradient(self, x: Tensor) -> Tensor:
        """Compute the gradients, shape (n, d): a monotone map, differentiable in ``x`` and in the weights."""
        with _all_digits(x):
            _, slopes, sizes = self._hidden(x)
            return self._gradient(self._quadratic_gradient(x), slopes, sizes)

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute values and gradients in the time of one forward and one backward pass, without autograd."""
        with _all_digits(x):
            outputs, slopes, sizes = self._hidden(x)
            quadratic = self._quadratic_gradient(x)
            return self._value(x, quadratic, outputs), self._gradient(quadratic, slopes, sizes)

    @property
    def hidden_weights(self) -> list[Tensor]:
        """The weights between hidden layers, which must not be negative and start far below 1."""
        return list(self.inner)

    @torch.no_grad()
    def project_(self) -> None:
        """Raise the weights that must not be negative to at least 0."""
        for weight in (*self.inner, *self.tops):
            weight.clamp_(min=0)

    def _hidden(self, x):
        """The outputs and the slopes of all layers, and the heights and widths of the pictures that they see."""
        # The memory of a row is that of channels that come last.
        p = x.reshape(-1, *self.image_shape).permute(0, 3, 1, 2)
        outputs, slopes, sizes = [], [], []
        for k, (layer, skip, bias) in enumerate(zip(self.layers, self.skips, self.biases, strict=True)):
            if k:
                p = 2 * F.avg_pool2d(_even(p), 2)
            v = F.conv2d(p, skip, bias, padding=self.padding)
            if k:
                v = v + F.conv2d(_even(outputs[-1]), self.inner[k - 1], stride=2)
            z, slope = layer.activate(v.transpose(0, 1))
            outputs.append(z.transpose(0, 1))
            slopes.append(slope)
            sizes.append(p.shape[2:])
        return outputs, slopes, sizes

    def _quadratic_gradient(self, x):
        colours = x.reshape(-1, *self.image_shape) @ (self.quadratic.T @ self.quadratic)
        return torch.add(self.shift, x, alpha=self.strong_convexity) + colours.flatten(1)

    def _value(self, x, quadratic, outputs):
        # ½⟨x, Q x⟩ + ⟨s, x⟩ is half of the product ⟨x, (Q x + s) + s⟩, where Q x + s is the gradient.
        value = (x * (quadratic + self.shift)).sum(1) / 2
        for top, z in zip(self.tops, outputs, strict=True):
            value = value + z.sum((2, 3)) @ top
        return value

    def _gradient(self, quadratic, slopes, sizes):
        # The chain rule, from the top layer down, computed without autograd so that it can be differentiated again.
        gradient, delta = None, None
        for k in reversed(range(len(self.layers))):
            outputs = self.tops[k][:, None, None, None]
            if delta is not None:
                below = F.conv_transpose2d(delta, self.inner[k], stride=2)
                outputs = outputs + _cropped(below, sizes[k]).transpose(0, 1)
            delta = self.layers[k].spread(outputs, slopes[k]).transpose(0, 1)
            part = F.conv_transpose2d(delta, self.skips[k], padding=self.padding)
            if gradient is not None:
                part = part + _cropped(F.interpolate(gradient, scale_factor=2) / 2, sizes[k])
            gradient = part
        return quadratic + gradient.permute(0, 2, 3, 1).flatten(1)


def _all_digits(x):
    """A context without TensorFloat-32 on a GPU, whose convolutions have three digits: too few for a conjugate."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if x.is_cuda else nullcontext()


def _even(pictures):
    """Pictures with a line of zeros at the end of each odd length."""
    height, width = pictures.shape[2:]
    return F.pad(pictures, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else pictures


def _cropped(pictures, size):
    """Pictures without the lines that `_even` has added."""
    return pictures[:, :, : size[0], : size[1]]

"""Networks that classify rows, and whose last hidden layer holds features of the rows."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from sklearn_ot.nn._activations import activation_layer, hidden_layers

# Share of the units that a training step leaves out.
DROPOUT = 0.5
# Widths of the two fully connected hidden layers of LeNet-5.
LENET_WIDTHS = (120, 84)


class FeatureClassifier(nn.Module):
    """A network in two parts.

    Parameters
    ----------
    features : nn.Module
        From rows of shape (n, d) to features between -1 and 1.
    n_outputs, n_classes : int
        Numbers of features and of classes.
    """

    def __init__(self, features: nn.Module, n_outputs: int, n_classes: int):
        super().__init__()
        self.features = features
        # Without a part of the features in each step, the features of a class gather in one cluster.
        self.output = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(n_outputs, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes, shape (n, n_classes)."""
        return self.output(self.features(x))


class DenseClassifier(FeatureClassifier):
    """Fully connected layers; the last hidden layer has the activation tanh.

    Parameters
    ----------
    n_features, n_classes : int
        Numbers of columns and of classes.
    hidden_layer_sizes : sequence of int
        Widths of the hidden layers.
    activation : str
        Activation of the other hidden layers, a key of ``ACTIVATIONS``.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import DenseClassifier
    >>> DenseClassifier(5, 3, (16, 8), "relu").features(torch.ones(2, 5)).shape
    torch.Size([2, 8])
    """

    def __init__(self, n_features: int, n_classes: int, hidden_layer_sizes: Sequence[int], activation: str):
        layers = hidden_layers(n_features, hidden_layer_sizes, activation)[:-1]
        super().__init__(nn.Sequential(*layers, nn.Tanh()), hidden_layer_sizes[-1], n_classes)


class LeNet(FeatureClassifier):
    """A small convolutional network with 84 features, for flattened square images with 1 or 3 colours.

    It is similar to LeNet-5 [LeCun98]_.

    Parameters
    ----------
    n_features, n_classes : int
        Numbers of pixels (times colours) and of classes.
    n_channels : int
        Channels of the first layer; the second has twice as many.
    activation : str
        Activation of all hidden layers but the last one, which has tanh: a key of ``ACTIVATIONS``.

    References
    ----------
    .. [LeCun98] Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
       recognition", Proceedings of the IEEE, 1998.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import LeNet
    >>> LeNet(256, 10, 16, "relu").features(torch.ones(2, 256)).shape
    torch.Size([2, 84])
    """

    def __init__(self, n_features: int, n_classes: int, n_channels: int, activation: str):
        n_colors, size = image_shape(n_features)
        layers: list[nn.Module] = [nn.Unflatten(1, (n_colors, size, size))]
        for n_in, n_out in ((n_colors, n_channels), (n_channels, 2 * n_channels)):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), activation_layer(activation), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Dropout(DROPOUT)]
        first, last = LENET_WIDTHS
        layers += [nn.Linear(2 * n_channels * (size // 4) ** 2, first), activation_layer(activation)]
        super().__init__(
            nn.Sequential(*layers, nn.Dropout(DROPOUT), nn.Linear(first, last), nn.Tanh()), last, n_classes
        )


def image_shape(n_features: int) -> tuple[int, int]:
    """Numbers of colours and of pixels of a side, of flattened square images."""
    for n_colors in (1, 3):
        size = math.isqrt(n_features // n_colors)
        if n_colors * size**2 == n_features and size >= 4:
            return n_colors, size
    raise ValueError(f"n_features={n_features} is no square image of 4 × 4 pixels or more with 1 or 3 colours.")

"""Specifications of networks, which estimators take as parameters.

A specification is an estimator without ``fit``. `sklearn.base.clone` copies it, and ``get_params`` of an estimator that
holds one also lists the parameters of the specification, so that a search can run over ``generator__n_channels``. A
specification has one method for every role that it supports; the method returns the class of the module and its
arguments. Any class with such a method is a specification. Estimators also take a subclass of `torch.nn.Module` in the
place of a specification.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sklearn_ot.checks import picture_shape
from sklearn_ot.nn import (
    ACTIVATIONS,
    MLP,
    ConvICNN,
    DCGANCritic,
    DCGANGenerator,
    DenseClassifier,
    DenseICNN,
    DistanceCritic,
    EncoderDecoder,
    LeNet,
    MLPCritic,
    MLPGenerator,
    ResidualMap,
    WithLinear,
)

POSITIVE = Interval(Integral, 1, None, closed="left")
OUTPUT_ACTIVATIONS = StrOptions({"identity", "tanh"})


def module_of(network, role, **shape):
    """The module that a network gives for a role.

    Parameters
    ----------
    network : specification or nn.Module class
        The parameter of the estimator. A class is called with the numbers of ``shape`` alone.
    role : {"generator", "critic", "potential", "function", "autoencoder"}
        The name of the method of the specification.
    **shape : int or None
        Numbers of inputs and outputs, by the names that the role has for them.

    Returns
    -------
    module : type
        The class of the module.
    arguments : dict
        Keyword arguments of the class, as plain values.
    """
    if inspect.isclass(network) and issubclass(network, nn.Module):
        return network, shape
    if inspect.isclass(network) or not hasattr(network, role):
        raise ValueError(
            f"{network!r} cannot be the {role}: give a specification of sklearn_ot.networks that has the method "
            f"{role!r}, or a subclass of torch.nn.Module."
        )
    return getattr(network, role)(**shape)


def named_module(name, module, arguments):
    """A module and its arguments, in one dict with skorch's names."""
    return {name: module, **{f"{name}__{argument}": value for argument, value in arguments.items()}}


def check_sizes(sizes, name="hidden_layer_sizes"):
    """Widths of hidden layers as a tuple of int; a ValueError unless they are one or more positive integers."""
    checked = tuple(sizes)
    if not checked or not all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in checked):
        raise ValueError(
            f"{name} must be one or more positive integers, got {sizes!r}. "
            "Give for example (128, 128) for two hidden layers."
        )
    return tuple(map(int, checked))


def _with_linear(encoder, decoder, n_features, latent_dim, output_activation):
    """An `EncoderDecoder` of two modules and their arguments, each beside a linear map."""
    codes = {"network": encoder, "n_inputs": n_features, "n_outputs": latent_dim}
    rows = {"network": decoder, "n_inputs": latent_dim, "n_outputs": n_features}
    return EncoderDecoder, {
        "encoder": (WithLinear, codes),
        "decoder": (WithLinear, {**rows, "output_activation": output_activation}),
    }


@dataclass(eq=False, repr=False)
class Dense(BaseEstimator):
    """Fully connected layers.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(128, 128, 128)
        Widths of the hidden layers.
    activation : {"relu", "silu", "celu", "softplus", "leaky_relu", "groupsort"}, default="relu"
        Activation of the hidden layers. "leaky_relu" and "groupsort" are for critics.
    output_activation : {"identity", "tanh"}, default="identity"
        Activation of the outputs of a generator or decoder. With "tanh" all samples lie in the range of the data.

    Examples
    --------
    >>> from sklearn_ot.generation import WGANGenerator
    >>> from sklearn_ot.networks import Dense
    >>> WGANGenerator(generator=Dense((64, 64), "silu")).get_params()["generator__activation"]
    'silu'
    """

    hidden_layer_sizes: Sequence[int] = (128, 128, 128)
    activation: str = "relu"
    output_activation: str = "identity"

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(ACTIVATIONS.keys())],
        "output_activation": [OUTPUT_ACTIVATIONS],
    }

    def generator(self, latent_dim, n_features):
        """`sklearn_ot.nn.MLPGenerator`, from ``latent_dim`` columns of noise to ``n_features``."""
        arguments = {"latent_dim": latent_dim, "n_features": n_features, **self._layers()}
        return MLPGenerator, {**arguments, "output_activation": self.output_activation}

    def critic(self, n_features, n_classes=0, n_outputs=None):
        """`sklearn_ot.nn.MLPCritic` of rows and their one-hot labels; a scalar if ``n_outputs`` is None."""
        shape = {"n_features": n_features, "n_classes": n_classes, "n_outputs": n_outputs}
        return MLPCritic, {**shape, **self._layers()}

    def function(self, n_features, n_outputs=None):
        """`sklearn_ot.nn.MLP` of rows; a scalar if ``n_outputs`` is None."""
        return MLP, {"n_features": n_features, "n_outputs": n_outputs, **self._layers()}

    def classifier(self, n_features, n_classes):
        """`sklearn_ot.nn.DenseClassifier` of rows; its last hidden layer holds features of them."""
        return DenseClassifier, {"n_features": n_features, "n_classes": n_classes, **self._layers()}

    def autoencoder(self, n_features, latent_dim):
        """`sklearn_ot.nn.EncoderDecoder` of `sklearn_ot.nn.MLP`, with a decoder in mirror image.

        Each network has a linear part, a `sklearn_ot.nn.WithLinear`.
        """
        layers = self._layers()
        encoder = MLP, {"n_features": n_features, "n_outputs": latent_dim, **layers}
        layers["hidden_layer_sizes"] = layers["hidden_layer_sizes"][::-1]
        decoder = MLP, {"n_features": latent_dim, "n_outputs": n_features, **layers}
        return _with_linear(encoder, decoder, n_features, latent_dim, self.output_activation)

    def _layers(self):
        self._validate_params()
        return {"hidden_layer_sizes": check_sizes(self.hidden_layer_sizes), "activation": self.activation}


@dataclass(eq=False, repr=False)
class Convolutional(BaseEstimator):
    """Convolutional layers, for rows that are flattened square images of 28, 32 or 64 pixels with 1 or 3 colours.

    Parameters
    ----------
    n_channels : int, default=64
        Number of channels at the highest resolution: in the last hidden layer of a generator or decoder, the first of a
        critic or encoder.
    activation : {"leaky_relu", "relu", "silu", "celu", "softplus", "groupsort"}, default="leaky_relu"
        Activation of the hidden layers of a critic or encoder. A generator or decoder has ReLU with batch
        normalisation.
    output_activation : {"tanh", "identity"}, default="tanh"
        Activation of the outputs of a generator or decoder. With "tanh" all samples lie in the range of the data.

    Examples
    --------
    >>> from sklearn_ot.networks import Convolutional
    >>> module, arguments = Convolutional(n_channels=8).generator(latent_dim=10, n_features=784)
    >>> module.__name__, arguments["n_channels"]
    ('DCGANGenerator', 8)
    """

    n_channels: int = 64
    activation: str = "leaky_relu"
    output_activation: str = "tanh"

    _parameter_constraints: ClassVar[dict] = {
        "n_channels": [POSITIVE],
        "activation": [StrOptions(ACTIVATIONS.keys())],
        "output_activation": [OUTPUT_ACTIVATIONS],
    }

    def generator(self, latent_dim, n_features):
        """`sklearn_ot.nn.DCGANGenerator`, from ``latent_dim`` columns of noise to ``n_features``."""
        self._validate_params()
        arguments = {"latent_dim": latent_dim, "n_features": n_features, "n_channels": self.n_channels}
        return DCGANGenerator, {**arguments, "output_activation": self.output_activation}

    def critic(self, n_features, n_classes=0, n_outputs=None):
        """`sklearn_ot.nn.DCGANCritic` of rows and their one-hot labels; a scalar if ``n_outputs`` is None."""
        self._validate_params()
        shape = {"n_features": n_features, "n_classes": n_classes, "n_outputs": n_outputs}
        return DCGANCritic, {**shape, "n_channels": self.n_channels, "activation": self.activation}

    def classifier(self, n_features, n_classes):
        """`sklearn_ot.nn.LeNet` of square images of any size, with ``n_channels // 4`` channels in its first layer."""
        self._validate_params()
        n_channels = max(self.n_channels // 4, 1)
        shape = {"n_features": n_features, "n_classes": n_classes, "n_channels": n_channels}
        return LeNet, {**shape, "activation": self.activation}

    def autoencoder(self, n_features, latent_dim):
        """`sklearn_ot.nn.EncoderDecoder`: the critic with ``latent_dim`` outputs, and the generator.

        Each has a linear part, a `sklearn_ot.nn.WithLinear`.
        """
        encoder = self.critic(n_features, n_outputs=latent_dim)
        decoder = clone(self).set_params(output_activation="identity").generator(latent_dim, n_features)
        return _with_linear(encoder, decoder, n_features, latent_dim, self.output_activation)


@dataclass(eq=False, repr=False)
class Distances(BaseEstimator):
    """A critic of slope at most 1: the sorted distances to learned points, weighted.

    It is the default critic of ``WGANGenerator("spectral-norm")`` for at most two columns. In eight columns it
    was worse than ``Dense()``.

    Parameters
    ----------
    n_points : int, default=128
        Number of points, an even one.

    Examples
    --------
    >>> from sklearn_ot.networks import Distances
    >>> Distances(n_points=64).critic(n_features=2)[0].__name__
    'DistanceCritic'
    """

    n_points: int = 128

    _parameter_constraints: ClassVar[dict] = {"n_points": [POSITIVE]}

    def critic(self, n_features, n_classes=0, n_outputs=None):
        """`sklearn_ot.nn.DistanceCritic` of rows and their one-hot labels; ``n_outputs`` must be None."""
        self._validate_params()
        shape = {"n_features": n_features, "n_classes": n_classes, "n_outputs": n_outputs}
        return DistanceCritic, {**shape, "n_points": self.n_points}


@dataclass(eq=False, repr=False)
class Convex(BaseEstimator):
    """Fully connected layers of a convex function.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the hidden layers.
    activation : {"mixed", "logsumexp", "celu", "softplus"}, default="mixed"
        Activation of the hidden layers. "logsumexp" is a smooth maximum over pools of units; it suits targets of
        several clusters, where the map changes quickly between neighbours. "mixed" has half of the units of a layer in
        such pools, and the activation "celu" in the other half. "softplus" and "logsumexp" are infinitely smooth.
    pool_size : int, default=8
        Units in a pool; with "logsumexp" it must divide the widths.
    rank : int, default=0
        Number of squares in each convex-quadratic skip connection. With 0 the skip connections are affine and faster.
    strong_convexity : float, default=1e-2
        Least stretch of the gradient, above 0 and below 1, in the coordinates of the network. The inverse map then
        stretches by at most ``1 / strong_convexity``.

    Examples
    --------
    >>> from sklearn_ot.networks import Convex
    >>> Convex((64, 64), "softplus").potential(n_features=2)[0].__name__
    'DenseICNN'
    """

    hidden_layer_sizes: Sequence[int] = (128, 128)
    activation: str = "mixed"
    pool_size: int = 8
    rank: int = 0
    strong_convexity: float = 1e-2

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions({"mixed", "logsumexp", "celu", "softplus"})],
        "pool_size": [POSITIVE],
        "rank": [Interval(Integral, 0, None, closed="left")],
        "strong_convexity": [Interval(Real, 0, 1, closed="neither")],
    }

    def potential(self, n_features):
        """`sklearn_ot.nn.DenseICNN` of rows."""
        self._validate_params()
        sizes = check_sizes(self.hidden_layer_sizes)
        if self.activation == "logsumexp" and any(size % self.pool_size for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} cannot be split into pools of "
                f"pool_size={self.pool_size}: give widths that it divides."
            )
        names = ("activation", "pool_size", "rank", "strong_convexity")
        return DenseICNN, {
            "n_features": n_features,
            "hidden_layer_sizes": sizes,
            **{name: getattr(self, name) for name in names},
        }

    def guess(self, n_features):
        """`sklearn_ot.nn.ResidualMap` with as wide layers, to guess the inverse of the gradient of the potential."""
        return ResidualMap, {"n_features": n_features, "hidden_layer_sizes": check_sizes(self.hidden_layer_sizes)}


@dataclass(eq=False, repr=False)
class ConvexConvolutional(BaseEstimator):
    """Convolutional layers of a convex function of flattened pictures of any size.

    A transport with this network starts at the map between stationary Gaussian pictures, see
    `sklearn_ot.transport.StationaryGaussianTransport`, and not at the Gaussian map: its coordinates are pictures again,
    and no matrix has as many rows and columns as a picture has numbers. The parameter ``shrinkage`` of the transport
    has no effect.

    Parameters
    ----------
    image_shape : tuple of int
        The shape of a picture: (height, width, n_channels), or (height, width) for one channel.
    n_channels : sequence of int, default=(16, 32)
        Number of channels of each hidden layer. Each layer after the first one has half the resolution of the previous
        one.
    kernel_size : int, default=5
        Width of the convolutions of the picture, an odd number.
    activation : {"mixed", "logsumexp", "celu", "softplus"}, default="celu"
        Activation of the hidden layers, as in `Convex`.
    pool_size : int, default=4
        Units in a pool; with "logsumexp" it must divide the numbers of channels.
    strong_convexity : float, default=1e-2
        Least stretch of the gradient, above 0 and below 1, in the coordinates of the network. The inverse map then
        stretches by at most ``1 / strong_convexity``.

    Examples
    --------
    >>> from sklearn_ot.networks import ConvexConvolutional
    >>> ConvexConvolutional((16, 16, 3)).potential(n_features=768)[0].__name__
    'ConvICNN'
    """

    image_shape: tuple[int, ...]
    n_channels: Sequence[int] = (16, 32)
    kernel_size: int = 5
    activation: str = "celu"
    pool_size: int = 4
    strong_convexity: float = 1e-2

    _parameter_constraints: ClassVar[dict] = {
        "image_shape": [tuple],
        "n_channels": ["array-like"],
        "kernel_size": [POSITIVE],
        "activation": [StrOptions({"mixed", "logsumexp", "celu", "softplus"})],
        "pool_size": [POSITIVE],
        "strong_convexity": [Interval(Real, 0, 1, closed="neither")],
    }

    def potential(self, n_features):
        """`sklearn_ot.nn.ConvICNN` of rows."""
        self._validate_params()
        if len(self.image_shape) not in (2, 3):
            raise ValueError(f"image_shape={self.image_shape!r}: give (height, width, n_channels) or (height, width).")
        names = ("kernel_size", "activation", "pool_size", "strong_convexity")
        return ConvICNN, {
            "n_features": n_features,
            "image_shape": picture_shape(self.image_shape, n_features),
            "n_channels": check_sizes(self.n_channels, "n_channels"),
            **{name: getattr(self, name) for name in names},
        }

    def guess(self, n_features):
        """The same as `potential`: the inverse of the gradient of a convex function is the gradient of another one."""
        return self.potential(n_features)

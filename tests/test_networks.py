"""Specifications of networks: as parameters of estimators, and their modules."""

import pytest
import torch
from sklearn.base import clone
from torch import nn

from sklearn_ot.networks import Convex, ConvexConvolutional, Convolutional, Dense, Distances, module_of

# Specification, role, its shape, rows of the input, shape of the output.
ROLES = [
    (Dense((8,)), "generator", {"latent_dim": 3, "n_features": 5}, (4, 3), (4, 5)),
    (Dense((8, 8), "groupsort"), "critic", {"n_features": 5, "n_classes": 2, "n_outputs": None}, (4, 7), (4,)),
    (Dense((8,), "silu"), "function", {"n_features": 5, "n_outputs": 2}, (4, 5), (4, 2)),
    (Convolutional(2), "generator", {"latent_dim": 3, "n_features": 784}, (4, 3), (4, 784)),
    (Convolutional(2), "critic", {"n_features": 784, "n_classes": 1, "n_outputs": 3}, (4, 785), (4, 3)),
    (Distances(4), "critic", {"n_features": 5, "n_classes": 2, "n_outputs": None}, (4, 7), (4,)),
    (Convex((16, 8)), "potential", {"n_features": 5}, (4, 5), (4,)),
    (ConvexConvolutional((3, 5, 2), (4, 6)), "potential", {"n_features": 30}, (4, 30), (4,)),
    (ConvexConvolutional((3, 5), (4,), activation="logsumexp"), "potential", {"n_features": 15}, (4, 15), (4,)),
]


@pytest.mark.parametrize("network", [Dense((8, 4), "silu", "tanh"), Convolutional(2)])
def test_an_autoencoder_has_codes_and_rows(network):
    module, arguments = module_of(network, "autoencoder", n_features=784, latent_dim=3)
    autoencoder, x = module(**arguments), torch.ones(4, 784)
    assert autoencoder.encode(x).shape == (4, 3)
    assert autoencoder.decode(autoencoder.encode(x)).shape == (4, 784)
    assert autoencoder.decode(10 * autoencoder.encode(x)).abs().max() <= 1


def test_the_decoder_is_the_mirror_image_of_the_encoder():
    arguments = Dense((8, 4)).autoencoder(n_features=5, latent_dim=2)[1]
    sizes = {name: arguments[name][1]["network"][1]["hidden_layer_sizes"] for name in ("encoder", "decoder")}
    assert sizes == {"encoder": (8, 4), "decoder": (4, 8)}


@pytest.mark.parametrize(("network", "role", "shape", "inputs", "outputs"), ROLES)
def test_a_specification_makes_the_module_of_its_role(network, role, shape, inputs, outputs):
    module, arguments = module_of(network, role, **shape)
    assert module(**arguments)(torch.ones(inputs)).shape == outputs


@pytest.mark.parametrize(
    "network",
    [
        Dense((8,), "silu"),
        Convolutional(2, output_activation="identity"),
        Convex(rank=1),
        Distances(4),
        ConvexConvolutional((8, 8, 3)),
    ],
)
def test_a_specification_is_cloned_with_its_parameters(network):
    assert clone(network).get_params() == network.get_params()
    assert clone(network) is not network


def test_a_critic_of_distances_has_as_many_points_as_its_specification():
    module, arguments = module_of(Distances(6), "critic", n_features=5, n_classes=2, n_outputs=None)
    assert module(**arguments).points.shape == (6, 7)


def test_a_class_of_modules_is_called_with_the_shape_alone():
    class Own(nn.Linear):
        pass

    assert module_of(Own, "generator", latent_dim=3, n_features=5) == (Own, {"latent_dim": 3, "n_features": 5})


@pytest.mark.parametrize(
    ("network", "role", "message"),
    [
        (Dense(()), "function", r"hidden_layer_sizes must be one or more positive integers, got \(\)"),
        (Dense((8, 0)), "function", r"hidden_layer_sizes must be one or more positive integers, got \(8, 0\)"),
        (Dense((8.5,)), "function", "hidden_layer_sizes must be one or more positive integers"),
        (Dense((8,), "swish"), "function", "The 'activation' parameter of Dense must be a str among"),
        (Convolutional(0), "critic", "The 'n_channels' parameter of Convolutional must be an int"),
        (Distances(0), "critic", "The 'n_points' parameter of Distances must be an int"),
        (Distances(), "generator", "cannot be the generator: give a specification"),
        (
            Convex((12,), "logsumexp"),
            "potential",
            r"hidden_layer_sizes=\(12,\) cannot be split into pools of pool_size=8",
        ),
        (Convex(strong_convexity=1.0), "potential", "The 'strong_convexity' parameter of Convex must be a float"),
        (ConvexConvolutional((4, 4)), "potential", r"A row of 2 features is not a picture of shape \(4, 4\)"),
        (ConvexConvolutional((1, 2.5)), "potential", r"image_shape=\(1, 2.5\): give \(height, width, n_channels\)"),
        (ConvexConvolutional((2,)), "potential", r"image_shape=\(2,\): give \(height, width, n_channels\) or"),
        (ConvexConvolutional((1, 2), ()), "potential", r"n_channels must be one or more positive integers, got \(\)"),
        (Convex(), "generator", "cannot be the generator: give a specification"),
        ("mlp", "critic", "'mlp' cannot be the critic: give a specification"),
        (Dense, "critic", "cannot be the critic: give a specification"),
    ],
)
def test_unusable_networks_are_refused(network, role, message):
    with pytest.raises(ValueError, match=message):
        module_of(network, role, n_features=2)

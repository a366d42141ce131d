"""Generator networks."""

import pytest
import torch

from sklearn_ot.nn import DCGANGenerator, MLPGenerator


@pytest.mark.parametrize(("latent_dim", "n_features"), [(2, 2), (3, 10), (10, 3)])
def test_the_mlp_starts_as_a_scaled_isometry(latent_dim, n_features):
    torch.manual_seed(0)
    generator = MLPGenerator(latent_dim, n_features, hidden_layer_sizes=(8,))
    linear = generator(torch.eye(latent_dim)).double()
    product = linear @ linear.T if latent_dim <= n_features else linear.T @ linear
    expected = torch.eye(len(product)).double() * n_features / min(latent_dim, n_features)
    torch.testing.assert_close(product, expected, atol=1e-5, rtol=0)
    # The isometry makes the mean variance of the features 1.
    torch.testing.assert_close(linear.square().sum() / n_features, torch.tensor(1.0).double(), atol=1e-5, rtol=0)


def test_tanh_bounds_the_mlp():
    generator = MLPGenerator(2, 3, output_activation="tanh")
    assert generator(100 * torch.randn(50, 2)).abs().max() == 1


@pytest.mark.parametrize("n_colours", [1, 3])
@pytest.mark.parametrize("side", [28, 32, 64])
def test_images_of_all_sizes(side, n_colours):
    torch.manual_seed(0)
    n_features = side**2 * n_colours
    generator = DCGANGenerator(latent_dim=4, n_features=n_features, n_channels=2)
    z = torch.randn(3, 4)
    rows = generator(z)
    assert rows.shape == (3, n_features)
    assert rows.abs().max() <= 1
    rows.square().sum().backward()
    assert all(weight.grad is not None for weight in generator.parameters())
    # The order of a row: lines, columns, colours.
    images = generator.layers(z[:, :, None, None])
    torch.testing.assert_close(rows[1].view(side, side, n_colours)[5, 7], images[1, :, 5, 7])


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match=r"Rows of 100 features are not images of 28x28, 32x32, 64x64 pixels"):
        DCGANGenerator(4, 100)

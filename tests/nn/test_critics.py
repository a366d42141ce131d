"""Critic networks: shapes, labels, slopes."""

import pytest
import torch
from torch import nn

from sklearn_ot.nn import DCGANCritic, GroupSort, LabelledCritic, MLPCritic, normalise_spectra_
from sklearn_ot.nn._critics import LIPSCHITZ_CONSTANTS


def test_group_sort_keeps_values_and_slopes():
    torch.manual_seed(0)
    x = torch.randn(5, 8, 3, 3, requires_grad=True)
    y = GroupSort()(x)
    torch.testing.assert_close(y.sort(1).values, x.sort(1).values)
    assert (y[:, :4] >= y[:, 4:]).all()
    direction = torch.randn_like(y)
    (gradient,) = torch.autograd.grad(y, x, direction)
    torch.testing.assert_close(gradient.norm(), direction.norm())


def test_odd_widths_cannot_be_sorted():
    with pytest.raises(ValueError, match=r"even widths, got \(8, 7\)"):
        MLPCritic(2, hidden_layer_sizes=(8, 7), activation="groupsort")


@pytest.mark.parametrize(("n_features", "n_outputs"), [(2, 5), (5, 2)])
def test_an_embedding_starts_as_an_isometry_of_rows_with_labels(n_features, n_outputs):
    torch.manual_seed(0)
    critic = MLPCritic(n_features, n_classes=2, hidden_layer_sizes=(8,), n_outputs=n_outputs)
    x = torch.cat([torch.randn(6, n_features), torch.eye(2)[[0, 1, 0, 1, 0, 1]]], 1)
    norm = torch.linalg.matrix_norm(critic.linear, ord=2)
    torch.testing.assert_close(norm, torch.tensor(1.0))
    if n_outputs > n_features:
        torch.testing.assert_close(torch.pdist(critic(x)), torch.pdist(x))


@pytest.mark.parametrize("activation", ["relu", "groupsort", "silu"])
@pytest.mark.parametrize("n_outputs", [None, 3])
def test_no_slope_exceeds_the_bound(activation, n_outputs):
    torch.manual_seed(0)
    critic = MLPCritic(4, hidden_layer_sizes=(16, 16), n_outputs=n_outputs, activation=activation).double()
    for weight in critic.parameters():
        nn.init.normal_(weight)
    x = torch.randn(500, 4, dtype=torch.float64)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: critic(row[None])[0]))(x).view(500, -1, 4)
    slopes = torch.linalg.matrix_norm(jacobian, ord=2)
    assert slopes.max() <= critic.lipschitz_bound()
    assert slopes.max() > critic.lipschitz_bound() / 100


def test_the_largest_slope_of_silu():
    x = torch.linspace(2, 3, 10_001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(nn.functional.silu(x).sum(), x)
    assert slope.max() <= LIPSCHITZ_CONSTANTS["silu"] < slope.max() + 1e-4


def test_normalised_weights_have_norm_one():
    torch.manual_seed(0)
    critic = normalise_spectra_(MLPCritic(3, hidden_layer_sizes=(16, 16), activation="groupsort"))
    before = critic.state_dict()
    for _ in range(200):  # steps of the power method
        critic(torch.zeros(1, 3))
    assert critic.eval().lipschitz_bound() == pytest.approx(1, abs=1e-3)
    # Values do not change without training.
    assert torch.equal(critic(torch.ones(1, 3)), critic(torch.ones(1, 3)))
    assert critic.state_dict().keys() == before.keys()


@pytest.mark.parametrize("n_colours", [1, 3])
@pytest.mark.parametrize("side", [28, 32, 64])
def test_images_of_all_sizes(side, n_colours):
    torch.manual_seed(0)
    n_features = side**2 * n_colours
    critic = DCGANCritic(n_features, n_classes=2, n_channels=4)
    x = torch.randn(3, n_features + 2)
    values = critic(x)
    assert values.shape == (3,)
    values.square().sum().backward()
    assert all(weight.grad is not None for weight in critic.parameters())
    assert DCGANCritic(n_features, n_channels=4, n_outputs=5)(x[:, :n_features]).shape == (3, 5)
    # The value of a row does not depend on other rows.
    torch.testing.assert_close(critic(x[:1]), values[:1].detach())
    # The label has an effect, and it is not used as a pixel.
    other = x.clone()
    other[:, n_features:] += 1
    assert (critic(other) != values).all()


def test_pixels_are_read_in_the_order_they_are_generated_in():
    critic = DCGANCritic(28 * 28 * 3, n_channels=4)
    x = torch.zeros(1, 28, 28, 3)
    x[0, 5, 7, 2] = 1
    seen = []
    critic.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    critic(x.flatten(1))
    assert seen[0][0, 2, 5, 7] == 1
    assert seen[0].sum() == 1


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="Rows of 100 features are not images"):
        DCGANCritic(100)


def test_a_labelled_critic_is_a_function_of_the_row():
    critic = LabelledCritic(lambda x: x[:, 0] ** 2 + x[:, 0] * x[:, 1], torch.tensor([[10.0], [20.0]]))
    x = torch.tensor([[1.0], [2.0]])
    assert critic(x).tolist() == [11, 44]
    value, gradient = critic.value_and_gradient(x)
    assert value.tolist() == [11, 44]
    assert gradient.tolist() == [[12], [24]]
    empty = LabelledCritic(lambda x: x.sum(1), torch.empty(2, 0))
    assert empty(x).tolist() == [1, 2]
    assert empty.value_and_gradient(x)[1].tolist() == [[1], [1]]

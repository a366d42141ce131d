"""The critic of distances to points: its slope, its largest class of functions, and what it learns."""

import pytest
import torch
from torch import nn

from sklearn_ot.nn import DistanceCritic


def critic_with_any_weights(seed, n_features, dtype=torch.float64):
    torch.manual_seed(seed)
    critic = DistanceCritic(n_features, n_points=32).to(dtype)
    for weight in critic.parameters():
        nn.init.normal_(weight, std=3.0)
    return critic


@pytest.mark.parametrize("n_features", [1, 2, 30])
@pytest.mark.parametrize("distance", [1e-3, 1.0, 100.0])
def test_no_slope_between_two_rows_exceeds_one(n_features, distance):
    for seed in range(5):
        critic = critic_with_any_weights(seed, n_features)
        # Half of the rows are near points, where the cones have their tips.
        x = torch.cat([3 * torch.randn(256, n_features), critic.points.detach().repeat(8, 1)]).double()
        y = x + distance * torch.randn_like(x)
        steps = (critic(x) - critic(y)).abs() / (x - y).norm(dim=1)
        assert steps.max() <= 1 + 1e-9  # rounding errors of float64
    assert critic.lipschitz_bound() == 1


@pytest.mark.parametrize("n_features", [2, 30, 784])
def test_no_gradient_exceeds_one_in_single_precision(n_features):
    torch.manual_seed(0)
    critic = DistanceCritic(n_features)
    offset = torch.logspace(-6, 0, 128)[:, None] * nn.functional.normalize(torch.randn(128, n_features))
    x = (critic.points.detach() + offset).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x)
    assert gradient.norm(dim=1).max() <= 1 + 1e-5


def test_the_last_weight_alone_is_the_extension_of_mcshane():
    critic = critic_with_any_weights(0, 2)
    with torch.no_grad():
        critic.weight.copy_(torch.eye(32)[31])
        critic.offsets[:16] = -1e3  # these cones are open upwards
    x = torch.randn(100, 2, dtype=torch.float64)
    cones = critic.offsets[16:] - torch.cdist(x, critic.points[16:])
    # Tips are rounded off by at most √ε, 0.0032 here.
    torch.testing.assert_close(critic(x), cones.amax(1), rtol=0, atol=4e-3)


def test_a_critic_of_two_combs_finds_their_distance():
    # Each tooth of one comb lies between two of the other: the best critic turns between slopes 1 and −1 seven times.
    torch.manual_seed(0)
    critic, tooth = DistanceCritic(1, n_points=32), 0.3
    x, y = 2 * tooth * torch.arange(-2, 2.0)[:, None], tooth * (2 * torch.arange(-2, 2.0)[:, None] + 1)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(500):
        optimizer.zero_grad()
        (critic(y).mean() - critic(x).mean()).backward()
        optimizer.step()
    assert 0.8 * tooth < critic(x).mean() - critic(y).mean() <= tooth


def test_points_and_labels_are_inputs():
    critic = DistanceCritic(3, n_classes=2, n_points=4)
    assert critic(torch.randn(5, 5)).shape == (5,)
    assert critic.points.shape == (4, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"n_points": 5}, "n_points must be even, .* got 5"), ({"n_outputs": 3}, "the game needs 3 outputs")],
)
def test_unusable_shapes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DistanceCritic(2, **arguments)

"""f-divergences: every row of the table against its definition, for a distribution on three points; parallel lines."""

import math

import pytest
import torch

from sklearn_ot.objectives import fgan

# Rows of a sample with the exact shares p = (.2, .3, .5) and q = (.6, .3, .1) of three points.
P, Q = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 2, 2]), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
p, q = (torch.bincount(index).double() / 10 for index in (P, Q))
# Σ q f(p/q) by hand.
EXPECTED = {
    "kl": (p * (p / q).log()).sum(),
    "reverse-kl": (q * (q / p).log()).sum(),
    "pearson": ((p - q) ** 2 / q).sum(),
    "squared-hellinger": ((p.sqrt() - q.sqrt()) ** 2).sum(),
    "jensen-shannon": (p * (2 * p / (p + q)).log() + q * (2 * q / (p + q)).log()).sum(),
    "gan": (p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum(),
}

every_divergence = pytest.mark.parametrize("name", sorted(fgan.DIVERGENCES))


def slope(function, u):
    u = u.clone().requires_grad_()
    (derivative,) = torch.autograd.grad(function(u).sum(), u)
    return derivative


def best_critic(name):
    values = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        loss = -fgan.variational_bound(name, values[P], values[Q])
        loss.backward()
        return loss

    optimizer.step(loss)
    return values.detach()


@every_divergence
def test_the_divergence_is_that_of_f(name):
    f = fgan.DIVERGENCES[name].f
    torch.testing.assert_close((q * f(p / q)).sum(), EXPECTED[name])


@every_divergence
def test_the_conjugate_is_that_of_f(name):
    """At t = f'(u) the supremum of ut − f(u) is reached at u, and nowhere else is it larger."""
    row = fgan.DIVERGENCES[name]
    u = torch.tensor([0.1, 0.7, 1.0, 2.5], dtype=torch.float64)
    t = slope(row.f, u)
    torch.testing.assert_close(row.conjugate(t), u * t - row.f(u))
    others = torch.linspace(1e-3, 10, 1000, dtype=torch.float64)
    assert (others * t[:, None] - row.f(others) <= row.conjugate(t)[:, None] + 1e-12).all()


@every_divergence
def test_the_threshold_is_the_slope_at_a_ratio_of_one(name):
    row = fgan.DIVERGENCES[name]
    assert slope(row.f, torch.ones(1, dtype=torch.float64)).item() == pytest.approx(row.threshold)


@every_divergence
def test_the_stable_conjugate_is_the_conjugate(name):
    row = fgan.DIVERGENCES[name]
    v = torch.linspace(-4, 4, 9, dtype=torch.float64)
    torch.testing.assert_close(row.conjugate_of_activation(v), row.conjugate(row.activation(v)))


@every_divergence
def test_the_best_critic_finds_the_divergence(name):
    values = best_critic(name)
    bound = fgan.variational_bound(name, values[P], values[Q])
    torch.testing.assert_close(bound, EXPECTED[name], rtol=1e-7, atol=1e-9)
    # It is f'(p/q), which the tolerance of the search leaves with half of the digits.
    row = fgan.DIVERGENCES[name]
    torch.testing.assert_close(row.activation(values), slope(row.f, p / q), rtol=1e-3, atol=1e-3)
    # So it is below f'(1) if q is larger than p, and above it if p is larger.
    low, high = (row.activation(values)[[0, 2]] - row.threshold).tolist()
    assert low < 0 < high


@every_divergence
def test_no_critic_finds_more(name):
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        values = torch.randn(3, dtype=torch.float64, generator=generator)
        assert fgan.variational_bound(name, values[P], values[Q]) <= EXPECTED[name]


def test_losses_of_the_vanilla_game():
    """−log D and log(1 − D), the two losses of the generator, and the log-loss of the critic."""
    v = torch.tensor([-1.0, 0.5])
    d = v.sigmoid()

    def critic(x):
        return v

    expected = {
        "saturating": (1 - d).log().mean(),
        "non-saturating": -d.log().mean(),
        "linear": -(d / (1 - d)).log().mean(),
    }
    for name, value in expected.items():
        torch.testing.assert_close(fgan.generator_loss(critic, None, None, divergence="gan", loss=name), value)
    loss = fgan.critic_loss(critic, None, None, divergence="gan")
    torch.testing.assert_close(loss, -(d.log().mean() + (1 - d).log().mean()))


@every_divergence
def test_one_row_cannot_overflow_the_loss_of_the_critic(name):
    """It is minus the bound, with tangents for large values of both signs."""
    near = torch.linspace(-4, 4, 9, dtype=torch.float64)
    loss = fgan.critic_loss(lambda x: x, near, near, divergence=name)
    torch.testing.assert_close(loss, -fgan.variational_bound(name, near, near))
    far = torch.tensor([-300.0, 300.0], requires_grad=True)
    for real, fake in ((far, near.float()), (near.float(), far)):
        loss = fgan.critic_loss(lambda x: x, real, fake, divergence=name)
        (gradient,) = torch.autograd.grad(loss, far)
        # exp(5) = 148, and 300 / 2 + 1 for the square of Pearson's conjugate.
        assert gradient.abs().max() < 160


@every_divergence
def test_the_linear_loss_descends_on_a_divergence(name):
    """It moves samples to larger ratios p/q, with the same gradient for all values of the critic."""
    v = torch.tensor([-30.0, 0.0, 30.0], dtype=torch.float64, requires_grad=True)
    loss = fgan.generator_loss(lambda x: v, None, None, divergence=name, loss="linear")
    torch.testing.assert_close(torch.autograd.grad(loss, v)[0], torch.full((3,), -1 / 3, dtype=torch.float64))
    # V rises with p/q: by its logarithm, up to a factor and a constant, with all but Pearson's.
    values, ratios = best_critic(name)[[0, 2]], (p / q)[[0, 2]]
    factor = {"pearson": None, "squared-hellinger": 0.5}.get(name, 1.0)
    rise = (values[1] - values[0]).item()
    assert rise > 0
    if factor:
        assert rise == pytest.approx(factor * (ratios[1] / ratios[0]).log().item(), rel=1e-3)


@pytest.mark.parametrize("theta", [-0.5, 0.25])
def test_parallel_lines(theta):
    """On two parallel lines divergences have their largest value for every θ, and the generator gets no gradient."""
    y = torch.linspace(0, 1, 11)
    shift = torch.tensor(theta, requires_grad=True)
    real = torch.stack([torch.zeros(11), y], 1)
    fake = torch.stack([shift.expand(11), y], 1)

    def separating(x):
        # The best critic, up to its height: it separates the lines and is flat around each of them.
        return 30 - 60 * torch.sigmoid(2000 / theta * (x[:, 0] - theta / 2))

    bound = fgan.variational_bound("jensen-shannon", separating(real), separating(fake))
    assert bound.item() == pytest.approx(2 * math.log(2))
    loss = fgan.generator_loss(separating, real, fake, divergence="jensen-shannon", loss="saturating")
    assert torch.autograd.grad(loss, shift)[0].abs() < 1e-6
    # So is the total variation, E T(real) − E T(fake) with the best T between −½ and ½.
    assert (separating(real).clamp(-0.5, 0.5).mean() - separating(fake).clamp(-0.5, 0.5).mean()).item() == 1
    # The Kullback–Leibler divergence is infinite: its estimate grows with the height of the critic.
    found = [fgan.variational_bound("kl", c * separating(real), c * separating(fake)).item() for c in (1, 10, 100)]
    assert found == pytest.approx([30, 300, 3000], rel=1e-3)

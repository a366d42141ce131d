"""The objective of quadratic-cost critics."""

from itertools import permutations

import pytest
import torch

from sklearn_ot.objectives.qc import batch_transport, critic_loss, generator_loss, plan_regression, witness


class Table:
    """A critic given by its values and gradients at source rows, and its values at target rows."""

    def __init__(self, value, gradient, target_value=None):
        self.value, self.gradient, self.target_value = value, gradient, target_value

    def value_and_gradient(self, x):
        return self.value, self.gradient

    def __call__(self, y):
        return self.target_value


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(6, 3, dtype=torch.float64, generator=generator) for _ in range(2))


def test_batch_transport_against_all_permutations(rows):
    x, y = rows
    best = min((x - y[list(order)]).square().sum() for order in permutations(range(6)))
    images = batch_transport(x, y).images
    torch.testing.assert_close((x - images).square().sum(), best)
    assert sorted(images[:, 0].tolist()) == pytest.approx(sorted(y[:, 0].tolist()))


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_batch_transport_has_the_units_of_the_data(rows, scale):
    expected, scaled = batch_transport(*rows), batch_transport(scale * rows[0], scale * rows[1])
    for part, unit in zip(expected._fields, (scale**2, scale**2, scale), strict=True):
        torch.testing.assert_close(getattr(scaled, part) / unit, getattr(expected, part))


@pytest.mark.parametrize("n_target", [6, 4])
def test_batch_potentials_solve_the_dual(rows, n_target):
    """The potentials, and the first with its c-transform, have the value of the plan, with the ½ and for all sizes."""
    x, y = rows[0], rows[1][:n_target]
    potential, target_potential, images = batch_transport(x, y)
    costs = (x[:, None] - y).square().sum(2) / 2
    value = potential.mean() + (costs - potential[:, None]).amin(0).mean()
    # The identity E ½|x − y|² = ½E|x|² + ½E|y|² − E⟨x, ȳ(x)⟩ gives the cost of the plan from its means.
    cost = (x.square().sum(1).mean() + y.square().sum(1).mean()) / 2 - (x * images).sum(1).mean()
    torch.testing.assert_close(value, cost)
    torch.testing.assert_close(potential.mean() + target_potential.mean(), cost)
    assert (potential[:, None] + target_potential <= costs + 1e-12).all()
    assert potential.mean() == pytest.approx(0, abs=1e-12)


def test_zero_at_the_solution_and_up_to_a_constant(rows):
    x, y = rows
    potential, target_potential, images = batch_transport(x, y)
    critic = Table(potential + 3, x - images, 3 - target_potential)
    for at_target in (False, True):
        assert plan_regression(critic, x, y, reg=5.0, at_target=at_target) == pytest.approx(0, abs=1e-20)


def test_each_term(rows):
    """The values have errors of ±1, and the gradients an error of length 2."""
    x, y = rows
    potential, target_potential, images = batch_transport(x, y)
    signs = torch.tensor([1.0, -1.0] * 3, dtype=x.dtype)
    step = torch.tensor([2.0, 0, 0], dtype=x.dtype)
    assert plan_regression(Table(potential + signs, x - images), x, y, reg=5.0) == pytest.approx(1)
    assert plan_regression(Table(potential, x - images + step), x, y, reg=5.0) == pytest.approx(5 * 4)
    # Half of all values are too high by 2: by 1 from their mean.
    critic = Table(potential, x - images, 2 - target_potential)
    assert plan_regression(critic, x, y, reg=5.0, at_target=True) == pytest.approx(1)


def test_the_plan_is_a_constant(rows):
    """No gradient goes through the plan, and its tensors have the dtype of the batch."""
    x, y = (sample.float().requires_grad_() for sample in rows)
    for tensor in batch_transport(x, y):
        assert not tensor.requires_grad
        assert tensor.dtype == torch.float32


def test_the_plan_stays_within_classes():
    """The plan and the potential of each class are those of its rows alone."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(6, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    labels = torch.eye(3)[torch.tensor([0, 1, 0, 1, 1, 0])]  # and a class without rows
    whole = batch_transport(x, y, labels)
    for rows in ([0, 2, 5], [1, 3, 4]):
        torch.testing.assert_close(tuple(tensor[rows] for tensor in whole), tuple(batch_transport(x[rows], y[rows])))


def test_the_game_moves_samples_to_the_data(rows):
    """The gradient of the generator's loss moves its samples towards their images, at unit speed."""
    fake, real = rows
    potential, target_potential, images = batch_transport(fake, real)
    critic = Table(potential, fake - images, -target_potential)
    assert critic_loss(critic, real, fake, reg=1.0) == pytest.approx(0, abs=1e-20)
    moving = fake.clone().requires_grad_()
    loss = generator_loss(lambda x: ((x - fake) * (fake - images)).sum(1), real, moving)
    (gradient,) = torch.autograd.grad(loss, moving)
    torch.testing.assert_close(fake - len(fake) * gradient, images)
    torch.testing.assert_close(witness(moving, None, None), -moving)

"""Convex conjugates against closed forms."""

import torch

from sklearn_ot.nn import DenseICNN
from sklearn_ot.solvers.conjugate import CHECK_EVERY, convex_conjugate


def test_quadratic():
    """The conjugate of ½ x'Ax is ½ y'A⁻¹y, also for an A with a large condition number."""
    A = torch.diag(torch.tensor([1e-2, 1.0, 30.0], dtype=torch.float64))
    y = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def quadratic(x):
        return ((x @ A) * x).sum(1) / 2, x @ A

    conjugate = convex_conjugate(quadratic, y, torch.zeros_like(y), tol=1e-8, max_iter=2000)
    assert conjugate.residual.max() <= 1e-8
    expected = y @ torch.linalg.inv(A)
    # The residual over the smallest eigenvalue bounds the error.
    torch.testing.assert_close(conjugate.argmax, expected, rtol=0, atol=1e-8 / 1e-2)
    torch.testing.assert_close(conjugate.value, (expected * y).sum(1) / 2, rtol=1e-9, atol=1e-9)


def test_gradients_of_a_network_and_its_conjugate_are_inverse():
    torch.manual_seed(0)
    network = DenseICNN(4, (32, 32), strong_convexity=0.1).double()
    with torch.no_grad():
        network.inner[-1].uniform_(0, 0.2)
    x = torch.randn(100, 4, dtype=torch.float64)
    with torch.no_grad():
        y = network.gradient(x)
    conjugate = convex_conjugate(network.value_and_gradient, y, y, tol=1e-8, max_iter=1000)
    torch.testing.assert_close(conjugate.argmax, x, rtol=0, atol=1e-8 / 0.1)
    # Fenchel: equality at the argmax, inequality elsewhere.
    torch.testing.assert_close(conjugate.value, (x * y).sum(1) - network(x), rtol=1e-9, atol=1e-9)
    other = x.roll(1, 0)
    assert bool((conjugate.value >= (other * y).sum(1) - network(other) - 1e-9).all())


def test_no_row_ends_worse_than_it_started():
    """No row is worse than at the start after any number of steps, also if full gradient steps are far too large."""

    def steep(x):
        return 50 * x.square().square().sum(1), 200 * x**3

    y, start = torch.ones(8, 2), torch.linspace(-2, 2, 16).reshape(8, 2)
    values = [-(steep(start)[0] - (start * y).sum(1))]
    values += [convex_conjugate(steep, y, start, tol=0.0, max_iter=n).value for n in range(1, 40)]
    gains = torch.stack(values).diff(dim=0)
    # A value may only be worse by rounding.
    assert gains.min() >= -1e-5 * values[0].abs().max()


def test_every_row_costs_the_steps_it_needs():
    """Rows leave the search at the next check after they have converged."""
    seen = []

    def stretched(x):
        seen.append(len(x))
        curvature = torch.tensor([1.0, 1.0, 100.0])
        return (curvature * x.square()).sum(1) / 2, curvature * x

    y = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [1.0, 2.0, 3.0]])
    search = convex_conjugate(stretched, y, torch.zeros_like(y), tol=1e-5)
    assert seen[:1] == [3]  # the first row starts at its solution,
    assert seen[1 : 1 + CHECK_EVERY] == [2] * CHECK_EVERY  # the second is solved by one step,
    assert set(seen[1 + CHECK_EVERY :]) == {1}  # the third needs more than one round.
    assert search.n_iter == len(seen) - 1
    torch.testing.assert_close(search.argmax, y / torch.tensor([1.0, 1.0, 100.0]), atol=1e-5, rtol=0)
    assert convex_conjugate(stretched, y[:1], y[:1]).n_iter == 0


def test_a_tolerance_for_each_row():
    def stretched(x):
        curvature = torch.tensor([1.0, 7.0, 50.0])
        return (curvature * x.square()).sum(1) / 2, curvature * x

    y, tol = torch.tensor([[1.0, 2.0, 3.0]]).repeat(2, 1), torch.tensor([0.5, 1e-5])
    residual = convex_conjugate(stretched, y, torch.zeros_like(y), tol=tol).residual
    assert (residual <= tol).all()
    assert residual[0] > 1e-5


def test_the_search_knows_curvatures_of_different_directions():
    """Gradient descent with the step sizes of Barzilai and Borwein takes 104 steps here."""
    A = torch.diag(torch.tensor([1.0, 5.0, 30.0, 100.0], dtype=torch.float64))
    y = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    search = convex_conjugate(lambda x: (((x @ A) * x).sum(1) / 2, x @ A), y, torch.zeros_like(y), tol=1e-6)
    assert search.residual.max() <= 1e-6
    assert search.n_iter <= 60


def test_a_move_beyond_the_floats_is_forgotten():
    """The first move has the length of the residual, here 8e14, at which the value is infinite."""
    y, start = torch.ones(4, 2), torch.full((4, 2), 1e2)

    def steep(x):
        return x.pow(8).sum(1), 8 * x.pow(7)

    conjugate = convex_conjugate(steep, y, start, tol=1e-3, max_iter=300)
    torch.testing.assert_close(conjugate.argmax, torch.full_like(y, 8 ** (-1 / 7)), rtol=0, atol=1e-3)


def test_a_rest_is_part_of_the_function():
    """Half of the square is given as a rest, in which each row has its own factor."""
    y, factors = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([[1.0, 4.0]])

    def rest(x, y):
        scale = 1 + y.square().sum(1)
        return scale * x.square().sum(1) / 2, scale[:, None] * x

    conjugate = convex_conjugate(
        lambda x: ((factors * x.square()).sum(1) / 2, factors * x), y, torch.zeros_like(y), tol=1e-6, rest=rest
    )
    expected = y / (factors + 1 + y.square().sum(1, keepdim=True))
    torch.testing.assert_close(conjugate.argmax, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(conjugate.value, (expected * y).sum(1) / 2, rtol=1e-5, atol=1e-6)

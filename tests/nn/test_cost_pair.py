"""CostPair: its rest, its map, and its parts add up to the cost between rows."""

import numpy as np
import pytest
import torch

from sklearn_ot.nn import ConvexPair, CostPair, DenseICNN, HalfSquare
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.costs import EuclideanPower
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.metric import StepMetric
from sklearn_ot.solvers.samples import Sample

POWERS = pytest.mark.parametrize("p", [1.1, 1.5, 2, 3, 8])


def fitted(p, *, shift=None, constant=False, radius=100.0):
    """Rows of both samples, the narrow one first, their coordinates, and a pair in float64."""
    rng = np.random.RandomState(0)
    X = 3 * rng.randn(2000, 3) @ rng.randn(3, 3)
    Y = rng.randn(2000, 3) + (np.array([4.0, -2, 5]) if shift is None else shift)
    if constant:
        X[:, 1], Y[:, 1] = 1.0, 3.0
    metric = StepMetric.between(Sample.of(X), Sample.of(Y), p, None, rng)
    rows = metric.ordered(X, Y)
    moved = [metric.to_coordinates(part) for part in rows]
    coordinates = BalancedCoordinates.balance(sample_gaussian_map(*map(Sample.of, moved)))
    coordinates = coordinates.focus(*moved)
    u = coordinates.within(coordinates.of_source(moved[0]))
    v = coordinates.within(coordinates.of_target(moved[1]))
    network = (DenseICNN, {"n_features": u.shape[1], "hidden_layer_sizes": (8,)})
    torch.manual_seed(0)
    pair = CostPair(
        network,
        (HalfSquare, {}),
        is_guess=True,
        cost=EuclideanPower(p),
        geometry=metric.geometry(coordinates, radius),
    ).double()
    return metric, coordinates, rows, torch.from_numpy(u[:500]), torch.from_numpy(v[:500]), pair


@POWERS
@pytest.mark.parametrize("constant", [False, True])
def test_parts_and_rest_add_up_to_the_cost(p, constant):
    metric, _, (X, Y), u, v, pair = fitted(p, constant=constant)
    expected = np.linalg.norm((X[:500] - Y[:500]) / metric.unit, axis=1) ** p
    total = pair.source_part(u) + pair.target_part(v) - (u * v).sum(1) + pair.rest(u, v)[0]
    # The arrays of the pair were rounded to float32, and the parts are as large as the largest cost.
    torch.testing.assert_close(total / pair.unit, torch.from_numpy(expected), rtol=0, atol=1e-5 * expected.max())


@POWERS
def test_gradient_of_the_rest(p):
    *_, u, v, pair = fitted(p, radius=0.7)
    assert (u.norm(dim=1) > 0.7).any()
    u = u.requires_grad_()
    value, gradient = pair.rest(u, v)
    (expected,) = torch.autograd.grad(value.sum(), u)
    torch.testing.assert_close(gradient, expected)


def test_the_squared_cost_has_no_rest():
    *_, u, v, pair = fitted(2)
    value, gradient = pair.rest(u, v)
    torch.testing.assert_close(value, value.mean().expand_as(value), rtol=0, atol=1e-4)
    torch.testing.assert_close(gradient, torch.zeros_like(u), rtol=0, atol=1e-5)
    plain = ConvexPair.transport(pair, u)
    torch.testing.assert_close(pair.transport(u), plain, rtol=0, atol=1e-4)


@POWERS
@pytest.mark.parametrize("constant", [False, True])
def test_an_image_solves_the_first_order_condition(p, constant):
    """The gradient of ψ(u) + r(u, v) − ⟨u, v⟩ in u is 0 at the image v of u."""
    *_, u, _, pair = fitted(p, constant=constant)
    with torch.no_grad():
        pair.potential.inner[-1].uniform_(0, 0.05)
    v = pair.transport(u)
    assert (v - pair.potential.gradient(u)).abs().max() > (0 if p == 2 else 1e-2)
    residual = pair.potential.gradient(u) + pair.rest(u, v)[1] - v
    # For p = 1.1 a step is the tenth power of a slope, whose rounding error grows by this factor.
    torch.testing.assert_close(residual, torch.zeros_like(u), rtol=0, atol=1e-3)


def test_beyond_the_ball_the_objective_is_bounded_below():
    """For p < 2 the cost grows less than its quadratic part, whose negative is in the rest."""
    *_, u, v, pair = fitted(1.2, radius=4.0)
    far = 1e4 * torch.nn.functional.normalize(u, dim=1)
    value, _ = pair.rest(far, v)
    assert (value + far.square().sum(1) / 2 > 1e6).all()


@pytest.mark.parametrize("p", [1.5, 3])
def test_the_rest_has_no_mean_slope_at_the_steps_of_the_start(p):
    """At the start v = u, and the mean gradient of r is 0, up to that of the rows."""
    *_, u, _, pair = fitted(p)
    _, gradient = pair.rest(u, u)
    assert gradient.mean(0).norm() < 0.1 * pair.unit * (pair.slope @ pair.source.T).norm()

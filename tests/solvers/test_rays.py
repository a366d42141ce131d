"""The map along the rays of a potential."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_ot.nn import MLP, RayDistributions
from sklearn_ot.solvers.potentials import FrozenModule
from sklearn_ot.solvers.rays import RayTransport


class Falling(torch.nn.Module):
    """The potential -⟨a, z⟩."""

    gradient, value_and_gradient = MLP.gradient, MLP.value_and_gradient

    def __init__(self, *axis):
        super().__init__()
        self.axis = torch.nn.Parameter(torch.tensor(axis))

    def forward(self, z):
        return -z @ self.axis


def transport(axis, quantiles, n_bins=64, **options):
    """Rays along an axis, where both samples have the same distributions on each of them."""
    d, levels = len(axis), np.linspace(0, 1, 401)
    # u falls along the axis.
    source, target = (-np.sort(quantile(levels))[::-1] for quantile in quantiles)
    edges = np.unique(np.quantile(np.concatenate([source, target]), np.linspace(0, 1, n_bins + 1)))
    probabilities = [np.diff(np.interp(edges, side, levels)) + 1e-9 for side in (source, target)]
    network = (MLP, {"n_features": 2 * d, "hidden_layer_sizes": (4,), "n_outputs": 2 * (len(edges) - 1)})
    rays = RayDistributions(network, edges.tolist(), [(p / p.sum()).tolist() for p in probabilities])
    box = np.array([[-9.0] * d, [9.0] * d])
    arguments = {"centre": np.zeros(d), "scale": 1.0, "limits": box, "level": 0.0, "reach": 0.1, **options}
    return RayTransport(network=FrozenModule(Falling(*axis)), rays=FrozenModule(rays), **arguments)


def test_on_a_line_it_is_the_quantile_map():
    """From the uniform distribution to that of the square root, which is T."""
    fitted = transport([1.0], (lambda p: p, np.sqrt))
    x = np.linspace(0.01, 0.99, 50)[:, None]
    # A bin has a share of 1/64 of both samples.
    np.testing.assert_allclose(fitted.transport(x), np.sqrt(x), atol=0.01)
    np.testing.assert_allclose(fitted.inverse(np.sqrt(x)), x, atol=0.01)
    np.testing.assert_allclose(fitted.potential(x), -x[:, 0], atol=1e-12)


def test_rows_move_along_the_ray_and_never_upwards():
    axis = np.array([0.6, 0.8])
    fitted = transport(axis.tolist(), (lambda p: p, np.sqrt))
    X = np.random.RandomState(0).uniform(-3, 3, (200, 2))
    for images, sign in ((fitted.transport(X), 1), (fitted.inverse(X), -1)):
        steps = sign * (images - X)
        assert (steps @ axis > -1e-9).all()
        assert np.abs(steps @ [-0.8, 0.6]).max() < 1e-6
    # If mass should move upwards, it stays: a plan of the other direction is not one of this potential.
    back = transport(axis.tolist(), (np.sqrt, lambda p: p))
    np.testing.assert_allclose(back.transport(X), X, atol=1e-6)


def test_labels_are_constant_on_a_ray():
    axis = np.array([0.6, 0.8])
    fitted = transport(axis.tolist(), (lambda p: p, np.sqrt), level=0.5)
    X = np.random.RandomState(0).randn(50, 2)
    places, farther = fitted.places(X, True), fitted.places(X + 0.7 * axis, False)
    np.testing.assert_allclose(farther[:, :-1], places[:, :-1], atol=1e-5)
    np.testing.assert_allclose(farther[:, -1], places[:, -1] - 0.7, atol=1e-5)
    np.testing.assert_allclose(places[:, -1], -X @ axis - 0.5, atol=1e-5)
    # Directions have the mean square 1, as the feet of rows of variance 1 have.
    np.testing.assert_allclose(np.mean(places[:, 2:4] ** 2, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("slope", [0.9, 1.1])
def test_labels_do_not_show_the_height_of_a_row_if_the_slope_is_wrong(slope):
    """With a slope of 0.9 or 1.1, where u should be 0 is wrong by a tenth of the height."""
    axis = np.array([0.6, 0.8])
    fitted = transport((slope * axis).tolist(), (lambda p: p, np.sqrt))
    X = np.random.RandomState(0).randn(50, 2)
    for is_source in (True, False):
        labels = fitted.places(X + 3 * axis, is_source)[:, :-1]
        np.testing.assert_allclose(labels, fitted.places(X, True)[:, :-1], atol=1e-5)
    # The label is of use: it has the place of the ray.
    across = X @ [-0.8, 0.6]
    np.testing.assert_allclose(labels[:, :2], np.outer(across, [-0.8, 0.6]), atol=1e-5)


def test_the_ray_of_a_row_at_a_kink_is_that_of_a_point_below_it():
    """For the potential -|z|, with a rounded kink, the direction in the kink is that of the rows around it."""

    class Rounded(Falling):
        def forward(self, z):
            distance = z.norm(dim=1)
            return -torch.where(distance < 0.2, distance**2 / 0.4 + 0.1, distance)

    straight = transport([1.0, 0.0], (lambda p: p, np.sqrt))
    places = replace(straight, network=FrozenModule(Rounded(1.0, 0.0)), reach=0.3, level=-2.0)
    X = np.array([[0.1, 0.0], [0.0, -0.02]])
    found = places.places(X, True)
    # The distances are those without rounding, u(z) + r.
    np.testing.assert_allclose(found[:, -1], [1.9, 1.98], atol=1e-6)
    np.testing.assert_allclose(found[:, 2:4] / np.sqrt(2), -X / np.linalg.norm(X, axis=1, keepdims=True), atol=1e-6)


def test_beyond_the_box_rows_have_the_step_of_its_border():
    fitted = transport([1.0], (lambda p: p, np.sqrt), limits=np.array([[0.25], [0.8]]))
    step = fitted.transport(np.array([[0.25]])) - 0.25
    np.testing.assert_allclose(fitted.transport(np.array([[-5.0]])), -5 + step)
    np.testing.assert_allclose(fitted.potential(np.array([[-5.0], [0.25]])), -0.25)


def test_units_and_pickles():
    unit = transport([1.0], (lambda p: p, np.sqrt))
    wide = transport([1.0], (lambda p: p, np.sqrt), scale=8.0, centre=np.array([3.0]))
    x = np.linspace(0.1, 0.9, 9)[:, None]
    np.testing.assert_allclose(wide.transport(3 + 8 * x), 3 + 8 * unit.transport(x), rtol=1e-12)
    np.testing.assert_allclose(wide.potential(3 + 8 * x), 8 * unit.potential(x), rtol=1e-12)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(wide)).transport(x), wide.transport(x))

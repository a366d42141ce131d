"""StepMetric: the mean curvature of a cost at the steps between two samples."""

import numpy as np
import pytest

from sklearn_ot.datasets import make_wp_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.metric import StepMetric
from sklearn_ot.solvers.samples import Sample


def metric_of(X, Y, p):
    return StepMetric.between(Sample.of(X), Sample.of(Y), p, None, np.random.RandomState(0))


@pytest.mark.parametrize("p", [1.5, 3, 8])
def test_equal_steps_have_the_curvature_of_their_direction(p):
    """The Hessian of ‖z‖ᵖ is p‖z‖ᵖ⁻² along the directions across z, and p − 1 times that along z."""
    X = np.random.RandomState(0).randn(500, 3)
    metric = metric_of(X, X + np.array([0.0, 300, 400]), p)
    values, axes = np.linalg.eigh(metric.curvature)
    values, axes = (values[::-1], axes[:, ::-1]) if p < 2 else (values, axes)
    np.testing.assert_allclose(values / values[0], [1, 1, p - 1], rtol=1e-9)
    np.testing.assert_allclose(np.abs(axes[:, 2]), [0, 0.6, 0.8], atol=1e-9)
    length = 500 / metric.unit
    np.testing.assert_allclose(values[0], p * length ** (p - 2), rtol=1e-9)
    np.testing.assert_allclose(metric.mean_step, np.array([0, -0.6, -0.8]) * length, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(metric.mean_slope, p * length ** (p - 2) * metric.mean_step, rtol=1e-9, atol=1e-9)


def test_the_squared_cost_has_the_identity():
    X, Y = np.random.RandomState(0).randn(2, 500, 3) @ np.diag([1.0, 2, 3])
    np.testing.assert_allclose(metric_of(X, Y, 2).root, np.eye(3), atol=1e-12)


def test_the_narrow_sample_is_the_first():
    X, Y = np.random.RandomState(0).randn(2, 500, 3)
    assert metric_of(X, Y / 2, 3).is_reversed
    assert not metric_of(X / 2, Y, 3).is_reversed
    assert metric_of(X, Y / 2, 3).ordered("source", "target") == ("target", "source")


@pytest.mark.parametrize("p", [1.5, 3])
def test_the_affine_map_of_the_metric_is_near_the_true_one(p):
    """The Gaussian map in the coordinates of the data is that of another cost."""
    pair = make_wp_pair(4, 20_000, p=p, random_state=0)
    true = pair.transport(pair.source)
    metric = metric_of(pair.source, pair.target, p)
    sides = [metric.to_coordinates(rows) for rows in (pair.source, pair.target)]
    images = metric.from_coordinates(sample_gaussian_map(*map(Sample.of, sides)).transport(sides[0]))
    plain = sample_gaussian_map(Sample.of(pair.source), Sample.of(pair.target)).transport(pair.source)
    assert l2_uvp(images, true) < l2_uvp(plain, true) / 4


@pytest.mark.parametrize("p", [1.1, 8])
def test_samples_without_steps_or_variance(p):
    X = np.random.RandomState(0).randn(500, 2)
    for Y, rows in ((X, X), (np.ones((5, 2)), np.ones((5, 2)))):
        metric = metric_of(rows, Y, p)
        np.testing.assert_allclose(metric.root, np.eye(2), atol=1e-6)
        np.testing.assert_allclose(metric.from_coordinates(metric.to_coordinates(rows)), rows, rtol=1e-12)

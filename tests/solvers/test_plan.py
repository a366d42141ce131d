"""Exact plans."""

import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from sklearn_ot.solvers import plan as plan_module
from sklearn_ot.solvers.plan import exact_plan


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    return rng.randn(60, 3), 2 * rng.randn(60, 3) + 1


def test_of_equal_weights_is_the_assignment_problem(samples):
    cost = cdist(*samples, "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    plan = exact_plan(*samples)
    np.testing.assert_array_equal(plan.partner, columns)
    assert plan.value == pytest.approx(cost[rows, columns].mean())
    torch.testing.assert_close(plan.images(torch.from_numpy(samples[1])), torch.from_numpy(samples[1][columns]))


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "cityblock", 3.0])
def test_with_weights_it_is_feasible_and_its_potentials_prove_it_optimal(samples, cost):
    x, y = samples[0], samples[1][:40]
    a, b = (np.random.RandomState(1).rand(len(rows)) + 0.1 for rows in (x, y))
    a, b = a / a.sum(), b / b.sum()
    costs = (
        cdist(x, y, "cityblock")
        if cost == "cityblock"
        else cdist(x, y) ** {"sqeuclidean": 2, "euclidean": 1}.get(cost, cost)
    )
    plan = exact_plan(x, torch.from_numpy(y), a, b, cost)
    coupling = plan.coupling.numpy()
    np.testing.assert_allclose(coupling.sum(1), a, atol=1e-15)
    np.testing.assert_allclose(coupling.sum(0), b, atol=1e-15)
    assert plan.value == pytest.approx((coupling * costs).sum())
    # The simplex treats reduced costs below 1e-10 of the largest cost as 0.
    assert (plan.potential[:, None] + plan.target_potential <= torch.from_numpy(costs) + 1e-9 * costs.max()).all()
    assert float(a @ plan.potential.numpy() + b @ plan.target_potential.numpy()) == pytest.approx(plan.value)
    assert plan.potential.mean() == pytest.approx(0, abs=1e-12)
    images = coupling @ y / a[:, None]
    torch.testing.assert_close(plan.images(torch.from_numpy(y).float()), torch.from_numpy(images).float())


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_change_nothing(samples, scale):
    plan, scaled = exact_plan(*samples), exact_plan(*(scale * sample for sample in samples))
    assert torch.equal(scaled.partner, plan.partner)
    assert scaled.value / scale**2 == pytest.approx(plan.value)
    torch.testing.assert_close(scaled.potential / scale**2, plan.potential)


def test_an_offset_costs_no_digits_and_a_matrix_product_is_as_good_without_one(samples):
    plan, moved = exact_plan(*samples), exact_plan(*(sample + 1e8 for sample in samples))
    # The rows themselves are rounded to 1e-8.
    assert moved.value == pytest.approx(plan.value, rel=1e-6)
    assert exact_plan(*samples, by_product=True).value == pytest.approx(plan.value, rel=1e-13)


def test_sorts_on_the_line():
    rng = np.random.RandomState(0)
    x, y = rng.randn(50, 1), rng.randn(50, 1)
    assert np.all(np.diff(y[exact_plan(x, y).partner, 0][np.argsort(x[:, 0])]) > 0)


def test_an_end_before_the_optimum_is_an_error(samples, monkeypatch):
    monkeypatch.setattr(plan_module, "MAX_PIVOTS", 3)
    with pytest.warns(UserWarning, match="numItermax"), pytest.raises(RuntimeError, match="60 and 60 rows"):
        exact_plan(*samples)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e200])
def test_a_plan_of_numbers_that_are_not_finite_is_nan(samples, number):
    """A training that diverges can then end with its own message."""
    x = samples[0].copy()
    x[3, 1] = number
    plan = exact_plan(x, samples[1])
    assert np.isnan(plan.value)
    assert all(part.isnan().all() for part in (plan.potential, plan.target_potential, plan.images(plan.coupling)))


def test_arrays_that_torch_does_not_take(samples):
    x, y, weight = *(np.asfortranarray(sample[::-1]) for sample in samples), np.full(60, 1 / 60)
    for array in (x, y, weight):
        array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = exact_plan(x, y, weight, weight[::-1])
        reverse = exact_plan(x[::-1], y[::-1])
    assert torch.equal(reverse.partner, exact_plan(*samples).partner)
    assert plan.value == pytest.approx(reverse.value)

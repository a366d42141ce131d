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


def far_pair(samples, distance):
    """The samples with one more row each, which are far away and near each other, and the squared length between."""
    x, y = (
        np.vstack([rows, [distance + step, distance, 0]]) for step, rows in zip((0.25, -0.25), samples, strict=True)
    )
    return (x, y), (x[-1] - y[-1]) @ (x[-1] - y[-1])


@pytest.mark.parametrize("distance", [1e5, 1e7, 1e12, 1e30])
def test_a_far_pair_does_not_change_the_plan_of_the_others(samples, distance):
    """The issue's example: costs of 1e14 left none of the digits of the others."""
    near = exact_plan(*samples)
    far_samples, step = far_pair(samples, distance)
    plan = exact_plan(*far_samples)
    assert plan.partner.tolist() == [*near.partner.tolist(), 60]
    assert plan.value == pytest.approx((60 * near.value + step) / 61, rel=1e-12)
    # The potentials prove it, up to the rounding of the largest.
    violation = plan.potential[:-1, None] + plan.target_potential[:-1] - torch.from_numpy(cdist(*samples) ** 2)
    assert violation.max() < 1e-15 * plan.potential.abs().max() + 1e-9


@pytest.mark.parametrize("cost", ["euclidean", "cityblock", 3.0])
def test_a_far_pair_with_other_costs(samples, cost):
    near = exact_plan(*samples, cost=cost).value
    # The step between the far rows is 1/2, and its power is the cost.
    far_samples, step = far_pair(samples, 1e7 if cost == 3 else 1e15)
    expected = (60 * near + step ** (3 / 2 if cost == 3 else 1 / 2)) / 61
    assert exact_plan(*far_samples, cost=cost).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("distance", [1e7, 1e12])
def test_clusters_at_two_scales_with_other_numbers_of_rows(distance):
    """The shares of both clusters are equal, but their sums of weights are rounded."""
    rng = np.random.RandomState(0)
    x, y = rng.randn(80, 2), rng.randn(120, 2)
    # Steps of a power of two, so that the far rows are not rounded.
    x, y = (np.round(rows * 2**10) / 2**10 for rows in (x, y))
    expected = (exact_plan(x[:40], y[:60]).value + exact_plan(x[40:], y[60:]).value) / 2
    x[40:] += distance
    y[60:] += distance
    assert exact_plan(x, y).value == pytest.approx(expected, rel=1e-10)
    assert exact_plan(x, y).coupling[:40, 60:].max() == 0


def test_a_tiny_weight_far_away_counts(samples):
    x, y = np.vstack([samples[0], [[1e9, 0, 0]]]), samples[1]
    a = np.append(np.full(60, (1 - 1e-12) / 60), 1e-12)
    plan = exact_plan(x, y, a / a.sum(), np.full(60, 1 / 60))
    # All y that the row can be sent to are nearly as far, and the others move by their shortest plan.
    assert plan.value == pytest.approx(1e-12 * 1e18 + exact_plan(*samples).value, rel=1e-5)


def test_heavy_tails_agree_with_the_assignment_problem():
    rng = np.random.RandomState(0)
    x, y = (np.exp(rng.uniform(0, 25, (150, 1))) * rng.randn(150, 2) for _ in range(2))
    costs = cdist(x, y)
    rows, columns = linear_sum_assignment(costs)
    assert exact_plan(x, y, cost="euclidean").value == pytest.approx(costs[rows, columns].mean(), rel=1e-9)


def test_equal_rows_have_a_plan_of_cost_zero(samples):
    x = np.repeat(samples[0], 3, axis=0)
    x[0] = 1e9
    assert exact_plan(x, x[::-1]).value == 0
    # A matrix product has rounding errors, which no plan can be better than.
    assert exact_plan(x[3:], x[:2:-1], by_product=True).value == pytest.approx(0, abs=1e-13)


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

"""Confidence bounds of the squared cost."""

import numpy as np
import pytest

from sklearn_ot.solvers.gap import Side, cost_bounds, sample_gap, upper_error
from sklearn_ot.solvers.plan import exact_plan


def sides(n, m, seed, scale=1.5, shift=2.0, error=0.0, n_features=2):
    """Rows of N(0, I) and of its image, with potentials of a map that is wrong by a shift."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, n_features)), scale * rng.normal(size=(m, n_features)) + shift
    wrong = shift + error
    f = np.sum(x**2, axis=1) - np.sum(scale * x**2 + 2 * wrong * x, axis=1)
    g = np.sum(y**2, axis=1) - np.sum((y - wrong) ** 2, axis=1) / scale
    return Side(x, np.full(n, 1 / n), f), Side(y, np.full(m, 1 / m), g)


def test_the_numbers_are_those_of_the_formula():
    """With all rows in the plan: the dual value, and the cost of the plan, with their standard errors."""
    x, y = sides(200, 200, 0)
    bounds = cost_bounds(x, y, 0.5)  # the quantile is 0, and the correction for skewness small
    dual, plan = x.values.mean() + y.values.mean(), exact_plan(x.rows, y.rows)
    assert bounds.value == pytest.approx(dual)
    assert bounds.low == pytest.approx(dual, rel=1e-2)
    assert bounds.high == pytest.approx(bounds.plan_value, rel=1e-2)
    assert bounds.high == pytest.approx(plan.value, rel=1e-2)
    assert bounds.excess == pytest.approx(plan.value - dual, rel=0.05)
    assert bounds.excess == pytest.approx(sample_gap(x, y), rel=0.05)
    wide = cost_bounds(x, y, 0.975)
    error = np.sqrt((x.values.var(ddof=1) + y.values.var(ddof=1)) / 200)
    # Student's quantile is 1.97, and Hall's correction for skewness is added to one of the ends.
    assert 1.96 < (bounds.low - wide.low) / error < 2.3
    error = np.sqrt((plan.potential.var() + plan.target_potential.var()).item() / 200)
    assert 1.9 < (wide.high - bounds.high) / error < 2.3


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_bounds_hold_as_often_as_they_should(error):
    """100 repetitions with a confidence of 0.9 each; a wrong potential makes them wider and no less true."""
    # W2² = d ((scale - 1)² + shift²), and the excess of a wrong shift is d error² / scale.
    truth, excess = 2 * (0.25 + 4.0), 2 * error**2 / 1.5
    found = [cost_bounds(*sides(200, 150, seed, error=error), 0.9) for seed in range(100)]
    # The standard error of a share of 0.9 is 0.03.
    assert np.mean([bounds.low <= truth for bounds in found]) > 0.82
    assert np.mean([bounds.high >= truth for bounds in found]) > 0.82
    assert np.mean([bounds.excess >= excess for bounds in found]) > 0.82
    if error:
        assert np.mean([bounds.low for bounds in found]) < truth - excess
    else:
        assert 0.82 < np.mean([bounds.low <= truth for bounds in found]) < 0.97


def test_points_of_a_discrete_target_have_no_sampling_error():
    x, y = sides(300, 20, 0)
    sample, points = (cost_bounds(x, y._replace(is_sample=flag), 0.95, plan_size=10) for flag in (True, False))
    assert points.value == sample.value
    assert points.low > sample.low


def test_the_part_in_the_plan_is_a_control_variate():
    """The error of the upper bound is that of all rows, although the plan has a tenth of them."""
    few, many = (cost_bounds(*sides(n, n, 3), 0.975, 200) for n in (200, 2000))
    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_skewed_terms_widen_the_end_that_they_are_likely_to_miss():
    """The mean of 200 log-normal variables: Student's interval misses on the upper side too often."""
    rng, truth, misses = np.random.default_rng(0), np.exp(0.5), {True: 0, False: 0}
    for _ in range(400):
        values = np.exp(rng.normal(size=200))
        side = Side(values[:, None], np.full(200, 1 / 200), values)
        variance, third = side.moments(side.mass * (values - values.mean()))
        for corrected in misses:
            error = upper_error(0.95, 200, variance, third if corrected else 0.0)
            misses[corrected] += values.mean() + error < truth
    assert misses[True] < 0.8 * misses[False]
    assert upper_error(0.95, 200, variance, -third) == upper_error(0.95, 200, variance, 0.0)

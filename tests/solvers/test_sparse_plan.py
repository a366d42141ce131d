"""Plans on cheap pairs, against exact plans."""

import numpy as np
import pytest

from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.sparse_plan import sparse_plan


def potentials(x, y, scale, shift):
    """Those of the map x ↦ scale x + shift, for the squared cost."""
    f = np.sum(x**2, axis=1) - np.sum(scale * x**2 + 2 * shift * x, axis=1)
    return f, np.sum(y**2, axis=1) - np.sum((y - shift) ** 2, axis=1) / scale


@pytest.mark.parametrize("n_features", [1, 2, 16])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_with_good_potentials_the_plan_is_exact(n_features, is_weighted):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, n_features)), 1.5 * rng.normal(size=(300, n_features)) + 2
    a, b = (rng.random(len(rows)) + 0.1 if is_weighted else np.ones(len(rows)) for rows in (x, y))
    a, b = a / a.sum(), b / b.sum()
    f, g = potentials(x, y, 1.5, 2.0)
    plan = sparse_plan(x, y, a, b, f, g)
    exact = exact_plan(x, y, a, b)
    assert plan.value == pytest.approx(exact.value, rel=1e-3)
    assert plan.value >= exact.value * (1 - 1e-12)
    assert plan.value == pytest.approx(a @ plan.potential + b @ plan.target_potential)


def test_without_potentials_the_plan_is_one_and_not_far():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 2)) * [[[1.0]], [[2.0]]] + [[[0.0]], [[3.0]]]
    mass, none = np.full(500, 1 / 500), np.zeros(500)
    exact = exact_plan(x, y).value
    assert exact * (1 - 1e-12) <= sparse_plan(x, y, mass, mass, none, none).value < 1.1 * exact


def test_equal_rows_share_their_mass():
    """All neighbours of a row are equal here, and have too little mass."""
    x, y = np.repeat([[0.0], [1.0]], 300, axis=0), np.repeat([[0.0], [1.0], [5.0]], 200, axis=0)
    mass = np.full(600, 1 / 600)
    # Two thirds of the upper rows and no lower row go to 5: 200 of 1 → 5, 100 of 0 → 1.
    expected = (200 * 16 + 100) / 600
    assert sparse_plan(x, y, mass, mass, np.zeros(600), np.zeros(600)).value == pytest.approx(expected, rel=0.05)


def test_one_sample_against_itself():
    x = np.random.default_rng(0).normal(size=(200, 3))
    mass, none = np.full(200, 1 / 200), np.zeros(200)
    assert sparse_plan(x, x, mass, mass, none, none).value == pytest.approx(0, abs=1e-20)

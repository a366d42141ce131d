"""The average phase."""

import math
from dataclasses import replace

import pytest
import torch

from sklearn_ot.solvers import sources
from sklearn_ot.solvers.costs import read_cost
from sklearn_ot.solvers.semidiscrete._average import average
from sklearn_ot.solvers.semidiscrete._masses import read_weights
from sklearn_ot.solvers.semidiscrete._problem import Problem
from sklearn_ot.solvers.semidiscrete._soft import soft


@pytest.mark.parametrize(
    ("source", "n_features", "cost"),
    [("normal", 6, "sqeuclidean"), ("normal", 6, 1.5), ("uniform", 6, "sqeuclidean"), ("uniform", 300, "sqeuclidean")],
)
def test_the_error_is_as_expected_and_tests_are_due_once_it_is_small(source, n_features, cost):
    points = torch.randn(80, n_features)
    source, weights = sources.SOURCES[source](n_features), read_weights(None, points)
    problem = Problem(source, points, weights, read_cost(cost), tol=0.1, max_samples=60_000)
    first = soft(problem)
    states = list(average(problem, first))
    n_rows = [state.n_rows for state in states]
    assert n_rows == sorted(n_rows)
    assert n_rows[0] > first.n_rows
    # It ends with the first batch beyond the largest number of rows, after which no test is due.
    assert 60_000 <= n_rows[-1] < 60_000 + 4096
    assert states[-1].error == math.inf
    due = [state for state in states if state.error < math.inf]
    assert due
    assert all(state.error <= 0.1 for state in due)
    masses = problem.rows.masses(problem.rows.sample(200_000), states[-1].offsets)
    error = float((masses / weights - 1).square().mean().sqrt())
    # The tolerance is the last expected error, plus the noise of the test.
    assert error < 1.5 * due[-1].error + math.sqrt(80 / 200_000)


def test_no_test_is_due_at_the_last_state():
    """The solver tests the last state in any case: a test there would be a second one of the same masses."""
    points = torch.randn(80, 6)
    problem = Problem(sources.normal(6), points, read_weights(None, points), read_cost("sqeuclidean"), 0.1, 60_000)
    first = soft(problem)
    due = [state.n_rows for state in average(problem, first) if state.error < math.inf]
    # The numbers of rows do not depend on the draws: the same steps, which now end where a test was due.
    states = list(average(replace(problem, max_samples=due[1]), first))
    assert [state.n_rows for state in states if state.error < math.inf] == due[:1]
    assert (states[-1].n_rows, states[-1].error) == (due[1], math.inf)

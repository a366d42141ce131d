"""The table of the solvers."""

import pytest

from sklearn_ot.objectives.solvers import SOLVERS, Solver, solver_for
from sklearn_ot.solvers.newton import FEW_FEATURES


@pytest.mark.parametrize("name", SOLVERS)
def test_only_few_features_have_values_of_their_own(name):
    solver, of_many, of_few = SOLVERS[name], solver_for(name, FEW_FEATURES + 1), solver_for(name, FEW_FEATURES)
    assert of_many == solver
    changed = {field for field in Solver._fields if getattr(of_few, field) != getattr(solver, field)}
    assert changed == set(solver.in_few_features or {})


def test_with_few_features_the_dual_has_exact_searches():
    assert solver_for("dual", FEW_FEATURES).objective.keywords["newton_iter"] > 0

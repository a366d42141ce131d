"""Semi-discrete optimal transport: from a source one can sample to weighted points."""

from sklearn_ot.solvers.semidiscrete._dual import SemiDiscreteSolution, semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._interval import CostInterval, primal_dual_interval
from sklearn_ot.solvers.semidiscrete._scores import assign, assignment_cost, assignment_gap, soft_assign

__all__ = [
    "CostInterval",
    "SemiDiscreteSolution",
    "assign",
    "assignment_cost",
    "assignment_gap",
    "primal_dual_interval",
    "semidiscrete_dual",
    "soft_assign",
]

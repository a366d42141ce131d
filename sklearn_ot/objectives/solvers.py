"""The solvers of maps of the squared cost, and the table of their names."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor

from sklearn_ot.objectives.expectile import expectile
from sklearn_ot.objectives.minimax import minimax, minimax_v1
from sklearn_ot.objectives.w2 import exact_dual, w2gn
from sklearn_ot.solvers.newton import FEW_FEATURES


class Solver(NamedTuple):
    """A solver for the potentials of a map of the squared cost.

    A row of the table `SOLVERS` gives a solver a name: ``SOLVERS["mine"] = Solver(objective, ...)``.

    Attributes
    ----------
    objective : callable
        ``(pair, x, y, *, reg) -> loss``, which is minimised over a `sklearn_ot.nn.PotentialPair`.
    reg, learning_rate : float
        The values of "auto"; the step size is that of ψ with at most 16 features.
    relative_step : float
        The step size of ω, in multiples of that of ψ.
    exact_inverse : bool
        Whether the inverse map is computed by a search that starts at ∇ω. If not, the inverse map is ∇ω.
    needs_reg : bool, default=False
        Whether ``reg`` must be above 0.
    source_ratio : int, default=1
        Number of source rows in a batch for each target row.
    is_calibrated : bool, default=False
        Whether the objective takes weights of the rows, ``(pair, x, y, x_weight, y_weight, *, reg)``. They have sum 1,
        and weighted means of the batch are those of the whole sample.
    short_steps_from : int, default=None
        Number of rows from which small weights between hidden layers take short steps, see `sklearn_ot.nets.JointNet`.
    sharpness : float, default=1.0
        The sharpness of the layers of ψ at the start, see `sklearn_ot.nn.DenseICNN`.
    in_few_features : dict, default=None
        Attributes that have other values with at most 4 features, see `solver_for`; None if there are none.
    """

    objective: Callable[..., Tensor]
    reg: float
    learning_rate: float
    relative_step: float
    exact_inverse: bool
    needs_reg: bool = False
    source_ratio: int = 1
    is_calibrated: bool = False
    short_steps_from: int | None = None
    sharpness: float = 1.0
    in_few_features: dict[str, Any] | None = None


# A target row costs a search and a source row only one evaluation, so more source rows reduce the noise of a step at
# little cost. The step size is so large that noise would let hidden weights grow. With few rows training ends before
# that: with whole steps the error of one pair of 2000 rows in 8 dimensions was 3.6 %, with short ones 3.8 %.
SEARCHES = {"source_ratio": 4, "is_calibrated": True, "short_steps_from": 10_000}
# Targets in few dimensions are often clusters and thin curves. The map jumps between them, and within them it stretches
# by a hundredth, which only exact searches see, and which large steps of the weights would hide.
SHARP = {
    "objective": partial(exact_dual, tol=1e-3, max_iter=30, newton_iter=5),
    "learning_rate": 2e-2,
    "relative_step": 0.5,
    "sharpness": 3.0,
}
# The solvers by their names. Estimators accept every key of this table, also keys that are added later.
SOLVERS: dict[str, Solver] = {
    "dual": Solver(
        exact_dual,
        reg=0.0,
        learning_rate=5e-2,
        relative_step=0.1,
        exact_inverse=True,
        in_few_features=SHARP,
        **SEARCHES,
    ),
    "w2gn": Solver(w2gn, reg=3.0, learning_rate=2e-2, relative_step=1, exact_inverse=False, needs_reg=True),
    "minimax": Solver(minimax, reg=0.3, learning_rate=5e-3, relative_step=10, exact_inverse=False),
    "minimax-v1": Solver(minimax_v1, reg=0.0, learning_rate=5e-2, relative_step=0.1, exact_inverse=True, **SEARCHES),
    "expectile": Solver(expectile, reg=2.0, learning_rate=2e-2, relative_step=1, exact_inverse=False),
}


def solver_for(name: str, n_features: int) -> Solver:
    """The solver of a name, with the values of ``in_few_features`` if there are at most 4 features."""
    solver = SOLVERS[name]
    return solver._replace(**(solver.in_few_features or {})) if n_features <= FEW_FEATURES else solver


def check_reg(solver: str, reg: float | str) -> None:
    """Raise a ValueError if a solver needs a positive ``reg``, and it is 0."""
    if reg == 0 and solver in SOLVERS and SOLVERS[solver].needs_reg:
        raise ValueError(
            f'With reg=0, solver="{solver}" has no terms that train its second network: give a reg above 0 (and regs '
            "above 0 to W2TransportCV)."
        )

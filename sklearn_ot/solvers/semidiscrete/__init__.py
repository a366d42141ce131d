r"""Semi-discrete optimal transport: from a source that can be sampled to finitely many weighted points.

**The problem.** A potential ψ, one number for each of N points, divides space into cells: x lies in the cell of the
point that attains :math:`\min_i c(x, y_i) - \psi_i`, and is sent to it. The optimal ψ gives each cell the mass of its
point. It maximises the concave dual

.. math:: E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i , \qquad \text{with the gradient } \nu_i -
    P(\text{cell}_i) .

**The words.** A *score* is a number for each pair of a row and a point; the largest score of a row shows its cell. A
score is a function of x and :math:`y_i` plus the *offset* of the point, which is the potential in the solver's units.
The *gap* of a row is the difference between its two largest scores. The mean gap is the natural unit of offsets and
temperatures: if an offset changes by the mean gap, the mass of its cell changes by about its whole mass. The *error* is
the root mean square of the relative errors of the masses.

**The modules**, each of which imports only modules before it:

* ``_units``: coordinates that do not depend on the units and the origin of the data;
* ``_workers``: workers of joblib, which compute blocks of rows;
* ``_tiles``: scores of many rows, computed in tiles, with the cells and the gaps;
* ``_assignment``: the map of a potential;
* ``_module``: the same map as a torch module;
* ``_rows``: rows of the source in these units, with the masses of cells, counted or softened;
* ``_orthonormal``: rows of a normal source that fill space evenly, so that each counts as several independent rows
  (*effective rows*);
* ``_masses``: the test of the masses on fresh rows;
* ``_problem``: the problem of one fit, and the *state* between two phases: offsets, gap, error, number of rows;
* ``_line``: the exact solution for one feature;
* ``_soft``: the first phase, a function that makes a state of a problem;
* ``_newton``, ``_average``: the other phases, functions of a problem and a state that yield states;
* ``_log``: the average phase in the checkpoint of a fit;
* ``_dual``: the driver, which chooses the next phase and ends the fit;
* ``_interval``: an interval for the optimal cost.

**The phases.** *Soft* starts at the map between Gaussians and reduces the error to about a half, by steps of Sinkhorn's
algorithm with a falling temperature. *Newton* minimises the softened dual of growing pools of rows, in two and three
dimensions. *Average* takes natural gradient steps on new rows and averages their results, in any dimension. If a phase
expects the error of a state to be small enough, the masses are tested on fresh rows, and the fit ends if the test
confirms it.
"""

from sklearn_ot.solvers.semidiscrete._assignment import Cells, assign, assignment_cost, assignment_gap, soft_assign
from sklearn_ot.solvers.semidiscrete._dual import SemiDiscreteSolution, default_max_samples, semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._interval import CostInterval, primal_dual_interval
from sklearn_ot.solvers.semidiscrete._module import CellsMap

__all__ = [
    "Cells",
    "CellsMap",
    "CostInterval",
    "SemiDiscreteSolution",
    "assign",
    "assignment_cost",
    "assignment_gap",
    "default_max_samples",
    "primal_dual_interval",
    "semidiscrete_dual",
    "soft_assign",
]

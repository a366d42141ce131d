r"""Semi-discrete optimal transport: from a source that can be sampled to finitely many weighted points.

**The problem.** A potential ψ, one number for each of N points, divides space into cells: x lies in the cell of the
point that attains :math:`\min_i c(x, y_i) - \psi_i`, and is sent to it. The optimal ψ gives each cell the mass of its
point. It maximises the concave dual

.. math:: E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i , \qquad \text{with the gradient } \nu_i -
    P(\text{cell}_i) .

**The words.** The solver computes with *scores*: one number for each pair of a row and a point, of which the largest in
a row shows its cell. A score is a term of x and :math:`y_i` plus the *offset* of the point, which is the potential in
the solver's units. The *gap* of a row is the difference between its two best scores. The mean gap is the natural unit
of offsets and temperatures: if an offset changes by it, the mass of the cell changes by about all of it. The *error* is
the root mean square of the relative errors of the masses.

**The rooms**, each of which imports only those before it:

* ``_units``: the coordinates in which neither the units of the data nor their origin matter;
* ``_tiles``: scores of many rows, a tile of them at a time, with the cells and the gaps;
* ``_rows``: rows of the source in these units, with the masses of cells, counted or softened;
* ``_orthonormal``: rows of a normal source that fill space evenly, so that one has the effect of many independent ones
  (*effective rows*);
* ``_masses``: the test of the masses on fresh rows;
* ``_problem``: all of this for one fit, and the *state* that a phase hands on: offsets, gap, error, rows used;
* ``_line``: one dimension, solved exactly;
* ``_soft``, ``_newton``, ``_average``: the phases, functions of a problem and a state that yield states;
* ``_dual``: the driver, which decides which phase comes next and when the result is good enough;
* ``_assignment`` and ``_interval``: the map of a potential, and an interval for the optimal cost.

**The phases.** *Soft* goes from a bad start to an error of about a half, by steps of Sinkhorn's algorithm at a falling
temperature; it begins at the map between Gaussians. *Newton*, in two and three dimensions, minimises the softened dual
of growing pools of rows. *Average* takes natural gradient steps on new rows and averages them, in any dimension. After
each state that a phase believes to be good enough the masses are tested on fresh rows, and the fit ends if the test
agrees.
"""

from sklearn_ot.solvers.semidiscrete._assignment import assign, assignment_cost, assignment_gap, soft_assign
from sklearn_ot.solvers.semidiscrete._dual import SemiDiscreteSolution, default_max_samples, semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._interval import CostInterval, primal_dual_interval

__all__ = [
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

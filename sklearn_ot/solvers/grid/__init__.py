"""Wasserstein-1 in few dimensions: the dual on a grid, the distance, and the map along rays."""

from sklearn_ot.solvers.grid._flow import GridPotential, GridTransport
from sklearn_ot.solvers.grid._flux import gradient, mass_moved, outflow, solve
from sklearn_ot.solvers.grid._lattice import Lattice
from sklearn_ot.solvers.grid._levels import MAX_AXES, solve_on_grid
from sklearn_ot.solvers.grid._line import LineTransport

__all__ = [
    "MAX_AXES",
    "GridPotential",
    "GridTransport",
    "Lattice",
    "LineTransport",
    "gradient",
    "mass_moved",
    "outflow",
    "solve",
    "solve_on_grid",
]

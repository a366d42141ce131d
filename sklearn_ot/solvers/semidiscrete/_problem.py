"""The problem that the phases of a fit solve, and the state that each phase passes to the next."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete._masses import MassTest
from sklearn_ot.solvers.semidiscrete._orthonormal import OrthonormalRows
from sklearn_ot.solvers.semidiscrete._rows import ScoredRows
from sklearn_ot.solvers.semidiscrete._units import Units, location, normal_location
from sklearn_ot.solvers.sources import Source

# Up to this number of features there is Newton's method, and quasi-random rows are more even than orthonormal rows.
MAX_NEWTON_FEATURES = 3
# Number of rows for the location and the covariance of a source, which then have an error of a per cent or two.
LOCATION_ROWS = 4096
# Smallest gap and temperature, in units of the scores, for rows whose scores are all equal.
TINY = 1e-12


class State(NamedTuple):
    """The state of a fit.

    Attributes
    ----------
    offsets : Tensor of shape (N,)
        The offsets, float64.
    gap : Tensor of shape ()
        Estimate of the mean gap.
    error : float
        The error of the masses, measured or expected by the phase; infinite if no test is due.
    n_rows : int
        Number of source rows so far, without those of tests.
    """

    offsets: Tensor
    gap: Tensor
    error: float
    n_rows: int


class Problem:
    """A source, points and weights, in the units of the solver; the arguments are those of `semidiscrete_dual`.

    Attributes
    ----------
    rows : ScoredRows
        Rows of the source and their scores, in float32 at first.
    mass_test : MassTest
        The test of the masses.
    """

    def __init__(self, source: Source, points: Tensor, weights: Tensor, cost: Cost, tol: float, max_samples: int):
        self.source, self.points, self.weights, self.cost = source, points, weights, cost
        self.tol, self.max_samples = tol, max_samples
        self.mass_test = MassTest(weights, tol)
        is_known = source.is_normal and not self.has_few_features
        self.location = normal_location(points) if is_known else location(source.sample(LOCATION_ROWS))
        self.rows = self.rows_in(torch.float32)

    @property
    def has_few_features(self) -> bool:
        """Whether there are few enough features for Newton's method."""
        return self.points.shape[1] <= MAX_NEWTON_FEATURES

    def rows_in(self, dtype: torch.dtype) -> ScoredRows:
        """Rows of the source, with scores in this dtype."""
        units = Units(self.points, self.cost, self.location, dtype)
        is_orthonormal = self.source.is_normal and self.cost.is_squared and not self.has_few_features
        return (OrthonormalRows if is_orthonormal else ScoredRows)(self.source, units)

    def expected_error(self, n_effective: float) -> float:
        """The error of masses counted on ``n_effective`` independent rows."""
        return math.sqrt(self.mass_test.rarity / n_effective) if n_effective else math.inf

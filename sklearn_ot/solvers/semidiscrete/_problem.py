"""The problem that the phases of a fit solve, and the state that each phase passes to the next."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete._masses import MassTest
from sklearn_ot.solvers.semidiscrete._orthonormal import OrthonormalRows
from sklearn_ot.solvers.semidiscrete._rows import ScoredRows
from sklearn_ot.solvers.semidiscrete._units import Location, Units, location, normal_location
from sklearn_ot.solvers.semidiscrete._workers import Workers
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


@dataclass(eq=False)
class Problem:
    """A source, points and weights, in the units of the solver.

    Parameters
    ----------
    source, points, weights, cost, tol, max_samples
        See `semidiscrete_dual`.
    location : Location, default=None
        The location of the source; that of a sample of it if None.
    dtype : torch.dtype, default=torch.float32
        Dtype of the scores.
    workers : Workers, default=None
        Workers that count masses; none if None.

    Attributes
    ----------
    rows : ScoredRows
        Rows of the source and their scores.
    mass_test : MassTest
        The test of the masses.
    """

    source: Source
    points: Tensor
    weights: Tensor
    cost: Cost
    tol: float
    max_samples: int
    location: Location | None = None
    dtype: torch.dtype = torch.float32
    workers: Workers | None = None

    def __post_init__(self):
        self.mass_test = MassTest(self.weights, self.tol)
        is_known = self.source.is_normal and not self.has_few_features
        if self.location is None:
            sample = self.source.sample
            self.location = normal_location(self.points) if is_known else location(sample(LOCATION_ROWS))
        units = Units(self.points, self.cost, self.location, self.dtype)
        is_orthonormal = is_known and self.cost.is_squared
        self.rows = (OrthonormalRows if is_orthonormal else ScoredRows)(self.source, units, self.workers)

    @property
    def has_few_features(self) -> bool:
        """Whether there are few enough features for Newton's method."""
        return self.points.shape[1] <= MAX_NEWTON_FEATURES

    def expected_error(self, n_effective: float) -> float:
        """The error of masses counted on ``n_effective`` independent rows."""
        return math.sqrt(self.mass_test.rarity / n_effective) if n_effective else math.inf

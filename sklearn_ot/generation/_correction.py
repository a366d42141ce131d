"""The correction of samples, by which they have the mean and the covariance of the rows."""

from typing import NamedTuple

import numpy as np

from sklearn_ot.nn import WithinLimits
from sklearn_ot.plain import stored
from sklearn_ot.solvers.gaussian import GaussianMap, sample_gaussian_map
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants
from sklearn_ot.solvers.units import UnitCoordinates

# Number of samples whose mean and covariance are compared with those of the rows.
N_CORRECTION_ROWS = 20_000
# Deviations at which numbers are cut off for this comparison, so that far cells do not decide the correlations.
CORRECTION_REACH = 3.0


@stored
class Correction(NamedTuple):
    """The Gaussian map from samples to points within limits; beyond them, the displacement is that at the limits.

    The limits are three deviations of each column, after far cells have been moved nearer: a few far numbers decide
    neither the map nor, where the map stretches them, the spread of the samples.
    """

    gaussian: GaussianMap
    limits: np.ndarray

    @classmethod
    def between(cls, rows, points):
        """The correction of rows for the distribution of points, a Sample."""
        columns = UnitCoordinates.of_columns(points.rows, points.mass)
        limits = columns.center + CORRECTION_REACH * columns.scale * np.array([[-1], [1]])
        source, target = Sample.of(np.clip(rows, *limits)), points._replace(rows=np.clip(points.rows, *limits))
        return cls(sample_gaussian_map(source, target), limits)

    def to_torch(self):
        """The correction as a torch module."""
        return WithinLimits(self.gaussian.to_torch(), *constants(self.limits))

    def apply(self, rows):
        """Corrected rows, in the dtype of the rows."""
        near = np.clip(rows, *self.limits.astype(rows.dtype))
        return rows + (self.gaussian.transport(near) - near)

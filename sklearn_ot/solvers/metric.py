"""A matrix that takes the place of the identity in a squared cost, for a cost that is not a square."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import linalg

from sklearn_ot.nn import Affine
from sklearn_ot.plain import stored
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.costs import EuclideanPower
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants

# Largest number of rows whose steps are averaged, and how often the steps and the matrix are computed in turn.
N_ROWS, N_ROUNDS = 10_000, 10
# Steps that are shorter, in units of the root mean square, have the curvature of a step of this length. The curvature
# of a power below 2 has no limit at 0.
LEAST_STEP = 0.1
# The same in units of the standard deviation of the data.
LEAST_MOVE = 1e-3
# With more columns the matrix is the identity.
MAX_MATRIX_FEATURES = 2048
# The target is the narrow sample if its variance is less than this part of the source's; rounding must not decide.
NARROWER = 0.99
# Directions in which the samples vary by less than this part of the largest one are rounding errors.
LEAST_RANGE = 1e-6
# The least curvature beyond the ball of all rows, see `sklearn_ot.nn.CostPair`.
LEAST_RIM = 0.3


@stored
class StepMetric(NamedTuple):
    r"""The mean curvature of a cost at the steps of a map, and coordinates in which it is the identity.

    A cost h of steps z has near the steps of a map :math:`T_0` the second-order approximation

    .. math:: \tfrac12 \langle z - \bar z, H (z - \bar z) \rangle + \langle b, z - \bar z \rangle + \text{const}, \qquad
        H = E\, \nabla^2 h(z), \quad b = E\, \nabla h(z), \quad z = x - T_0(x) .

    In the coordinates :math:`H^{1/2} x` it is the squared cost, whose Gaussian map is :math:`T_0` again, at a fixed
    point.

    The potential of one sample determines both maps, see `sklearn_ot.nn.CostPair`. If it is the sample that spreads
    less, measured by H, the cost of a step hardly bends the potential, and its convexity is no constraint. The samples
    are therefore ordered: the narrow one is the first.

    Attributes
    ----------
    power : float
        The power p of :math:`h(z) = \|z\|^p`.
    is_reversed : bool
        Whether the target is the narrow sample.
    centre : ndarray of shape (n_features,)
        The origin.
    unit : float
        The unit of length, in which the mean variance of both samples is about 1.
    root, inverse_root : ndarray of shape (n_features, n_features)
        :math:`(k H)^{1/2}` and its inverse.
    curvature : ndarray of shape (n_features, n_features)
        H, in the unit.
    factor : float
        k, which makes the mean eigenvalue of k H one.
    mean_step, mean_slope : ndarray of shape (n_features,)
        :math:`\bar z` and b, in the unit, from the narrow sample to the wide one.
    """

    power: float
    is_reversed: bool
    centre: np.ndarray
    unit: float
    root: np.ndarray
    inverse_root: np.ndarray
    curvature: np.ndarray
    factor: float
    mean_step: np.ndarray
    mean_slope: np.ndarray

    @classmethod
    def between(
        cls,
        source: Sample,
        target: Sample,
        power: float,
        shrinkage: float | str | None,
        rng: np.random.RandomState,
    ) -> "StepMetric":
        """The metric of two samples for the cost :math:`\\|x - y\\|^p`.

        Parameters
        ----------
        source, target : Sample
            Rows and weights.
        power : float
            p > 1.
        shrinkage : float, "auto" or None
            Shrinkage of the correlations for the Gaussian maps, see `GaussianTransport`.
        rng : RandomState
            Draws the rows of larger samples whose steps are averaged.

        Returns
        -------
        metric : StepMetric
            The metric.
        """
        centre, unit = _unit(source, target)
        samples = [_part(sample._replace(rows=(sample.rows - centre) / unit), rng) for sample in (source, target)]
        rows, mass = samples[0].rows, samples[0].mass
        # So columns that are constant in both samples stay constant, without rounding errors.
        varies = np.any([np.ptp(sample.rows, axis=0) > 0 for sample in samples], axis=0)
        is_coupled = np.outer(varies, varies) | np.eye(len(centre), dtype=bool)
        factor, curvature = 1.0, np.eye(len(centre))
        for _ in range(N_ROUNDS):
            root, inverse_root = _roots(factor * curvature)
            sides = (sample._replace(rows=sample.rows @ root) for sample in samples)
            steps = rows - sample_gaussian_map(*sides, shrinkage).transport(rows @ root) @ inverse_root
            curvature = np.where(is_coupled, _mean_curvature(steps, mass, power), 0)
            factor = len(centre) / np.trace(curvature)
        root, inverse_root = _roots(factor * curvature)
        slope = mass @ EuclideanPower(power).gradient(torch.from_numpy(steps)).numpy()
        spread, target_spread = (_spread(sample, root) for sample in samples)
        is_reversed = target_spread < NARROWER * spread
        sign = -1.0 if is_reversed else 1.0
        linear = {"root": root, "inverse_root": inverse_root, "curvature": curvature, "factor": factor}
        return cls(power, is_reversed, centre, unit, **linear, mean_step=sign * (mass @ steps), mean_slope=sign * slope)

    def ordered(self, source, target):
        """Anything of source and target, in the order of the narrow sample and the wide one."""
        return (target, source) if self.is_reversed else (source, target)

    def to_coordinates(self, X: np.ndarray) -> np.ndarray:
        """Coordinates of rows, in the dtype of ``X``."""
        return (((X - self.centre) / self.unit) @ self.root).astype(X.dtype, copy=False)

    def from_coordinates(self, U: np.ndarray) -> np.ndarray:
        """Rows with coordinates, in the dtype of ``U``."""
        return ((U @ self.inverse_root) * self.unit + self.centre).astype(U.dtype, copy=False)

    def to_torch(self, name: str) -> Affine:
        """A method of rows as a torch module: "to_coordinates" or "from_coordinates"."""
        centre, root, inverse_root = constants(self.centre, self.root / self.unit, self.inverse_root * self.unit)
        return Affine(centre, core=root) if name == "to_coordinates" else Affine(end=centre, core=inverse_root)

    def geometry(self, coordinates: BalancedCoordinates, radius: float) -> dict:
        """The arrays of a `sklearn_ot.nn.CostPair` in coordinates of the two samples, whose networks see a ball."""
        c = coordinates
        axes = np.eye(len(self.centre)) if c.axes is None else c.axes.T
        origin = np.zeros(len(self.centre))
        linear = c._replace(source_mean=origin, target_mean=origin)
        source, target = (move(axes) @ self.inverse_root for move in (linear.to_source, linear.to_target))
        step = (c.source_mean - c.target_mean) @ self.inverse_root
        slope = self.mean_slope + (step - self.mean_step) @ self.curvature
        leg, basis = 0.0, np.eye(len(self.centre))
        if c.axes is not None:
            basis = linalg.orth(np.concatenate([source, target]).T, rcond=LEAST_RANGE)
            leg = float(np.linalg.norm(step - basis @ (basis.T @ step)))
        unit = self.factor / c.scale**2
        curvature = unit * source @ self.curvature @ source.T
        return {
            "source": source @ basis,
            "target": target @ basis,
            "inverse_of_target": np.linalg.pinv(target @ basis),
            "step": step @ basis,
            "slope": slope @ basis,
            "curvature": basis.T @ self.curvature @ basis,
            "unit": unit,
            "leg": leg,
            "radius": radius,
            # No smaller than the largest curvature of what h lacks to a square.
            "rim": max(LEAST_RIM, float(np.linalg.eigvalsh(curvature)[-1])),
        }


def _unit(source, target):
    """An origin, and the root of the mean variance of both samples; 1 if no row differs from another."""
    centre = source.mass @ source.rows
    size = max(np.abs(sample.rows - centre).max() for sample in (source, target)) or 1.0
    variance = np.mean([_spread(sample, np.eye(len(centre)) / size) for sample in (source, target)]) / len(centre)
    return centre, float(size * np.sqrt(variance)) or 1.0


def _spread(sample, root):
    """The total variance of a sample in other coordinates."""
    rows = (sample.rows - sample.mass @ sample.rows) @ root
    return float(sample.mass @ np.square(rows).sum(axis=1))


def _roots(matrix):
    """The root of a symmetric matrix and its inverse."""
    values, axes = linalg.eigh(matrix)
    return (axes * np.sqrt(values)) @ axes.T, (axes / np.sqrt(values)) @ axes.T


def _part(sample, rng):
    """At most `N_ROWS` rows of a sample; all of them, with their weights, if there are no more."""
    return sample if len(sample.rows) <= N_ROWS else Sample.of(sample.draw(N_ROWS, rng))


def _mean_curvature(steps, mass, power):
    """The mean Hessian of the power of the norm at steps."""
    norms = np.linalg.norm(steps, axis=1)
    norms = np.maximum(norms, max(LEAST_STEP * np.sqrt(mass @ norms**2), LEAST_MOVE))
    weights = power * norms ** (power - 2)
    isotropic = mass @ weights * np.eye(steps.shape[1])
    if steps.shape[1] > MAX_MATRIX_FEATURES:
        return isotropic
    return isotropic + (power - 2) * (steps * (mass * weights / norms**2)[:, None]).T @ steps

"""A potential of Wasserstein-1 as a network, and the map along its rays."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sklearn_ot.nn import Constants, ScalarFunction
from sklearn_ot.plain import stored
from sklearn_ot.settings import OwnSettings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.potentials import FrozenModule, on_arrays
from sklearn_ot.solvers.tensors import constants

# Number of steps along a curve to its foot, of corrections of the foot, and the smallest slope by which they divide.
N_STEPS, N_CORRECTIONS, LEAST_SLOPE = 2, 2, 0.5
# How many numbers are held at once for each row, and each unit and input of the network.
UNIT_NUMBERS = 12


@stored
@dataclass(frozen=True, eq=False)
class RayTransport(OwnSettings):
    r"""A potential u, and the map that moves mass along its rays, in coordinates.

    A ray is a line on which u falls with slope 1. The potential of a network has such lines up to its errors, which are
    largest near the ends of rays, where u has a kink and the network is smooth. Source rows are near the upper ends of
    their rays. So the ray of a source row x is found at a point z at a short distance r of it,

    .. math:: z = x - r\, e(x - r\, e(x)), \qquad \hat u(x) = u(z) + r, \qquad e = \frac{\nabla u}{\|\nabla u\|} ,

    and that of a target row at a point above it, with -r in the place of r. The label of the ray is the foot of the
    curve along the gradient of u through z, where u is 0, and the direction e there. All rows of a curve have the same
    label. The foot is found precisely: a label that shows even a little of the height of a row on its ray would spoil
    the map, as a network reads the height from it, and finds the target rows of this label at the same height. The map
    keeps the order of the rows on each ray: with the distribution functions F and G of û given the label, for the
    source and the target,

    .. math:: T(x) = x - \left(\hat u(x) - G^{-1}(F(\hat u(x)))\right) e(z) .

    No row is moved upwards. Beyond the box of the training rows the potential is that of the nearest place of the box,
    and a row has its step.

    Parameters
    ----------
    centre : ndarray of shape (n_axes,)
        The middle of the inputs of the networks.
    scale : float
        A distance of 1 between inputs, in coordinates.
    limits : ndarray of shape (2, n_axes)
        The box of the inputs.
    level : float
        The value of the network where u is 0.
    reach : float
        The distance r, in ``scale``.
    network : FrozenModule
        The network, with the methods of a `sklearn_ot.nn.MLP`.
    rays : FrozenModule, default=None
        A `sklearn_ot.nn.RayDistributions`. Without it there is no map.
    """

    centre: np.ndarray
    scale: float
    limits: np.ndarray
    level: float
    reach: float
    network: FrozenModule
    rays: FrozenModule | None = None

    def inputs(self, z: np.ndarray) -> np.ndarray:
        """Inputs of the networks for rows of coordinates."""
        return np.clip((z - self.centre) / self.scale, *self.limits).astype(z.dtype)

    def potential(self, z: np.ndarray) -> np.ndarray:
        """Values of u at rows of coordinates."""
        module = self.network.of(z.dtype)
        values = on_arrays(module, module)
        return self._in_chunks(lambda part: self.scale * (values(self.inputs(part)) - self.level), z)

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """The gradient of u at rows of coordinates."""
        module = self.network.of(z.dtype)
        gradients = on_arrays(module, module.gradient)
        return self._in_chunks(lambda part: gradients(self.inputs(part)), z)

    def places(self, z: np.ndarray, is_source: bool) -> np.ndarray:
        """Labels of the rays of rows of coordinates, with unit variances, and û in the last column, in ``scale``."""
        module = self.network.of(z.dtype)
        reach = self._reach(is_source)
        places = on_arrays(module, lambda u: _places(module, _near(module, u, reach), reach, self.level))
        return self._in_chunks(lambda part: places(self.inputs(part)), z)

    def transport(self, z: np.ndarray) -> np.ndarray:
        """Images of rows of coordinates."""
        return self._moved(z, inverse=False)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Preimages of rows of coordinates."""
        return self._moved(z, inverse=True)

    def _in_chunks(self, function, z):
        n_units = sum(len(weight) for weight in self.network.of(z.dtype).parameters() if weight.ndim > 1)
        return in_chunks(function, z, row_numbers=UNIT_NUMBERS * (n_units + z.shape[1]))

    def _reach(self, is_source):
        return self.reach if is_source else -self.reach

    def _moved(self, z, inverse):
        network, rays = self.network.of(z.dtype), self.rays.of(z.dtype)
        steps = on_arrays(network, lambda u: _steps(network, rays, u, self._reach(not inverse), self.level))
        return self._in_chunks(lambda part: part + self.scale * steps(self.inputs(part)), z)

    def to_torch(self, inverse: bool = False) -> "RayMap":
        """The map, or its inverse, as a torch module."""
        return RayMap(self, self._reach(not inverse))


class RayMap(Constants):
    """The map of a `RayTransport`, or its inverse, of rows of coordinates.

    Parameters
    ----------
    transport : RayTransport
        The map.
    reach : float
        Its ``reach``, below 0 for the inverse map.
    """

    def __init__(self, transport: RayTransport, reach: float):
        super().__init__()
        self.scale, self.level, self.reach = float(transport.scale), transport.level, reach
        self.network = ScalarFunction(transport.network.of(np.float64))
        self.rays = transport.rays.of(np.float64)
        centre, limits = constants(transport.centre, transport.limits)
        self.keep(centre=centre, limits=limits)

    def forward(self, z: Tensor) -> Tensor:
        """Images of rows of coordinates, whose dtype may have more digits than that of the networks."""
        inputs = torch.clamp((z - self.centre.to(z.dtype)) / self.scale, *self.limits.to(z.dtype))
        u = inputs.to(next(self.network.parameters()).dtype)
        return z + self.scale * _steps(self.network, self.rays, u, self.reach, self.level).to(z.dtype)


def _near(module, u, reach):
    """Points at which the rays of rows are found."""
    return u - reach * _direction(module, u - reach * _direction(module, u))


def _places(module, z, reach, level):
    """Labels of the rays of points near rows, and the values of the rows."""
    value = module(z) - level
    foot = _along(module, z, -value)
    for _ in range(N_CORRECTIONS):
        foot = foot - (module(foot) - level)[:, None] * _rate(module.gradient(foot))
    label = torch.cat([foot, _direction(module, foot) * z.shape[1] ** 0.5], 1)
    return torch.cat([label, (value + reach)[:, None]], 1)


def _steps(module, rays, u, reach, level):
    """The moves of rows on their rays: down from source rows, and up, with a reach below 0, from target rows."""
    z, sign = _near(module, u, reach), -math.copysign(1, reach)
    places = _places(module, z, reach, level)
    # Beyond all training rows, a row has the step of the last of them.
    label, value = places[:, :-1], places[:, -1].clamp(rays.edges[0], rays.edges[-1])
    moved = rays.transport(label, value) if sign < 0 else rays.inverse(label, value)
    return sign * (sign * (moved - value)).clamp(min=0)[:, None] * _direction(module, z)


def _along(module, u, change):
    """Rows moved along the gradient of a module until its values have changed by given numbers, to second order."""
    step = change[:, None] / N_STEPS
    for _ in range(N_STEPS):
        middle = u + step / 2 * _direction(module, u)
        u = u + step * _direction(module, middle)
    return u


def _rate(gradient):
    """The change of a row for a unit change of the value; less where the slope is small."""
    return gradient / torch.linalg.vector_norm(gradient, dim=1, keepdim=True).clamp(min=LEAST_SLOPE).square()


def _direction(module, u):
    return torch.nn.functional.normalize(module.gradient(u), dim=1)

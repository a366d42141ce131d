"""A potential of Wasserstein-1 as a network, and the map along its rays."""

from dataclasses import dataclass

import numpy as np
import torch

from sklearn_ot.plain import stored
from sklearn_ot.settings import OwnSettings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.potentials import FrozenModule, on_arrays

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
        places = on_arrays(module, lambda u: self._places(module, self._near(module, u, is_source), is_source))
        return self._in_chunks(lambda part: places(self.inputs(part)), z)

    def transport(self, z: np.ndarray) -> np.ndarray:
        """Images of rows of coordinates."""
        return self._moved(z, "transport", -1)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Preimages of rows of coordinates."""
        return self._moved(z, "inverse", 1)

    def _in_chunks(self, function, z):
        n_units = sum(len(weight) for weight in self.network.of(z.dtype).parameters() if weight.ndim > 1)
        return in_chunks(function, z, row_numbers=UNIT_NUMBERS * (n_units + z.shape[1]))

    def _near(self, module, u, is_source):
        """Points at which the rays of rows are found."""
        reach = self.reach if is_source else -self.reach
        return u - reach * _direction(module, u - reach * _direction(module, u))

    def _places(self, module, z, is_source):
        value = module(z) - self.level
        foot = _along(module, z, -value)
        for _ in range(N_CORRECTIONS):
            foot = foot - (module(foot) - self.level)[:, None] * _rate(module.gradient(foot))
        label = torch.cat([foot, _direction(module, foot) * z.shape[1] ** 0.5], 1)
        return torch.cat([label, (value + (self.reach if is_source else -self.reach))[:, None]], 1)

    def _moved(self, z, name, sign):
        network, rays = self.network.of(z.dtype), self.rays.of(z.dtype)

        def steps(u):
            z = self._near(network, u, is_source=sign < 0)
            places = self._places(network, z, is_source=sign < 0)
            # Beyond all training rows, a row has the step of the last of them.
            label, value = places[:, :-1], places[:, -1].clamp(rays.edges[0], rays.edges[-1])
            length = (sign * (getattr(rays, name)(label, value) - value)).clamp(min=0)
            return sign * length[:, None] * _direction(network, z)

        steps = on_arrays(network, steps)
        return self._in_chunks(lambda part: part + self.scale * steps(self.inputs(part)), z)


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

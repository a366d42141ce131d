"""A potential of Wasserstein-1 as a network, and the map along its rays."""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from sklearn_ot.settings import OwnSettings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.potentials import FrozenModule, on_arrays

# Number of steps along a ray, and the smallest slope by which they are divided.
N_STEPS, LEAST_SLOPE = 4, 0.5


@dataclass(frozen=True, eq=False)
class RayTransport(OwnSettings):
    r"""A potential u, and the map that moves mass along its rays, in coordinates.

    A ray is a line on which u falls with slope 1. A network has such lines up to its errors, which are largest near the
    ends of rays, where u has a kink. So the rays are here the curves along the gradient of u, each of which leaves such
    a place after a short way. A row x is moved along its curve to the *foot* of the curve, at which u is 0. The label
    ℓ(x) is this point and the direction of ∇u there. It is the same for all rows of a curve.

    The map keeps the order of the rows on each curve: with the distribution functions F and G of u given the label, for
    the source and the target, T(x) is the place of the curve at which

    .. math:: u(T(x)) = G^{-1}(F(u(x))) .

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
    network : FrozenModule
        The network, with the methods of a `sklearn_ot.nn.MLP`.
    rays : FrozenModule, default=None
        A `sklearn_ot.nn.RayDistributions`. Without it there is no map.
    """

    centre: np.ndarray
    scale: float
    limits: np.ndarray
    level: float
    network: FrozenModule
    rays: FrozenModule | None = None

    def __getstate__(self):
        modules = {name: getattr(self, name) for name in ("network", "rays")}
        # On the CPU, so that a pickle can be loaded without the device of the training.
        on_cpu = {
            name: module and FrozenModule(copy.deepcopy(module.of(np.float32)).cpu())
            for name, module in modules.items()
        }
        return {**self.__dict__, **on_cpu}

    def inputs(self, z: np.ndarray) -> np.ndarray:
        """Inputs of the networks for rows of coordinates."""
        return np.clip((z - self.centre) / self.scale, *self.limits).astype(z.dtype)

    def potential(self, z: np.ndarray) -> np.ndarray:
        """Values of u at rows of coordinates."""
        module = self.network.of(z.dtype)
        values = on_arrays(module, module)
        return in_chunks(lambda part: self.scale * (values(self.inputs(part)) - self.level), z)

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """The gradient of u at rows of coordinates."""
        module = self.network.of(z.dtype)
        gradients = on_arrays(module, module.gradient)
        return in_chunks(lambda part: gradients(self.inputs(part)), z)

    def places(self, z: np.ndarray) -> np.ndarray:
        """Labels of the rays of rows of coordinates, with unit variances, and u in the last column, in ``scale``."""
        module = self.network.of(z.dtype)
        return in_chunks(on_arrays(module, lambda u: self._places(module, u)), self.inputs(z))

    def transport(self, z: np.ndarray) -> np.ndarray:
        """Images of rows of coordinates."""
        return self._moved(z, "transport", -1)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Preimages of rows of coordinates."""
        return self._moved(z, "inverse", 1)

    def _places(self, module, u):
        value = module(u) - self.level
        foot = _along(module, u, -value)
        direction = torch.nn.functional.normalize(module.gradient(foot), dim=1)
        return torch.cat([foot, direction * u.shape[1] ** 0.5, value[:, None]], 1)

    def _moved(self, z, name, sign):
        network, rays = self.network.of(z.dtype), self.rays.of(z.dtype)

        def steps(u):
            places = self._places(network, u)
            # Beyond all training rows, a row has the step of the last of them.
            label, value = places[:, :-1], places[:, -1].clamp(rays.edges[0], rays.edges[-1])
            change = (sign * (getattr(rays, name)(label, value) - value)).clamp(min=0)
            return _along(network, u, sign * change) - u

        steps = on_arrays(network, steps)
        return in_chunks(lambda part: part + self.scale * steps(self.inputs(part)), z)


def _along(module, u, change):
    """Rows moved along the gradient of a module until its values have changed by given numbers, to second order."""
    for _ in range(N_STEPS):
        middle = u + change[:, None] / (2 * N_STEPS) * _rate(module.gradient(u))
        u = u + change[:, None] / N_STEPS * _rate(module.gradient(middle))
    return u


def _rate(gradient):
    """The change of a row for a unit change of the value; less where the slope is small, and no mass should move."""
    return gradient / torch.linalg.vector_norm(gradient, dim=1, keepdim=True).clamp(min=LEAST_SLOPE).square()

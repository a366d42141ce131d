"""The potential on a grid, and the map along its rays."""

from dataclasses import KW_ONLY, dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter

from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.grid._flux import gradient
from sklearn_ot.solvers.grid._lattice import Lattice
from sklearn_ot.solvers.grid._modules import GridMap

# Times of the flow. More of them are near 0, when rows leave the densest places.
TIMES = np.linspace(0, 1, 49) ** 1.5
# Number of corrections of a step backwards.
N_CORRECTIONS = 2
# Smallest density of a cell, as a share of the mean one: few rows in a cell must not make it empty.
LEAST_DENSITY = 0.3
# Deviation of the smoothing kernel: as many cells as the first number, or the second one divided by the number of axes,
# times the distance of rows that are evenly distributed over the box.
LEAST_KERNEL, KERNEL = 0.5, 1.4


@stored
@dataclass(frozen=True, eq=False)
class GridPotential:
    """A potential on a grid.

    Parameters
    ----------
    lattice : Lattice
        The grid.
    values : ndarray of shape lattice.shape
        The potential u at the centres of cells, in the unit of the coordinates.
    at_corners : ndarray of shape lattice.shape, default=None
        The same for cells that are moved by half a cell along all axes. u is the mean of both, whose errors differ.
    """

    lattice: Lattice
    values: np.ndarray
    at_corners: np.ndarray | None = None

    @property
    def _parts(self):
        """Pairs of values and how far they are from the centres of the cells, in cells."""
        return [(part, k / 2) for k, part in enumerate((self.values, self.at_corners)) if part is not None]

    def potential(self, z: np.ndarray) -> np.ndarray:
        """Values of u at rows of coordinates; beyond the box it is that of the nearest place of the box."""
        return np.mean([self.lattice.at([part], z, shift)[:, 0] for part, shift in self._parts], axis=0)

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """The gradient of u at rows of coordinates: differences of neighbouring cells, interpolated between faces."""
        return self._gradient()(z)

    def _faces(self):
        """The axis of each field of slopes, the field, and how far its places are from the centres of cells."""
        return [
            (axis, face, shift + 0.5 * np.eye(part.ndim)[axis])
            for part, shift in self._parts
            for axis, face in enumerate(gradient(part / np.float32(self.lattice.spacing)))
        ]

    def _gradient(self):
        faces = self._faces()

        def found(z):
            slopes = np.zeros((len(z), self.values.ndim))
            for axis, face, shift in faces:
                slopes[:, axis] += self.lattice.at([face], z, shift)[:, 0] / len(self._parts)
            return slopes

        return found


@stored
@dataclass(frozen=True, eq=False)
class GridTransport(GridPotential):
    r"""The potential u and the map T between two distributions on a grid.

    The flux of mass from P to Q is :math:`-\sigma \nabla u` with a density :math:`\sigma \ge 0` of moving mass. The map
    follows it, as in [Dacorogna90]_ and [Evans99]_:

    .. math:: \dot z = \frac{-\sigma(z) \nabla u(z)}{(1 - t) P(z) + t\, Q(z)}, \qquad z(0) = x, \quad z(1) = T(x) .

    By the continuity equation the distribution of z(t) is :math:`(1 - t) P + t\, Q`. Rays, the lines of steepest
    descent of u, are straight, and mass stays on its ray, so this is an optimal map. The speed is the norm of the flux,
    and its direction is that of ∇u, which has less noise. Flux, P and Q are smoothed by one kernel, which does not
    change the equation.

    The flow is solved by midpoint steps. The inverse map is the same flow backwards, whose steps are solved by
    fixed-point iterations.

    Parameters
    ----------
    lattice, values, at_corners
        See `GridPotential`.
    speed, start, end : ndarray of shape lattice.shape
        The norm of the flux, P and Q, all smoothed, as masses of cells.

    References
    ----------
    .. [Dacorogna90] B. Dacorogna and J. Moser, "On a partial differential equation involving the Jacobian determinant",
       Annales de l'Institut Henri Poincaré C, 1990.
    .. [Evans99] L. C. Evans and W. Gangbo, "Differential equations methods for the Monge-Kantorovich mass transfer
       problem", Memoirs of the American Mathematical Society, 1999.
    """

    _: KW_ONLY
    speed: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, potential: GridPotential, m: np.ndarray, masses, n_rows: float) -> "GridTransport":
        """The map of a potential, a flux, masses of both samples, and the number of rows of the smaller one."""
        lattice, n_axes = potential.lattice, len(m)
        width = max(LEAST_KERNEL, KERNEL / n_axes * (lattice.n_cells / n_rows) ** (1 / n_axes))
        centred = []
        for axis, part in enumerate(m):
            # The flux at the centre of a cell is the mean of those through both of its faces.
            before = np.roll(part, 1, axis)
            centred.append(smooth((part + before) / 2, width))
        speed = np.sqrt(sum(part * part for part in centred))
        start, end = (smooth(part, width) for part in masses)
        return cls(lattice, potential.values, potential.at_corners, speed=speed, start=start, end=end)

    def transport(self, z: np.ndarray) -> np.ndarray:
        """Images of rows of coordinates; rows beyond the box have the velocity of its nearest place."""
        velocity = self._velocity()
        return in_chunks(lambda part: flow(velocity, part, TIMES), z)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Preimages of rows of coordinates."""
        velocity = self._velocity()
        return in_chunks(lambda part: flow_back(velocity, part, TIMES), z)

    def to_torch(self, inverse: bool = False) -> GridMap:
        """The map, or its inverse, as a torch module."""
        return GridMap(
            self.lattice,
            [self.speed, self.start, self.end],
            self._faces(),
            times=TIMES,
            backwards=inverse,
            n_corrections=N_CORRECTIONS,
            least=LEAST_DENSITY / self.lattice.n_cells,
        )

    def _velocity(self):
        lattice, least = self.lattice, LEAST_DENSITY / self.lattice.n_cells
        gradient_at = self._gradient()
        fields = [self.speed, self.start, self.end]

        def velocity(z, t):
            speed, start, end = lattice.at(fields, z).T
            slope = gradient_at(z)
            norm = np.sqrt(np.einsum("ij,ij->i", slope, slope))
            factor = speed * lattice.spacing / np.maximum((1 - t) * start + t * end, least)
            return -slope * (factor / np.maximum(norm, 1e-6))[:, None]

        return velocity


def smooth(part, width):
    """A field smoothed by a Gaussian kernel, in float32; nothing leaves the box."""
    return gaussian_filter(part.astype(np.float32), width, mode="reflect")


def flow(velocity, z, times):
    """Rows moved along a velocity field by midpoint steps between these times."""
    for before, after in pairwise(times):
        z = z + _step(velocity, z, before, after)
    return z


def flow_back(velocity, z, times):
    """The inverse of `flow`: each step is solved by fixed-point iterations."""
    for after, before in pairwise(times[::-1]):
        start = z + _step(velocity, z, after, before)
        for _ in range(N_CORRECTIONS):
            start = z - _step(velocity, start, before, after)
        z = start
    return z


def _step(velocity, z, before, after):
    middle = z + (after - before) / 2 * velocity(z, before)
    return (after - before) * velocity(middle, (before + after) / 2)

"""Functions of slope 1 whose transport rays are known, and monotone maps along these rays."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from sklearn_ot.solvers.chunks import in_chunks

# Rows of the target whose median distance from the lower end of their rays is the unit of length of infinite rays.
N_UNIT_ROWS = 1000
# Largest offset of a piece.
OFFSET = 0.2


class Ray(NamedTuple):
    """The ray through each of n rows: distances to its lower and upper end, and the unit vector that points upwards.

    Along a ray the function rises with slope 1. A distance may be infinite.
    """

    below: np.ndarray
    direction: np.ndarray
    above: np.ndarray


class Rays(ABC):
    """A function v that is 1-Lipschitz, and a monotone map along its rays, which moves rows upwards."""

    @abstractmethod
    def value(self, X):
        """The values of v, shape (n,)."""

    @abstractmethod
    def up(self, X):
        """The image of each row under the map."""

    @abstractmethod
    def down(self, Y):
        """The preimage of each row."""


class EndedRays(Rays):
    r"""Rays that begin at a lower end; the map is the inverse of a power of the distance t from there.

    On a ray of length L the preimage of the row at t is at :math:`L (t / L)^r` for a bounded target. A ray also ends
    where it leaves the cube of the target. For an unbounded target, it is the power of another coordinate,

    .. math:: h(s) = h(L)\, \left(\frac{h(t)}{h(L)}\right)^r, \qquad h(t) = \frac{t}{t + \ell}

    so that L may be infinite. Rows above the upper end stay in place. A subclass writes `value` and `ray`, and draws
    its pieces in ``draw``.
    """

    def __init__(self, target, n_pieces, degree, rng):
        self.n_features, self.half_width, self.degree = target.n_features, target.half_width, degree
        self.draw(target, n_pieces, rng)
        rows = target.draw(N_UNIT_ROWS, rng)
        self.unit = np.median(self.ray(rows).below) if np.isinf(self.half_width) else np.inf

    @abstractmethod
    def draw(self, target, n_pieces, rng):
        """Draw the pieces."""

    @abstractmethod
    def ray(self, X):
        """The `Ray` through each row."""

    @property
    def row_numbers(self):
        """Numbers that the evaluation of a row needs."""
        return self.n_features

    def value(self, X):
        """The values of v, shape (n,)."""
        return in_chunks(self._value, X, row_numbers=self.row_numbers)

    def up(self, X):
        """The image of each row."""
        return in_chunks(lambda part: self._moved(part, 1 / self.degree), X, row_numbers=self.row_numbers)

    def down(self, Y):
        """The preimage of each row."""
        return in_chunks(lambda part: self._moved(part, self.degree), Y, row_numbers=self.row_numbers)

    def _moved(self, X, exponent):
        below, direction, above = self.ray(X)
        length = below + np.minimum(above, self._to_border(X, direction))
        moved = below.copy()
        inside = (below > 0) & (below < length)
        moved[inside] = self._power(below[inside], length[inside], exponent)
        return X + (moved - below)[:, None] * direction

    def _power(self, t, length, exponent):
        if np.isinf(self.unit):
            return length * (t / length) ** exponent
        # h(t) = 1 / (1 + ℓ / t). In logarithms of 1 / h nothing cancels, and both ends may be infinite.
        with np.errstate(over="ignore"):
            t, length = np.log1p(self.unit / t), np.log1p(self.unit / length)
            return self.unit / np.expm1(exponent * t - (exponent - 1) * length)

    def _to_border(self, X, direction):
        """Distance at which the ray leaves the cube of the target."""
        if np.isinf(self.half_width):
            return np.full(len(X), np.inf)
        steps = self.half_width * np.sign(direction) - X
        return np.divide(steps, direction, out=np.full_like(X, np.inf), where=direction != 0).min(axis=1)


class Flats(EndedRays):
    r"""The distance to the nearest of some flats with offsets, :math:`v(x) = \min_m \|C_m^T (x - c_m)\| + b_m`.

    The columns of :math:`C_m` are orthonormal, and span the directions orthogonal to flat m. The flats go through
    random rows of the target.
    """

    def flat_dim(self):
        """The dimension of the flats."""
        return self.n_features // 2

    def draw(self, target, n_pieces, rng):
        """Draw flats and offsets."""
        n_normals = self.n_features - self.flat_dim()
        points = target.draw(n_pieces, rng)
        self.normals, _ = np.linalg.qr(rng.standard_normal((n_pieces, self.n_features, n_normals)))
        self.feet = np.einsum("md,mdk->mk", points, self.normals)
        self.offsets = rng.uniform(0, OFFSET, n_pieces)

    @property
    def row_numbers(self):
        """Numbers that the evaluation of a row needs."""
        return self.normals.shape[0] * self.normals.shape[2]

    def _coordinates(self, X):
        """Coordinates of each row along the normals of each flat, shape (n, pieces, normals)."""
        n_pieces, _, n_normals = self.normals.shape
        all_normals = self.normals.transpose(1, 0, 2).reshape(self.n_features, -1)
        return (X @ all_normals).reshape(len(X), n_pieces, n_normals)

    def _value(self, X):
        return (np.linalg.norm(self._coordinates(X) - self.feet, axis=2) + self.offsets).min(axis=1)

    def ray(self, X):
        """The rays start at the foot on the nearest flat, and end where another flat is as near."""
        residuals = self._coordinates(X) - self.feet
        distances = np.linalg.norm(residuals, axis=2)
        nearest = (distances + self.offsets).argmin(axis=1)
        rows = np.arange(len(X))
        below, direction = distances[rows, nearest], np.empty_like(X)
        for piece, normals in enumerate(self.normals):
            mine = nearest == piece
            direction[mine] = residuals[mine, piece] @ normals.T
        direction /= np.where(below > 0, below, 1)[:, None]
        lead = (below + self.offsets[nearest])[:, None] - self.offsets
        steps = first_contact(residuals, self._coordinates(direction), distances, lead)
        steps[rows, nearest] = np.inf
        return Ray(below, direction, steps.min(axis=1))


class Planes(Flats):
    """The distance to the nearest of some hyperplanes: a piecewise linear function."""

    def flat_dim(self):
        """The dimension of the flats."""
        return self.n_features - 1


def first_contact(residuals, speeds, distances, lead):
    r"""Steps a ≥ 0 at which :math:`\|r + a \rho\| = \beta + a`, for r of norm β or more and ρ of norm 1 or less.

    Parameters
    ----------
    residuals, speeds : ndarray of shape (n, m, k)
        The vectors r and ρ.
    distances, lead : ndarray of shape (n, m)
        The norms of r, and β, which may be negative.

    Returns
    -------
    steps : ndarray of shape (n, m)
        The steps; infinite where there is none.
    """
    # The roots of A a² + 2 B a + C. Where C > 0 the smaller one has a negative right side, so the larger one is meant.
    A = 1 - np.einsum("nmk,nmk->nm", speeds, speeds)
    B = lead - np.einsum("nmk,nmk->nm", residuals, speeds)
    C = (lead - distances) * (lead + distances)
    root = np.sqrt(np.maximum(B**2 - A * C, 0))
    numerator, denominator = np.where(B > 0, -C, root - B), np.where(B > 0, root + B, A)
    steps = np.full_like(B, np.inf)
    return np.divide(numerator, denominator, out=steps, where=denominator > 0)


class Shells(EndedRays):
    r"""The distance to the nearest of some spheres with offsets, :math:`v(x) = \min_m |\|x - c_m\| - r_m| + b_m`."""

    RADII = (0.28, 1.11)
    # In more features than these the radii grow with the distances between rows.
    WIDE = 8

    def draw(self, target, n_pieces, rng):
        """Draw centres, radii and offsets."""
        self.centres = target.draw(n_pieces, rng)
        self.radii = rng.uniform(*self.RADII, n_pieces) * max(1, np.sqrt(self.n_features / self.WIDE))
        self.offsets = rng.uniform(0, OFFSET, n_pieces)

    @property
    def row_numbers(self):
        """Numbers that the evaluation of a row needs."""
        return max(self.centres.shape)

    def _value(self, X):
        return (np.abs(cdist(X, self.centres) - self.radii) + self.offsets).min(axis=1)

    def ray(self, X):
        """The rays start at the nearest sphere, and end in its centre or where another sphere is as near."""
        distances = cdist(X, self.centres)
        heights = distances - self.radii
        nearest = (np.abs(heights) + self.offsets).argmin(axis=1)
        rows = np.arange(len(X))
        below, radius = np.abs(heights[rows, nearest]), distances[rows, nearest]
        outwards = np.sign(heights[rows, nearest])
        direction = (X - self.centres[nearest]) * (outwards / np.where(radius > 0, radius, 1))[:, None]
        lead = (below + self.offsets[nearest])[:, None] - self.offsets
        along = np.einsum("nd,nd->n", X, direction)[:, None] - direction @ self.centres.T
        outside = self._contact(distances, along, lead, 1)
        inside = self._contact(distances, along, lead, -1)
        steps = np.minimum(outside, inside)
        steps[rows, nearest] = np.where(outwards < 0, radius, np.inf)
        return Ray(below, direction, steps.min(axis=1))

    def _contact(self, distances, along, lead, sign):
        r"""Steps a ≥ 0 with :math:`\|z + a d\| - r = ±(\beta + a)` for unit vectors d; infinite where there is none."""
        level = self.radii + sign * lead
        numerator, denominator = (distances - level) * (distances + level), 2 * (sign * level - along)
        steps = np.divide(numerator, denominator, out=np.full_like(along, np.inf), where=denominator != 0)
        # Both sides were squared, and neither the norm nor the height above a sphere is negative.
        is_contact = (steps >= 0) & (lead + steps >= 0) & (level + sign * steps >= 0)
        return np.where(is_contact, steps, np.inf)


class Blocks(EndedRays):
    r"""A weighted sum of norms, :math:`v(x) = \sum_b w_b \|z_b\|` with :math:`\sum_b w_b^2 = 1`.

    The blocks :math:`z_b` are the columns of the centred and rotated rows, divided as equally as possible.
    """

    SPREAD = 0.55

    def draw(self, target, n_pieces, rng):
        """Draw the centre, the rotation and the weights."""
        self.centre = self.SPREAD * rng.standard_normal(self.n_features)
        self.axes, _ = np.linalg.qr(rng.standard_normal((self.n_features, self.n_features)))
        weights = rng.uniform(0.5, 1.5, n_pieces)
        self.weights = weights / np.linalg.norm(weights)
        self.block = np.arange(self.n_features) * n_pieces // self.n_features
        self.starts = np.searchsorted(self.block, np.arange(n_pieces))

    def _norms(self, Z):
        return np.sqrt(np.add.reduceat(Z**2, self.starts, axis=1))

    def _value(self, X):
        return self._norms((X - self.centre) @ self.axes) @ self.weights

    def ray(self, X):
        """The rays start where the first block is 0, and have no upper end."""
        Z = (X - self.centre) @ self.axes
        norms = self._norms(Z)
        direction = (Z * (self.weights / np.where(norms > 0, norms, 1))[:, self.block]) @ self.axes.T
        return Ray((norms / self.weights).min(axis=1), direction, np.full(len(X), np.inf))


class Field(Rays):
    r"""A linear function :math:`v(x) = \langle a, x \rangle` with the map :math:`T(x) = x + h(x) a`, :math:`\|a\| = 1`.

    The step h > 0 is constant along a. Its logarithm is a sum of K plane waves with the variance ½,
    :math:`\log h(x) = K^{-1/2} \sum_k \cos(\langle \omega_k, x \rangle + \theta_k)`.
    """

    FREQUENCY = 2.0

    def __init__(self, target, n_pieces, degree, rng):
        n_features = target.n_features
        axis = rng.standard_normal(n_features)
        self.axis = axis / np.linalg.norm(axis)
        waves = self.FREQUENCY * rng.standard_normal((n_pieces, n_features)) / np.sqrt(n_features)
        self.waves = waves - np.outer(waves @ self.axis, self.axis)
        self.phases = rng.uniform(0, 2 * np.pi, n_pieces)

    def value(self, X):
        """The values of v, shape (n,)."""
        return X @ self.axis

    def _step(self, X):
        waves = in_chunks(
            lambda part: np.cos(part @ self.waves.T + self.phases).sum(axis=1), X, row_numbers=len(self.waves)
        )
        return np.exp(waves / np.sqrt(len(self.waves)))[:, None] * self.axis

    def up(self, X):
        """The image of each row."""
        return X + self._step(X)

    def down(self, Y):
        """The preimage of each row."""
        return Y - self._step(Y)


KINDS = {"flats": Flats, "shells": Shells, "blocks": Blocks, "planes": Planes, "field": Field}

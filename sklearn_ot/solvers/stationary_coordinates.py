"""Coordinates of flattened pictures in which the map between stationary Gaussian pictures is the identity."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sklearn_ot.nn import CosineAffine
from sklearn_ot.plain import stored
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.coordinates import BalancedCoordinates, mean_square
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.stationary import StationaryMap, cosine_module, stretched


@stored
class StationaryCoordinates(NamedTuple):
    r"""Coordinates of flattened pictures that are pictures again, of the same shape.

    With the map :math:`T_0(x) = m_t + C^\top A\, C (x - m_s)` between stationary Gaussian pictures, where C is the
    cosine transform, and a scale s, the coordinates are

    .. math:: u = C^\top A^{1/2} C (x - m_s) / s, \qquad v = C^\top A^{-1/2} C (y - m_t) / s .

    As in `BalancedCoordinates`, whose interface they have, inner products are those of the data, divided by s², so that
    optimal maps of the squared cost stay optimal, and the map :math:`T_0` is the identity. The mean variance of both
    samples is 1. A square root that changes with the frequency only does not mix places far from each other, so that
    the coordinates of a picture that is moved are those of the picture, moved, up to the means and the edges.

    Attributes
    ----------
    source_mean, target_mean : ndarray of shape (n_features,)
        :math:`m_s` and :math:`m_t`.
    roots, inverse_roots : ndarray of shape (*picture_shape, n_channels)
        :math:`A^{1/2}` and :math:`A^{-1/2}`, symmetric matrices of the channels for each frequency.
    scale : float
        s, in the unit of (source unit × target unit)^½.
    """

    source_mean: np.ndarray
    target_mean: np.ndarray
    roots: np.ndarray
    inverse_roots: np.ndarray
    scale: float

    @classmethod
    def balance(cls, stationary: StationaryMap, source: Sample, target: Sample) -> "StationaryCoordinates":
        """The coordinates of a map, with a scale that makes the mean variance of two samples 1."""
        stretches, axes = np.linalg.eigh(stationary.blocks)
        factors, transposed = np.sqrt(stretches)[..., None, :], np.swapaxes(axes, -1, -2)
        roots, inverse_roots = (axes * factors) @ transposed, (axes / factors) @ transposed
        unscaled = cls(stationary.source_mean, stationary.target_mean, roots, inverse_roots, 1.0)
        squares = sum(
            mean_square(to_coordinates(sample.rows), weight=sample.weight)
            for sample, to_coordinates in ((source, unscaled.of_source), (target, unscaled.of_target))
        )
        return unscaled._replace(scale=float(np.sqrt(squares / (2 * unscaled.n_axes))) or 1.0)

    @property
    def n_axes(self) -> int:
        """Number of coordinates, the number of inputs of a network."""
        return len(self.source_mean)

    def of_source(self, X: np.ndarray) -> np.ndarray:
        """Coordinates u of source rows, in the dtype of ``X``."""
        return self._of_rows(X, self.source_mean, self.roots)

    def of_target(self, Y: np.ndarray) -> np.ndarray:
        """Coordinates v of target rows."""
        return self._of_rows(Y, self.target_mean, self.inverse_roots)

    def to_source(self, U: np.ndarray) -> np.ndarray:
        """Source rows with coordinates u."""
        return self._to_rows(U, self.source_mean, self.inverse_roots)

    def to_target(self, V: np.ndarray) -> np.ndarray:
        """Target rows with coordinates v."""
        return self._to_rows(V, self.target_mean, self.roots)

    def to_torch(self, name: str) -> CosineAffine:
        """A method of rows as a torch module: "of_source", "of_target", "to_source" or "to_target"."""
        is_source = name.endswith("source")
        mean = self.source_mean if is_source else self.target_mean
        if name.startswith("of"):
            return cosine_module(mean, 0 * mean, (self.roots if is_source else self.inverse_roots) / self.scale)
        return cosine_module(0 * mean, mean, (self.inverse_roots if is_source else self.roots) * self.scale)

    # All directions vary.
    torch_axes = None

    @property
    def lengths(self) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
        """Linear functions of coordinates whose results have the lengths of the data, up to a factor for each side."""
        parts = [blocks / np.abs(blocks).max() for blocks in (self.inverse_roots, self.roots)]
        return tuple(lambda U, blocks=blocks: _stretched(U, blocks) for blocks in parts)

    mean_cost = BalancedCoordinates.mean_cost

    @staticmethod
    def within(U: np.ndarray) -> np.ndarray:
        """The coordinates themselves, see `BalancedCoordinates.within`."""
        return U

    @staticmethod
    def lift(function: Callable[[np.ndarray], np.ndarray], U: np.ndarray) -> np.ndarray:
        """The images themselves, see `BalancedCoordinates.lift`."""
        return function(U)

    lift_values = lift

    def _of_rows(self, rows, mean, blocks):
        return in_chunks(lambda x: _stretched(x - mean.astype(x.dtype, copy=False), blocks / self.scale), rows)

    def _to_rows(self, coordinates, mean, blocks):
        return in_chunks(lambda u: mean.astype(u.dtype, copy=False) + _stretched(u, self.scale * blocks), coordinates)


def _stretched(rows, blocks):
    """The products of `stretched`, in the dtype of the rows."""
    return stretched(rows, blocks.astype(rows.dtype, copy=False))

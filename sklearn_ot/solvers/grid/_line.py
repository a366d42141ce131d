"""Wasserstein-1 on a line, in closed form."""

from dataclasses import dataclass

import numpy as np

from sklearn_ot.plain import stored
from sklearn_ot.solvers.grid._modules import LineMap
from sklearn_ot.solvers.samples import Sample


@stored
@dataclass(frozen=True, eq=False)
class LineTransport:
    r"""The potential and the map between two samples on a line.

    With the distribution functions F of the source and G of the target,

    .. math:: W_1 = \int |F - G|, \qquad u'(z) = \operatorname{sign}(G(z) - F(z)), \qquad T = G^{-1} \circ F .

    T keeps the order of the rows. F and G are continuous here: they are linear between the middles of their steps. u is
    flat where they are equal.

    Parameters
    ----------
    distance : float
        The distance between the samples.
    places, values : ndarray of shape (n_places,)
        All different numbers of both samples, and u there.
    source, target : tuple of ndarray
        The numbers of each sample, sorted, and the continuous distribution function there.
    """

    distance: float
    places: np.ndarray
    values: np.ndarray
    source: tuple[np.ndarray, np.ndarray]
    target: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, source: Sample, target: Sample) -> "LineTransport":
        """The solution of two samples of one column."""
        sides = [_distribution(sample) for sample in (source, target)]
        places = np.unique(np.concatenate([side[0] for side in sides]))
        below = [np.concatenate([[0.0], side[2]])[np.searchsorted(side[0], places[:-1], "right")] for side in sides]
        excess, gaps = below[1] - below[0], np.diff(places)
        # Sums of masses that are equal but for rounding are equal.
        excess[np.abs(excess) < 1e-14 * len(places)] = 0
        values = np.concatenate([[0.0], np.cumsum(np.sign(excess) * gaps)])
        return cls(float(np.abs(excess) @ gaps), places, values, sides[0][:2], sides[1][:2])

    def potential(self, z: np.ndarray) -> np.ndarray:
        """The potential at numbers of shape (n, 1); beyond the samples it is that of their end."""
        return np.interp(z[:, 0], self.places, self.values)

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """The slope of the potential at numbers of shape (n, 1): 1, -1 or 0; the one on the right at its kinks."""
        slopes = np.concatenate([[0.0], np.sign(np.diff(self.values)), [0.0]])
        return slopes[np.searchsorted(self.places, z[:, 0], "right")][:, None]

    def to_torch(self, inverse: bool = False) -> LineMap:
        """The map, or its inverse, as a torch module."""
        return LineMap(self.target, self.source) if inverse else LineMap(self.source, self.target)

    def transport(self, z: np.ndarray) -> np.ndarray:
        """Images of numbers of shape (n, 1)."""
        return _matched(z, self.source, self.target)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """Preimages of numbers of shape (n, 1)."""
        return _matched(z, self.target, self.source)


def _distribution(sample):
    """The different numbers of a sample, the middles of the steps of its distribution function, and the steps' ends."""
    sample = sample.merged()
    ends = np.cumsum(sample.mass)
    ends /= ends[-1]
    return sample.rows[:, 0], ends - sample.mass / 2, ends


def _matched(z, source, target):
    """Numbers with the same value of the distribution function; beyond the first and last number the step is theirs."""
    inside = np.clip(z[:, 0], source[0][0], source[0][-1])
    images = np.interp(np.interp(inside, *source), target[1], target[0])
    return (images + (z[:, 0] - inside))[:, None]

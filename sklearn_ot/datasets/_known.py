"""A pair of distributions with a known optimal map."""

from abc import ABC, abstractmethod
from numbers import Integral

import numpy as np
from sklearn.utils import Bunch, check_array, check_random_state
from sklearn.utils._param_validation import Interval

from sklearn_ot.settings import OwnSettings

COUNT = Interval(Integral, 1, None, closed="left")
PAIR_CONSTRAINTS = {
    "n_features": [COUNT],
    "n_samples": [COUNT],
    "n_target_samples": [COUNT, None],
    "random_state": ["random_state"],
}


class KnownPair(OwnSettings, ABC):
    """A source P and an optimal map T, which define the target Q = T#P; the Bunch of a pair holds its methods.

    A subclass writes ``_draw(n, rng)``, ``_potential(X)``, ``_transport(X)`` and ``_inverse(Y)``, which get validated
    rows.
    """

    def __init__(self, n_features):
        self.n_features = n_features

    @abstractmethod
    def _draw(self, n_samples, rng):
        """Draw rows of the source."""

    @abstractmethod
    def _potential(self, X):
        """The potential at each row."""

    @abstractmethod
    def _transport(self, X):
        """Image of each row."""

    @abstractmethod
    def _inverse(self, Y):
        """Preimage of each row."""

    def _check(self, X):
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_features:
            raise ValueError(f"The rows have {X.shape[1]} features, but this pair has {self.n_features}.")
        return X

    def potential(self, X):
        """The potential at each row of X: an array of shape (n_samples,)."""
        return self._potential(self._check(X))

    def transport(self, X):
        """Images T(x) of the rows of X, of the same shape."""
        return self._transport(self._check(X))

    def inverse(self, Y):
        """Preimages of the rows of Y, of the same shape."""
        return self._inverse(self._check(Y))

    def sample_source(self, n_samples=1000, random_state=None):
        """Draw fresh rows of the source."""
        return self._draw(n_samples, check_random_state(random_state))

    def sample_target(self, n_samples=1000, random_state=None):
        """Draw fresh rows of the target: the images of `sample_source` with these arguments."""
        return self._transport(self.sample_source(n_samples, random_state))

    def to_bunch(self, n_samples, n_target_samples, rng, **more):
        """Draw two samples, and return them with the methods of the pair and further values."""
        # The two samples are drawn independently: matched rows would show the map.
        source = self.sample_source(n_samples, rng)
        target = self.sample_target(n_samples if n_target_samples is None else n_target_samples, rng)
        # Bound methods and not closures, so that the Bunch can be pickled.
        return Bunch(
            source=source,
            target=target,
            transport=self.transport,
            inverse=self.inverse,
            potential=self.potential,
            sample_source=self.sample_source,
            sample_target=self.sample_target,
            **more,
        )


class PreimagePair(KnownPair):
    r"""A pair of which ``_draw`` draws the target, and the source consists of preimages of its rows.

    The map is optimal for the cost :math:`\|x - y\|^p` with the power p, an attribute of the subclass.
    """

    power = 1.0

    def sample_source(self, n_samples=1000, random_state=None):
        """Draw fresh rows of the source: the preimages of `sample_target` with these arguments."""
        return self._inverse(self.sample_target(n_samples, random_state))

    def sample_target(self, n_samples=1000, random_state=None):
        """Draw fresh rows of the target."""
        return self._draw(n_samples, check_random_state(random_state))

    def distance(self, n_samples=100_000, random_state=0):
        r"""Estimate the distance :math:`W_p = (E \|x - T(x)\|^p)^{1/p}` by the mean of fresh rows.

        Returns
        -------
        distance, standard_error : float
            The estimate, and the standard deviation of its error.
        """
        target = self.sample_target(n_samples, random_state)
        costs = np.linalg.norm(self._inverse(target) - target, axis=1) ** self.power
        distance = costs.mean() ** (1 / self.power)
        # The derivative of a root of the mean, by which a small error of the mean is multiplied.
        slope = distance / (self.power * costs.mean())
        return float(distance), float(slope * costs.std() / np.sqrt(n_samples))

    def to_bunch(self, n_samples, n_target_samples, rng, **more):
        """Add the distance to the Bunch."""
        return super().to_bunch(n_samples, n_target_samples, rng, distance=self.distance, **more)

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
    """A source P and a convex potential ψ, which define the target Q = ∇ψ#P; the Bunch of a pair holds its methods.

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
        """ψ at each row."""

    @abstractmethod
    def _transport(self, X):
        """∇ψ at each row."""

    @abstractmethod
    def _inverse(self, Y):
        """Preimage of each row: the point at which ∇ψ is equal to the row."""

    def _check(self, X):
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_features:
            raise ValueError(f"The rows have {X.shape[1]} features, but this pair has {self.n_features}.")
        return X

    def potential(self, X):
        """ψ at each row of X: an array of shape (n_samples,)."""
        return self._potential(self._check(X))

    def transport(self, X):
        """Images T(x) = ∇ψ(x) of the rows of X, of the same shape."""
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

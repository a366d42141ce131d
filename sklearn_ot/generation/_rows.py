"""Training rows with their classes and weights."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Rows, the numbers of their classes and their weights.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        The rows.
    index : ndarray of shape (n_rows,)
        The number of the class of each row; 0 without classes.
    weight : ndarray of shape (n_rows,) or None
        Positive weights with sum 1; None if they are equal.
    """

    X: np.ndarray
    index: np.ndarray
    weight: np.ndarray | None

    def take(self, places):
        """The rows at these places."""
        weight = None if self.weight is None else self.weight[places] / self.weight[places].sum()
        return Rows(self.X[places], self.index[places], weight)

    def draw(self, n_rows, rng):
        """Rows of equal weight that stand for these: a random part of at most ``n_rows``, or so many draws by weight.

        A row of weight w is drawn n_rows · w times, rounded up or down: means over the draws vary less than over
        independent ones.
        """
        order = rng.permutation(len(self.X))
        if self.weight is None:
            return self.take(order[:n_rows])
        places = _places(self.weight[order], (np.arange(n_rows) + rng.uniform()) / n_rows)
        return self.take(rng.permutation(order[places]))._replace(weight=None)

    def classes_of(self, n_rows):
        """Numbers of classes of ``n_rows`` rows, in the masses that they have here."""
        if self.weight is None:
            return self.index[np.linspace(0, len(self.index) - 1, n_rows).astype(int)]
        return self.index[_places(self.weight, (np.arange(n_rows) + 0.5) / n_rows)]

    def hold_out(self, fraction, rng):
        """Rows to train on, and others, whose mass is at most ``fraction``, to score samples by.

        At least one row is held out. One row of each class stays, and so does a row that is heavier than ``fraction``
        and than the mean: a generator that never sees it would miss all its mass.
        """
        order = rng.permutation(len(self.X))
        n_held_out = int(fraction * len(order))
        if self.weight is not None:
            order = order[np.argsort(self.weight[order] > max(fraction, 1 / len(order)), kind="stable")]
        # The last row of each class goes to the end.
        _, last = np.unique(self.index[order][::-1], return_index=True)
        last = len(order) - 1 - last
        order = np.concatenate([np.delete(order, last), order[last]])
        if self.weight is not None:
            n_held_out = np.searchsorted(np.cumsum(self.weight[order]), fraction, side="right")
        n_held_out = min(max(1, n_held_out), len(order) - len(last))
        return self.take(order[n_held_out:]), self.take(order[:n_held_out])


def _places(weight, masses):
    """The places of rows in order at which so much mass lies before them or in them."""
    # Rounding may leave the whole mass below the last of these numbers.
    return np.searchsorted(np.cumsum(weight), masses, side="right").clip(max=len(weight) - 1)

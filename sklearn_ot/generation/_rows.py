"""Training rows with their classes and weights."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Training rows, the numbers of their classes, and their weights.

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

    @classmethod
    def merged(cls, sample, index):
        """The rows of a sample, where equal rows of one class are one row, in an order that depends on values only.

        Integer weights, and as many equal rows, therefore give the same arrays.
        """
        labelled = np.column_stack([sample.rows, index.astype(sample.rows.dtype)])
        labelled = sample._replace(rows=labelled).merged()
        return cls(labelled.rows[:, :-1], labelled.rows[:, -1].astype(int), labelled.weight)

    def take(self, places):
        """Select rows by their indices."""
        weight = None if self.weight is None else self.weight[places] / self.weight[places].sum()
        return Rows(self.X[places], self.index[places], weight)

    def draw(self, n_rows, rng):
        """Draw ``n_rows`` rows of equal weight; without weights, at most ``n_rows`` rows without repetition.

        A row of weight w is drawn n_rows · w times, rounded up or down, so that means over the draws vary less than
        means over independent draws.
        """
        order = rng.permutation(len(self.X))
        if self.weight is None:
            return self.take(order[:n_rows])
        places = _places(self.weight[order], (np.arange(n_rows) + rng.uniform()) / n_rows)
        return self.take(rng.permutation(order[places]))._replace(weight=None)

    def classes_of(self, n_rows):
        """Numbers of classes of ``n_rows`` rows, with the masses of the classes in these rows."""
        if self.weight is None:
            return self.index[np.linspace(0, len(self.index) - 1, n_rows).astype(int)]
        return self.index[_places(self.weight, (np.arange(n_rows) + 0.5) / n_rows)]

    def hold_out(self, fraction, rng):
        """Split the rows into training rows and held-out rows, whose mass is at most ``fraction``.

        At least one row is held out. One row of each class is a training row, and so is every row whose weight is above
        ``fraction`` and above the mean: a generator that was not trained on it would miss all its mass. A ValueError is
        raised if every row is the only one of its class, or if there are only two rows.
        """
        if len(self.X) < 3:
            raise ValueError(
                f"early_stopping=True holds out rows, but X has only {len(self.X)} rows with a positive weight, and a "
                "generator needs 2 for the training. Give more rows, or set early_stopping=False."
            )
        order = rng.permutation(len(self.X))
        n_held_out = int(fraction * len(order))
        if self.weight is not None:
            order = order[np.argsort(self.weight[order] > max(fraction, 1 / len(order)), kind="stable")]
        # Rows are held out from the start, and the last row of each class goes to the end.
        _, last = np.unique(self.index[order][::-1], return_index=True)
        if len(last) == len(order):
            raise ValueError(
                f"early_stopping=True holds out rows, but all {len(order)} rows of X are the only ones of their class "
                "in y. Give more rows of each class, or set early_stopping=False."
            )
        last = len(order) - 1 - last
        order = np.concatenate([np.delete(order, last), order[last]])
        if self.weight is not None:
            n_held_out = np.searchsorted(np.cumsum(self.weight[order]), fraction, side="right")
        n_held_out = min(max(1, n_held_out), len(order) - max(2, len(last)))
        return self.take(order[n_held_out:]), self.take(order[:n_held_out])


def _places(weight, masses):
    """Indices of the rows at which the cumulative weight reaches the given masses."""
    # By rounding, the cumulative weight may not reach the largest mass.
    return np.searchsorted(np.cumsum(weight), masses, side="right").clip(max=len(weight) - 1)

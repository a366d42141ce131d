"""Samples with weights."""

from numbers import Real
from typing import NamedTuple

import numpy as np

from sklearn_ot.checks import check_weight

# Larger integers are no numbers of rows.
MAX_COUNT = 2**31
# The largest number of rows that NumPy divides at random.
MAX_DIVIDED = 10**9


class Sample(NamedTuple):
    """Rows and their weights.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, n_features)
        The rows.
    weight : ndarray of shape (n_samples,) or None
        The weights of the rows: positive, in float64, with sum 1. None if all are equal.
    size : float
        The number of independent rows that the sample counts for. Without weights it is ``n_samples``. If all weights
        are integers, it is their sum, because a weight is then a number of equal rows. Otherwise it is the number
        :math:`(\\sum_i w_i)^2 / \\sum_i w_i^2` of [Kish65]_, which does not change if all weights are multiplied by a
        number.

    References
    ----------
    .. [Kish65] L. Kish, "Survey sampling", Wiley, 1965.
    """

    rows: np.ndarray
    weight: np.ndarray | None
    size: float

    @classmethod
    def of(cls, X: np.ndarray, weight=None, name: str = "sample_weight", sample: str = "X") -> "Sample":
        """The rows of ``X`` that have a positive weight.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            The rows.
        weight : array-like of shape (n_samples,), float or None, default=None
            Weights of the rows, 0 or more; None and a number weigh all rows equally.
        name, sample : str, default="sample_weight" and "X"
            Names of the two arguments of the caller, for the messages.

        Returns
        -------
        sample : Sample
            The sample.

        Raises
        ------
        ValueError
            If the weights cannot be used, see `sklearn_ot.checks.check_weight`.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_ot.solvers.samples import Sample
        >>> Sample.of(np.array([[1.0], [2.0], [5.0]]), [3, 0, 1])
        Sample(rows=array([[1.],
               [5.]]), weight=array([0.75, 0.25]), size=4.0)
        """
        share = check_weight(weight, len(X), name, sample)
        if np.ptp(share) == 0 and (weight is None or isinstance(weight, Real)):
            return cls(X, None, float(len(X)))
        given = np.asarray(weight, dtype=np.float64)
        is_count = np.all(given == np.rint(given)) and given.max() < MAX_COUNT
        size = float(given.sum() if is_count else 1 / np.sum(share**2))
        used = share > 0
        X, share = (X, share) if used.all() else (X[used], share[used])
        return cls(X, None if np.ptp(share) == 0 else share, size)

    @property
    def mass(self) -> np.ndarray:
        """The weights of the rows as an array with sum 1, also if all are equal."""
        return np.full(len(self.rows), 1 / len(self.rows)) if self.weight is None else self.weight

    @property
    def count(self) -> np.ndarray:
        """The weights with the sum `size`: integers, without a rounding error, if they are numbers of equal rows."""
        count = self.mass * self.size
        whole = np.rint(count)
        return whole if np.allclose(count, whole, rtol=1e-9, atol=0) else count

    def draw(self, n_rows: int, rng: np.random.RandomState) -> np.ndarray:
        """Rows that are equally weighted and have the distribution of the sample.

        Without weights these are rows without replacement, in random order. With weights a row is drawn as often as its
        weight says, rounded up or down at random [Kitagawa96]_.

        Parameters
        ----------
        n_rows : int
            Number of rows; without weights, at most as many as there are.
        rng : RandomState
            Draws them.

        Returns
        -------
        rows : ndarray of shape (n_rows, n_features)
            A copy of the rows.

        References
        ----------
        .. [Kitagawa96] G. Kitagawa, "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models",
           Journal of Computational and Graphical Statistics, 1996.
        """
        if self.weight is None:
            return self.rows[rng.permutation(len(self.rows))[:n_rows]]
        order = rng.permutation(len(self.rows))
        ends = np.cumsum(self.weight[order])
        places = (np.arange(n_rows) + rng.uniform()) * (ends[-1] / n_rows)
        return self.rows[order[np.searchsorted(ends[:-1], places, side="right")]]

    def halves(self, rng: np.random.RandomState) -> tuple["Sample", "Sample"]:
        """Two samples with half of the rows each, see `split`."""
        return self.split(0.5, rng)

    def split(self, share: float, rng: np.random.RandomState) -> tuple["Sample", "Sample"]:
        """Two samples, with a share of the rows and with all others.

        If the weights are numbers of equal rows, these rows are divided, so that a row may be in both halves. Otherwise
        a row is in one half, with its weight.

        Parameters
        ----------
        share : float
            Share of the first sample, above 0 and below 1.
        rng : RandomState
            Divides the rows.

        Returns
        -------
        first, second : Sample
            The two samples. One has no rows if there are too few.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_ot.solvers.samples import Sample
        >>> sample = Sample.of(np.array([[1.0], [2.0]]), [600, 400])
        >>> [part.size for part in sample.split(0.1, np.random.RandomState(0))]
        [100.0, 900.0]
        """
        count, is_whole = self.count, self._is_divisible
        if is_whole:
            first = self._drawn_count(int(self.size * share), rng)
        else:
            first = np.where(rng.permutation(len(count)) < int(len(count) * share), count, 0.0)
        parts = []
        for part in (first, count - first):
            used = part > 0
            weight = part[used] / part[used].sum()
            size = float(part.sum()) if is_whole else float(1 / np.sum(weight**2))
            parts.append(Sample(self.rows[used], None if np.ptp(weight) == 0 else weight, size))
        return tuple(parts)

    def some(self, n_rows: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """At most so many independent rows, drawn without replacement, and their masses, with sum 1.

        If the weights are numbers of equal rows, a row may be drawn as often as its number says.

        Parameters
        ----------
        n_rows : int
            Largest number of rows.
        rng : RandomState
            Draws them.

        Returns
        -------
        rows : ndarray of shape (n, n_features)
            A copy of the rows.
        mass : ndarray of shape (n,)
            Their masses.
        """
        if self._is_divisible:
            index = np.repeat(np.arange(len(self.rows)), self._drawn_count(min(n_rows, int(self.size)), rng))
            return self.rows[index], np.full(len(index), 1 / len(index))
        index = np.sort(rng.permutation(len(self.rows))[:n_rows])
        return self.rows[index], self.mass[index] / self.mass[index].sum()

    @property
    def _is_divisible(self):
        return self.size < MAX_DIVIDED and bool(np.all(self.count == np.rint(self.count)))

    def _drawn_count(self, n_rows, rng):
        """How often each of the equal rows is among so many that are drawn without replacement."""
        draw = np.random.default_rng(rng.randint(2**31)).multivariate_hypergeometric
        return draw(self.count.astype(np.int64), n_rows, method="marginals")

    def merged(self) -> "Sample":
        """The sample with equal rows as one row, which has the sum of their weights.

        The rows are sorted by their first column, then by the next. So integer weights, and as many equal rows, give
        the same arrays, bit for bit and in any order of the rows; the order does not depend on units.
        """
        rows, order, is_first = _sorted_rows(self.rows)
        if self.weight is None and is_first.all():
            return self._replace(rows=rows)
        # Integers have exact sums.
        count = self.count[order]
        total = np.add.reduceat(count, np.flatnonzero(is_first))
        return Sample(rows[is_first], None if np.ptp(total) == 0 else total / total.sum(), self.size)

    def merged_index(self) -> np.ndarray:
        """For each row of `merged`, the index of the first row that is equal to it."""
        _, order, is_first = _sorted_rows(self.rows)
        return order[is_first]


def _sorted_rows(rows):
    """Rows sorted by their first column, then by the next; their indices; which of them differ from the one before."""
    order = np.argsort(rows[:, 0], kind="stable")
    first = rows[order, 0]
    is_tied = first[1:] == first[:-1]
    tied = np.flatnonzero(np.concatenate([is_tied, [False]]) | np.concatenate([[False], is_tied]))
    order[tied] = order[tied][np.lexsort(rows[order[tied]].T[::-1])]
    # 0.0 and -0.0 are equal.
    rows = rows[order] + rows.dtype.type(0)
    return rows, order, np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)])

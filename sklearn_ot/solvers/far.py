"""Numbers so far out that a few of them set the scale of their column."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv

# Largest number of numbers that are sorted, and smallest number of rows that they are taken from.
SORTED_NUMBERS, SORTED_ROWS = 2**20, 500
# Smallest number of rows in which numbers can be far out, and the share of them that may be.
LEAST_ROWS, FAR_SHARE = 20, 0.02
# Probability that a number beyond the usual ones counts as far out, if the tail goes on as it began.
FALSE_ALARMS = 0.004
# Index of the tail of Student's distribution with 3 degrees of freedom, and how many rows it counts for.
PRIOR_TAIL, PRIOR_ROWS = 1 / 3, 10
# Smallest ratio of a number that is far out and the usual ones, for columns of few different numbers.
LEAST_RATIO = 6
# Places in the order of the distances from the median.
PLACES = np.array([1, 2, 5, 20, 100])


class FarNumbers(NamedTuple):
    """Where numbers are far out.

    Attributes
    ----------
    columns : ndarray of int
        The columns that have such numbers.
    rows : ndarray of int
        The rows that have such numbers.
    """

    columns: np.ndarray
    rows: np.ndarray


def far_numbers(X: np.ndarray) -> FarNumbers:
    r"""Rows and columns with numbers that are farther out than the tail of their column explains.

    The distances of the numbers of a column from its median, in descending order, are
    :math:`a_1 \ge a_2 \ge \dots` With m at 2 % of the rows and M = 5 m, the tail falls like
    :math:`x^{-1/\xi}` with :math:`\xi = \log(a_m / a_M) / \log 5`. The numbers up to place k are far out if

    .. math:: a_k > a_m \max\left(6, \left(\frac{m}{\gamma_k}\right)^{\xi'}\right) ,

    where γₖ is exceeded with probability 0.996 by a Gamma variable of the shape k, as the ranks of a sample from such a
    tail are, and ξ' is the mean of ξ plus two standard errors, with weight m, and of 1/3, the index of Student's
    distribution with three degrees of freedom, with weight 10. So the limits are wide for heavy tails. Columns in which
    half of the numbers are equal are left out. In a large sample the places after the first are those of some of the
    rows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.

    Returns
    -------
    far : FarNumbers
        The rows and columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.far import far_numbers
    >>> X = np.random.RandomState(0).standard_normal((200, 10))
    >>> X[17, 4] = 100
    >>> far_numbers(X)
    FarNumbers(columns=array([4]), rows=array([17]))
    """
    n_samples, n_features = X.shape
    none = np.zeros(0, dtype=int)
    if n_samples < LEAST_ROWS:
        return FarNumbers(none, none)
    part = X[:: max(1, n_samples // max(SORTED_ROWS, SORTED_NUMBERS // n_features))].astype(np.float64)
    n_rows = len(part)
    with np.errstate(over="ignore", invalid="ignore"):
        median = np.median(part, axis=0)
        distances = np.sort(np.abs(part - median), axis=0)[::-1]
        m = max(int(FAR_SHARE * n_rows), min(4, n_rows // 10))
        places = PLACES[m >= PLACES]
        # The first place in all rows is farther out than that in some of the rows.
        ranks = gammaincinv(places, FALSE_ALARMS) * np.where(places == 1, n_rows / n_samples, 1)
        limits = distances[m - 1] * np.maximum(LEAST_RATIO, _tail(distances, m) ** np.log(m / ranks)[:, None])
        ends = np.maximum(X.max(axis=0) - median, median - X.min(axis=0))
        found = np.concatenate([ends[None], distances[places[1:] - 1]])
        least = np.where(found > limits, limits, np.inf).min(axis=0)
        columns = np.flatnonzero(least < np.inf)
        is_far = np.abs(X[:, columns] - median[columns]) > least[columns]
    return FarNumbers(columns, np.flatnonzero(is_far.any(axis=1)))


def _tail(distances, m):
    """The factor by which distances grow when ranks fall by the factor e; infinite if most numbers are equal."""
    ratio = np.log(5)
    with np.errstate(divide="ignore"):
        index = np.log(distances[m - 1] / distances[5 * m - 1]) / ratio
    index = (PRIOR_TAIL * PRIOR_ROWS + index * (1 + 2 * np.sqrt(0.8 / m) / ratio) * m) / (PRIOR_ROWS + m)
    return np.where(distances[len(distances) // 2] > 0, np.exp(index), np.inf)

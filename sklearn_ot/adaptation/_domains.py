"""Domains: a memory of the two samples of a fit that shows to which of them other rows belong."""

import numpy as np
from scipy.special import rel_entr
from scipy.stats import beta, binom
from sklearn.preprocessing import RobustScaler
from sklearn.utils import gen_batches

from sklearn_ot.plain import stored
from sklearn_ot.settings import in_own_settings

# Rows and columns of both samples for the test, at most; the time of the test at fit grows with the cube of the rows.
TEST_ROWS, TEST_COLUMNS = 300, 128
# Rows of a call that are tested, at most.
CALL_ROWS = 256
# A part of the target with at least this share, such as one class, counts as target rows.
SMALLEST_PART = 0.1
# Probabilities of a false alarm: for all calls together, because the sample at fit misleads, and for each call.
FIT_LEVEL, CALL_LEVEL = 0.01, 1e-3
# Candidates for the threshold: the number of target rows beyond it.
BEYOND = (0, 1, 2, 5, 10, 20)
# Rows that are read at once for their keys, so that they stay in the cache of the processor.
KEY_ROWS = 4096


@stored
class Domains:
    """Two samples, remembered by the keys of the rows of the source and by a test for other rows.

    Parameters
    ----------
    source, target : ndarray of shape (n_source_samples, n_features) and (n_target_samples, n_features)
        Rows of both domains, of one float dtype.
    """

    @in_own_settings
    def __init__(self, source, target):
        self.dtype = source.dtype
        # Rows may come back in float32 although the fit had them in float64, and the reverse.
        dtypes = {source.dtype, np.dtype(np.float32)}
        self.keys = {dtype: keys_of_the_source(_cast(source, dtype), _cast(target, dtype)) for dtype in dtypes}
        self.test = DomainTest(source, target)

    @in_own_settings
    def are_source_rows(self, rows):
        """Which rows are rows of the source of the fit, as a boolean array."""
        dtype = min(self.dtype, rows.dtype, key=lambda dtype: dtype.itemsize)
        return contains(self.keys[dtype], row_keys(_cast(rows, dtype)))

    @in_own_settings
    def resemble_the_source(self, rows):
        """Whether too many of the rows look like rows of the source for a part of the target."""
        return self.test.resemble_the_source(rows)


def _cast(rows, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return rows.astype(dtype, copy=False)


def row_keys(rows):
    """Numbers of 64 bits, one for each row: equal rows have equal numbers, other rows practically never."""
    # A random odd number for each column; the product modulo 2^64 spreads the low bits of a value over the high ones.
    # In numbers such as 1.0 all low bits are 0: the shift brings the high bits there.
    factors = np.random.RandomState(0).randint(2**62, size=rows.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    keys = np.empty(len(rows), np.uint64)
    for part in gen_batches(len(rows), KEY_ROWS):
        # The sum makes -0.0 to 0.0.
        bits = np.add(rows[part], 0.0, dtype=np.float64, order="C").view(np.uint64)
        keys[part] = (bits ^ (bits >> np.uint64(44))) @ factors
    return keys


def contains(ascending, keys):
    """Which of the keys are among those in ascending order, as a boolean array."""
    if not len(ascending):
        return np.zeros(len(keys), bool)
    return ascending[np.searchsorted(ascending[:-1], keys)] == keys


def keys_of_the_source(source, target):
    """Keys, in ascending order, of rows that are in the source only; none if new target rows may equal source rows.

    The share of new rows of the target that equal a source row and no row of this target has the leave-one-out estimate
    (number of rows that occur once in the target, and in the source) / (number of target rows). Only if it is zero, a
    row can be known by its values; it is not if a table has few different rows, for example of categories.
    """
    keys = np.sort(row_keys(source))
    other, count = np.unique(row_keys(target), return_counts=True)
    if contains(keys, other[count == 1]).any():
        return np.empty(0, np.uint64)
    return keys[~contains(other, keys)]


@stored
class DomainTest:
    """A test whether rows come from the source rather than from any part of the target.

    A score is fitted to distinguish the two samples: ridge regression of the domain on the columns, their squares, and
    two Gaussian kernels. The score that each row of the fit has if it is left out of the fit has a closed form
    [RasmussenWilliams06]_ (section 5.4.2). Let :math:`q` be the upper confidence bound of the share of the target
    whose score is beyond a threshold. Then a part of the target with the share :math:`\\pi` or more has at most the
    share :math:`q / \\pi` of its rows beyond it. The test raises an alarm if the number of rows beyond the threshold
    would be less likely than ``CALL_LEVEL`` under the binomial distribution with this share. So rows of one class of
    the target raise none, nor do rows of samples that are alike, nor few rows. A row farther from all rows of the
    source than 95 % of these are from their nearest neighbours is never counted as beyond, nor is a call with fewer
    rows beyond the threshold than half the share that source rows have there.

    References
    ----------
    .. [RasmussenWilliams06] C. E. Rasmussen and C. K. I. Williams, "Gaussian processes for machine learning", MIT
       Press, 2006.
    """

    def __init__(self, source, target):
        rng = np.random.RandomState(0)
        self.columns = rng.permutation(source.shape[1])[:TEST_COLUMNS]
        # A row that occurs twice would know its own domain from its copy.
        source, target = (
            np.unique(rows[rng.permutation(len(rows))[:TEST_ROWS]][:, self.columns], axis=0).astype(np.float64)
            for rows in (source, target)
        )
        both = np.vstack([source, target])
        # Differences of numbers near the largest float would overflow.
        largest = np.abs(both).max(axis=0)
        self.unit = np.where(largest > 0, largest, 1)
        self.scaler = RobustScaler(quantile_range=(5, 95), unit_variance=True).fit(both / self.unit)
        self.rows = self._scale(both)
        self.width = max(np.median(squared_distances(self.rows, self.rows)), 1e-3)
        # The labels have the sum 0.
        label = np.repeat([len(target) / len(source), -1.0], [len(source), len(target)])
        inverse = np.linalg.inv(self._kernel(self.rows) + np.eye(len(both)))
        self.coef = inverse @ label
        left_out = label - self.coef / np.diag(inverse)
        self.threshold, self.power, self.chance = choose_threshold(left_out[: len(source)], left_out[len(source) :])
        # Beyond this distance from all rows of the source, a row of a third domain may have any score.
        self.n_source = len(source)
        apart = squared_distances(self.rows[: self.n_source], self.rows[: self.n_source])
        np.fill_diagonal(apart, np.inf)
        self.reach = np.quantile(apart.min(axis=1), 0.95) if self.n_source > 1 else 0.0

    def _scale(self, rows):
        # Bounded, so that a few wild cells do not set the score. The methods of scikit-learn check their input, which
        # would take most of the time of a call with one row.
        with np.errstate(over="ignore"):
            return np.clip((rows / self.unit - self.scaler.center_) / self.scaler.scale_, -4, 4)

    def _kernel(self, rows):
        features, own = (np.hstack([2 * z, z**2]) / np.sqrt(z.shape[1]) for z in (rows, self.rows))
        near = np.exp(-squared_distances(rows, self.rows) / self.width)
        return 1 + features @ own.T + 10 * (near + near**4)

    def resemble_the_source(self, rows):
        """Whether too many of the rows are beyond the threshold for a part of the target."""
        n_rows = min(len(rows), CALL_ROWS)
        # Few rows cannot raise an alarm, unless the domains lie far apart.
        if self.chance**n_rows > CALL_LEVEL:
            return False
        rows = rows[np.linspace(0, len(rows) - 1, n_rows).astype(int)][:, self.columns]
        rows = self._scale(rows)
        is_near = squared_distances(rows, self.rows[: self.n_source]).min(axis=1) <= self.reach
        n_beyond = np.sum(is_near & (self._kernel(rows) @ self.coef > self.threshold))
        # A few rows in a far corner of the target do not resemble the source.
        if n_beyond < n_rows * self.power / 2:
            return False
        return binom.sf(n_beyond - 1, n_rows, self.chance) < CALL_LEVEL


def squared_distances(x, y):
    """Squared distances between the rows of two arrays."""
    return np.maximum(np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1) - 2 * x @ y.T, 0)


def choose_threshold(source, target):
    """The threshold of scores that distinguishes the source best from any part of the target.

    Parameters
    ----------
    source, target : ndarray of shape (n_source_samples,) and (n_target_samples,)
        Scores of the rows of both samples.

    Returns
    -------
    threshold, power, chance : float
        The threshold, the share of the source beyond it, and the largest share of a part of the target beyond it; the
        last is 1 if no threshold distinguishes them.
    """
    # A score as far beyond the largest one as this is above the smallest has about the chance 1 / n² if the tail of the
    # scores is exponential: this knows single rows if the domains lie far apart.
    far = max(2 * target.max() - target.min(), 0.0)
    candidates = [(far, 1 / len(target) ** 2)]
    for n_beyond in BEYOND:
        threshold = max(np.sort(target)[-1 - min(n_beyond, len(target) - 1)], 0.0)
        n = np.sum(target > threshold)
        # The confidence bound of Clopper and Pearson.
        candidates.append((threshold, beta.ppf(1 - FIT_LEVEL / len(BEYOND), n + 1, len(target) - n)))
    best = 0.0, np.inf, 0.0, 1.0
    for threshold, share in candidates:
        power, chance = np.mean(source > threshold), min(share / SMALLEST_PART, 1.0)
        if power > chance:
            # The information of one row of the source against the chance.
            gain = rel_entr(power, chance) + rel_entr(1 - power, 1 - chance)
            best = max(best, (gain, threshold, power, chance))
    return best[1:]

"""Means, deviations and correlations of weighted samples, with the shrinkage that few rows need."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import gen_batches

from sklearn_ot.solvers.samples import Sample

# Size of the chunks of rows that are multiplied, and of the smaller blocks that are centred and fit into a cache.
CHUNK_NUMBERS, BLOCK_NUMBERS = 2**22, 2**17
# Standardised numbers beyond this are cut off where the noise is estimated, so that one of them cannot raise it much.
FAR = 5.0
# A column varies in a few rows only if one of them is so many deviations away, and has this share of the variance.
RARE_PEAK, RARE_SHARE = 10.0, 0.05


class Moments(NamedTuple):
    r"""Moments of a sample, in the units of each column.

    The covariance is :math:`s_i s_j ((1 - \alpha) R_{ij} + \alpha \delta_{ij})` with the deviations s, the correlations
    R and the weight α of the shrinkage. Shrinkage moves the correlations towards 0 and leaves the deviations as they
    are. So a column in other units, or with a number that is far out, has no effect on the other columns.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        The mean.
    deviations : ndarray of shape (n_features,)
        The standard deviations, with the divisor n_samples.
    rows : ndarray of shape (n_samples, n_features) or None
        The standardised rows times the root of their weights: R is ``rows.T @ rows``. None if R is given.
    correlation : ndarray of shape (n_features, n_features) or None
        R, without shrinkage. The rows and columns of constant columns are 0.
    shrinkage : float
        α.
    noise : float
        Variance of the logarithm of a deviation, around the mean of the logarithms; 0 if it is not to be reduced.
    size : float
        Number of independent rows.
    peaks : ndarray of shape (n_features,) or float
        The largest distance from the mean in each column, in deviations; 0 if it is not known.
    """

    mean: np.ndarray
    deviations: np.ndarray
    rows: np.ndarray | None = None
    correlation: np.ndarray | None = None
    shrinkage: float = 0.0
    noise: float = 0.0
    size: float = np.inf
    peaks: np.ndarray | float = 0.0

    @property
    def is_rare(self) -> np.ndarray:
        """Which columns vary in a few rows of many only: a single row has 5 % of the variance."""
        peaks = np.broadcast_to(self.peaks, self.deviations.shape)
        return (peaks > RARE_PEAK) & (peaks**2 > RARE_SHARE * self.size)

    @classmethod
    def of_covariance(cls, mean: np.ndarray, covariance: np.ndarray) -> "Moments":
        """The moments of a distribution."""
        deviations = np.sqrt(np.maximum(np.diag(covariance), 0))
        unit = np.where(deviations > 0, deviations, np.inf)
        return cls(np.asarray(mean), deviations, correlation=covariance / unit[:, None] / unit)

    @classmethod
    def standard(cls, n_features: int) -> "Moments":
        """The moments of N(0, I), whose correlations are shrunk entirely and need no matrix."""
        return cls(np.zeros(n_features), np.ones(n_features), rows=np.zeros((0, n_features)), shrinkage=1.0)

    @property
    def covariance(self) -> np.ndarray:
        """The covariance, a new array of shape (n_features, n_features)."""
        covariance = self.rows.T @ self.rows if self.correlation is None else self.correlation.copy()
        covariance *= 1 - self.shrinkage
        covariance[np.diag_indices_from(covariance)] = 1
        covariance *= self.deviations[:, None]
        covariance *= self.deviations
        return covariance


def sample_moments(sample: Sample, shrinkage: float | str | None = None, *, keep_rows: bool = False) -> Moments:
    r"""Moments of a sample, computed in chunks of rows.

    The rows are centred and divided by the deviations before they are multiplied: neither a mean that is large against
    the deviation nor the units of a column do harm, up to the largest floats. Products of float32 rows are computed in
    float32 and added up in float64. Without ``keep_rows`` memory does not grow with the number of rows.

    Parameters
    ----------
    sample : Sample
        Rows and weights.
    shrinkage : float, "auto" or None, default=None
        Weight α in [0, 1] of the shrinkage of the correlations towards 0. None is 0. "auto" is the weight of
        [Schaefer05]_, with the expected squared error of the correlations :math:`R_{ij} = E z_i z_j` of the
        standardised columns z as in [LedoitWolf04]_,

        .. math:: \alpha = \frac{\sum_{i \ne j} (E z_i^2 z_j^2 - R_{ij}^2)}{n \sum_{i \ne j} R_{ij}^2} ,

        where z is cut off at ±5 in the fourth moments.
    keep_rows : bool, default=False
        Whether to return the standardised rows in place of their correlations, for fewer rows than columns.

    Returns
    -------
    moments : Moments
        The moments.

    References
    ----------
    .. [Schaefer05] J. Schäfer and K. Strimmer, "A shrinkage approach to large-scale covariance matrix estimation and
       implications for functional genomics", Statistical Applications in Genetics and Molecular Biology, 2005.
    .. [LedoitWolf04] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
       Journal of Multivariate Analysis, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.moments import sample_moments
    >>> from sklearn_ot.solvers.samples import Sample
    >>> sample_moments(Sample.of(1e8 + np.array([[0.0, 0.0], [2.0, 4.0]]))).covariance
    array([[1., 2.],
           [2., 4.]])
    """
    blocks = _Blocks.of(sample)
    if keep_rows:
        parts = [z * root for z, root in blocks.standardised()]
        rows, correlation = np.concatenate(parts), None
        squares = np.sum((rows @ rows.T) ** 2)
    else:
        rows, correlation = None, blocks.correlation()
        squares = np.sum(correlation**2)
    n_varying, noise = np.count_nonzero(blocks.deviations), 0.0
    if shrinkage == "auto":
        shrinkage = 0.0
        if n_varying > 1:
            pairs, fourth = blocks.fourth_moments(n_varying)
            square = max(0.0, (squares - n_varying) / (n_varying * (n_varying - 1)))
            excess = max(0.0, pairs - square)
            shrinkage = excess / (sample.size * square) if excess < sample.size * square else 1.0
            # The variance of a squared deviation is E z⁴ − 1, and the covariance of two of them is E zᵢ² zⱼ² − 1.
            noise = max(0.0, fourth - pairs) / (4 * sample.size)
    mean = blocks.first + blocks.offset
    return Moments(
        mean, blocks.deviations, rows, correlation, float(shrinkage or 0.0), noise, sample.size, blocks.peaks
    )


class _Blocks(NamedTuple):
    """A sample whose mean and deviations are known, as blocks of rows."""

    sample: Sample
    first: np.ndarray
    offset: np.ndarray
    deviations: np.ndarray
    peaks: np.ndarray

    @classmethod
    def of(cls, sample):
        """Find the mean and the deviations."""
        first = sample.rows[0].astype(np.float64)
        blocks = cls(sample, first, np.zeros_like(first), np.ones_like(first), np.zeros_like(first))
        offset = sum(weight @ block for block, weight in blocks.centred())
        blocks = blocks._replace(offset=offset)
        # Squares of the numbers themselves could leave the range of floats.
        largest = np.max([np.abs(block).max(axis=0) for block, _ in blocks.centred()], axis=0)
        if not np.isfinite(largest).all():
            raise ValueError(
                f"Column {np.flatnonzero(~np.isfinite(largest))[0]} has numbers so large that their differences are no "
                "floats (above 1.8e308): divide it by a unit."
            )
        unit = np.where(largest > 0, largest, 1.0)
        variance = sum(weight @ np.square(block / unit) for block, weight in blocks.centred())
        # A deviation is at least a fraction of the largest number, unless both are 0.
        peaks = np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1)), 0)
        return blocks._replace(deviations=unit * np.sqrt(variance), peaks=peaks)

    def centred(self):
        """Yield the rows minus the first row and the offset, in blocks of float64, with their weights.

        The difference of two large numbers is exact, unlike their mean: constant columns become exact zeros.
        """
        rows, weight = self.sample.rows, self.sample.weight
        for part in gen_batches(len(rows), max(1, BLOCK_NUMBERS // rows.shape[1])):
            with np.errstate(over="ignore", invalid="ignore"):
                block = rows[part] - self.first
                block -= self.offset
            n_rows = part.stop - part.start
            yield block, np.full(n_rows, 1 / len(rows)) if weight is None else weight[part]

    def standardised(self):
        """Yield the standardised rows, in blocks of float64, with the roots of their weights as a column."""
        unit = np.where(self.deviations > 0, self.deviations, 1.0)
        for block, weight in self.centred():
            block /= unit
            yield block, np.sqrt(weight)[:, None]

    def correlation(self):
        """The correlations."""
        rows = self.sample.rows
        n_samples, n_features = rows.shape
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        n_rows = min(n_samples, max(1, CHUNK_NUMBERS // n_features))
        # New memory for each chunk would take a third of the time.
        chunk, product = np.empty((n_rows, n_features), dtype), np.empty((n_features, n_features), dtype)
        correlation, end = np.zeros((n_features, n_features)), 0
        for z, root in self.standardised():
            if end + len(z) > n_rows:
                correlation += np.matmul(chunk[:end].T, chunk[:end], out=product)
                end = 0
            np.multiply(z, root, out=chunk[end : end + len(z)], casting="same_kind")
            end += len(z)
        return correlation + np.matmul(chunk[:end].T, chunk[:end], out=product)

    def fourth_moments(self, n_varying):
        """The means of E zᵢ² zⱼ² over pairs of columns, and of E zᵢ⁴ over columns, without those that are constant."""
        norms, fourths = 0.0, 0.0
        for z, root in self.standardised():
            squares = np.square(np.clip(z, -FAR, FAR, out=z), out=z)
            norms += np.sum(np.square(root[:, 0] * squares.sum(axis=1)))
            fourths += np.sum(np.square(root * squares))
        return (norms - fourths) / (n_varying * (n_varying - 1)), fourths / n_varying

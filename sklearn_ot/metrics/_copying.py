"""Whether a generator returns its training rows."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.utils._param_validation import validate_params

from sklearn_ot.checks import check_rows
from sklearn_ot.metrics._rows import in_typical_units, nearest_rows, unit_of
from sklearn_ot.settings import in_own_settings


class Copying(NamedTuple):
    """Result of `copying`: ``nearer``, ``copied``, and both ``distances`` and ``held_out_distances``."""

    nearer: float
    copied: float
    distances: np.ndarray
    held_out_distances: np.ndarray


@in_own_settings
@validate_params(
    {
        "samples": ["array-like"],
        "training": ["array-like"],
        "held_out": ["array-like"],
        "scale_columns": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def copying(samples, training, held_out, *, scale_columns=True):
    """Measure whether samples are copies of training rows.

    Each sample, and each held-out row of the data, has a distance from the nearest training row. If the samples follow
    the distribution of the data, both kinds of distances have the same distribution. Samples of a generator that has
    learned its training rows by heart are nearer to them [Meehan20]_.

    Parameters
    ----------
    samples : array-like of shape (n_samples, n_features)
        Samples of the generator.
    training : array-like of shape (n_training_rows, n_features)
        The rows that the generator was fitted to, all of them.
    held_out : array-like of shape (n_held_out, n_features)
        Other rows of the data.
    scale_columns : bool, default=True
        Whether each column is divided by its spread in the training rows, so that its units do not matter. The spread
        is the difference between the quartiles; if they are equal, the mean deviation from the median. False for
        images, whose pixels have the same units.

    Returns
    -------
    copying : Copying
        A named tuple:

        - ``nearer``: probability that a random sample is nearer to the training rows than a random held-out row; equal
          distances count one half. Fresh rows have 1/2, copies have nearly 1. Below 1/2 the samples are farther away
          than data, as blurred images are.
        - ``copied``: the largest excess, over all distances t, of the share of samples within t of a training row over
          the share of held-out rows within t. At least this share of the samples are too near, up to chance. It also
          shows a small share of copies among samples that are otherwise far away. Fresh rows have about
          :math:`0.6 \\sqrt{1/n + 1/m}` by chance, for n samples and m held-out rows, and rarely more than twice this
          number.
        - ``distances``, ``held_out_distances``: the distances themselves, in the order of the rows; their unit is the
          spread of a column, or that of the data without ``scale_columns``.

    Raises
    ------
    ValueError
        If the arrays have different numbers of columns.

    See Also
    --------
    sample_quality : Whether samples are near to the data at all, and reach all of them.
    sklearn_ot.plotting.CopyingDisplay : A picture of both kinds of distances.

    Notes
    -----
    Many samples of discrete data are equal to a training row, and so are many held-out rows: only the difference
    between the two says something. Held-out rows must be independent of the training rows. If the data have several
    rows of each person or day, hold out whole persons or days.

    References
    ----------
    .. [Meehan20] C. Meehan, K. Chaudhuri, S. Dasgupta, "A non-parametric test to detect data-copying in generative
       models", AISTATS 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.metrics import copying
    >>> rng = np.random.RandomState(0)
    >>> training, held_out, fresh = rng.standard_normal((3, 500, 2))
    >>> print(f"{copying(fresh, training, held_out).nearer:.2f}")
    0.49
    >>> noisy = training + 0.01 * rng.standard_normal((500, 2))
    >>> result = copying(noisy, training, held_out)
    >>> print(f"{result.nearer:.2f} {result.copied:.2f}")
    0.98 0.89
    """
    arrays = {"training": training, "samples": samples, "held_out": held_out}
    arrays = {name: check_rows(rows, name, dtype=np.float64) for name, rows in arrays.items()}
    for name in ("samples", "held_out"):
        if arrays[name].shape[1] != arrays["training"].shape[1]:
            raise ValueError(
                f"{name} has {arrays[name].shape[1]} columns, but training has {arrays['training'].shape[1]}."
            )
    spread = _spread(arrays["training"]) if scale_columns else 1.0
    with np.errstate(over="ignore"):
        *rows, unit = in_typical_units(*(rows / spread for rows in arrays.values()))
    distances, held_out_distances = (unit * nearest_rows(part, rows[0])[1] for part in rows[1:])
    return Copying(*_compare(distances, held_out_distances), distances, held_out_distances)


def _spread(rows):
    """A unit of each column that a few far rows do not change."""
    unit = unit_of(rows)
    rows = rows / unit
    low, middle, high = np.percentile(rows, [25, 50, 75], axis=0)
    deviation = np.abs(rows - middle).mean(axis=0)
    return np.where(high > low, high - low, np.where(deviation > 0, deviation, 1 / unit)) * unit


def _compare(distances, others):
    """The probability that a distance is the smaller one, and the largest excess of its distribution function."""
    both = np.concatenate([distances, others])
    n_smaller = rankdata(both)[: len(distances)].mean() - (len(distances) + 1) / 2
    shares, other_shares = (
        np.searchsorted(np.sort(part), both, side="right") / len(part) for part in (distances, others)
    )
    return float(1 - n_smaller / len(others)), float(max(np.max(shares - other_shares), 0))

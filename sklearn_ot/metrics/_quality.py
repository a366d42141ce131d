"""The quality of a sample: coverage of known modes, and balls around rows."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_ot.metrics._rows import (
    FARTHEST,
    SAMPLES,
    check_samples,
    in_typical_units,
    nearest_rows,
    row_counts,
    squared_distances,
)
from sklearn_ot.settings import in_own_settings


class ModeCoverage(NamedTuple):
    """Result of `mode_coverage`: ``n_modes``, ``high_quality`` and ``reverse_kl``."""

    n_modes: int
    high_quality: float
    reverse_kl: float


@in_own_settings
@validate_params(
    {
        "X": ["array-like"],
        "modes": ["array-like"],
        "std": [Interval(Real, 0, None, closed="neither")],
        "mode_weight": ["array-like", None],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def mode_coverage(X, modes, std, *, mode_weight=None, sample_weight=None):
    """Coverage of the modes of a known mixture by a sample.

    The three numbers are those of [Lin18]_. No single number is enough: a sample from one mode alone has the highest
    quality.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The sample, for example of a generator; the papers take 2500 rows.
    modes : array-like of shape (n_modes, n_features)
        Centres of the modes.
    std : float
        Standard deviation of a mode, in each coordinate.
    mode_weight : array-like of shape (n_modes,), default=None
        Weights of the modes, above 0, normalised to sum 1. Equal weights if None.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows of ``X``, 0 or more. Equal weights if None.

    Returns
    -------
    coverage : ModeCoverage
        A named tuple:

        - ``n_modes``: number of modes that are nearest to at least one row of high quality.
        - ``high_quality``: share of rows of high quality. A row has high quality if it lies within 3 ``std`` of the
          nearest centre. In two dimensions a sample of the mixture itself has 0.989.
        - ``reverse_kl``: Kullback–Leibler divergence between q, the shares of rows nearest to each mode, and p, the
          weights of the modes. 0 is best. A sample of n rows of the mixture itself has about (n_modes − 1) / 2n.

          .. math:: \\operatorname{KL}(q \\,\\|\\, p) = \\sum_k q_k \\log \\frac{q_k}{p_k}

    Raises
    ------
    ValueError
        If the arrays have different numbers of columns, a weight of a mode is not above 0, or the weights of the rows
        are unusable.

    See Also
    --------
    sklearn_ot.datasets.ring_modes, sklearn_ot.datasets.grid_modes : Centres of the published protocol.

    References
    ----------
    .. [Lin18] Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: the power of two samples in generative adversarial
       networks", NeurIPS 2018.

    Examples
    --------
    >>> from sklearn_ot.metrics import mode_coverage
    >>> mode_coverage([[0.0], [0.2], [0.6], [1.0]], modes=[[0.0], [1.0]], std=0.1)
    ModeCoverage(n_modes=2, high_quality=0.75, reverse_kl=0.0)
    """
    names = {"names": ("X", "modes"), "weight_names": ("sample_weight", "mode_weight")}
    sample, mixture = check_samples(X, modes, sample_weight, mode_weight, **names)
    if mode_weight is not None and len(mixture.rows) < len(mode_weight):
        raise ValueError("mode_weight is 0 for a mode: leave that mode out of modes and mode_weight.")
    # In units of the deviation of a mode.
    with np.errstate(over="ignore"):
        rows, centres = ((part.rows / std).clip(-FARTHEST, FARTHEST) for part in (sample, mixture))
    nearest, distances = nearest_rows(rows, centres)
    good = distances <= 3
    count = row_counts(sample)
    shares = np.bincount(nearest, count, minlength=len(centres)) / count.sum()
    return ModeCoverage(
        n_modes=len(np.unique(nearest[good])),
        high_quality=float(count @ good / count.sum()),
        reverse_kl=float(rel_entr(shares, mixture.mass).sum()),
    )


class SampleQuality(NamedTuple):
    """Result of `sample_quality`: ``precision``, ``recall``, ``density`` and ``coverage``."""

    precision: float
    recall: float
    density: float
    coverage: float


@in_own_settings
@validate_params(
    {**SAMPLES, "n_neighbors": [Interval(Integral, 1, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def sample_quality(X, Y, *, n_neighbors=5, sample_weight=None, target_weight=None):
    """Precision, recall, density and coverage of a sample, by balls around rows.

    Each row has a ball, whose radius is the distance to its k-th nearest neighbour in its own sample. The balls of the
    data together cover the support of the data, and the balls of the sample cover the support of the sample.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The sample, for example of a generator.
    Y : array-like of shape (n_target_samples, n_features)
        Rows of the data, if possible rows on which the generator was not trained.
    n_neighbors : int, default=5
        The number k of neighbours in a ball.
    sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
        Weights of the rows of ``X`` and ``Y``, 0 or more. Integer weights are numbers of equal rows. Equal weights if
        None.

    Returns
    -------
    quality : SampleQuality
        A named tuple:

        - ``precision``: share of rows of ``X`` that lie in the ball of some row of ``Y`` [Kynkaanniemi19]_.
        - ``recall``: share of rows of ``Y`` that lie in the ball of some row of ``X`` [Kynkaanniemi19]_.
        - ``density``: average number of balls of ``Y`` in which a row of ``X`` lies, divided by k [Naeem20]_. The large
          ball of one outlier has less effect on it than on precision. It can be above 1. Rows on the surface of a ball
          count in part, see the Notes.
        - ``coverage``: share of the balls of ``Y`` that hold a row of ``X`` [Naeem20]_.

    Raises
    ------
    ValueError
        If the arrays have different numbers of columns, or not more rows than ``n_neighbors``, or weights are unusable.

    See Also
    --------
    mode_coverage : Coverage of known modes.

    Notes
    -----
    For two samples of the same continuous distribution, coverage is about :math:`1 - 2^{-k}`, and density about 1
    [Naeem20]_. Compare only numbers with the same ``n_neighbors``, the same sizes of samples and the same features.

    Rows with ties (categories, counts, saturated pixels) are compared as they are. Precision, recall and coverage count
    the surface of a ball: the ball of a row with more than k equal rows has radius 0, and holds all these rows. In the
    density a row on the surface counts :math:`w = (k - a) / (b + 1)`, if a other rows of ``Y`` are inside the ball and
    b on its surface. This is the probability that it is among the k nearest ones if ties are broken at random, so that
    a second sample of the same distribution has an average density of 1, whatever the ties. A copy of ``Y`` has one
    more row in the centre of each ball than an independent sample. This row counts w, too, so that all four numbers of
    a copy are 1. For a sample that is a copy in part, it counts in part: the share of copies is estimated from the
    numbers of equal rows in ``X`` and ``Y``.

    References
    ----------
    .. [Kynkaanniemi19] T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen, T. Aila, "Improved precision and recall
       metric for assessing generative models", NeurIPS 2019.
    .. [Naeem20] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, "Reliable fidelity and diversity metrics for generative
       models", ICML 2020.

    Examples
    --------
    >>> from sklearn_ot.metrics import sample_quality
    >>> sample_quality([[0.3], [0.5], [9.0]], [[0.0], [1.0], [2.0]], n_neighbors=1)
    SampleQuality(precision=0.666..., recall=0.666..., density=1.333..., coverage=0.666...)
    """
    source, target = check_samples(X, Y, sample_weight, target_weight)
    if min(source.size, target.size) < n_neighbors + 1:
        raise ValueError(
            f"X has {source.size:g} rows and Y {target.size:g}; both need more than n_neighbors={n_neighbors}. Lower "
            "n_neighbors."
        )
    y, x, _ = in_typical_units(target.rows, source.rows)
    x_count, y_count = row_counts(source), row_counts(target)
    x_balls, y_balls = _balls(x, x_count, n_neighbors), _balls(y, y_count, n_neighbors)
    precise, (recalled, covered) = np.zeros(len(x), dtype=bool), np.zeros((2, len(y)), dtype=bool)
    inside, surface, centre = np.zeros((3, len(y)))
    stop = 0
    for distances in squared_distances(x, y):
        rows = slice(stop, stop := stop + len(distances))
        in_ball = distances <= y_balls.radius
        precise[rows] = in_ball.any(axis=1)
        covered |= in_ball.any(axis=0)
        recalled |= (distances <= x_balls.radius[rows, None]).any(axis=0)
        inside += x_count[rows] @ (distances < y_balls.radius)
        surface += x_count[rows] @ (distances == y_balls.radius)
        centre += x_count[rows] @ (distances == 0)
    density = y_count @ (inside + surface * y_balls.surface) / x_count.sum()
    density -= y_count @ _additional(y_count, y_balls, centre * y_count.sum() / x_count.sum(), n_neighbors)
    return SampleQuality(
        precision=float(x_count @ precise / x_count.sum()),
        recall=float(y_count @ recalled / y_count.sum()),
        # The sum of the parts of surfaces is rounded.
        density=round(float(density / n_neighbors), 12),
        coverage=float(y_count @ covered / y_count.sum()),
    )


class _Balls(NamedTuple):
    """Squared radius of the ball of each row, share of a row on its surface, and number of other rows equal to it."""

    radius: np.ndarray
    surface: np.ndarray
    equal: np.ndarray


def _balls(rows, count, n_neighbors):
    """The balls of rows, each of which counts as a number of rows."""
    balls, stop = [], 0
    for distances in squared_distances(rows, rows):
        own = np.minimum(count[stop : (stop := stop + len(distances))], 1)
        radius = _radius(distances, count, n_neighbors + own)
        is_point = radius == 0
        others = (distances < radius[:, None]) @ count - np.where(is_point, 0, own)
        on_surface = (distances == radius[:, None]) @ count + np.where(is_point, 0, own)
        balls.append((radius, (n_neighbors - others) / on_surface, (distances == 0) @ count - own))
    return _Balls(*(np.concatenate(parts) for parts in zip(*balls, strict=True)))


def _additional(count, balls, centre, n_neighbors):
    """The part of the row in the centre of each ball that a copy has more than an independent sample.

    ``centre`` is the number of rows of the other sample there. The share of copies is estimated at values that occur at
    most 2k times in both samples, which is a choice that does not favour one of them.
    """
    own = np.minimum(count, 1)
    rare = balls.equal + own + centre <= 2 * n_neighbors
    share = count[rare] @ (centre - balls.equal)[rare] / max(count[rare] @ own[rare], 1)
    return np.clip(share, 0, 1) * (1 - balls.surface) * own * (balls.radius > 0) / count.sum()


def _radius(distances, count, wanted):
    """For each row the smallest of its distances within which there are enough rows, the row itself included."""
    if (count == 1).all():
        k = int(wanted[0]) - 1
        return np.partition(distances, k, axis=1)[:, k]
    order = np.argsort(distances, axis=1)
    # Up to the rounding of sums of counts.
    last = (np.cumsum(count[order], axis=1) < wanted[:, None] - 1e-9).sum(axis=1, keepdims=True)
    return np.take_along_axis(distances, np.take_along_axis(order, last, axis=1), axis=1)[:, 0]

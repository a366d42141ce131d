"""Distances between two samples."""

from numbers import Integral, Real

import numpy as np
import ot
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_ot.metrics._rows import SAMPLES, check_samples, in_units, row_counts, squared_distances, unit_of
from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.plan import exact_plan

# The number of projections that are sorted at a time, which bounds the memory with many rows.
PROJECTION_BLOCK = 32
# Costs below this share of the largest have lost digits, or are 0.
SMALLEST_COST = 1e-280
ROUNDING = np.finfo(np.float64).eps

_ORDER = Interval(Real, 1, None, closed="left")


@in_own_settings
@validate_params(
    {**SAMPLES, "p": [_ORDER]},
    prefer_skip_nested_validation=True,
)
def wasserstein_distance(X, Y, *, p=2, sample_weight=None, target_weight=None):
    """Exact Wasserstein-p distance between two samples.

    .. math:: W_p(P, Q) = \\Bigl(\\min_{\\pi \\in \\Pi(P, Q)} E_{(x, y) \\sim \\pi} \\|x - y\\|^p\\Bigr)^{1/p}

    The distance has the units of the data and no factor ½. For p=2 it is the square root of POT's ``emd2`` with the
    squared Euclidean cost. For p=1 and one feature it is `scipy.stats.wasserstein_distance`.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        First sample.
    Y : array-like of shape (n_target_samples, n_features)
        Second sample; any number of rows.
    p : float, default=2
        Order, 1 or more.
    sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
        Weights of the rows of ``X`` and ``Y``, 0 or more; each is normalised to sum 1. Equal weights if None.

    Returns
    -------
    distance : float
        The distance, 0 or more.

    Raises
    ------
    ValueError
        If a sample or its weights are unusable, the samples have different numbers of columns, or the powers of their
        distances differ by a factor of more than 1e280.

    See Also
    --------
    sliced_wasserstein_distance : A cheaper distance, with less bias in many dimensions.

    Notes
    -----
    POT's network simplex solves the problem with the full matrix of costs (`sklearn_ot.solvers.plan.exact_plan`). A few
    such matrices of ``8 * n_samples * n_target_samples`` bytes are in memory, and the time grows faster than the square
    of the number of rows. With one feature the rows are sorted instead. The plan is compared with its dual value, so
    the result is exact also if some rows are far away.

    In d > 2 dimensions, the distance between two samples of the same distribution is not near 0: it only falls like
    :math:`n^{-1/d}` with the number n of rows [Fournier15]_. Compare a distance with the distance between two fresh
    samples of the target.

    References
    ----------
    .. [Fournier15] N. Fournier, A. Guillin, "On the rate of convergence in Wasserstein distance of the empirical
       measure", Probability Theory and Related Fields, 2015.

    Examples
    --------
    >>> from sklearn_ot.metrics import wasserstein_distance
    >>> wasserstein_distance([[0, 0], [1, 0]], [[3, 4], [4, 4]])
    5.0
    """
    source, target = check_samples(X, Y, sample_weight, target_weight)
    unit = unit_of(source.rows, target.rows)
    x, y = source.rows / unit, target.rows / unit
    if x.shape[1] == 1:
        return in_units(_line_distance(x[:, 0], y[:, 0], *_masses(source, target), p), unit)
    plan = exact_plan(x, y, source.mass, target.mass, cost=p)
    coupling = plan.coupling.numpy()
    rows, columns = coupling.nonzero()
    steps = x[rows] - y[columns]
    step_unit = unit_of(steps)
    if not plan.value > SMALLEST_COST and steps.any():
        raise ValueError(
            f"The powers of order p={p:g} of the distances between rows differ too much for float64. Take a smaller p, "
            "or leave out the farthest rows."
        )
    lengths = np.linalg.norm(steps / step_unit, axis=1)
    return in_units(step_unit * _power_mean(lengths, coupling[rows, columns], p), unit)


def _power_mean(numbers, mass, p):
    """The root of order p of the mean of powers of numbers, along the first axis."""
    largest = np.maximum(numbers.max(axis=0), np.finfo(float).tiny)
    return largest * (mass @ (numbers / largest) ** p / mass.sum()) ** (1 / p)


def _masses(source, target):
    """Weights of both samples with equal sums; integers if all weights are numbers of rows."""
    count, target_count = row_counts(source), row_counts(target)
    return count * target_count.sum(), target_count * count.sum()


def _line_distance(x, y, a, b, p):
    """The distance between numbers with weights."""
    order, target_order = x.argsort(), y.argsort()
    rows, columns, mass = _quantile_plan(a[order], b[target_order])
    return _power_mean(np.abs(x[order[rows]] - y[target_order[columns]]), mass, p)


def _quantile_plan(a, b):
    """The plan that keeps the order of both samples, from the weights in this order."""
    # More digits where the machine has them; integers need none.
    ends, target_ends = np.cumsum(a, dtype=np.longdouble), np.cumsum(b, dtype=np.longdouble)
    target_ends *= ends[-1] / target_ends[-1]
    levels = np.sort(np.concatenate([ends, target_ends]))
    mass = np.diff(levels, prepend=0).astype(np.float64)
    rows, columns = (np.searchsorted(part[:-1], levels) for part in (ends, target_ends))
    # Levels that only differ by the rounding of sums of weights are one level.
    used = mass > (len(a) + len(b)) * ROUNDING * np.minimum(a[rows], b[columns])
    return rows[used], columns[used], mass[used]


@in_own_settings
@validate_params(
    {
        **SAMPLES,
        "p": [_ORDER],
        "n_projections": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def sliced_wasserstein_distance(
    X, Y, *, p=2, n_projections=128, sample_weight=None, target_weight=None, random_state=None
):
    """Sliced Wasserstein-p distance between two samples.

    The exact distance in one dimension, averaged over random directions of the unit sphere [Bonneel15]_:

    .. math:: SW_p(P, Q) = \\Bigl(E_{\\theta \\sim U(S^{d-1})}
        W_p^p\\bigl(\\langle\\theta, \\cdot\\rangle_\\# P, \\langle\\theta, \\cdot\\rangle_\\# Q\\bigr)\\Bigr)^{1/p}

    The distance has the units of the data, no factor ½, and not the factor d that some authors add. It agrees with
    POT's ``sliced_wasserstein_distance``. It is at most the Wasserstein-p distance. For a translation of length r in
    d dimensions and p=2 it is :math:`r / \\sqrt{d}`.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        First sample.
    Y : array-like of shape (n_target_samples, n_features)
        Second sample; any number of rows.
    p : float, default=2
        Order, 1 or more.
    n_projections : int, default=128
        Number of random directions; the error of the average falls like ``n_projections ** -0.5``.
    sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
        Weights of the rows of ``X`` and ``Y``, 0 or more; each is normalised to sum 1. Equal weights if None.
    random_state : int, RandomState instance or None, default=None
        Draws the directions. With an int, equal arguments give equal distances.

    Returns
    -------
    distance : float
        The distance, 0 or more.

    Raises
    ------
    ValueError
        If a sample or its weights are unusable, or the samples have different numbers of columns.

    References
    ----------
    .. [Bonneel15] N. Bonneel, J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon Wasserstein barycenters of
       measures", Journal of Mathematical Imaging and Vision, 2015.

    Examples
    --------
    >>> from sklearn_ot.metrics import sliced_wasserstein_distance
    >>> X = [[0, 0], [1, 0]]
    >>> sliced_wasserstein_distance(X, X, random_state=0)
    0.0
    >>> round(sliced_wasserstein_distance(X, [[3, 4], [4, 4]], n_projections=10_000, random_state=0), 1)  # 5 / √2
    3.5
    """
    source, target = check_samples(X, Y, sample_weight, target_weight)
    rng = check_random_state(random_state)
    unit = unit_of(source.rows, target.rows)
    # A common origin costs projections digits. Far rows move the median less than the mean.
    origin = np.median(target.rows / unit, axis=0)
    x, y = source.rows / unit - origin, target.rows / unit - origin
    directions = ot.sliced.get_random_projections(x.shape[1], n_projections, seed=rng)
    blocks = np.array_split(directions, -(-n_projections // PROJECTION_BLOCK), axis=1)
    masses = None if source.weight is None and target.weight is None else _masses(source, target)
    distances = np.concatenate([_line_distances(x @ block, y @ block, masses, p) for block in blocks])
    return in_units(_power_mean(distances, np.ones(n_projections), p), unit)


def _line_distances(x, y, masses, p):
    """The distance in each column; all rows have equal weights if ``masses`` is None, and then one plan is enough."""
    if masses is not None:
        return np.array([_line_distance(*columns, *masses, p) for columns in zip(x.T, y.T, strict=True)])
    rows, columns, mass = _quantile_plan(np.full(len(x), float(len(y))), np.full(len(y), float(len(x))))
    return _power_mean(np.abs(np.sort(x, axis=0)[rows] - np.sort(y, axis=0)[columns]), mass, p)


@in_own_settings
@validate_params(SAMPLES, prefer_skip_nested_validation=True)
def energy_distance(X, Y, *, sample_weight=None, target_weight=None):
    """Energy distance between two samples, in the units of the data.

    .. math:: D(P, Q) = 2 E\\|X - Y\\| - E\\|X - X'\\| - E\\|Y - Y'\\|

    Here X and X' are independent draws of P, and Y and Y' of Q [Szekely13]_. No square root is taken:
    `scipy.stats.energy_distance`, for one feature, is the square root of this number. For one feature, half of this
    number is the Cramér distance :math:`\\int (F - G)^2` of the distribution functions F and G.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        First sample.
    Y : array-like of shape (n_target_samples, n_features)
        Second sample; any number of rows.
    sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
        Weights of the rows of ``X`` and ``Y``, 0 or more; each is normalised to sum 1. Equal weights if None.

    Returns
    -------
    distance : float
        The distance, 0 or more; 0 only if the samples are equal as distributions.

    Raises
    ------
    ValueError
        If a sample or its weights are unusable, or the samples have different numbers of columns.

    Notes
    -----
    The function computes the V-statistic: it counts the pairs of a row with itself, so the result is the exact distance
    between the two *empirical* distributions. As an estimate of the distance between the distributions of the rows it
    is too large, by :math:`E\\|X - X'\\| / n + E\\|Y - Y'\\| / m` on average, for n and m rows.

    Distances between rows are computed in chunks of scikit-learn's ``working_memory``.

    References
    ----------
    .. [Szekely13] G. J. Székely, M. L. Rizzo, "Energy statistics: a class of statistics based on distances", Journal
       of Statistical Planning and Inference, 2013.

    Examples
    --------
    >>> from sklearn_ot.metrics import energy_distance
    >>> energy_distance([[0, 0]], [[3, 4]])
    10.0
    """
    source, target = check_samples(X, Y, sample_weight, target_weight)
    # With equal rows of both samples as one row, D = -Σ wᵢ wⱼ |zᵢ - zⱼ| for the differences w of the weights. Rows that
    # are common to both samples then add no rounding errors, however far away they are.
    rows, index = np.unique(np.concatenate([source.rows, target.rows]), axis=0, return_inverse=True)
    weight = np.bincount(index.ravel(), np.concatenate([source.mass, -target.mass]), minlength=len(rows))
    rows, weight = rows[weight != 0], weight[weight != 0]
    if not len(rows):
        return 0.0
    unit = unit_of(rows)
    rows = rows / unit
    means = np.concatenate([np.sqrt(distances) @ weight for distances in squared_distances(rows, rows)])
    return in_units(max(-(weight @ means), 0), unit)


@in_own_settings
@validate_params(SAMPLES, prefer_skip_nested_validation=True)
def frechet_distance(X, Y, *, sample_weight=None, target_weight=None):
    """Fréchet distance: the squared Wasserstein-2 distance between the normal distributions fitted to two samples.

    .. math:: \\|m_X - m_Y\\|^2
        + \\operatorname{tr}\\bigl(\\Sigma_X + \\Sigma_Y - 2 (\\Sigma_X^{1/2} \\Sigma_Y \\Sigma_X^{1/2})^{1/2}\\bigr)

    Computed from the features of an Inception network, this is the FID [Heusel17]_. Here the rows themselves are the
    features: for images, give the features that a classifier computes from them, and publish which classifier it was.
    Distances in different feature spaces cannot be compared.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        First sample.
    Y : array-like of shape (n_target_samples, n_features)
        Second sample; any number of rows.
    sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
        Weights of the rows of ``X`` and ``Y``, 0 or more. Equal weights if None.

    Returns
    -------
    distance : float
        The distance, 0 or more, in the squared units of the rows.

    Raises
    ------
    ValueError
        If a sample or its weights are unusable, a sample has only one row, the samples have different numbers of
        columns, or the distance is too large for float64.

    Notes
    -----
    The covariances are unbiased (with weights, for the number of rows that `sklearn_ot.solvers.samples.Sample` counts),
    but the distance is not: it is too large by about the number of features divided by the number of rows. Compare only
    samples of the same size. The distance between two samples of the data is the smallest value that a generator can be
    expected to reach.

    References
    ----------
    .. [Heusel17] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs trained by a two time-scale
       update rule converge to a local Nash equilibrium", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn_ot.metrics import frechet_distance
    >>> round(frechet_distance([[-1.0], [1.0]], [[1.0], [5.0]]), 9)  # (0 - 3)² + (√2 - √8)²
    11.0
    """
    source, target = check_samples(X, Y, sample_weight, target_weight)
    if min(source.size, target.size) <= 1:
        raise ValueError(f"X has {source.size:g} rows and Y {target.size:g}; a covariance needs 2 or more.")
    unit = unit_of(source.rows, target.rows)
    x_mean, y_mean = (sample.mass @ (sample.rows / unit) for sample in (source, target))
    A, B = _covariance_root(source, unit, x_mean), _covariance_root(target, unit, y_mean)
    A, B = (np.pad(root, ((0, max(len(A), len(B)) - len(root)), (0, 0))) for root in (A, B))
    # Among all roots of its covariance, the turned B that is nearest to A has the Fréchet distance from A. The norm of
    # the difference has more digits than a difference of traces, and needs no root of a nearly singular matrix.
    left, _, right = np.linalg.svd(A @ B.T)
    return in_units(np.sum((x_mean - y_mean) ** 2) + np.sum((A - left @ right @ B) ** 2), unit, power=2)


def _covariance_root(sample, unit, mean):
    """A matrix with as many columns as the sample, whose transpose times itself is the unbiased covariance."""
    rows = np.sqrt(sample.mass * sample.size / (sample.size - 1))[:, None] * (sample.rows / unit - mean)
    return np.linalg.qr(rows, mode="r")

"""Distances between two samples, errors of a map against the true map, and the quality of a sample.

Distances take two samples of shape ``(n_samples, n_features)``, each with any number of rows. All rows have equal
weights unless weights are given. No distance has a factor ½.
"""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import ot
from scipy.special import rel_entr
from sklearn.metrics import pairwise_distances_argmin_min, pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_ot.checks import check_weight
from sklearn_ot.solvers.plan import exact_plan

# The number of projections that are sorted at a time, which bounds the memory with many rows.
PROJECTION_BLOCK = 32

_SAMPLES = {
    "X": ["array-like"],
    "Y": ["array-like"],
    "sample_weight": ["array-like", None],
    "target_weight": ["array-like", None],
}
_ORDER = Interval(Real, 1, None, closed="left")


def _check_samples(X, Y, sample_weight, target_weight):
    """Both samples as float64 without their rows of weight 0, and their weights, each with sum 1."""
    X, Y = (check_array(sample, dtype=np.float64, input_name=name) for sample, name in ((X, "X"), (Y, "Y")))
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} columns, but Y has {Y.shape[1]}: both samples must have the same features."
        )
    x_weight = check_weight(sample_weight, len(X), "sample_weight", "X")
    y_weight = check_weight(target_weight, len(Y), "target_weight", "Y")
    return X[x_weight > 0], Y[y_weight > 0], x_weight[x_weight > 0], y_weight[y_weight > 0]


def _check_images(**arrays):
    """Arrays of matching rows as float64."""
    arrays = {name: check_array(array, dtype=np.float64, input_name=name) for name, array in arrays.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"The arrays must have the same shape: row i of each belongs to the same point; got {shapes}.")
    return arrays.values()


@validate_params(
    {**_SAMPLES, "p": [_ORDER]},
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
        If a sample or its weights are unusable, or the samples have different numbers of columns.

    See Also
    --------
    sliced_wasserstein_distance : A cheaper distance, with less bias in many dimensions.

    Notes
    -----
    POT's network simplex solves the problem with the full matrix of costs. It takes
    ``8 * n_samples * n_target_samples`` bytes, and its time grows faster than the square of the number of rows. With
    one feature the rows are sorted instead.

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
    X, Y, x_weight, y_weight = _check_samples(X, Y, sample_weight, target_weight)
    if X.shape[1] == 1:
        cost = ot.wasserstein_1d(X[:, 0], Y[:, 0], x_weight, y_weight, p=p)
    else:
        cost = exact_plan(X, Y, x_weight, y_weight, cost=p).value
    return float(max(cost, 0) ** (1 / p))


@validate_params(
    {
        **_SAMPLES,
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
    X, Y, x_weight, y_weight = _check_samples(X, Y, sample_weight, target_weight)
    rng = check_random_state(random_state)
    directions = ot.sliced.get_random_projections(X.shape[1], n_projections, seed=rng)
    costs = [
        ot.wasserstein_1d(X @ block, Y @ block, x_weight, y_weight, p=p)
        for block in np.array_split(directions, -(-n_projections // PROJECTION_BLOCK), axis=1)
    ]
    return float(np.concatenate(costs).mean() ** (1 / p))


@validate_params(_SAMPLES, prefer_skip_nested_validation=True)
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
    X, Y, x_weight, y_weight = _check_samples(X, Y, sample_weight, target_weight)
    # The distances do not depend on the origin, but their rounding errors do.
    origin = Y.mean(axis=0)
    X, Y = X - origin, Y - origin

    def mean_distance(A, a_weight, B, b_weight):
        rows = pairwise_distances_chunked(A, B, reduce_func=lambda distances, start: distances @ b_weight)
        return a_weight @ np.concatenate(list(rows))

    between = mean_distance(X, x_weight, Y, y_weight)
    within = mean_distance(X, x_weight, None, x_weight) + mean_distance(Y, y_weight, None, y_weight)
    return float(max(2 * between - within, 0))


@validate_params(
    {
        "mapped": ["array-like"],
        "true": ["array-like"],
        "target_variance": [Interval(Real, 0, None, closed="neither"), None],
    },
    prefer_skip_nested_validation=True,
)
def l2_uvp(mapped, true, target_variance=None):
    """Unexplained variance percentage of a map against the true map.

    .. math:: \\text{L2-UVP}(T) = 100 \\cdot \\frac{E_P \\|T(x) - T^*(x)\\|^2}{\\operatorname{Var}(Q)},
        \\qquad \\operatorname{Var}(Q) = \\operatorname{tr} \\Sigma_Q

    This is the definition of [Korotin21]_. A perfect map has 0 %, and a map that sends every point to the mean of Q has
    100 %. Larger values are possible.

    Parameters
    ----------
    mapped : array-like of shape (n_samples, n_features)
        Images T(x) of the fitted map.
    true : array-like of shape (n_samples, n_features)
        Images T*(x) of the same rows under the true map.
    target_variance : float, default=None
        Var(Q), the trace of the covariance of the target. If None, it is computed from the rows of ``true`` (with
        divisor ``n_samples``), which are a sample of Q because the true map carries P to Q.

    Returns
    -------
    uvp : float
        The percentage, 0 or more.

    Raises
    ------
    ValueError
        If the shapes differ, or the rows of ``true`` are all equal and ``target_variance`` is None.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative
       networks", ICLR 2021.

    Examples
    --------
    >>> from sklearn_ot.metrics import l2_uvp
    >>> l2_uvp([[1.0], [1.0]], [[0.0], [2.0]])  # the best constant map
    100.0
    """
    mapped, true = _check_images(mapped=mapped, true=true)
    if target_variance is None:
        if (true == true[0]).all():
            raise ValueError(
                f"The {len(true)} row(s) of `true` are all equal, so their variance is 0 and the percentage is not "
                "defined. Give two or more different rows, or target_variance=..."
            )
        target_variance = true.var(axis=0).sum()
    return float(100 * np.sum((mapped - true) ** 2, axis=1).mean() / target_variance)


@validate_params(
    {"X": ["array-like"], "mapped": ["array-like"], "true": ["array-like"]}, prefer_skip_nested_validation=True
)
def map_cosine(X, mapped, true):
    """Cosine between the displacements of a map and those of the true map.

    .. math:: \\cos = \\frac{E_P \\langle T(x) - x, T^*(x) - x \\rangle}
        {\\sqrt{E_P \\|T(x) - x\\|^2} \\sqrt{E_P \\|T^*(x) - x\\|^2}}

    This is the definition of [Korotin21b]_. The cosine measures the directions of the displacements, not their lengths:
    it is 1 for the true map, and also for a map that moves every row by the same fraction of the true displacement.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Source rows x.
    mapped : array-like of shape (n_samples, n_features)
        Their images T(x) under the fitted map.
    true : array-like of shape (n_samples, n_features)
        Their images T*(x) under the true map.

    Returns
    -------
    cosine : float
        Between -1 and 1; 0 if one of the two maps moves no row at all.

    Raises
    ------
    ValueError
        If the shapes differ.

    References
    ----------
    .. [Korotin21b] A. Korotin, L. Li, A. Genevay, J. Solomon, A. Filippov, E. Burnaev, "Do neural optimal transport
       solvers work? A continuous Wasserstein-2 benchmark", NeurIPS 2021.

    Examples
    --------
    >>> from sklearn_ot.metrics import map_cosine
    >>> map_cosine([[0.0, 0.0]], mapped=[[1.0, 0.0]], true=[[0.0, 2.0]])
    0.0
    """
    X, mapped, true = _check_images(X=X, mapped=mapped, true=true)
    step, true_step = mapped - X, true - X
    lengths = np.linalg.norm(step) * np.linalg.norm(true_step)
    return float(np.clip(np.vdot(step, true_step) / lengths, -1, 1)) if lengths > 0 else 0.0


class ModeCoverage(NamedTuple):
    """Result of `mode_coverage`: ``n_modes``, ``high_quality`` and ``reverse_kl``."""

    n_modes: int
    high_quality: float
    reverse_kl: float


@validate_params(
    {
        "X": ["array-like"],
        "modes": ["array-like"],
        "std": [Interval(Real, 0, None, closed="neither")],
        "mode_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def mode_coverage(X, modes, std, *, mode_weight=None):
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
        If the arrays have different numbers of columns, or a weight is not above 0.

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
    X, modes, _, weight = _check_samples(X, modes, None, mode_weight)
    if mode_weight is not None and len(weight) < len(mode_weight):
        raise ValueError("mode_weight is 0 for a mode: leave that mode out of modes and mode_weight.")
    # The distances do not depend on the origin, but their rounding errors do.
    nearest, distances = pairwise_distances_argmin_min(X - modes.mean(axis=0), modes - modes.mean(axis=0))
    good = distances <= 3 * std
    shares = np.bincount(nearest, minlength=len(modes)) / len(X)
    return ModeCoverage(
        n_modes=len(np.unique(nearest[good])),
        high_quality=float(good.mean()),
        reverse_kl=float(rel_entr(shares, weight).sum()),
    )


class SampleQuality(NamedTuple):
    """Result of `sample_quality`: ``precision``, ``recall``, ``density`` and ``coverage``."""

    precision: float
    recall: float
    density: float
    coverage: float


@validate_params(
    {"X": ["array-like"], "Y": ["array-like"], "n_neighbors": [Interval(Integral, 1, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def sample_quality(X, Y, *, n_neighbors=5):
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

    Returns
    -------
    quality : SampleQuality
        A named tuple:

        - ``precision``: share of rows of ``X`` that lie in the ball of some row of ``Y`` [Kynkaanniemi19]_.
        - ``recall``: share of rows of ``Y`` that lie in the ball of some row of ``X`` [Kynkaanniemi19]_.
        - ``density``: average number of balls of ``Y`` in which a row of ``X`` lies, divided by k [Naeem20]_. The large
          ball of one outlier has less effect on it than on precision. It can be above 1.
        - ``coverage``: share of the balls of ``Y`` that hold a row of ``X`` [Naeem20]_.

    Raises
    ------
    ValueError
        If the arrays have different numbers of columns, or not more rows than ``n_neighbors``.

    See Also
    --------
    mode_coverage : Coverage of known modes.

    Notes
    -----
    A row on the surface of a ball is outside. For two samples of the same distribution, coverage is about
    :math:`1 - 2^{-k}`, and density about 1 [Naeem20]_. Compare only numbers with the same ``n_neighbors``, the same
    sizes of samples and the same features.

    References
    ----------
    .. [Kynkaanniemi19] T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen, T. Aila, "Improved precision and recall
       metric for assessing generative models", NeurIPS 2019.
    .. [Naeem20] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, "Reliable fidelity and diversity metrics for generative
       models", ICML 2020.

    Examples
    --------
    >>> from sklearn_ot.metrics import sample_quality
    >>> sample_quality([[0.25], [0.5], [9.0]], [[0.0], [1.0], [2.0]], n_neighbors=1)
    SampleQuality(precision=0.666..., recall=0.666..., density=1.333..., coverage=0.666...)
    """
    X, Y, _, _ = _check_samples(X, Y, None, None)
    if min(len(X), len(Y)) <= n_neighbors:
        raise ValueError(
            f"X has {len(X)} rows and Y {len(Y)}; both need more than n_neighbors={n_neighbors}. Lower n_neighbors."
        )
    # The distances do not depend on the origin, but their rounding errors do.
    origin = Y.mean(axis=0)
    X, Y = X - origin, Y - origin
    x_radius, y_radius = (NearestNeighbors(n_neighbors=n_neighbors).fit(Z).kneighbors()[0][:, -1] for Z in (X, Y))

    n_balls, recalled, covered = np.zeros(len(X)), np.zeros(len(Y), dtype=bool), np.zeros(len(Y), dtype=bool)
    stop = 0
    for distances in pairwise_distances_chunked(X, Y):
        start, stop = stop, stop + len(distances)
        in_data_ball = distances < y_radius
        n_balls[start:stop] = in_data_ball.sum(axis=1)
        covered |= in_data_ball.any(axis=0)
        recalled |= (distances < x_radius[start:stop, None]).any(axis=0)
    return SampleQuality(
        precision=float((n_balls > 0).mean()),
        recall=float(recalled.mean()),
        density=float(n_balls.mean() / n_neighbors),
        coverage=float(covered.mean()),
    )


@validate_params({"X": ["array-like"], "Y": ["array-like"]}, prefer_skip_nested_validation=True)
def frechet_distance(X, Y):
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

    Returns
    -------
    distance : float
        The distance, 0 or more, in the squared units of the rows.

    Raises
    ------
    ValueError
        If a sample has only one row, or the samples have different numbers of columns.

    Notes
    -----
    The covariances are unbiased, but the distance is not: it is too large by about the number of features divided by
    the number of rows. Compare only samples of the same size. The distance between two samples of the data is the
    smallest value that a generator can be expected to reach.

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
    X, Y, _, _ = _check_samples(X, Y, None, None)
    if min(len(X), len(Y)) < 2:
        raise ValueError(f"X has {len(X)} rows and Y {len(Y)}; a covariance needs 2 or more.")
    x_mean, y_mean = X.mean(axis=0), Y.mean(axis=0)
    # With centred rows A and B, the trace of the root is the nuclear norm of A Bᵀ, which needs no root of a matrix that
    # may be nearly singular.
    A, B = ((Z - mean) / np.sqrt(len(Z) - 1) for Z, mean in ((X, x_mean), (Y, y_mean)))
    A, B = (np.linalg.qr(Z, mode="r") if len(Z) > Z.shape[1] else Z for Z in (A, B))
    variance = np.sum(A**2) + np.sum(B**2) - 2 * np.linalg.norm(A @ B.T, "nuc")
    return float(np.sum((x_mean - y_mean) ** 2) + max(variance, 0))

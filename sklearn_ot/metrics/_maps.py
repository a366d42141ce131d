"""Errors of a map against the true map."""

from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_ot.metrics._rows import check_images, in_units, unit_of
from sklearn_ot.settings import in_own_settings


@in_own_settings
@validate_params(
    {
        "mapped": ["array-like"],
        "true": ["array-like"],
        "target_variance": [Interval(Real, 0, None, closed="neither"), None],
        "sample_weight": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def l2_uvp(mapped, true, target_variance=None, *, sample_weight=None):
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
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the source rows, 0 or more. Equal weights if None.

    Returns
    -------
    uvp : float
        The percentage, 0 or more.

    Raises
    ------
    ValueError
        If the shapes differ, the weights are unusable, or the rows of ``true`` are all equal and ``target_variance`` is
        None.

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
    mapped, true, mass = check_images(sample_weight, mapped=mapped, true=true)
    if target_variance is None and (true == true[0]).all():
        raise ValueError(
            f"The {len(true)} row(s) of `true` are all equal, so their variance is 0 and the percentage is not "
            "defined. Give two or more different rows, or target_variance=..."
        )
    unit = unit_of(mapped, true)
    mapped, true = mapped / unit, true / unit
    error = _root_mean_square(mapped - true, mass)
    given = target_variance is not None
    spread = np.sqrt(target_variance) / unit if given else _root_mean_square(true - mass @ true, mass)
    with np.errstate(over="ignore", divide="ignore"):
        return in_units(100.0, np.divide(error, spread), power=2)


def _root_mean_square(steps, mass):
    """The root of the mean squared norm; the steps can be small against the rows."""
    unit = unit_of(steps)
    return unit * np.sqrt(mass @ np.sum((steps / unit) ** 2, axis=1))


@in_own_settings
@validate_params(
    {"X": ["array-like"], "mapped": ["array-like"], "true": ["array-like"], "sample_weight": ["array-like", None]},
    prefer_skip_nested_validation=True,
)
def map_cosine(X, mapped, true, *, sample_weight=None):
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
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the source rows, 0 or more. Equal weights if None.

    Returns
    -------
    cosine : float
        Between -1 and 1; 0 if one of the two maps moves no row at all.

    Raises
    ------
    ValueError
        If the shapes differ, or the weights are unusable.

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
    X, mapped, true, mass = check_images(sample_weight, X=X, mapped=mapped, true=true)
    unit = unit_of(X, mapped, true)
    step, true_step = mapped / unit - X / unit, true / unit - X / unit
    # The steps can be small against the rows.
    step, true_step = step / unit_of(step), true_step / unit_of(true_step)
    lengths = _root_mean_square(step, mass) * _root_mean_square(true_step, mass)
    return float(np.clip(mass @ np.sum(step * true_step, axis=1) / lengths, -1, 1)) if lengths > 0 else 0.0

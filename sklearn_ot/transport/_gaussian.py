"""GaussianTransport: the optimal map between two Gaussians with the moments of the samples."""

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import FLOAT_DTYPES, InvertibleTransport
from sklearn_ot.transport._start import gaussian_start


@dataclass(eq=False, repr=False)
class GaussianTransport(InvertibleTransport):
    """The optimal map between two Gaussians with the moments of the samples.

    The map is affine and has a closed form [Olkin82]_. It is the optimal map of the squared cost if one distribution is
    the image of the other under a symmetric positive definite matrix and a shift. Otherwise it is the optimal map of
    the Gaussians with the same means and covariances:

    .. math:: T(x) = m_t + A (x - m_s), \\qquad
        A = \\Sigma_s^{-1/2} (\\Sigma_s^{1/2} \\Sigma_t \\Sigma_s^{1/2})^{1/2} \\Sigma_s^{-1/2}

    Parameters
    ----------
    shrinkage : "auto", float or None, default="auto"
        Weight with which the covariances are shrunk towards a multiple of the identity, which reduces the noise of few
        rows. "auto" is the estimate of [LedoitWolf04]_ for each sample. A float in [0, 1] is a fixed weight. None is no
        shrinkage, which needs very many rows: with as many rows as features the error of the map is more than ten times
        that of "auto", with a hundred times as many rows it is the same. Shrinkage moves the variances of all columns
        towards one value, and so changes columns with small variances most: standardise columns in different units.

    Attributes
    ----------
    source_mean_, target_mean_ : ndarray of shape (n_features_in_,)
        The means :math:`m_s` and :math:`m_t`.
    linear_ : ndarray of shape (n_features_in_, n_features_in_)
        The symmetric positive definite matrix :math:`A`.
    wasserstein_distance_ : float
        Wasserstein-2 distance between the two fitted Gaussians, in the units of the data and without the factor ½. It
        is :math:`(E\\|x - T(x)\\|^2)^{1/2}`, or larger if the target varies in directions in which the source does not,
        because no map can reach such a target. Without shrinkage it is at most the distance between the samples
        [Gelbrich90]_.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    sklearn_ot.adaptation.DomainAdapter : A transport and an estimator for domain adaptation.

    Notes
    -----
    Moments are computed and kept in float64; images have the dtype of the input. Without a target sample the target is
    exactly N(0, I), and the map whitens the source (the ZCA transform). See `sklearn_ot.solvers.gaussian.gaussian_map`
    for constant columns and other directions without variance. The map commutes with rotations and with a common change
    of units, but not with a change of units of single columns: standardise columns in different units.

    References
    ----------
    .. [Olkin82] I. Olkin and F. Pukelsheim, "The distance between two random vectors with given dispersion matrices",
       Linear Algebra and its Applications, 1982.
    .. [LedoitWolf04] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
       Journal of Multivariate Analysis, 2004.
    .. [Gelbrich90] M. Gelbrich, "On a formula for the L2 Wasserstein metric between measures on Euclidean and Hilbert
       spaces", Mathematische Nachrichten, 1990.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.transport import GaussianTransport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(500, 2), [3, 1] * rng.randn(400, 2) + [5, 0]
    >>> transport = GaussianTransport().fit(Xs, Xt)
    >>> mapped = transport.transform(Xs)
    >>> print((mapped.mean(axis=0) - Xt.mean(axis=0)).round(6) + 0)
    [0. 0.]
    >>> bool(np.allclose(transport.inverse_transform(mapped), Xs))
    True
    """

    shrinkage: float | str | None = "auto"

    _parameter_constraints: ClassVar[dict] = {
        "shrinkage": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both"), None]
    }

    def _fit(self, source, target, rng):
        self.map_ = gaussian_start(self, source, target)
        self.source_mean_, self.target_mean_ = self.map_.source_mean, self.map_.target_mean
        self.wasserstein_distance_ = self.map_.wasserstein_distance

    @property
    def linear_(self):
        """The matrix A of the map, a new array."""
        check_is_fitted(self)
        return self.map_.linear

    def _transform(self, X):
        return self.map_.transport(X)

    def _inverse_transform(self, X):
        return self.map_.inverse(X)

    def potential(self, X):
        """The convex potential whose gradient is `transform`.

        .. math:: \\psi(x) = \\tfrac12 (x - m_s)^\\top A (x - m_s) + \\langle m_t, x - m_s \\rangle

        It is 0 at the mean of the source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.

        Returns
        -------
        potential : ndarray of shape (n_samples,)
            Values of ψ, in squared units of the data and in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        return self.map_.potential(validate_data(self, X, dtype=FLOAT_DTYPES, reset=False))

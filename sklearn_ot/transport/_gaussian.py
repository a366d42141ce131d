"""GaussianTransport: the optimal map between two Gaussians with the moments of the samples."""

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.solvers.potentials import Potentials
from sklearn_ot.transport._affine import AffineTransport
from sklearn_ot.transport._convex import ConvexTransport
from sklearn_ot.transport._start import gaussian_start


@dataclass(eq=False, repr=False)
class GaussianTransport(AffineTransport, ConvexTransport):
    """The optimal map between two Gaussians with the moments of the samples.

    The map is affine and has a closed form [Olkin82]_. It is the optimal map of the squared cost if one distribution is
    the image of the other under a symmetric positive definite matrix and a shift. Otherwise it is the optimal map of
    the Gaussians with the same means and covariances:

    .. math:: T(x) = m_t + A (x - m_s), \\qquad
        A = \\Sigma_s^{-1/2} (\\Sigma_s^{1/2} \\Sigma_t \\Sigma_s^{1/2})^{1/2} \\Sigma_s^{-1/2}

    Parameters
    ----------
    shrinkage : "auto", float or None, default="auto"
        Weight with which the correlations of the columns are shrunk towards 0, which reduces the noise of few rows.
        "auto" is the estimate of [Schaefer05]_ for each sample. The stretches of the columns are then also shrunk
        towards their mean, as much as their noise explains their differences. A float in [0, 1] is a fixed weight; with
        1 each column is mapped on its own. None is no shrinkage, which needs many rows: with fewer rows than features
        the error of the map is several times that of "auto", with a hundred times as many rows it is the same. The
        shrinkage does not depend on the units of the columns.

    Attributes
    ----------
    source_mean_, target_mean_ : ndarray of shape (n_features_in_,)
        The means :math:`m_s` and :math:`m_t`.
    map_ : GaussianMap
        The map as a frozen value, see `sklearn_ot.solvers.gaussian.GaussianMap`. With fewer rows than columns it holds
        no matrix of all columns.
    potentials_ : Potentials
        The map as the gradient of a convex potential, see `sklearn_ot.solvers.potentials`.
    linear_ : ndarray of shape (n_features_in_, n_features_in_)
        The symmetric positive definite matrix :math:`A`, made when it is read.
    wasserstein_distance_ : float
        Wasserstein-2 distance between the two fitted Gaussians, in the units of the data and without the factor ½. It
        is :math:`(E\\|x - T(x)\\|^2)^{1/2}`, or larger if the target varies in directions in which the source does not,
        because no map can reach such a target. Without shrinkage it is at most the distance between the samples
        [Gelbrich90]_.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
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
    exactly N(0, I), and the map whitens the source (the ZCA transform).

    A column that is constant in the source, and every other direction in which only the source does not vary (an unseen
    category, a dead sensor), gets the typical stretch of the columns, and a warning names the columns. Images of source
    rows do not vary there. In a direction in which only the target does not vary, the stretch is 1e-3 of the typical
    one; ``inverse_transform`` sends rows that do vary there far away, and warns.

    The squared cost depends on the units: the map commutes with rotations, for fixed covariances, and with a common
    change of units, but for correlated columns not with a change of units of single columns. With fewer rows than
    columns the map is found in the span of the rows, and outside of it each column has its own stretch: 90 rows of
    16 000 columns take about a second.

    References
    ----------
    .. [Olkin82] I. Olkin and F. Pukelsheim, "The distance between two random vectors with given dispersion matrices",
       Linear Algebra and its Applications, 1982.
    .. [Schaefer05] J. Schäfer and K. Strimmer, "A shrinkage approach to large-scale covariance matrix estimation and
       implications for functional genomics", Statistical Applications in Genetics and Molecular Biology, 2005.
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

    @property
    def potentials_(self):
        """The map as the gradient of a convex potential, see `sklearn_ot.solvers.potentials`."""
        check_is_fitted(self)
        return Potentials.gaussian(self.map_)

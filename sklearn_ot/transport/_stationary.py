"""StationaryGaussianTransport: the optimal map between two stationary Gaussian pictures with the moments of samples."""

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.transport._affine import AffineTransport
from sklearn_ot.transport._start import stationary_gaussian_start


@dataclass(eq=False, repr=False)
class StationaryGaussianTransport(AffineTransport):
    r"""The optimal map between two stationary Gaussian pictures with the moments of the samples.

    Rows are flattened pictures. A Gaussian picture is stationary if the covariance of two pixels depends on their
    difference only. The cosine transform C of each channel then makes the covariance, up to effects of the edges, one
    matrix of the channels for each frequency k, and the map has a closed form for pictures of any size:

    .. math:: T(x) = m_t + C^\top A\, C (x - m_s), \qquad
        A_k = \Sigma_{s,k}^{-1/2} (\Sigma_{s,k}^{1/2} \Sigma_{t,k} \Sigma_{s,k}^{1/2})^{1/2} \Sigma_{s,k}^{-1/2} ,

    where :math:`A_k` is the Bures map [Olkin82]_ between the matrices of the source and of the target. The means are
    pictures, and need not be stationary. `GaussianTransport` has one matrix for all pixels instead, which needs many
    more rows and much more time.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        The shape of a picture: (height, width, n_channels), (height, width) or (length,). Two and one numbers mean one
        channel. None is a row of numbers, such as a time series, with the length n_features.
    smoothing : int or "auto", default="auto"
        Width of the window of frequencies, along each axis, over which the matrices are averaged, relative to the size
        of each frequency. It reduces the noise of few pictures. 1 averages nothing. "auto" is the smallest odd width
        for which a window has 128 coefficients of the smaller sample: 1 for 128 rows or more.

    Attributes
    ----------
    source_mean_, target_mean_ : ndarray of shape (n_features_in_,)
        The means :math:`m_s` and :math:`m_t`.
    map_ : StationaryMap
        The map as a frozen value, see `sklearn_ot.solvers.stationary.StationaryMap`. Its attribute ``blocks`` has the
        matrices :math:`A_k`.
    wasserstein_distance_ : float
        Wasserstein-2 distance between the two fitted Gaussians, in the units of the data and without the factor ½.
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
    GaussianTransport : One matrix for all features.

    Notes
    -----
    The cosine transform is that of pictures reflected at their edges. The map commutes with reflections of the
    pictures, and with a common change of units of all numbers.

    Moments are computed and kept in float64; images have the dtype of the input. Without a target sample the target is
    exactly N(0, I).

    If the source does not vary in a direction of the channels, such as grey pictures that are stored with three
    channels, this direction has the typical stretch of all frequencies, and a warning says so if the target varies
    there. If only the target does not vary, the stretch is about 1e-3 of the typical one, so that the map has an
    inverse.

    References
    ----------
    .. [Olkin82] I. Olkin and F. Pukelsheim, "The distance between two random vectors with given dispersion matrices",
       Linear Algebra and its Applications, 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.ndimage import gaussian_filter
    >>> from sklearn_ot.transport import StationaryGaussianTransport
    >>> noise = np.random.RandomState(0).randn(400, 16, 16)
    >>> sharp, smooth = noise[:200], gaussian_filter(noise[200:], (0, 1, 1))
    >>> transport = StationaryGaussianTransport((16, 16)).fit(sharp.reshape(200, -1), smooth.reshape(200, -1))
    >>> mapped = transport.transform(sharp.reshape(200, -1))
    >>> bool(abs(mapped.std() / smooth.std() - 1) < 0.01)
    True
    """

    image_shape: tuple[int, ...] | None = None
    _: KW_ONLY
    smoothing: int | str = "auto"

    _parameter_constraints: ClassVar[dict] = {
        "image_shape": [tuple, None],
        "smoothing": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    }

    def _fit(self, source, target, rng):
        self.map_ = stationary_gaussian_start(source, target, self.image_shape, self.smoothing)
        self.source_mean_, self.target_mean_ = self.map_.source_mean, self.map_.target_mean
        self.wasserstein_distance_ = self.map_.wasserstein_distance

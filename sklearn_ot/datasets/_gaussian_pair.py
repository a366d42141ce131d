"""Gaussian pairs, whose optimal map has a closed form."""

import numpy as np
import ot
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_params

from sklearn_ot.datasets._known import PAIR_CONSTRAINTS, KnownPair
from sklearn_ot.settings import in_own_settings


class _GaussianPair(KnownPair):
    def __init__(self, n_features, rng):
        super().__init__(n_features)
        self.source_mean, self.target_mean = rng.standard_normal((2, n_features))
        self.source_root, self.target_root = (self._draw_root(rng) for _ in range(2))
        self.source_covariance, self.target_covariance = (
            root @ root.T for root in (self.source_root, self.target_root)
        )
        matrix, _ = ot.gaussian.bures_wasserstein_mapping(
            self.source_mean, self.target_mean, self.source_covariance, self.target_covariance
        )
        self.matrix = (matrix + matrix.T) / 2
        self.inverse_matrix = np.linalg.inv(self.matrix)

    def _draw_root(self, rng):
        """Draw a square root of a covariance with random axes and eigenvalues log-uniform in [½, 2]."""
        # QR does not draw the signs of the axes uniformly, but they have no effect on the covariance.
        axes, _ = np.linalg.qr(rng.standard_normal((self.n_features, self.n_features)))
        return axes * np.sqrt(2 ** rng.uniform(-1, 1, size=self.n_features))

    def _draw(self, n_samples, rng):
        return self.source_mean + rng.standard_normal((n_samples, self.n_features)) @ self.source_root.T

    def _potential(self, X):
        centred = X - self.source_mean
        return np.einsum("ij,ij->i", centred @ self.matrix / 2, centred) + X @ self.target_mean

    def _transport(self, X):
        return self.target_mean + (X - self.source_mean) @ self.matrix

    def _inverse(self, Y):
        return self.source_mean + (Y - self.target_mean) @ self.inverse_matrix


@in_own_settings
@validate_params(PAIR_CONSTRAINTS, prefer_skip_nested_validation=True)
def make_gaussian_pair(n_features=16, n_samples=1000, *, n_target_samples=None, random_state=None):
    """Draw two samples of random Gaussians, with their optimal map in closed form.

    The pairs are those of [Korotin21]_, with different means. P = N(m, Σ) and Q = N(m', Σ') have means drawn from
    N(0, I), random orthogonal axes, and variances along the axes that are log-uniform in [½, 2]. The optimal map of the
    squared cost is

    .. math:: T(x) = m' + A (x - m), \\qquad
        A = \\Sigma^{-1/2} (\\Sigma^{1/2} \\Sigma' \\Sigma^{1/2})^{1/2} \\Sigma^{-1/2}

    Parameters
    ----------
    n_features : int, default=16
        Number of features.
    n_samples : int, default=1000
        Number of source rows.
    n_target_samples : int, default=None
        Number of target rows; ``n_samples`` if None.
    random_state : int, RandomState instance or None, default=None
        Draws the Gaussians first and then the rows: with an int, the Gaussians do not depend on the numbers of rows.

    Returns
    -------
    pair : :class:`~sklearn.utils.Bunch`
        Dictionary-like object that can be pickled, with the attributes

        source : ndarray of shape (n_samples, n_features)
            Rows of P.
        target : ndarray of shape (n_target_samples, n_features)
            Rows of Q, drawn independently of ``source``: no row is the image of a row of ``source``.
        transport, inverse : callable
            The optimal map T from P to Q, and its inverse, on rows of shape (n, n_features).
        potential : callable
            The convex potential ψ with T = ∇ψ; returns an array of shape (n,).
        sample_source, sample_target : callable
            ``sample_source(n_samples=1000, random_state=None)`` draws fresh rows of P, and ``sample_target`` fresh rows
            of Q. With equal arguments, row i of the second is the image of row i of the first: use different seeds for
            independent samples.
        source_mean, target_mean : ndarray of shape (n_features,)
            Means of P and Q.
        source_covariance, target_covariance : ndarray of shape (n_features, n_features)
            Covariances of P and Q.

    See Also
    --------
    make_potential_pair : A pair whose optimal map is not linear.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative
       networks", ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.datasets import make_gaussian_pair
    >>> pair = make_gaussian_pair(4, 500, random_state=0)
    >>> bool(np.allclose(pair.transport(pair.source_mean[None]), pair.target_mean))
    True
    """
    rng = check_random_state(random_state)
    pair = _GaussianPair(n_features, rng)
    moments = ("source_mean", "target_mean", "source_covariance", "target_covariance")
    return pair.to_bunch(n_samples, n_target_samples, rng, **{name: getattr(pair, name) for name in moments})

"""Pairs of distributions with a known optimal map."""

from abc import ABC, abstractmethod
from numbers import Integral, Real

import numpy as np
import ot
from scipy.special import logsumexp, softmax
from sklearn.utils import Bunch, check_array, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_ot.settings import OwnSettings, in_own_settings

_COUNT = Interval(Integral, 1, None, closed="left")
_PAIR = {
    "n_features": [_COUNT],
    "n_samples": [_COUNT],
    "n_target_samples": [_COUNT, None],
    "random_state": ["random_state"],
}


class _KnownPair(OwnSettings, ABC):
    """A source P and a convex potential ψ, which define the target Q = ∇ψ#P; the Bunch of a pair holds its methods.

    A subclass writes ``_draw(n, rng)``, ``_potential(X)``, ``_transport(X)`` and ``_inverse(Y)``, which get validated
    rows.
    """

    def __init__(self, n_features):
        self.n_features = n_features

    @abstractmethod
    def _draw(self, n_samples, rng):
        """Draw rows of the source."""

    @abstractmethod
    def _potential(self, X):
        """ψ at each row."""

    @abstractmethod
    def _transport(self, X):
        """∇ψ at each row."""

    @abstractmethod
    def _inverse(self, Y):
        """Preimage of each row: the point at which ∇ψ is equal to the row."""

    def _check(self, X):
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_features:
            raise ValueError(f"The rows have {X.shape[1]} features, but this pair has {self.n_features}.")
        return X

    def potential(self, X):
        """ψ at each row of X: an array of shape (n_samples,)."""
        return self._potential(self._check(X))

    def transport(self, X):
        """Images T(x) = ∇ψ(x) of the rows of X, of the same shape."""
        return self._transport(self._check(X))

    def inverse(self, Y):
        """Preimages of the rows of Y, of the same shape."""
        return self._inverse(self._check(Y))

    def sample_source(self, n_samples=1000, random_state=None):
        """Draw fresh rows of the source."""
        return self._draw(n_samples, check_random_state(random_state))

    def sample_target(self, n_samples=1000, random_state=None):
        """Draw fresh rows of the target: the images of `sample_source` with these arguments."""
        return self._transport(self.sample_source(n_samples, random_state))

    def to_bunch(self, n_samples, n_target_samples, rng, **more):
        # The two samples are drawn independently: matched rows would show the map.
        source = self.sample_source(n_samples, rng)
        target = self.sample_target(n_samples if n_target_samples is None else n_target_samples, rng)
        # Bound methods and not closures, so that the Bunch can be pickled.
        return Bunch(
            source=source,
            target=target,
            transport=self.transport,
            inverse=self.inverse,
            potential=self.potential,
            sample_source=self.sample_source,
            sample_target=self.sample_target,
            **more,
        )


class _GaussianPair(_KnownPair):
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


class _PotentialPair(_KnownPair):
    MAX_NEWTON_STEPS = 1000
    TOLERANCE = 1e-12

    def __init__(self, n_features, n_components, n_pieces, strong_convexity, rng):
        super().__init__(n_features)
        std = 0.4
        centres = rng.standard_normal((n_components, n_features))
        scale = np.sqrt(centres.var(axis=0) + std**2)
        self.centres, self.std = (centres - centres.mean(axis=0)) / scale, std / scale
        self.slopes = 6 * rng.standard_normal((n_pieces, n_features)) / np.sqrt(n_features)
        self.offsets = rng.standard_normal(n_pieces)
        self.sharpness = 2.0
        self.strong_convexity = strong_convexity

    def _draw(self, n_samples, rng):
        labels = rng.randint(len(self.centres), size=n_samples)
        return self.centres[labels] + self.std * rng.standard_normal((n_samples, self.n_features))

    def _pieces(self, X):
        return self.sharpness * (X @ self.slopes.T + self.offsets)

    def _potential(self, X):
        quadratic = self.strong_convexity / 2 * np.einsum("ij,ij->i", X, X)
        return quadratic + logsumexp(self._pieces(X), axis=1) / self.sharpness

    def _transport(self, X):
        return self.strong_convexity * X + softmax(self._pieces(X), axis=1) @ self.slopes

    def _inverse(self, Y):
        """Minimise ψ(x) - <x, y>, which is strongly convex, by Newton's method with a line search for each row."""
        X = np.zeros_like(Y)
        # Preimages are larger where the modulus is smaller, and so are their rounding errors.
        tolerance = self.TOLERANCE / min(self.strong_convexity, 1)
        tolerance = tolerance * (np.abs(self.slopes).max() + np.linalg.norm(Y, axis=1))
        active = np.arange(len(Y))
        for _ in range(self.MAX_NEWTON_STEPS):
            gradient = self._transport(X[active]) - Y[active]
            unsolved = np.linalg.norm(gradient, axis=1) > tolerance[active]
            active, gradient = active[unsolved], gradient[unsolved]
            if active.size == 0:
                return X
            step = self._newton_step(X[active], gradient)
            X[active] = self._line_search(X[active], Y[active], step, np.einsum("ij,ij->i", gradient, step))
        raise RuntimeError(
            f"Newton's method left {active.size} of {len(Y)} rows unsolved after {self.MAX_NEWTON_STEPS} "
            f"steps: a strong_convexity above {self.strong_convexity:g} makes the inverse easier to compute."
        )

    def _newton_step(self, X, gradient):
        # The Hessian is α I + τ Sᵀ M S with M = diag(p) - p pᵀ. By Woodbury's identity, the linear system to solve has
        # one unknown for each piece, in any dimension.
        p = softmax(self._pieces(X), axis=1)
        weights = p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None, :]
        ridge = self.strong_convexity / self.sharpness * np.eye(p.shape[1])
        right = weights @ (gradient @ self.slopes.T)[:, :, None]
        inner = np.linalg.solve(ridge + weights @ (self.slopes @ self.slopes.T), right)[:, :, 0]
        return (inner @ self.slopes - gradient) / self.strong_convexity

    def _line_search(self, X, Y, step, slope):
        """Halve the step of each row until the objective of the row falls enough (Armijo's condition)."""

        def objective(X):
            return self._potential(X) - np.einsum("ij,ij->i", X, Y)

        start, length = objective(X), np.ones(len(X))
        # Near the minimum even a good step lowers the objective by less than its rounding error.
        slack = 1e-13 * (1 + np.abs(start))
        for _ in range(40):
            too_long = objective(X + length[:, None] * step) > start + 1e-4 * length * slope + slack
            if not too_long.any():
                break
            length[too_long] /= 2
        return X + length[:, None] * step


@in_own_settings
@validate_params(_PAIR, prefer_skip_nested_validation=True)
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


@in_own_settings
@validate_params(
    {
        **_PAIR,
        "n_components": [_COUNT],
        "n_pieces": [_COUNT],
        "strong_convexity": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def make_potential_pair(
    n_features=16,
    n_samples=1000,
    *,
    n_target_samples=None,
    n_components=3,
    n_pieces=10,
    strong_convexity=0.3,
    random_state=None,
):
    """Draw two samples of multi-modal distributions, with their optimal map.

    P is a mixture of equally likely Gaussians with random centres, standardised to mean 0 and variance 1 of each
    feature. Q is the image of P under T = ∇ψ, with the random convex potential

    .. math:: \\psi(x) = \\frac{\\alpha}{2} \\|x\\|^2
        + \\frac{1}{\\tau} \\log \\sum_{k=1}^{K} e^{\\tau (\\langle s_k, x \\rangle + b_k)},
        \\qquad T(x) = \\alpha x + \\sum_{k=1}^{K} p_k(x) s_k

    where p(x) is the softmax of the exponents. The softmax divides space into K cells with soft boundaries, and the map
    shrinks each cell towards its slope s, so that Q has up to K modes. The gradient of a convex function is the optimal
    map of the squared cost between any distribution and its image [Brenier91]_. The slopes are Gaussian with a length
    of about 6, the offsets b are drawn from N(0, 1), and τ = 2. The best linear map leaves about 10 to 40 % of the
    variance of Q unexplained.

    Parameters
    ----------
    n_features : int, default=16
        Number of features.
    n_samples : int, default=1000
        Number of source rows.
    n_target_samples : int, default=None
        Number of target rows; ``n_samples`` if None.
    n_components : int, default=3
        Number of Gaussians in the source.
    n_pieces : int, default=10
        Number K of affine pieces of the potential.
    strong_convexity : float, default=0.3
        The modulus α > 0 of the potential. A smaller modulus makes the modes of the target sharper and the inverse map
        steeper: the inverse is 1/α-Lipschitz.
    random_state : int, RandomState instance or None, default=None
        Draws the mixture and the potential first and then the rows: with an int, the mixture and the potential do not
        depend on the numbers of rows.

    Returns
    -------
    pair : :class:`~sklearn.utils.Bunch`
        Dictionary-like object that can be pickled, with the attributes

        source : ndarray of shape (n_samples, n_features)
            Rows of P.
        target : ndarray of shape (n_target_samples, n_features)
            Rows of Q, drawn independently of ``source``: no row is the image of a row of ``source``.
        transport, inverse : callable
            The optimal map T from P to Q, and its inverse, on rows of shape (n, n_features). Newton's method computes
            the inverse until ``|T(x) - y|`` is below 1e-12 / min(α, 1) times the sum of ``|y|`` and the largest
            coordinate of a slope.
        potential : callable
            The convex potential ψ; returns an array of shape (n,).
        sample_source, sample_target : callable
            ``sample_source(n_samples=1000, random_state=None)`` draws fresh rows of P, and ``sample_target`` fresh rows
            of Q. With equal arguments, row i of the second is the image of row i of the first: use different seeds for
            independent samples.

    See Also
    --------
    make_gaussian_pair : A pair whose optimal map is linear.

    References
    ----------
    .. [Brenier91] Y. Brenier, "Polar factorization and monotone rearrangement of vector-valued functions",
       Communications on Pure and Applied Mathematics, 1991.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.datasets import make_potential_pair
    >>> pair = make_potential_pair(2, 500, random_state=0)
    >>> bool(np.allclose(pair.inverse(pair.transport(pair.source)), pair.source))
    True
    """
    rng = check_random_state(random_state)
    pair = _PotentialPair(n_features, n_components, n_pieces, strong_convexity, rng)
    return pair.to_bunch(n_samples, n_target_samples, rng)

"""Pairs of samples whose optimal map is the gradient of a known convex potential."""

from numbers import Real

from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from sklearn_ot.datasets._families import Envelope, LogSumExp, Ridge, Separable
from sklearn_ot.datasets._icnn_family import TrainedNetworks
from sklearn_ot.datasets._known import COUNT, PAIR_CONSTRAINTS, KnownPair
from sklearn_ot.datasets._sources import SOURCES
from sklearn_ot.settings import in_own_settings

# Families with a quadratic and a number of affine pieces, and all others.
PIECES = {"logsumexp": LogSumExp, "ridge": Ridge, "envelope": Envelope}
FAMILIES = (*PIECES, "separable", "icnn")


class PotentialPair(KnownPair):
    """A source and a potential, which are drawn in this order."""

    def __init__(self, n_features, family, source, n_components, n_pieces, strong_convexity, rng):
        super().__init__(n_features)
        self.source = SOURCES[source](n_features, n_components, rng)
        if family in PIECES:
            self.psi = PIECES[family](n_features, n_pieces, strong_convexity, rng)
        else:
            self.psi = Separable(n_features, rng) if family == "separable" else TrainedNetworks(self.source, rng)

    def _draw(self, n_samples, rng):
        return self.source.draw(n_samples, rng)

    def _potential(self, X):
        return self.psi.value(X)

    def _transport(self, X):
        return self.psi.gradient(X)

    def _inverse(self, Y):
        return self.psi.inverse(Y)


@in_own_settings
@validate_params(
    {
        **PAIR_CONSTRAINTS,
        "family": [StrOptions(set(FAMILIES))],
        "source": [StrOptions(set(SOURCES))],
        "n_components": [COUNT],
        "n_pieces": [COUNT, None],
        "strong_convexity": [Interval(Real, 0, None, closed="neither"), None],
    },
    prefer_skip_nested_validation=True,
)
def make_potential_pair(
    n_features=16,
    n_samples=1000,
    *,
    family="logsumexp",
    source="mixture",
    n_target_samples=None,
    n_components=3,
    n_pieces=None,
    strong_convexity=None,
    random_state=None,
):
    r"""Draw two samples of which the optimal map is known: the gradient of a random convex potential.

    Q is the image of P under T = ∇ψ. The gradient of a convex function is the optimal map of the squared cost between
    any distribution and its image [Brenier91]_. Three families have a quadratic and a convex function φ of K affine
    pieces,

    .. math:: \psi(x) = \frac{\alpha}{2} \|x\|^2 + \varphi(S x + b), \qquad T(x) = \alpha x + S^T \nabla\varphi(S x + b)

    where S has K rows, the slopes, and b is drawn from N(0, 1) for "logsumexp" and "envelope", whose slopes have a
    length of about 6, and from N(0, 0.36) for "ridge", whose slopes have length 1:

    "logsumexp"
        φ(z) = log(Σ exp(2 z)) / 2. The softmax of 2 z divides space into K cells with soft boundaries, and the map
        shrinks each cell towards its slope, so that Q has up to K modes. With a mixture as the source, the best linear
        map leaves about 10 to 40 % of the variance of Q unexplained.
    "envelope"
        The Moreau envelope of the maximum, φ(z) = min {max(w) + ½‖z - w‖²}. T has sharp kinks: it is linear in the
        cells, and on bands between them.
    "ridge"
        φ(z) = Σ c_k h_k(z_k) with \|t\|^1.5, log cosh(8 t) / 8, Huber's function of width 0.15 and t⁴ / 16 in turn, and
        c between ½ and 2. The slope of T is infinite at the kinks of the first.
    "separable"
        A sum of functions along d random orthogonal axes. The one-dimensional maps are, in turn and with random
        offsets: t + t \|t\|, which makes heavy tails; 2t / √(1 + 4t²), which is bounded; sign(t) √\|t\|, which divides
        the rows at 0; and asinh(8t) / 2, which shortens the tails.
    "icnn"
        The mean of two input-convex networks with CELU and squares in their skip connections, trained for 400 steps to
        carry P near a mixture of ten Gaussians, as the pairs of [Korotin21b]_ are built. The training takes seconds,
        and its result depends on the versions of PyTorch and of this package.

    Parameters
    ----------
    n_features : int, default=16
        Number d of features.
    n_samples : int, default=1000
        Number of source rows.
    family : {"logsumexp", "envelope", "ridge", "separable", "icnn"}, default="logsumexp"
        The potential.
    source : {"mixture", "uniform", "student", "correlated"}, default="mixture"
        P, with mean 0 and a mean variance of 1: "mixture" has equally likely Gaussians with random centres, and
        variance 1 in each column; "uniform" is a cube; "student" has independent columns of Student's t distribution
        with 5 degrees of freedom; "correlated" is a mixture with 90 % of its variance along a quarter of d random axes.
    n_target_samples : int, default=None
        Number of target rows; ``n_samples`` if None.
    n_components : int, default=3
        Number of Gaussians in "mixture" and "correlated".
    n_pieces : int, default=None
        Number K of affine pieces. None is 10, and max(4, ¾ d) for "ridge".
    strong_convexity : float, default=None
        The modulus α > 0 of the families with affine pieces. A smaller modulus makes the modes of the target sharper
        and the inverse map steeper: the inverse is 1/α-Lipschitz. None is 0.3, and 0.1 for "ridge".
    random_state : int, RandomState instance or None, default=None
        Draws P and the potential first and then the rows: with an int, P and the potential do not depend on the numbers
        of rows.

    Returns
    -------
    pair : :class:`~sklearn.utils.Bunch`
        Dictionary-like object that can be pickled, with the attributes

        source : ndarray of shape (n_samples, n_features)
            Rows of P.
        target : ndarray of shape (n_target_samples, n_features)
            Rows of Q, drawn independently of ``source``: no row is the image of a row of ``source``.
        transport, inverse : callable
            The optimal map T from P to Q, and its inverse, on rows of shape (n, n_features). The inverse of "separable"
            is in closed form, and raises a ValueError for rows outside of the range of T. For the others,
            Newton's method computes it until ``|T(x) - y|`` is below 1e-12 / min(α, 1) times the sum of ``|y|`` and the
            largest coordinate of a slope; for "icnn", below 1e-10 (1 + ``|y|``).
        potential : callable
            The convex potential ψ; returns an array of shape (n,).
        sample_source, sample_target : callable
            ``sample_source(n_samples=1000, random_state=None)`` draws fresh rows of P, and ``sample_target`` fresh rows
            of Q. With equal arguments, row i of the second is the image of row i of the first: use different seeds for
            independent samples.

    Raises
    ------
    ValueError
        If ``n_pieces`` or ``strong_convexity`` is given for a family without affine pieces.

    See Also
    --------
    make_gaussian_pair : A pair whose optimal map is linear.

    References
    ----------
    .. [Brenier91] Y. Brenier, "Polar factorization and monotone rearrangement of vector-valued functions",
       Communications on Pure and Applied Mathematics, 1991.
    .. [Korotin21b] A. Korotin, L. Li, A. Genevay, J. Solomon, A. Filippov, E. Burnaev, "Do neural optimal transport
       solvers work? A continuous Wasserstein-2 benchmark", NeurIPS 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.datasets import make_potential_pair
    >>> pair = make_potential_pair(2, 500, family="ridge", random_state=0)
    >>> bool(np.allclose(pair.inverse(pair.transport(pair.source)), pair.source))
    True
    """
    given = {"n_pieces": n_pieces, "strong_convexity": strong_convexity}
    for name, value in given.items():
        if value is not None and family not in PIECES:
            raise ValueError(f"{name}={value} has no effect on family={family!r}, which has no affine pieces.")
    rng = check_random_state(random_state)
    pair = PotentialPair(n_features, family, source, n_components, n_pieces, strong_convexity, rng)
    return pair.to_bunch(n_samples, n_target_samples, rng)

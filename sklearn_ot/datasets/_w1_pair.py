"""Pairs of samples whose optimal map for the distance itself is known, by transport rays."""

from numbers import Real

from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from sklearn_ot.datasets._known import COUNT, PAIR_CONSTRAINTS, PreimagePair
from sklearn_ot.datasets._rays import KINDS
from sklearn_ot.datasets._sources import SOURCES
from sklearn_ot.settings import in_own_settings

DEGREE = 4
# Default numbers of pieces.
N_PIECES = {"flats": 16, "planes": 8, "shells": 24, "field": 4}


class W1Pair(PreimagePair):
    """A target, and a function with rays, which are drawn in this order."""

    def __init__(self, n_features, kind, target, n_components, n_pieces, degree, rng):
        super().__init__(n_features)
        self.target = SOURCES[target](n_features, n_components, rng)
        self.rays = KINDS[kind](self.target, n_pieces, degree, rng)

    def _draw(self, n_samples, rng):
        return self.target.draw(n_samples, rng)

    def _potential(self, X):
        # Rows move up the rays, and the potential of the source falls in this direction.
        return -self.rays.value(X)

    def _transport(self, X):
        return self.rays.up(X)

    def _inverse(self, Y):
        return self.rays.down(Y)


@in_own_settings
@validate_params(
    {
        **PAIR_CONSTRAINTS,
        "kind": [StrOptions(set(KINDS))],
        "target": [StrOptions(set(SOURCES))],
        "n_components": [COUNT],
        "n_pieces": [COUNT, None],
        "degree": [Interval(Real, 1, None, closed="neither"), None],
    },
    prefer_skip_nested_validation=True,
)
def make_w1_pair(
    n_features=2,
    n_samples=1000,
    *,
    kind="flats",
    target="uniform",
    n_target_samples=None,
    n_components=3,
    n_pieces=None,
    degree=None,
    random_state=None,
):
    r"""Draw two samples of which the Wasserstein-1 distance, its potential and an optimal map are known.

    A function v of slope 1 that is 1-Lipschitz has transport rays: lines along which it rises as fast as they are long.
    A map T that moves every row upwards on its ray is optimal for the cost :math:`\|x - y\|`, because the 1-Lipschitz
    function u = -v proves it [Villani09]_:

    .. math:: u(x) - u(T(x)) = \|x - T(x)\|, \qquad
        W_1(P, Q) = E_P\, u - E_Q\, u = E_P \|x - T(x)\|

    T is also monotone on each ray. There are other optimal maps with the same distance, but only one is monotone. The
    source P consists of preimages of rows of the target Q, which is given. The kinds are

    "flats"
        v is the distance to the nearest of K random flats of dimension ⌊d / 2⌋ through random rows of Q, each with an
        offset below 0.2. A ray starts on a flat, is orthogonal to it, and ends where another flat is as near.
    "planes"
        The same with flats of dimension d - 1, so that v is piecewise linear.
    "shells"
        v is the distance to the nearest of K spheres around random rows of Q. The radii are between 0.28 and 1.11,
        times √(d / 8) for d above 8. Rays within a sphere end in its centre.
    "blocks"
        v is a weighted sum of the norms of K blocks of rotated columns, :math:`\sum_k w_k \|z_k\|` with
        :math:`\sum_k w_k^2 = 1`. A ray starts where the first block is 0, and has no end.
    "field"
        v is linear, and all rays are parallel lines without ends. T moves a row by a step that differs among rays: its
        logarithm is a sum of K plane waves with mean 0 and variance ½.

    On a ray of length L that starts at t = 0, T moves the row at :math:`L (t / L)^r` to t, where r is the degree. Rays
    of the uniform target also end at its border. The other targets are unbounded, so that rays may be infinite. There,
    it is h(t) that has the power r,

    .. math:: h(s) = h(L) \left(\frac{h(t)}{h(L)}\right)^r, \qquad h(t) = \frac{t}{t + \ell}

    where ℓ is the median of t for 1000 rows of Q. On an infinite ray, far rows move from about t / r to t. T is
    continuous on a ray, but not across the points where rays end, and its slope is infinite where they start: there,
    numerical errors of x are much larger in T(x).

    Parameters
    ----------
    n_features : int, default=2
        Number d of features.
    n_samples : int, default=1000
        Number of source rows.
    kind : {"flats", "planes", "shells", "blocks", "field"}, default="flats"
        The function v.
    target : {"uniform", "mixture", "student", "correlated"}, default="uniform"
        Q, with mean 0 and a mean variance of 1: "uniform" is a cube; "mixture" has equally likely Gaussians with random
        centres, and variance 1 in each column; "student" has independent columns of Student's t distribution with 5
        degrees of freedom; "correlated" is a mixture with 90 % of its variance along a quarter of d random axes.
    n_target_samples : int, default=None
        Number of target rows; ``n_samples`` if None.
    n_components : int, default=3
        Number of Gaussians in "mixture" and "correlated".
    n_pieces : int, default=None
        Number K of flats, spheres, blocks or waves. None is 16 flats, 8 planes, 24 spheres, 4 waves, and for the blocks
        d / 4, but at least 2 and at most 8.
    degree : float, default=None
        The degree r > 1 of the map along rays with an end. A larger one makes longer steps. None is 4.
    random_state : int, RandomState instance or None, default=None
        Draws Q and v first and then the rows: with an int, Q and v do not depend on the numbers of rows.

    Returns
    -------
    pair : :class:`~sklearn.utils.Bunch`
        Dictionary-like object that can be pickled, with the attributes

        source : ndarray of shape (n_samples, n_features)
            Rows of P.
        target : ndarray of shape (n_target_samples, n_features)
            Rows of Q, drawn independently of ``source``: no row is the image of a row of ``source``.
        transport, inverse : callable
            The optimal map T from P to Q that is monotone on rays, and its inverse, on rows of shape (n, n_features).
            Both are in closed form.
        potential : callable
            The Kantorovich potential u = -v, which falls from x to T(x) with slope 1; returns an array of shape (n,).
        sample_source, sample_target : callable
            ``sample_target(n_samples=1000, random_state=None)`` draws fresh rows of Q, and ``sample_source`` fresh rows
            of P. With equal arguments, row i of the first is the image of row i of the second: use different seeds for
            independent samples.
        distance : callable
            ``distance(n_samples=100_000, random_state=0)`` returns the mean of :math:`\|x - T(x)\|` over fresh rows,
            and the standard error of this mean.

    Raises
    ------
    ValueError
        If there are more blocks than features, or ``degree`` is given for "field".

    See Also
    --------
    make_potential_pair : A pair whose optimal map for the squared cost is known.

    References
    ----------
    .. [Villani09] C. Villani, "Optimal Transport: Old and New", Springer, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.datasets import make_w1_pair
    >>> pair = make_w1_pair(2, 500, random_state=0)
    >>> fall = pair.potential(pair.source) - pair.potential(pair.transport(pair.source))
    >>> bool(np.allclose(fall, np.linalg.norm(pair.source - pair.transport(pair.source), axis=1)))
    True
    """
    if kind == "field" and degree is not None:
        raise ValueError(f"degree={degree} has no effect on kind='field', whose rays have no ends. Leave it out.")
    if n_pieces is None:
        n_pieces = N_PIECES[kind] if kind != "blocks" else min(n_features, max(2, min(8, n_features // 4)))
    elif kind == "blocks" and n_pieces > n_features:
        raise ValueError(f"{n_features} features cannot be divided into n_pieces={n_pieces} blocks. Give fewer.")
    rng = check_random_state(random_state)
    degree = DEGREE if degree is None else degree
    pair = W1Pair(n_features, kind, target, n_components, n_pieces, degree, rng)
    return pair.to_bunch(n_samples, n_target_samples, rng)

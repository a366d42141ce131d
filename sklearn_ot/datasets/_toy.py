"""Toy distributions in the plane."""

from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.datasets import make_swiss_roll
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from sklearn_ot.settings import in_own_settings

_COUNT = Interval(Integral, 1, None, closed="left")
_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_DRAW = {"n_samples": [_COUNT], "return_labels": ["boolean"], "random_state": ["random_state"]}


def _draw_mixture(modes, std, n_samples, rng):
    labels = rng.randint(len(modes), size=n_samples)
    return modes[labels] + std * rng.standard_normal((n_samples, 2)), labels


@in_own_settings
@validate_params({"n_modes": [_COUNT], "radius": [_POSITIVE]}, prefer_skip_nested_validation=True)
def ring_modes(n_modes=8, *, radius=1.0):
    """Centres of the Gaussians of `make_gaussian_ring`, evenly spaced on a circle from (radius, 0) on.

    Parameters
    ----------
    n_modes : int, default=8
        Number of modes.
    radius : float, default=1.0
        Radius of the circle.

    Returns
    -------
    modes : ndarray of shape (n_modes, 2)
        The centres; row ``k`` belongs to label ``k``.

    Examples
    --------
    >>> from sklearn_ot.datasets import ring_modes
    >>> ring_modes(4).round() + 0
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1.,  0.],
           [ 0., -1.]])
    """
    angles = 2 * np.pi * np.arange(n_modes) / n_modes
    return radius * np.column_stack([np.cos(angles), np.sin(angles)])


@in_own_settings
@validate_params({"n_modes_per_side": [_COUNT], "spacing": [_POSITIVE]}, prefer_skip_nested_validation=True)
def grid_modes(n_modes_per_side=5, *, spacing=2.0):
    """Centres of the Gaussians of `make_gaussian_grid`, a square grid around the origin.

    Parameters
    ----------
    n_modes_per_side : int, default=5
        Number of modes along each side of the grid.
    spacing : float, default=2.0
        Distance between neighbouring modes.

    Returns
    -------
    modes : ndarray of shape (n_modes_per_side ** 2, 2)
        The centres; row ``k`` belongs to label ``k``.

    Examples
    --------
    >>> from sklearn_ot.datasets import grid_modes
    >>> grid_modes(2)
    array([[-1., -1.],
           [-1.,  1.],
           [ 1., -1.],
           [ 1.,  1.]])
    """
    side = spacing * (np.arange(n_modes_per_side) - (n_modes_per_side - 1) / 2)
    return np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)


@in_own_settings
@validate_params(
    {**_DRAW, "n_modes": [_COUNT], "radius": [_POSITIVE], "std": [_NOT_NEGATIVE]}, prefer_skip_nested_validation=True
)
def make_gaussian_ring(n_samples=1000, *, n_modes=8, radius=1.0, std=0.01, return_labels=False, random_state=None):
    """Draw from equally likely Gaussians on a ring in the plane.

    With the defaults it is the ring of the mode-coverage protocol of [Lin18]_.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows. The rows are drawn independently, so the number of rows of each mode is random.
    n_modes : int, default=8
        Number of Gaussians.
    radius : float, default=1.0
        Radius of the ring.
    std : float, default=0.01
        Standard deviation of each Gaussian, in each coordinate.
    return_labels : bool, default=False
        Whether to return the number of the mode of each row as well. `ring_modes` returns the centres of the modes.
    random_state : int, RandomState instance or None, default=None
        Draws the rows. With an int, each call gives the same rows.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The rows.
    labels : ndarray of shape (n_samples,)
        Number of the mode of each row. Only returned if ``return_labels`` is True.

    References
    ----------
    .. [Lin18] Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: the power of two samples in generative adversarial
       networks", NeurIPS 2018.

    Examples
    --------
    >>> from sklearn_ot.datasets import make_gaussian_ring
    >>> make_gaussian_ring(500, random_state=0).shape
    (500, 2)
    """
    rng = check_random_state(random_state)
    X, labels = _draw_mixture(ring_modes(n_modes, radius=radius), std, n_samples, rng)
    return (X, labels) if return_labels else X


@in_own_settings
@validate_params(
    {**_DRAW, "n_modes_per_side": [_COUNT], "spacing": [_POSITIVE], "std": [_NOT_NEGATIVE]},
    prefer_skip_nested_validation=True,
)
def make_gaussian_grid(
    n_samples=1000, *, n_modes_per_side=5, spacing=2.0, std=0.05, return_labels=False, random_state=None
):
    """Draw from equally likely Gaussians on a square grid in the plane.

    With the defaults it is the grid of 25 modes of the mode-coverage protocol of [Lin18]_.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows. The rows are drawn independently, so the number of rows of each mode is random.
    n_modes_per_side : int, default=5
        Number of Gaussians along each side of the grid: 5 for 25 Gaussians, 7 for 49, 10 for 100.
    spacing : float, default=2.0
        Distance between neighbouring modes.
    std : float, default=0.05
        Standard deviation of each Gaussian, in each coordinate.
    return_labels : bool, default=False
        Whether to return the number of the mode of each row as well. `grid_modes` returns the centres of the modes.
    random_state : int, RandomState instance or None, default=None
        Draws the rows. With an int, each call gives the same rows.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The rows.
    labels : ndarray of shape (n_samples,)
        Number of the mode of each row. Only returned if ``return_labels`` is True.

    References
    ----------
    .. [Lin18] Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: the power of two samples in generative adversarial
       networks", NeurIPS 2018.

    Examples
    --------
    >>> from sklearn_ot.datasets import make_gaussian_grid
    >>> X, labels = make_gaussian_grid(500, return_labels=True, random_state=0)
    >>> X.shape, len(set(labels))
    ((500, 2), 25)
    """
    rng = check_random_state(random_state)
    X, labels = _draw_mixture(grid_modes(n_modes_per_side, spacing=spacing), std, n_samples, rng)
    return (X, labels) if return_labels else X


# scikit-learn's make_moons and make_circles space their points evenly along the curve. Two of their samples are much
# closer to each other than independent samples, which would make distances between samples misleading.
def _make_moons(n_samples, return_labels, random_state, std=0.05):
    rng = check_random_state(random_state)
    labels = rng.randint(2, size=n_samples)
    angles = np.pi * (rng.uniform(size=n_samples) + labels)
    X = np.column_stack([np.cos(angles) + labels, np.sin(angles) + labels / 2])
    X += std * rng.standard_normal(X.shape)
    return (X, labels) if return_labels else X


def _make_rings(n_samples, return_labels, random_state, n_rings=4, std=0.02):
    rng = check_random_state(random_state)
    labels = rng.randint(n_rings, size=n_samples)
    angles = 2 * np.pi * rng.uniform(size=n_samples)
    X = (labels[:, None] + 1) / n_rings * np.column_stack([np.cos(angles), np.sin(angles)])
    X += std * rng.standard_normal(X.shape)
    return (X, labels) if return_labels else X


def _make_swiss_roll(n_samples, return_labels, random_state):
    X, position = make_swiss_roll(n_samples, noise=0.25, random_state=random_state)
    X = X[:, [0, 2]] / 7.5
    return (X, position) if return_labels else X


_TOYS = {
    "8gaussians": make_gaussian_ring,
    "25gaussians": make_gaussian_grid,
    "49gaussians": partial(make_gaussian_grid, n_modes_per_side=7),
    "100gaussians": partial(make_gaussian_grid, n_modes_per_side=10),
    "moons": _make_moons,
    "rings": _make_rings,
    "swiss_roll": _make_swiss_roll,
}


@in_own_settings
@validate_params({"name": [StrOptions(set(_TOYS))], **_DRAW}, prefer_skip_nested_validation=True)
def make_toy(name, n_samples=1000, *, return_labels=False, random_state=None):
    """Draw from a toy distribution in the plane, by its name.

    ============== ========================================================= ====================
    name           distribution                                              label
    ============== ========================================================= ====================
    "8gaussians"   ring of 8, radius 1, std 0.01 (`make_gaussian_ring`)      mode
    "25gaussians"  grid of 5 × 5, spacing 2, std 0.05 (`make_gaussian_grid`) mode
    "49gaussians"  the same, 7 × 7                                           mode
    "100gaussians" the same, 10 × 10                                         mode
    "moons"        two interleaved half circles of radius 1, noise 0.05      moon
    "rings"        circles of radius ¼, ½, ¾ and 1, equal mass, noise 0.02   ring, inner first
    "swiss_roll"   spiral of 1½ turns within ±2, noise 1/30                  angle along the roll
    ============== ========================================================= ====================

    The Gaussians are those of the mode-coverage protocol of [Lin18]_, the swiss roll is that of [Gulrajani17]_. Papers
    use different scales: multiply the rows by a number if a paper needs another scale.

    Parameters
    ----------
    name : {"8gaussians", "25gaussians", "49gaussians", "100gaussians", "moons", "rings", "swiss_roll"}
        The distribution.
    n_samples : int, default=1000
        Number of rows. The rows are drawn independently: the number of rows of each mode is random, and the points of
        moons and rings are not evenly spaced, unlike those of scikit-learn.
    return_labels : bool, default=False
        Whether to return the labels of the table as well.
    random_state : int, RandomState instance or None, default=None
        Draws the rows. With an int, each call gives the same rows.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The rows.
    labels : ndarray of shape (n_samples,)
        Number of the component of each row, or its angle. Only returned if ``return_labels`` is True.

    Raises
    ------
    ValueError
        If the name is unknown.

    References
    ----------
    .. [Lin18] Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: the power of two samples in generative adversarial
       networks", NeurIPS 2018.
    .. [Gulrajani17] I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved training of Wasserstein
       GANs", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn_ot.datasets import make_toy
    >>> make_toy("49gaussians", 2000, random_state=0).shape
    (2000, 2)
    """
    return _TOYS[name](n_samples, return_labels=return_labels, random_state=random_state)

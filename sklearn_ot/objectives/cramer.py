"""The energy distance of embedded rows, and its game."""

from collections.abc import Callable

from torch import Tensor

from sklearn_ot.objectives.wgan import slope_penalty
from sklearn_ot.solvers.costs import half_squared_distances

# Small against all distances between rows, in units in which the data are of size 1.
ROUNDING = 1e-3


def energy_distance(real: Tensor, fake: Tensor) -> Tensor:
    r"""Unbiased estimate of the energy distance between two distributions from samples.

    .. math:: 2 E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|

    X runs through the first half of a sample and X' through the second half. The two halves must be independent of each
    other; the rows of a half need not be. The gradients are also unbiased for any number of rows, unlike those of
    Wasserstein distances between samples [Bellemare17]_. For one feature this is twice the Cramér distance.

    Parameters
    ----------
    real : Tensor of shape (n, k)
        Rows of the first distribution, 2 or more.
    fake : Tensor of shape (m, k)
        Rows of the second distribution, 2 or more.

    Returns
    -------
    distance : Tensor of shape ()
        The estimate; it can be below 0.

    References
    ----------
    .. [Bellemare17] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients",
       arXiv:1705.10743, 2017.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.objectives.cramer import energy_distance
    >>> energy_distance(torch.zeros(2, 2), torch.tensor([[3.0, 4.0]] * 2)).round(decimals=2).item()
    10.0
    """
    within = sum(distances(*rows.chunk(2)).mean() for rows in (real, fake))
    return 2 * distances(real, fake).mean() - within


def witness(outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    r"""The witness function of an embedding h.

    .. math:: f(x) = E\|h(x) - h(Y)\| - \|h(x)\|

    This is the function of [Bellemare17]_. The last term replaces the mean distance to the data,
    :math:`E\|h(x) - h(X)\|`. With the mean distance, f would be 0 if the distributions were equal, and its slope could
    not be kept at 1.

    Parameters
    ----------
    outputs : Tensor of shape (n, k)
        Embedded rows h(x).
    real : Tensor of shape (m, k)
        Not used.
    fake : Tensor of shape (m, k)
        Embedded samples h(Y).

    Returns
    -------
    values : Tensor of shape (n,)
        Values f(x).

    References
    ----------
    .. [Bellemare17] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients",
       arXiv:1705.10743, 2017.
    """
    return distances(outputs, fake).mean(1) - norms(outputs)


def critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float) -> Tensor:
    r"""Loss of the critic: minus the difference of the means of f on data and samples, plus λ times a slope penalty.

    .. math:: -\bigl( E\,f(X) - E\,f(Y') \bigr) + \lambda\, E (\|\nabla f(\hat x)\| - 1)^2

    This is the loss of [Bellemare17]_ with the `slope_penalty`. Y and Y' are independent: they run through the two
    halves of ``fake``.

    References
    ----------
    .. [Bellemare17] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients",
       arXiv:1705.10743, 2017.
    """
    h_real, h_fake = critic(real), critic(fake)
    penalty = slope_penalty(lambda x: witness(critic(x), h_real, h_fake), real, fake)
    return reg * penalty - _difference(h_real, h_fake)


def energy_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    """Loss of a generator: the `energy_distance` of embedded rows.

    For every embedding its gradient is unbiased, and it has its minimum if the embedded distributions are equal. The
    gradient becomes small near the minimum, unlike that of f.
    """
    return energy_distance(critic(real), critic(fake))


def witness_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    """Loss of a generator: the difference of the means of f, which the critic maximises.

    Its gradient does not become small before the distributions are equal. But for a fixed embedding it does not have
    its minimum at equal distributions: only the game has.
    """
    return _difference(critic(real), critic(fake))


def _difference(h_real, h_fake):
    """Difference of the means :math:`E f(X) - E f(Y')` of embedded rows."""
    mean_of_fake = distances(*h_fake.chunk(2)).mean() - norms(h_fake).mean()
    return witness(h_real, h_real, h_fake).mean() - mean_of_fake


def distances(a: Tensor, b: Tensor) -> Tensor:
    r"""Smoothed distances of all pairs, shape (n, m).

    .. math:: \sqrt{\|a - b\|^2 + \delta^2}, \qquad \delta = 10^{-3}

    They have derivatives of any order everywhere, also at a distance of 0. They still define an energy distance,
    because this function of the squared distance is a Bernstein function, like the root.
    """
    return (2 * half_squared_distances(a, b) + ROUNDING**2).sqrt()


def norms(rows: Tensor) -> Tensor:
    """Norms of rows, shape (n,), smoothed like `distances`."""
    return (rows.square().sum(1) + ROUNDING**2).sqrt()

"""The energy distance of embedded rows, and the game it makes."""

from collections.abc import Callable

from torch import Tensor

from sklearn_ot.objectives.wgan import slope_penalty
from sklearn_ot.solvers.costs import half_squared_distances

# Far below any distance that matters, in units in which the data are of size 1.
ROUNDING = 1e-3


def energy_distance(real: Tensor, fake: Tensor) -> Tensor:
    r"""Unbiased estimate of the energy distance of two laws from a sample of each.

    .. math:: 2 E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|

    The two halves of each sample must be independent of each other, not the rows within them: X and X' run through the
    one and the other. The gradients are unbiased too, whatever the number of rows, unlike those of Wasserstein
    distances of samples [Bellemare17]_. In one dimension it is twice the Cramér distance.

    Parameters
    ----------
    real : Tensor of shape (n, k)
        Rows of the one.
    fake : Tensor of shape (m, k)
        Rows of the other; at least 2 of each.

    Returns
    -------
    distance : Tensor of shape ()
        The estimate, which can be below 0.

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
    r"""The function that the critic is [Bellemare17]_.

    .. math:: f(x) = E\|h(x) - h(Y)\| - \|h(x)\|

    The last term stands for the distance from the data, :math:`E\|h(x) - h(X)\|`: that of a batch would vanish, as f
    would, where the laws meet, and no embedding gives 0 a slope.

    Parameters
    ----------
    outputs : Tensor of shape (n, k)
        Embedded rows h(x).
    real : Tensor of shape (m, k)
        Not used.
    fake : Tensor of shape (m, k)
        Embedded rows of Q.

    Returns
    -------
    values : Tensor of shape (n,)
        The function at the rows.

    References
    ----------
    .. [Bellemare17] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients",
       arXiv:1705.10743, 2017.
    """
    return distances(outputs, fake).mean(1) - norms(outputs)


def critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float) -> Tensor:
    r"""Minus the difference of the means of f on data and on samples, plus λ times its `slope_penalty` [Bellemare17]_.

    .. math:: -\bigl( E\,f(X) - E\,f(Y') \bigr) + \lambda\, E (\|\nabla f(\hat x)\| - 1)^2

    with Y and Y' independent: they run through the two halves of ``fake``.

    References
    ----------
    .. [Bellemare17] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients",
       arXiv:1705.10743, 2017.
    """
    h_real, h_fake = critic(real), critic(fake)
    penalty = slope_penalty(lambda x: witness(critic(x), h_real, h_fake), real, fake)
    return reg * penalty - _difference(h_real, h_fake)


def energy_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    """What a generator minimises: the `energy_distance` of embedded rows.

    Whatever the embedding, its gradient is unbiased, and it is least where the embedded laws are equal. There its pull
    fades, as f does not.
    """
    return energy_distance(critic(real), critic(fake))


def witness_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    """What a generator minimises: the difference of the means of f, which the critic maximises.

    Its pull does not fade before the laws are equal, but for a given embedding it is not least where they are: this is
    for the game to find.
    """
    return _difference(critic(real), critic(fake))


def _difference(h_real, h_fake):
    """:math:`E f(X) - E f(Y')`, of embedded rows."""
    mean_of_fake = distances(*h_fake.chunk(2)).mean() - norms(h_fake).mean()
    return witness(h_real, h_real, h_fake).mean() - mean_of_fake


def distances(a: Tensor, b: Tensor) -> Tensor:
    r"""Distances of all pairs, shape (n, m), rounded off where rows meet.

    .. math:: \sqrt{\|a - b\|^2 + \delta^2}, \qquad \delta = 10^{-3}

    They have derivatives of any order, which those of a distance 0 have not, and what is made of them is an energy
    distance as well: of the squared distance they are, like the root itself, a Bernstein function.
    """
    return (2 * half_squared_distances(a, b) + ROUNDING**2).sqrt()


def norms(rows: Tensor) -> Tensor:
    """Norms of rows, shape (n,), rounded off in the same way."""
    return (rows.square().sum(1) + ROUNDING**2).sqrt()

"""Minimax objectives of Wasserstein-2 maps; every formula has the cost ½‖x − y‖².

Both solve the dual: they minimise the correlations of `w2gn` over ψ, with the conjugate as a maximum over x̂. One
optimiser minimises one scalar over ψ and ω. In each of its terms one network is held fixed, and a term that ω maximises
has the opposite sign.
"""

from torch import Tensor

from sklearn_ot.nn import PotentialPair
from sklearn_ot.objectives.w2 import exact_dual, mean_squared_norm


def minimax(pair: PotentialPair, x: Tensor, y: Tensor, *, reg: float) -> Tensor:
    r"""The minimax objective in which ω computes the argmax, by simultaneous descent and ascent.

    .. math::
        \min_\psi \max_\omega\; \mathbb E_P\, \psi(x) + \mathbb E_Q [\langle \hat x, y \rangle - \psi(\hat x)],
        \qquad \hat x = \nabla\omega(y)

    This is the game of [Makkuva20]_. ψ descends with :math:`\hat x` held fixed, ω ascends with ψ held fixed, and both
    descend on

    .. math::
        \tfrac{\lambda}{2} \left( \mathbb E_Q \|\nabla\psi(\hat x) - y\|^2
        + \mathbb E_P \|\nabla\omega(\hat y) - x\|^2 \right), \qquad \hat y = \nabla\psi(x)

    with :math:`\hat x` and :math:`\hat y` held fixed. The first term fits ∇ψ to the inverse of ∇ω, the second ∇ω to the
    inverse of ∇ψ. At the solution both terms are 0. No derivative goes through both networks.

    The published algorithm takes K steps of ω (10 or 16) for each step of ψ; here each step moves both networks. With
    equal step sizes ω would lag behind ψ, and the game would cycle. `W2Transport` therefore gives ω ten times the step
    size of ψ, a two-time-scale rule [Heusel17]_. Another weight of one part would have no effect: ψ and ω share no
    weights, and the steps of Adam do not depend on the scale of a gradient. λ damps the remaining cycles, mostly by the
    first term. The published game has λ = 0.

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    reg : float
        λ, the weight of the regressions.

    Returns
    -------
    loss : Tensor of shape ()
        The value of the game plus the regressions. It can rise during training, because ω raises the game.

    References
    ----------
    .. [Heusel17] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs trained by a two time-scale
       update rule converge to a local Nash equilibrium", NeurIPS 2017.
    .. [Makkuva20] A. Makkuva, A. Taghvaei, S. Oh, J. Lee, "Optimal transport mapping via input convex neural
       networks", ICML 2020.

    Examples
    --------
    At the start ψ and ω are ‖·‖²/2, and the value of the game is half the sum of the mean squares of both batches:

    >>> import torch
    >>> from sklearn_ot.nn import DenseICNN, PotentialPair
    >>> from sklearn_ot.objectives.minimax import minimax
    >>> pair = PotentialPair(DenseICNN(2), DenseICNN(2))
    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> round(minimax(pair, x, y, reg=1.0).item(), 4)
    2.5
    """
    value, y_hat = pair.potential.value_and_gradient(x)
    conjugate, back, ascent = conjugate_at(pair.potential, pair.inverse.gradient(y), y)
    game = value.mean() + (conjugate + ascent).mean()
    regressions = mean_squared_norm(back - y) + mean_squared_norm(pair.inverse.gradient(y_hat.detach()) - x)
    return game + reg / 2 * regressions


def conjugate_at(potential, x_hat: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Evaluate the conjugate of ψ at ``y`` with a guess of its argmax.

    Parameters
    ----------
    potential : nn.Module
        ψ.
    x_hat : Tensor of shape (n, d)
        Guesses of the maximisers of :math:`\langle x, y \rangle - \psi(x)`.
    y : Tensor of shape (n, d)
        Points.

    Returns
    -------
    conjugate : Tensor of shape (n,)
        :math:`\langle \hat x, y \rangle - \psi(\hat x)`, differentiable in ψ; ``x_hat`` is held fixed.
    gradient : Tensor of shape (n, d)
        :math:`\nabla\psi(\hat x)`, with ``x_hat`` held fixed too.
    ascent : Tensor of shape (n,)
        Zeros. Their derivative in ``x_hat`` is *minus* that of the conjugate, :math:`\nabla\psi(\hat x) - y`, with ψ
        held fixed, so that a minimisation over ``x_hat`` raises the conjugate.
    """
    fixed = x_hat.detach()
    value, gradient = potential.value_and_gradient(fixed)
    ascent = ((x_hat - fixed) * (gradient.detach() - y)).sum(1)
    return (fixed * y).sum(1) - value, gradient, ascent


def minimax_v1(
    pair: PotentialPair,
    x: Tensor,
    y: Tensor,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    *,
    reg: float,
    max_iter: int = 20,
) -> Tensor:
    r"""The minimax objective with one maximisation for each row.

    .. math::
        \min_\psi\; \mathbb E_P\, \psi(x) + \mathbb E_Q [\langle \hat x, y \rangle - \psi(\hat x)],
        \qquad \hat x(y) \approx \operatorname*{arg\,max}_x \langle x, y \rangle - \psi(x)

    This is the method of [Taghvaei19]_. The objective is that of `sklearn_ot.objectives.w2.exact_dual`, with its λ, but
    the search for the argmax starts at y, which is the image of the Gaussian map in balanced coordinates. ω learns the
    inverse map and has no effect on ψ.

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    x_weight, y_weight : Tensor of shape (n,), (m,), default=None
        Weights of the rows with sum 1; None for equal weights.
    reg : float
        λ, the weight of the pull towards the identity, which is the Gaussian map in balanced coordinates.
    max_iter : int, default=20
        Largest number of steps of the search for the argmax; the search of a row ends at a residual of 1e-3 √d.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Taghvaei19] A. Taghvaei, A. Jalali, "2-Wasserstein approximation via restricted convex potentials with
       application to improved training for GANs", arXiv:1902.07197, 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import DenseICNN, PotentialPair
    >>> from sklearn_ot.objectives.minimax import minimax_v1
    >>> pair = PotentialPair(DenseICNN(2), DenseICNN(2))
    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> round(minimax_v1(pair, x, y, reg=0.0).item(), 4)
    2.5
    """
    return exact_dual(pair, x, y, x_weight, y_weight, reg=reg, amortized=False, tol=1e-3, max_iter=max_iter)

"""Minimax objectives of Wasserstein-2 maps. Every formula has the ½ in the cost: ½‖x − y‖².

Both solve the dual: minimise over ψ what `w2gn` calls the correlations, with the conjugate as a maximum over x̂. One
optimiser minimises one scalar over ψ and ω: who moves which term, and which way, is decided by what is held fixed.
"""

from torch import Tensor

from sklearn_ot.nn import PotentialPair
from sklearn_ot.objectives.w2 import exact_dual, mean_squared_norm


def minimax(pair: PotentialPair, x: Tensor, y: Tensor, *, reg: float) -> Tensor:
    r"""The minimax objective with an amortised argmax [Makkuva20]_, as simultaneous descent and ascent.

    .. math::
        \min_\psi \max_\omega\; \mathbb E_P\, \psi(x) + \mathbb E_Q [\langle \hat x, y \rangle - \psi(\hat x)],
        \qquad \hat x = \nabla\omega(y)

    ψ descends on the game with :math:`\hat x` held fixed, ω ascends on it with ψ held fixed, and both descend on

    .. math::
        \tfrac{\lambda}{2} \left( \mathbb E_Q \|\nabla\psi(\hat x) - y\|^2
        + \mathbb E_P \|\nabla\omega(\hat y) - x\|^2 \right), \qquad \hat y = \nabla\psi(x)

    with :math:`\hat x` and :math:`\hat y` held fixed: each map is regressed on the inverse of the other, ψ by the first
    term, ω by the second. At the solution both terms vanish; no derivative goes through both networks.

    The published algorithm takes K steps of ω (10 or 16) for each step of ψ; here each step moves both. With equal
    step sizes ω would lag behind ψ, and the game would cycle: `W2Transport` gives ω ten times the step size of ψ, a
    two-time-scale rule [Heusel17]_. (To weigh the two parts differently would not do: they share no weight of the
    networks, and Adam does not see the scale of a gradient.) What is left of the cycles is damped by λ, by its first
    term above all; λ = 0 is the published game.

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
        The value of the game plus the regressions. It need not fall: ω raises the game.

    References
    ----------
    .. [Heusel17] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs trained by a two time-scale
       update rule converge to a local Nash equilibrium", NeurIPS 2017.
    .. [Makkuva20] A. Makkuva, A. Taghvaei, S. Oh, J. Lee, "Optimal transport mapping via input convex neural
       networks", ICML 2020.

    Examples
    --------
    At the start ψ and ω are ‖·‖²/2, and the game is worth the half mean squares of both batches:

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
    r"""The conjugate of ψ at ``y`` with a guess of its argmax.

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
        Zeros, whose derivative in ``x_hat`` is *minus* that of the conjugate, :math:`\nabla\psi(\hat x) - y`, with ψ
        held fixed: to minimise them is to raise the conjugate.
    """
    fixed = x_hat.detach()
    value, gradient = potential.value_and_gradient(fixed)
    ascent = ((x_hat - fixed) * (gradient.detach() - y)).sum(1)
    return (fixed * y).sum(1) - value, gradient, ascent


def minimax_v1(pair: PotentialPair, x: Tensor, y: Tensor, *, reg: float, max_iter: int = 20) -> Tensor:
    r"""The minimax objective with one maximisation per row and no amortisation [Taghvaei19]_.

    .. math::
        \min_\psi\; \mathbb E_P\, \psi(x) + \mathbb E_Q [\langle \hat x, y \rangle - \psi(\hat x)],
        \qquad \hat x(y) \approx \operatorname*{arg\,max}_x \langle x, y \rangle - \psi(x)

    It is the objective `sklearn_ot.objectives.w2.exact_dual`, λ included, but the search for the argmax starts from y
    itself: as good a start as the Gaussian map in coordinates where that map is the identity. ψ does not feel ω, which
    learns the inverse map beside it.

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    reg : float
        λ, the pull of the map towards the identity, which is the Gaussian map in balanced coordinates.
    max_iter : int, default=20
        Steps of the search for the argmax, at most; for a row it ends at a residual of 1e-3 √d.

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
    return exact_dual(pair, x, y, reg=reg, amortized=False, tol=1e-3, max_iter=max_iter)

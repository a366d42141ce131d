"""The expectile-regularised objective of Wasserstein-2 maps, with the cost ½‖x − y‖²."""

import torch
from torch import Tensor

from sklearn_ot.nn import PotentialPair
from sklearn_ot.objectives.minimax import conjugate_at


def expectile(pair: PotentialPair, x: Tensor, y: Tensor, *, reg: float, tau: float = 0.99) -> Tensor:
    r"""The game of `minimax` in both directions, with an expectile regulariser of the dual potential.

    With ψ as the dual potential and :math:`\hat x = \nabla\omega(y)` as its argmax the objective is

    .. math::
        \min_\psi \max_\omega\; \mathbb E_P\, \psi(x) + \mathbb E_Q\, \hat\psi(y)
        + \frac \lambda d\, \mathbb E_{P \times Q}\,
        \mathcal L_\tau\big(\langle x, y \rangle - \psi(x) - \hat\psi(y)\big),
        \qquad \hat\psi(y) = \langle \hat x, y \rangle - \psi(\hat x)

    where :math:`\mathcal L_\tau(u) = |\tau - 1_{u < 0}|\, u^2`. The regulariser has a gradient for ψ only. With the
    exact conjugate, u ≤ 0 by the inequality of Fenchel and Young. So u > 0 means that :math:`\hat x` is not the argmax,
    and for τ → 1 only u > 0 has a penalty. For other τ, u < 0 has a penalty too, with weight 1 − τ, although it is
    right for most pairs of rows. This gives the solution a bias that grows with λ. The square of u grows faster with
    the number d of features than the other terms, and is therefore divided by d.

    The method is that of [Buzun24]_. The published algorithm swaps the roles of ψ and ω in each step; this objective is
    the mean of both directions. The paper has a general cost, with :math:`f = \tfrac12\|x\|^2 - \psi` and
    :math:`g = \tfrac12\|y\|^2 - \omega`, and pairs the rows of the two batches one to one; this objective takes all
    pairs, which gives the same mean with a smaller variance. The usual implementation has the cost ‖x − y‖², so that
    its weight of 1 is λ = 2 d here.

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    reg : float
        λ, the weight of the regulariser for each feature.
    tau : float, default=0.99
        The expectile τ, from ½ to 1.

    Returns
    -------
    loss : Tensor of shape ()
        The mean of both directions. It can rise during training, because each network raises the game of the other.

    References
    ----------
    .. [Buzun24] N. Buzun, M. Bobrin, D. Dylov, "Expectile regularization for fast and accurate training of neural
       optimal transport", NeurIPS 2024.

    Examples
    --------
    At the start ψ and ω are ‖·‖²/2, and u is −½‖x − y‖²:

    >>> import torch
    >>> from sklearn_ot.nn import DenseICNN, PotentialPair
    >>> from sklearn_ot.objectives.expectile import expectile
    >>> pair = PotentialPair(DenseICNN(2), DenseICNN(2))
    >>> x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> round(expectile(pair, x, y, reg=0.0).item(), 4), round(expectile(pair, x, y, reg=2.0).item(), 4)
    (2.5, 2.5625)
    """
    value, y_hat = pair.potential.value_and_gradient(x)
    value_back, x_hat = pair.inverse.value_and_gradient(y)
    conjugate, _, ascent = conjugate_at(pair.potential, x_hat, y)
    conjugate_back, _, ascent_back = conjugate_at(pair.inverse, y_hat, x)
    correlations = (value + conjugate_back + ascent_back).mean() + (value_back + conjugate + ascent).mean()
    products = x @ y.T
    excess = products - value[:, None] - conjugate
    excess_back = products - value_back - conjugate_back[:, None]
    penalty = (expectile_loss(excess, tau) + expectile_loss(excess_back, tau)) / x.shape[1]
    return (correlations + reg * penalty) / 2


def expectile_loss(residual: Tensor, tau: float) -> Tensor:
    """Mean of the squares, with weight τ where the residual is positive and 1 − τ where it is negative."""
    squares = residual.square()
    return torch.where(residual > 0, tau * squares, (1 - tau) * squares).mean()

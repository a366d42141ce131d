"""Objectives of Wasserstein-2 maps. Every formula has the ½ in the cost: ½‖x − y‖²."""

from torch import Tensor

from sklearn_ot.nn import PotentialPair


def w2gn(pair: PotentialPair, x: Tensor, y: Tensor, *, reg: float) -> Tensor:
    r"""The non-minimax objective of Wasserstein-2 generative networks [Korotin21]_.

    .. math::
        \mathbb E_P\, \psi(x) + \mathbb E_Q [\langle \hat x, y \rangle - \psi(\hat x)]
        + \tfrac{\lambda}{4} \left( \mathbb E_Q \|\nabla\psi(\nabla\omega(y)) - y\|^2
        + \mathbb E_P \|\nabla\omega(\nabla\psi(x)) - x\|^2 \right), \qquad \hat x = \nabla\omega(y)

    The first two terms are the correlations, whose minimum over convex ψ and exact conjugates is the dual of W2; the
    cycle terms make ω the conjugate of ψ. The correlations are differentiated with :math:`\hat x` held fixed. At the
    solution this changes nothing (envelope theorem: their derivative in :math:`\hat x` is
    :math:`y - \nabla\psi(\hat x) = 0`); before, it is what keeps a joint minimisation bounded: moving
    :math:`\hat x` to *lower* the correlations, which are a maximum over it, has no end.

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    reg : float
        λ, the weight of the cycle terms.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative networks",
       ICLR 2021.
    """
    value, mapped = pair.potential.value_and_gradient(x)
    x_hat = pair.conjugate.gradient(y)
    value_hat, y_hat = pair.potential.value_and_gradient(x_hat)
    # One evaluation at x_hat serves both parts: the last product cancels the derivative of value_hat in x_hat.
    held_fixed = ((x_hat - x_hat.detach()) * y_hat.detach()).sum(1)
    correlations = value.mean() + ((x_hat.detach() * y).sum(1) - value_hat + held_fixed).mean()
    cycle = mean_squared_norm(y_hat - y) + mean_squared_norm(pair.conjugate.gradient(mapped) - x)
    return correlations + reg / 4 * cycle


def mean_squared_norm(rows: Tensor) -> Tensor:
    """:math:`E\\|r\\|^2` over the rows."""
    return rows.square().sum(1).mean()

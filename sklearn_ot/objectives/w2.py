"""Objectives of Wasserstein-2 maps; every formula has the cost ½‖x − y‖²."""

import math

import torch
from torch import Tensor

from sklearn_ot.nn import PotentialPair
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.solvers.newton import newton_conjugate
from sklearn_ot.solvers.tensors import weighted_mean


def exact_dual(
    pair: PotentialPair,
    x: Tensor,
    y: Tensor,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    *,
    reg: float,
    amortized: bool = True,
    tol: float = 1e-2,
    max_iter: int = 15,
    newton_iter: int = 0,
) -> Tensor:
    r"""The dual with exact conjugates, plus a regression that predicts their maximisers.

    .. math::
        \mathbb E_P\, \psi(x) + \mathbb E_Q\, \psi^*(y)
        + \tfrac12 \mathbb E_Q \|\nabla\omega(y) - \hat x(y)\|^2
        + \tfrac{\lambda}{2} \mathbb E_P \|\nabla\psi(x) - x\|^2, \qquad
        \hat x(y) = \arg\max_x \langle x, y \rangle - \psi(x)

    The search for :math:`\hat x(y)` starts at :math:`\nabla\omega(y)`. No derivative goes through it: by the envelope
    theorem, the gradient of :math:`\psi^*(y)` in the weights of ψ is that of :math:`-\psi(\hat x)` with
    :math:`\hat x` held fixed. The regression of ω on :math:`\hat x` is the amortisation of [Amos23]_. Rows whose search
    has not converged are kept: without them the dual would be biased.

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω; only the gradient of ω is used.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    x_weight, y_weight : Tensor of shape (n,), (m,), default=None
        Weights of the rows with sum 1 in the first two terms; None for equal weights.
    reg : float
        λ, the weight of the pull towards the identity, which is the Gaussian map in balanced coordinates.
    amortized : bool, default=True
        Whether the searches start at :math:`\nabla\omega(y)`; otherwise they start at y.
    tol : float, default=1e-2
        Residual, divided by :math:`\sqrt d`, at which a search ends.
    max_iter : int, default=15
        Largest number of steps of a search. Where the map stretches by a tenth, ten steps from a guess leave the
        preimages so wrong that the inverse map does not improve with training.
    newton_iter : int, default=0
        If it is above 0, a search on a CPU ends at ten times the tolerance, or after a third of ``max_iter`` steps, and
        at most this number of steps of Newton's method follow. It is for few features. Where the map stretches by a
        hundredth, a residual of a hundredth is an error of :math:`\hat x` that is as large as the rows, and then the
        dual knows nothing of how the map should stretch.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Amos23] B. Amos, "On amortizing convex conjugates for optimal transport", ICLR 2023.
    """
    guess = pair.inverse.gradient(y)
    tol = tol * math.sqrt(y.shape[1])
    start = guess.detach() if amortized else y
    function, rest = pair.potential.value_and_gradient, pair.rest
    if newton_iter and not y.is_cuda:
        # A move of Newton's method is short, so that rows whose guess is far off need another search before.
        start = convex_conjugate(function, y, start, tol=10 * tol, max_iter=max_iter // 3, rest=rest).argmax
        x_hat = newton_conjugate(function, y, start, tol=tol, max_iter=newton_iter, rest=rest).argmax
    else:
        x_hat = convex_conjugate(function, y, start, tol=tol, max_iter=max_iter, rest=rest).argmax
    value, value_hat = pair.potential(torch.cat([x, x_hat])).split([len(x), len(y)])
    correlations = weighted_mean(value, x_weight) + weighted_mean((x_hat * y).sum(1) - value_hat, y_weight)
    loss = correlations + mean_squared_norm(guess - x_hat) / 2
    if reg:
        loss = loss + reg / 2 * mean_squared_norm(pair.potential.gradient(x) - x)
    return loss


def w2gn(pair: PotentialPair, x: Tensor, y: Tensor, *, reg: float) -> Tensor:
    r"""The objective of Wasserstein-2 generative networks (W2GN), which is minimised over both networks.

    .. math::
        \mathbb E_P\, \psi(x) + \mathbb E_Q [\langle \hat x, y \rangle - \psi(\hat x)]
        + \tfrac{\lambda}{4} \left( \mathbb E_Q \|\nabla\psi(\nabla\omega(y)) - y\|^2
        + \mathbb E_P \|\nabla\omega(\nabla\psi(x)) - x\|^2 \right), \qquad \hat x = \nabla\omega(y)

    The method is that of [Korotin21]_. The first two terms are the correlations, whose minimum over convex ψ with exact
    conjugates is the dual of W2. The last two, the cycle terms, make ω the conjugate of ψ. The gradient of the
    correlations is taken with :math:`\hat x` held fixed. At the solution this changes nothing, because their derivative
    in :math:`\hat x` is :math:`y - \nabla\psi(\hat x) = 0` (envelope theorem). Before the solution it keeps the joint
    minimisation bounded: the correlations are a maximum over :math:`\hat x`, and have no minimum over it.

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
    x_hat = pair.inverse.gradient(y)
    value_hat, y_hat = pair.potential.value_and_gradient(x_hat)
    # Both parts use one evaluation at x_hat. The last product cancels the derivative of value_hat in x_hat.
    held_fixed = ((x_hat - x_hat.detach()) * y_hat.detach()).sum(1)
    correlations = value.mean() + ((x_hat.detach() * y).sum(1) - value_hat + held_fixed).mean()
    cycle = mean_squared_norm(y_hat - y) + mean_squared_norm(pair.inverse.gradient(mapped) - x)
    return correlations + reg / 4 * cycle


def regression(pair: PotentialPair, x: Tensor, y: Tensor) -> Tensor:
    r"""Regression of both maps on coupled rows, which starts the dual near the map of an exact plan.

    .. math:: \tfrac12 \mathbb E \|\nabla\psi(x) - y\|^2 + \tfrac12 \mathbb E \|\nabla\omega(y) - x\|^2

    Parameters
    ----------
    pair : PotentialPair
        ψ and ω.
    x, y : Tensor of shape (n, 2 d)
        Two batches of coupled rows, one for each term. A row is a source row followed by its target row.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.
    """
    (source, image), (preimage, target) = x.chunk(2, dim=1), y.chunk(2, dim=1)
    forward = mean_squared_norm(pair.potential.gradient(source) - image)
    return (forward + mean_squared_norm(pair.inverse.gradient(target) - preimage)) / 2


def mean_squared_norm(rows: Tensor) -> Tensor:
    """:math:`E\\|r\\|^2` over the rows."""
    return rows.square().sum(1).mean()

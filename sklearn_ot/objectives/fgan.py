r"""Variational estimates of f-divergences, and their games.

The divergence is :math:`D_f(P \| Q) = E_Q\, f(p / q)` with f convex and f(1) = 0; P is the distribution of the data.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

LARGEST_EXPONENT = 5.0


class Divergence(NamedTuple):
    r"""An f-divergence in its variational form.

    Attributes
    ----------
    f : callable
        The function f of the ratio u = p/q.
    activation : callable
        :math:`g_f`, which maps any number v into the domain of the conjugate. It takes another ``exp`` as an argument.
    conjugate : callable
        :math:`f^*(t) = \sup_u u t - f(u)`, as a function of t.
    conjugate_of_activation : callable
        :math:`f^*(g_f(v))`, as one function of v, which avoids overflow and cancellation. It takes ``exp`` too.
    threshold : float
        :math:`f'(1)`, the value of the best critic where p = q.
    """

    f: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    conjugate_of_activation: Callable[[Tensor], Tensor]
    threshold: float


DIVERGENCES = {
    "kl": Divergence(
        f=lambda u: torch.xlogy(u, u),
        activation=lambda v, exp=torch.exp: v,
        conjugate=lambda t: torch.exp(t - 1),
        conjugate_of_activation=lambda v, exp=torch.exp: exp(v - 1),
        threshold=1.0,
    ),
    "reverse-kl": Divergence(
        f=lambda u: -torch.log(u),
        activation=lambda v, exp=torch.exp: -exp(-v),
        conjugate=lambda t: -1 - torch.log(-t),
        conjugate_of_activation=lambda v, exp=torch.exp: v - 1,
        threshold=-1.0,
    ),
    "pearson": Divergence(
        f=lambda u: (u - 1).square(),
        activation=lambda v, exp=torch.exp: v,
        conjugate=lambda t: t.square() / 4 + t,
        conjugate_of_activation=lambda v, exp=torch.exp: v.square() / 4 + v,
        threshold=0.0,
    ),
    "squared-hellinger": Divergence(
        f=lambda u: (u.sqrt() - 1).square(),
        activation=lambda v, exp=torch.exp: 1 - exp(-v),
        conjugate=lambda t: t / (1 - t),
        conjugate_of_activation=lambda v, exp=torch.exp: exp(v) - 1,
        threshold=0.0,
    ),
    "jensen-shannon": Divergence(
        f=lambda u: torch.xlogy(u, u) - torch.xlogy(u + 1, (u + 1) / 2),
        activation=lambda v, exp=torch.exp: math.log(2) + logsigmoid(v),
        conjugate=lambda t: -torch.log(2 - torch.exp(t)),
        conjugate_of_activation=lambda v, exp=torch.exp: softplus(v) - math.log(2),
        threshold=0.0,
    ),
    "gan": Divergence(
        f=lambda u: torch.xlogy(u, u) - torch.xlogy(u + 1, u + 1),
        activation=lambda v, exp=torch.exp: logsigmoid(v),
        conjugate=lambda t: -torch.log(-torch.expm1(t)),
        conjugate_of_activation=lambda v, exp=torch.exp: softplus(v),
        threshold=-math.log(2),
    ),
}


def variational_bound(divergence: str, real: Tensor, fake: Tensor, *, exp: Callable = torch.exp) -> Tensor:
    r"""The value of a critic in the variational form of an f-divergence, a lower bound of the divergence.

    .. math:: E_P\, T(x) - E_Q\, f^*(T(x)) \le D_f(P \| Q), \qquad T = g_f(V)

    The two sides are equal for :math:`T = f'(p/q)` [Nowozin16]_.

    Parameters
    ----------
    divergence : {"kl", "reverse-kl", "pearson", "squared-hellinger", "jensen-shannon", "gan"}
        The divergence. "jensen-shannon" is twice the divergence with the weights ½, and "gan" is the same minus log 4.
    real : Tensor of shape (n,)
        Values of V, before the activation, at rows of P.
    fake : Tensor of shape (m,)
        Values of V at rows of Q.
    exp : callable, default=torch.exp
        The exponential, or a function in its place; the value is then not always a bound.

    Returns
    -------
    bound : Tensor of shape ()
        The value.

    References
    ----------
    .. [Nowozin16] S. Nowozin, B. Cseke, R. Tomioka, "f-GAN: training generative neural samplers using variational
       divergence minimization", NeurIPS 2016.

    Examples
    --------
    If a critic separates the two distributions, the Jensen–Shannon divergence has nearly its largest value:

    >>> import torch
    >>> from sklearn_ot.objectives.fgan import variational_bound
    >>> round(variational_bound("jensen-shannon", torch.tensor([20.0]), torch.tensor([-20.0])).item(), 4)  # 2 log 2
    1.3863
    """
    row = DIVERGENCES[divergence]
    return row.activation(real, exp).mean() - row.conjugate_of_activation(fake, exp).mean()


def critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, divergence: str) -> Tensor:
    """Loss of the critic V: minus its `variational_bound`, with `tame_exp` as the exponential.

    Otherwise a single row with a wrong sign could outweigh all others, and overflow in the end.
    """
    return -variational_bound(divergence, critic(real), critic(fake), exp=tame_exp)


def tame_exp(v: Tensor) -> Tensor:
    """The exponential, continued by its tangent above 5."""
    return torch.exp(v.clamp(max=LARGEST_EXPONENT)) * (1 + (v - LARGEST_EXPONENT).clamp(min=0))


def generator_loss(critic: Callable, real: Tensor, fake: Tensor, *, divergence: str, loss: str) -> Tensor:
    r"""Loss of a generator in the game of an f-divergence.

    .. math::
        -E_Q\, f^*(T(x)) \quad \text{(saturating)}, \qquad -E_Q\, T(x) \quad \text{(non-saturating)}, \qquad
        -E_Q\, V(x) \quad \text{(linear)}

    All three move samples to larger V, where the ratio p/q of the densities is higher. The first is the loss of the
    game itself. Its gradient is small on samples that the critic recognises (V far below the threshold), for all
    divergences but "reverse-kl". The gradient of the second is not small there [Goodfellow14]_, [Nowozin16]_, but for
    "reverse-kl" and "squared-hellinger" it grows like exp(−V) without a bound. The third has the gradient of V
    everywhere. The best critic V of "gan", "jensen-shannon", "kl" and "reverse-kl" is :math:`\log(p / q)` up to a
    constant, and that of "squared-hellinger" half of it; the third loss then has the gradient of :math:`D_{KL}(Q \| P)`
    [Sonderby17]_.

    References
    ----------
    .. [Goodfellow14] I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
    .. [Nowozin16] S. Nowozin, B. Cseke, R. Tomioka, "f-GAN: training generative neural samplers using variational
       divergence minimization", NeurIPS 2016.
    .. [Sonderby17] C. K. Sønderby, J. Caballero, L. Theis, W. Shi, F. Huszár, "Amortised MAP inference for image
       super-resolution", ICLR 2017.
    """
    value = critic(fake)
    if loss == "linear":
        return -value.mean()
    row = DIVERGENCES[divergence]
    of_value = row.conjugate_of_activation if loss == "saturating" else row.activation
    return -of_value(value).mean()


def witness(outputs: Tensor, real: Tensor, fake: Tensor, *, divergence: str) -> Tensor:
    """The values T of the critic, which lie in the domain of the conjugate."""
    return DIVERGENCES[divergence].activation(outputs)

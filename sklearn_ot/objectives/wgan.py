"""The game of the Wasserstein-1 distance, and penalties on the slope of its critic."""

from collections.abc import Callable

import torch
from torch import Tensor


def critic_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    r"""Loss of the critic: minus the difference of its means on data and on samples.

    .. math:: E_Q f(y) - E_P f(x) \ge -\text{Lip}(f)\, W_1(P, Q)

    This is the loss of [Arjovsky17]_. Without a constraint on the slope of f it has no minimum.

    Parameters
    ----------
    critic : callable
        f, of values of shape (n,).
    real : Tensor of shape (n, d)
        Rows of the data P.
    fake : Tensor of shape (m, d)
        Samples of the generator, whose distribution is Q.

    Returns
    -------
    loss : Tensor of shape ()
        The loss.

    References
    ----------
    .. [Arjovsky17] M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein generative adversarial networks", ICML 2017.
    """
    return critic(fake).mean() - critic(real).mean()


def generator_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    r"""Loss of the generator: :math:`-E_Q f(y)`, the part of the difference that depends on the samples."""
    return -critic(fake).mean()


def penalised_critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float, penalty: Callable) -> Tensor:
    """Loss of a penalised critic: `critic_loss` plus ``reg`` times ``penalty(critic, real, fake)``."""
    return critic_loss(critic, real, fake) + reg * penalty(critic, real, fake)


def slope_penalty(function: Callable, real: Tensor, fake: Tensor, *, one_sided: bool = False) -> Tensor:
    r"""Penalty on the slopes of a function between data and samples.

    .. math::
        & E\,(\|\nabla f(\hat x)\| - 1)^2 \quad\text{or} \\
        & E \max(\|\nabla f(\hat x)\| - 1,\, 0)^2, \\
        & \hat x = t x + (1 - t) y, \quad t \sim U[0, 1]

    with one t for each pair of rows. The first penalty is that of [Gulrajani17]_, on slopes other than 1, and the
    second that of [Petzka18]_, on slopes above 1. Neither bounds the Lipschitz constant of f: each is a mean over
    points on segments. The best critic with the weight λ is the potential of a congested transport [Milne22]_. In one
    dimension, if the density of :math:`\hat x` is σ and the distribution functions of data and samples differ by w, its
    slope is :math:`1 + |w| / (2 \lambda \sigma)`. The second penalty is convex in f. The first is not, and a critic
    may keep a slope near 1 in a wrong direction.

    Parameters
    ----------
    function : callable
        f, of values of shape (n,).
    real, fake : Tensor of shape (n, d)
        Rows, in pairs.
    one_sided : bool, default=False
        Whether to return the second penalty.

    Returns
    -------
    penalty : Tensor of shape ()
        The penalty, differentiable in the parameters of the function.

    References
    ----------
    .. [Gulrajani17] I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved training of Wasserstein
       GANs", NeurIPS 2017.
    .. [Petzka18] H. Petzka, A. Fischer, D. Lukovnikov, "On the regularization of Wasserstein GANs", ICLR 2018.
    .. [Milne22] T. Milne, A. Nachman, "Wasserstein GANs with gradient penalty compute congested transport", COLT 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.objectives.wgan import slope_penalty
    >>> slope_penalty(lambda x: 3 * x[:, 0], torch.zeros(4, 2), torch.ones(4, 2)).item()
    4.0
    """
    t = torch.rand(len(real), 1, device=real.device, dtype=real.dtype)
    between = torch.lerp(fake.detach(), real, t).requires_grad_()
    (gradient,) = torch.autograd.grad(function(between).sum(), between, create_graph=True)
    excess = torch.linalg.vector_norm(gradient, dim=1) - 1
    return (excess.clamp(min=0) if one_sided else excess).square().mean()

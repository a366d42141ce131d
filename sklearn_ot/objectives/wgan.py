"""Wasserstein-1 games: the dual of Kantorovich and Rubinstein, and penalties on the slope of its critic."""

from collections.abc import Callable

import torch
from torch import Tensor


def critic_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    r"""Minus what a critic finds between data and samples [Arjovsky17]_.

    .. math:: E_Q f(y) - E_P f(x) \ge -\text{Lip}(f)\, W_1(P, Q)

    Parameters
    ----------
    critic : callable
        f, of values of shape (n,).
    real : Tensor of shape (n, d)
        Rows of the data P.
    fake : Tensor of shape (m, d)
        Rows of the generator's law Q.

    Returns
    -------
    loss : Tensor of shape ()
        The difference.

    References
    ----------
    .. [Arjovsky17] M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein generative adversarial networks", ICML 2017.
    """
    return critic(fake).mean() - critic(real).mean()


def generator_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    r"""What the generator can change of the distance: :math:`-E_Q f(y)`."""
    return -critic(fake).mean()


def penalised_critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float, penalty: Callable) -> Tensor:
    """`critic_loss` plus λ = ``reg`` times a penalty, ``penalty(critic, real, fake)``, on the slope of the critic."""
    return critic_loss(critic, real, fake) + reg * penalty(critic, real, fake)


def slope_penalty(function: Callable, real: Tensor, fake: Tensor, *, one_sided: bool = False) -> Tensor:
    r"""Penalty on slopes other than 1 between data and samples [Gulrajani17]_, or on slopes above 1 [Petzka18]_.

    .. math::
        E\,(\|\nabla f(\hat x)\| - 1)^2 \quad\text{or}\quad E \max(\|\nabla f(\hat x)\| - 1,\, 0)^2, \qquad
        \hat x = t x + (1 - t) y, \quad t \sim U[0, 1]

    with one t for each pair of rows. It carries no Lipschitz constant: what it bounds is a mean, on segments.

    Parameters
    ----------
    function : callable
        f, of values of shape (n,).
    real, fake : Tensor of shape (n, d)
        Rows, in pairs.
    one_sided : bool, default=False
        Which one.

    Returns
    -------
    penalty : Tensor of shape ()
        The penalty, differentiable in the parameters of the function.

    References
    ----------
    .. [Gulrajani17] I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved training of Wasserstein
       GANs", NeurIPS 2017.
    .. [Petzka18] H. Petzka, A. Fischer, D. Lukovnikov, "On the regularization of Wasserstein GANs", ICLR 2018.

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

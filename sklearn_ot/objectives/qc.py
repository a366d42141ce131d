"""The objective of quadratic-cost critics. Every formula has the ½ in the cost: ½‖x − y‖²."""

from collections.abc import Callable

import ot
import torch
from torch import Tensor, nn

from sklearn_ot.objectives.lsot import half_squared_distances


def plan_regression(critic: nn.Module, x: Tensor, y: Tensor, *, reg: float) -> Tensor:
    r"""Regression of a critic on the exact transport between two batches [Liu19]_.

    .. math::
        \mathbb E \bigl( \varphi(x_i) - f_i - \overline{(\varphi - f)} \bigr)^2
        + \lambda\, \mathbb E \| \nabla\varphi(x_i) - (x_i - \bar y_i) \|^2

    with f the Kantorovich potential of the batch, a solution of the dual linear program, and :math:`\bar y_i` the mean
    of the rows that the optimal plan sends :math:`x_i` to: for the cost ½‖x − y‖² the gradient of the potential is the
    displacement. Potentials are compared up to a constant, which no plan determines.

    Parameters
    ----------
    critic : nn.Module
        φ, with a method ``value_and_gradient``. If it has ``labels``, one-hot and the same for the rows i of both
        batches, mass stays within its class.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    reg : float
        λ, the weight of the gradients.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Liu19] H. Liu, X. Gu, D. Samaras, "Wasserstein GAN with quadratic transport cost", ICCV 2019.
    """
    potential, images = batch_transport(x, y, getattr(critic, "labels", None))
    value, gradient = critic.value_and_gradient(x)
    difference = value - potential
    values = (difference - difference.mean()).square().mean()
    return values + reg * (gradient - (x - images)).square().sum(1).mean()


@torch.no_grad()
def batch_transport(x: Tensor, y: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Potential of the source rows, shape (n,), and their barycentric images, (n, d), of the exact plan of two batches.

    Computed by POT on the CPU in float64, whatever the tensors. With ``labels`` of the rows of both, a plan of each
    class.
    """
    if labels is not None:
        potential, images = torch.empty_like(x[:, 0]), torch.empty_like(x)
        for rows in labels.bool().T:
            if rows.any():
                potential[rows], images[rows] = batch_transport(x[rows], y[rows])
        return potential, images
    costs = half_squared_distances(x.cpu().double(), y.cpu().double()).numpy()
    plan, log = ot.emd([], [], costs, numItermax=10_000_000, log=True)
    images = len(x) * torch.from_numpy(plan).to(x) @ y
    return torch.from_numpy(log["u"]).to(x), images


def critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float) -> Tensor:
    """`plan_regression` from samples to data."""
    return plan_regression(critic, fake, real, reg=reg)


def generator_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    r"""What the generator can change of the transport cost: :math:`E\,\varphi(y)`."""
    return critic(fake).mean()


def witness(outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Minus the potential of the samples: it is high where they are sent to."""
    return -outputs

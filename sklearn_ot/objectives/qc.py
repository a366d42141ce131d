"""Objectives of critics with the quadratic cost; every formula has the cost ½‖x − y‖²."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.tensors import weighted_mean


def plan_regression(critic: nn.Module, x: Tensor, y: Tensor, *, reg: float, at_target: bool = False) -> Tensor:
    r"""Regression of a critic on the exact transport between two batches.

    .. math::
        \mathbb E \bigl( \varphi(x_i) - f_i - \overline{(\varphi - f)} \bigr)^2
        + \lambda\, \mathbb E \| \nabla\varphi(x_i) - (x_i - \bar y_i) \|^2

    The critic is that of [Liu19]_. f and g are the Kantorovich potentials of the batches, a solution of the dual linear
    program, and :math:`\bar y_i` is the mean of the rows that the optimal plan sends :math:`x_i` to: for the cost
    ½‖x − y‖² the gradient of the potential is the displacement. Potentials are compared up to a constant, which no plan
    determines.

    With ``at_target`` the first mean is also over the values :math:`-g_j` at the :math:`y_j`: if the two distributions
    are equal, a potential has these values there. The critic then learns where the distributions differ. Without them
    it only learns how far the plans of all batches move a row of the source on average.

    Parameters
    ----------
    critic : nn.Module
        φ, with a method ``value_and_gradient``. If it has ``labels``, one-hot and equal for row i of both batches, the
        plan moves no mass from one class to another.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    reg : float
        λ, the weight of the gradients.
    at_target : bool, default=False
        Whether values at the target batch count as well.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Liu19] H. Liu, X. Gu, D. Samaras, "Wasserstein GAN with quadratic transport cost", ICCV 2019.
    """
    plan = batch_transport(x, y, getattr(critic, "labels", None))
    value, gradient = critic.value_and_gradient(x)
    difference = value - plan.potential
    if at_target:
        difference = torch.cat([difference, critic(y) + plan.target_potential])
    values = (difference - difference.mean()).square().mean()
    return values + reg * (gradient - (x - plan.images)).square().sum(1).mean()


def displacement_error(
    potential: nn.Module, x: Tensor, y: Tensor, x_weight: Tensor | None = None, y_weight: Tensor | None = None
) -> Tensor:
    """Mean squared distance per feature from the images of the map of a potential to those of an exact plan.

    Parameters
    ----------
    potential : nn.Module
        φ, with a method ``transport``, the map :math:`x - \\nabla\\varphi(x)`.
    x, y : Tensor of shape (n, d), (m, d)
        Source rows and target rows.
    x_weight, y_weight : Tensor of shape (n,), (m,), default=None
        Weights of the rows with sum 1; None for equal weights.

    Returns
    -------
    error : Tensor of shape ()
        The mean.
    """
    images = exact_plan(x, y, _mass(x, x_weight), _mass(y, y_weight), by_product=True).images(y)
    return weighted_mean((potential.transport(x) - images).square().sum(1), x_weight) / x.shape[1]


def _mass(rows, weight):
    """Weights in float64, so that the sums of both samples are equal."""
    weight = torch.ones(len(rows), dtype=torch.float64) if weight is None else weight.double()
    return weight / weight.sum()


class BatchTransport(NamedTuple):
    """Result of `batch_transport`.

    Attributes
    ----------
    potential, target_potential : Tensor of shape (n,), (m,)
        Kantorovich potentials of the two batches; the mean of the first is zero.
    images : Tensor of shape (n, d)
        Means of the target rows that each source row is sent to.
    """

    potential: Tensor
    target_potential: Tensor
    images: Tensor


@torch.no_grad()
def batch_transport(x: Tensor, y: Tensor, labels: Tensor | None = None) -> BatchTransport:
    """Potentials and barycentric images of the exact plan between two batches, with equal weights.

    POT computes them on the CPU in float64, for tensors of any dtype on any device. With ``labels`` of the rows of both
    batches, each class has its own plan.
    """
    if labels is not None and labels.shape[1]:
        whole = BatchTransport(torch.empty_like(x[:, 0]), torch.empty_like(y[:, 0]), torch.empty_like(x))
        for rows in labels.bool().T:
            if rows.any():
                for entire, part in zip(whole, batch_transport(x[rows], y[rows]), strict=True):
                    entire[rows] = part
        return whole
    plan = exact_plan(x, y, by_product=True)
    # The plan has no factor ½ in its cost.
    return BatchTransport(plan.potential.to(x) / 2, plan.target_potential.to(x) / 2, plan.images(y))


def critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float) -> Tensor:
    """`plan_regression` from samples to data, with values at both."""
    return plan_regression(critic, fake, real, reg=reg, at_target=True)


def generator_loss(critic: Callable, real: Tensor, fake: Tensor) -> Tensor:
    r"""The part of the transport cost that depends on the generator: :math:`E\,\varphi(y)`."""
    return critic(fake).mean()


def witness(outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Minus the potential of the samples, which is high where the plans send them."""
    return -outputs

"""Objectives of large-scale regularised transport; every formula has the cost c(x, y) = ½‖x − y‖²."""

import math

import torch
from torch import Tensor, nn

from sklearn_ot.solvers.costs import half_squared_distances
from sklearn_ot.solvers.tensors import weighted_mean

# Above this exponent, the exponential is replaced by its tangent. The density of a fitted plan is far below e^30.
LARGEST_EXPONENT = 30.0


def regularized_dual(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    *,
    reg: float,
    regularization: str,
) -> Tensor:
    r"""Minus the stochastic dual of regularised transport, which is minimised over both potentials.

    .. math::
        -\mathbb E_P\, u(x) - \mathbb E_Q\, v(y) + \mathbb E_{P \times Q}\, G(u(x) + v(y) - c(x, y)), \qquad
        G(t) = \begin{cases} \varepsilon e^{t / \varepsilon} & \text{entropic} \\
        \max(t, 0)^2 / 4 \varepsilon & \text{L2} \end{cases}

    The dual is that of [Seguy18]_. At the optimum this is minus the minimum of
    :math:`\mathbb E_\pi\, c + \varepsilon R(\pi)` over the plans π, where h is the density of π with respect to
    :math:`P \times Q`, and :math:`R = \mathbb E_\pi [\log h - 1]` (entropic) or :math:`R = \mathbb E_\pi h` (L2). The
    expectation over the product is estimated by the mean over all pairs of the two batches, without bias.

    Parameters
    ----------
    module : nn.Module
        A module with two scalar functions ``u`` and ``v``, the potentials.
    x : Tensor of shape (n, d)
        Source batch.
    y : Tensor of shape (m, d)
        Target batch.
    x_weight, y_weight : Tensor of shape (n,), (m,), default=None
        Weights of the rows with sum 1; None for equal weights.
    reg : float
        ε, above 0, in the units of the cost.
    regularization : {"entropic", "l2"}
        The regulariser R.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Seguy18] V. Seguy, B. B. Damodaran, R. Flamary, N. Courty, A. Rolet, M. Blondel, "Large-scale optimal transport
       and mapping estimation", ICLR 2018.
    """
    u, v = module.u(x), module.v(y)
    violation = u[:, None] + v - half_squared_distances(x, y)
    if regularization == "entropic":
        exponent = violation / reg
        # Linear above a density that no plan reaches: this is still convex, and it cannot overflow.
        beyond = (exponent - LARGEST_EXPONENT).clamp(min=0)
        penalty = reg * exponent.clamp(max=LARGEST_EXPONENT).exp() + reg * math.exp(LARGEST_EXPONENT) * beyond
    else:
        penalty = violation.clamp(min=0).square() / (4 * reg)
    penalty = weighted_mean(weighted_mean(penalty, x_weight), y_weight)
    return penalty - weighted_mean(u, x_weight) - weighted_mean(v, y_weight)


def barycentric_regression(
    module: nn.Module,
    x: Tensor,
    y: Tensor,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    *,
    reg: float,
    regularization: str,
) -> Tensor:
    r"""Regression of a map on the barycentric projection of the plan with the potentials u and v.

    .. math::
        \mathbb E_{P \times Q}\, h(x, y)\, \|T(x) - y\|^2, \qquad
        h(x, y) = G'(u(x) + v(y) - c(x, y)) = \begin{cases} e^{(u(x) + v(y) - c(x, y)) / \varepsilon} & \text{entropic}
        \\ \max(u(x) + v(y) - c(x, y), 0) / 2 \varepsilon & \text{L2} \end{cases}

    This is the second stage of [Seguy18]_. The minimiser is :math:`T(x) = \mathbb E_\pi [y \mid x]`. The potentials are
    held fixed. Entropic densities are divided by their mean over y for each x. L2 densities can be 0 for all y, and are
    divided by their mean over the batch. Both means are 1 for a plan. The division prevents overflow and reduces the
    effect of errors of the potentials.

    Parameters
    ----------
    module : nn.Module
        A module with two scalar functions ``u`` and ``v``, and the map ``transport``.
    x, y, x_weight, y_weight, reg, regularization
        As in `regularized_dual`.

    Returns
    -------
    loss : Tensor of shape ()
        The objective; 0 if the density is 0 for all pairs of the batch.
    """
    with torch.no_grad():
        violation = module.u(x)[:, None] + module.v(y) - half_squared_distances(x, y)
        if regularization == "entropic":
            exponent = violation / reg if y_weight is None else violation / reg + y_weight.log()
            weights = exponent.softmax(1) * (1 / len(x) if x_weight is None else x_weight[:, None])
        else:
            weights = violation.clamp(min=0)
            weights = weights if x_weight is None else weights * x_weight[:, None]
            weights = weights if y_weight is None else weights * y_weight
            weights = weights / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
    return 2 * (weights * half_squared_distances(module.transport(x), y)).sum()

"""The dual of Wasserstein-1 with a penalty on steep slopes, on pairs of rows."""

import torch
from torch import Tensor, nn


def dual_and_excess(potential: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    r"""The dual value of a potential u on pairs of rows, and its slopes above 1.

    .. math::
        E\, u(x) - E\, u(y) \quad\text{and}\quad E \max(\|\nabla u(z)\| - 1,\, 0)^2

    There is one point z on the segment of each pair: in a third of the cases it is x, in a third y, and otherwise it is
    evenly distributed between them. The difference of the means has little noise if rows of a pair are near each other,
    and both samples keep their distributions, see `sklearn_ot.solvers.matching.match_rows`. The penalty is that of
    [Petzka18]_, whose points are all between the rows: in the rows themselves the slope must be at most 1 too.

    Parameters
    ----------
    potential : nn.Module
        u, with a method ``gradient``.
    x, y : Tensor of shape (n, d)
        Rows of the source and of the target, in pairs.

    Returns
    -------
    dual, excess : Tensor of shape ()
        Both numbers, differentiable in the parameters of the potential.

    References
    ----------
    .. [Petzka18] H. Petzka, A. Fischer, D. Lukovnikov, "On the regularization of Wasserstein GANs", ICLR 2018.
    """
    share = 3 * torch.rand(len(x), 1, device=x.device, dtype=x.dtype) - 1
    slope = torch.linalg.vector_norm(potential.gradient(torch.lerp(y, x, share.clamp(0, 1))), dim=1)
    value = potential(torch.cat([x, y]))
    return value[: len(x)].mean() - value[len(x) :].mean(), (slope - 1).clamp(min=0).square().mean()

"""The objective of distributions along transport rays."""

from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_ot.solvers.tensors import weighted_mean


def ray_cross_entropy(
    module: nn.Module, x: Tensor, y: Tensor, x_weight: Tensor | None = None, y_weight: Tensor | None = None
) -> Tensor:
    r"""The cross-entropy of the place of rows on their rays, for both samples.

    .. math:: -E_P \log p(t \mid \ell) - E_Q \log q(t \mid \ell)

    Its minimisers p and q are the conditional distributions of t given the label ℓ.

    Parameters
    ----------
    module : nn.Module
        A `sklearn_ot.nn.RayDistributions`.
    x, y : Tensor of shape (n, k + 1), (m, k + 1)
        Labels of the rays of source rows and of target rows, and t in the last column.
    x_weight, y_weight : Tensor of shape (n,), (m,), default=None
        Weights of the rows with sum 1; None for equal weights.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.
    """
    losses = [
        F.cross_entropy(module(rows[:, :-1])[:, side], module.bins(rows[:, -1].contiguous()), reduction="none")
        for side, rows in enumerate((x, y))
    ]
    return weighted_mean(losses[0], x_weight) + weighted_mean(losses[1], y_weight)

"""The map of a LabelAwareTransport as a torch module."""

import torch
from torch import Tensor, nn

from sklearn_ot.nn import Constants


class LabelledMap(Constants):
    """A map of features and labels, for rows whose labels are those of the source of the fit.

    A row of the source has its own labels, and any other row the weighted mean of those of its nearest rows. The
    distances of a batch from all source rows are in memory at once, in float64. The labels of a row do not change with
    small changes of the row, and have no derivative.

    Parameters
    ----------
    inner : nn.Module
        The map of features, divided by the unit, and of labels, times their scale.
    unit, label_scale : float
        The unit, and the scale of labels; without labels, the scale is 0.
    known : list of Tensor
        The source rows in the unit, shape (n, d), their labels, shape (n, n_labels), their weights, shape (n,), and the
        labels that equal rows have, shape (n, n_labels).
    n_neighbors : int
        Number of nearest rows.
    """

    def __init__(self, inner: nn.Module, unit: float, label_scale: float, known: list[Tensor], n_neighbors: int):
        super().__init__()
        self.inner, self.unit, self.label_scale = inner, unit, label_scale
        self.n_neighbors = min(n_neighbors, len(known[0]))
        self.keep(**dict(zip(("rows", "labels", "weight", "own_labels"), known, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        """Images of rows."""
        u = x / self.unit
        joint = u
        if self.label_scale:
            joint = torch.cat([u, (self.label_scale * self.labels_of(x.detach())).to(u.dtype)], 1)
        return self.inner(joint)[:, : x.shape[1]] * self.unit

    def labels_of(self, x: Tensor) -> Tensor:
        """Labels of rows."""
        squares = (x.to(self.rows.dtype)[:, None] / self.unit - self.rows).square().sum(2)
        nearest, index = squares.topk(self.n_neighbors, 1, largest=False)
        share = self.weight[index]
        mean = ((share / share.sum(1, keepdim=True))[..., None] * self.labels[index]).sum(1)
        return torch.where(nearest[:, :1] == 0, self.own_labels[index[:, 0]], mean)

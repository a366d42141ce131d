"""Distributions of two samples along transport rays."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RayDistributions(nn.Module):
    r"""Conditional distributions of a number t on a ray, for the source and the target, given the label of the ray.

    A network gives the probabilities of bins. Within a bin t is evenly distributed, so that both distribution functions
    F and G are linear there, and have inverses. Before training the probabilities are those of all rows.

    Parameters
    ----------
    network : tuple of a class and a dict
        The class of a network and its arguments, from labels to twice as many outputs as there are bins.
    edges : sequence of float
        The ends of the bins, in ascending order.
    probabilities : pair of sequences of float
        The probabilities of the bins for all rows of the source and of the target, above 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import MLP, RayDistributions
    >>> rays = RayDistributions((MLP, {"n_features": 2, "n_outputs": 4}), (0.0, 1.0, 3.0), [(0.5, 0.5)] * 2)
    >>> rays.cumulative(torch.ones(1, 2)).tolist()
    [[[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]]
    """

    def __init__(
        self,
        network: tuple[type[nn.Module], dict[str, Any]],
        edges: Sequence[float],
        probabilities: Sequence[Sequence[float]],
    ):
        super().__init__()
        module, arguments = network
        self.network = module(**arguments)
        self.register_buffer("edges", torch.tensor(edges, dtype=torch.get_default_dtype()))
        self.register_buffer("base", torch.tensor(probabilities, dtype=torch.get_default_dtype()).log())

    def forward(self, label: Tensor) -> Tensor:
        """Logits of the bins for the source and the target, shape (n, 2, n_bins)."""
        return self.base + self.network(label).unflatten(1, self.base.shape)

    def bins(self, t: Tensor) -> Tensor:
        """The numbers of the bins of t, shape (n,); below the first edge and above the last one, the nearest bin."""
        return torch.bucketize(t, self.edges[1:-1])

    def cumulative(self, label: Tensor) -> Tensor:
        """The distribution functions at the edges, shape (n, 2, n_bins + 1)."""
        return F.pad(self(label).softmax(2).cumsum(2), (1, 0))

    def transport(self, label: Tensor, t: Tensor) -> Tensor:
        """The monotone map :math:`G^{-1}(F(t))` on each ray, shape (n,)."""
        return self._moved(*self.cumulative(label).unbind(1), t)

    def inverse(self, label: Tensor, t: Tensor) -> Tensor:
        """The inverse map :math:`F^{-1}(G(t))`, shape (n,)."""
        return self._moved(*self.cumulative(label).flip(1).unbind(1), t)

    def project_(self) -> None:
        """Do nothing: no weight is constrained."""

    def _moved(self, first, second, t):
        bins = self.bins(t)
        low, high = self.edges[bins], self.edges[bins + 1]
        share = ((t - low) / (high - low)).clamp(0, 1)
        level = torch.lerp(_at(first, bins), _at(first, bins + 1), share)
        last = len(self.edges) - 2
        # `torch.searchsorted` of many sorted rows is no part of ONNX.
        bins = ((second < level[:, None]).sum(1) - 1).clamp(0, last)
        below, above = _at(second, bins), _at(second, bins + 1)
        share = ((level - below) / (above - below).clamp(min=torch.finfo(t.dtype).tiny)).clamp(0, 1)
        return torch.lerp(self.edges[bins], self.edges[bins + 1], share)


def _at(values, index):
    return values.gather(1, index[:, None])[:, 0]

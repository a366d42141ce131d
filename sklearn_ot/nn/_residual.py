"""A map without constraints, in the place of the gradient of a potential."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sklearn_ot.nn._icnn import MAX_MATRIX_FEATURES
from sklearn_ot.nn._mlp import MLP


class ResidualMap(nn.Module):
    """A linear map plus a multilayer perceptron, at first the identity; above 512 features the linear map is diagonal.

    In a `PotentialPair` it replaces ∇ω if ω only gives the start of a search. It is faster than the gradient of a
    convex network, but it is not the gradient of a potential.

    Parameters
    ----------
    n_features : int
        Dimension d of input and output.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Widths of the hidden layers.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import ResidualMap
    >>> ResidualMap(2).gradient(torch.tensor([[3.0, 4.0]])).tolist()
    [[3.0, 4.0]]
    """

    def __init__(self, n_features: int, hidden_layer_sizes: Sequence[int] = (128, 128)):
        super().__init__()
        is_small = n_features <= MAX_MATRIX_FEATURES
        self.linear = nn.Parameter(torch.eye(n_features) if is_small else torch.ones(n_features))
        self.rest = MLP(n_features, hidden_layer_sizes, n_outputs=n_features)

    def gradient(self, y: Tensor) -> Tensor:
        """Map the rows of ``y``, shape (n, d)."""
        if self.linear.ndim == 1:
            return torch.addcmul(self.rest(y), y, self.linear)
        return torch.addmm(self.rest(y), y, self.linear)

    def project_(self) -> None:
        """Do nothing: no weight is constrained."""

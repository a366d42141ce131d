"""A potential of a few directions as one of all."""

from torch import Tensor, nn


class SubspacePotential(nn.Module):
    r"""A potential of the coordinates in a subspace, and half the squared norm across it.

    .. math:: \psi(x) = \psi_0(A^\top x) + \tfrac12 \|x\|^2 - \tfrac12 \|A^\top x\|^2

    Its gradient moves rows along the subspace as that of ψ₀ does, and leaves the rest of each row as it is; so does the
    gradient of its conjugate.

    Parameters
    ----------
    potential : nn.Module
        ψ₀, a `DenseICNN`, or a `ResidualMap`, of which there is only the gradient.
    axes : Tensor of shape (d, r)
        A, an orthonormal basis of the subspace.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import DenseICNN, SubspacePotential
    >>> potential = DenseICNN(1)
    >>> with torch.no_grad():
    ...     _ = potential.shift.fill_(2.0)
    >>> SubspacePotential(potential, torch.eye(3)[:, :1]).gradient(torch.ones(1, 3)).tolist()
    [[3.0, 1.0, 1.0]]
    """

    def __init__(self, potential: nn.Module, axes: Tensor):
        super().__init__()
        self.potential = potential
        self.register_buffer("axes", axes)

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        within = x @ self.axes
        return self._value(x, within, self.potential(within))

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients, shape (n, d)."""
        within = x @ self.axes
        return self._gradient(x, within, self.potential.gradient(within))

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both."""
        within = x @ self.axes
        value, gradient = self.potential.value_and_gradient(within)
        return self._value(x, within, value), self._gradient(x, within, gradient)

    @staticmethod
    def _value(x, within, value):
        return value + (x.square().sum(1) - within.square().sum(1)) / 2

    def _gradient(self, x, within, gradient):
        return x + (gradient - within) @ self.axes.T

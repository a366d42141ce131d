"""A convex potential in the units of the data."""

import torch
from torch import Tensor, nn

from sklearn_ot.nn._constants import Constants


class UnitsPotential(Constants):
    r"""The convex potential of rows in the units of the data, from one in balanced coordinates.

    .. math::
        \psi(x) = s^2 \left( \tilde\psi(E^\top u) + \tfrac12 \|u\|^2 - \tfrac12 \|E^\top u\|^2 \right)
        + \langle m_t, x - m_s \rangle, \qquad u = B (x - m_s) / s

    Its gradient is the map :math:`m_t + s B^\top (u + E (\nabla\tilde\psi(E^\top u) - E^\top u))`, see
    `sklearn_ot.solvers.coordinates.BalancedCoordinates`.

    Parameters
    ----------
    potential : nn.Module
        :math:`\tilde\psi`, with the methods of `DenseICNN`.
    source_mean, target_mean : Tensor of shape (d,)
        :math:`m_s` and :math:`m_t`.
    matrix : Tensor of shape (d, d)
        :math:`B / s`.
    axes : Tensor of shape (d, n_axes)
        E.
    scale : float
        s.

    Attributes
    ----------
    strong_convexity : float
        A modulus of ψ.
    """

    def __init__(
        self, potential: nn.Module, source_mean: Tensor, target_mean: Tensor, matrix: Tensor, axes: Tensor, scale: float
    ):
        super().__init__()
        self.potential, self.scale = potential, scale
        least = float(torch.linalg.matrix_norm(matrix, -2)) * scale
        self.strong_convexity = least**2 * min(1.0, potential.strong_convexity)
        buffers = {"source_mean": source_mean, "target_mean": target_mean, "matrix": matrix, "axes": axes}
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        return self.value_and_gradient(x)[0]

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients, shape (n, d): the images of the rows."""
        u, along = self._coordinates(x)
        return self._image(u, along, self.potential.gradient(along))

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and gradients."""
        u, along = self._coordinates(x)
        value, gradient = self.potential.value_and_gradient(along)
        value = value + (u.square().sum(1) - along.square().sum(1)) / 2
        linear = (x - self.source_mean.to(x.dtype)) @ self.target_mean.to(x.dtype)
        return self.scale**2 * value + linear, self._image(u, along, gradient)

    def project_(self) -> None:
        """Project the weights of the potential."""
        self.potential.project_()

    def _coordinates(self, x):
        u = (x - self.source_mean.to(x.dtype)) @ self.matrix.to(x.dtype).T
        return u, u @ self.axes.to(x.dtype)

    def _image(self, u, along, gradient):
        moved = u + (gradient - along) @ self.axes.to(u.dtype).T
        return self.target_mean.to(u.dtype) + self.scale**2 * moved @ self.matrix.to(u.dtype)

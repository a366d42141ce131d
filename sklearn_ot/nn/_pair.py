"""The potentials of a map and of its inverse."""

from torch import nn


class PotentialPair(nn.Module):
    """Two convex potentials, ψ of the forward map and ω of the inverse one, trained as one module.

    Parameters
    ----------
    potential : nn.Module
        ψ, with the methods of `DenseICNN`.
    inverse : nn.Module
        ω, with the same methods; a `ResidualMap` where only its gradient is used.
    """

    def __init__(self, potential: nn.Module, inverse: nn.Module):
        super().__init__()
        self.potential = potential
        self.inverse = inverse

    def project_(self) -> None:
        """Return both to the convex functions after a step of the optimiser."""
        self.potential.project_()
        self.inverse.project_()

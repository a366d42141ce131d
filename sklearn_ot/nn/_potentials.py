"""The modules that transports train: potentials of a map and of its inverse.

Each of them has a method ``transport``, the map in balanced coordinates, and a method ``project_``, which projects the
weights on their constraints after a step of the optimiser. Each builds its networks from pairs of a class and its
arguments, which `sklearn_ot.networks.module_of` returns and a pickle can store.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_ot.nn._mlp import MLP

Network = tuple[type[nn.Module], dict[str, Any]]

# Chosen from 0.1, 0.3 and 1 on samples of 300 to 2000 rows: with 1 the map of fresh rows is worse in heavy tails.
RIM_STRETCH = 0.3


class PotentialPair(nn.Module):
    """Two convex potentials, ψ of the map and ω of the inverse map, trained as one module.

    Parameters
    ----------
    potential : nn.Module
        ψ, with the methods of `DenseICNN`.
    inverse : nn.Module
        ω, with the same methods, or a `ResidualMap` if only its gradient is used.

    Attributes
    ----------
    rest : callable or None
        What the cost has in addition to the squared one, see `CostPair`.
    """

    rest = None

    def __init__(self, potential: nn.Module, inverse: nn.Module):
        super().__init__()
        self.potential = potential
        self.inverse = inverse

    @property
    def hidden_weights(self) -> list[Tensor]:
        """The weights between hidden layers of both networks, see `DenseICNN`; none of a network without this name."""
        networks = (self.potential, self.inverse)
        return [weight for network in networks for weight in getattr(network, "hidden_weights", ())]

    def transport(self, x: Tensor) -> Tensor:
        """The images ∇ψ(x), shape (n, d)."""
        return self.potential.gradient(x)

    def project_(self) -> None:
        """Project the weights of both networks, so that they are convex."""
        self.potential.project_()
        self.inverse.project_()


class ConvexPair(PotentialPair):
    """A `PotentialPair` that builds its networks.

    Parameters
    ----------
    potential, inverse : tuple of a class and a dict
        The class of each network and its arguments.
    is_guess : bool
        Whether ∇ω is the start of a search for the inverse map; otherwise it is the inverse map.
    sizes, inverse_sizes : sequence of int, default=None
        Widths of the hidden layers after pruning, which replace those in the arguments.
    """

    def __init__(self, potential: Network, inverse: Network, *, is_guess: bool, sizes=None, inverse_sizes=None):
        super().__init__(_build(potential, sizes), _build(inverse, inverse_sizes))
        self.is_guess = is_guess

    def with_rim(self, radius: float) -> "ConvexPair":
        """A copy whose potential is a `WithRim`."""
        pair = copy.deepcopy(self)
        pair.potential = WithRim(pair.potential, radius)
        return pair


class WithRim(nn.Module):
    r"""A convex potential that bends up beyond a ball.

    .. math:: \psi(x) + \tfrac{\kappa}{2} \max(\|x\| - r, 0)^2, \qquad \kappa = 0.3

    If all rows on which ψ is trained are in the ball, nothing is known of ψ beyond it. There the gradient of a network
    can be nearly constant, and the inverse map would take a point that is no image of the ball very far away. With the
    term, a preimage x beyond the ball is at most :math:`1 / \kappa` times as far from the nearest point of the ball as
    the images of the two are from each other, since ∇ψ is monotone.

    Parameters
    ----------
    potential : nn.Module
        ψ, with the methods of `DenseICNN`.
    radius : float
        The radius r of the ball around 0, above 0.
    """

    def __init__(self, potential: nn.Module, radius: float):
        super().__init__()
        self.potential = potential
        self.register_buffer("radius", torch.tensor(radius, dtype=next(potential.parameters()).dtype))

    @property
    def strong_convexity(self) -> float:
        """The modulus of ψ."""
        return self.potential.strong_convexity

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        return self.potential(x) + self._rim(x)[0]

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients, shape (n, d)."""
        return self.potential.gradient(x) + self._rim(x)[1]

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and gradients."""
        (value, gradient), (rim, rim_gradient) = self.potential.value_and_gradient(x), self._rim(x)
        return value + rim, gradient + rim_gradient

    def project_(self) -> None:
        """Project the weights of ψ."""
        self.potential.project_()

    def _rim(self, x):
        norm = x.norm(dim=1).clamp_min(self.radius)
        distance = norm - self.radius
        return RIM_STRETCH / 2 * distance.square(), (RIM_STRETCH * distance / norm)[:, None] * x


class HalfSquare(nn.Module):
    """The convex function ½‖x‖², whose gradient is the identity: the potential of a Gaussian map, in its coordinates.

    It has the methods of `DenseICNN` and no weights to be trained.
    """

    strong_convexity = 1.0

    def __init__(self):
        super().__init__()
        # Its device and its dtype are those of the module.
        self.unused = nn.Parameter(torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        return x.square().sum(1) / 2

    def gradient(self, x: Tensor) -> Tensor:
        """The rows themselves, shape (n, d)."""
        return x.clone()

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and gradients."""
        return self(x), self.gradient(x)

    def project_(self) -> None:
        """Do nothing: there are no weights."""


class PotentialsAndMap(nn.Module):
    """Potentials u and v of regularised transport, and a map that starts at the identity if its network is 0.

    Parameters
    ----------
    potential : tuple of a class and a dict
        The class of the networks u and v and its arguments.
    displacement : tuple of a class and a dict
        The class of the network T(x) − x and its arguments.
    """

    def __init__(self, potential: Network, displacement: Network):
        super().__init__()
        self.u, self.v = _build(potential), _build(potential)
        self.displacement = _build(displacement)

    def transport(self, x: Tensor) -> Tensor:
        """The images T(x), shape (n, d)."""
        return x + self.displacement(x)

    def project_(self) -> None:
        """Do nothing: no weight is constrained."""


class DisplacementPotential(nn.Module):
    """A potential φ whose gradient is the displacement of the map x − ∇φ(x).

    Parameters
    ----------
    potential : tuple of a class and a dict
        The class of the network φ and its arguments; with values of shape (n,).
    """

    gradient = MLP.gradient
    value_and_gradient = MLP.value_and_gradient

    def __init__(self, potential: Network):
        super().__init__()
        self.potential = _build(potential)

    def forward(self, x: Tensor) -> Tensor:
        """Values φ(x), shape (n,)."""
        return self.potential(x)

    def transport(self, x: Tensor) -> Tensor:
        """The images x − ∇φ(x), shape (n, d)."""
        return x - self.gradient(x)

    def project_(self) -> None:
        """Do nothing: no weight is constrained."""


def _build(network: Network, sizes=None) -> nn.Module:
    module, arguments = network
    return module(**arguments) if sizes is None else module(**{**arguments, "hidden_layer_sizes": sizes})

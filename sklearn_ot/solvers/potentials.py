"""A fitted map as a frozen value: networks in coordinates, evaluated on arrays with any number of rows."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_ot.nn import (
    AlongAxes,
    Chain,
    ConvexPair,
    DisplacementPotential,
    HalfSquare,
    Method,
    ScalarFunction,
    UnitsPotential,
    curvature_bound,
)
from sklearn_ot.plain import stored
from sklearn_ot.settings import OwnSettings, in_own_settings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.costs import COSTS, Cost
from sklearn_ot.solvers.gaussian import GaussianMap
from sklearn_ot.solvers.inversion import InverseSearch, SearchInCoordinates
from sklearn_ot.solvers.newton import FEW_FEATURES, newton_conjugate
from sklearn_ot.solvers.stationary_coordinates import StationaryCoordinates
from sklearn_ot.solvers.units import UnitCoordinates

# Largest number of steps of the search for a preimage. With few features, a tenth as many of Newton's method follow.
MAX_CONJUGATE_STEPS = 500
# Largest number of columns for which matrices between all columns are made.
MAX_MATRIX_FEATURES = 2048


@stored
class FrozenModule(OwnSettings):
    """A copy of a torch module, evaluated in the dtype of the rows and on the device of the module.

    Parameters
    ----------
    module : nn.Module
        The module. Later changes of its weights do not change the copy.
    build : tuple of type and dict, default=None
        The class of the module, and its arguments, from which a pickle builds it again. Without them a pickle holds the
        module itself.
    """

    @in_own_settings
    def __init__(self, module: nn.Module, build: tuple[type, dict] | None = None):
        self._build = build
        copied = copy.deepcopy(module).requires_grad_(False).eval()
        self._of_dtype = {next(copied.parameters()).dtype: copied}

    def __getstate__(self):
        # On the CPU, so that a pickle can be loaded without the device of the training.
        module = copy.deepcopy(next(iter(self._of_dtype.values()))).cpu()
        if self._build is None:
            return {"module": module}
        return {"build": self._build, "weights": {name: part.numpy() for name, part in module.state_dict().items()}}

    @in_own_settings
    def __setstate__(self, state):
        module = state["module"] if "module" in state else _built(*state["build"], state["weights"])
        self.__init__(module, state.get("build"))

    def of(self, dtype: np.dtype) -> nn.Module:
        """The module in a NumPy dtype; it is on the CPU if its device does not support the dtype."""
        dtype = getattr(torch, np.dtype(dtype).name)
        if dtype not in self._of_dtype:
            module = next(iter(self._of_dtype.values()))
            device = (
                torch.device("cpu") if dtype == torch.float64 and _device(module).type == "mps" else _device(module)
            )
            self._of_dtype[dtype] = copy.deepcopy(module).to(device, dtype)
        return self._of_dtype[dtype]


class Preimages(NamedTuple):
    """The result of `Potentials.inverse`.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, n_features)
        Source rows.
    solved : ndarray of shape (n_samples,)
        Whether the search for each row converged. All are True if the inverse map is a network.
    """

    rows: np.ndarray
    solved: np.ndarray


class DualTerms(NamedTuple):
    r"""The result of `Potentials.dual_terms`, in float64.

    Attributes
    ----------
    source : ndarray of shape (n_samples,)
        f at the source rows.
    target : ndarray of shape (n_target_samples,)
        g at the target rows, or a number below it.
    preimages : ndarray of shape (n_target_samples, n_features)
        Preimages of the target rows.
    """

    source: np.ndarray
    target: np.ndarray
    preimages: np.ndarray


@dataclass(frozen=True, eq=False)
class Potentials(OwnSettings):
    r"""A fitted map, its potential, and its inverse if it is the gradient of a convex function.

    For the squared cost the networks of a `sklearn_ot.nn.ConvexPair` are a convex potential ψ, whose gradient is the
    map, and ω, whose gradient is the inverse map or the start of its search. For another cost
    :math:`c(x, y) = h(x - y)` there is one network, the Kantorovich potential f, and the map is

    .. math:: T(x) = x - (\nabla h)^{-1}(\nabla f(x)) .

    Arrays have shape (n_samples, n_features) and the units of the data; results have the dtype of the rows. All methods
    work in chunks of rows.

    Parameters
    ----------
    coordinates : BalancedCoordinates, StationaryCoordinates or UnitCoordinates
        The coordinates in which the networks work. The first two are for the squared cost.
    module : FrozenModule
        The networks. For the squared cost, a module with a method ``transport``; all methods but `transport` and
        `residual` need a `sklearn_ot.nn.ConvexPair`, and raise an AttributeError without one. For another cost, a
        module with the methods of `sklearn_ot.nn.MLP`; only `transport`, `residual` and `potential` are then available.
    cost : Cost, default=EuclideanPower(2)
        The cost c, whose gradient must have an inverse. Potentials of the squared cost are those of ½‖x − y‖².
    conjugate_tol : float, default=1e-4
        Residual at which the search for a preimage ends, a root mean square over the features, in ``coordinates``. For
        rows v with ‖v‖ > √n_axes, whose rounding errors are larger, it is multiplied by ‖v‖ / √n_axes.
    """

    coordinates: BalancedCoordinates | StationaryCoordinates | UnitCoordinates
    module: FrozenModule
    cost: Cost = COSTS["sqeuclidean"]
    conjugate_tol: float = 1e-4

    @classmethod
    def gaussian(cls, gaussian: GaussianMap) -> "Potentials":
        """The map between two Gaussians, whose potential is quadratic."""
        module = ConvexPair((HalfSquare, {}), (HalfSquare, {}), is_guess=False)
        return cls(BalancedCoordinates.balance(gaussian), FrozenModule(module))

    def transport(self, X: np.ndarray) -> np.ndarray:
        """Map source rows to the target."""
        coordinates, module = self.coordinates, self.module.of(X.dtype)
        if self.cost.is_squared:
            images = on_arrays(module, module.transport)
        else:
            images = on_arrays(module, lambda u: u - self.cost.inverse_gradient(module.gradient(u)))
        return in_chunks(lambda x: coordinates.to_target(coordinates.lift(images, coordinates.of_source(x))), X)

    def inverse(self, Y: np.ndarray) -> Preimages:
        """Map target rows to the source."""
        coordinates, pair = self.coordinates, self._pair(Y.dtype)
        # Each chunk fills its view of this array. A small array of its own for each chunk would fragment the memory.
        solved = np.ones(len(Y), dtype=bool)

        def preimages(y, is_solved):
            def search(v):
                argmax, _, _, is_solved[:] = self._search(pair, v)
                return argmax

            inverse = search if pair.is_guess else on_arrays(pair, pair.inverse.gradient)
            return coordinates.to_source(coordinates.lift(inverse, coordinates.of_target(y)))

        return Preimages(in_chunks(preimages, Y, solved), solved)

    def residual(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Distances :math:`\\|T(x) - y\\|` of the images of source rows from as many target rows."""
        return in_chunks(lambda x, y: np.linalg.norm(self.transport(x) - y, axis=1), X, Y)

    def potential(self, X: np.ndarray) -> np.ndarray:
        """Values of ψ, which vanishes at the mean of the source; of f for other costs than the squared one."""
        coordinates = self.coordinates
        if not self.cost.is_squared:
            module, unit = self.module.of(X.dtype), coordinates.scale**self.cost.power
            values = on_arrays(module, module)
            return in_chunks(lambda x: unit * values(coordinates.of_source(x)), X)
        pair = self._pair(X.dtype)
        forward = on_arrays(pair, pair.potential)
        source_mean, target_mean = (mean.astype(X.dtype) for mean in (coordinates.source_mean, coordinates.target_mean))

        def values(x):
            return coordinates.lift_values(forward, coordinates.of_source(x))

        at_mean = values(source_mean[None])

        def potential(x):
            return coordinates.scale**2 * (values(x) - at_mean) + (x - source_mean) @ target_mean

        return in_chunks(potential, X)

    def dual_value(
        self, X: np.ndarray, Y: np.ndarray, x_weight: np.ndarray | None = None, y_weight: np.ndarray | None = None
    ) -> float:
        r"""The value of ψ in the dual problem on two samples, a lower bound of :math:`\tfrac12 W_2^2` between them.

        .. math:: \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2 - E\,\psi(x) - E\,\psi^*(y) \;\le\; \tfrac12 W_2^2

        Strong convexity gives an upper bound of ψ* from the residual of a search, so that a search that ends early can
        only lower the value. The weights of the rows have sum 1; None weighs all rows equally.
        """
        coordinates, pair = self.coordinates, self._pair(X.dtype)
        forward, strong_convexity = on_arrays(pair, pair.potential), pair.potential.strong_convexity

        def conjugate(v):
            _, value, residual, _ = self._search(pair, v)
            return value + np.square(residual) / (2 * strong_convexity)

        values = in_chunks(lambda x: coordinates.lift_values(forward, coordinates.of_source(x)), X)
        target_values = in_chunks(lambda y: coordinates.lift_values(conjugate, coordinates.of_target(y)), Y)
        product = np.average(values, weights=x_weight) + np.average(target_values, weights=y_weight)
        return coordinates.mean_cost(X, Y, product, x_weight, y_weight)

    def dual_terms(self, X: np.ndarray, Y: np.ndarray) -> DualTerms:
        r"""The Kantorovich potentials of rows, whose means have the sum `dual_value`.

        .. math::
            f(x) = \tfrac12 \|x\|^2 - \psi(x), \quad g(y) = \tfrac12 \|y\|^2 - \psi^*(y), \qquad
            f(x) + g(y) \le \tfrac12 \|x - y\|^2

        f and g are those of a potential ψ that vanishes at the mean of the source, up to a constant that moves from one
        to the other. A search that ends early can only lower g.
        """
        coordinates, pair = self.coordinates, self._pair(np.float64)
        X, Y = X.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
        forward, shift = on_arrays(pair, pair.potential), coordinates.source_mean - coordinates.target_mean

        def source(x):
            centred = x - coordinates.source_mean
            values = coordinates.lift_values(forward, coordinates.of_source(x))
            # If rows differ from the means by a and b, and means by s, the cost is ½‖a - b‖² + ⟨a - b, s⟩ + ½‖s‖².
            linear = centred @ shift + shift @ shift / 2
            return np.square(centred).sum(axis=1) / 2 + linear - coordinates.scale**2 * values

        def target(y):
            centred, v, along = y - coordinates.target_mean, coordinates.of_target(y), []

            def conjugate(w):
                argmax, value, residual, _ = self._search(pair, w)
                along.append(argmax)
                return value + np.square(residual) / (2 * pair.potential.strong_convexity)

            values = coordinates.lift_values(conjugate, v)
            preimages = coordinates.to_source(coordinates.lift(lambda _: along[0], v))
            values = np.square(centred).sum(axis=1) / 2 - centred @ shift - coordinates.scale**2 * values
            return np.column_stack([values, preimages])

        found = in_chunks(target, Y)
        return DualTerms(in_chunks(source, X), found[:, 0], found[:, 1:])

    def derivative(self, X: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Derivatives of the map at rows along directions, ∇²ψ(x) v, in float64; of the shape of ``X``."""
        module, centred = self._pair(np.float64), self._centred()
        device = _device(module)

        def times_hessian(w, v):
            points = torch.from_numpy(w).to(device).requires_grad_()
            gradient = module.potential.gradient(points)
            return torch.autograd.grad(gradient, points, torch.from_numpy(v).to(device))[0].cpu().numpy()

        def along(x, v):
            w = self.coordinates.within(self.coordinates.of_source(x))
            return centred.to_target(centred.lift(lambda u: times_hessian(w, u), centred.of_source(v)))

        return in_chunks(along, X.astype(np.float64, copy=False), V.astype(np.float64, copy=False))

    @property
    def lipschitz_bound(self) -> float | None:
        r"""A Lipschitz constant of the map, from the weights of the network; None if no bound is known.

        It is the largest eigenvalue of :math:`B^\top S B`, with the matrix S of `sklearn_ot.nn.curvature_bound` and B
        of `BalancedCoordinates`; S is the identity in directions that the network does not see.
        """
        coordinates, centred = self.coordinates, self._centred()
        bound = curvature_bound(self._pair(np.float64).potential, coordinates.n_axes)
        if bound is None:
            return None
        bound, n_features = bound.numpy(), len(coordinates.source_mean)
        if n_features <= MAX_MATRIX_FEATURES:
            lifted = centred.lift(lambda along: along @ bound, centred.of_source(np.eye(n_features)))
            matrix = centred.to_target(lifted)
            return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])
        curvature, root = (max([1.0, *np.linalg.eigvalsh(part)]) for part in (bound, coordinates.root))
        return float(curvature * root**2 * np.square(coordinates.roots).max())

    def to_torch(self, inverse: bool = False) -> nn.Module:
        """The map as a torch module; the inverse is a `SearchInCoordinates`, or a map if it is a network."""
        module, parts = self.module.of(np.float64), self.coordinates.to_torch
        if not self.cost.is_squared:
            raise ValueError(f"A map for the cost {self.cost} that is no CostPair has no torch module.")
        axes = self.coordinates.torch_axes
        if not inverse:
            if type(module) is ConvexPair:
                inner = Method(module.potential, "gradient")
            elif isinstance(module, DisplacementPotential):
                inner = Method(ScalarFunction(module), "transport")
            else:
                inner = Method(module, "transport")
            return Chain(parts("of_source"), AlongAxes(inner, axes), parts("to_target"))
        pair = self._pair(np.float64)
        if not pair.is_guess:
            inner = Method(pair.inverse, "gradient")
            return Chain(parts("of_target"), AlongAxes(inner, axes), parts("to_source"))
        search = InverseSearch(pair)
        return SearchInCoordinates(parts("of_target"), search, parts("to_source"), parts("to_target"), axes)

    def module_in_units(self) -> UnitsPotential:
        """The potential as a torch module of rows in the units of the data, in float64."""
        coordinates, centred = self.coordinates, self._centred()
        identity = np.eye(len(coordinates.source_mean))
        # Rows of the identity give the columns of a matrix.
        matrix, axes = centred.of_source(identity).T, coordinates.within(identity)
        arrays = (coordinates.source_mean, coordinates.target_mean, matrix, axes)
        pair = copy.deepcopy(self._pair(np.float64))
        tensors = [torch.tensor(array, dtype=torch.float64, device=_device(pair)) for array in arrays]
        return UnitsPotential(pair.potential, *tensors, float(coordinates.scale))

    def _centred(self):
        """The linear parts of the coordinates."""
        origin = np.zeros_like(self.coordinates.source_mean)
        return self.coordinates._replace(source_mean=origin, target_mean=origin)

    def _pair(self, dtype: np.dtype) -> nn.Module:
        """The networks of the potential and of the inverse map."""
        module = self.module.of(dtype)
        if not (self.cost.is_squared and isinstance(module, ConvexPair)):
            raise AttributeError(
                f"This map has no convex potential and no inverse: its module is a {type(module).__name__}, and only "
                "the ConvexPair of a W2Transport has them."
            )
        return module

    def _search(self, pair: nn.Module, v: np.ndarray) -> list[np.ndarray]:
        """The maximisers, values and residuals of a `Maximum` at coordinates along the axes, and which are exact."""
        y = torch.from_numpy(v).to(_device(pair))
        # Far out, rounding is relative to the size of a row.
        tol = self.conjugate_tol * y.norm(dim=1).clamp_min(math.sqrt(y.shape[1]))
        with torch.no_grad():
            start = pair.inverse.gradient(y)
        function = pair.potential.value_and_gradient
        found = convex_conjugate(function, y, start, tol=tol, max_iter=MAX_CONJUGATE_STEPS, rest=pair.rest)
        if y.shape[1] <= FEW_FEATURES and not (found.residual <= tol).all():
            found = newton_conjugate(
                function, y, found.argmax, tol=tol, max_iter=MAX_CONJUGATE_STEPS // 10, rest=pair.rest
            )
        return [tensor.cpu().numpy() for tensor in (*found[:3], found.residual <= tol)]


def on_arrays(module: nn.Module, function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of tensors on the device of a module as a function of arrays."""
    device = _device(module)

    @torch.no_grad()
    def on_arrays(rows):
        return function(torch.from_numpy(rows).to(device)).cpu().numpy()

    return on_arrays


def _built(cls: type, arguments: dict, weights: dict[str, np.ndarray]) -> nn.Module:
    """A module with given weights. No memory is taken and no random number drawn for other ones."""
    with torch.device("meta"):
        module = cls(**arguments)
    # A copy: an array from a pickle may be read-only.
    module.load_state_dict({name: torch.as_tensor(np.array(part)) for name, part in weights.items()}, assign=True)
    return module


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device

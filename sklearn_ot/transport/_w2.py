"""W2Transport: the optimal map of the squared cost between two samples, by convex potentials."""

import math
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import documented, sections
from sklearn_ot.nets import TensorPairs, refuse_changes
from sklearn_ot.networks import Convex, module_of, named_module
from sklearn_ot.nn import ConvexPair, DenseICNN, PotentialPair, ResidualMap
from sklearn_ot.objectives.dual import gain_exceeds_error, losses_of_rows, negative_dual
from sklearn_ot.objectives.solvers import SOLVERS, check_reg, solver_for
from sklearn_ot.objectives.w2 import regression
from sklearn_ot.solvers.coordinates import mean_square
from sklearn_ot.solvers.newton import FEW_FEATURES
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.potentials import FrozenModule, Potentials
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport._convex import ConvexTransport
from sklearn_ot.transport._neural import NeuralTransport, Stage

PLAN_STEPS = 500
PLAN_ROWS = 2000
# With at most this number of features, the step size of a solver is that of its row in the table.
FULL_STEP_FEATURES = 16
# Share of the steps, or of a budget of time, in which the step size falls to 0.
COOLING = 0.4
# With so many features and rows, the default network has a wider first layer: a map that bends in many directions needs
# units for each of them. With 5000 rows in 64 features its error was 1.3 times as large as that of the other network.
WIDE_FEATURES, WIDE_ROWS = 48, 10_000
WIDE = (256, 128)
# Methods that a solver calls on the network of the potential.
NEEDED_METHODS = ("gradient", "value_and_gradient", "project_")


@documented(**sections(NeuralTransport))
@dataclass(eq=False, repr=False)
class W2Transport(ConvexTransport, NeuralTransport):
    r"""The optimal map of the squared cost between two samples, the gradient of a convex network, and its inverse.

    The optimal map (Brenier map) is :math:`T = \nabla\psi` with a convex potential ψ, and its inverse is
    :math:`\nabla\psi^*`. The potential is the solution of the dual problem

    .. math::
        \tfrac12 W_2^2(P, Q) = {} & \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2 \\
        & - \min_{\psi\ \text{convex}} \left\{ E_P\, \psi(x) + E_Q\, \psi^*(y) \right\} .

    The potential ψ is an input-convex network. Training starts at the Gaussian map (`GaussianTransport`), in
    coordinates in which that map is the identity, so that units and correlations have no effect on training. With few
    features the network is first fitted to an exact plan. Training keeps the weights with the best dual value on
    held-out rows, and goes on while the averaged weights are better there than those at half as many steps, by more
    than 0.1 % of the gain over the Gaussian map and the standard error of the difference. Then the step size
    falls to 0. If the best weights are not better than the Gaussian map by more than the standard error of the
    difference, which is often so with few rows, the Gaussian map is kept. The Gaussian map is also kept in directions
    in which the standard deviation of one of the samples is at most a hundredth of the mean one, such as those of
    constant columns. (The units of single columns have an effect on the squared cost and this rule: standardise columns
    that are not comparable.)

    The rows say nothing of the map farther out than the farthest source row. There the exact inverse of a network can
    be arbitrarily far away, so ψ has the term of `sklearn_ot.nn.WithRim` in addition: beyond the ball around the mean
    that contains all source rows, in balanced coordinates, the map stretches by at least 0.3 away from the mean.

    Parameters
    ----------
    solver : {"dual", "w2gn", "minimax", "minimax-v1", "expectile"}, default="dual"
        The name of the objective that is minimised, a key of `sklearn_ot.objectives.solvers.SOLVERS`. Each objective is
        a function of `sklearn_ot.objectives`. A row added to the table is another solver.

        - "dual": the dual itself. ψ*(y) is computed by a convex minimisation for each row, which starts at the output
          of a second network [Amos23]_. The inverse map is exact, up to ``conjugate_tol``. With at most 4 features the
          minimisations of the training end with Newton's method, and the default network starts with sharper bends.
        - "w2gn": the objective of Wasserstein-2 generative networks [Korotin21]_, which is minimised over ψ and a
          second convex network ω for ψ*. The inverse map is ∇ω.
        - "minimax": simultaneous descent of ψ and ascent of ω [Makkuva20]_. The inverse map is ∇ω.
        - "minimax-v1": like "dual", but every minimisation starts at the Gaussian map [Taghvaei19]_.
        - "expectile": the game of "minimax" in both directions, with an expectile penalty on the duality gap of ψ and ω
          [Buzun24]_. The inverse map is ∇ω.
    reg : float or "auto", default="auto"
        The weight λ. For "dual" and "minimax-v1" it is the weight of a pull of the map towards the Gaussian map, in
        mean squares of balanced coordinates; it reduces overfitting with few rows, see `W2TransportCV`. For "w2gn" it
        is the weight, above 0, of the cycle terms, which make each map the inverse of the other. A larger weight makes
        training steadier and the inverse map more accurate; a weight that is too large makes it slow. For "minimax" it
        is the weight of the regression of each map on the inverse of the other, for "expectile" the weight of the
        penalty for each feature. "auto" is 0 for "dual" and "minimax-v1", 3 for "w2gn", 0.3 for "minimax" and 2 for
        "expectile".
    network : specification or nn.Module class, default=None
        The convex networks, see `sklearn_ot.networks`. If None, they are ``Convex()``, and ``Convex((256, 128))``
        with at least 48 features that vary and 10 000 rows of each sample. ``ConvexConvolutional(image_shape)`` is for
        flattened pictures; training then starts at the map of `StationaryGaussianTransport`, which is meant wherever
        the Gaussian map is mentioned here. A specification of your own, or a class with
        the methods of `sklearn_ot.nn.DenseICNN`, is used for ψ, and also for ω if the inverse map is ∇ω. The networks
        work in coordinates in which the Gaussian map is the identity. In these coordinates ``strong_convexity`` is the
        least stretch of the map, and its reciprocal the largest stretch of an exact inverse.
    plan_size : int or "auto", default="auto"
        Number of rows of each sample in an exact plan (POT) to which both networks are first fitted, for 500 steps. The
        dual then starts at the result if it is better on held-out rows than the Gaussian map. With 0 there is no plan.
        "auto" is 2000 for at most 4 features and 0 for more, where the plan of so few rows is far from the map.
    conjugate_tol : float, default=1e-4
        Residual at which the searches for exact conjugates end, in ``inverse_transform`` and ``dual_value``: a root
        mean square over the features that vary, in balanced coordinates, where features have variance 1. For rows y
        with ‖y‖ > √n_features, whose rounding errors are larger, it is multiplied by ‖y‖ / √n_features.
    learning_rate : float or "auto", default="auto"
        Step size of Adam for ψ after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500), and falls to 0 in
        the last two fifths of ``max_iter`` steps, or of the time of a `sklearn_ot.nets.TimeBudget`. "auto" is 0.05 for
        "dual" and "minimax-v1", 0.02 for "w2gn" and "expectile" and 0.005 for "minimax", times 4 / √n_features
        above 16 features, and 0.02 for "dual" with at most 4 features. With "dual" and "minimax-v1" and at least
        10 000 training rows of each sample, a weight w between hidden layers takes √w of a step, at least a tenth of it
        and at most the whole. The step size of ω is a tenth of that of ψ if ω only gives the start of a search, half of
        it for "dual" with at most 4 features, and ten times as large for "minimax", where ω must be ahead of ψ.
    warm_start : bool, default=False
        Whether another call of ``fit`` continues from the map of the last one, also after a pickle. The coordinates and
        the state of Adam do not change between the calls, so rows in other units are refused.
    <parameters>

    Attributes
    ----------
    wasserstein_distance_ : float
        Wasserstein-2 distance, :math:`(E\|x - T(x)\|^2)^{1/2}` for the optimal T, in the units of the data and without
        the factor ½. It is estimated by the dual value, so its error is of the order of the squared error of the map.
    n_iter_ : int
        Number of gradient steps, including those on the plan; with ``warm_start``, in all fits.
    start_ : {"gaussian", "plan"}
        The map at which the dual started.
    is_gaussian_ : bool
        Whether the map is the Gaussian one, because the gain of the best weights over it on held-out rows was less than
        the standard error of this gain. Without ``early_stopping`` there are no held-out rows, and it is False.
    history_ : list of dict
        One row for each block of 100 steps: ``stage``, which is "plan" or the solver; ``n_iter``; ``dur``, in seconds;
        ``train_loss``, the objective; and ``valid_loss``, the dual value of the Gaussian map minus that of this map, on
        held-out rows, for each feature and in balanced coordinates. A decrease of 0.01 is one per cent of the variance
        of a feature. The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` holds the networks ``potential`` and ``inverse``.
    sparsity_ : float
        Share of zeros among the non-negative weights of fully connected convex networks, whose units without effect
        `prune` removes.
    <attributes>

    See Also
    --------
    GaussianTransport : The map in closed form at which training starts.
    StationaryGaussianTransport : The map in closed form at which training starts with a network for pictures.
    sklearn_ot.adaptation.DomainAdapter : A transport and an estimator for domain adaptation. The ``predict`` of a plain
        Pipeline would also transport the target rows.

    Notes
    -----
    Training is in float32. The maps are evaluated in the dtype of their input, and in chunks, so that only the memory
    of the rows and of their images grows with the number of rows.

    If ``fit`` is interrupted from the keyboard, it keeps the best map so far.

    References
    ----------
    .. [Amos23] B. Amos, "On amortizing convex conjugates for optimal transport", ICLR 2023.
    .. [Buzun24] N. Buzun, M. Bobrin, D. Dylov, "Expectile regularization for fast and accurate training of neural
       optimal transport", NeurIPS 2024.
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative networks",
       ICLR 2021.
    .. [Makkuva20] A. Makkuva, A. Taghvaei, S. Oh, J. Lee, "Optimal transport mapping via input convex neural
       networks", ICML 2020.
    .. [Taghvaei19] A. Taghvaei, A. Jalali, "2-Wasserstein approximation via restricted convex potentials with
       application to improved training for GANs", arXiv:1902.07197, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.networks import Convex
    >>> from sklearn_ot.transport import W2Transport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(5000, 1), np.sinh(rng.randn(5000, 1))
    >>> transport = W2Transport(network=Convex((32, 32)), random_state=0).fit(Xs, Xt)
    >>> bool(abs(transport.transform([[1.0]]).item() - np.sinh(1)) < 0.1)
    True
    """

    solver: str = "dual"
    _: KW_ONLY
    reg: float | str = "auto"
    plan_size: int | str = "auto"
    conjugate_tol: float = 1e-4
    learning_rate: float | str = "auto"
    max_iter: int = 10_000
    n_iter_no_change: int = 6
    warm_start: bool = False

    MODULE: ClassVar[type] = ConvexPair
    _parameter_constraints: ClassVar[dict] = {
        **NeuralTransport._parameter_constraints,
        "solver": [StrOptions(SOLVERS.keys())],
        "reg": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "plan_size": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "conjugate_tol": [Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
    }

    @property
    def potentials_(self):
        """The fitted map as a frozen value, see `sklearn_ot.solvers.potentials`."""
        check_is_fitted(self)
        module, radius = self.net_.module_, getattr(self, "_radius", None)
        # The Gaussian map needs no rim, nor does a map with an inverse of its own.
        if radius is not None and module.is_guess and not self.is_gaussian_:
            module = module.with_rim(radius)
        return Potentials(self.coordinates_, FrozenModule(module), conjugate_tol=self.conjugate_tol)

    def _fit(self, source, target, rng):
        check_reg(self.solver, self.reg)
        super()._fit(source, target, rng)

    def _architecture(self, n_features):
        # A transport from a pickle of an older version has no number of rows, and has the narrow network.
        return convex_networks(self.network, self.solver, n_features, getattr(self, "_n_rows", 0))

    def _stages(self):
        last = dual_stage(self, self.solver, self.reg)
        plan = {"name": "plan", "objective": regression, "rows": self._plan, "is_preliminary": True}
        steps = {"optimizer__param_groups": last.net_params["optimizer__param_groups"]}
        return [replace(last, **plan, net_params=steps, max_iter=min(PLAN_STEPS, self.max_iter)), last]

    def _plan(self, train, rng):
        """Rows paired by an exact plan, each a source row followed by its target row; None without a plan."""
        size = self.plan_size
        if size == "auto":
            size = PLAN_ROWS if train.x.shape[1] <= FEW_FEATURES else 0
        size = min(size, len(train.x), len(train.y))
        if size == 0 or self.max_iter == 0:
            return None
        x, y = (_draw(*part, size, rng) for part in ((train.x, train.x_weight), (train.y, train.y_weight)))
        pairs = torch.cat([x, y[exact_plan(x, y).partner]], dim=1)
        return TensorPairs(pairs, pairs)

    def _net_to_resume(self, n_features):
        if not self.warm_start or not hasattr(self, "net_"):
            return None
        before, after = self.net_.get_params_for("module"), self._architecture(self.coordinates_.n_axes)
        if before["is_guess"] != after["is_guess"]:
            raise ValueError(
                f"warm_start=True cannot continue with solver={self.solver!r}: its second network differs from that of "
                f"solver={self.net_.stage!r}. Change it back, or set warm_start=False."
            )
        before, after = (named_module("network", *parts["potential"]) for parts in (before, after))
        n_features_before = len(self.coordinates_.source_mean)
        refuse_changes({"n_features": n_features_before, **before}, {"n_features": n_features, **after})
        return self.net_

    def _conclude(self, samples, valid, *, resumed):
        """Keep the Gaussian map if the networks are not better than it, and estimate the distance."""
        net, coordinates = self.net_, self.coordinates_
        is_better = any(row.get("valid_loss_best") for row in net.history if row["stage"] == "plan")
        self.start_ = "plan" if is_better else "gaussian"
        if not resumed or self.is_gaussian_:
            self.is_gaussian_ = self.early_stopping and not net.processes.first(
                gain_exceeds_error(net.module_, *valid.whole())
            )
            if self.is_gaussian_:
                gaussian = self._build_net(torch.device(net.device), **net.get_params_for("module"))
                net.module_.load_state_dict(gaussian.module_.state_dict())
                net.best_loss_ = 0.0
        # The mean of ψ plus that of ψ* is the same sum for ½‖·‖², whose gradient is the Gaussian map, minus the gain.
        (X, x_weight, _), (Y, y_weight, _) = samples
        radius = float(np.linalg.norm(coordinates.within(coordinates.of_source(X)), axis=1).max())
        self._radius = max(radius, self._radius or 0) if resumed else radius
        squares = mean_square(coordinates.of_source(X), weight=x_weight)
        squares += mean_square(coordinates.of_target(Y), weight=y_weight)
        product = squares / 2 + coordinates.n_axes * net.best_loss_
        value = coordinates.mean_cost(X, Y, product, x_weight, y_weight)
        self.wasserstein_distance_ = math.sqrt(max(0.0, 2 * value))

    @property
    def sparsity_(self):
        """Share of zeros among the non-negative weights of all `DenseICNN`; 0 if there is none."""
        check_is_fitted(self)
        networks = [network for network in self.net_.module_.children() if isinstance(network, DenseICNN)]
        weights = [weight.detach().flatten() for network in networks for weight in network.inner]
        return float((torch.cat(weights) == 0).float().mean()) if weights else 0.0

    def prune(self):
        """Remove units that have no effect from the networks; the maps do not change.

        After training, many of the weights that must not be negative are exactly zero, see ``sparsity_``. A unit (or
        pool) whose outgoing weights are all zero has no effect on the map. Without it the networks are narrower and
        faster. ``warm_start`` continues with the narrower networks and a new state of Adam.

        Returns
        -------
        self : object
            The transport; its images only change by rounding.
        """
        check_is_fitted(self)
        architecture, parts = self.net_.get_params_for("module"), dict(self.net_.module_.named_children())
        for name, sizes in (("potential", "sizes"), ("inverse", "inverse_sizes")):
            # Only the widths in the arguments of a network can be changed.
            if isinstance(parts[name], DenseICNN) and "hidden_layer_sizes" in architecture[name][1]:
                parts[name] = parts[name].pruned()
                architecture[sizes] = parts[name].hidden_layer_sizes
        net = self._untrained_net(architecture)
        net.module_.load_state_dict(PotentialPair(**parts).state_dict())
        net.n_iter_, net.history_ = self.net_.n_iter_, self.net_.history_
        self.net_ = net
        return self


def convex_networks(network, name, n_features, n_rows):
    """The arguments of a `ConvexPair` for the solver of a name; ``network`` is the parameter of the transport.

    ``n_rows`` is the smaller number of rows of the two samples.
    """
    if network is None:
        network = Convex(WIDE) if n_features >= WIDE_FEATURES and n_rows >= WIDE_ROWS else Convex()
    potential = inverse = module_of(network, "potential", n_features=n_features)
    if missing := [name for name in NEEDED_METHODS if not hasattr(potential[0], name)]:
        raise ValueError(
            f"network must be a convex function with the methods of sklearn_ot.nn.DenseICNN, but "
            f"{potential[0].__name__} has no {' and no '.join(missing)}. Give Convex(...), for example."
        )
    solver = solver_for(name, n_features)
    if potential[0] is DenseICNN and solver.sharpness != 1:
        potential = (potential[0], {**potential[1], "sharpness": solver.sharpness})
    is_guess = solver.exact_inverse
    if is_guess:
        has_guess = hasattr(network, "guess") and not isinstance(network, type)
        inverse = network.guess(n_features) if has_guess else (ResidualMap, {"n_features": n_features})
    return {"potential": potential, "inverse": inverse, "is_guess": is_guess}


def dual_stage(transport, name, reg="auto", factor=1.0):
    """The training of a transport by the solver of a name, given its ``coordinates_``; ``factor`` is that of "auto"."""
    n_inputs, learning_rate = transport.coordinates_.n_axes, transport.learning_rate
    solver = solver_for(name, n_inputs)
    reg = solver.reg if reg == "auto" else reg
    if learning_rate == "auto":
        learning_rate = factor * solver.learning_rate * min(1, math.sqrt(FULL_STEP_FEATURES) / math.sqrt(n_inputs))
    return Stage(
        name,
        partial(solver.objective, reg=reg),
        evaluation=negative_dual,
        remedy=f"Lower learning_rate (now {learning_rate:g})" + (f" or reg (now {reg:g})." if reg else "."),
        learning_rate=learning_rate,
        max_iter=transport.max_iter,
        net_params={
            "optimizer__param_groups": [("inverse*", {"lr": solver.relative_step * learning_rate})],
            "cooling": COOLING,
            "losses_of_rows": losses_of_rows,
            "iterator_train__source_ratio": solver.source_ratio,
            "iterator_train__is_calibrated": solver.is_calibrated,
            "short_steps_from": solver.short_steps_from,
        },
    )


def _draw(rows, weight, n_rows, rng):
    """Equally weighted rows of a tensor, drawn in proportion to the weights."""
    numbers = Sample(np.arange(len(rows)), None if weight is None else weight.numpy(), len(rows))
    return rows[torch.as_tensor(numbers.draw(n_rows, rng))]

"""W2Transport: the Brenier map between two samples by convex potentials."""

import math
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import FLOAT_DTYPES, InvertibleTransport, warn_user
from sklearn_ot.nets import JointNet, TensorPairs, resolve_device, threads_worth_it, torch_seed
from sklearn_ot.nn import DenseICNN, PotentialPair, ResidualMap, SubspacePotential
from sklearn_ot.objectives.dual import is_worth_it, negative_dual
from sklearn_ot.objectives.expectile import expectile
from sklearn_ot.objectives.minimax import minimax, minimax_v1
from sklearn_ot.objectives.w2 import exact_dual, regression, w2gn
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.conjugate import Maximum, convex_conjugate
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.transport._neural import NeuralTransport

PLAN_STEPS = 500
PLAN_ROWS = 2000
MAX_PLAN_FEATURES = 4
MAX_CONJUGATE_STEPS = 500


class Solver(NamedTuple):
    """A solver: what it minimises, its defaults, and whether its inverse map is the exact conjugate of ψ.

    The step size is that of ψ with up to 16 features; ω has ``relative_step`` times as much.
    """

    objective: Callable
    reg: float
    learning_rate: float
    relative_step: float
    exact_inverse: bool


SOLVERS = {
    "dual": Solver(exact_dual, reg=0.0, learning_rate=5e-2, relative_step=0.1, exact_inverse=True),
    "w2gn": Solver(w2gn, reg=3.0, learning_rate=2e-2, relative_step=1, exact_inverse=False),
    "minimax": Solver(minimax, reg=0.3, learning_rate=5e-3, relative_step=10, exact_inverse=False),
    "minimax-v1": Solver(minimax_v1, reg=0.0, learning_rate=5e-2, relative_step=0.1, exact_inverse=True),
    "expectile": Solver(expectile, reg=2.0, learning_rate=2e-2, relative_step=1, exact_inverse=False),
}


class ConvexPair(PotentialPair):
    """ψ as a `DenseICNN`, and ω as another or, where only its gradient is used, as a `ResidualMap`."""

    def __init__(self, n_features, *, hidden_layer_sizes, plain_inverse, pruned_sizes=None, **architecture):
        sizes, inverse_sizes = pruned_sizes or (hidden_layer_sizes, hidden_layer_sizes)
        potential = DenseICNN(n_features, sizes, **architecture)
        if plain_inverse:
            super().__init__(potential, ResidualMap(n_features, inverse_sizes))
        else:
            super().__init__(potential, DenseICNN(n_features, inverse_sizes, **architecture))

    def transport(self, x):
        return self.potential.gradient(x)


class W2Transport(InvertibleTransport, NeuralTransport):
    r"""The Brenier map between two samples: the gradient of a convex network, and its inverse.

    The optimal map of the squared cost is :math:`T = \nabla\psi` with ψ convex, its inverse :math:`\nabla\psi^*`, and
    ψ solves the dual problem

    .. math::
        \tfrac12 W_2^2(P, Q) = \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2
        - \min_{\psi\ \text{convex}} \left\{ E_P\, \psi(x) + E_Q\, \psi^*(y) \right\} .

    An input-convex network stands for ψ. It starts at the Gaussian map (`GaussianTransport`) and learns what is left,
    in coordinates where that map is the identity, so that training is as easy in one unit as in another and whatever
    the correlations; with few features it is first regressed on an exact plan. Of all weights on the way, those with
    the best dual value on held-out rows are kept, and the Gaussian map if they are not better than it by more than the
    standard error of the difference: few rows may not tell. Directions in which neither sample varies by more than a
    hundredth of the mean deviation, such as constant columns, keep the Gaussian map. (Units of single columns matter to
    the squared cost, to the shrinkage and here: standardise columns that are not comparable.)

    Parameters
    ----------
    solver : {"dual", "w2gn", "minimax", "minimax-v1", "expectile"}, default="dual"
        What is minimised; each is a function of `sklearn_ot.objectives`.

        - "dual": the dual itself, ψ*(y) computed by a convex minimisation for each row that starts where a second
          network guesses [Amos23]_. The inverse map is exact, to ``conjugate_tol``.
        - "w2gn": the non-minimax objective of Wasserstein-2 generative networks [Korotin21]_, over ψ and a second
          convex network ω for ψ*. The inverse map is ∇ω.
        - "minimax": ψ against ω, simultaneous descent and ascent [Makkuva20]_. The inverse map is ∇ω.
        - "minimax-v1": as "dual", but every minimisation starts at the Gaussian map [Taghvaei19]_.
        - "expectile": ψ against ω and back, with an expectile penalty on their duality gap [Buzun24]_. The inverse map
          is ∇ω.
    reg : float or "auto", default="auto"
        λ. For "dual" and "minimax-v1" the pull of the map towards the Gaussian map, in mean squares of balanced
        coordinates: with few rows a free map overfits, see `W2TransportCV`. For "w2gn" the weight of the cycle terms
        that make the two networks conjugate, above 0: larger is steadier and, for the inverse map, more accurate; too
        large is slow. For "minimax" the weight of the regression of each map onto the inverse of the other, for
        "expectile" that of the penalty, per feature. "auto" is 0, 0, 3, 0.3 and 2.
    hidden_layer_sizes : array-like of int, default=(128, 128)
        Widths of the hidden layers of each network.
    rank : int, default=0
        Number of squares in each convex-quadratic skip; 0 leaves affine skips, which are faster.
    activation : {"logsumexp", "celu", "softplus"}, default="logsumexp"
        Activation of the convex networks. "logsumexp", a smooth maximum over pools of units, is made for targets of
        several clusters, whose map turns sharply. All but "celu" are infinitely smooth.
    pool_size : int, default=8
        Units in a pool of "logsumexp"; it must divide the widths.
    strong_convexity : float, default=1e-2
        Smallest stretch of the map (and of ∇ω), in the balanced coordinates; above 0 and below 1. An exact inverse
        stretches by at most its reciprocal.
    shrinkage : "auto", float or None, default="auto"
        Shrinkage of the covariances of the Gaussian map at the start; see `GaussianTransport`, also on columns in
        different units.
    plan_size : int or "auto", default="auto"
        Rows of each sample of an exact plan (POT) on which both networks are regressed first, for 500 steps; the dual
        then starts there if that is better on held-out rows than the Gaussian map. 0 is no plan; "auto" is 2000 up to
        4 features, and 0 beyond, where a plan of so few rows says little about the map.
    conjugate_tol : float, default=1e-4
        Residual per feature (root mean square, in balanced coordinates, where features have variance 1) at which the
        searches for exact conjugates end, in ``inverse_transform`` and ``dual_value``; times ‖y‖ / √n_features for rows
        y that are farther out than √n_features, where rounding is larger.
    learning_rate : float or "auto", default="auto"
        Step size of Adam for ψ after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500). "auto" is 0.05 for
        "dual" and "minimax-v1", 0.02 for "w2gn" and "expectile" and 0.005 for "minimax", times 4 / √n_features
        beyond 16 features. ω moves at a tenth of it where it only guesses conjugates, and at ten times of it in
        "minimax", where it has to keep ahead of ψ.
    batch_size : int, default=256
        Rows of each sample in a step.
    max_iter : int, default=10000
        Gradient steps at most, whatever the number of rows, those on the plan apart. With 0 the map is the Gaussian
        map.
    tol : float, default=1e-3
        Least decrease of ``valid_loss`` (see ``history_``) that counts as one.
    n_iter_no_change : int, default=6
        Blocks of 100 steps without such a decrease after which training has converged; after each third of them the
        step size is cut to 0.3 of what it was.
    early_stopping : bool, default=True
        Whether the dual value is taken on held-out rows. If not, it is taken on rows that are trained on: all rows
        are used, and nothing guards against overfitting.
    validation_fraction : float, default=0.1
        Part of each sample to hold out, 2048 rows at most.
    warm_start : bool, default=False
        Whether another call of ``fit`` goes on from the map it finds, also in an estimator that was pickled. The
        coordinates and the state of Adam stay as they are.
    device : str or torch.device, default="auto"
        Where to train: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net; they are cloned.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, held-out rows and batches. None is a fresh seed each time; the global states of numpy
        and torch are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    wasserstein_distance_ : float
        Wasserstein-2 distance, :math:`(E\|x - T(x)\|^2)^{1/2}` for the optimal T, in the units of the data and
        without the factor ½. It is estimated by the dual value, so an error of the map enters squared.
    n_iter_ : int
        Gradient steps taken, those on the plan included; with ``warm_start``, in all fits.
    start_ : {"gaussian", "plan"}
        Where the dual started.
    is_gaussian_ : bool
        Whether the map is the Gaussian one: what the best weights gained over it on held-out rows was less than the
        standard error of this gain. Without ``early_stopping`` no rows can tell, and it is False.
    history_ : list of dict
        One row per block of 100 steps: ``stage``, which is "plan" or the solver, ``n_iter``, ``dur`` in seconds,
        ``train_loss``, the objective, and ``valid_loss``, minus the held-out dual value per feature in balanced
        coordinates, less that of the Gaussian map. 0 is the Gaussian map; a fall of 0.01 is one per cent of a feature's
        variance. The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` holds the networks ``potential`` and ``inverse``.
    coordinates_ : BalancedCoordinates
        The coordinates in which the net works.
    sparsity_ : float
        Share of the non-negative weights of the convex networks that are exactly zero; `prune` removes what they make
        unnecessary.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Rows of the target that `score` compares with when it is given none.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if the source was given as a DataFrame.

    See Also
    --------
    GaussianTransport : The closed-form map this one starts at.
    sklearn_ot.adaptation.DomainAdapter : A transport and an estimator for domain adaptation. In a plain Pipeline
        ``predict`` would transport the target rows again.

    Notes
    -----
    Training is in float32; the maps are evaluated in the dtype of their input, and in chunks: beyond the rows and their
    images, memory does not grow with the number of rows.

    Interrupted from the keyboard, ``fit`` keeps the best map so far.

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
    >>> from sklearn_ot.transport import W2Transport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(1000, 1), np.sinh(rng.randn(1000, 1))
    >>> transport = W2Transport(hidden_layer_sizes=(32, 32), random_state=0).fit(Xs, Xt)
    >>> bool(abs(transport.transform([[1.0]]).item() - np.sinh(1)) < 0.1)
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        **NeuralTransport._parameter_constraints,
        "solver": [StrOptions(set(SOLVERS))],
        "reg": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "rank": [Interval(Integral, 0, None, closed="left")],
        "activation": [StrOptions({"logsumexp", "celu", "softplus"})],
        "pool_size": [Interval(Integral, 1, None, closed="left")],
        "strong_convexity": [Interval(Real, 0, 1, closed="neither")],
        "plan_size": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "conjugate_tol": [Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        solver="dual",
        *,
        reg="auto",
        hidden_layer_sizes=(128, 128),
        rank=0,
        activation="logsumexp",
        pool_size=8,
        strong_convexity=1e-2,
        shrinkage="auto",
        plan_size="auto",
        conjugate_tol=1e-4,
        learning_rate="auto",
        batch_size=256,
        max_iter=10_000,
        tol=1e-3,
        n_iter_no_change=6,
        early_stopping=True,
        validation_fraction=0.1,
        warm_start=False,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.solver = solver
        self.reg = reg
        self.hidden_layer_sizes = hidden_layer_sizes
        self.rank = rank
        self.activation = activation
        self.pool_size = pool_size
        self.strong_convexity = strong_convexity
        self.shrinkage = shrinkage
        self.plan_size = plan_size
        self.conjugate_tol = conjugate_tol
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def _validate_reg(self):
        if self.solver == "w2gn" and self.reg == 0:
            raise ValueError(
                'reg=0 leaves solver="w2gn" without the terms that train its second network: give a reg above 0 (to '
                "W2TransportCV, regs without a 0)."
            )

    def _fit(self, X, target, rng):
        self._validate_reg()
        device = resolve_device(self.device)
        previous = self._net_to_resume(self._architecture(X.shape[1]))
        starts_as_gaussian = previous is None or self.is_gaussian_
        rows, target_rows = self._training_rows(X, target, rng)
        if previous is None:
            coordinates = BalancedCoordinates.balance(*sample_gaussian_map(X, target, self.shrinkage))
            self.coordinates_, self.start_ = coordinates.focus(rows, target_rows), "gaussian"
        u, v = self.coordinates_.of_source(rows), self.coordinates_.of_target(target_rows)
        start = (_mean_square(u) + _mean_square(v)) / 2
        u, v = self.coordinates_.within(u), self.coordinates_.within(v)
        n_inputs = u.shape[1]
        # Of a previous net, what pruning has left.
        architecture = self._architecture(n_inputs) if previous is None else previous.get_params_for("module")
        train, valid = self._split(u, v, rng, device)
        width = max(n_inputs, *architecture["hidden_layer_sizes"])
        with torch_seed(rng.randint(2**31), device), threads_worth_it(self.batch_size, width):
            finished, callbacks = True, self._fresh_callbacks()
            if previous is None and (pairs := self._plan(train, rng)) is not None:
                previous = self._build_net(device, callbacks, stage="plan", **architecture)
                finished = self._train(previous, pairs, valid, preliminary=True)
                self.start_ = "plan" if previous.best_loss_ < previous.start_loss_ else "gaussian"
            if finished:
                net = self._build_net(device, callbacks, **architecture)
                if previous is not None:
                    net.resume(previous)
                self._train(net, train, valid)
            if starts_as_gaussian:
                self.is_gaussian_ = self.early_stopping and not is_worth_it(self.net_.module_, valid.x, valid.y)
                if self.is_gaussian_:
                    gaussian = self._build_net(device, **architecture).module_
                    self.net_.module_.load_state_dict(gaussian.state_dict())
                    self.net_.best_loss_ = 0.0
        dual = self._dual_value(rows, target_rows, correlations=start + n_inputs * self.net_.best_loss_)
        self.wasserstein_distance_ = math.sqrt(max(0.0, 2 * dual))

    def _module(self, dtype, name="module_"):
        """As it is for all coordinates: the networks see only those in which the samples vary."""
        pair = super()._module(dtype, name)
        if self.coordinates_.axes is None:
            return pair
        weight = next(pair.parameters())
        axes = torch.as_tensor(self.coordinates_.axes, dtype=weight.dtype, device=weight.device)
        pair.potential, pair.inverse = (SubspacePotential(part, axes) for part in (pair.potential, pair.inverse))
        return pair

    def _architecture(self, n_features):
        architecture = super()._architecture(n_features)
        if self.activation == "logsumexp" and any(size % self.pool_size for size in architecture["hidden_layer_sizes"]):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} cannot be split into pools of "
                f"pool_size={self.pool_size}: give widths that it divides."
            )
        return {
            **architecture,
            "plain_inverse": SOLVERS[self.solver].exact_inverse,
            "rank": self.rank,
            "pool_size": self.pool_size,
            "strong_convexity": self.strong_convexity,
        }

    def _build_net(self, device, callbacks=(), stage=None, **architecture):
        solver = SOLVERS[self.solver]
        reg = solver.reg if self.reg == "auto" else self.reg
        learning_rate = self.learning_rate
        if learning_rate == "auto":
            learning_rate = solver.learning_rate * min(1, 4 / math.sqrt(architecture["n_features"]))
        parameters = {**self._net_parameters(device, architecture, callbacks), "lr": learning_rate}
        parameters["optimizer__param_groups"] = [("inverse*", {"lr": solver.relative_step * learning_rate})]
        if stage == "plan":
            parameters["max_iter"] = min(PLAN_STEPS, self.max_iter)
        return JointNet(
            ConvexPair,
            regression if stage == "plan" else partial(solver.objective, reg=reg),
            evaluation=negative_dual,
            remedy=f"Lower learning_rate (now {learning_rate:g})" + (f" or reg (now {reg:g})." if reg else "."),
            stage=stage or self.solver,
            **parameters,
        ).initialize()

    def _plan(self, train, rng):
        """Rows paired by an exact plan, source and target side by side; None if there is to be no plan."""
        size = self.plan_size
        if size == "auto":
            size = PLAN_ROWS if train.x.shape[1] <= MAX_PLAN_FEATURES else 0
        size = min(size, len(train.x), len(train.y))
        if size == 0 or self.max_iter == 0:
            return None
        x, y = (sample[torch.as_tensor(rng.permutation(len(sample))[:size])] for sample in (train.x, train.y))
        pairs = torch.cat([x, y[exact_plan(x, y).partner]], dim=1)
        return TensorPairs(pairs, pairs)

    def _net_to_resume(self, architecture):
        """The net of the last fit if this one goes on from it, else None."""
        if not self.warm_start or not hasattr(self, "net_"):
            return None
        before = {**self.net_.get_params_for("module"), "n_features": len(self.coordinates_.source_mean)}
        if before["plain_inverse"] != architecture["plain_inverse"]:
            raise ValueError(
                f"warm_start=True cannot go on with solver={self.solver!r}: its second network is of another kind than "
                f"that of solver={self.net_.stage!r}. Change it back, or set warm_start=False."
            )
        changed = [
            f"{name} from {before[name]!r} to {value!r}"
            for name, value in architecture.items()
            if value != before[name]
        ]
        if changed:
            raise ValueError(
                f"warm_start=True goes on with the networks there are, but these changed: {', '.join(changed)}. "
                "Change them back, or set warm_start=False."
            )
        return self.net_

    @property
    def sparsity_(self):
        """Share of the non-negative weights that are exactly zero, of all convex networks together."""
        check_is_fitted(self)
        networks = [network for network in self.net_.module_.children() if isinstance(network, DenseICNN)]
        weights = torch.cat([weight.detach().flatten() for network in networks for weight in network.inner])
        return float((weights == 0).float().mean())

    def prune(self):
        """Remove the parts of the networks that weights of zero have cut off; the maps stay as they are.

        Training holds many of the weights that must not be negative at exactly zero, see ``sparsity_``. A unit (or
        pool) all of whose outgoing weights are zero has no part in the map: without it the networks are narrower,
        and faster. ``warm_start`` goes on from the narrower networks, with a new state of Adam.

        Returns
        -------
        self : object
            The transport; its images change by rounding only.
        """
        check_is_fitted(self)
        pair, architecture = self.net_.module_, self.net_.get_params_for("module")
        potential, inverse = pair.potential.pruned(), pair.inverse
        if isinstance(inverse, DenseICNN):
            inverse = inverse.pruned()
        inverse_sizes = getattr(inverse, "hidden_layer_sizes", architecture["hidden_layer_sizes"])
        architecture["pruned_sizes"] = (potential.hidden_layer_sizes, inverse_sizes)
        pruned = self._untrained_net(architecture)
        pruned.module_.load_state_dict(PotentialPair(potential, inverse).state_dict())
        pruned.n_iter_, pruned.history_ = self.net_.n_iter_, self.net_.history_
        self.net_ = pruned
        return self

    def _inverse_transform(self, X):
        coordinates, unsolved = self.coordinates_, []
        if isinstance(self.net_.module_.inverse, DenseICNN):
            inverse = self._on_arrays("inverse.gradient", X.dtype)
        else:
            search = self._search(X.dtype)

            def inverse(v):
                found, solved = search(v)
                unsolved.append(np.sum(~solved))
                return found.argmax

        X_original = in_chunks(lambda rows: coordinates.to_source(inverse(coordinates.of_target(rows))), X)
        if any(unsolved):
            warn_user(
                f"{sum(unsolved)} of {len(X)} rows were not inverted to conjugate_tol={self.conjugate_tol:g} within "
                f"{MAX_CONJUGATE_STEPS} steps. return_residual=True tells how far off each of them is; a larger "
                "conjugate_tol accepts them.",
                ConvergenceWarning,
            )
        return X_original

    def inverse_transform(self, X, *, return_residual=False):
        r"""Map target rows back to the source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Target rows, seen in ``fit`` or not.
        return_residual : bool, default=False
            Whether to return how far `transform` takes the result from ``X``.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Their preimages, in the dtype of ``X`` if it is a float dtype, else float64.
        residual : ndarray of shape (n_samples,)
            :math:`\|T(x) - y\|` for each row y and its preimage x, in the units of the target. Only with
            ``return_residual``. (The warning that rows were not inverted is about the search, whose residuals are in
            balanced coordinates, as ``conjugate_tol`` is.)
        """
        X_original = super().inverse_transform(X)
        return (X_original, self._residual(X_original, X)) if return_residual else X_original

    def _residual(self, X_original, X):
        X, transport = check_array(X, dtype=FLOAT_DTYPES), self._map(X_original.dtype)
        return in_chunks(lambda x, y: np.linalg.norm(transport(x) - y, axis=1), X_original, X)

    def _search(self, dtype):
        """The search for conjugates of ψ as a function of coordinates: a `Maximum` of arrays, and which are exact."""
        module = self._module(dtype)
        device = next(module.parameters()).device

        def search(v):
            y = torch.from_numpy(v).to(device)
            # Far out, rounding is relative to the size of a row.
            tol = self.conjugate_tol * y.norm(dim=1).clamp_min(math.sqrt(y.shape[1]))
            with torch.no_grad():
                start = module.inverse.gradient(y)
            found = convex_conjugate(
                module.potential.value_and_gradient, y, start, tol=tol, max_iter=MAX_CONJUGATE_STEPS
            )
            arrays = (tensor.cpu().numpy() for tensor in found[:3])
            return Maximum(*arrays, n_iter=found.n_iter), (found.residual <= tol).cpu().numpy()

        return search

    def dual_value(self, X, X_target):
        r"""The value of ψ in the dual problem on two samples.

        .. math:: \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2 - E\,\psi(x) - E\,\psi^*(y) \;\le\; \tfrac12 W_2^2

        On rows that ``fit`` has not seen it compares maps, solvers and parameters without knowing the truth: the
        higher, the better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        X_target : array-like of shape (n_target_samples, n_features)
            Target rows.

        Returns
        -------
        value : float
            A lower bound of :math:`\tfrac12 W_2^2` between the two samples, in the squared units of the data. Searches
            for ψ* that stop short can only lower it.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        target = validate_data(self, X_target, dtype=X.dtype, reset=False)
        coordinates, potential, search = (
            self.coordinates_,
            self._on_arrays("potential.forward", X.dtype),
            self._search(X.dtype),
        )
        strong_convexity = self.net_.module_.potential.strong_convexity

        def conjugate(v):
            found, _ = search(v)
            return found.value + np.square(found.residual) / (2 * strong_convexity)

        correlations = np.mean(in_chunks(lambda rows: potential(coordinates.of_source(rows)), X))
        correlations += np.mean(in_chunks(lambda rows: conjugate(coordinates.of_target(rows)), target))
        return self._dual_value(X, target, correlations)

    def _dual_value(self, X, target, correlations):
        """The dual value on the samples; ``correlations`` is the mean of ψ plus that of ψ*, in balanced coordinates."""
        coordinates = self.coordinates_
        m, n = coordinates.source_mean, coordinates.target_mean
        # ½|x − y|² = ½|x − n|² + ½|y − m|² − ½|m − n|² − ⟨x − m, y − n⟩, and the last product is s² ⟨u, v⟩.
        squares = _mean_square(X, n) + _mean_square(target, m) - np.sum((m - n) ** 2)
        return float(squares / 2 - coordinates.scale**2 * correlations)

    def potential(self, X):
        r"""The convex potential ψ, whose gradient is `transform`; it vanishes at the source mean.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.

        Returns
        -------
        potential : ndarray of shape (n_samples,)
            Its values, in the squared units of the data (with the factor ½ in the cost) and in the dtype of ``X`` if
            it is a float dtype, else float64.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        coordinates, forward = self.coordinates_, self._on_arrays("potential.forward", X.dtype)
        source_mean, target_mean = (mean.astype(X.dtype) for mean in (coordinates.source_mean, coordinates.target_mean))
        at_mean = forward(coordinates.of_source(source_mean[None]))

        def potential(rows):
            gain = forward(coordinates.of_source(rows)) - at_mean
            return coordinates.scale**2 * gain + (rows - source_mean) @ target_mean

        return in_chunks(potential, X)


def _mean_square(X, center=0.0):
    """Mean squared norm of rows less ``center``."""
    return np.mean(in_chunks(lambda rows: np.sum(np.square(rows - center, dtype=np.float64), axis=1), X))

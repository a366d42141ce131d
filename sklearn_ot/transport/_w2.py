"""W2Transport: the Brenier map between two samples by input-convex networks."""

import copy
import warnings
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch.helper import predefined_split

from sklearn_ot.base import FLOAT_DTYPES, InvertibleTransport
from sklearn_ot.nets import BLOCK_SIZE, JointNet, TensorPairs, resolve_device, threads_worth_it, torch_seed
from sklearn_ot.nn import DenseICNN, PotentialPair
from sklearn_ot.objectives.w2 import mean_squared_norm, w2gn
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.solvers.frame import BalancedFrame
from sklearn_ot.solvers.gaussian import sample_gaussian_map

MAX_VALIDATION_ROWS = 2048
MIN_REFERENCE_ROWS = 10_000
CHUNK_ROWS = 8192
HISTORY_KEYS = ("n_iter", "dur", "train_loss", "valid_loss")

SOLVERS = {"w2gn": w2gn}


class ICNNPair(PotentialPair):
    """ψ and ω as `DenseICNN` of one shape; the parameters are those of `DenseICNN`."""

    def __init__(self, n_features, **architecture):
        super().__init__(DenseICNN(n_features, **architecture), DenseICNN(n_features, **architecture))


def negative_dual(pair, x, y):
    """Minus the dual value of ψ with exact conjugates, per feature and less that of the start ‖x‖²/2.

    Strong convexity turns what is left of a residual into an upper bound of the conjugate: a search that stops short
    can make a potential look worse, never better.
    """
    conjugate = convex_conjugate(pair.potential.value_and_gradient, y, pair.conjugate.gradient(y), tol=1e-3)
    bound = conjugate.value + conjugate.residual.square() / (2 * pair.potential.strong_convexity)
    correlations = pair.potential(x).mean() + bound.mean()
    return (correlations - (mean_squared_norm(x) + mean_squared_norm(y)) / 2) / x.shape[1]


class W2Transport(InvertibleTransport):
    r"""The Brenier map between two samples: the gradient of a convex network, and its inverse.

    The optimal map of the squared cost is :math:`T = \nabla\psi` with ψ convex, its inverse :math:`\nabla\psi^*`, and
    ψ solves the dual problem

    .. math::
        \tfrac12 W_2^2(P, Q) = \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2
        - \min_{\psi\ \text{convex}} \left\{ E_P\, \psi(x) + E_Q\, \psi^*(y) \right\} .

    Two input-convex networks stand for ψ and ψ*. They start at the Gaussian map (`GaussianTransport`) and learn what is
    left, in coordinates where that map is the identity, so that training is as easy in one unit as in another and
    whatever the correlations. Of all weights on the way, those with the best dual value on held-out rows are kept,
    the start included. (Which map is optimal does depend on the units of single columns, as the squared cost does:
    standardise columns that are not comparable.)

    Parameters
    ----------
    solver : {"w2gn"}, default="w2gn"
        "w2gn" minimises the non-minimax objective of Wasserstein-2 generative networks [Korotin21]_,
        `sklearn_ot.objectives.w2.w2gn`, over both networks jointly.
    reg : float, default=3.0
        λ, the weight of the cycle terms that make the two networks conjugate. Larger is steadier and, for the inverse
        map, more accurate; too large is slow.
    hidden_layer_sizes : array-like of int, default=(128, 128)
        Widths of the hidden layers of each network.
    rank : int, default=1
        Number of squares in each convex-quadratic skip; 0 leaves affine skips, twice as fast a step and less accurate.
    activation : {"celu", "softplus"}, default="celu"
        Activation of the networks. With "softplus" the map is infinitely smooth.
    strong_convexity : float, default=1e-2
        Smallest stretch of either map, in the balanced coordinates; above 0 and below 1.
    shrinkage : "auto", float or None, default="auto"
        Shrinkage of the covariances of the Gaussian map at the start, see `GaussianTransport`.
    learning_rate : float, default=1e-2
        Step size of Adam after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500).
    batch_size : int, default=256
        Rows of each sample in a step.
    max_iter : int, default=10000
        Gradient steps at most, whatever the number of rows. With 0 the map is the Gaussian map.
    tol : float, default=1e-3
        Least decrease of ``valid_loss`` (see ``history_``) that counts as one.
    n_iter_no_change : int, default=10
        Blocks of 100 steps without such a decrease after which training has converged.
    early_stopping : bool, default=True
        Whether the dual value is taken on held-out rows. If not, it is taken on rows that are trained on: all rows
        are used, and nothing guards against overfitting.
    validation_fraction : float, default=0.1
        Part of each sample to hold out, 2048 rows at most.
    warm_start : bool, default=False
        Whether another call of ``fit`` goes on from the map it finds. The coordinates stay as they are; the state of
        Adam does too, except in an estimator that was pickled, which does not store it.
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
        Gradient steps taken; with ``warm_start``, in all fits.
    history_ : list of dict
        One row per block of 100 steps: ``n_iter``, ``dur`` in seconds, ``train_loss``, the objective, and
        ``valid_loss``, minus the held-out dual value per feature in balanced coordinates, less that of the Gaussian
        map. It starts at 0; a fall of 0.01 is one per cent of a feature's variance.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` holds the networks ``potential`` and ``conjugate``.
    frame_ : BalancedFrame
        The coordinates in which the net works.
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
    Training is in float32; the maps are evaluated in the dtype of their input. Memory beyond the data does not grow
    with the number of rows to transform.

    Interrupted from the keyboard, ``fit`` keeps the best map so far.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative networks",
       ICLR 2021.

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
        "solver": [StrOptions(set(SOLVERS))],
        "reg": [Interval(Real, 0, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "rank": [Interval(Integral, 0, None, closed="left")],
        "activation": [StrOptions({"celu", "softplus"})],
        "strong_convexity": [Interval(Real, 0, 1, closed="neither")],
        "shrinkage": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        solver="w2gn",
        *,
        reg=3.0,
        hidden_layer_sizes=(128, 128),
        rank=1,
        activation="celu",
        strong_convexity=1e-2,
        shrinkage="auto",
        learning_rate=1e-2,
        batch_size=256,
        max_iter=10_000,
        tol=1e-3,
        n_iter_no_change=10,
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
        self.strong_convexity = strong_convexity
        self.shrinkage = shrinkage
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

    def _fit(self, X, target, rng):
        device = resolve_device(self.device)
        previous = self._net_to_resume(X.shape[1])
        if previous is None:
            self.frame_ = BalancedFrame.balance(*sample_gaussian_map(X, target, self.shrinkage))
        if target is None:
            target = rng.standard_normal((max(len(X), MIN_REFERENCE_ROWS), X.shape[1]))
        u, v = self.frame_.source_to_frame(X), self.frame_.target_to_frame(target)
        (x, x_valid), (y, y_valid) = (
            self._hold_out(torch.as_tensor(rows, dtype=torch.float32, device=device), rng) for rows in (u, v)
        )
        architecture = self._architecture(X.shape[1])
        width = max(X.shape[1], *architecture["hidden_layer_sizes"])
        with torch_seed(rng.randint(2**31), device), threads_worth_it(self.batch_size, width):
            net = self._build_net(device, **architecture)
            if previous is not None:
                net.resume(previous)
            net.set_params(train_split=predefined_split(TensorPairs(x_valid, y_valid)))
            net.partial_fit(TensorPairs(x, y))
            # The net would otherwise keep the held-out rows for as long as it lives.
            net.set_params(train_split=None)
        self._warn_if_unfinished(net, previous)
        self.net_ = net
        self.n_iter_ = net.n_steps_
        self.history_ = [{key: row[key] for key in HISTORY_KEYS if key in row} for row in net.history]
        self.wasserstein_distance_ = self._dual_distance(X, target, u, v)

    def _architecture(self, n_features):
        sizes = tuple(self.hidden_layer_sizes)
        if not sizes or not all(isinstance(size, Integral) and size > 0 for size in sizes):
            raise ValueError(
                f"hidden_layer_sizes must be one or more positive integers, got {self.hidden_layer_sizes!r}. "
                "Give for example (128, 128) for two hidden layers."
            )
        return {
            "n_features": n_features,
            "hidden_layer_sizes": sizes,
            "rank": self.rank,
            "activation": self.activation,
            "strong_convexity": self.strong_convexity,
        }

    def _build_net(self, device, **architecture):
        return JointNet(
            ICNNPair,
            partial(SOLVERS[self.solver], reg=self.reg),
            evaluation=negative_dual,
            **{f"module__{name}": value for name, value in architecture.items()},
            optimizer=torch.optim.Adam,
            optimizer__betas=(0.9, 0.95),
            optimizer__fused=device.type != "mps",
            lr=self.learning_rate,
            batch_size=self.batch_size,
            max_steps=self.max_iter,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            remedy=f"Lower learning_rate (now {self.learning_rate:g}) or reg (now {self.reg:g}).",
            callbacks=[clone(callback) for callback in self.callbacks or []],
            device=device,
            verbose=int(self.verbose),
        ).initialize()

    def _net_to_resume(self, n_features):
        """The net of the last fit if this one goes on from it, else None."""
        if not self.warm_start or not hasattr(self, "net_"):
            return None
        now, before = self._architecture(n_features), self.net_.get_params_for("module")
        changed = [f"{name} from {before[name]!r} to {now[name]!r}" for name in now if now[name] != before[name]]
        if changed:
            raise ValueError(
                f"warm_start=True goes on with the networks there are, but these changed: {', '.join(changed)}. "
                "Change them back, or set warm_start=False."
            )
        return self.net_

    def _hold_out(self, sample, rng):
        """Rows to train on, and rows for the dual value."""
        order = torch.as_tensor(rng.permutation(len(sample)), device=sample.device)
        if not self.early_stopping:
            return sample, sample[order[:MAX_VALIDATION_ROWS]]
        n_valid = min(max(1, int(self.validation_fraction * len(sample))), MAX_VALIDATION_ROWS, len(sample) - 1)
        return sample[order[n_valid:]], sample[order[:n_valid]]

    def _warn_if_unfinished(self, net, previous):
        n_steps = net.n_steps_ - (previous.n_steps_ if previous else 0)
        if n_steps < self.max_iter and not net.converged_:
            warnings.warn(f"Training was interrupted after {n_steps} steps; the best map so far is kept.", stacklevel=5)
        elif self.max_iter and not net.converged_:
            warnings.warn(
                f"W2Transport stopped at max_iter={self.max_iter} steps before the dual value had settled to within "
                f"tol={self.tol:g} for {self.n_iter_no_change} blocks of {BLOCK_SIZE} steps. Increase max_iter, or go "
                "on with warm_start=True; a larger tol accepts the map as it is.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _dual_distance(self, X, target, u, v):
        """The dual value of the Gaussian map on all rows, and what the networks add to it on held-out rows."""
        frame = self.frame_
        m, n = frame.source_mean, frame.target_mean
        # ½|x − y|² = ½|x − n|² + ½|y − m|² − ½|m − n|² − ⟨x − m, y − n⟩, and the last product is s² ⟨u, v⟩.
        gaussian = _mean_square(X - n) + _mean_square(target - m) - np.sum((m - n) ** 2)
        gaussian -= frame.scale**2 * (_mean_square(u) + _mean_square(v))
        gain = -2 * frame.scale**2 * X.shape[1] * self.net_.best_loss_
        return float(np.sqrt(max(0.0, gaussian + gain)))

    def _module(self, dtype):
        """A copy of the trained module that computes in a numpy dtype."""
        device = self.net_.device
        if np.dtype(dtype) == np.float64 and torch.device(device).type == "mps":
            device = "cpu"  # MPS has no float64
        return copy.deepcopy(self.net_.module_).requires_grad_(False).to(device, getattr(torch, np.dtype(dtype).name))

    def _in_chunks(self, network, method, coordinates):
        """Values or gradients of one of the two networks, at constant memory."""
        module = getattr(self._module(coordinates.dtype), network)
        device = _device_of(module)
        chunks = (torch.from_numpy(coordinates[rows]) for rows in gen_batches(len(coordinates), CHUNK_ROWS))
        with torch.no_grad():
            return np.concatenate([getattr(module, method)(chunk.to(device)).cpu().numpy() for chunk in chunks])

    def _transform(self, X):
        return self.frame_.target_from_frame(self._in_chunks("potential", "gradient", self.frame_.source_to_frame(X)))

    def _inverse_transform(self, X):
        return self.frame_.source_from_frame(self._in_chunks("conjugate", "gradient", self.frame_.target_to_frame(X)))

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
        frame = self.frame_
        mean = frame.source_mean.astype(X.dtype)[None]
        values = self._in_chunks("potential", "forward", frame.source_to_frame(np.concatenate([mean, X])))
        return frame.scale**2 * (values[1:] - values[0]) + (X - mean) @ frame.target_mean.astype(X.dtype)

    def __getstate__(self):
        state = dict(super().__getstate__())
        if "net_" in state:
            net = state["net_"]
            state["net_"] = {
                "architecture": net.get_params_for("module"),
                "weights": {name: weight.cpu().numpy() for name, weight in net.module_.state_dict().items()},
                "n_steps": net.n_steps_,
            }
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "net_" in state:
            self.net_ = self._restore_net(**state["net_"])

    def _restore_net(self, architecture, weights, n_steps):
        """A net from plain arrays, on the CPU if the device of the fit is not here."""
        try:
            device = resolve_device(self.device)
        except ValueError:
            device = torch.device("cpu")
        with torch_seed(0, device):
            net = self._build_net(device, **architecture)
        net.module_.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
        net.n_steps_ = n_steps
        for row in self.history_:
            net.history.new_epoch()
            for key, value in row.items():
                net.history.record(key, value)
        return net


def _mean_square(rows):
    return np.mean(np.sum(np.square(rows, dtype=np.float64), axis=1))


def _device_of(module):
    return next(module.parameters()).device

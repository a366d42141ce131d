"""What the transports that train networks share."""

from abc import abstractmethod
from numbers import Integral, Real
from operator import attrgetter

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from skorch.helper import predefined_split

from sklearn_ot.base import BaseTransport, warn_user
from sklearn_ot.nets import BLOCK_SIZE, NetOwner, TensorPairs, spatial_order
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map

MAX_VALIDATION_ROWS = 2048
MAX_TRAINING_NUMBERS = 2**27
MIN_REFERENCE_ROWS = 10_000
HISTORY_KEYS = ("stage", "n_iter", "dur", "train_loss", "valid_loss")


class NeuralTransport(NetOwner, BaseTransport):
    """Base class of transports that train one `JointNet`, in the balanced coordinates ``coordinates_``.

    A subclass writes ``_build_net(device, callbacks=(), **architecture)``, an initialised net whose module has the map
    as its method ``transport``, and extends ``_architecture(n_features)``, the arguments of the module. Its ``_fit``
    builds the net and calls ``_train``.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        "hidden_layer_sizes": ["array-like"],
        "shrinkage": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _build_net(self, device, callbacks=(), **architecture):
        """An initialised `JointNet`."""

    def _fresh_callbacks(self):
        """Copies of the callbacks, for all stages of one fit: what one of them counts, such as time, goes on."""
        return [clone(callback) for callback in self.callbacks or []]

    def _net_parameters(self, device, architecture, callbacks):
        """The arguments of `JointNet` that do not depend on the method."""
        return {
            **{f"module__{name}": value for name, value in architecture.items()},
            "optimizer": torch.optim.Adam,
            "optimizer__betas": (0.9, 0.95),
            "optimizer__fused": device.type != "mps",
            "lr": self.learning_rate,
            "batch_size": self.batch_size,
            "max_iter": self.max_iter,
            "tol": self.tol,
            "n_iter_no_change": self.n_iter_no_change,
            "callbacks": callbacks,
            "device": device,
            "verbose": int(self.verbose),
        }

    def _architecture(self, n_features):
        """The arguments of the module: plain values, which is what a pickle stores."""
        sizes = tuple(self.hidden_layer_sizes)
        if not sizes or not all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in sizes):
            raise ValueError(
                f"hidden_layer_sizes must be one or more positive integers, got {self.hidden_layer_sizes!r}. "
                "Give for example (128, 128) for two hidden layers."
            )
        return {"n_features": n_features, "hidden_layer_sizes": tuple(map(int, sizes)), "activation": self.activation}

    def _balance(self, X, target, rng, device):
        """Fit the coordinates; rows to train on and rows to select weights by, in these coordinates."""
        self.coordinates_ = BalancedCoordinates.balance(*sample_gaussian_map(X, target, self.shrinkage))
        X, target = self._training_rows(X, target, rng)
        return self._split(self.coordinates_.of_source(X), self.coordinates_.of_target(target), rng, device)

    @staticmethod
    def _training_rows(X, target, rng):
        """The rows that the networks see: all, up to half a gigabyte of each sample."""
        if target is None:
            target = rng.standard_normal((max(len(X), MIN_REFERENCE_ROWS), X.shape[1]))
        n_rows = max(1, MAX_TRAINING_NUMBERS // X.shape[1])
        return (rows if len(rows) <= n_rows else rows[rng.permutation(len(rows))[:n_rows]] for rows in (X, target))

    def _split(self, u, v, rng, device):
        samples = (torch.as_tensor(rows, dtype=torch.float32, device=device) for rows in (u, v))
        (x, x_valid), (y, y_valid) = (self._hold_out(sample, rng) for sample in samples)
        return TensorPairs(x, y), TensorPairs(x_valid, y_valid)

    def _hold_out(self, sample, rng):
        """The rows to train on and those to validate on, which lie as all rows do: one in each of as many strata."""
        n_valid = min(len(sample), MAX_VALIDATION_ROWS)
        if self.early_stopping:
            n_valid = min(max(1, int(self.validation_fraction * len(sample))), MAX_VALIDATION_ROWS, len(sample) - 1)
        edges = np.linspace(0, len(sample), n_valid + 1).astype(int)
        chosen = spatial_order(sample, n_valid)[rng.randint(edges[:-1], edges[1:])]
        held_out = torch.zeros(len(sample), dtype=torch.bool, device=sample.device)
        held_out[chosen] = True
        return sample[~held_out] if self.early_stopping else sample, sample[held_out]

    def _train(self, net, train, valid, *, preliminary=False):
        """Train, keep the net and its history, and return whether another stage may follow.

        A ``preliminary`` training is one that others follow: it may end before it has converged.
        """
        net.set_params(train_split=predefined_split(valid))
        net.partial_fit(train)
        # The net would otherwise keep the held-out rows for as long as it lives.
        net.set_params(train_split=None)
        self.net_, self.n_iter_ = net, net.n_iter_
        self.history_ = [{key: row[key] for key in HISTORY_KEYS if key in row} for row in net.history]
        if net.interrupted_:
            n_steps = net.n_fitted_
            warn_user(f"Training was interrupted after {n_steps} steps; the best map so far is kept.")
        elif self.max_iter and net.finished_ and not net.converged_ and not preliminary:
            warn_user(
                f"{type(self).__name__} stopped at max_iter={self.max_iter} steps (stage {net.stage!r}) before the "
                f"validation loss had settled to within tol={self.tol:g} for {self.n_iter_no_change} blocks of "
                f"{BLOCK_SIZE} steps. "
                f"Increase max_iter{', or go on with warm_start=True' if hasattr(self, 'warm_start') else ''}; "
                "a larger tol accepts the map as it is.",
                ConvergenceWarning,
            )
        return not net.interrupted_

    def _on_arrays(self, name, dtype):
        """A method of the module (``"potential.gradient"``, say) as a function of coordinates in a dtype."""
        module = self._module(dtype)
        method, device = attrgetter(name)(module), next(module.parameters()).device

        def function(coordinates):
            with torch.no_grad():
                return method(torch.from_numpy(coordinates).to(device)).cpu().numpy()

        return function

    def _map(self, dtype):
        """The map as a function of rows of a dtype."""
        coordinates, transport = self.coordinates_, self._on_arrays("transport", dtype)
        return lambda X: coordinates.to_target(transport(coordinates.of_source(X)))

    def _transform(self, X):
        return in_chunks(self._map(X.dtype), X)

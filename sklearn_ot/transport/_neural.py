"""Base class of transports with networks, which are trained in one or more stages."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from skorch.helper import predefined_split

from sklearn_ot.base import CHECKPOINT, BaseTransport, documented, warn_user
from sklearn_ot.nets import (
    BLOCK_SIZE,
    JointNet,
    NetOwner,
    TensorPairs,
    TimeBudget,
    WeightedRows,
    callback_of,
    far_and_near,
    far_rows,
    hold_out,
    started_callbacks,
    torch_seed,
    training_device,
    validation_size,
)
from sklearn_ot.objectives.strata import start_check
from sklearn_ot.solvers.potentials import FrozenModule, Potentials
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport._start import coordinates_at_start
from sklearn_ot.transport._units import Units, refuse_other_units

# Largest size (rows × features) of the training rows of each sample: half a gigabyte of float32.
MAX_TRAINING_NUMBERS = 2**27
# Largest number of rows of a sample, besides far rows, whose images are compared with those of the Gaussian map.
MAX_COMPARED_ROWS = 2048
# Smallest number of rows of N(0, I), if that is the target.
MIN_REFERENCE_ROWS = 10_000
HISTORY_KEYS = ("stage", "n_iter", "dur", "train_loss", "valid_loss")


@dataclass(frozen=True)
class Stage:
    """A training of the networks, which starts at the result of the previous stage.

    Parameters
    ----------
    name : str
        Name of the stage in the rows of the history.
    objective, evaluation : callable
        ``objective(module, x, y) -> loss`` is minimised, and ``evaluation(module, x, y, x_weight, y_weight) -> loss``
        selects weights on validation rows. Weights of rows have sum 1, or are None if all are equal.
    remedy : str
        Advice in the error that is raised if training diverges.
    learning_rate : float
        Step size.
    max_iter : int
        Largest number of steps.
    is_preliminary : bool, default=False
        Whether the stage may end without a warning before it has converged, is skipped by a fit that continues another,
        and has no callbacks of the user but a `sklearn_ot.nets.TimeBudget`.
    rows : callable, default=None
        ``(train, rng) -> TensorPairs`` makes the rows of this stage from the training rows. If it returns None, the
        stage is skipped. By default the rows are the training rows.
    net_params : dict, default={}
        Further arguments of the net.
    """

    name: str
    objective: Callable
    evaluation: Callable
    remedy: str
    learning_rate: float
    max_iter: int
    is_preliminary: bool = False
    rows: Callable | None = None
    net_params: dict[str, Any] = field(default_factory=dict)


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class NeuralTransport(NetOwner, BaseTransport):
    """Base class of transports that train the networks of one module, in balanced coordinates.

    A subclass sets ``MODULE``, the class of a module with a method ``transport``, the map. It writes
    ``_architecture(n_features)``, which returns the arguments of the module, and ``_stages()``, which returns the
    trainings of a fit. Its docstring has a line ``<parameters>`` and a line ``<attributes>``, see
    `sklearn_ot.base.documented`.

    Parameters
    ----------
    shrinkage : "auto", float or None, default="auto"
        Shrinkage of the correlations for the Gaussian map at the start, see `GaussianTransport`.
    batch_size : int, default={batch_size}
        Rows of each sample in a step. The solvers "dual" and "minimax-v1" of `W2Transport` take four times as many
        source rows, which cost little there.
    max_iter : int, default={max_iter}
        Largest number of gradient steps of a stage, for any number of rows. With 0 the map is the Gaussian map.
    tol : float, default={tol}
        Smallest decrease of ``valid_loss`` (see ``history_``) that counts as a gain.
    n_iter_no_change : int, default={n_iter_no_change}
        Number of blocks of 100 steps without a gain after which training has converged. After each third of them the
        step size is multiplied by 0.3; in `W2Transport` it begins to fall to 0 after the first third.
    early_stopping : bool, default={early_stopping}
        Whether ``valid_loss`` is computed on held-out rows. If False, it is computed on training rows: all rows are
        used for training, and overfitting is not detected.
    validation_fraction : float, default={validation_fraction}
        Share of each sample to hold out, but at most 2048 rows, and in addition the rows far out. With such rows the
        result is also compared with the Gaussian map at the start: no image may be farther out, and the images as a
        whole must be as near to the target, at the scale of its near rows. Otherwise the start is kept, with a warning.
    device : str or torch.device, default="auto"
        Device of the training: "auto" (CUDA if there is a device, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
        With "accelerate", several processes train together, see :ref:`together`.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net, such as `sklearn_ot.nets.TimeBudget` or skorch's EarlyStopping, or pairs (name,
        callback), for which an epoch is a block of 100 steps. They are cloned, once for all stages. A callback that
        stops training ends the stage, and the best map so far is kept. The training on an exact plan, which prepares
        the first stage, has only the callback TimeBudget.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, held-out rows and batches. With None each fit has a new seed. The global random states of
        NumPy and PyTorch are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    coordinates_ : BalancedCoordinates or StationaryCoordinates
        The coordinates in which the net works, `StationaryCoordinates` of pictures with a network for pictures.
        Balanced coordinates leave out directions in which the standard deviation of one of the samples is at most a
        hundredth of the mean one, such as those of constant columns; there the map is the Gaussian map. With fewer rows
        than columns they are in the span of the rows.
    potentials_ : Potentials
        The fitted map as a frozen value, see `sklearn_ot.solvers.potentials`.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.
    """

    _: KW_ONLY
    network: object = None
    shrinkage: float | str | None = "auto"
    learning_rate: float | str = 1e-2
    batch_size: int = 256
    max_iter: int = 5_000
    tol: float = 1e-3
    n_iter_no_change: int = 10
    early_stopping: bool = True
    validation_fraction: float = 0.1
    device: str | torch.device = "auto"
    callbacks: list | None = None
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    MODULE: ClassVar[type]
    _max_validation_rows: ClassVar[int] = 2048
    _parameter_constraints: ClassVar[dict] = {
        "network": "no_validation",  # module_of validates it, with a better message
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
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _architecture(self, n_features):
        """The arguments of the module, as plain values that a pickle can store."""

    @abstractmethod
    def _stages(self):
        """The stages of a fit, given ``coordinates_``; the last one trains the map."""

    def _net_to_resume(self, n_features):
        """The net of the last fit if this fit continues it, else None."""
        return None

    def _conclude(self, samples, valid, *, resumed):
        """Set the remaining attributes, after the net has been trained on ``samples``."""

    def _fit(self, source, target, rng):
        device = training_device(self.device)
        # Equal rows are one row, which cannot be a training row and a validation row.
        source, target = source.merged(), None if target is None else target.merged()
        previous = self._net_to_resume(source.rows.shape[1])
        samples = self._training_samples(source, target, rng)
        if previous is None:
            self._units = [Units.of(sample.rows) for sample in samples]
            self._n_rows = min(len(sample.rows) for sample in samples)
            self.coordinates_ = self._start(source, target, samples)
        else:
            # A transport from a pickle of an older version has no units.
            units = getattr(self, "_units", [])
            for before, sample, name in zip(units, samples, ("X", "X_target"), strict=False):
                refuse_other_units(self, before, sample.rows, name)
        train, valid, check = self._split(samples, rng, device)
        with torch_seed(rng.randint(2**31), device):
            self._run_stages(previous, train, valid, check, rng, device)
            self._conclude(samples, valid, resumed=previous is not None)

    def _start(self, source, target, samples):
        """The coordinates in which the Gaussian map is the identity."""
        return coordinates_at_start(self, source, target, samples)

    @staticmethod
    def _training_samples(source, target, rng):
        """Training rows: all rows of each sample, or a random part if they take more than half a gigabyte."""
        n_features = source.rows.shape[1]
        if target is None:
            n_rows = max(len(source.rows), MIN_REFERENCE_ROWS)
            target = Sample.of(rng.standard_normal((n_rows, n_features)))
        n_rows = max(1, MAX_TRAINING_NUMBERS // n_features)
        return [
            sample if len(sample.rows) <= n_rows else Sample.of(sample.draw(n_rows, rng)).merged()
            for sample in (source, target)
        ]

    def _split(self, samples, rng, device):
        """Training rows and validation rows, in coordinates, and the check of weights if there are far rows."""
        coordinates = self.coordinates_
        wholes, sizes = [], []
        for sample, to_coordinates in zip(samples, (coordinates.of_source, coordinates.of_target), strict=True):
            rows = coordinates.within(to_coordinates(sample.rows))
            weight = None if sample.weight is None else torch.from_numpy(sample.weight)
            whole = WeightedRows(torch.as_tensor(rows, dtype=torch.float32, device=device), weight)
            if self.early_stopping and weight is None and sample.size != len(sample.rows):
                # Equal rows were merged, as many of each. They may be heavy rows.
                whole = whole._replace(weight=torch.ones(len(sample.rows), dtype=torch.float64))
            wholes.append(whole)
            sizes.append(min(validation_size(whole, sample.size, self.validation_fraction), self._max_validation_rows))
        parts = [self._hold_out(*part, rng) for part in zip(wholes, sizes, strict=True)]
        train, valid = (TensorPairs(x.rows, y.rows, x.weight, y.weight) for x, y in zip(*parts, strict=True))
        if not any(far_rows(*part).any() for part in zip(wholes, sizes, strict=True)):
            return train, valid, None
        # Also training rows: a validation row stands for ten, too many to see what becomes of a few.
        parts = [far_and_near(*part, MAX_COMPARED_ROWS, rng) for part in zip(wholes, sizes, strict=True)]
        (x, y), n_far = zip(*parts, strict=True)
        compared = TensorPairs(x.rows, y.rows, x.weight, y.weight).whole()
        return train, valid, start_check([whole.rows for whole in wholes], compared, n_far, coordinates)

    def _hold_out(self, sample, n_valid, rng):
        """Split a sample into training rows and validation rows."""
        if self.early_stopping:
            return hold_out(sample, n_valid, rng)
        if len(sample.rows) <= self._max_validation_rows:
            return sample, sample
        return hold_out(sample, self._max_validation_rows, rng, is_separate=False)

    def _run_stages(self, previous, train, valid, check, rng, device):
        """Train one net after the other; each takes over the state of the previous one."""
        # One copy for all stages: a callback that counts, such as a budget of time, counts over all of them.
        callbacks = started_callbacks(self.callbacks, type(self).__name__, JointNet)
        if previous is None:
            stages, architecture = self._stages(), self._architecture(self.coordinates_.n_axes)
        else:
            # The architecture of the net, which may have been pruned.
            stages, architecture = self._stages()[-1:], previous.get_params_for("module")
        for stage in stages:
            rows = train if stage.rows is None else stage.rows(train, rng)
            if rows is None:
                continue
            heard = [c for c in callbacks if isinstance(callback_of(c), TimeBudget) or not stage.is_preliminary]
            net = self._build_net(device, heard, stage, **architecture)
            if previous is not None:
                net.resume(previous)
            if not self._train(net, rows, valid, check, stage):
                break
            previous = net

    def _build_net(self, device, callbacks=(), stage=None, **architecture):
        """Build and initialise a net for a stage, by default the last one."""
        stage = stage or self._stages()[-1]
        return JointNet(
            self.MODULE,
            stage.objective,
            evaluation=stage.evaluation,
            stage=stage.name,
            remedy=stage.remedy,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            optimizer__betas=(0.9, 0.95),
            **self._net_parameters(device)
            | {"lr": stage.learning_rate, "max_iter": stage.max_iter, "callbacks": list(callbacks)},
            **{f"module__{name}": value for name, value in architecture.items()},
            **stage.net_params,
        ).initialize()

    def _train(self, net, train, valid, check, stage):
        """Train a net, store it with its history, and return whether another stage may follow."""
        net.set_params(train_split=predefined_split(valid), check=check)
        net.partial_fit(train)
        # Otherwise the net would keep the held-out rows in memory.
        net.set_params(train_split=None, check=None)
        self.net_, self.n_iter_ = net, net.n_iter_
        self.history_ = [{key: row[key] for key in HISTORY_KEYS if key in row} for row in net.history]
        if net.interrupted_:
            warn_user(f"Training was interrupted after {net.n_fitted_} steps; the best map so far is kept.")
        elif self.max_iter and net.finished_ and not net.converged_ and not stage.is_preliminary:
            warn_user(
                f"{type(self).__name__} stopped at max_iter={self.max_iter} steps (stage {stage.name!r}) before the "
                f"validation loss changed by less than tol={self.tol:g} for {self.n_iter_no_change} blocks of "
                f"{BLOCK_SIZE} steps. "
                f"Increase max_iter{', or continue with warm_start=True' if hasattr(self, 'warm_start') else ''}, or "
                "raise tol to accept the map.",
                ConvergenceWarning,
            )
        losses = [row["valid_loss"] for row in net.history if row["stage"] == stage.name]
        is_refused = min(losses, default=math.inf) < net.start_loss_ == net.best_loss_
        if is_refused and check is not None and not stage.is_preliminary:
            warn_user(
                "Some rows are far out. Every map with a better validation loss sends rows farther out than the map "
                "at the start, or is worse on the other rows, so the start is kept. Correct or clip these rows, or "
                "leave them out."
            )
        return not net.interrupted_

    @property
    def potentials_(self):
        """The fitted map as a frozen value, see `sklearn_ot.solvers.potentials`."""
        check_is_fitted(self)
        return Potentials(self.coordinates_, FrozenModule(self.net_.module_))

    def _transform(self, X):
        return self.potentials_.transport(X)

    def _module(self, inverse):
        return self.potentials_.to_torch(inverse)

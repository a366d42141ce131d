"""Base class of the nets of this package."""

import copy
import math
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochTimer
from skorch.utils import TeeGenerator
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets._callbacks import Progress, Schedule, is_raised
from sklearn_ot.nets._checkpoint import TrainingLog
from sklearn_ot.nets._device import limited_threads
from sklearn_ot.nets._listeners import check_callbacks
from sklearn_ot.nets._processes import check_alike, late_interrupt, tensors_in
from sklearn_ot.processes import ALONE

# The largest number of numbers in a network that may be built, if there is one.
_LARGEST = ContextVar("largest", default=None)


@contextmanager
def networks_of_at_most(n_numbers):
    """Run a block that builds networks of the package; one with more numbers is an error before it takes memory."""
    token = _LARGEST.set(n_numbers)
    try:
        yield
    finally:
        _LARGEST.reset(token)


class BlockNet(NeuralNet):
    """A net that trains in blocks of steps and whose state can be stored and loaded.

    An epoch is a block, and the history has one row for each block. Losses are read from the device once in a block
    instead of once in a step. The *iterations* of a net are steps, or rounds of several steps.

    A subclass overrides ``train_step`` if it needs more than one step down the gradient of ``criterion(module,
    *batch)``, and any of the hooks ``after_step``, ``summary``, ``faults``, ``step_factor`` and ``shown``. Networks and
    optimisers from its ``initialize_module`` and ``initialize_optimizer`` are part of its state. ``FACTS`` names all
    other attributes on which another fit depends, without their last underscore, and ``TRAINING`` those on which the
    next block of the same fit depends in addition.

    Several processes can train together, see `Processes`. Then an iteration is one of all processes.

    Every gradient step calls `backward` and `apply_gradients`. A subclass for mixed precision overrides only these two
    methods::

        def backward(self, loss):
            self.scaler_.scale(loss).backward()

        def apply_gradients(self, optimizer, module):
            self.scaler_.step(optimizer)
            self.scaler_.update()

    Parameters
    ----------
    module : nn.Module class
        The network.
    criterion : callable
        The objective, a function.
    max_iter : int
        Largest number of iterations in one fit.
    block_size : int
        Number of iterations in a block.
    remedy : str
        Advice in the message of a `DivergenceError`.
    processes : Processes, default=ALONE
        The processes that train together. ``batch_size`` is the number of rows in each of them.
    title : str, default=""
        Name of the training, for the progress bar and for messages; the name of the class if empty.
    **kwargs
        As in `skorch.NeuralNet`.

    Attributes
    ----------
    n_iter_ : int
        Number of iterations in all fits since the net was initialised.
    n_fitted_ : int
        Number of iterations in the last fit.
    ended_ : bool
        Whether a callback, such as `TimeBudget` or skorch's EarlyStopping, ended the last fit. It is True before the
        first fit, because a net that has not trained, such as one from a pickle, was not interrupted.
    """

    ITERATION = "step"
    FACTS = ("n_iter",)
    TRAINING = ()
    # Keys of each row of the history besides those of every net, whether there are always validation rows, and whether
    # all steps are one block.
    RECORDS = ()
    VALIDATES = IN_ONE_BLOCK = False

    def __init__(self, module, criterion, *, max_iter, block_size, remedy, processes=ALONE, title="", **kwargs):
        self.max_iter = max_iter
        self.remedy = remedy
        self.processes = processes
        self.title = title
        super().__init__(
            module,
            criterion,
            max_epochs=math.ceil(max_iter / block_size),
            iterator_train__processes=processes,
            # There are no predictions that could be kept for scores.
            **{"use_caching": False} | kwargs,
        )

    @property
    def _default_callbacks(self):
        return [("timer", EpochTimer()), ("progress", Progress()), ("schedule", Schedule())]

    @property
    def user_callbacks_(self):
        """The callbacks of the user, in the order in which they are called."""
        own = {name for name, _ in self._default_callbacks}
        return [callback for name, callback in self.callbacks_ if name not in own]

    @property
    def name_(self):
        """The name of the training."""
        return self.title or type(self).__name__

    @property
    def n_misses_(self):
        """Number of successive blocks without a gain; 0 if no quantity is monitored."""
        stop = dict(self.callbacks_).get("stop")
        return 0 if stop is None else stop.misses_

    @property
    def converged_(self):
        """Whether the last fit ended because there was no gain any more."""
        stop = dict(self.callbacks_).get("stop")
        return stop is not None and stop.misses_ >= stop.patience

    @property
    def finished_(self):
        """Whether the last fit converged or made ``max_iter`` iterations."""
        return self.n_fitted_ >= self.max_iter or self.converged_

    @property
    def interrupted_(self):
        """Whether the last fit was ended from the keyboard."""
        return not (self.finished_ or self.ended_)

    def initialized_instance(self, instance_or_cls, kwargs):
        """Build a network; a ValueError if it is larger than `networks_of_at_most` allows."""
        if _LARGEST.get() is not None:
            with torch.device("meta"):
                parts = super().initialized_instance(instance_or_cls, kwargs).state_dict().values()
            n_numbers = sum(part.numel() for part in parts)
            if n_numbers > _LARGEST.get():
                raise ValueError(f"a network has {n_numbers:.3g} numbers, and at most {_LARGEST.get()} can be stored")
        return super().initialized_instance(instance_or_cls, kwargs)

    def initialize_criterion(self):
        """Store the objective: a function needs no initialisation."""
        self.criterion_ = self.criterion
        return self

    def initialize_module(self):
        """Build the network and set the counts of iterations to 0."""
        self.n_iter_ = self.n_fitted_ = 0
        self.ended_ = True
        return super().initialize_module()

    def parts(self):
        """The state dicts of all networks and optimisers."""
        return {f"{name}_": getattr(self, f"{name}_").state_dict() for name in (*self._modules, *self._optimizers)}

    def load_parts(self, parts):
        """Load the state dicts of `parts`; step sizes and other settings of the optimisers do not change."""
        for name, part in parts.items():
            target = getattr(self, name)
            if "param_groups" in part:
                part = {**part, "param_groups": target.state_dict()["param_groups"]}
            target.load_state_dict(part)

    def state(self):
        """Everything on which the next step depends, as nested dicts of tensors and plain values."""
        return {"parts": self.parts(), "facts": {f"{name}_": getattr(self, f"{name}_") for name in self.FACTS}}

    def load_state(self, state):
        """Load the state of a net with the same architecture."""
        self.load_parts(state["parts"])
        for name, value in state["facts"].items():
            setattr(self, name, value.to(self.device) if torch.is_tensor(value) else value)

    def keep(self):
        """Keep a copy of the state, the count of iterations and the length of the history, for `go_back`."""
        kept = {"n_rows": len(self.history), "n_fitted": self.n_fitted_, **self.state()}
        self.kept_ = copy.deepcopy(kept)

    def go_back(self, *, undo):
        """Go back to the networks and optimisers of the last `keep`, and forget the copy.

        With ``undo`` all iterations since then are undone: the rest of the state, the counts and the history go back
        too. Without it the iterations still count.
        """
        if undo:
            self.load_state(self.kept_)
            self.n_fitted_ = self.kept_["n_fitted"]
            del self.history[self.kept_["n_rows"] :]
        else:
            self.load_parts(self.kept_["parts"])
        del self.kept_

    def resume(self, other):
        """Take over the state and the history of another net with the same architecture."""
        self.load_state(copy.deepcopy(other.state()))  # without the copy both would share tensors
        self.history_ = copy.deepcopy(other.history_)

    def partial_fit(self, X, y=None, **fit_params):
        """Train; a fit with a checkpoint goes on from it, see `sklearn_ot.checkpoints`."""
        self.log_ = TrainingLog(self)
        self.log_.run(partial(super().partial_fit, X, y, **fit_params))
        del self.log_
        return self

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Check the callbacks and that all processes start alike, and set the counts of this fit to 0."""
        validates = self.train_split is not None
        check_callbacks(self.user_callbacks_, self, title=self.name_, validates=validates)
        super().on_train_begin(net, X=X, y=y, **kwargs)
        settings = {"net": type(self).__name__, "n_iter": self.n_iter_}
        settings |= {name: getattr(self, name) for name in ("max_iter", "batch_size", "lr")}
        weights = [tensor for module in self._networks() for tensor in module.state_dict().values()]
        check_alike(self.processes, settings, tensors_in(X), tensors_in(weights))
        self.n_fitted_, self.n_blocks_, self.ended_ = 0, 0, False

    def on_epoch_begin(self, net, **kwargs):
        """Count the block."""
        super().on_epoch_begin(net, **kwargs)
        self.n_blocks_ += 1

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks, and note whether one of them ends the fit.

        Like the keyboard, a callback ends a fit by a KeyboardInterrupt. skorch expects none before the first epoch.
        """
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as interrupt:
            self.ended_ = is_raised(interrupt)
            if not (self.ended_ and method_name == "on_train_begin"):
                raise
        if method_name == "on_epoch_end":
            self.log_.end_block()

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train, unless a callback has ended the fit at its begin."""
        if self.ended_:
            return self
        self.log_.begin()
        epochs = self.max_epochs if epochs is None else epochs
        with late_interrupt(self.processes) as self.interrupts_:
            return super().fit_loop(X, y, epochs=epochs - self.log_.n_blocks, **fit_params)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run a block, record its summary, and raise an error if training has diverged."""
        if iterator is None:  # there is no validation
            return
        if training:
            self.log_.begin_epoch(iterator)
        measured = []
        width = math.isqrt(max(weight.numel() for _, weight in self.get_all_learnable_params()))
        with limited_threads(self.batch_size, width):
            for batch in iterator:
                # Callbacks expect two parts, X and y.
                pair = (*batch, None)[:2]
                self.notify("on_batch_begin", batch=pair, training=training)
                self.history.record_batch(f"{prefix}_batch_size", math.prod(batch[0].shape[:-1]))
                step = step_fn(batch, **fit_params)
                measured.append(step["measures"] if "measures" in step else step["loss"])
                if training:
                    self.after_step()
                self.notify("on_batch_end", batch=pair, training=training, **step)
        if training:
            # Buffers, such as means of a batch normalisation, depend on the rows of a process.
            self.processes.copy_first_([buffer for module in self._networks() for buffer in module.buffers()])
        summary = self.summary(prefix, self.processes.mean(torch.stack(measured)))
        for name, value in {**summary, f"{prefix}_batch_count": len(measured)}.items():
            self.history.record(name, value)
        self._guard(summary, training)
        if training and self.processes.any(bool(self.interrupts_)):
            raise KeyboardInterrupt

    def _guard(self, summary, training):
        faults = [f"{name} is {value}" for name, value in summary.items() if not math.isfinite(value)]
        # An evaluation changes no moments, and on CUDA each look at one waits for the device.
        if training and not self._has_finite_moments():
            faults.append("the square of a gradient is inf")
        if faults := faults + self.faults(summary):
            where = f"after {self.n_iter_} {self.ITERATION}s"
            raise DivergenceError(f"Training diverged {where}: {', '.join(faults)}. {self.remedy}")

    def _networks(self):
        return [getattr(self, f"{name}_") for name in self._modules]

    def _has_finite_moments(self):
        # Squares of gradients overflow long before losses do, and then the weights no longer change, without an error.
        states = [state for name in self._optimizers for state in getattr(self, f"{name}_").state.values()]
        moments = [moment for state in states for moment in state.values() if torch.is_tensor(moment)]
        return all(torch.isfinite(moment).all() for moment in moments)

    def train_step(self, batch, **fit_params):
        """Take one step down the gradient of the objective.

        The result may have a tensor ``measures`` of several numbers for `summary`, in addition to the loss.
        """
        self._set_training(True)
        loss = self.criterion_(self.module_, *batch)
        self.descend(self.optimizer_, self.module_, loss)
        return {"loss": loss.detach(), "y_pred": None}

    def descend(self, optimizer, module, loss):
        """Take one step of the optimiser of a network down the gradient of a loss."""
        optimizer.zero_grad()
        self.backward(loss)
        self.apply_gradients(optimizer, module)

    def backward(self, loss):
        """Add the gradient of a loss to those of the weights."""
        loss.backward()

    def apply_gradients(self, optimizer, module):
        """Let the optimiser of a network take a step with its gradients, averaged over all processes."""
        self.processes.average_([weight.grad for weight in module.parameters() if weight.grad is not None])
        self.notify("on_grad_computed", named_parameters=TeeGenerator(module.named_parameters()), training=True)
        optimizer.step()

    def after_step(self):
        """Hook after each training step (in a game, each round), before the callbacks: count an iteration."""
        self.count()

    def count(self):
        """Count an iteration."""
        self.n_iter_ += 1
        self.n_fitted_ += 1

    def summary(self, prefix, measured):
        """Hook: numbers of a block by their names, from the stacked measures of its steps; by default the mean loss."""
        return {f"{prefix}_loss": measured.mean().item()}

    def faults(self, summary):
        """Hook: further signs of divergence, as phrases, in the summary of a block."""
        return []

    def step_factor(self):
        """Hook: the factor by which `Schedule` multiplies all step sizes in the next step."""
        return 1.0

    def shown(self):
        """Hook: numbers of the last block by their names, for the progress bar."""
        row = self.history[-1]
        return {name: row[name] for name in ("train_loss", "valid_loss") if name in row}


def update_average(averaged, current, decay):
    """Move averages of tensors in place, by the fraction ``1 - decay`` of the way to the current tensors."""
    get_ema_multi_avg_fn(decay)(averaged, current, None)

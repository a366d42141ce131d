"""A skorch net that minimises one objective over all parameters of one module."""

import copy
import math

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochTimer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sklearn_ot.nets._callbacks import FiniteGuard, Progress, StepSize, StopWithoutGain
from sklearn_ot.nets._graph import RecordedStep
from sklearn_ot.nets._pairs import PairLoader, WholeLoader

BLOCK_SIZE = 100
AVERAGE_HORIZON = 500


class JointNet(NeuralNet):
    """Minimise ``criterion(module, x, y)`` over all parameters of the module, on batches of two samples.

    After each step ``module.project_()`` returns the weights to their constraints. What is kept in the end is an
    exponential average of the weights (of convex nets this is a convex net), as it was when the validation loss was
    lowest; the start takes part, so training never ends worse than it began. Weights that were exactly zero at that
    time, where a projection holds them, are zero in what is kept too, unless that raises the validation loss by more
    than a tenth of ``tol`` or above the start's. An epoch is a block of 100 steps, the history has one row per block,
    and training stops after ``n_iter_no_change`` blocks without a gain of ``tol``.

    Parameters
    ----------
    module : nn.Module class
        With a method ``project_``.
    criterion : callable
        ``criterion(module, x, y) -> loss``, a function of `sklearn_ot.objectives` with its parameters bound.
    evaluation : callable
        ``evaluation(module, x, y) -> loss``, computed without gradients on the validation sample.
    max_steps : int
        Steps at most in one fit.
    tol : float
        Smallest decrease of the validation loss that counts as one.
    n_iter_no_change : int
        Blocks without such a decrease until training stops.
    remedy : str
        What to advise when training diverges.
    stage : str, default="fit"
        What the rows of the history call this training.
    capturable : bool, default=True
        Whether the objective is a fixed sequence of kernels, none of whose results is looked at on the way. On a CUDA
        device it is then recorded as a CUDA graph, with its gradient.
    **kwargs
        As for `skorch.NeuralNet`; ``train_split`` must give a validation sample.

    Attributes
    ----------
    n_steps_ : int
        Steps taken in all fits since the net was initialised.
    """

    def __init__(
        self,
        module,
        criterion,
        *,
        evaluation,
        max_steps,
        tol,
        n_iter_no_change,
        remedy,
        stage="fit",
        capturable=True,
        **kwargs,
    ):
        self.evaluation = evaluation
        self.max_steps = max_steps
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.remedy = remedy
        self.stage = stage
        self.capturable = capturable
        super().__init__(
            module,
            criterion,
            iterator_train=PairLoader,
            iterator_train__n_batches=max_steps,
            iterator_train__block_size=BLOCK_SIZE,
            iterator_valid=WholeLoader,
            max_epochs=math.ceil(max_steps / BLOCK_SIZE),
            **kwargs,
        )

    @property
    def _default_callbacks(self):
        stop = StopWithoutGain(patience=self.n_iter_no_change, threshold=self.tol)
        return [
            ("timer", EpochTimer()),
            ("guard", FiniteGuard(self.remedy)),
            ("progress", Progress()),
            ("stop", stop),
            ("step size", StepSize()),
        ]

    @property
    def converged_(self):
        """Whether the last fit ended because the validation loss had stopped falling."""
        return self.n_misses_ >= self.n_iter_no_change

    @property
    def n_misses_(self):
        """Blocks in succession without a gain."""
        return dict(self.callbacks_)["stop"].misses_

    @property
    def interrupted_(self):
        """Whether the last fit was ended from outside: neither by convergence nor by ``max_steps``."""
        return self.n_averaged_ < self.max_steps and not self.converged_

    def initialize_criterion(self):
        """Take the objective as it is: a function has nothing to initialise."""
        self.criterion_ = self.criterion
        return self

    def initialize_module(self):
        """Build the module and start to count."""
        self.n_steps_ = 0
        return super().initialize_module()

    def resume(self, other):
        """Take over weights, optimiser state and history of another net of the same architecture."""
        self.module_.load_state_dict(other.module_.state_dict())
        # The state of the optimiser, but its settings as they are now.
        settings = self.optimizer_.state_dict()["param_groups"]
        state = copy.deepcopy(other.optimizer_.state_dict())  # else both would share its tensors
        self.optimizer_.load_state_dict({**state, "param_groups": settings})
        self.history_ = copy.deepcopy(other.history_)
        self.n_steps_ = other.n_steps_

    def train_step_single(self, batch, **fit_params):
        """One evaluation of the objective and its gradient."""
        self._set_training(True)
        if self.step_ is None:
            is_recorded = self.capturable and batch[0].is_cuda
            self.step_ = RecordedStep(self._step, list(self.module_.parameters()), batch) if is_recorded else self._step
        return {"loss": self.step_(batch), "y_pred": None}

    def _step(self, batch):
        loss = self.criterion_(self.module_, *batch)
        self.backward(loss)
        return loss.detach()

    def backward(self, loss):
        """Every backward pass goes through here, so that a subclass (mixed precision, several devices) can wrap it."""
        loss.backward()

    @torch.no_grad()
    def validation_step(self, batch, **fit_params):
        """The evaluation of the averaged module."""
        current = self._weights(copied=True)
        self._set_weights(self.average_)
        loss = self.evaluation(self.module_, *batch)
        self._set_weights(current)
        return {"loss": loss, "y_pred": None}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """As in skorch, but the losses leave the device once a block instead of once a batch."""
        losses = []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self.history.record(prefix + "_loss", torch.stack(losses).mean().item())
        self.history.record(prefix + "_batch_count", len(losses))

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the average, and take the start as the best so far."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.step_ = None
        self.average_ = self._weights(copied=True)
        self.n_averaged_ = 0
        self.best_loss_ = math.inf
        self.start_loss_ = self._validate(X)
        self._keep_if_best(self.start_loss_)

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Project, then average."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        if not training:
            return
        self.module_.project_()
        self.n_steps_ += 1
        # The horizon grows with the steps of this fit, so that the start is soon forgotten.
        self.n_averaged_ += 1
        decay = min(1 - 1 / AVERAGE_HORIZON, self.n_averaged_ / (self.n_averaged_ + 50))
        update = get_ema_multi_avg_fn(decay)
        update(self.average_, self._weights(), None)

    def on_epoch_end(self, net, **kwargs):
        """Keep the average if it is the best so far."""
        super().on_epoch_end(net, **kwargs)
        self.history.record("stage", self.stage)
        self.history.record("n_iter", self.n_steps_)
        self._keep_if_best(self.history[-1, "valid_loss"])

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Put the best weights into the module."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        if self.history and "valid_loss" not in self.history[-1]:  # interrupted within a block
            self.history.record("stage", self.stage)
            self.history.record("n_iter", self.n_steps_)
            self.history.record("valid_loss", self._validate(X))
            self._keep_if_best(self.history[-1, "valid_loss"])
        self._restore_zeros(X)
        self._set_weights(self.best_weights_)
        del self.step_, self.average_, self.best_weights_, self.best_zeros_

    def _restore_zeros(self, X):
        # An average over steps only comes near a zero that the last of them were held at.
        pairs = zip(self.best_weights_, self.best_zeros_, strict=True)
        self.average_ = [weight.masked_fill(zero, 0) for weight, zero in pairs]
        if all(map(torch.equal, self.average_, self.best_weights_)):
            return
        loss = self._validate(X)
        if loss <= min(self.best_loss_ + self.tol / 10, self.start_loss_):
            self.best_weights_, self.best_loss_ = self.average_, loss

    def _validate(self, X):
        _, valid = self.get_split_datasets(X)
        return self.validation_step((valid.x, valid.y))["loss"].item()

    def _keep_if_best(self, loss):
        if loss < self.best_loss_:
            self.best_loss_ = loss
            self.best_weights_ = [weight.clone() for weight in self.average_]
            self.best_zeros_ = [weight == 0 for weight in self._weights()]

    def _weights(self, copied=False):
        return [weight.detach().clone() if copied else weight.detach() for weight in self.module_.parameters()]

    @torch.no_grad()
    def _set_weights(self, weights):
        torch._foreach_copy_(list(self.module_.parameters()), weights)

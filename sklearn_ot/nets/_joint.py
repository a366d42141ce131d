"""A skorch net that minimises one objective over all parameters of one module."""

import math
from contextlib import contextmanager

import torch
from skorch.callbacks import ParamMapper

from sklearn_ot.nets._block import BlockNet, update_average
from sklearn_ot.nets._callbacks import StopAtPlateau, StopWithoutGain, TimeBudget
from sklearn_ot.nets._graph import RecordedStep
from sklearn_ot.nets._pairs import PairLoader, WholeLoader
from sklearn_ot.solvers.tensors import squared_error, weighted_mean

BLOCK_SIZE = 100
# Number of equal parts of the steps so far, of which the average is over about the last one.
AVERAGE_PARTS = 50
WARM_UP_STEPS = 100
DECAY_STEPS = 1500
# Part of the gain over the start that is not small.
SMALL_GAIN = 1e-3
# Factor of the step sizes after every third of the patience without a gain.
CUT = 0.3
# The smallest part of a step in a hidden weight.
SHORTEST = 0.1


class JointNet(BlockNet):
    """Minimise ``criterion(module, x, y)`` over all parameters of the module, on batches of two samples.

    After each step ``module.project_()`` projects the weights on their constraints. The net keeps an exponential
    average of the weights (the average of convex networks is convex), and takes the average with the lowest validation
    loss in the end. The start is one of the candidates, so training never ends worse than it began. Some weights are
    exactly zero when the average is taken, because a projection holds them. They are zero in the result too, unless
    this raises the validation loss by more than a tenth of ``tol``, or above that of the start. An iteration is a step,
    and a block has 100 steps. Training stops after ``n_iter_no_change`` blocks without a gain of ``tol``.

    The step size warms up and then decays slowly. A smaller step size reduces the noise of the weights: without
    ``cooling`` it is cut after every third of ``n_iter_no_change`` blocks without a gain. With ``cooling`` it falls to
    0 at the end of ``max_iter`` steps, of the time of a `TimeBudget`, or after a third of these blocks, when training
    stops; with ``losses_of_rows`` a block also has a gain as long as `still_gains`. Every fit has its own warm-up, also
    one that continues another.

    Weights that the module lists as ``hidden_weights`` must not be negative. Adam moves a weight by about the step
    size, however small its gradient is, and at 0 the weight is reflected. So noise alone lets small weights grow for as
    long as the training lasts, the faster the larger the step size is. From ``short_steps_from`` rows on, a weight w
    takes √w of the step of Adam, at least a tenth and at most the whole. This is the step of a parameter whose square
    is w, at half the step size, and leaves large weights free to grow.

    The net does not use `BlockNet.keep`: a candidate is an average of weights, which has no optimiser and no count of
    steps, and the zeros of the weights at that time belong to it.

    Parameters
    ----------
    module : nn.Module class
        The network, with a method ``project_``.
    criterion : callable
        ``criterion(module, x, y) -> loss``, a function of `sklearn_ot.objectives` with its parameters bound.
    evaluation : callable
        ``evaluation(module, x, y, x_weight, y_weight) -> loss``, computed without gradients on the validation sample.
        The weights of the rows have sum 1, or are None.
    tol : float
        Smallest decrease of the validation loss that counts as one.
    n_iter_no_change : int
        Number of blocks without such a decrease until training stops.
    stage : str, default="fit"
        Name of this training in the rows of the history.
    capturable : bool, default=True
        Whether the objective is a fixed sequence of kernels and reads none of their results. On a CUDA device it is
        then recorded as a CUDA graph, with its gradient.
    cooling : float, default=0.0
        Share of the steps, or of the time of a `TimeBudget`, in which the step size falls to 0 in the end. With 0 it is
        cut instead.
    losses_of_rows : callable, default=None
        ``losses_of_rows(module, x, y)`` returns the losses of the rows of each validation sample; the evaluation is the
        sum of their means.
    short_steps_from : int, default=None
        Number of rows of each sample from which hidden weights that are small take short steps; never with None.
    check : callable, default=None
        ``check(module) -> bool`` decides whether averaged weights may be kept, beside the start; all may be if None.
    **kwargs
        As in `BlockNet`; ``train_split`` must give a validation sample.

    Attributes
    ----------
    start_loss_, best_loss_ : float
        The validation loss at the start of the last fit, and the best one.
    """

    TRAINING = (
        *("cut", "row_losses", "is_cooling", "last", "average"),
        *("start_loss", "best_loss", "best_weights", "best_zeros"),
    )
    RECORDS = ("valid_batch_count", "stage", "n_iter")
    VALIDATES = True

    def __init__(
        self,
        module,
        criterion,
        *,
        evaluation,
        max_iter,
        tol,
        n_iter_no_change,
        stage="fit",
        capturable=True,
        cooling=0.0,
        losses_of_rows=None,
        short_steps_from=None,
        check=None,
        **kwargs,
    ):
        self.evaluation = evaluation
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.stage = stage
        self.capturable = capturable
        self.cooling = cooling
        self.losses_of_rows = losses_of_rows
        self.short_steps_from = short_steps_from
        self.check = check
        super().__init__(
            module,
            criterion,
            max_iter=max_iter,
            block_size=BLOCK_SIZE,
            iterator_train=PairLoader,
            iterator_train__n_batches=max_iter,
            iterator_train__block_size=BLOCK_SIZE,
            iterator_valid=WholeLoader,
            **kwargs,
        )

    @property
    def name_(self):
        """The name of the training, with the stage."""
        return f"{super().name_}, {self.stage}"

    @property
    def _default_callbacks(self):
        stop = StopAtPlateau if self.cooling else StopWithoutGain
        stop = stop("valid_loss", self.n_iter_no_change, self.tol, counts_start=True)
        return [*super()._default_callbacks, ("stop", stop)]

    def train_step(self, batch, **fit_params):
        """Compute the objective and its gradient, from a recording where that is possible, and take a step."""
        is_fixed = not any(isinstance(callback, ParamMapper) for callback in self.user_callbacks_)
        if not (self.capturable and batch[0].is_cuda and is_fixed):
            return super().train_step(batch, **fit_params)
        self._set_training(True)
        if self.recorded_ is None:
            self.recorded_ = RecordedStep(self._gradient, list(self.module_.parameters()), batch)
        loss = self.recorded_(batch)
        self.apply_gradients(self.optimizer_, self.module_)
        return {"loss": loss, "y_pred": None}

    def apply_gradients(self, optimizer, module):
        """Take a step, which may be shorter for hidden weights."""
        weights = [weight.detach() for weight in module.hidden_weights] if self.takes_short_ else []
        before = [weight.clone() for weight in weights]
        super().apply_gradients(optimizer, module)
        for weight, old in zip(weights, before, strict=True):
            torch.lerp(old, weight, old.sqrt().clamp(SHORTEST, 1), out=weight)

    def _gradient(self, batch):
        loss = self.criterion_(self.module_, *batch)
        self.backward(loss)
        return loss.detach()

    @torch.no_grad()
    def validation_step(self, batch, **fit_params):
        """Evaluate the averaged module."""
        with self._averaged():
            if self.losses_of_rows is None:
                loss = self.evaluation(self.module_, *batch)
            else:
                self.row_losses_.append(self.losses_of_rows(self.module_, *batch[:2]))
                loss = sum(map(weighted_mean, self.row_losses_[-1], batch[2:]))
        return {"loss": self.processes.mean(loss), "y_pred": None}

    def still_gains(self, dataset):
        """Whether the average is better than that at half as many steps, by more than a small part and than its error.

        The difference of the two is computed for each validation row, where most of the noise of the rows cancels.
        """
        if not self.row_losses_:
            return False
        n_blocks = len(self.row_losses_) - 1
        batch = dataset.whole()
        start, before, after = (self.row_losses_[i] for i in (0, n_blocks // 2, n_blocks))
        weights = batch[2:]
        differences = [b - a for b, a in zip(before, after, strict=True)]
        gain = sum(map(weighted_mean, differences, weights))
        whole = sum(weighted_mean(s - a, w) for s, a, w in zip(start, after, weights, strict=True))
        error = sum(map(squared_error, differences, weights)).sqrt()
        return bool(self.processes.first(bool(gain > torch.maximum(error, SMALL_GAIN * whole))))

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the average, and keep the start as the best result so far."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.recorded_, self.cut_ = None, 1.0
        n_rows = self.short_steps_from
        self.takes_short_ = n_rows is not None and min(len(rows) for rows, _ in X.samples) >= n_rows
        self.row_losses_, self.is_cooling_, self.last_ = [], False, self.max_iter
        self.average_ = self._weights(copied=True)
        self.best_loss_ = math.inf
        self.start_loss_ = self._validate(X)
        self._keep_if_best(self.start_loss_)

    def step_factor(self):
        """The warm-up, the decay, the cuts so far, and the fall to 0 in the last part of the fit."""
        step = self.n_fitted_
        factor = self.cut_ * min(1.0, (step + 1) / WARM_UP_STEPS) / (1 + step / DECAY_STEPS)
        return factor * min(1.0, max(0.0, 1 - self.spent()) / self.cooling) if self.cooling else factor

    def spent(self):
        """The share of the steps, or of the time of a `TimeBudget`, that this fit has used."""
        budgets = [callback.spent() for _, callback in self.callbacks_ if isinstance(callback, TimeBudget)]
        return max([self.n_fitted_ / self.last_, *budgets])

    def begin_to_cool(self, n_blocks):
        """Set the last step, so that the step size falls to 0 from now on, and in at least the last of some blocks."""
        n_steps = self.n_fitted_ * self.cooling / (1 - self.cooling)
        self.last_ = min(self.max_iter, self.n_fitted_ + max(round(n_steps), n_blocks * BLOCK_SIZE))
        self.is_cooling_ = True

    def on_epoch_begin(self, net, **kwargs):
        """Cut the step size if nothing has been gained for a third of the patience."""
        super().on_epoch_begin(net, **kwargs)
        if not self.cooling and self.n_misses_ and self.n_misses_ % math.ceil(self.n_iter_no_change / 3) == 0:
            self.cut_ *= CUT

    def after_step(self):
        """Project the weights, and average them."""
        self.module_.project_()
        super().after_step()
        # A part of the steps of this fit, so that the start is soon forgotten.
        update_average(self.average_, self._weights(), self.n_fitted_ / (self.n_fitted_ + AVERAGE_PARTS))

    def on_epoch_end(self, net, **kwargs):
        """Keep the average if it is the best so far."""
        super().on_epoch_end(net, **kwargs)
        self.history.record("stage", self.stage)
        self.history.record("n_iter", self.n_iter_)
        self.history.record("valid_loss_best", self._keep_if_best(self.history[-1, "valid_loss"]))

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Give the module the best weights."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        if self.history and "valid_loss" not in self.history[-1]:  # interrupted within a block
            self.history.record("stage", self.stage)
            self.history.record("n_iter", self.n_iter_)
            self.history.record("valid_loss", self._validate(X))
            self.history.record("valid_loss_best", self._keep_if_best(self.history[-1, "valid_loss"]))
        self._restore_zeros(X)
        self._set_weights(self.best_weights_)
        del self.recorded_, self.average_, self.row_losses_, self.best_weights_, self.best_zeros_

    def _restore_zeros(self, X):
        # An average over steps is only near zero, even if the weight is held at zero in the last steps.
        pairs = zip(self.best_weights_, self.best_zeros_, strict=True)
        self.average_ = [weight.masked_fill(zero, 0) for weight, zero in pairs]
        if all(map(torch.equal, self.average_, self.best_weights_)):
            return
        loss = self._validate(X)
        if loss <= min(self.best_loss_ + self.tol / 10, self.start_loss_) and self._passes():
            self.best_weights_, self.best_loss_ = self.average_, loss

    def _validate(self, X):
        _, valid = self.get_split_datasets(X)
        return self.validation_step(valid.whole())["loss"].item()

    def _passes(self):
        with self._averaged():
            return self.check is None or bool(self.processes.first(self.check(self.module_)))

    def _keep_if_best(self, loss):
        """Keep the average if it is the best so far and passes the check, and return whether it is kept."""
        is_start = math.isinf(self.best_loss_)
        is_kept = loss < self.best_loss_ and (is_start or self._passes())
        if is_kept:
            self.best_loss_ = loss
            self.best_weights_ = [weight.clone() for weight in self.average_]
            self.best_zeros_ = [weight == 0 for weight in self._weights()]
        return is_kept

    @contextmanager
    def _averaged(self):
        """Give the module the averaged weights for a while."""
        current = self._weights(copied=True)
        self._set_weights(self.average_)
        try:
            yield
        finally:
            self._set_weights(current)

    def _weights(self, copied=False):
        return [weight.detach().clone() if copied else weight.detach() for weight in self.module_.parameters()]

    @torch.no_grad()
    def _set_weights(self, weights):
        torch._foreach_copy_(list(self.module_.parameters()), weights)

"""Callbacks that every net of the package runs with."""

import math

import torch
from skorch.callbacks import Callback, EarlyStopping
from tqdm.auto import tqdm

from sklearn_ot.exceptions import DivergenceError


class FiniteGuard(Callback):
    """Stop with an error as soon as a loss or the optimiser is not finite; skorch itself would train on.

    Parameters
    ----------
    remedy : str
        What the error advises the user to change.
    """

    def __init__(self, remedy):
        self.remedy = remedy

    def on_epoch_end(self, net, **kwargs):
        """Check the losses and the state that the block has left."""
        row = net.history[-1]
        suspects = {name: row[name] for name in ("train_loss", "valid_loss") if not math.isfinite(row[name])}
        # Squares of gradients overflow long before the loss does; the weights then stand still without a word.
        moments = [moment for state in net.optimizer_.state.values() for moment in state.values()]
        if not all(torch.isfinite(moment).all() for moment in moments if torch.is_tensor(moment)):
            suspects["the square of a gradient"] = math.inf
        if suspects:
            what = ", ".join(f"{name} is {value}" for name, value in suspects.items())
            raise DivergenceError(f"Training diverged: {what} after {net.n_steps_} gradient steps. {self.remedy}")


class Progress(Callback):
    """A progress bar over the steps of the fit, when the net is verbose."""

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_steps, unit="step", disable=not net.verbose)

    def on_epoch_end(self, net, **kwargs):
        """Advance by one block and show its losses."""
        row = net.history[-1]
        self.bar_.set_postfix({name: f"{row[name]:.4g}" for name in ("train_loss", "valid_loss") if name in row})
        self.bar_.update(row["train_batch_count"])

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()
        del self.bar_


class StopWithoutGain(EarlyStopping):
    """skorch's EarlyStopping on ``valid_loss``, but the loss at the start is already one to beat."""

    def __init__(self, patience, threshold):
        super().__init__(patience=patience, threshold=threshold, threshold_mode="abs")

    def on_train_begin(self, net, **kwargs):
        """Start counting from the loss before the first step."""
        super().on_train_begin(net, **kwargs)
        self.dynamic_threshold_ = self._calc_new_threshold(net.best_loss_)

    def _sink(self, text, verbose):
        # A message would break the progress bar.
        pass


class StepSize(Callback):
    """The step size: a warm-up, a slow decay, and a cut after every third of the patience without a gain.

    The decay needs no horizon. The cuts make the noise of the last weights fall where it is what stands in the way of
    a gain. Every fit has its own warm-up, a resumed one too.
    """

    WARM_UP_STEPS = 100
    DECAY_STEPS = 1500
    CUT = 0.3

    def on_train_begin(self, net, **kwargs):
        """Begin with the step sizes of the optimiser."""
        self.base_ = [group["lr"] for group in net.optimizer_.param_groups]
        self.cut_ = 1.0

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the sizes of the next step."""
        if not training:
            return
        step = net.n_averaged_
        factor = self.cut_ * min(1.0, (step + 1) / self.WARM_UP_STEPS) / (1 + step / self.DECAY_STEPS)
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base * factor

    def on_epoch_end(self, net, **kwargs):
        """Cut them if nothing has been gained for a third of the patience."""
        if net.n_misses_ and net.n_misses_ % math.ceil(net.n_iter_no_change / 3) == 0:
            self.cut_ *= self.CUT

    def on_train_end(self, net, **kwargs):
        """Leave the sizes as they were."""
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base

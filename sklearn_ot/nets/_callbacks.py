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

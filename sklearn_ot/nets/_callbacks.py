"""Callbacks that every net of the package runs with."""

import math

from skorch.callbacks import Callback
from tqdm.auto import tqdm

from sklearn_ot.exceptions import DivergenceError


class FiniteGuard(Callback):
    """Stop with an error as soon as a loss is not finite; skorch itself would train on.

    Parameters
    ----------
    remedy : str
        What the error advises the user to change.
    """

    def __init__(self, remedy):
        self.remedy = remedy

    def on_epoch_end(self, net, **kwargs):
        """Check the losses of the block."""
        for name in ("train_loss", "valid_loss"):
            loss = net.history[-1].get(name, 0.0)
            if not math.isfinite(loss):
                raise DivergenceError(
                    f"Training diverged: {name} is {loss} after {net.n_steps_} gradient steps. {self.remedy}"
                )


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

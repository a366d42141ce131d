"""Callbacks of the nets of this package: step sizes, the progress bar, and the end of training."""

import dis
import math
import time
from contextlib import contextmanager
from numbers import Real

from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from tqdm.auto import tqdm

from sklearn_ot.plain import stored
from sklearn_ot.processes import ALONE


class Schedule(Callback):
    """Multiply the step sizes of all optimisers by ``net.step_factor()`` in each step, and restore them at the end.

    An LRScheduler of skorch replaces this factor. It moves the first optimiser only, and all others follow it here.
    Groups of parameters are addressed by their positions, because ``load_state_dict`` of an optimiser replaces them.
    """

    def on_train_begin(self, net, **kwargs):
        """Store the step sizes that the user has set."""
        self.base_ = [group["lr"] for group in self._groups(net)]
        self.is_replaced_ = any(isinstance(callback, LRScheduler) for _, callback in net.callbacks_)

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the step sizes of the next step."""
        if training:
            first = self._groups(net)[0]["lr"]
            self._scale(net, first / self.base_[0] if self.is_replaced_ else net.step_factor())

    def on_train_end(self, net, **kwargs):
        """Restore the step sizes."""
        self._scale(net, 1.0)

    @staticmethod
    def _groups(net):
        return [group for name in net._optimizers for group in getattr(net, f"{name}_").param_groups]

    def _scale(self, net, factor):
        for group, base in zip(self._groups(net), self.base_, strict=True):
            group["lr"] = base * factor


def progress_bar(title, total, unit, verbose, iterable=None):
    """A progress bar of tqdm.

    Parameters
    ----------
    title : str
        The estimator, and what it is at.
    total : int
        The number of units in the end.
    unit : str
        The word for one of them.
    verbose : int or bool
        Whether to show the bar.
    iterable : iterable, default=None
        What to go through; with None the caller updates the bar.

    Returns
    -------
    bar : tqdm
        The bar, which yields the items of ``iterable``.
    """
    return tqdm(iterable, desc=title, total=total, unit=unit, disable=not verbose)


@contextmanager
def shown_part(bar, title):
    """Show a title on a bar while a block of code runs, and advance the bar by one unit after it."""
    bar.set_description(title)
    yield
    bar.update()


class Progress(Callback):
    """Show a progress bar over the iterations of the fit if the net is verbose."""

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = progress_bar(net.name_, net.max_iter, net.ITERATION, net.verbose)

    def on_epoch_end(self, net, **kwargs):
        """Advance the bar to the iterations of the fit, and show numbers of the last block."""
        self.bar_.set_postfix({name: f"{value:.4g}" for name, value in net.shown().items()})
        self.bar_.update(net.n_fitted_ - self.bar_.n)

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()
        del self.bar_


class StopWithoutGain(EarlyStopping):
    """End training after some successive blocks without a gain, like skorch's EarlyStopping but without its message.

    Parameters
    ----------
    monitor : str
        Key of the history.
    patience : int
        Number of blocks.
    threshold : float
        Smallest difference that counts as a gain.
    lower_is_better : bool
        Whether a decrease is a gain.
    counts_start : bool
        Whether the first block must be better than the start, ``net.best_loss_``.
    """

    def __init__(self, monitor, patience, threshold, lower_is_better=True, counts_start=False):
        self.counts_start = counts_start
        super().__init__(monitor, patience, threshold, "abs", lower_is_better)

    def on_train_begin(self, net, **kwargs):
        """Start to count."""
        super().on_train_begin(net, **kwargs)
        if self.counts_start:
            self.dynamic_threshold_ = self._calc_new_threshold(net.best_loss_)

    def _sink(self, text, verbose):
        # A message would break the progress bar.
        pass


class StopAtPlateau(StopWithoutGain):
    """Let the step size of a `JointNet` fall to 0 as soon as it gains little, and end training then.

    A block has a gain if the best loss falls by the threshold, or if the average of the net is still better than the
    one at half as many steps. After a third of the patience without a gain the step size begins to fall, for the share
    ``net.cooling`` of all steps, or for the rest of the patience if that is longer. If no block had a gain, training
    ends after the whole patience.
    """

    def on_train_begin(self, net, **kwargs):
        """Start to count."""
        super().on_train_begin(net, **kwargs)
        self.gained_ = False

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        """Count the block, and end training if it was the last one."""
        if net.is_cooling_:
            if net.n_fitted_ >= net.last_:
                self.misses_ = self.patience
                raise KeyboardInterrupt
            return
        score = net.history[-1, self.monitor]
        if self._is_score_improved(score):
            self.dynamic_threshold_ = self._calc_new_threshold(score)
            self.misses_, self.gained_ = 0, True
        elif self.gained_ and net.still_gains(dataset_valid):
            self.misses_ = 0
        else:
            self.misses_ += 1
        if self.misses_ == self.patience:
            raise KeyboardInterrupt
        if self.gained_ and self.misses_ >= math.ceil(self.patience / 3):
            net.begin_to_cool(self.patience - self.misses_)


@stored
class TimeBudget(Callback):
    """End training after a number of seconds.

    The estimator keeps the same result as after an interruption from the keyboard, such as the best map so far or the
    result of the last whole round, but raises no warning. A step that has begun is finished first, and so is a solution
    of the transport problem in `SemiDiscreteOTGenerator`.

    The time begins when a fit begins to train, or to compute an exact plan to train on. Estimators clone their
    callbacks once in each ``fit``, so each fit has the whole budget, and all its stages share it.

    Parameters
    ----------
    seconds : float
        The budget, above 0.
    n_stages : int, default=1
        Number of trainings that follow each other in a fit. Each gets an equal part of the remaining time. Use 2 for
        `LSOTTransport`, whose first training could otherwise take all the time.
    clock : callable, default=time.monotonic
        Returns the time in seconds; `time.process_time` counts CPU time.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.nets import TimeBudget
    >>> from sklearn_ot.networks import Convex
    >>> from sklearn_ot.transport import W2Transport
    >>> rng = np.random.RandomState(0)
    >>> transport = W2Transport(network=Convex((16,)), callbacks=[TimeBudget(0.5)], random_state=0)
    >>> transport.fit(rng.randn(200, 2), rng.rand(200, 2)).n_iter_ > 0
    True
    """

    def __init__(self, seconds, n_stages=1, clock=time.monotonic):
        self.seconds = seconds
        self.n_stages = n_stages
        self.clock = clock

    def initialize(self):
        """Check the budget, and start the clock unless an earlier stage has started it."""
        if not isinstance(self.seconds, Real):
            raise TypeError(f"seconds must be a number, got {self.seconds!r}.")
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds must be a finite number above 0, got {self.seconds!r}.")
        if not hasattr(self, "end_"):
            self.end_, self.n_left_ = self.clock() + self.seconds, self.n_stages
        return self

    def on_train_begin(self, net, **kwargs):
        """Set the deadline of this stage."""
        self.processes_ = net.processes
        # All processes that train together follow the clock of the first one.
        self.begin_, end = net.processes.first(self.clock(), self.end_)
        self.now_ = self.begin_
        self.deadline_ = self.begin_ + (end - self.begin_) / max(self.n_left_, 1)
        self.n_left_ -= 1

    def state(self):
        """The times from now on, and the number of stages that are left."""
        now, times = self.clock(), ("end_", "begin_", "now_", "deadline_")
        return {"n_left_": self.n_left_, "times": {name: getattr(self, name) - now for name in times}}

    def load_state(self, state):
        """Set the clock so that as much time is left as at the time of `state`."""
        processes = getattr(self, "processes_", ALONE)  # there are none before the training
        now, self.n_left_ = processes.first(self.clock()), state["n_left_"]
        for name, time_left in state["times"].items():
            setattr(self, name, now + time_left)

    def spent(self):
        """The share of the time of this stage that was over after the last step, 1 if it has none."""
        whole = self.deadline_ - self.begin_
        return (self.now_ - self.begin_) / whole if whole > 0 else 1.0

    def on_batch_end(self, net, training=False, **kwargs):
        """End training if the time is over."""
        if training:
            self._end_if_over(net)

    def on_epoch_end(self, net, **kwargs):
        """End training if the time is over."""
        self._end_if_over(net)

    def _end_if_over(self, net):
        self.now_ = net.processes.first(self.clock())
        if self.now_ >= self.deadline_:
            raise KeyboardInterrupt


def budget_spent(net):
    """The share of the time of the `TimeBudget` callbacks of a net that was over after its last step; 0 without any."""
    return max((callback.spent() for _, callback in net.callbacks_ if isinstance(callback, TimeBudget)), default=0.0)


def is_raised(error):
    """Whether a statement ``raise`` has raised an error, and not a signal such as that of the keyboard."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]

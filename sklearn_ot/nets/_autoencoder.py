"""A skorch net that trains an autoencoder."""

import math

import torch
from skorch.helper import predefined_split

from sklearn_ot.nets._block import BlockNet
from sklearn_ot.nets._callbacks import StopWithoutGain
from sklearn_ot.nets._joint import BLOCK_SIZE
from sklearn_ot.nets._pairs import PairLoader, WholeLoader
from sklearn_ot.solvers.chunks import CHUNK_ROWS

# Part of the steps in which the step size rises, and the part of the largest step size at which it starts.
RISE, START = 0.3, 0.04
# Number of training rows whose codes are standardised before each evaluation.
STANDARDISED_ROWS = 2048


class AutoencoderNet(BlockNet):
    """Minimise ``criterion(module, x)`` over the networks of a `sklearn_ot.nn.StandardCode`.

    The step size rises and then falls to 0, each on half a cosine: the one-cycle policy of [Smith19]_. Another fit has
    its own cycle. In the end the codes of all rows, also of validation rows, are standardised.

    With validation rows, the net takes the networks with the lowest validation loss in the end, where the start is one
    of the candidates, and stops after ``n_iter_no_change`` blocks without a lower one.

    Parameters
    ----------
    module : nn.Module class
        `sklearn_ot.nn.StandardCode`.
    criterion : callable
        ``criterion(module, x, weight=None) -> loss``. The weights of validation rows have sum 1, or are None.
    max_iter : int
        Number of steps.
    n_iter_no_change : int
        Number of blocks of 100 steps.
    **kwargs
        As in `BlockNet`. The data are a `sklearn_ot.nets.TensorRows`.

    Attributes
    ----------
    best_loss_ : float
        The best validation loss.

    References
    ----------
    .. [Smith19] L. N. Smith, N. Topin, "Super-convergence: very fast training of neural networks using large learning
       rates", 2019.
    """

    TRAINING = ("best_loss",)
    RECORDS = ("n_iter",)

    def __init__(self, module, criterion, *, max_iter, n_iter_no_change, **kwargs):
        self.n_iter_no_change = n_iter_no_change
        super().__init__(
            module,
            criterion,
            max_iter=max_iter,
            block_size=BLOCK_SIZE,
            iterator_train=PairLoader,
            iterator_train__n_batches=max_iter,
            iterator_train__block_size=BLOCK_SIZE,
            iterator_valid=WholeLoader,
            train_split=None,
            **kwargs,
        )

    @property
    def _default_callbacks(self):
        stop = StopWithoutGain("valid_loss", self.n_iter_no_change, 0.0, counts_start=True)
        return [*super()._default_callbacks, *([("stop", stop)] if self.train_split else [])]

    def train_on(self, whole, train, valid=None):
        """Train on rows, choose the networks by validation rows if there are any, and standardise codes of all rows."""
        self.set_params(train_split=None if valid is None else predefined_split(valid))
        self.initialize_callbacks()
        self.partial_fit(train)
        # Otherwise the net would keep the validation rows in memory.
        self.set_params(train_split=None)
        self.standardise(whole)

    def step_factor(self):
        """The rise and the fall."""
        return one_cycle(self.n_fitted_ / self.max_iter)

    @torch.no_grad()
    def validation_step(self, batch, **fit_params):
        """Evaluate the networks."""
        self.standardise(self.some_rows_)
        return {"loss": self.processes.mean(self.criterion_(self.module_, *batch)), "y_pred": None}

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Evaluate the start."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.best_loss_ = math.inf
        if self.train_split:
            some = torch.randperm(len(X), device="cpu")[:STANDARDISED_ROWS]
            self.some_rows_ = type(X)(X.x[some.to(X.x.device)], None if X.weight is None else X.weight[some])
            valid = self.get_split_datasets(X)[1]
            self._keep_if_best(self.validation_step(valid.whole())["loss"].item())

    def on_epoch_end(self, net, **kwargs):
        """Record the number of steps, and keep the best networks."""
        super().on_epoch_end(net, **kwargs)
        self.history.record("n_iter", self.n_iter_)
        if self.train_split:
            self.history.record("valid_loss_best", self._keep_if_best(self.history[-1, "valid_loss"]))

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Go back to the best networks."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        if self.history and "n_iter" not in self.history[-1]:  # interrupted within a block
            del self.history[-1]
        if self.train_split:
            self.go_back(undo=False)
            del self.some_rows_

    def _keep_if_best(self, loss):
        is_best = loss < self.best_loss_
        if is_best:
            self.best_loss_ = loss
            self.keep()
        return is_best

    @torch.no_grad()
    def standardise(self, rows):
        """Standardise the codes of some rows, and leave the training mode."""
        self._set_training(False)
        codes = torch.cat([self.module_.network.encode(part) for part in rows.x.split(CHUNK_ROWS)])
        mass = torch.ones(len(codes), dtype=torch.float64, device="cpu") if rows.weight is None else rows.weight
        self.module_.standardise_(codes, mass / mass.sum())


def one_cycle(part):
    """The factor of the step size after a part of the steps: it rises to 1, and then falls to 0."""
    if part < RISE:
        return START + (1 - START) * _half_cosine(1 - part / RISE)
    return _half_cosine((part - RISE) / (1 - RISE))


def _half_cosine(t):
    """From 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * t)) / 2

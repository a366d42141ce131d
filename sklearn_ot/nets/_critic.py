"""A skorch net that maximises the dual of Wasserstein-1 with a penalty on steep slopes."""

import math

import torch

from sklearn_ot.nets._block import BlockNet, update_average
from sklearn_ot.nets._callbacks import budget_spent
from sklearn_ot.nets._joint import BLOCK_SIZE
from sklearn_ot.nets._pairs import PairLoader

WARM_UP_STEPS = 50
# Number of equal parts of the steps so far, of which the average is over about the last one.
AVERAGE_PARTS = 25
# Weight of the penalty at first and from this share of the steps on, in units of the distance.
REGS, GROWTH = (5.0, 50.0), 0.8
# Share of the running mean of the dual value that a step replaces, and its smallest value.
NEW_PART, LEAST_LEVEL = 0.02, 0.02


class CriticNet(BlockNet):
    r"""Maximise the dual value minus a growing penalty on slopes above 1, on batches of matched rows.

    .. math:: E\, u(x) - E\, u(y) - \lambda_k \hat W_k\, E \max(\|\nabla u\| - 1,\, 0)^2

    The weight grows from 5 to 50 times a running mean of the dual value. So the penalty is the same for samples that
    are near and far from each other. The step size falls to 0 as a cosine at the end of ``max_iter`` steps, or of the
    time of a `TimeBudget`. The result is an average of the weights over the last steps.

    The rows of the dataset, `TensorRows`, are pairs: the columns of x, then those of y. A block has 100 steps.

    Parameters
    ----------
    module : nn.Module class
        The potential, with a method ``gradient``.
    criterion : callable
        ``criterion(module, x, y) -> (dual, excess)``, such as `sklearn_ot.objectives.w1.dual_and_excess`.
    max_iter : int
        Number of steps.
    **kwargs
        As in `BlockNet`.
    """

    TRAINING = ("level", "average")
    RECORDS = ("dual_value", "excess", "n_iter")

    def __init__(self, module, criterion, *, max_iter, **kwargs):
        super().__init__(
            module,
            criterion,
            max_iter=max_iter,
            block_size=BLOCK_SIZE,
            iterator_train=PairLoader,
            iterator_train__n_batches=max_iter,
            iterator_train__block_size=BLOCK_SIZE,
            train_split=None,
            **kwargs,
        )

    @property
    def name_(self):
        """The name of the training, which is that of the potential."""
        return f"{super().name_}, potential"

    def spent(self):
        """The share of the steps, or of the time of a `TimeBudget`, that this fit has used."""
        return max(self.n_fitted_ / self.max_iter, budget_spent(self))

    def step_factor(self):
        """The warm-up and the fall."""
        fall = (1 + math.cos(math.pi * min(self.spent(), 1.0))) / 2
        return min(1.0, (self.n_fitted_ + 1) / WARM_UP_STEPS) * max(fall, 1e-3)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the averages."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.level_ = None
        self.average_ = [weight.detach().clone() for weight in self.module_.parameters()]

    def train_step(self, batch, **fit_params):
        """Take a step on one batch of pairs."""
        self._set_training(True)
        dual, excess = self.criterion_(self.module_, *batch[0].chunk(2, dim=1))
        # Of all processes, which then go on alike from a checkpoint.
        value = self.processes.mean(dual.detach())
        self.level_ = value if self.level_ is None else torch.lerp(self.level_, value, NEW_PART)
        reg = REGS[0] * (REGS[1] / REGS[0]) ** min(1.0, self.spent() / GROWTH)
        loss = reg * self.level_.clamp(min=LEAST_LEVEL) * excess - dual
        self.descend(self.optimizer_, self.module_, loss)
        return {"loss": value, "measures": torch.stack([loss.detach(), value, excess.detach()]), "y_pred": None}

    def after_step(self):
        """Average the weights."""
        super().after_step()
        update_average(self.average_, self._weights(), self.n_fitted_ / (self.n_fitted_ + AVERAGE_PARTS))

    def summary(self, prefix, measured):
        """The means of the loss, of the dual value and of the penalty."""
        return dict(zip((f"{prefix}_loss", "dual_value", "excess"), measured.mean(0).tolist(), strict=True))

    def shown(self):
        """The dual value."""
        return {"dual_value": self.history[-1, "dual_value"]}

    def on_epoch_end(self, net, **kwargs):
        """Count the steps."""
        super().on_epoch_end(net, **kwargs)
        self.history.record("n_iter", self.n_iter_)

    def on_train_end(self, net, **kwargs):
        """Give the module the averaged weights."""
        super().on_train_end(net, **kwargs)
        torch._foreach_copy_(self._weights(), self.average_)
        del self.average_, self.level_

    def _weights(self):
        return [weight.detach() for weight in self.module_.parameters()]

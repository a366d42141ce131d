"""A skorch net that fits a generator to points by rounds of semi-discrete transport and regression."""

import copy
import math
import time
import zlib
from dataclasses import replace

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer
from tqdm.auto import tqdm

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets._assigned import AssignedLoader
from sklearn_ot.nets._device import threads_worth_it
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.costs import read_cost
from sklearn_ot.solvers.semidiscrete import assign, assignment_cost, semidiscrete_dual
from sklearn_ot.solvers.sources import normal, pushforward

MAX_SOBOL_FEATURES = 8
PROBE_ROWS = 256
# What the random streams of a round are for.
SOLVE, DRAW, FIT = range(3)


class RoundStepSize(Callback):
    """Half a cosine from a full step to 0 in each round; full steps fall with the root of the number of rounds.

    A regression that ends with small steps is one that has converged. The decay over the rounds needs no horizon.
    """

    def on_train_begin(self, net, **kwargs):
        """Begin with the step sizes of the optimiser."""
        self.base_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_epoch_begin(self, net, **kwargs):
        """Count the steps of the round."""
        self.step_ = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        """Set the sizes of the next step."""
        factor = (1 + math.cos(math.pi * self.step_ / net.n_fit_steps)) / 2 / math.sqrt(1 + net.n_rounds_)
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base * factor
        self.step_ += 1

    def on_train_end(self, net, **kwargs):
        """Leave the sizes as they were."""
        for group, base in zip(net.optimizer_.param_groups, self.base_, strict=True):
            group["lr"] = base


class RoundProgress(Callback):
    """A progress bar over the rounds of the fit, when the net is verbose."""

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=net.max_epochs, unit="round", disable=not net.verbose)

    def on_epoch_end(self, net, **kwargs):
        """Advance by one round and show where it has come to."""
        row = net.history[-1]
        shown = {
            "distance": net.unit * row["distance"],
            "mass_error": row["mass_error"],
            "train_loss": row["train_loss"],
        }
        self.bar_.set_postfix({name: f"{value:.4g}" for name, value in shown.items()})
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()
        del self.bar_


class SemiDiscreteNet(NeuralNet):
    """Fit a generator by rounds of OTS and FIT: an epoch is a round, a batch a step of its FIT.

    A round regresses the generator on the points that are assigned to its noise, and then solves the semi-discrete
    problem between the law it now has and the points, for the assignment of the next. The step size falls to 0 in each
    round. All randomness of a round comes from the seed and its number: training in pieces is training
    in one go, bit for bit. A round that does not end has not been.

    Where the regression has brought samples a part t of their way, the optimal potential of a cost of power p is
    :math:`(1 - t)^{p - 1}` times what it was (displacement interpolation, [McCann97]_). There the search for it starts.

    Parameters
    ----------
    module : nn.Module class
        The generator, with a parameter ``latent_dim``.
    criterion : callable
        ``criterion(module, noise, points, weight) -> loss``.
    cost : str or float
        The cost, as for `semidiscrete_dual`.
    tol : float
        Error of the cell masses at which a solution is good enough.
    max_samples : int or None
        Samples of the generator at most for a solution, see `semidiscrete_dual`.
    n_fit_samples : int
        Rows of noise that are drawn and assigned in each round.
    n_fit_steps : int
        Steps of the regression in each round.
    rebalance : float
        Power of the ratio of a point's weight to the share of noise assigned to it, by which this noise is weighted.
    seed : int
        Seeds the rounds.
    remedy : str
        What to advise when training diverges.
    unit : float, default=1.0
        Length of a unit of the net in the data, for the distance in the progress bar.
    **kwargs
        As for `skorch.NeuralNet`; ``max_epochs`` is the number of rounds.

    Attributes
    ----------
    n_rounds_ : int
        Rounds in all fits since the net was initialised.
    potential_ : Tensor of shape (n,) or None
        The potential at the points that belongs to the generator as it is.
    digest_ : int
        `AssignedNoise.digest` of these points.

    References
    ----------
    .. [McCann97] R. J. McCann, "A convexity principle for interacting gases", Advances in Mathematics, 1997.
    """

    def __init__(
        self,
        module,
        criterion,
        *,
        cost,
        tol,
        max_samples,
        n_fit_samples,
        n_fit_steps,
        rebalance,
        seed,
        remedy,
        unit=1.0,
        **kwargs,
    ):
        self.cost = cost
        self.tol = tol
        self.max_samples = max_samples
        self.n_fit_samples = n_fit_samples
        self.n_fit_steps = n_fit_steps
        self.rebalance = rebalance
        self.seed = seed
        self.remedy = remedy
        self.unit = unit
        super().__init__(
            module,
            criterion,
            iterator_train=AssignedLoader,
            iterator_train__n_batches=n_fit_steps,
            train_split=None,
            **kwargs,
        )

    @property
    def _default_callbacks(self):
        return [("timer", EpochTimer()), ("step size", RoundStepSize()), ("progress", RoundProgress())]

    @property
    def interrupted_(self):
        """Whether the last fit was ended from outside."""
        return self.n_fitted_ < self.max_epochs

    def initialize_criterion(self):
        """Take the objective as it is: a function has nothing to initialise."""
        self.criterion_ = self.criterion
        return self

    def initialize_module(self):
        """Build the generator and start to count."""
        self.n_rounds_ = 0
        self.potential_ = self.digest_ = None
        return super().initialize_module()

    def resume(self, other):
        """Take over weights, optimiser state, potential and history of another net of the same architecture."""
        self.module_.load_state_dict(other.module_.state_dict())
        # The state of the optimiser, but its settings as they are now.
        settings = self.optimizer_.state_dict()["param_groups"]
        state = copy.deepcopy(other.optimizer_.state_dict())  # else both would share its tensors
        self.optimizer_.load_state_dict({**state, "param_groups": settings})
        self.history_ = copy.deepcopy(other.history_)
        self.n_rounds_, self.potential_, self.digest_ = other.n_rounds_, other.potential_, other.digest_

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Assign noise to the points; if they are new this takes a solution, which is a row of its own."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.n_fitted_ = 0
        # A potential is one of its points, their weights and its cost.
        digest = zlib.crc32(repr(self.cost).encode(), X.digest())
        if self.digest_ != digest:
            start = time.time()
            self.digest_ = digest
            self.history.new_epoch()
            self._solve(X, start=None)
            self.history.record("dur", time.time() - start)
        else:
            self._assign(X)
        self._keep()

    def on_epoch_begin(self, net, **kwargs):
        """Begin a round."""
        super().on_epoch_begin(net, **kwargs)
        torch.manual_seed(self._seed(FIT))

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """FIT; the losses leave the device once a round instead of once a batch."""
        if iterator is None:  # there is no validation
            return
        losses = []
        width = math.isqrt(max(weight.numel() for weight in self.module_.parameters()))
        with threads_worth_it(self.batch_size, width):
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                losses.append(step["loss"])
                self.notify("on_batch_end", batch=batch, training=training, **step)
        # The last tenth: what is left at the end.
        loss = torch.stack(losses[-math.ceil(len(losses) / 10) :]).mean().item()
        self.history.record(prefix + "_loss", loss)
        self.history.record(prefix + "_batch_count", len(losses))
        if not math.isfinite(loss):
            raise DivergenceError(f"Training diverged: the loss is {loss} in round {self.n_rounds_ + 1}. {self.remedy}")

    def train_step_single(self, batch, **fit_params):
        """One evaluation of the objective and its gradient."""
        self._set_training(True)
        loss = self.criterion_(self.module_, *batch)
        self.backward(loss)
        return {"loss": loss.detach(), "y_pred": None}

    def backward(self, loss):
        """Every backward pass goes through here, so that a subclass (mixed precision, several devices) can wrap it."""
        loss.backward()

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """OTS, which ends the round."""
        super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
        self.n_rounds_ += 1
        # Neither is above 1, but for noise.
        left = min(1.0, self.history[-1, "train_loss"] / max(self.mean_square_, 1e-30))
        self._solve(dataset_train, start=self.potential_ * left ** ((read_cost(self.cost).power - 1) / 2))
        self.n_fitted_ += 1
        self._keep()

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Go back to the end of the last round if there was an interruption in the middle of one."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        n_rows, self.n_rounds_, self.potential_, weights, optimizer = self.kept_
        del self.history[n_rows:]
        self.module_.load_state_dict(weights)
        self.optimizer_.load_state_dict(optimizer)
        del self.kept_

    def _keep(self):
        states = (copy.deepcopy(part.state_dict()) for part in (self.module_, self.optimizer_))
        self.kept_ = (len(self.history), self.n_rounds_, self.potential_, *states)

    @torch.no_grad()
    def _solve(self, dataset, start):
        source = self._source()
        if not torch.isfinite(source.sample(PROBE_ROWS)).all():
            raise DivergenceError(f"Samples are not finite after {self.n_rounds_} rounds of training. {self.remedy}")
        solution = semidiscrete_dual(
            source,
            dataset.points,
            dataset.weights,
            cost=self.cost,
            tol=self.tol,
            max_samples=self.max_samples,
            start=start,
        )
        self.potential_ = solution.potential
        self.history.record("n_iter", self.n_rounds_)
        self.history.record("distance", self._assign(dataset))
        self.history.record("mass_error", solution.mass_error)
        self.history.record("n_empty", solution.n_empty)

    def _source(self):
        """The distribution of the generator; only a space of few dimensions is filled evenly by a Sobol sequence."""
        latent_dim = self.get_params_for("module")["latent_dim"]
        generator, seed = self._generator(SOLVE), self._seed(SOLVE)
        source = pushforward(normal(latent_dim, device=self.device, generator=generator, seed=seed), self.generate)
        return source if latent_dim <= MAX_SOBOL_FEATURES else replace(source, quasi_sample=None)

    @torch.no_grad()
    def _assign(self, dataset):
        """Draw noise, assign points to it, and return the distance from the generator to what is assigned to it."""
        noise = self.draw_noise(self.n_fit_samples, self._generator(DRAW))
        index, costs, squares = [], [], []
        for chunk in noise.split(CHUNK_ROWS):
            rows = self.generate(chunk)
            index.append(assign(rows, dataset.points, self.potential_, self.cost))
            costs.append(assignment_cost(rows, dataset.points, index[-1], self.cost))
            squares.append(assignment_cost(rows, dataset.points, index[-1]))
        index = torch.cat(index)
        shares = torch.bincount(index, minlength=len(dataset)) / len(index)
        weights = (dataset.weights / shares)[index] ** self.rebalance
        dataset.noise, dataset.index, dataset.noise_weights = noise, index, (weights / weights.mean()).float()
        self.mean_square_ = torch.cat(squares).mean().item()
        # Not the dual value, which is the same in the end: its noise is that of the potential, far above a small cost.
        return torch.cat(costs).double().mean().item() ** (1 / read_cost(self.cost).power)

    @torch.no_grad()
    def generate(self, noise):
        """Rows of noise, piece by piece."""
        self._set_training(False)
        return torch.cat([self.module_(chunk) for chunk in noise.split(CHUNK_ROWS)])

    def draw_noise(self, n_samples, generator):
        """Normal noise, on the device of the net."""
        latent_dim = self.get_params_for("module")["latent_dim"]
        return torch.randn(n_samples, latent_dim, generator=generator, device=self.device)

    def _seed(self, stage):
        return int(np.random.SeedSequence((self.seed, self.n_rounds_, stage)).generate_state(1)[0])

    def _generator(self, stage):
        return torch.Generator(self.device).manual_seed(self._seed(stage))

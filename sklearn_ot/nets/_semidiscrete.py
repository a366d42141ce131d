"""A skorch net that fits a generator to points by rounds of semi-discrete transport and regression."""

import math
import time
import zlib
from dataclasses import replace

import numpy as np
import torch

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets._assigned import AssignedLoader
from sklearn_ot.nets._block import BlockNet
from sklearn_ot.nets._device import set_seed
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.costs import read_cost
from sklearn_ot.solvers.semidiscrete import assign, assignment_cost, semidiscrete_dual
from sklearn_ot.solvers.sources import normal, pushforward

MAX_SOBOL_FEATURES = 8
PROBE_ROWS = 256
# Number of differences at which two costs are compared.
N_DIFFERENCES = 8
# The streams of random numbers of a round.
SOLVE, DRAW, FIT = range(3)


class SemiDiscreteNet(BlockNet):
    """Fit a generator by rounds of regression (FIT) and semi-discrete transport (OTS).

    FIT regresses the generator on the points that are assigned to its noise. OTS then solves the semi-discrete problem
    between the new distribution of the generator and the points, which gives the assignment of the next round. An
    iteration, and a block, is a round; a batch is a step of FIT. In each round the step size falls to 0 on half a
    cosine, because a regression converges with small steps. Round r starts with a step size that is divided by √r,
    which does not depend on the number of rounds. All random numbers of a round depend only on the seed and the number
    of the round, so that training in parts gives the same result as one long training, bit for bit. An interrupted
    round is undone.

    If the regression has moved the samples by a fraction t of their way, the optimal potential of a cost of power p is
    :math:`(1 - t)^{p - 1}` times the previous one (displacement interpolation, [McCann97]_). OTS starts at this
    potential.

    Parameters
    ----------
    module : nn.Module class
        The generator, with a parameter ``latent_dim``.
    criterion : callable
        ``criterion(module, noise, points, weight) -> loss``.
    cost : str or float
        The cost, as for `semidiscrete_dual`.
    tol : float
        Error of the masses of the cells at which OTS ends.
    max_samples : int or None
        Largest number of samples of the generator for OTS, see `semidiscrete_dual`.
    n_fit_samples : int
        Rows of noise that are drawn and assigned in each round.
    n_fit_steps : int
        Steps of the regression in each round.
    rebalance : float
        The weight of noise is a power of the ratio of its point's weight to the share of noise assigned to the point;
        this is the exponent.
    seed : int
        Seed of the rounds.
    unit : float, default=1.0
        Length of a unit of the net in units of the data, for the distance in the progress bar.
    **kwargs
        As in `BlockNet`.

    Attributes
    ----------
    potential_ : Tensor of shape (n,) or None
        The potential at the points for the current generator.
    digest_ : int
        `AssignedNoise.digest` of the points and the cost.

    References
    ----------
    .. [McCann97] R. J. McCann, "A convexity principle for interacting gases", Advances in Mathematics, 1997.
    """

    ITERATION = "round"
    FACTS = ("n_iter", "potential", "digest")
    RECORDS = ("n_iter", "distance", "mass_error", "n_empty")

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
        self.unit = unit
        super().__init__(
            module,
            criterion,
            block_size=1,
            iterator_train=AssignedLoader,
            iterator_train__n_batches=n_fit_steps,
            train_split=None,
            **kwargs,
        )

    def initialize_module(self):
        """Build the generator, which has no potential yet."""
        self.potential_ = self.digest_ = None
        return super().initialize_module()

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Assign noise to the points; for new points this needs OTS, which gets its own row of the history."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        # A potential belongs to points with their weights, and to a cost.
        digest = zlib.crc32(self._cost_numbers(X.points), X.digest())
        if self.digest_ != digest:
            start = time.time()
            self.digest_ = digest
            self.history.new_epoch()
            self._solve(X, start=None)
            self.history.record("dur", time.time() - start)
        else:
            self._assign(X)
        self.keep()

    def _cost_numbers(self, points):
        """The power of the cost and its values at a few differences, which another process computes again."""
        cost, n_features = read_cost(self.cost), points.shape[1]
        numbers = torch.linspace(-1, 2, N_DIFFERENCES * n_features, dtype=points.dtype, device=points.device)
        values = cost.value(numbers.view(N_DIFFERENCES, n_features)).detach().cpu().numpy()
        return np.append(values.astype(np.float64), cost.power)

    def on_epoch_begin(self, net, **kwargs):
        """Begin a round."""
        super().on_epoch_begin(net, **kwargs)
        set_seed(self._seed(FIT), self.device)
        self.step_ = 0

    def step_factor(self):
        """The factor of the step size: half a cosine in each round, and a decay over the rounds."""
        return (1 + math.cos(math.pi * self.step_ / self.n_fit_steps)) / 2 / math.sqrt(1 + self.n_iter_)

    def after_step(self):
        """Count a step of the round; the round is counted when it ends."""
        self.step_ += 1

    def summary(self, prefix, measured):
        """The mean loss of the last tenth of the steps, as the loss at the end of the round."""
        return super().summary(prefix, measured[-math.ceil(len(measured) / 10) :])

    def shown(self):
        """The distance, in units of the data, and the errors of OTS and FIT."""
        row = self.history[-1]
        return {"distance": self.unit * row["distance"], **{key: row[key] for key in ("mass_error", "train_loss")}}

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        """Run OTS, which ends the round."""
        super().on_epoch_end(net, dataset_train=dataset_train, **kwargs)
        self.count()
        # The ratio is above 1 only by noise.
        left = min(1.0, self.history[-1, "train_loss"] / max(self.mean_square_, 1e-30))
        self._solve(dataset_train, start=self.potential_ * left ** ((read_cost(self.cost).power - 1) / 2))
        self.keep()

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Go back to the end of the last round if a round was interrupted."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        self.go_back(undo=True)

    @torch.no_grad()
    def _solve(self, dataset, start):
        source = self._source()
        if not torch.isfinite(source.sample(PROBE_ROWS)).all():
            raise DivergenceError(f"Samples are not finite after {self.n_iter_} rounds of training. {self.remedy}")
        solution = semidiscrete_dual(
            source,
            dataset.points,
            dataset.weights,
            cost=self.cost,
            tol=self.tol,
            max_samples=self.max_samples,
            start=start,
        )
        self.potential_ = solution.potential.contiguous()
        self.processes.copy_first_([self.potential_])
        self.history.record("n_iter", self.n_iter_)
        self.history.record("distance", self._assign(dataset))
        self.history.record("mass_error", solution.mass_error)
        self.history.record("n_empty", solution.n_empty)

    def _source(self):
        """The distribution of the generator; it has quasi-random rows only with few columns of noise."""
        latent_dim = self.get_params_for("module")["latent_dim"]
        generator, seed = self._generator(SOLVE), self._seed(SOLVE)
        source = pushforward(normal(latent_dim, device=self.device, generator=generator, seed=seed), self.generate)
        return source if latent_dim <= MAX_SOBOL_FEATURES else replace(source, quasi_sample=None)

    @torch.no_grad()
    def _assign(self, dataset):
        """Draw noise, assign it to the points, and return the distance between its samples and their points."""
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
        # The dual value estimates the same distance, but the noise of its potential is far above a small cost.
        return torch.cat(costs).double().mean().item() ** (1 / read_cost(self.cost).power)

    @torch.no_grad()
    def generate(self, noise):
        """Map noise to rows, in chunks."""
        self._set_training(False)
        return torch.cat([self.module_(chunk) for chunk in noise.split(CHUNK_ROWS)])

    def draw_noise(self, n_samples, generator):
        """Draw normal noise on the device of the net."""
        latent_dim = self.get_params_for("module")["latent_dim"]
        return torch.randn(n_samples, latent_dim, generator=generator, device=self.device)

    def _seed(self, stage):
        return int(np.random.SeedSequence((self.seed, self.n_iter_, stage)).generate_state(1)[0])

    def _generator(self, stage):
        return torch.Generator(self.device).manual_seed(self._seed(stage))

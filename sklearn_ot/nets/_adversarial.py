"""A skorch net in which a critic and a generator play against each other."""

import copy
import math

import torch

from sklearn_ot.nets._block import BlockNet, update_average
from sklearn_ot.nets._callbacks import StopWithoutGain
from sklearn_ot.nets._device import random_stream, set_random_stream
from sklearn_ot.nets._rounds import BLOCK_ROUNDS, RoundLoader, halves
from sklearn_ot.nn import LabelledCritic, with_labels
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.sources import even_noise

# Number of equal parts of the training, of which the average is over about the last one.
AVERAGE_PARTS = 8
DECAY_ROUNDS = 2000
# Size of samples, in units in which the data have size 1, from which a generator does not come back.
LARGEST_SAMPLES = 100.0
GAME_MEASURES = ("critic_loss", "generator_loss", "critic_gradient", "generator_gradient", "sample_size")


class AdversarialNet(BlockNet):
    """Play a game between a critic and a generator.

    An iteration is a *round*: some steps of the critic, each on data and samples of its own, then one step of the
    generator. A block has 100 rounds. Results are samples of ``average_``, an exponential average of the generator's
    weights over about the last eighth of all rounds: a game circles around its solution, and the average lies nearer to
    the solution. Step sizes fall as 1/√(1 + round / 2000), a rule that does not depend on ``max_iter``.

    The state includes the random stream, so that training in parts gives the same result as one long training, bit for
    bit.

    Parameters
    ----------
    module : nn.Module class
        The generator, from noise of shape (n, latent_dim) to rows of shape (n, d). The last columns of the noise are
        the one-hot labels, if the data have any.
    criterion : Game
        The losses.
    critic : nn.Module class
        The critic; its arguments are those named ``critic__*``.
    evaluation : callable
        ``evaluation(net) -> float``, the score of the net, where higher is better. It is called before the first round
        and after each block; ``net.generate(noise)`` gives samples of ``average_``.
    n_critic : int
        Steps of the critic in a round.
    parametrise : callable or None
        ``parametrise(critic)`` changes the critic in place when it is built.
    project : callable or None
        ``project(critic)`` changes the weights of the critic in place after each of its steps.
    instance_noise : float
        Standard deviation of normal noise that is added to data and samples before they are inputs of the critic. It
        falls like the square of the step size.
    early_stopping : bool
        Whether to take the networks with the best score in the end, where the start is one of the candidates, and to
        stop after ``n_iter_no_change`` blocks in which the score has not risen by ``tol``.
    tol, n_iter_no_change : float and int
        See ``early_stopping``.
    **kwargs
        As in `BlockNet`. Both networks have the same ``optimizer``; arguments of that of the critic are named
        ``critic_optimizer__*``.

    Attributes
    ----------
    critic_ : nn.Module
        The critic.
    average_ : nn.Module
        The generator with averaged weights.
    start_score_ : float
        The score of the untrained generator.
    random_ : dict
        The state of the random stream after the last fit.
    """

    ITERATION = "round"
    FACTS = ("n_iter", "random", "start_score")
    TRAINING = ("best_score",)
    RECORDS = (*GAME_MEASURES, "n_iter", "score", "score_best")

    def __init__(
        self,
        module,
        criterion,
        *,
        critic,
        evaluation,
        n_critic,
        max_iter,
        parametrise,
        project,
        instance_noise,
        early_stopping,
        tol,
        n_iter_no_change,
        **kwargs,
    ):
        self.critic = critic
        self.evaluation = evaluation
        self.n_critic = n_critic
        self.parametrise = parametrise
        self.project = project
        self.instance_noise = instance_noise
        self.early_stopping = early_stopping
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        super().__init__(
            module,
            criterion,
            max_iter=max_iter,
            block_size=BLOCK_ROUNDS,
            iterator_train=RoundLoader,
            iterator_train__n_batches=n_critic + 1,
            iterator_train__n_rounds=max_iter,
            train_split=None,
            **kwargs,
        )

    @property
    def _default_callbacks(self):
        stop = StopWithoutGain("score", self.n_iter_no_change, self.tol, lower_is_better=False)
        return [*super()._default_callbacks, *([("stop", stop)] if self.early_stopping else [])]

    @property
    def score_(self):
        """The score of the generator in the end; nan if no block has been finished."""
        if self.early_stopping:
            return self.best_score_
        return self.history[-1, "score"] if self.history else math.nan

    def initialize_module(self):
        """Build both networks and the average."""
        self.random_, self.start_score_ = None, math.nan
        super().initialize_module()
        self.average_ = copy.deepcopy(self.module_).requires_grad_(False)
        self.critic_ = self.initialized_instance(self.critic, self.get_params_for("critic"))
        if self.parametrise is not None:
            self.parametrise(self.critic_)
        return self

    def initialize_optimizer(self):
        """Build an optimiser for each network."""
        for name, module in (("optimizer", self.module_), ("critic_optimizer", self.critic_)):
            args, kwargs = self.get_params_for_optimizer(name, module.named_parameters())
            setattr(self, f"{name}_", self.optimizer(*args, **{"lr": self.lr, **kwargs}))
        return self

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Continue the random stream of the last fit, and score the start."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        if self.random_ is not None:
            set_random_stream(self.random_, self.device)
        self.latent_dim_ = self.get_params_for("module")["latent_dim"] - X.labels.shape[1]
        self.averaged_ = [_floats(self.average_), _floats(self.module_)]
        score = self.processes.first(self.evaluation(self))
        if not self.n_iter_:
            self.start_score_ = score
        self.best_score_ = -math.inf if math.isnan(score) else score
        if self.early_stopping:
            self.keep()

    def train_step(self, batch, **fit_params):
        """Play a round."""
        self._set_training(True)
        rows, labels = batch
        n_critic, batch_size, n_features = self.n_critic, *rows.shape[1:]
        noise = self._draw_noise(n_critic + 1, batch_size, labels)
        with torch.no_grad():
            fakes = self.module_(noise[:-1].flatten(0, 1)).view(n_critic, batch_size, n_features)
        for i in range(n_critic):
            loss = self.criterion_.critic_loss(*self._critic_inputs(i, rows[i], fakes[i], labels))
            self.descend(self.critic_optimizer_, self.critic_, loss)
            if self.project is not None:
                with torch.no_grad():
                    self.project(self.critic_)
        critic_gradient = _gradient_norm(self.critic_optimizer_)
        # Otherwise the backward pass of the generator's loss would also compute the gradient of the critic.
        trained = [weight for weight in self.critic_.parameters() if weight.requires_grad]
        self.critic_.requires_grad_(False)
        fake = self.module_(noise[-1])
        generator_loss = self.criterion_.generator_loss(*self._critic_inputs(-1, rows[-1], fake, labels))
        self.descend(self.optimizer_, self.module_, generator_loss)
        for weight in trained:  # a callback may have frozen the others
            weight.requires_grad_(True)
        size = fake.detach().square().mean().sqrt()
        losses = loss.detach(), generator_loss.detach()
        measures = torch.stack([*losses, critic_gradient, _gradient_norm(self.optimizer_), size])
        return {"loss": losses[0], "measures": measures, "y_pred": None}

    def after_step(self):
        """Average the generator."""
        super().after_step()
        # The weights of the rounds grow with their 7th power, so the start is forgotten after any number of rounds.
        update_average(*self.averaged_, (1 - 1 / self.n_iter_) ** AVERAGE_PARTS)

    def step_factor(self):
        """The factor of the step sizes, which decays with the rounds."""
        return 1 / math.sqrt(1 + self.n_iter_ / DECAY_ROUNDS)

    def summary(self, prefix, measured):
        """The means of all measures."""
        means = dict(zip(GAME_MEASURES, measured.mean(0).tolist(), strict=True))
        return {**means, f"{prefix}_loss": means["critic_loss"]}

    def shown(self):
        """The score of the samples, and the losses of both networks."""
        row = self.history[-1]
        return {name: row[name] for name in ("score", "critic_loss", "generator_loss")}

    def faults(self, summary):
        """Find samples far beyond the data, or a generator without a gradient.

        Large or growing gradients are no fault: a steep critic has them while samples come nearer to the data.
        """
        faults = []
        if summary["sample_size"] > LARGEST_SAMPLES:
            faults.append(f"samples are {summary['sample_size']:.0f} times as large as the data")
        # A gradient of exactly 0 lasts: all units are off, or far out in a flat part of their activations. A generator
        # that never had a gradient has no weights to train.
        if summary["generator_gradient"] == 0 and any(self.history[:, "generator_gradient"]):
            faults.append("the generator has no gradient any more")
        return faults

    def on_epoch_end(self, net, **kwargs):
        """Score the samples, and keep the best generator."""
        super().on_epoch_end(net, **kwargs)
        self.history.record("n_iter", self.n_iter_)
        score = self.processes.first(self.evaluation(self))
        self.history.record("score", score)
        is_best = score > self.best_score_
        self.history.record("score_best", is_best)
        if is_best:
            self.best_score_ = score
        if is_best and self.early_stopping:
            self.keep()

    def on_train_end(self, net, **kwargs):
        """Store the random stream, and with early stopping go back to the best networks."""
        super().on_train_end(net, **kwargs)
        if self.history and "score" not in self.history[-1]:  # interrupted within a block
            del self.history[-1]
        self.random_ = random_stream(self.device)
        if self.early_stopping:
            self.go_back(undo=False)
        del self.averaged_

    def _draw_noise(self, n_batches, batch_size, labels):
        """Noise of shape (n_batches, batch_size, latent_dim), with the labels in its last columns."""
        sizes = [self.processes.count * size for size in halves(batch_size)]
        parts = [even_noise(n_batches, size, self.latent_dim_, self.device) for size in sizes]
        return with_labels(torch.cat([self.processes.own(part, dim=1) for part in parts], dim=1), labels)

    @torch.no_grad()
    def generate(self, noise):
        """Map noise to samples of the average, in chunks."""
        self._set_training(False)
        return torch.cat([self.average_(chunk) for chunk in noise.split(CHUNK_ROWS)])

    def _critic_inputs(self, i, real, fake, labels):
        """The critic, and its inputs (data and samples) in step i of a round."""
        if self.instance_noise:
            std = self.instance_noise * self.step_factor() ** 2
            real, fake = (rows + std * self._normal_like(rows) for rows in (real, fake))
        return LabelledCritic(self.critic_, labels[i]), real, fake

    def _normal_like(self, rows):
        joint = rows.new_empty(self.processes.count * len(rows), *rows.shape[1:])
        return self.processes.own(torch.randn_like(joint))


def _gradient_norm(optimizer):
    """The norm of the gradient of the last step of an optimiser."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    norms = torch._foreach_norm([weight.grad for weight in weights if weight.grad is not None])
    return torch.linalg.vector_norm(torch.stack(norms))


def _floats(module):
    """The parameters and buffers of a module that can be averaged."""
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]

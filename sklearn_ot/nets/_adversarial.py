"""A skorch net in which a critic and a generator play against each other."""

import copy
import math

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets._callbacks import Progress
from sklearn_ot.nets._device import threads_worth_it
from sklearn_ot.nets._rounds import BLOCK_ROUNDS, RoundLoader, halves
from sklearn_ot.nn import LabelledCritic, normalise_spectra_
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.sources import even_noise

# The average forgets all but the last of so many equal parts of the training.
AVERAGE_PARTS = 8
DECAY_ROUNDS = 2000
# Size of the samples, in units in which the data have size 1, at which the generator has left them for good.
LARGEST_SAMPLES = 100.0
GAME_MEASURES = ("critic_loss", "generator_loss", "critic_gradient", "generator_gradient", "sample_size")


class DivergenceGuard(Callback):
    """Stop with an error if anything is not finite, samples are far beyond the data, or the generator is stuck.

    Large gradients, or growing ones, are no reason: those of a steep critic are, while samples come nearer to the data.

    Parameters
    ----------
    remedy : str
        What the error advises the user to change.
    """

    def __init__(self, remedy):
        self.remedy = remedy

    def on_epoch_end(self, net, **kwargs):
        """Check the measures of the block, and what it has left in the optimisers."""
        row = net.history[-1]
        what = [f"{name} is {row[name]}" for name in GAME_MEASURES if not math.isfinite(row[name])]
        # Squares of gradients overflow long before the losses do; the weights then stand still without a word.
        moments = [m for o in (net.optimizer_, net.critic_optimizer_) for s in o.state.values() for m in s.values()]
        if not all(torch.isfinite(moment).all() for moment in moments if torch.is_tensor(moment)):
            what.append("the square of a gradient is inf")
        if row["sample_size"] > LARGEST_SAMPLES:
            what.append(f"samples are {row['sample_size']:.0f} times as large as the data")
        # Exactly: units that are all off, or far out in a flat part of their activations, and will remain so. A
        # generator that never had one is not to be trained.
        if row["generator_gradient"] == 0 and any(net.history[:, "generator_gradient"]):
            what.append("the generator has no gradient any more")
        if what:
            raise DivergenceError(f"Training diverged after {net.n_rounds_} rounds: {', '.join(what)}. {self.remedy}")


class StepSizeDecay(Callback):
    """Step sizes that fall as 1/√(1 + round / 2000), which needs no horizon: so training can always go on."""

    def on_train_begin(self, net, **kwargs):
        """Begin with the step sizes of the optimisers."""
        groups = [*net.optimizer_.param_groups, *net.critic_optimizer_.param_groups]
        self.base_ = [(group, group["lr"]) for group in groups]

    def on_batch_begin(self, net, **kwargs):
        """Set the sizes of the next round."""
        for group, base in self.base_:
            group["lr"] = base * net.decay_

    def on_train_end(self, net, **kwargs):
        """Leave the sizes as they were."""
        for group, base in self.base_:
            group["lr"] = base


class StopWithoutGain(EarlyStopping):
    """skorch's EarlyStopping on the score of samples."""

    def __init__(self, patience, threshold):
        super().__init__("score", patience=patience, threshold=threshold, threshold_mode="abs", lower_is_better=False)

    def _sink(self, text, verbose):
        # A message would break the progress bar.
        pass


class AdversarialNet(NeuralNet):
    """Play a game between a critic and a generator.

    A batch is a *round*: some steps of the critic, each on data and samples of its own, then one of the generator. An
    epoch is a block of 100 rounds, and the history has one row per block. Samples to keep come from an exponential
    average of the generator's weights over about the last eighth of all rounds, ``average_``: a game circles around
    its solution, and the average lies nearer to it.

    Going on with the state of another net, its random stream included (`resume`), is training in one go, bit for bit.

    Parameters
    ----------
    module : nn.Module class
        The generator: rows of shape (n, d) from noise of shape (n, latent_dim); with labels, one-hot in the columns of
        the noise that come last.
    criterion : Game
        The losses.
    critic : nn.Module class
        The critic; its arguments are those named ``critic__*``.
    evaluation : callable
        ``evaluation(generate) -> float``, higher is better; ``generate(n_rows)`` makes samples to keep.
    n_critic : int
        Steps of the critic in a round.
    max_rounds : int
        Rounds at most in one fit.
    clip : float or None
        Largest absolute value of a weight of the critic.
    spectral_norm : bool
        Whether the weight matrices of the critic are divided by their norms.
    instance_noise : float
        Standard deviation of normal noise that is added to data and samples before the critic sees them. It falls
        as the square of the step size does.
    early_stopping : bool
        Whether to go back to where the score was best, the start included, and to stop after ``n_iter_no_change``
        blocks without a better one by ``tol``.
    tol, n_iter_no_change : float and int
        See ``early_stopping``.
    remedy : str
        What to advise when training diverges.
    **kwargs
        As for `skorch.NeuralNet`; ``optimizer`` serves both, ``critic_optimizer__lr`` etc. are the critic's own.

    Attributes
    ----------
    critic_ : nn.Module
        The critic.
    average_ : nn.Module
        The generator with averaged weights.
    n_rounds_ : int
        Rounds in all fits since the net was initialised.
    start_score_ : float
        The score of the untrained generator.
    random_ : dict
        The random stream as the last fit left it.
    """

    PARTS = ("module_", "critic_", "average_", "optimizer_", "critic_optimizer_")

    def __init__(
        self,
        module,
        criterion,
        *,
        critic,
        evaluation,
        n_critic,
        max_rounds,
        clip,
        spectral_norm,
        instance_noise,
        early_stopping,
        tol,
        n_iter_no_change,
        remedy,
        **kwargs,
    ):
        self.critic = critic
        self.evaluation = evaluation
        self.n_critic = n_critic
        self.max_rounds = max_rounds
        self.clip = clip
        self.spectral_norm = spectral_norm
        self.instance_noise = instance_noise
        self.early_stopping = early_stopping
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.remedy = remedy
        super().__init__(
            module,
            criterion,
            iterator_train=RoundLoader,
            iterator_train__n_batches=n_critic + 1,
            iterator_train__n_rounds=max_rounds,
            max_epochs=math.ceil(max_rounds / BLOCK_ROUNDS),
            train_split=None,
            **kwargs,
        )

    @property
    def _default_callbacks(self):
        callbacks = [
            ("timer", EpochTimer()),
            ("guard", DivergenceGuard(self.remedy)),
            ("progress", Progress()),
            ("step size", StepSizeDecay()),
        ]
        if self.early_stopping:
            callbacks.append(("stop", StopWithoutGain(self.n_iter_no_change, self.tol)))
        return callbacks

    @property
    def max_steps(self):
        """Rounds at most, for the progress bar."""
        return self.max_rounds

    @property
    def decay_(self):
        """The part of the step size that is left."""
        return 1 / math.sqrt(1 + self.n_rounds_ / DECAY_ROUNDS)

    @property
    def stopped_(self):
        """Whether the last fit ended because the score had stopped rising."""
        return self.early_stopping and dict(self.callbacks_)["stop"].misses_ >= self.n_iter_no_change

    @property
    def score_(self):
        """The score of the generator that was kept; nan if no block has been finished."""
        if self.early_stopping:
            return self.best_score_
        return self.history[-1, "score"] if self.history else math.nan

    @property
    def interrupted_(self):
        """Whether the last fit was ended from outside."""
        return self.n_fitted_ < self.max_rounds and not self.stopped_

    def initialize_criterion(self):
        """Take the game as it is: functions have nothing to initialise."""
        self.criterion_ = self.criterion
        return self

    def initialize_module(self):
        """Build both networks and start to count."""
        self.n_rounds_ = 0
        super().initialize_module()
        self.average_ = copy.deepcopy(self.module_).requires_grad_(False)
        self.critic_ = self.initialized_instance(self.critic, self.get_params_for("critic"))
        if self.spectral_norm:
            normalise_spectra_(self.critic_)
        return self

    def initialize_optimizer(self):
        """Build an optimiser for each of them."""
        for name, module in (("optimizer", self.module_), ("critic_optimizer", self.critic_)):
            args, kwargs = self.get_params_for_optimizer(name, module.named_parameters())
            setattr(self, f"{name}_", self.optimizer(*args, **{"lr": self.lr, **kwargs}))
        return self

    def resume(self, other):
        """Take over weights, optimiser states, random stream and history of another net of the same architecture."""
        state = copy.deepcopy(other.state())  # else both would share its tensors
        # The states of the optimisers, but their settings as they are now.
        for name in ("optimizer_", "critic_optimizer_"):
            state[name]["param_groups"] = getattr(self, name).state_dict()["param_groups"]
        self.load_state(state)
        self.history_ = copy.deepcopy(other.history_)

    def state(self):
        """All that the next round depends on."""
        state = {name: getattr(self, name).state_dict() for name in self.PARTS}
        return {**state, "n_rounds": self.n_rounds_, "random": self.random_, "start_score": self.start_score_}

    def load_state(self, state):
        """Go to such a state."""
        self.n_rounds_, self.random_, self.start_score_ = state["n_rounds"], state["random"], state["start_score"]
        self._load_parts(state)

    def _load_parts(self, state):
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Go on with the random stream of the last fit if there was one."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.n_fitted_ = 0
        if self.n_rounds_:
            torch.set_rng_state(self.random_["cpu"])
            if "cuda" in self.random_ and self.device.type == "cuda":
                torch.cuda.set_rng_state(self.random_["cuda"], self.device)
        self.latent_dim_ = self.get_params_for("module")["latent_dim"] - (0 if X.labels is None else X.labels.shape[1])
        self.weights_ = {name: list(getattr(self, name).parameters()) for name in ("module_", "critic_")}
        self.averaged_ = [_floats(self.average_), _floats(self.module_)]
        score = self.evaluation(self)
        if not self.n_rounds_:
            self.start_score_ = score
        self.best_score_ = -math.inf if math.isnan(score) else score
        if self.early_stopping:
            self._keep()

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """A block of rounds; what is measured leaves the device once a block."""
        if iterator is None:  # there is no validation
            return
        measures = []
        width = math.isqrt(max(weight.numel() for weight in self.weights_["critic_"]))
        with threads_worth_it(self.batch_size, width):
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                measures.append(step["measures"])
                self.n_rounds_ += 1
                self.n_fitted_ += 1
                self._update_average()
                self.notify("on_batch_end", batch=batch, training=training, **step)
        for name, value in zip(GAME_MEASURES, torch.stack(measures).mean(0).tolist(), strict=True):
            self.history.record(name, value)
        self.history.record("train_loss", self.history[-1, "critic_loss"])
        self.history.record("train_batch_count", len(measures))

    def train_step(self, batch, **fit_params):
        """A round."""
        self._set_training(True)
        rows, labels = batch
        n_critic, batch_size, n_features = self.n_critic, *rows.shape[1:]
        noise = self._draw_noise(n_critic + 1, batch_size, labels)
        with torch.no_grad():
            fakes = self.module_(noise[:-1].flatten(0, 1)).view(n_critic, batch_size, n_features)
        for i in range(n_critic):
            loss = self.criterion_.critic_loss(*self._shown(i, rows[i], fakes[i], labels))
            critic_gradient = self._descend(self.critic_optimizer_, loss, self.weights_["critic_"])
            if self.clip is not None:
                with torch.no_grad():
                    for weight in self.weights_["critic_"]:
                        weight.clamp_(-self.clip, self.clip)
        # Else the gradient of the generator would compute that of the critic as well.
        self.critic_.requires_grad_(False)
        fake = self.module_(noise[-1])
        generator_loss = self.criterion_.generator_loss(*self._shown(-1, rows[-1], fake, labels))
        generator_gradient = self._descend(self.optimizer_, generator_loss, self.weights_["module_"])
        self.critic_.requires_grad_(True)
        size = fake.detach().square().mean().sqrt()
        measures = (loss.detach(), generator_loss.detach(), critic_gradient, generator_gradient, size)
        return {"loss": measures[0], "measures": torch.stack(measures), "y_pred": None}

    def backward(self, loss):
        """Every backward pass goes through here, so that a subclass (mixed precision, several devices) can wrap it."""
        loss.backward()

    def on_epoch_end(self, net, **kwargs):
        """Score the samples, and keep the best generator."""
        super().on_epoch_end(net, **kwargs)
        self.history.record("n_iter", self.n_rounds_)
        score = self.evaluation(self)
        self.history.record("score", score)
        if self.early_stopping and score > self.best_score_:
            self.best_score_ = score
            self._keep()

    def _keep(self):
        # All parts: a critic of later rounds would judge another generator, and another fit goes on from here.
        self.best_ = copy.deepcopy({name: getattr(self, name).state_dict() for name in self.PARTS})

    def on_train_end(self, net, **kwargs):
        """Leave the random stream, and the best generator if it was looked for."""
        super().on_train_end(net, **kwargs)
        if self.history and "score" not in self.history[-1]:  # interrupted within a block
            del self.history[-1]
        self.random_ = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            self.random_["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.early_stopping:
            self._load_parts(self.best_)
            del self.best_
        del self.weights_, self.averaged_

    def _draw_noise(self, n_batches, batch_size, labels):
        """Noise of shape (n_batches, batch_size, latent_dim), with the labels in its last columns."""
        parts = [even_noise(n_batches, size, self.latent_dim_, self.device) for size in halves(batch_size)]
        noise = torch.cat(parts, dim=1)
        return noise if labels is None else torch.cat([noise, labels], dim=-1)

    @torch.no_grad()
    def generate(self, noise):
        """Samples to keep, piece by piece."""
        self._set_training(False)
        return torch.cat([self.average_(chunk) for chunk in noise.split(CHUNK_ROWS)])

    def _shown(self, i, real, fake, labels):
        """The critic and what it is shown in step i of a round."""
        if self.instance_noise:
            std = self.instance_noise * self.decay_**2
            real, fake = (rows + std * torch.randn_like(rows) for rows in (real, fake))
        return LabelledCritic(self.critic_, None if labels is None else labels[i]), real, fake

    def _descend(self, optimizer, loss, weights):
        """A step of an optimiser; the norm of the gradient."""
        optimizer.zero_grad()
        self.backward(loss)
        norms = torch._foreach_norm([weight.grad for weight in weights if weight.grad is not None])
        optimizer.step()
        return torch.linalg.vector_norm(torch.stack(norms))

    def _update_average(self):
        # Weights in proportion to the 7th power of the time: nothing is left of the start, whatever the horizon.
        decay = (1 - 1 / self.n_rounds_) ** AVERAGE_PARTS
        averaged, current = self.averaged_
        get_ema_multi_avg_fn(decay)(averaged, current, None)


def _floats(module):
    """Parameters and buffers that can be averaged."""
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]

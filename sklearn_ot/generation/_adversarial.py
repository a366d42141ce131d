"""What the generators share that play against a critic."""

import inspect
import textwrap
from abc import abstractmethod
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from sklearn_ot.base import FLOAT_DTYPES, MAX_REFERENCE_ROWS, warn_user
from sklearn_ot.checks import check_weight
from sklearn_ot.generation._neural import NeuralGenerator
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.nets import (
    GAME_MEASURES,
    AdversarialNet,
    LabelledRows,
    resolve_device,
    torch_seed,
)
from sklearn_ot.nn import DCGANCritic, MLPCritic
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.sources import even_noise

CRITICS = {"mlp": MLPCritic, "dcgan": DCGANCritic}
# Samples and held-out rows that a block of training is scored on.
SCORED_ROWS = 2048
WITNESS_ROWS = 1024
# How much larger than at the start the squared distance of samples from the data may be, and from which round on: it
# may well rise first.
WORSE_THAN_START, AFTER_ROUNDS = 1.5, 500

PARAMETERS = """\
n_critic : int, default={n_critic}
    Steps of the critic in a round, before the one of the generator.
learning_rate : float, default={learning_rate}
    Step size of Adam, for both networks, in the first rounds; it falls as 1 / √(1 + round / 2000).
generator : {{"mlp", "dcgan"}} or nn.Module class, default="mlp"
    The network: `sklearn_ot.nn.MLPGenerator`; `sklearn_ot.nn.DCGANGenerator` for rows that are flattened images of 28,
    32 or 64 pixels; or a class that is called with ``latent_dim``, ``n_features`` and ``generator_params``, and maps
    noise of shape (n, latent_dim) to rows of shape (n, n_features). With classes, ``latent_dim`` includes theirs: the
    last columns of the noise are then the one-hot label.
critic : {{"mlp", "dcgan"}} or nn.Module class, default="mlp"
    The network that judges: `sklearn_ot.nn.MLPCritic`, `sklearn_ot.nn.DCGANCritic`, or a class that is called with
    ``n_features``, ``n_classes`` (0 without), ``n_outputs`` (None for a scalar) and ``critic_params``, and maps rows
    of shape (n, n_features + n_classes) to shape (n,) or (n, n_outputs).
latent_dim : int or "auto", default="auto"
    Dimension of the noise, which is normal. "auto" is the number of features, and at most 100.
hidden_layer_sizes : array-like of int, default=(128, 128, 128)
    Widths of the hidden layers of "mlp", in both networks.
activation : {{"relu", "silu", "celu", "softplus"}}, default="relu"
    Activation of the hidden layers of "mlp", in both networks.
output_activation : {{"auto", "identity", "tanh"}}, default="auto"
    With "identity", data are centred and divided by the root of their mean variance. With "tanh", for images, they are
    brought from their range to −1 to 1, and no sample leaves the range. "auto" is "tanh" for a "dcgan" generator, else
    "identity". A class of your own applies it itself.
generator_params, critic_params : dict, default=None
    Further arguments of the networks, such as ``{{"n_channels": 32}}`` for "dcgan" or ``{{"activation": "silu"}}``. In
    `set_params` and searches, ``generator__n_channels`` and the like stand for single ones.
instance_noise : float, default=0
    Standard deviation of normal noise that is added to data and samples before the critic sees them, in units in which
    the data are of size 1; it falls as 1 / (1 + round / 2000). Laws that noise makes overlap can be compared by any
    critic.
batch_size : int, default={batch_size}
    Rows of data, and samples, in a step.
max_iter : int, default={max_iter}
    Rounds, i.e. steps of the generator, at most.
early_stopping : bool, default=False
    Whether to hold out rows, go back to the networks whose samples came nearest to them (``score`` in ``history_``;
    never a loss of the game), and stop when ``n_iter_no_change`` blocks in succession have not come nearer. With
    classes a row of each is trained on.
validation_fraction : float, default=0.1
    Part of the rows to hold out, with early stopping.
n_iter_no_change : int, default=20
    Blocks of 100 rounds without a gain until training stops, with early stopping.
tol : float, default=0
    Least rise of the score that counts as a gain, in the squared units of the data.
warm_start : bool, default=False
    Whether another call of ``fit`` adds ``max_iter`` rounds to those there have been, also in an estimator that was
    pickled. With the same rows and parameters, and without early stopping, the result is that of one longer fit, bit
    for bit. The units of the data stay.
device : str or torch.device, default="auto"
    Where to train: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
callbacks : list of skorch callbacks, default=None
    Further callbacks of the net, for which an epoch is a block of 100 rounds; they are cloned. The step sizes are set
    anew in each round, whatever a scheduler among them does. To go on after a break, fit in pieces with ``warm_start``
    and pickle the estimator.
random_state : int, RandomState instance or None, default=None
    Seeds initial weights, noise and batches. None is a fresh seed each time; the global states of numpy and torch are
    neither read nor changed.
verbose : int, default=0
    Whether to show a progress bar."""

ATTRIBUTES = """\
classes_ : ndarray of shape (n_classes,)
    The labels, if ``fit`` was given any.
class_prior_ : ndarray of shape (n_classes,)
    Their shares of the training rows.
n_iter_ : int
    Rounds; with ``warm_start``, in all fits.
history_ : list of dict
    One row for each block of 100 rounds: ``n_iter``, rounds so far; ``dur``, seconds; ``critic_loss`` and
    ``generator_loss``; ``critic_gradient`` and ``generator_gradient``, the norms of their gradients; ``sample_size``,
    the root mean square of a feature of the samples, in units in which that of the data is 1; and ``score``, minus the
    squared sliced Wasserstein-2 distance between samples and rows of the data (held out, with early stopping), in the
    squared units of ``X``. Of these it is the score that says how good the samples are.
net_ : skorch.NeuralNet
    The trained net; ``net_.average_`` is the generator that samples come from, ``net_.module_`` the one that was
    trained, whose weights it averages, and ``net_.critic_`` the critic.
coordinates_ : UnitCoordinates
    The units in which the net works.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, if the data were given as a DataFrame."""


def documented(cls):
    """Fill the parts of the docstring that all these generators share, with the defaults of this one."""
    if cls.__doc__:
        defaults = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
        for mark, text in (("<parameters>", PARAMETERS.format_map(defaults)), ("<attributes>", ATTRIBUTES)):
            cls.__doc__ = cls.__doc__.replace(f"    {mark}", textwrap.indent(text, "    "))
    return cls


class AdversarialGenerator(NeuralGenerator):
    """Base class of generators that play against a critic.

    A subclass writes ``_game()``, what is played, and ``_remedy()``, what to change when that diverges. Of the class
    attributes, ``_n_outputs`` is the dimension in which the critic embeds, or None for a scalar critic, and
    ``_spectral_norm`` whether its weights are normalised. ``_measure(module, real, fake)`` may set attributes from the
    outputs of the trained critic at rows and samples.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        **NeuralGenerator._parameter_constraints,
        "n_critic": [Interval(Integral, 1, None, closed="left")],
        "critic": [StrOptions(set(CRITICS)), type],
        "critic_params": [dict, None],
        "instance_noise": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
    }
    _n_outputs = None
    _spectral_norm = False

    def __init__(
        self,
        *,
        n_critic,
        learning_rate,
        generator,
        critic,
        latent_dim,
        hidden_layer_sizes,
        activation,
        output_activation,
        generator_params,
        critic_params,
        instance_noise,
        batch_size,
        max_iter,
        early_stopping,
        validation_fraction,
        n_iter_no_change,
        tol,
        warm_start,
        device,
        callbacks,
        random_state,
        verbose,
    ):
        self.n_critic = n_critic
        self.learning_rate = learning_rate
        self.generator = generator
        self.critic = critic
        self.latent_dim = latent_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.output_activation = output_activation
        self.generator_params = generator_params
        self.critic_params = critic_params
        self.instance_noise = instance_noise
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    @abstractmethod
    def _game(self):
        """The `Game` that is played."""

    @abstractmethod
    def _remedy(self):
        """What to change when training diverges."""

    def _measure(self, module, real, fake):
        """Set attributes from the outputs of the critic, after training."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Train the generator on the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows. With them generator and critic are told the class of each row, and `sample` draws rows
            of a given class. Without, they are not.

        Returns
        -------
        self : object
            The fitted generator.

        Raises
        ------
        ValueError
            If the rows, the classes or a parameter are unusable; the estimator is then left as it was.
        DivergenceError
            If numbers are not finite, samples leave the data for good, or the generator has no gradient any more.
        """
        return self._fit_rows(X, y=y)

    def sample(self, n_samples=1, random_state=None, *, y=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Draws the rows. Pass an int for the same rows at each call; with None they are new each time, and the
            global state of numpy is neither read nor changed.
        y : label or array-like of shape (n_samples,), default=None
            The class of all rows, or of each, of a generator that was fitted with classes. If None, they are drawn
            with the shares that they have in the training rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, in the units and in the float dtype of the training data.
        """
        return self._draw_rows(n_samples, random_state, y=y)

    def score(self, X, y=None, sample_weight=None):
        """Minus the squared sliced Wasserstein-2 distance between a sample of the generator and ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to compare with, best such as ``fit`` has not seen.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows, all among those of ``fit`` (in a search, use `StratifiedKFold`). If the generator was
            fitted with classes, rows of each class are compared with samples of it, and the score is the mean over
            ``y``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Minus the squared distance, in the squared units of the data and without the factor ½; higher is better.
            The sample and the projections are fixed, so equal arguments give equal scores.
        """
        check_is_fitted(self)
        if y is None or not hasattr(self, "classes_"):
            return super().score(X, None, sample_weight)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        index = self._class_index(y, len(X))
        weight = check_weight(sample_weight, len(X), "sample_weight", "X")
        score = 0.0
        for k in np.unique(index):
            part = index == k
            if not weight[part].any():
                continue
            rows = self.sample(MAX_REFERENCE_ROWS, random_state=0, y=self.classes_[k])
            distance = sliced_wasserstein_distance(rows, X[part], target_weight=weight[part], random_state=0)
            score -= weight[part].sum() * distance**2
        return score

    def critic_function(self, X, y=None):
        """The function by which the trained critic tells data (high) from samples (low).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows anywhere.
        y : array-like of shape (n_samples,), default=None
            Their classes; needed if the generator was fitted with classes.

        Returns
        -------
        values : ndarray of shape (n_samples,)
            The function at the rows, in units in which the data are of size 1.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        labels = None
        if hasattr(self, "classes_"):
            if y is None:
                raise ValueError("The critic was told classes in fit; give those of the rows as y.")
            labels = self._one_hot(self._class_index(y, len(X)))
        real, fake = map(torch.from_numpy, self._witness)
        outputs = torch.from_numpy(self._outputs(self.net_.critic_, X, labels))
        # Of the game that was played, whatever the parameters are now.
        witness = self.net_.criterion_.witness
        return torch.cat([witness(chunk, real, fake) for chunk in outputs.split(CHUNK_ROWS)]).numpy()

    def _fit(self, X, sample_weight, rng, y=None):
        device = resolve_device(self.device)
        classes_before = self._listed_classes()
        y, n_classes = self._read_classes(X, y)
        if self.warm_start and hasattr(self, "net_"):
            self._refuse_changes({"classes": classes_before}, {"classes": self._listed_classes()})
        architecture = self._architecture(X.shape[1])
        architecture["latent_dim"] += n_classes
        critic = self._critic_architecture(X.shape[1], n_classes)
        previous = self._net_to_resume(architecture)
        if previous is None:
            self._balance(X, np.full(len(X), 1 / len(X)))
        else:
            self._refuse_changes(self._critic_of(previous), critic)
        seed = rng.randint(2**31)
        X, y, held_out = self._hold_out(X, y, rng)
        reference = held_out[rng.permutation(len(held_out))[:SCORED_ROWS]]
        with torch_seed(seed, device):
            net = self._build_net(device, critic=critic, **architecture)
            if previous is not None:
                net.resume(previous)
            self._check_shapes(net, X.shape[1], n_classes)
            net.evaluation = lambda net: self._score_of(net, reference, y)
            net.partial_fit(self._dataset(X, y, device))
            # It holds rows of the data.
            net.evaluation = None
        if net.interrupted_:
            warn_user(
                f"Training was interrupted after {net.n_fitted_} of {net.max_iter} rounds; the generator is what "
                "they left.",
            )
        if net.n_iter_ >= AFTER_ROUNDS and net.score_ < WORSE_THAN_START * net.start_score_:
            warn_user(
                f"Samples are farther from the data than those of the untrained generator: the score is "
                f"{net.score_:.3g}, and was {net.start_score_:.3g}. {self._remedy()}",
                ConvergenceWarning,
            )
        self.net_, self.n_iter_ = net, net.n_iter_
        keys = ("n_iter", "dur", *GAME_MEASURES, "score")
        self.history_ = [{key: row[key] for key in keys if key in row} for row in net.history]
        self._dtype = X.dtype
        self._judge(X, y, rng)

    def _read_classes(self, X, y):
        """The class of each row as a number, or None, and how many classes there are."""
        if y is None:
            if hasattr(self, "classes_"):
                del self.classes_, self.class_prior_
            return None, 0
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        check_classification_targets(y)
        self.classes_, y = np.unique(y, return_inverse=True)
        self.class_prior_ = np.bincount(y) / len(y)
        return y, len(self.classes_)

    def _listed_classes(self):
        return np.asarray(getattr(self, "classes_", ())).tolist()

    def _hold_out(self, X, y, rng):
        """Rows to train on with their classes, and rows to score samples by: others, with early stopping."""
        if not self.early_stopping:
            return X, y, X
        order, n_kept = rng.permutation(len(X)), 1
        if y is not None:
            # A row of each class is kept: of others there would be nothing to learn.
            _, first = np.unique(y[order], return_index=True)
            order, n_kept = np.concatenate([np.delete(order, first), order[first]]), len(first)
        n_held_out = min(max(1, int(self.validation_fraction * len(X))), len(X) - n_kept)
        held_out, kept = order[:n_held_out], order[n_held_out:]
        return X[kept], None if y is None else y[kept], X[held_out]

    def _dataset(self, X, y, device):
        rows = torch.as_tensor(self.coordinates_.to_coordinates(X), dtype=torch.float32, device=device)
        return LabelledRows(rows, None if y is None else self._one_hot(y).to(device))

    def _score_of(self, net, reference, y):
        """The score of samples of the net while it trains: always of the same noise."""
        generator = torch.Generator().manual_seed(0)
        noise = even_noise(1, SCORED_ROWS, net.latent_dim_, "cpu", generator)[0]
        if y is not None:
            labels = self._one_hot(y[np.linspace(0, len(y) - 1, SCORED_ROWS).astype(int)])
            noise = torch.cat([noise, labels], dim=1)
        noise = noise.to(net.device)
        rows = self.coordinates_.from_coordinates(net.generate(noise).cpu().numpy().astype(reference.dtype))
        if not np.isfinite(rows).all():
            return np.nan
        return -(sliced_wasserstein_distance(rows, reference, random_state=0) ** 2)

    def _judge(self, X, y, rng):
        """What the critic makes of data and samples after training."""
        rows = rng.permutation(len(X))[:MAX_REFERENCE_ROWS]
        X, labels = X[rows], None if y is None else self._one_hot(y[rows])
        noise = self._noise(len(X), self._latent_dim(), rng)
        fake = self._rows(noise if labels is None else torch.cat([noise, labels], dim=1))
        real, fake = (self._outputs(self.net_.critic_, sample, labels) for sample in (X, fake))
        self._witness = (real[:WITNESS_ROWS], fake[:WITNESS_ROWS])
        self._measure(self.net_.critic_, real, fake)

    def _outputs(self, critic, X, labels=None):
        """Outputs of the critic at rows in the units of the data."""
        critic.eval()
        rows = torch.as_tensor(self.coordinates_.to_coordinates(X), dtype=torch.float32)
        if labels is not None:
            rows = torch.cat([rows, labels], dim=1)
        with torch.no_grad():
            return torch.cat([critic(chunk.to(self.net_.device)).cpu() for chunk in rows.split(CHUNK_ROWS)]).numpy()

    def _sample(self, n_samples, rng, y=None):
        noise = self._noise(n_samples, self._latent_dim(), rng)
        if not hasattr(self, "classes_"):
            if y is not None:
                raise ValueError("sample got y, but the generator was fitted without classes: fit(X, y) learns them.")
            return self._rows(noise)
        if y is None:
            index = rng.choice(len(self.classes_), n_samples, p=self.class_prior_)
        else:
            index = self._class_index(np.full(n_samples, y) if np.ndim(y) == 0 else y, n_samples)
        return self._rows(torch.cat([noise, self._one_hot(index)], dim=1))

    def _module(self, dtype):
        return super()._module(dtype, "average_")

    def _latent_dim(self):
        return self.net_.get_params_for("module")["latent_dim"] - len(getattr(self, "classes_", ()))

    def _one_hot(self, index):
        return nn.functional.one_hot(torch.as_tensor(index), len(self.classes_)).float()

    def _class_index(self, y, n_rows):
        y = column_or_1d(y)
        if len(y) != n_rows:
            raise ValueError(f"y has {len(y)} classes for {n_rows} rows; give one for each row.")
        try:
            index = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        except TypeError as error:  # numbers among words
            raise ValueError(f"y must hold classes of fit, {self.classes_.tolist()}: {error}.") from None
        unknown = self.classes_[index] != y
        if unknown.any():
            raise ValueError(
                f"y holds {y[unknown].tolist()[0]!r}, which is not among the classes of fit: {self.classes_.tolist()}."
            )
        return index

    def _critic_architecture(self, n_features, n_classes):
        """The critic as arguments of the net: plain values, which is what a pickle stores."""
        module = CRITICS.get(self.critic, self.critic)
        if not (inspect.isclass(module) and issubclass(module, nn.Module)):
            raise ValueError(
                f"critic must be one of {sorted(CRITICS)} or a subclass of torch.nn.Module, got {module!r}."
            )
        arguments = {"n_features": n_features, "n_classes": n_classes, "n_outputs": self._n_outputs}
        if self.critic == "mlp":
            arguments |= self._hidden_layers()
        arguments |= self.critic_params or {}
        critic = {f"critic__{name}": value for name, value in arguments.items()}
        return {"critic": module, **critic, "spectral_norm": self._spectral_norm}

    def _build_net(self, device, module, *, critic, game=None, **architecture):
        parameters = self._net_parameters(device, module, architecture)
        parameters |= {"optimizer__betas": (0.5, 0.9), "critic_optimizer__betas": (0.5, 0.9)}
        parameters["critic_optimizer__fused"] = parameters["optimizer__fused"]
        return AdversarialNet(
            criterion=game or self._game(),
            evaluation=None,
            n_critic=self.n_critic,
            clip=self._clip(),
            instance_noise=self.instance_noise,
            early_stopping=self.early_stopping,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            remedy=self._remedy(),
            **critic,
            **parameters,
        ).initialize()

    @staticmethod
    def _check_shapes(net, n_features, n_classes):
        """Refuse networks of the user's that make something else than they should."""
        latent_dim = net.get_params_for("module")["latent_dim"]
        n_outputs = net.get_params_for("critic")["n_outputs"]
        net._set_training(False)
        with torch.no_grad():
            for name, module, n_inputs, expected in (
                ("generator", net.module_, latent_dim, (2, n_features)),
                ("critic", net.critic_, n_features + n_classes, (2,) if n_outputs is None else (2, n_outputs)),
            ):
                shape = tuple(module(torch.zeros(2, n_inputs, device=net.device)).shape)
                if shape != expected:
                    raise ValueError(f"{name} must map rows of shape (2, {n_inputs}) to shape {expected}, not {shape}.")

    def _clip(self):
        """Largest weight of the critic, or None."""
        return None

    @staticmethod
    def _critic_of(net):
        """The critic of a net as `_build_net` takes it."""
        critic = {f"critic__{name}": value for name, value in net.get_params_for("critic").items()}
        return {"critic": net.critic, **critic, "spectral_norm": net.spectral_norm}

    def _architecture_of(self, net):
        return {**super()._architecture_of(net), "critic": self._critic_of(net), "game": net.criterion}

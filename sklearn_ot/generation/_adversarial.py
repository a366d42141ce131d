"""Base class of generators with a critic."""

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import MAX_REFERENCE_ROWS, documented, sections, validated, warn_user
from sklearn_ot.checks import check_weight
from sklearn_ot.generation._classes import Classes
from sklearn_ot.generation._correction import N_CORRECTION_ROWS
from sklearn_ot.generation._neural import NeuralGenerator, check_shape
from sklearn_ot.generation._rows import Rows
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.nets import (
    GAME_MEASURES,
    AdversarialNet,
    LabelledRows,
    refuse_changes,
    torch_seed,
    training_device,
)
from sklearn_ot.networks import module_of, named_module
from sklearn_ot.nn import with_labels
from sklearn_ot.objectives.constraints import Constraint
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.sources import even_noise

# Number of samples and of rows in the score during training.
SCORED_ROWS = 2048
# Number of rows and of samples that represent their distributions in the witness function of a critic.
WITNESS_ROWS = 1024
# A warning is raised if the squared distance between samples and data is more than this factor above that of the start,
# but not in the first rounds, in which it often rises.
WORSE_THAN_START, AFTER_ROUNDS = 1.5, 500


@documented(**sections(NeuralGenerator))
@dataclass(eq=False, repr=False)
class AdversarialGenerator(NeuralGenerator):
    """Base class of generators with a critic.

    A subclass writes ``_game()``, which returns the losses, and ``_remedy()``, which returns the advice if training
    diverges. It can set the class attribute ``_n_outputs``, the number of columns of rows embedded by the critic. It
    can write ``_constraint()``, which returns the constraint of the critic, and ``_measure(critic, real, fake)``, which
    sets attributes from the outputs of the trained critic at rows and at samples. In the following sections, a name in
    braces is the default of the subclass.

    Parameters
    ----------
    n_critic : int, default={n_critic}
        Steps of the critic in a round, before the step of the generator.
    learning_rate : float, default={learning_rate}
        Step size of Adam for both networks in the first rounds; it falls as 1 / √(1 + round / 2000).
    critic : specification of `sklearn_ot.networks` or nn.Module class, default=None
        The network that judges rows; None is ``Dense((128, 128, 128), "relu")``. A class of modules is called with
        ``n_features``, ``n_classes`` (0 without classes) and ``n_outputs`` (None for a scalar), and maps rows of shape
        (n, n_features + n_classes) to shape (n,) or (n, n_outputs). The last columns are the one-hot label of the
        row. They are also the last columns of the noise of the generator, and are counted in its ``latent_dim``.
    <parameters>
    instance_noise : float, default=0
        Standard deviation of normal noise that is added to data and samples before they are inputs of the critic, in
        units in which the data are of size 1. It falls as 1 / (1 + round / 2000). The noise makes the two distributions
        overlap, so that any critic can compare them.
    match_moments : bool, default=False
        Whether to correct samples after the training by the Gaussian map from samples to rows, in ``coordinates_``, so
        that their mean and their covariance are those of the rows. Both are cut off at three deviations of each column
        for this map, and a number beyond them is moved as far as one at three deviations. With classes there is one map
        for all. Bounded samples, those of "tanh", are not corrected. It helps where the training is short, such as for
        codes of images; if samples miss a cluster of the rows, the map moves the other clusters.
    batch_size : int, default={batch_size}
        Rows of data, and samples, in a step.
    max_iter : int, default={max_iter}
        Largest number of rounds, i.e. of steps of the generator.
    early_stopping : bool, default=False
        Whether to hold out rows, keep the networks with the best ``score`` on them (see ``history_``), and stop after
        ``n_iter_no_change`` blocks without a better score. With classes, at least one row of each class is a training
        row.
    validation_fraction : float, default=0.1
        With early stopping, the share of the rows to hold out, by weight.
    n_iter_no_change : int, default=20
        With early stopping, the number of blocks of 100 rounds without a gain after which training stops.
    tol : float, default=0
        Smallest rise of the score that counts as a gain.
    warm_start : bool, default=False
        Whether another call of ``fit`` adds ``max_iter`` rounds to the previous ones, also after a pickle. With the
        same rows and parameters, and without early stopping, the result is that of one longer fit, bit for bit.
        ``coordinates_`` do not change; rows in other units raise a warning.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net, or pairs (name, callback), for which an epoch is a block of 100 rounds; they are
        cloned. An LRScheduler replaces the fall of the step sizes of both networks. To continue after a break, give a
        ``checkpoint``, or fit in parts with ``warm_start`` and pickle the estimator.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, if ``fit`` got any.
    class_prior_ : ndarray of shape (n_classes,)
        Masses of the classes in the training rows.
    n_iter_ : int
        Number of rounds; with ``warm_start``, in all fits.
    history_ : list of dict
        One row for each block of 100 rounds: ``n_iter``, the number of rounds so far; ``dur``, its seconds;
        ``critic_loss`` and ``generator_loss``; ``critic_gradient`` and ``generator_gradient``, the norms of their
        gradients; ``sample_size``, the root mean square of a feature of the samples, in units in which that of the data
        is 1; and ``score``, minus the squared sliced Wasserstein-2 distance between samples and rows of the data (held
        out, with early stopping), in ``coordinates_``. Only the score measures the quality of the samples.
    correction_ : object
        With ``match_moments``, the correction of samples, in ``coordinates_``: its method ``apply`` maps rows to rows.
        None for "tanh".
    net_ : skorch.NeuralNet
        The trained net. ``net_.average_`` is the generator of the samples, ``net_.module_`` the trained generator,
        whose weights are averaged, and ``net_.critic_`` the critic.
    <attributes>
    """

    _: KW_ONLY
    n_critic: int = 1
    learning_rate: float = 2e-3
    critic: object = None
    instance_noise: float = 0.0
    match_moments: bool = False
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 20
    tol: float = 0.0

    _parameter_constraints: ClassVar[dict] = {
        **NeuralGenerator._parameter_constraints,
        "n_critic": [Interval(Integral, 1, None, closed="left")],
        "critic": "no_validation",
        "instance_noise": [Interval(Real, 0, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "match_moments": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }
    _n_outputs = None
    _sampled = "average_"

    @abstractmethod
    def _game(self):
        """The `Game` of the method."""

    @abstractmethod
    def _remedy(self):
        """Advice to the user if training diverges: the parameters to change."""

    def _constraint(self):
        """The `Constraint` of the critic, with its strength."""
        return Constraint()

    def _critic_spec(self, n_features):
        """The specification of the critic, or its class, for rows of this dimension."""
        return self._spec("critic")

    def _measure(self, critic, real, fake):
        """Set attributes from the outputs of the trained critic at rows and at samples."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Train the generator on the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows. If given, they are inputs of the generator and the critic, and `sample` draws rows of a
            given class.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more. Equal weights if None.

        Returns
        -------
        self : object
            The fitted generator.

        Raises
        ------
        ValueError
            If the rows, the classes, the weights or a parameter are unusable; the estimator then keeps its previous
            state.
        DivergenceError
            If numbers are not finite, samples are far from the data, or the generator has no gradient any more.
        """
        return self._fit_rows(X, sample_weight, y=y)

    def sample(self, n_samples=1, random_state=None, *, y=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Draws the rows. With an int, each call gives the same rows. With None, each call gives new rows, and NumPy's
            global random state is neither read nor changed.
        y : label or array-like of shape (n_samples,), default=None
            The class of all rows, or of each row, if the generator was fitted with classes. If None, classes are drawn
            with their masses in the training rows.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            The rows, in the units and in the float dtype of the training data; a DataFrame after `set_output`.
        """
        return self._contained(self._draw_rows(n_samples, random_state, y=y))

    def draw_noise(self, n_samples=1, random_state=None, *, y=None):
        """The noise, and the classes, from which `sample` with the same arguments makes its rows.

        Parameters
        ----------
        n_samples, random_state, y : object
            As in `sample`.

        Returns
        -------
        arguments : tuple of ndarray
            The arguments of the module of `to_torch`: the noise, of shape (n_samples, latent_dim), and, if the
            generator was fitted with classes, their numbers in ``classes_``, of shape (n_samples,).
        """
        return self._draw_noise(n_samples, random_state, y=y)

    def score(self, X, y=None, sample_weight=None):
        """Minus the squared sliced Wasserstein-2 distance between a sample of the generator and ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the data, if possible rows that were not in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows; ``fit`` must have had all of them (in a search, use `StratifiedKFold`). If the
            generator was fitted with classes, rows of each class are compared with samples of this class, and the score
            is the mean over ``y``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Minus the squared distance, without the factor ½; higher is better. It is computed in ``coordinates_``, in
            which the training rows have size 1, so that it does not depend on the units of the data. The sample and the
            projections are fixed, so equal arguments give equal scores.
        """
        check_is_fitted(self)
        if y is None or not len(self._classes):
            return super().score(X, None, sample_weight)
        X = validated(self, X)
        index = self._classes.index(y, len(X))
        weight = check_weight(sample_weight, len(X))
        score = 0.0
        for k in np.unique(index):
            part = index == k
            if not weight[part].any():
                continue
            rows = self._draw_rows(MAX_REFERENCE_ROWS, random_state=0, y=self.classes_[k])
            score += weight[part].sum() * self._score_rows(rows, X[part], weight[part])
        return score

    def critic_function(self, X, y=None):
        """Evaluate the witness function of the trained critic, which is high on data and low on samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows; needed if the generator was fitted with classes.

        Returns
        -------
        values : ndarray of shape (n_samples,)
            Values of the function, in units in which the data are of size 1.
        """
        check_is_fitted(self)
        X = validated(self, X)
        if y is None and len(self._classes):
            raise ValueError("The generator was fitted with classes: give the classes of the rows as y.")
        outputs = torch.from_numpy(self._outputs(X, self._classes.one_hot(self._classes.index(y, len(X)))))
        # The game of the last fit, even if parameters have changed since.
        witness = self.net_.criterion_.witness
        real, fake = map(torch.from_numpy, self._witness)
        return torch.cat([witness(chunk, real, fake) for chunk in outputs.split(CHUNK_ROWS)]).numpy()

    def _fit(self, sample, rng, y=None):
        device, n_axes = training_device(self.device), self.coordinates_.n_axes
        classes, index = Classes.of(y, len(sample.rows), sample.weight)
        if self.warm_start and hasattr(self, "net_"):
            refuse_changes({"classes": self._classes.names.tolist()}, {"classes": classes.names.tolist()})
        architecture = self._architecture(n_axes, len(classes))
        previous = self._net_to_resume(architecture)
        seed = rng.randint(2**31)
        if self.early_stopping:
            rows, held_out = Rows(sample.rows, index, sample.weight).hold_out(self.validation_fraction, rng)
        else:
            rows = held_out = Rows.merged(sample, index)
        reference = self.coordinates_.to_coordinates(held_out.draw(SCORED_ROWS, rng).X)
        self._classes, labels = classes, classes.one_hot(rows.classes_of(SCORED_ROWS))
        with torch_seed(seed, device):
            net = self._build_net(device, **architecture)
            if previous is not None:
                net.resume(previous)
            self._check_shapes(net, n_axes)
            net.evaluation = partial(self._score_of, reference=reference, labels=labels)
            net.partial_fit(self._dataset(rows, device))
            # The parameters on which the game depends are those that not all of these generators have.
            names = {*self._get_param_names()}.difference(AdversarialGenerator._get_param_names())
            self._played = {name: getattr(self, name) for name in sorted(names)}
            # The evaluation holds rows of the data, which a pickle should not store.
            net.evaluation = None
            self._store(net, ("n_iter", "dur", *GAME_MEASURES, "score"))
            self._dtype = sample.rows.dtype
            self._correct(sample)
            self._judge(rows.draw(MAX_REFERENCE_ROWS, rng), rng)
        if net.n_iter_ >= AFTER_ROUNDS and net.score_ < WORSE_THAN_START * net.start_score_:
            warn_user(
                f"Samples are farther from the data than those of the untrained generator: the score is "
                f"{net.score_:.3g}, and was {net.start_score_:.3g}. {self._remedy()}",
                ConvergenceWarning,
            )
        is_known = len(classes) > 0
        self._set(classes_=classes.names if is_known else None, class_prior_=classes.prior if is_known else None)

    def _dataset(self, rows, device):
        x = torch.as_tensor(self.coordinates_.to_coordinates(rows.X), dtype=torch.float32, device=device)
        weight = None if rows.weight is None else torch.from_numpy(rows.weight)
        return LabelledRows(x, self._classes.one_hot(rows.index).to(device), weight)

    def _score_of(self, net, reference, labels):
        """The score during training, of samples from the same noise in every block."""
        generator = torch.Generator().manual_seed(0)
        noise = with_labels(even_noise(1, len(labels), net.latent_dim_, "cpu", generator)[0], labels).to(net.device)
        rows = net.generate(noise).cpu().numpy().astype(reference.dtype)
        if not np.isfinite(rows).all():
            return np.nan
        return -(sliced_wasserstein_distance(rows, reference, random_state=0) ** 2)

    def _correct(self, sample):
        """Find the correction of samples, or remove that of another fit."""
        self.__dict__.pop("correction_", None)
        if self.match_moments:
            generator = torch.Generator().manual_seed(0)
            noise = even_noise(1, N_CORRECTION_ROWS, self._latent_dim(), generator=generator)[0]
            index = self._classes.draw(N_CORRECTION_ROWS, np.random.RandomState(0))
            self.correction_ = self._find_correction(with_labels(noise, self._classes.one_hot(index)), sample.merged())

    def _judge(self, rows, rng):
        """Store outputs of the critic at rows and at samples, which `critic_function` needs."""
        labels = self._classes.one_hot(rows.index)
        fake = self._rows(with_labels(self._noise(len(labels), self._latent_dim(), rng), labels))
        real, fake = (self._outputs(sample, labels) for sample in (rows.X, fake))
        self._witness = (real[:WITNESS_ROWS], fake[:WITNESS_ROWS])
        self._measure(self.net_.critic_, real, fake)

    def _outputs(self, X, labels):
        """Outputs of the critic for rows in the units of the data."""
        critic = self.net_.critic_.eval()
        rows = torch.as_tensor(self.coordinates_.to_coordinates(X), dtype=torch.float32)
        chunks = with_labels(rows, labels).split(CHUNK_ROWS)
        with torch.no_grad():
            return torch.cat([critic(chunk.to(self.net_.device)).cpu() for chunk in chunks]).numpy()

    def _sample(self, n_samples, rng, y=None):
        noise, index = self._inputs(n_samples, rng, y)
        return self._rows(with_labels(noise, self._classes.one_hot(index)))

    def _inputs(self, n_samples, rng, y):
        """Noise, and numbers of classes."""
        if y is not None and not len(self._classes):
            raise ValueError("sample got y, but the generator was fitted without classes: fit(X, y) learns them.")
        noise = self._noise(n_samples, self._latent_dim(), rng)
        return noise, self._classes.draw(n_samples, rng) if y is None else self._classes.index(y, n_samples)

    def _noise_arguments(self, n_samples, rng, y=None):
        noise, index = self._inputs(n_samples, rng, y)
        return (noise.numpy(), index) if len(self._classes) else (noise.numpy(),)

    @property
    def _noise_shape(self):
        return self._latent_dim(), len(self._classes)

    def _latent_dim(self):
        return self.net_.get_params_for("module")["latent_dim"] - len(self._classes)

    def _architecture(self, n_features, n_classes=0):
        shape = {"n_features": n_features, "n_classes": n_classes, "n_outputs": self._n_outputs}
        critic = named_module("critic", *module_of(self._critic_spec(n_features), "critic", **shape))
        generator = super()._architecture(n_features, n_classes)
        return {**generator, **critic, "parametrise": self._constraint().parametrise}

    def _architecture_of(self, net):
        critic = named_module("critic", net.critic, net.get_params_for("critic"))
        return {**super()._architecture_of(net), **critic, "parametrise": net.parametrise}

    def _build_net(self, device, *, game=None, **architecture):
        parameters = self._net_parameters(device)
        parameters |= {"optimizer__betas": (0.5, 0.9), "critic_optimizer__betas": (0.5, 0.9)}
        parameters["critic_optimizer__fused"] = parameters["optimizer__fused"]
        constraint = self._constraint()
        return AdversarialNet(
            criterion=self._game() if game is None else type(self)(**game)._game(),
            evaluation=None,
            n_critic=self.n_critic,
            project=None if constraint.project is None else partial(constraint.project, reg=constraint.reg),
            instance_noise=self.instance_noise,
            early_stopping=self.early_stopping,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            remedy=self._remedy(),
            **parameters,
            **architecture,
        ).initialize()

    def _check_shapes(self, net, n_features):
        super()._check_shapes(net, n_features)
        outputs = () if self._n_outputs is None else (self._n_outputs,)
        check_shape("critic", net.critic_, n_features + len(self._classes), outputs, net.device)

    def _net_state(self, net):
        state = super()._net_state(net)
        # The game of the last fit, even if parameters have changed since.
        state["architecture"]["game"] = self._played
        return state

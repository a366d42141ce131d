"""Generators with a critic: properties of all of them, and of each one."""

import copy
import pickle
import signal

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot.datasets import grid_modes, make_gaussian_grid, make_gaussian_ring, ring_modes
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.metrics import mode_coverage, wasserstein_distance
from sklearn_ot.networks import Convolutional, Dense, Distances
from sklearn_ot.nn import DCGANGenerator, DistanceCritic, MLPCritic, MLPGenerator
from sklearn_ot.objectives.constraints import CONSTRAINTS
from sklearn_ot.objectives.fgan import DIVERGENCES

SMALL = Dense((16, 16))
SHORT = {"generator": SMALL, "critic": SMALL, "max_iter": 40, "batch_size": 32, "random_state": 0}
METHODS = {
    "GAN": GAN(),
    "saturating GAN": GAN("saturating"),
    **{f"FGAN {name}": FGAN(name) for name in sorted(DIVERGENCES)},
    **{f"WGAN {name}": WGANGenerator(name) for name in ("gradient-penalty", "one-sided-penalty", "clip")},
    "WGAN spectral-norm": WGANGenerator("spectral-norm"),
    "CramerGAN": CramerGAN(),
    "energy CramerGAN": CramerGAN(loss="energy"),
    "MMDGAN": MMDGAN(),
    "gaussian MMDGAN": MMDGAN("gaussian"),
    "WGANQC": WGANQC(),
}
FAMILIES = ("GAN", "FGAN kl", "WGAN gradient-penalty", "WGAN spectral-norm", "CramerGAN", "MMDGAN", "WGANQC")

every_method = pytest.mark.parametrize("name", METHODS)
every_family = pytest.mark.parametrize("name", FAMILIES)


def new(name, **parameters):
    # A clone does not share networks.
    return clone(clone(METHODS[name]).set_params(**{**SHORT, **parameters}))


def dense(*sizes, activation="relu"):
    """Parameters of both networks with these widths."""
    return {"generator": Dense(sizes, activation), "critic": Dense(sizes, activation)}


@pytest.fixture(scope="module", name="X")
def rows():
    rng = np.random.RandomState(0)
    return rng.standard_normal((90, 2)) * [1, 3] + [50, -20]


@pytest.fixture(scope="module", name="y")
def classes(X):
    return np.where(X[:, 0] > 50.3, "high", "low")


@pytest.fixture(scope="module")
def fitted(X):
    return new("WGAN gradient-penalty").fit(X)


@every_method
def test_an_exponential_distribution_is_learned(name):
    """The score of a normal distribution with the same moments, at which every generator starts."""
    X = np.random.RandomState(0).exponential(50, (600, 1))
    start = new(name, max_iter=0).fit(X)
    settings = {"max_iter": 200, "n_critic": 2, "batch_size": 64, "learning_rate": 5e-3, **dense(32)}
    generator = new(name, **settings).fit(X)
    # The weights of games with a critic of slope 1 circle more widely than those of games with a flat critic.
    assert generator.score(X) > (0.5 if "WGAN " in name else 0.1) * start.score(X)
    assert generator.sample(4000, random_state=0).mean() == pytest.approx(X.mean(), abs=X.std() / 5)


@every_family
@pytest.mark.parametrize("labelled", [False, True], ids=["", "classes"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["copy", "pickle"])
def test_training_in_pieces_is_training_in_one_go(X, y, name, labelled, copied):
    y = y if labelled else None
    whole = new(name, max_iter=20).fit(X, y)
    pieces = new(name, max_iter=7, warm_start=True).fit(X, y)
    assert not np.array_equal(pieces.sample(5, random_state=0), whole.sample(5, random_state=0))
    pieces = copied(pieces).set_params(max_iter=13).fit(X, y)
    assert pieces.n_iter_ == 20
    np.testing.assert_array_equal(pieces.sample(50, random_state=0), whole.sample(50, random_state=0))
    assert [row["n_iter"] for row in pieces.history_] == [7, 20]


@every_family
def test_copies_are_equal_bit_for_bit_and_pickles_hold_no_tensor(X, y, name):
    generator = new(name).fit(X, y)
    stored = pickle.dumps(generator)
    assert b"torch" not in stored
    for other in (copy.deepcopy(generator), pickle.loads(stored)):
        np.testing.assert_array_equal(other.sample(50, random_state=0), generator.sample(50, random_state=0))
        np.testing.assert_array_equal(other.critic_function(X, y), generator.critic_function(X, y))
        assert other.history_ == generator.history_


@every_family
def test_units_never_matter(X, name):
    # A power of two does not change the rounding.
    small, large = (new(name).fit(factor * X) for factor in (1, 1024))
    np.testing.assert_array_equal(large.sample(50, random_state=0), 1024 * small.sample(50, random_state=0))
    np.testing.assert_array_equal(large.critic_function(1024 * X), small.critic_function(X))
    assert large.history_[-1]["score"] == small.history_[-1]["score"]
    assert large.score(1024 * X) == small.score(X)
    # Each column may have its own unit.
    factors = np.array([2.0**-40, 2.0**20])
    mixed = new(name).fit(factors * X)
    np.testing.assert_array_equal(mixed.sample(50, random_state=0), factors * small.sample(50, random_state=0))
    assert mixed.score(factors * X) == small.score(X)


@every_family
def test_classes_are_distinguished(name):
    """For two distant classes with unequal shares, samples of each class lie near its rows."""
    rng = np.random.RandomState(0)
    y = np.repeat(["left", "right"], [100, 300])
    X = 0.5 * rng.standard_normal((400, 2)) + np.where(y == "left", -3, 3)[:, None]
    # The classes may be in any order.
    order = rng.permutation(400)
    settings = {"max_iter": 200, "n_critic": 2, "batch_size": 64, "learning_rate": 5e-3}
    generator = new(name, **settings).fit(X[order], y[order])
    assert list(generator.classes_) == ["left", "right"]
    assert generator.class_prior_.tolist() == [0.25, 0.75]
    for label, side in (("left", -1), ("right", 1)):
        samples = generator.sample(200, random_state=0, y=label)
        assert (np.sign(samples.sum(axis=1)) == side).mean() > 0.95
    given = np.array(["left", "right"])[rng.randint(2, size=100)]
    samples = generator.sample(100, random_state=0, y=given)
    assert ((samples.sum(axis=1) > 0) == (given == "right")).mean() > 0.95
    drawn = generator.sample(2000, random_state=0)
    # The tolerance is 4 standard errors of a share of 2000 rows, plus a part of the samples near the other class.
    assert (drawn.sum(axis=1) > 0).mean() == pytest.approx(0.75, abs=0.04 + 0.05)
    # The distance within classes is larger than that of all rows, and the distance with wrong classes is the largest.
    assert generator.score(X, np.where(y == "left", "right", "left")) < generator.score(X, y) - 5


def test_scores_of_classes(X, y):
    generator = new("WGAN gradient-penalty").fit(X, y)
    parts = [generator.score(X[y == label], y[y == label]) for label in ("high", "low")]
    assert generator.score(X, y) == pytest.approx(
        np.average(parts, weights=[(y == "high").mean(), (y == "low").mean()])
    )
    assert generator.score(X, y, sample_weight=y == "low") == pytest.approx(parts[1])
    for weight, message in ((np.zeros(90), "zero on every row"), (np.ones(3), "one weight per row")):
        with pytest.raises(ValueError, match=message):
            generator.score(X, y, sample_weight=weight)
    assert generator.score(X) == generator.score(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, X: g.sample(3, y="middle"), "'middle', which is not among the classes"),
        (lambda g, X: g.sample(3, y=["low", "high"]), "2 classes for 3 rows"),
        (lambda g, X: g.critic_function(X), "give the classes of the rows as y"),
        (lambda g, X: g.fit(X, np.linspace(0, 1, 90)), "Unknown label type: continuous"),
        (lambda g, X: g.fit(X, [0, 1]), "y has 2 labels, but X has 90 rows"),
        (lambda g, X: g.fit(X, sample_weight=np.ones(3)), "one weight per row"),
    ],
)
def test_unusable_classes_are_refused(X, y, call, message):
    generator = new("WGAN gradient-penalty", max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match=message):
        call(generator, X)
    assert list(generator.classes_) == ["high", "low"]


def test_going_on_with_other_classes_is_refused(X, y):
    generator = new("WGANQC", max_iter=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"classes from \['high', 'low'\] to \['big', 'small'\]"):
        generator.fit(X, np.where(y == "high", "big", "small"))
    assert generator.fit(X, y).n_iter_ == 2


@pytest.mark.parametrize(
    ("parameters", "n_features", "message"),
    [
        ({"constraint": "clip"}, 2, r"changed: constraint from normalise_spectra_ to None\. Change them back"),
        ({"generator": Dense((8,))}, 2, r"changed: generator__hidden_layer_sizes from \(16, 16\) to \(8,\)\."),
        ({"critic": Dense((8,), "celu")}, 2, r"changed: critic__hidden_layer_sizes .*, critic__activation from 'relu'"),
        ({"latent_dim": 3}, 2, r"changed: latent_dim from 2 to 3\."),
        ({"latent_dim": 2}, 1, r"changed: n_features from 2 to 1\."),
    ],
)
def test_going_on_with_other_networks_is_refused(X, parameters, n_features, message):
    """The message has the names of the parameters of the estimator."""
    generator = new("WGAN spectral-norm", max_iter=1, warm_start=True).fit(X).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        generator.fit(X[:, :n_features])


def test_a_fit_without_classes_forgets_them(X, y):
    generator = new("CramerGAN", max_iter=1).fit(X, y).fit(X)
    assert not hasattr(generator, "classes_")
    with pytest.raises(ValueError, match="fitted without classes"):
        generator.sample(3, y="low")


@pytest.mark.parametrize("name", ["FGAN " + name for name in sorted(DIVERGENCES)] + ["GAN"])
def test_divergence_and_classifier(name):
    """Samples are normal and the data have two modes: a critic soon separates regions of data and of samples."""
    X = np.random.RandomState(0).choice([-1.0, 1.0], (300, 1)) + 0.3 * np.random.RandomState(1).randn(300, 1)
    frozen = {
        "learning_rate": 2e-3,
        "n_critic": 300,
        "max_iter": 1,
        "critic": Dense((64, 64), "silu"),
        "generator": Standard,
    }
    generator = new(name, **frozen).fit(X)
    is_real = generator.classify(np.array([[-1.0], [1.0], [0.0], [-3.0], [3.0]]))
    assert is_real.tolist() == [True, True, False, False, False]
    assert generator.classify(X).dtype == bool
    values = generator.critic_function(X)
    threshold = DIVERGENCES["gan" if name == "GAN" else generator.divergence].threshold
    np.testing.assert_array_equal(generator.classify(X), values > np.float32(threshold))
    # The estimate is above that of a constant critic, and below the largest value of the divergence.
    low, high = {"GAN": (-np.log(4), 0), "FGAN gan": (-np.log(4), 0)}.get(name, (0, np.inf))
    if "jensen" in name:
        high = 2 * np.log(2)
    if "hellinger" in name:
        high = 2
    assert low + 0.05 < generator.divergence_ < high


class Standard(nn.Module):
    """A linear generator whose outputs are N(0, 1) for every weight."""

    def __init__(self, latent_dim, n_features):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, z):
        return z * self.weight.detach() + 0 * self.weight


class Moved(Dense):
    """A specification of a user: a linear generator that shifts its rows."""

    def generator(self, latent_dim, n_features):
        return Shifted, {"latent_dim": latent_dim, "n_features": n_features, "shift": 1.5}


def test_the_value_with_a_known_slope_is_a_bound(X):
    networks = {"generator": Moved(), "critic": Dense((32, 32), "groupsort")}
    generator = new("WGAN spectral-norm", n_critic=100, max_iter=2, learning_rate=1e-2, **networks).fit(X)
    found = generator.wasserstein_lower_bound_
    rows = map(generator.coordinates_.to_coordinates, (generator.sample(2000, random_state=0), X))
    exact = wasserstein_distance(*rows, p=1)
    # The bound holds for the samples of the fit; these are other samples.
    assert 0.5 * exact < found < 1.02 * exact
    # The weights have norm 1 up to the error of the power method.
    assert generator.critic_value_ == pytest.approx(found, rel=0.1)


@pytest.mark.parametrize("labelled", [False, True], ids=["", "classes"])
def test_the_critic_of_slope_one_is_one_of_distances(X, y, labelled):
    y = y if labelled else None
    whole = new("WGAN spectral-norm", critic=None).fit(X, y)
    assert isinstance(whole.net_.critic_, DistanceCritic)
    assert whole.critic_value_ == whole.wasserstein_lower_bound_
    pieces = pickle.loads(pickle.dumps(new("WGAN spectral-norm", critic=None, max_iter=15, warm_start=True).fit(X, y)))
    pieces.set_params(max_iter=25).fit(X, y)
    np.testing.assert_array_equal(pieces.sample(50, random_state=0), whole.sample(50, random_state=0))
    # The other constraints, and rows of more columns, have a network of layers.
    assert isinstance(new("WGAN clip", critic=None, max_iter=1).fit(X).net_.critic_, MLPCritic)
    wider = np.column_stack([X, X[::-1]])
    assert isinstance(new("WGAN spectral-norm", critic=None, max_iter=1).fit(wider).net_.critic_, MLPCritic)


def test_the_value_of_distances_is_nearly_the_distance(X):
    networks = {"generator": Moved(), "critic": Distances(64)}
    generator = new("WGAN spectral-norm", n_critic=100, max_iter=5, learning_rate=1e-2, **networks).fit(X)
    rows = map(generator.coordinates_.to_coordinates, (generator.sample(2000, random_state=0), X))
    # The distance is that of other samples than the value.
    assert 0.8 < generator.wasserstein_lower_bound_ / wasserstein_distance(*rows, p=1) < 1.02


def test_a_critic_of_distances_embeds_no_rows(X):
    with pytest.raises(ValueError, match="the game needs 16 outputs: use Dense"):
        new("CramerGAN", critic=Distances()).fit(X)


@pytest.mark.parametrize("name", ["WGAN gradient-penalty", "WGAN one-sided-penalty", "WGAN clip"])
def test_a_value_that_is_no_bound_is_not_called_one(X, name):
    generator = new("WGAN spectral-norm").fit(X)
    generator.set_params(constraint=METHODS[name].constraint).fit(X)
    assert isinstance(generator.critic_value_, float)
    assert not hasattr(generator, "wasserstein_lower_bound_")


def test_a_convolutional_critic_has_no_bound():
    images = np.random.RandomState(0).rand(8, 784)
    generator = new("WGAN spectral-norm", critic=Convolutional(2), max_iter=1, batch_size=4).fit(images)
    assert not hasattr(generator, "wasserstein_lower_bound_")


@pytest.mark.parametrize("name", ["WGAN gradient-penalty", "WGAN clip"])
def test_the_value_is_that_of_the_critic_function(X, name):
    generator = new(name, max_iter=200).fit(X)
    # The number of samples is that of the fit; these are other samples.
    values = [generator.critic_function(rows) for rows in (X, generator.sample(90, random_state=0))]
    spread = float(values[1].std()) * (2 / 90) ** 0.5
    found = generator.critic_value_
    assert found == pytest.approx(values[0].mean() - values[1].mean(), abs=4 * spread)


def test_paper_values_of_reg(X):
    assert [CONSTRAINTS[name].reg for name in ("gradient-penalty", "one-sided-penalty")] == [0.1, 0.1]
    largest = {}
    for reg in ("auto", 0.2):
        critic = new("WGAN clip", reg=reg).fit(X).net_.critic_
        largest[reg] = max(weight.abs().max().item() for weight in critic.parameters())
    assert largest == pytest.approx({"auto": 0.01, 0.2: 0.2})


class Shifted(nn.Module):
    def __init__(self, latent_dim, n_features, shift=2.0):
        super().__init__()
        self.linear = nn.Linear(latent_dim, n_features)
        self.shift = shift

    def forward(self, z):
        return self.linear(z) + self.shift


class Quadratic(nn.Module):
    def __init__(self, n_features, n_classes, n_outputs):
        super().__init__()
        self.n_outputs = n_outputs
        self.linear = nn.Linear(n_features + n_classes, n_outputs or 1, bias=False)

    def forward(self, x):
        h = self.linear(x) ** 2
        return h if self.n_outputs else h.squeeze(1)


@every_family
@pytest.mark.parametrize("labelled", [False, True], ids=["", "classes"])
def test_networks_of_your_own(X, y, name, labelled):
    generator = new(name, generator=Shifted, critic=Quadratic, latent_dim=3, max_iter=3)
    generator.fit(X, y if labelled else None)
    loaded = pickle.loads(pickle.dumps(generator))
    assert loaded.net_.average_.shift == 2
    assert loaded.net_.average_.linear.in_features == 3 + 2 * labelled
    assert [key.startswith("linear") for key in loaded.net_.critic_.state_dict()] == [True] * (
        3 if name == "WGAN spectral-norm" else 1
    )


@pytest.mark.parametrize("name", ["WGAN gradient-penalty", "CramerGAN"])
def test_images(name):
    rng = np.random.RandomState(0)
    images, y = rng.randint(256, size=(12, 28 * 28)).astype(np.uint8), np.arange(12) % 3
    small = {"generator": Convolutional(2), "critic": Convolutional(2), "batch_size": 6}
    generator = new(name, latent_dim=5, max_iter=2, **small).fit(images, y)
    samples = generator.sample(9, random_state=0, y=2)
    assert samples.shape == (9, 784)
    assert samples.min() >= 0
    assert samples.max() <= 255
    # Statistics of batches are only used in training; otherwise a sample would depend on its neighbours.
    np.testing.assert_allclose(generator._rows(torch.zeros(3, 8))[:1], generator._rows(torch.zeros(1, 8)), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_samples_have_the_dtype_of_the_data(X, dtype):
    assert new("CramerGAN", max_iter=1).fit(X.astype(dtype)).sample(3).dtype == dtype


def test_early_stopping_is_by_the_score_of_samples():
    # The start is a normal distribution with the moments of the rows.
    X = np.random.RandomState(0).exponential(5, (90, 2))
    generator = new("WGAN gradient-penalty", max_iter=2000, n_critic=1, early_stopping=True, n_iter_no_change=2)
    generator.fit(X)
    scores = [row["score"] for row in generator.history_]
    assert generator.n_iter_ < 2000
    best = int(np.argmax(scores))
    assert len(scores) == best + 3
    # The best networks are kept, and another fit without a gain keeps them again.
    then = new("WGAN gradient-penalty", max_iter=100 * (best + 1), n_critic=1, early_stopping=True).fit(X)
    again = copy.deepcopy(generator).set_params(warm_start=True, learning_rate=0.5, max_iter=200).fit(X)
    for other in (then, again):
        np.testing.assert_array_equal(other.sample(50, random_state=0), generator.sample(50, random_state=0))


def test_early_stopping_keeps_rows_of_every_class(X):
    y = np.arange(len(X)) == 7
    for seed in range(5):
        generator = new("CramerGAN", early_stopping=True, validation_fraction=0.9, max_iter=1, random_state=seed)
        samples = generator.fit(X, y).sample(5, random_state=0, y=True)
        assert np.isfinite(samples).all()


def test_scores_on_the_way_are_of_all_rows():
    """The score also uses all parts of the data if the rows are sorted and too many to be compared with all of them."""
    X = np.linspace(-3, 3, 4000)[:, None]
    generator = new("WGAN gradient-penalty", max_iter=1).fit(X)
    assert generator.history_[-1]["score"] == pytest.approx(generator.score(X), rel=0.3)
    assert generator.net_.start_score_ == pytest.approx(generator.score(X), rel=0.3)


class Leaving(Callback):
    """Move the averaged generator away from the data before the last block is scored."""

    def on_batch_end(self, net, **kwargs):
        if net.n_iter_ == 500:
            net.average_.linear.data.mul_(3)


def test_a_warning_if_samples_are_farther_than_at_the_start(X):
    with pytest.warns(ConvergenceWarning, match=r"score is -.*, and was -.*\. Lower learning_rate") as caught:
        new("GAN", max_iter=500, n_critic=1, callbacks=[Leaving()], **dense(8)).fit(X)
    assert caught[0].filename == __file__


class Column(nn.Module):
    """A critic, or a generator, with one column too many."""

    def __init__(self, n_features, n_classes=0, n_outputs=None, latent_dim=None):
        super().__init__()
        self.layer = nn.Linear(latent_dim or n_features, n_outputs or n_features + 1)

    def forward(self, x):
        return self.layer(x)[:, None] if self.layer.out_features > 3 else self.layer(x)


@pytest.mark.parametrize("name", ["WGANQC", "CramerGAN"])
@pytest.mark.parametrize("role", ["critic", "generator"])
def test_networks_of_another_shape_are_refused(X, name, role):
    with pytest.raises(ValueError, match=rf"{role} must map rows of shape \(2, 2\) to shape \(2,.*, not \(2, "):
        new(name, **{role: Column}).fit(X)


def test_parameters_of_networks_are_parameters_of_the_generator(X):
    generator = new("CramerGAN", critic=Dense((8, 8), "celu"), max_iter=1)
    assert generator.get_params()["critic__activation"] == "celu"
    generator.set_params(critic__hidden_layer_sizes=(4,), generator__activation="silu", reg=0.3)
    assert generator.critic.get_params() == Dense((4,), "celu").get_params()
    assert generator.fit(X).net_.critic_.layers[0].out_features == 4
    search = GridSearchCV(generator, {"generator__activation": ["relu", "celu"]}, cv=2).fit(X)
    assert search.best_estimator_.generator.activation == search.best_params_["generator__activation"]
    with pytest.raises(ValueError, match=r"'activation' parameter of Dense must be .*Got 'gelu'"):
        generator.set_params(critic__activation="gelu").fit(X)
    assert not hasattr(SemiDiscreteOTGenerator(), "critic")


def test_networks_by_default_are_dense(X):
    by_default, given = (
        WGANGenerator(**networks, max_iter=2, random_state=0).fit(X).sample(5, random_state=0)
        for networks in ({}, dense(128, 128, 128))
    )
    np.testing.assert_array_equal(by_default, given)


@pytest.mark.parametrize("name", ["CramerGAN", "WGAN clip"])
def test_a_network_with_tanh_keeps_samples_in_the_range_of_the_data(X, name):
    samples = new(name, generator=Dense((16,), output_activation="tanh")).fit(X).sample(500, random_state=0)
    assert samples.min() >= X.min() - 1e-5
    assert samples.max() <= X.max() + 1e-5


class Images(DCGANGenerator):
    """The network of `DCGANGenerator` with few channels."""

    def __init__(self, latent_dim, n_features):
        super().__init__(latent_dim, n_features, n_channels=2)


def test_a_class_with_tanh_keeps_samples_in_the_range_of_the_data():
    X = 100 + 9 * np.random.RandomState(0).rand(20, 28 * 28)
    generator = new("WGAN clip", generator=Images, latent_dim=4, max_iter=1, batch_size=8).fit(X)
    rows = generator.coordinates_.to_coordinates(X)
    np.testing.assert_allclose([rows.min(), rows.max()], [-1, 1])
    assert X.min() - 1e-4 <= generator.sample(50, random_state=0).min() <= X.max() + 1e-4


def test_a_fitted_classifier_is_that_of_its_divergence(X):
    generator = new("FGAN kl").fit(X)
    is_real, values = generator.classify(X), generator.critic_function(X)
    generator.set_params(divergence="gan")
    for other in (generator, pickle.loads(pickle.dumps(generator))):
        np.testing.assert_array_equal(other.classify(X), is_real)
        np.testing.assert_array_equal(other.critic_function(X), values)


class Watch(Callback):
    """Store the training rows, in the units of the data."""

    def on_train_begin(self, net, X=None, **kwargs):
        net.watched = X.x.numpy()


def test_held_out_rows_are_not_trained_on(X):
    generator = new("WGAN gradient-penalty", early_stopping=True, max_iter=1, callbacks=[Watch()]).fit(X)
    rows = generator.coordinates_.from_coordinates(generator.net_.watched)
    assert len(rows) == 81
    assert (np.abs(rows[:, None] - X).max(2).min(1) < 1e-4).all()


@every_family
@pytest.mark.parametrize("labelled", [False, True], ids=["", "classes"])
def test_rows_of_weight_zero_are_not_there(X, y, name, labelled):
    """Rows of weight 0 have no effect, bit for bit, and their labels have none."""
    used = np.arange(len(X)) % 3 > 0
    y = np.where(used, y, "unused") if labelled else None
    weighted = new(name, max_iter=5, early_stopping=True).fit(X, y, sample_weight=7.0 * used)
    without = new(name, max_iter=5, early_stopping=True).fit(X[used], y[used] if labelled else None)
    np.testing.assert_array_equal(weighted.sample(50, random_state=0), without.sample(50, random_state=0))
    if labelled:
        assert list(weighted.classes_) == ["high", "low"]


@every_family
def test_weights_are_learned(name):
    """The rows fill an interval evenly and their weights rise: the mean of the samples is the weighted mean."""
    X = np.linspace(-2, 2, 400)[:, None]
    weight = X[:, 0] + 2
    mean = np.average(X[:, 0], weights=weight)
    settings = {"max_iter": 200, "n_critic": 2, "batch_size": 64, "learning_rate": 5e-3}
    generator = new(name, **settings).fit(X, sample_weight=weight)
    # The tolerance allows for the circling of a game; without weights the mean is 0, and with them 2/3.
    assert generator.sample(4000, random_state=0).mean() == pytest.approx(mean, abs=0.2)
    # The score compares samples with the weighted rows, and the history with a draw of them.
    score = generator.score(X, sample_weight=weight)
    assert generator.history_[-1]["score"] == pytest.approx(score, rel=0.3, abs=5e-3)
    generator = new(name, max_iter=1).fit(X, X[:, 0] > 0, sample_weight=weight)
    assert generator.class_prior_ == pytest.approx([0.25, 0.75], abs=0.01)


@pytest.mark.parametrize("name", ["GAN", "WGAN gradient-penalty", "WGAN spectral-norm"])
def test_values_of_the_critic_follow_the_weights(X, name):
    """The data are two points with unequal weights; samples are N(0, 1) for all weights of the networks."""
    X, weight = np.array([[-1.0], [2.0]]), [0.9, 0.1]
    generator = new(name, generator=Standard, max_iter=30, learning_rate=1e-2).fit(X, sample_weight=weight)
    values = generator.critic_function(X)
    samples = generator.critic_function(generator.sample(4000, random_state=0))
    # The tolerance is for 4096 and 4000 samples; the rows are drawn by their weights up to rounding.
    error = 5 * float(samples.std()) * (2 / 4000) ** 0.5 + float(np.ptp(values)) / 4096
    if name == "GAN":
        bound = np.average(values, weights=weight) + np.log(-np.expm1(samples)).mean()
        assert generator.divergence_ == pytest.approx(bound, abs=error)
    else:
        value = np.average(values, weights=weight) - samples.mean()
        assert generator.critic_value_ == pytest.approx(value, abs=error)


def test_weights_are_routed():
    X, weight = np.random.RandomState(0).randn(60, 2), np.arange(60.0)
    game = new("CramerGAN", max_iter=2)
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(FunctionTransformer(), game.set_fit_request(sample_weight=True))
        samples = pipe.fit(X, sample_weight=weight)[-1].sample(5, random_state=0)
    np.testing.assert_array_equal(samples, clone(game).fit(X, sample_weight=weight).sample(5, random_state=0))
    assert not np.array_equal(samples, clone(game).fit(X).sample(5, random_state=0))


def test_instance_noise_blinds_the_critic():
    """For distributions that do not overlap the critic is certain without noise, and not certain with much noise."""
    X = 0.01 * np.random.RandomState(0).randn(200, 1) + np.random.RandomState(1).choice([-1, 1], (200, 1))
    settings = {"generator": Standard, "n_critic": 200, "max_iter": 1, "learning_rate": 1e-2}
    divergences = [new("GAN", **settings, instance_noise=std).fit(X).divergence_ for std in (0.0, 3.0)]
    assert divergences[0] > divergences[1] + 0.3


def test_one_random_state_one_generator(X, fitted):
    before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (it is this state that must not move)
    same = new("WGAN gradient-penalty").fit(X).sample(5, random_state=0)
    np.testing.assert_array_equal(same, fitted.sample(5, random_state=0))
    fresh = [new("GAN", max_iter=0, random_state=None).fit(X).sample(5) for _ in range(2)]
    assert not np.allclose(*fresh)
    np.testing.assert_equal(np.random.get_state()[1:], before[0][1:])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


class Interrupt(Callback):
    def on_train_begin(self, net, **kwargs):
        self.n_batches_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_batches_ += 1
        if self.n_batches_ == 150:
            signal.raise_signal(signal.SIGINT)


def test_an_interruption_keeps_the_generator(X):
    with pytest.warns(UserWarning, match="interrupted after 150 of 200 rounds") as caught:
        generator = new("WGANQC", max_iter=200, callbacks=[Interrupt()]).fit(X)
    assert caught[0].filename == __file__
    assert generator.n_iter_ == 150
    assert [row["n_iter"] for row in generator.history_] == [100]
    np.testing.assert_array_equal(
        generator.sample(5, random_state=0), new("WGANQC", max_iter=150).fit(X).sample(5, random_state=0)
    )


@every_family
def test_divergence_is_an_error_that_says_what_to_change(X, name, fitted):
    with pytest.raises(DivergenceError, match=r"Training diverged after .*Lower learning_rate \(now 1e\+30\)"):
        new(name, learning_rate=1e30).fit(X)
    generator = copy.deepcopy(fitted).set_params(learning_rate=1e30, warm_start=True)
    with pytest.raises(DivergenceError):
        generator.fit(X)
    np.testing.assert_array_equal(generator.sample(5, random_state=0), fitted.sample(5, random_state=0))


def test_searches(X):
    cv = KFold(2, shuffle=True, random_state=0)
    grid = {"constraint": ["gradient-penalty", "one-sided-penalty", "spectral-norm", "clip"], "reg": [0.1, 1.0]}
    search = GridSearchCV(new("WGAN gradient-penalty", max_iter=20), grid, cv=cv).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    # reg has an effect with the first and the last constraint, but not with spectral-norm.
    first, *_, normalised, last = scores.reshape(4, 2)
    assert first[0] != first[1]
    assert normalised[0] == normalised[1]
    assert last[0] != last[1]
    assert search.score(X) == search.best_estimator_.score(X)
    assert search.best_estimator_.sample(3).shape == (3, 2)


def test_searches_with_classes(X, y):
    search = GridSearchCV(new("CramerGAN", max_iter=5), {"reg": [0.1, 1.0]}, cv=2).fit(X, y)
    assert list(search.best_estimator_.classes_) == ["high", "low"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"constraint": "none"}, "'constraint' parameter"),
        ({"reg": -1}, "'reg' parameter"),
        ({"n_critic": 0}, "'n_critic' parameter"),
        ({"batch_size": 1}, "'batch_size' parameter"),
        ({"critic": Convolutional()}, "Rows of 2 features are not images"),
        ({"critic": "mlp"}, "'mlp' cannot be the critic"),
        ({"generator": dict}, "<class 'dict'> cannot be the generator"),
        ({"critic": Dense((8, 0))}, r"one or more positive integers, got \(8, 0\)"),
        ({"warm_start": True, "generator": Dense((8,))}, r"generator__hidden_layer_sizes from \(16, 16\) to \(8,\)"),
        ({"warm_start": True, "critic": Dense((16, 16), "celu")}, "critic__activation from 'relu' to 'celu'"),
        ({"warm_start": True, "critic": Quadratic}, "critic from MLPCritic to Quadratic"),
        ({"warm_start": True, "constraint": "spectral-norm"}, "constraint from None to normalise_spectra_"),
    ],
)
def test_bad_parameters(X, fitted, parameters, message):
    """There is one clear error, and the generator does not change."""
    generator = copy.deepcopy(fitted).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        generator.fit(X)
    np.testing.assert_array_equal(generator.sample(5, random_state=0), fitted.sample(5, random_state=0))


def test_networks_are_those_of_the_parameters(fitted):
    assert isinstance(fitted.net_.module_, MLPGenerator)
    assert isinstance(fitted.net_.critic_, MLPCritic)
    docs = WGANGenerator.__doc__
    assert "<parameters>" not in docs
    assert "max_iter : int" in docs
    assert f"n_critic : int, default={WGANGenerator().n_critic}\n" in docs


@pytest.mark.slow
@pytest.mark.parametrize("method", [WGANGenerator, CramerGAN])
@pytest.mark.parametrize(
    ("make", "modes", "std", "quality", "divergence"),
    [(make_gaussian_ring, ring_modes(), 0.01, 0.96, 0.07), (make_gaussian_grid, grid_modes(), 0.05, 0.94, 0.04)],
)
def test_published_toys_by_the_defaults(method, make, modes, std, quality, divergence):
    generator = method(random_state=0).fit(make(2500, random_state=0))
    coverage = mode_coverage(generator.sample(2500, random_state=500), modes, std)
    # Bars that are above the best published table for this protocol.
    assert coverage.n_modes == len(modes)
    assert coverage.high_quality >= quality
    assert coverage.reverse_kl <= divergence


@pytest.mark.slow
def test_a_critic_of_distances_finds_the_clusters_of_the_grid():
    """With layers of normalised weights 2 % of the samples were near a cluster."""
    generator = WGANGenerator("spectral-norm", random_state=1).fit(make_gaussian_grid(2500, random_state=1))
    coverage = mode_coverage(generator.sample(2500, random_state=501), grid_modes(), 0.05)
    assert coverage.n_modes == 25
    assert coverage.high_quality >= 0.9
    assert coverage.reverse_kl <= 0.05


def test_moments_of_samples_are_matched_where_training_is_short():
    """Means, spreads and correlations, which the untrained generator does not have."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((2000, 4)) @ rng.standard_normal((4, 4)) + [5, 0, -3, 100]
    X[:, 0] = np.where(rng.rand(2000) < 0.3, X[:, 0] - 9, X[:, 0])
    plain, matched = (new("WGAN gradient-penalty", match_moments=is_matched).fit(X) for is_matched in (False, True))
    samples, size = matched.sample(20_000, random_state=0), X.std(axis=0)
    # Both distributions are cut off at three deviations, and means of 20 000 samples have errors of 1 % of a deviation.
    np.testing.assert_allclose(samples.mean(axis=0) / size, X.mean(axis=0) / size, atol=0.03)
    np.testing.assert_allclose(samples.std(axis=0) / size, 1, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(samples.T), np.corrcoef(X.T), atol=0.05)
    assert abs(np.corrcoef(plain.sample(20_000, random_state=0).T) - np.corrcoef(X.T)).max() > 0.2
    # Another fit without the correction has none.
    assert not hasattr(matched.set_params(match_moments=False).fit(X), "correction_")


def test_matched_moments_of_weighted_rows_and_of_classes(X, y):
    counts = np.where(y == "high", 3, 1)
    weighted = new("WGAN gradient-penalty", match_moments=True).fit(X, y, sample_weight=counts)
    samples = weighted.sample(20_000, random_state=0)
    mean, std = np.average(X, axis=0, weights=counts), np.repeat(X, counts, axis=0).std(axis=0)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=0.05 * std.max())
    np.testing.assert_allclose(samples.std(axis=0) / std, 1, atol=0.05)


def test_matched_moments_go_on_after_a_pickle_and_leave_bounded_samples(X):
    whole = new("WGAN gradient-penalty", max_iter=20, match_moments=True).fit(X)
    pieces = new("WGAN gradient-penalty", max_iter=7, match_moments=True, warm_start=True).fit(X)
    pieces = pickle.loads(pickle.dumps(pieces)).set_params(max_iter=13).fit(X)
    np.testing.assert_array_equal(pieces.sample(50, random_state=0), whole.sample(50, random_state=0))
    bounded = new("WGAN gradient-penalty", match_moments=True, generator=Dense((8,), output_activation="tanh")).fit(X)
    samples = bounded.sample(1000, random_state=0)
    assert bounded.correction_ is None
    assert (samples >= X.min()).all()
    assert (samples <= X.max()).all()

"""SemiDiscreteOTGenerator: closed forms, units, training in parts, copies, bad input; published toys (slow)."""

import copy
import math
import pickle
import signal
import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sklearn_ot.datasets import grid_modes, make_gaussian_grid, make_gaussian_ring, ring_modes
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.generation import SemiDiscreteOTGenerator
from sklearn_ot.metrics import mode_coverage, wasserstein_distance
from sklearn_ot.networks import Convolutional, Dense
from sklearn_ot.nn import DCGANGenerator

SHORT = {
    "generator": Dense((16, 16)),
    "n_fit_samples": 500,
    "n_fit_steps": 100,
    "learning_rate": 2e-2,
    "max_samples": 20_000,
    "batch_size": 64,
    "max_iter": 2,
    "random_state": 0,
}


def short_fit(X, sample_weight=None, **parameters):
    return SemiDiscreteOTGenerator(**{**SHORT, **parameters}).fit(X, sample_weight=sample_weight)


def without_times(history):
    return [{key: value for key, value in row.items() if key != "dur"} for row in history]


@pytest.fixture(scope="module", name="X")
def rows():
    rng = np.random.RandomState(0)
    return 0.3 * rng.standard_normal((40, 3)) + rng.choice([-2, 2], (40, 3)) + [10, 0, -5]


@pytest.fixture(scope="module")
def fitted(X):
    return short_fit(X)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        # z is N(0, 1), the points are -1 and 1: E(|z| - 1)², E||z| - 1| and E||z| - 1|³.
        ("sqeuclidean", math.sqrt(2 - 2 * math.sqrt(2 / math.pi))),
        ("euclidean", 0.5358),
        ("cityblock", 0.5358),
        (3, 0.7216),
    ],
)
def test_distance_of_the_start_from_two_points(cost, expected):
    generator = short_fit([[-5.0], [15.0]], cost=cost, max_iter=0, n_fit_samples=50_000, scaling="common")
    assert generator.n_iter_ == 0
    assert [row["n_iter"] for row in generator.history_] == [0]
    # With 50 000 samples the standard error is 0.3 % of the cost; the effect of wrong masses is of second order.
    assert generator.wasserstein_distance_ == pytest.approx(10 * expected, rel=0.02)


def test_reported_distance_is_the_exact_one(X, fitted):
    samples, X = map(fitted.coordinates_.to_coordinates, (fitted.sample(2000, random_state=0), X))
    exact = wasserstein_distance(samples, X)
    # The tolerance allows for 500 samples of distances with a deviation of a half, and for an error of the masses of 10
    # %.
    assert fitted.wasserstein_distance_ == pytest.approx(exact, rel=0.1)
    assert fitted.wasserstein_distance_ == fitted.history_[-1]["distance"]


def test_distance_falls(X, fitted):
    distances = [row["distance"] for row in fitted.history_]
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 0.7 * distances[0]
    # The loss at the end of the regression is the squared distance, or more if the assignment improves afterwards.
    for row in fitted.history_[1:]:
        assert row["distance"] < 1.1 * math.sqrt(row["train_loss"])


def test_weights_are_learned():
    X = np.array([[0.0], [1.0], [7.0]])
    generator = short_fit(X, sample_weight=[1, 0, 3], n_fit_steps=300)
    samples = generator.sample(4000, random_state=0)
    # A few samples lie between the two points.
    assert np.mean(samples > 3.5) == pytest.approx(0.75, abs=0.03)
    assert np.mean(np.minimum(np.abs(samples), np.abs(samples - 7)) < 0.5) > 0.9


def test_a_weight_is_a_repetition(X):
    weights = np.random.RandomState(0).randint(3, size=len(X))
    weighed, repeated = short_fit(X, weights, max_iter=1), short_fit(np.repeat(X, weights, axis=0), max_iter=1)
    # Equal rows are one point, so the fits differ only by the rounding of sums of weights.
    np.testing.assert_allclose(weighed.sample(50, random_state=0), repeated.sample(50, random_state=0), atol=1e-3)


def test_units_never_matter(X, fitted):
    # A power of two does not change the rounding.
    factors = np.array([1024, 2.0**-40, 1])
    scaled = short_fit(factors * X)
    np.testing.assert_array_equal(scaled.sample(50, random_state=0), factors * fitted.sample(50, random_state=0))
    assert scaled.wasserstein_distance_ == fitted.wasserstein_distance_


def test_with_a_common_scale_distances_are_those_of_the_data(X):
    fitted, scaled = (short_fit(factor * X, scaling="common", max_iter=1) for factor in (1, 1024))
    np.testing.assert_array_equal(scaled.sample(50, random_state=0), 1024 * fitted.sample(50, random_state=0))
    assert scaled.wasserstein_distance_ == 1024 * fitted.wasserstein_distance_
    exact = wasserstein_distance(fitted.sample(2000, random_state=0), X)
    assert fitted.wasserstein_distance_ == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_samples_have_the_dtype_and_place_of_the_data(X, fitted, dtype):
    generator = short_fit(X.astype(dtype))
    samples = generator.sample(500, random_state=0)
    assert samples.dtype == dtype
    # Two rounds are enough for the moments, in units in which a feature has size 2.
    np.testing.assert_allclose(samples.mean(axis=0), X.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(samples.std(axis=0), X.std(axis=0), atol=0.5)


@pytest.mark.parametrize("copied", [lambda e: e, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_training_in_pieces_is_training_in_one_go(X, fitted, copied):
    generator = short_fit(X, max_iter=1, warm_start=True)
    generator = copied(generator).fit(X)
    assert generator.n_iter_ == 2
    np.testing.assert_array_equal(generator.sample(50, random_state=0), fitted.sample(50, random_state=0))
    assert without_times(generator.history_) == without_times(fitted.history_)


def test_going_on_with_other_rows(X):
    generator = short_fit(X, max_iter=1, warm_start=True)
    coordinates = generator.coordinates_
    generator.fit(X[::2] + 1)
    assert [row["n_iter"] for row in generator.history_] == [0, 1, 1, 2]
    assert generator.coordinates_ is coordinates
    assert len(generator.net_.potential_) == 20


def test_the_progress_bar_shows_the_distance_of_the_history(X, capsys):
    generator = short_fit(100 * X, max_iter=1, verbose=1)
    assert f"distance={generator.wasserstein_distance_:.4g}" in capsys.readouterr().err


def test_a_weight_that_float32_takes_for_zero_is_no_error(X):
    weight = np.ones(len(X))
    weight[0] = 1e-50
    assert short_fit(X, sample_weight=weight, max_iter=1).n_iter_ == 1


def test_going_on_with_another_cost(X):
    generator = short_fit(X, max_iter=1, warm_start=True)
    generator.set_params(cost="euclidean").fit(X)
    # With another cost, as with other rows, a transport is computed before the first round; with the same cost it is
    # not.
    assert [row["n_iter"] for row in generator.history_] == [0, 1, 1, 2]
    assert [row["n_iter"] for row in generator.fit(X).history_] == [0, 1, 1, 2, 3]


def test_going_on_with_another_network_is_refused(X, fitted):
    generator = copy.deepcopy(fitted).set_params(warm_start=True, generator=Dense((8,)))
    with pytest.raises(ValueError, match=r"generator__hidden_layer_sizes from \(16, 16\) to \(8,\)"):
        generator.fit(X)
    np.testing.assert_array_equal(generator.sample(5, random_state=0), fitted.sample(5, random_state=0))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies_are_equal_bit_for_bit(fitted, copied):
    other = copied(fitted)
    np.testing.assert_array_equal(other.sample(50, random_state=0), fitted.sample(50, random_state=0))
    assert other.history_ == fitted.history_
    assert other.net_.history == copied(other).net_.history


def test_a_pickle_holds_no_tensor(fitted):
    assert b"torch" not in pickle.dumps(fitted)


def test_a_pickle_of_a_device_that_is_not_here_loads_on_the_cpu(fitted):
    loaded = pickle.loads(pickle.dumps(copy.deepcopy(fitted).set_params(device="cuda:99")))
    # In float32, and on two devices if "auto" is not the CPU.
    np.testing.assert_allclose(loaded.sample(5, random_state=0), fitted.sample(5, random_state=0), atol=1e-5)


def test_one_random_state_one_generator(X, fitted):
    before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (it is this state that must not move)
    same = short_fit(X).sample(5, random_state=0)
    np.testing.assert_array_equal(same, fitted.sample(5, random_state=0))
    fresh = [short_fit(X, max_iter=0, random_state=None).sample(5) for _ in range(2)]
    assert not np.allclose(*fresh)
    np.testing.assert_equal(np.random.get_state()[1:], before[0][1:])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])


class Interrupt(Callback):
    def __init__(self, batch):
        self.batch = batch

    def on_train_begin(self, net, **kwargs):
        self.n_batches_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_batches_ += 1
        if self.n_batches_ == self.batch:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_round_has_not_been(X):
    with pytest.warns(UserWarning, match="interrupted after 1 of 2 rounds") as caught:
        generator = short_fit(X, callbacks=[Interrupt(150)])
    assert caught[0].filename == __file__
    assert generator.n_iter_ == 1
    whole = short_fit(X, max_iter=1)
    np.testing.assert_array_equal(generator.sample(50, random_state=0), whole.sample(50, random_state=0))
    assert without_times(generator.history_) == without_times(whole.history_)
    # The interrupted round has no effect on the state of the optimiser either.
    both = [
        g.set_params(callbacks=None, warm_start=True, max_iter=1).fit(X).sample(5, random_state=0)
        for g in (generator, whole)
    ]
    np.testing.assert_array_equal(*both)


def test_callbacks_see_rounds(X):
    """A callback that ends training is no interruption."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Training was interrupted")
        generator = short_fit(X, max_iter=9, callbacks=[EarlyStopping("distance", patience=1, threshold=0.99)])
    assert generator.n_iter_ == 2


def test_divergence_is_an_error(X, fitted):
    generator = copy.deepcopy(fitted).set_params(learning_rate=1e30, warm_start=True)
    with pytest.raises(DivergenceError, match=r"after 2 rounds: train_loss is .*\. Lower learning_rate \(now 1e\+30\)"):
        generator.fit(X)
    np.testing.assert_array_equal(generator.sample(5, random_state=0), fitted.sample(5, random_state=0))


class Shifted(nn.Module):
    def __init__(self, latent_dim, n_features, shift=2.0):
        super().__init__()
        self.linear = nn.Linear(latent_dim, n_features)
        self.shift = shift

    def forward(self, z):
        return self.linear(z) + self.shift


def test_a_network_of_your_own(X):
    generator = short_fit(X, generator=Shifted, latent_dim=1)
    loaded = pickle.loads(pickle.dumps(generator))
    assert loaded.net_.module_.shift == 2
    # The points of a line in three dimensions have one singular value above rounding.
    singular = np.linalg.svd(loaded.sample(20, random_state=0) - loaded.sample(1, random_state=1), compute_uv=False)
    assert singular[1] < 1e-4 * singular[0]


class NotFinite(Shifted):
    def __init__(self, latent_dim, n_features):
        super().__init__(latent_dim, n_features, float("nan"))


def test_a_network_that_makes_no_numbers_is_refused(X):
    with pytest.raises(DivergenceError, match="not finite after 0 rounds of training"):
        short_fit(X, generator=NotFinite)


def test_images(monkeypatch):
    images = np.random.RandomState(0).randint(256, size=(12, 28 * 28)).astype(np.uint8)
    generator = short_fit(
        images,
        generator=Convolutional(2),
        latent_dim=5,
        n_fit_samples=24,
        n_fit_steps=2,
        max_iter=1,
    )
    assert isinstance(generator.net_.module_, DCGANGenerator)
    assert generator.net_.module_.layers[-2].in_channels == 2
    samples = generator.sample(9, random_state=0)
    assert samples.dtype == np.float64
    assert samples.min() >= 0
    assert samples.max() <= 255
    # Statistics of batches are only used in training; otherwise a sample would depend on its neighbours.
    monkeypatch.setattr("sklearn_ot.generation._neural.CHUNK_ROWS", 2)
    np.testing.assert_allclose(generator.sample(9, random_state=0), samples, atol=1e-3)


def test_tanh_keeps_samples_in_the_range_of_the_data(X):
    samples = short_fit(X, generator=Dense((16,), output_activation="tanh")).sample(1000, random_state=0)
    assert samples.min() >= X.min() - 1e-5
    assert samples.max() <= X.max() + 1e-5


def test_equal_rows():
    generator = short_fit(np.full((5, 2), 3.0), n_fit_steps=300)
    np.testing.assert_allclose(generator.sample(20, random_state=0), 3, atol=0.5)


class Wide(nn.Linear):
    """A generator with one output too many."""

    def __init__(self, latent_dim, n_features):
        super().__init__(latent_dim, n_features + 1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"generator": Dense(())}, r"one or more positive integers, got \(\)"),
        ({"generator": Dense((8, 0))}, r"one or more positive integers, got \(8, 0\)"),
        ({"device": "cuda:99"}, "device='cuda:99' is not available here"),
        ({"generator": Convolutional()}, "Rows of 3 features are not images"),
        ({"generator": dict}, "<class 'dict'> cannot be the generator"),
        ({"generator": Wide}, r"generator must map rows of shape \(2, 3\) to shape \(2, 3\), not \(2, 4\)"),
        ({"cost": "cosine"}, "'cost' parameter"),
        ({"cost": 0.5}, "'cost' parameter"),
        ({"rebalance": 2}, "'rebalance' parameter"),
    ],
)
def test_bad_parameters(X, fitted, parameters, message):
    """There is one clear error, and the generator does not change."""
    generator = copy.deepcopy(fitted).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        generator.fit(X)
    np.testing.assert_array_equal(generator.sample(5, random_state=0), fitted.sample(5, random_state=0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("make", "modes", "std"), [(make_gaussian_ring, ring_modes(), 0.01), (make_gaussian_grid, grid_modes(), 0.05)]
)
def test_published_toys_by_the_defaults(make, modes, std, seed):
    generator = SemiDiscreteOTGenerator(random_state=seed).fit(make(2500, random_state=seed))
    coverage = mode_coverage(generator.sample(2500, random_state=seed), modes, std)
    # Bars that the generator reached when it was written.
    assert coverage.n_modes == len(modes)
    assert coverage.high_quality >= 0.95
    assert coverage.reverse_kl <= 0.04


def wide_rows():
    rng = np.random.RandomState(0)
    return 5 + rng.standard_normal((60, 20)) @ rng.standard_normal((20, 20))


@pytest.mark.parametrize("scaling", ["columns", "common"])
def test_samples_have_the_mean_and_the_covariance_of_the_rows(scaling):
    X = wide_rows()
    samples, size = short_fit(X, scaling=scaling).sample(20_000, random_state=0), X.std(axis=0)
    # Both distributions are cut off at three deviations for the comparison, where a normal one loses 1 % of its
    # variance, and the error of the means of 20 000 samples is 1 % of a deviation.
    np.testing.assert_allclose(samples.mean(axis=0) / size, X.mean(axis=0) / size, atol=0.03)
    np.testing.assert_allclose(samples.std(axis=0) / size, 1, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(samples.T), np.corrcoef(X.T), atol=0.05)


def test_a_far_row_does_not_decide_the_correction():
    X = wide_rows()
    with pytest.warns(UserWarning, match="far out"):
        generator = short_fit(np.vstack([X, np.full(20, 1e4)]))
    spreads = [np.subtract(*np.quantile(rows, [0.75, 0.25], axis=0)) for rows in (generator.sample(4000, 0), X)]
    # Quartiles of 60 rows have errors of 20 %. Without the correction the median ratio is 0.74.
    assert np.median(spreads[0] / spreads[1]) == pytest.approx(1, abs=0.2)


def test_bounded_samples_are_not_corrected(X):
    generator = short_fit(X, generator=Dense((16, 16), output_activation="tanh"))
    samples = generator.sample(1000, random_state=0)
    assert (samples >= X.min()).all()
    assert (samples <= X.max()).all()
    assert generator.correction_ is None

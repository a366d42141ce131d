"""Codes of rows: their size, what they restore, units, weights, and arguments that cannot be used."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.networks import Convolutional, Dense
from sklearn_ot.representation import Autoencoder

RNG = np.random.RandomState(0)
ANGLE = RNG.uniform(0, 2 * np.pi, 600)
# A closed curve in four dimensions.
CURVE = np.column_stack([np.cos(ANGLE), np.sin(ANGLE), np.cos(2 * ANGLE) / 2, np.sin(2 * ANGLE) / 2])
SMALL = Autoencoder(2, network=Dense((32,), "silu"), max_iter=300, random_state=0)
DIGITS = load_digits().data
BOUNDED = Dense((64, 32), "silu", "tanh")


def squared_error(autoencoder, X):
    return np.square(autoencoder.inverse_transform(autoencoder.transform(X)) - X).sum(axis=1)


def test_a_curve_needs_fewer_columns_than_principal_components():
    """The best two components leave a variance of ¼ of 1¼."""
    autoencoder = clone(SMALL).set_params(scaling="common", max_iter=1500).fit(CURVE)
    assert np.mean(squared_error(autoencoder, CURVE)) < 0.02
    pca = PCA(2).fit(CURVE)
    assert np.mean(np.square(pca.inverse_transform(pca.transform(CURVE)) - CURVE).sum(axis=1)) > 0.2


@pytest.mark.parametrize("weight", [None, RNG.exponential(size=600)])
@pytest.mark.parametrize("max_iter", [0, 100])
def test_codes_of_the_training_rows_are_standardised(weight, max_iter):
    autoencoder = clone(SMALL).set_params(max_iter=max_iter).fit(CURVE, sample_weight=weight)
    codes = autoencoder.transform(CURVE)
    mean = np.average(codes, axis=0, weights=weight)
    # The numbers are found in float32.
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(np.average(np.square(codes - mean), axis=0, weights=weight), 1, rtol=1e-5)


def test_the_size_of_codes_in_training_is_that_after_it():
    """A batch of all rows has the same codes, but for the small variance that is added in training."""
    autoencoder = clone(SMALL).set_params(max_iter=200, batch_size=600, early_stopping=False).fit(CURVE)
    autoencoder.net_.module_.train()
    rows = torch.from_numpy(autoencoder.coordinates_.to_coordinates(CURVE)).float()
    in_training = autoencoder.net_.module_.encode(rows).detach().numpy()
    np.testing.assert_allclose(in_training, autoencoder.transform(CURVE), rtol=1e-3)


@pytest.mark.parametrize(
    ("X", "network", "unit"),
    [(CURVE, Dense((8,), "silu"), 1.0), (255 * CURVE, Dense((8,), "silu"), 255), (DIGITS, BOUNDED, 16)],
    ids=["curve", "curve times 255", "images"],
)
def test_the_score_is_minus_the_squared_error_of_a_row(X, network, unit):
    autoencoder = Autoencoder(2, network=network, scaling="common", max_iter=50, random_state=0).fit(X)
    errors, weight = squared_error(autoencoder, X), np.arange(len(X)) % 3
    assert autoencoder.score(X) == pytest.approx(-errors.mean())
    assert autoencoder.score(X, sample_weight=weight) == pytest.approx(-np.average(errors, weights=weight))


def test_units_of_columns_have_no_effect():
    """Powers of two change no digit."""
    unit, place = np.array([1.0, 2**10, 2**-10, 1.0]), np.array([0.0, 0.0, 0.0, 4.0])
    plain, scaled = clone(SMALL).fit(CURVE), clone(SMALL).fit(CURVE * unit)
    np.testing.assert_array_equal(scaled.transform(CURVE * unit), plain.transform(CURVE))
    codes = plain.transform(CURVE)
    np.testing.assert_array_equal(scaled.inverse_transform(codes), plain.inverse_transform(codes) * unit)
    assert scaled.score(CURVE * unit) == plain.score(CURVE)
    moved = clone(SMALL).fit(CURVE + place)
    np.testing.assert_allclose(moved.score(CURVE + place), plain.score(CURVE), rtol=0.1)


@pytest.mark.parametrize("largest", [1.0, 255.0])
def test_images_stay_in_their_range(largest):
    images = DIGITS / 16 * largest
    autoencoder = Autoencoder(8, network=BOUNDED, max_iter=200, random_state=0).fit(images)
    rows = autoencoder.inverse_transform(10 * RNG.standard_normal((100, 8)))
    assert rows.min() >= 0
    assert rows.max() <= largest
    np.testing.assert_allclose(autoencoder.coordinates_.scale, largest / 2)


def test_digits_are_restored_better_than_by_as_many_components():
    train, test = DIGITS[::2], DIGITS[1::2]
    autoencoder = Autoencoder(4, network=BOUNDED, scaling="common", random_state=0).fit(train)
    pca = PCA(4).fit(train)
    error = np.square(pca.inverse_transform(pca.transform(test)) - test).sum(axis=1).mean()
    assert -autoencoder.score(test) < 0.85 * error


@pytest.mark.parametrize("side", [28, 32, 64])
@pytest.mark.parametrize("n_colours", [1, 3])
def test_convolutions_take_images(side, n_colours):
    images = RNG.uniform(0, 1, (12, side * side * n_colours)).astype(np.float32)
    autoencoder = Autoencoder(3, network=Convolutional(2), max_iter=2, batch_size=4, random_state=0).fit(images)
    codes = autoencoder.transform(images)
    assert codes.shape == (12, 3)
    rows = autoencoder.inverse_transform(codes)
    assert rows.shape == images.shape
    assert rows.dtype == np.float32
    assert 0 <= rows.min() <= rows.max() <= 1


@pytest.mark.parametrize(("n_features", "expected"), [(1, 1), (2, 1), (13, 6), (64, 16)])
def test_the_default_number_of_columns(n_features, expected):
    X = RNG.standard_normal((30, n_features))
    autoencoder = Autoencoder(network=Dense((8,)), max_iter=1).fit(X)
    assert autoencoder.transform(X).shape == (30, expected)
    assert len(autoencoder.get_feature_names_out()) == expected


def test_a_small_table():
    """With 89 rows of 13 columns the networks fit noise, but PCA is one of the candidates."""
    X = StandardScaler().fit_transform(load_wine().data)
    scores = [Autoencoder(random_state=seed).fit(X[::2]).score(X[1::2]) for seed in range(2)]
    pca = PCA(6).fit(X[::2])
    error = np.square(pca.inverse_transform(pca.transform(X[1::2])) - X[1::2]).sum(axis=1).mean()
    assert -np.mean(scores) < 1.1 * error


def test_constant_columns_are_restored():
    X = np.column_stack([CURVE, np.full(600, 7.5), np.full(600, 1e6)])
    autoencoder = clone(SMALL).fit(X)
    np.testing.assert_array_equal(autoencoder.transform(X), clone(SMALL).fit(CURVE).transform(CURVE))
    np.testing.assert_array_equal(autoencoder.inverse_transform(RNG.standard_normal((5, 2)))[:, 4:], [[7.5, 1e6]] * 5)


@pytest.mark.parametrize("X", [np.full((20, 3), 5.0), np.repeat([[0.0, 1, 2], [3, 5, 9]], 10, axis=0)])
def test_equal_rows_are_restored(X):
    autoencoder = clone(SMALL).set_params(latent_dim=1, max_iter=500).fit(X)
    assert np.isfinite(autoencoder.transform(X)).all()
    np.testing.assert_allclose(autoencoder.inverse_transform(autoencoder.transform(X)), X, atol=0.2)


def test_one_code_for_each_row_in_any_batch():
    autoencoder = clone(SMALL).fit(CURVE)
    codes = autoencoder.transform(CURVE)
    np.testing.assert_allclose(autoencoder.transform(CURVE[5:6]), codes[5:6], rtol=1e-12)


def test_weights_are_as_many_equal_rows():
    weight = np.arange(600) % 4
    weighted = clone(SMALL).fit(CURVE, sample_weight=weight)
    repeated = clone(SMALL).fit(np.repeat(CURVE, weight, axis=0)[::-1])
    np.testing.assert_array_equal(weighted.transform(CURVE), repeated.transform(CURVE))
    assert not np.array_equal(weighted.transform(CURVE), clone(SMALL).fit(CURVE).transform(CURVE))


def test_heavy_rows_are_restored_better():
    X = np.concatenate([CURVE, RNG.standard_normal((600, 4))])
    weight = np.repeat([1.0, 0.01], 600)
    light, heavy = (clone(SMALL).fit(X, sample_weight=w) for w in (weight[::-1], weight))
    heavy, light = (np.mean(squared_error(autoencoder, CURVE)) for autoencoder in (heavy, light))
    assert heavy < 0.8 * light


def test_tables_have_names_of_columns():
    table = pd.DataFrame(CURVE, columns=list("abcd"))
    autoencoder = clone(SMALL).set_output(transform="pandas").fit(table)
    codes = autoencoder.transform(table)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"]
    np.testing.assert_array_equal(autoencoder.inverse_transform(codes), autoencoder.inverse_transform(codes.to_numpy()))
    with pytest.raises(ValueError, match="feature names"):
        autoencoder.transform(table[["b", "a", "c", "d"]])


def test_a_search_in_a_pipeline_over_columns_and_networks():
    pipe = make_pipeline(StandardScaler(), clone(SMALL))
    grid = {"autoencoder__latent_dim": [1, 3], "autoencoder__network__activation": ["silu", "relu"]}
    search = GridSearchCV(pipe, grid, cv=KFold(3, shuffle=True, random_state=0), error_score="raise").fit(CURVE)
    assert search.best_params_["autoencoder__latent_dim"] == 3


def test_another_fit_goes_on():
    autoencoder = clone(SMALL).set_params(warm_start=True, max_iter=100).fit(CURVE)
    first, coordinates = autoencoder.score(CURVE), autoencoder.coordinates_
    autoencoder.fit(CURVE[:300])
    assert autoencoder.n_iter_ == 200
    assert [row["n_iter"] for row in autoencoder.history_] == [100, 200]
    assert autoencoder.coordinates_ is coordinates
    assert autoencoder.score(CURVE[:300]) > first
    with pytest.warns(UserWarning, match="X has another mean or size now in columns 0, 1, 2 and 3"):
        autoencoder.fit(10 * CURVE)
    for changed, name in ((clone(SMALL).network, "hidden_layer_sizes"), (None, "latent_dim")):
        params = {"network": Dense((8,), "silu")} if changed is not None else {"latent_dim": 1}
        with pytest.raises(ValueError, match=rf"these parameters changed: .*{name}|network__"):
            clone_of(autoencoder).set_params(**params).fit(CURVE)
    with pytest.raises(ValueError, match="n_features from 4 to 3"):
        autoencoder.fit(CURVE[:, :3])


def clone_of(fitted):
    """A fitted copy."""
    import pickle

    return pickle.loads(pickle.dumps(fitted))


class Stop(Callback):
    """Interrupts training like the keyboard, in a step."""

    def __init__(self, step, is_signal):
        self.step, self.is_signal = step, is_signal

    def on_batch_end(self, net, **kwargs):
        if net.n_fitted_ == self.step:
            if self.is_signal:
                import signal

                signal.raise_signal(signal.SIGINT)
            raise KeyboardInterrupt


def test_an_interruption_keeps_the_networks():
    autoencoder = clone(SMALL).set_params(callbacks=[Stop(150, is_signal=True)])
    with pytest.warns(UserWarning, match="interrupted after 150 of 300 steps"):
        autoencoder.fit(CURVE)
    assert autoencoder.n_iter_ == 150
    assert [row["n_iter"] for row in autoencoder.history_] == [100]
    np.testing.assert_allclose(autoencoder.transform(CURVE).std(axis=0), 1, rtol=1e-5)


class Small(nn.Module):
    """A network of the user."""

    def __init__(self, n_features, latent_dim, n_codes=None):
        super().__init__()
        self.inner = nn.Linear(n_features, n_codes or latent_dim)
        self.outer = nn.Linear(latent_dim, n_features)

    def encode(self, x):
        return self.inner(x)

    def decode(self, z):
        return self.outer(z)


class Wrong(Small):
    """A network with too many columns of codes."""

    def __init__(self, n_features, latent_dim):
        super().__init__(n_features, latent_dim, latent_dim + 1)


def test_a_linear_network_finds_the_principal_components():
    X = RNG.standard_normal((500, 3)) @ [[3, 0, 0, 0], [0, 2, 0, 0], [0.1, 0.1, 0.1, 0.1]]
    autoencoder = Autoencoder(2, network=Small, scaling="common", learning_rate=2e-2, random_state=0).fit(X)
    pca = PCA(2).fit(X)
    error = np.square(pca.inverse_transform(pca.transform(X)) - X).sum(axis=1).mean()
    assert -autoencoder.score(X) == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"latent_dim": 5}, "latent_dim=5 is larger than the number of features, n_features=4"),
        ({"latent_dim": 0}, "The 'latent_dim' parameter of Autoencoder must be"),
        ({"latent_dim": "half"}, "The 'latent_dim' parameter of Autoencoder must be"),
        ({"batch_size": 1}, "The 'batch_size' parameter of Autoencoder must be"),
        ({"network": Convolutional()}, "Rows of 4 features are not images"),
        ({"network": "dense"}, "'dense' cannot be the autoencoder"),
        ({"network": Wrong}, r"encode of network must map rows of shape \(2, 4\) to shape \(2, 2\), not \(2, 3\)"),
    ],
)
def test_unusable_parameters_are_refused(params, message):
    autoencoder = clone(SMALL).set_params(**params)
    with pytest.raises(ValueError, match=message):
        autoencoder.fit(CURVE)
    assert not hasattr(autoencoder, "coordinates_")


def test_codes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="X has 3 columns, but a code has 2"):
        clone(SMALL).set_params(max_iter=1).fit(CURVE).inverse_transform(np.zeros((4, 3)))


def test_divergence_is_an_error_that_names_the_parameter():
    with pytest.raises(DivergenceError, match="Lower learning_rate"):
        clone(SMALL).set_params(learning_rate=1e30).fit(CURVE)


def test_numbers_far_out_are_named():
    X = CURVE.copy()
    X[7, 1] = 1000
    with pytest.warns(UserWarning, match=r"Numbers are far out in column 1 of X \(row 7\)"):
        autoencoder = clone(SMALL).fit(X)
    # They do not set the scale of the others.
    assert np.mean(squared_error(autoencoder, CURVE)) < 2 * np.mean(squared_error(clone(SMALL).fit(CURVE), CURVE))

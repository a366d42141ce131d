"""Generators of tables: columns in any units, far cells, constant columns, weights, sizes of numbers, other rows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.networks import Convolutional, Dense

SMALL = Dense((16, 16))
GAME = {"generator": SMALL, "critic": SMALL, "max_iter": 20, "batch_size": 32, "random_state": 0}
GENERATORS = [
    *(game(**GAME) for game in (WGANGenerator, CramerGAN, MMDGAN, WGANQC, GAN)),
    FGAN("kl", **GAME),
    SemiDiscreteOTGenerator(
        SMALL, n_fit_samples=300, n_fit_steps=30, max_samples=5000, batch_size=32, max_iter=1, random_state=0
    ),
]
over_generators = pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: type(generator).__name__)
two_generators = pytest.mark.parametrize(
    "generator", [GENERATORS[0], GENERATORS[-1]], ids=["WGANGenerator", "SemiDiscreteOTGenerator"]
)


@pytest.fixture(scope="module")
def wine():
    return load_wine().data


def spreads(samples, X):
    return samples.std(axis=0) / X.std(axis=0)


def rank_errors(samples, X):
    return np.abs(stats.spearmanr(samples).statistic - stats.spearmanr(X).statistic)


@over_generators
def test_the_units_of_columns_have_no_effect(generator, wine):
    """Columns of wine have deviations from 0.1 to 315; powers of two change them without rounding."""
    factors = 2.0 ** np.arange(-6, 7)
    one, other = (clone(generator).fit(rows) for rows in (wine, wine * factors))
    np.testing.assert_array_equal(other.sample(20, random_state=0), factors * one.sample(20, random_state=0))
    assert other.score(wine * factors) == one.score(wine)
    assert other.history_[-1].get("score") == one.history_[-1].get("score")


def test_raw_rows_are_as_standardised_ones(wine):
    """After few rounds, the result differs by rounding only."""
    scaler = StandardScaler().fit(wine)
    generator = clone(GENERATORS[0]).set_params(max_iter=5)
    raw, standardised = clone(generator).fit(wine), clone(generator).fit(scaler.transform(wine))
    samples = scaler.transform(raw.sample(20, random_state=0))
    np.testing.assert_allclose(samples, standardised.sample(20, random_state=0), atol=1e-3)
    assert raw.score(wine) == pytest.approx(standardised.score(scaler.transform(wine)), rel=1e-3)


def test_the_score_sees_small_columns(wine):
    """The largest column of wine has 99.8 % of the variance, and a wrong small column counts as much as a wrong one."""
    generator = clone(GENERATORS[0]).fit(wine)
    score = generator.score(wine)
    for column in (7, 12):  # of deviations 0.12 and 315
        moved = wine.copy()
        moved[:, column] += 3 * wine[:, column].std()
        # A translation by r deviations costs r² / 13.
        assert generator.score(moved) - score < -0.5 * 9 / 13


def test_spreads_and_ranks_of_a_raw_table(wine):
    network = Dense((64, 64))
    generator = WGANGenerator(generator=network, critic=network, max_iter=600, random_state=0).fit(wine)
    samples = generator.sample(2000, random_state=0)
    # A few rounds of a small network; the defaults are within ±10 % and 0.1, see the slow test.
    np.testing.assert_allclose(spreads(samples, wine), 1, atol=0.25)
    assert rank_errors(samples, wine).max() < 0.25


@pytest.mark.slow
@pytest.mark.parametrize("method", [WGANGenerator, SemiDiscreteOTGenerator])
def test_the_defaults_on_a_raw_table(method, wine):
    samples = method(random_state=0).fit(wine).sample(4000, random_state=0)
    np.testing.assert_allclose(spreads(samples, wine), 1, atol=0.1)
    assert rank_errors(samples, wine).max() < 0.1


def test_a_wild_cell_has_no_effect_on_other_columns(wine):
    wild = StandardScaler().fit_transform(wine)
    wild[17, 4] = 999.0
    network = Dense((64, 64))
    generator = WGANGenerator(generator=network, critic=network, max_iter=600, random_state=0)
    with pytest.warns(UserWarning, match=r"far out in column 4 of X \(row 17\)") as caught:
        samples = generator.fit(wild).sample(2000, random_state=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    others = np.arange(13) != 4
    np.testing.assert_allclose(samples.std(axis=0)[others], 1, atol=0.25)
    # The bulk of the column itself has about its width; with one scale it would be lost within the wild cell.
    quartiles = [np.subtract(*np.quantile(rows[:, 4], [0.75, 0.25])) for rows in (samples, wild)]
    assert quartiles[0] == pytest.approx(quartiles[1], rel=0.5)


def test_far_cells_are_named(wine):
    table = pd.DataFrame(wine, columns=load_wine().feature_names, copy=True)  # before pandas 3 it shares the memory
    table.iloc[[3, 5], 0] = 1e6
    with pytest.warns(UserWarning, match=r"far out in column 'alcohol' of X \(rows 3 and 5\)"):
        clone(GENERATORS[0]).fit(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(GENERATORS[0]).fit(np.random.RandomState(0).standard_t(4, (300, 3)))


@over_generators
def test_constant_columns_come_out_exactly(generator, wine):
    X = np.insert(wine[:, :3], [1, 3], [7.1, -1e5], axis=1)
    fitted = clone(generator).fit(X)
    samples = fitted.sample(50, random_state=0)
    assert (samples[:, 1] == 7.1).all()
    assert (samples[:, 4] == -1e5).all()
    others = clone(generator).fit(wine[:, :3])
    np.testing.assert_array_equal(samples[:, [0, 2, 3]], others.sample(50, random_state=0))
    assert fitted.score(X) == others.score(wine[:, :3])


@over_generators
def test_equal_rows_are_drawn_as_they_are(generator):
    X = np.full((20, 2), [0.1, -3e200])
    np.testing.assert_array_equal(clone(generator).fit(X).sample(7, random_state=0), X[:7])


@two_generators
def test_columns_may_have_their_own_ranges(generator, wine):
    bounded = Dense((16,), output_activation="tanh")
    fitted = clone(generator).set_params(generator=bounded, scaling="columns").fit(wine)
    samples = fitted.sample(500, random_state=0)
    tolerance = 1e-6 * np.abs(wine).max(axis=0)
    assert (samples >= wine.min(axis=0) - tolerance).all()
    assert (samples <= wine.max(axis=0) + tolerance).all()
    # By default a bounded network is for images, whose columns have one range.
    fitted = clone(generator).set_params(generator=bounded).fit(wine)
    assert fitted.coordinates_.unit == np.ptp(wine) / 2


def test_images_have_one_scale():
    images = np.random.RandomState(0).rand(12, 784) * np.linspace(0.01, 1, 784)
    generator = WGANGenerator(generator=Convolutional(2), max_iter=1, batch_size=4).fit(images)
    assert generator.coordinates_.unit == pytest.approx(np.ptp(images) / 2)
    generator.set_params(generator=None, scaling="common").fit(images)
    assert generator.coordinates_.unit == pytest.approx(np.sqrt(images.var(axis=0).mean()))


@two_generators
@pytest.mark.parametrize("unit", [1e-200, 1e170, 1e300])
def test_numbers_of_any_size(generator, unit):
    """Squares of the numbers are out of the range of float64."""
    X = np.random.RandomState(0).normal([1, 5], 1, (60, 2))
    factor = 2.0 ** np.rint(np.log2(unit))
    one, other = clone(generator).fit(X), clone(generator).fit(factor * X)
    np.testing.assert_array_equal(other.sample(9, random_state=0), factor * one.sample(9, random_state=0))
    assert other.score(factor * X) == one.score(X)


@two_generators
def test_numbers_at_the_end_of_their_range_are_refused(generator):
    X = np.random.RandomState(0).randn(60, 2)
    for rows in (1e307 * X, (1e37 * X).astype(np.float32)):
        with pytest.raises(ValueError, match=r"X has numbers up to .*Divide X by a unit"):
            clone(generator).fit(rows)


@two_generators
def test_errors_of_numpy_have_no_effect(generator, wine):
    with np.errstate(all="raise"):
        strict = clone(generator).fit(wine, sample_weight=np.r_[1e-300, np.ones(177)])
        samples, score = strict.sample(9, random_state=0), strict.score(wine)
    relaxed = clone(generator).fit(wine, sample_weight=np.r_[1e-300, np.ones(177)])
    np.testing.assert_array_equal(samples, relaxed.sample(9, random_state=0))
    assert score == relaxed.score(wine)


@pytest.mark.parametrize(
    ("generator", "labelled"),
    [*((generator, False) for generator in GENERATORS), *((generator, True) for generator in GENERATORS[:-1])],
    ids=lambda value: type(value).__name__ if not isinstance(value, bool) else ("classes" if value else ""),
)
def test_integer_weights_are_repeated_rows(generator, wine, labelled):
    """Bit for bit, in any order of the rows."""
    rng = np.random.RandomState(0)
    X, y = wine[:, :3], np.arange(178) % 2 if labelled else None
    weight = rng.randint(4, size=178)
    order = rng.permutation(weight.sum())
    repeated = [None if a is None else np.repeat(a, weight, axis=0)[order] for a in (X, y)]
    one, other = clone(generator).fit(X, y, sample_weight=weight), clone(generator).fit(*repeated)
    np.testing.assert_array_equal(one.sample(20, random_state=0), other.sample(20, random_state=0))
    assert not np.array_equal(one.sample(20, random_state=0), clone(generator).fit(X, y).sample(20, random_state=0))


@two_generators
def test_going_on_in_other_units_is_a_warning(generator, wine):
    fitted = clone(generator).set_params(warm_start=True).fit(wine)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.fit(wine[::2])
    moved = wine * np.where(np.arange(13) == 3, 1000, 1)
    with pytest.warns(UserWarning, match=r"warm_start=True keeps the units .* in column 3\. Set") as caught:
        fitted.fit(moved)
    assert len(caught) == 1


def test_early_stopping_and_searches_are_in_the_same_units(wine):
    factors = 2.0 ** np.arange(-6, 7)
    generator = clone(GENERATORS[0]).set_params(early_stopping=True, max_iter=200)
    search = GridSearchCV(generator, {"learning_rate": [1e-5, 3e-3]}, cv=2)
    one, other = (clone(search).fit(rows) for rows in (wine, wine * factors))
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"])
    assert one.best_estimator_.history_[-1]["score"] == other.best_estimator_.history_[-1]["score"]


def test_early_stopping_with_few_rows(wine):
    y = np.arange(10)
    generator = clone(GENERATORS[0]).set_params(early_stopping=True)
    with pytest.raises(ValueError, match=r"all 10 rows of X are the only ones of their class in y"):
        generator.fit(wine[:10], y)
    # Fewer rows than a batch, and one class of a single row.
    y[8:] = 7
    samples = generator.fit(wine[:10], y).sample(30, random_state=0)
    assert np.isfinite(samples).all()
    with pytest.raises(ValueError, match="X has only 2 rows"):
        generator.fit(wine[:2])

"""Base class of generators, tested on one that draws training rows."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_ot.base import BaseGenerator, all_or_nothing
from sklearn_ot.metrics import sliced_wasserstein_distance

X = np.random.RandomState(0).randn(300, 3) * [1, 2, 3] + 5
X.flags.writeable = False


class Bootstrap(BaseGenerator):
    """Draws training rows, with noise."""

    _parameter_constraints: dict = {"noise": [float]}  # noqa: RUF012

    def __init__(self, noise=0.0, random_state=None):
        self.noise = noise
        self.random_state = random_state

    def fit(self, X, y=None, sample_weight=None):
        return self._fit_rows(X, sample_weight, y=y)

    def _fit(self, sample, rng, y=None):
        self.rows_, self.labels_, self.weight_, self.offset_ = sample.rows, y, sample.weight, rng.standard_normal()
        if self.noise < 0:
            raise FloatingPointError("diverged")

    def _sample(self, n_samples, rng):
        index = rng.choice(len(self.rows_), n_samples, p=self.weight_)
        return self.rows_[index] + self.noise * rng.standard_normal((n_samples, self.rows_.shape[1]))


def test_rows_are_drawn():
    generator = Bootstrap().fit(X)
    samples = generator.sample(50, random_state=0)
    assert samples.shape == (50, 3)
    assert generator.sample().shape == (1, 3)
    assert {tuple(row) for row in samples} <= {tuple(row) for row in X}
    np.testing.assert_array_equal(samples, generator.sample(50, random_state=np.random.RandomState(0)))
    assert not np.array_equal(generator.sample(50), generator.sample(50))


def test_no_global_state_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the state that must not change)
    offsets = {Bootstrap().fit(X).offset_ for _ in range(2)}
    Bootstrap().fit(X).sample(5)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert len(offsets) == 2
    assert Bootstrap(random_state=3).fit(X).offset_ == Bootstrap(random_state=3).fit(X).offset_


@pytest.mark.parametrize(
    ("given", "expected"), [(np.float32, np.float32), (np.float64, np.float64), (np.int64, np.float64)]
)
def test_samples_have_the_float_dtype_of_the_data(given, expected):
    # The noise of the generator itself is float64.
    generator = Bootstrap(noise=0.1).fit(X.astype(given))
    assert generator.sample(5).dtype == expected


def test_score_is_minus_the_squared_sliced_distance():
    generator = Bootstrap().fit(X)
    sizes = X.std(axis=0)
    rows = generator.sample(4096, random_state=0) / sizes
    expected = -(sliced_wasserstein_distance(rows, X / sizes, random_state=0) ** 2)
    assert generator.score(X) == generator.score(X) == pytest.approx(expected)
    assert generator.score(X) > generator.score(X + 1) > generator.score(X + 2)
    # A translation by r deviations costs r² / 3 in three dimensions, up to the error of the projections. Beyond 6
    # deviations the coordinates are bent.
    for column, factor in enumerate((1, 2, 3)):
        moved = X.copy()
        moved[:, column] += 2 * sizes[column]
        assert generator.score(moved) == pytest.approx(-4 / 3, rel=0.2)
        # The score does not depend on the units of the columns.
        scaled = Bootstrap().fit(X * [1, 4.0**factor, 1])
        assert scaled.score(moved * [1, 4.0**factor, 1]) == generator.score(moved)
    weight = np.arange(300) < 20
    # Weights of 0 for all rows but 20 give the same score as those 20 rows alone.
    assert generator.score(X, sample_weight=weight) == pytest.approx(generator.score(X[:20]), rel=1e-9)


def test_weights_are_normalised_and_rows_of_weight_zero_removed():
    weight = np.where(np.arange(300) < 100, 0.0, np.where(np.arange(300) < 200, 3.0, 1.0))
    generator = Bootstrap().fit(X, np.arange(300), sample_weight=weight)
    np.testing.assert_array_equal(generator.rows_, X[100:])
    np.testing.assert_array_equal(generator.labels_, np.arange(100, 300))
    np.testing.assert_allclose(generator.weight_, np.repeat([3, 1], 100) / 400)
    assert generator.weight_.sum() == pytest.approx(1)


def test_equal_weights_are_no_weights():
    for weight in (None, np.full(300, 0.1), np.where(np.arange(300) < 100, 0.0, 7.0)):
        assert Bootstrap().fit(X, sample_weight=weight).weight_ is None


def test_pipelines_and_tables():
    table = pd.DataFrame(X, columns=list("abc"))
    generator = Bootstrap().fit(table)
    assert list(generator.feature_names_in_) == list("abc")
    with pytest.raises(ValueError, match="feature names"):
        generator.score(table[["b", "a", "c"]])
    assert isinstance(generator.sample(3), np.ndarray)
    pipe = make_pipeline(FunctionTransformer(), Bootstrap()).fit(X)
    assert pipe.score(X) == Bootstrap().fit(X).score(X)


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_tables_come_out_on_request(container):
    containers = pytest.importorskip(container)
    table = pd.DataFrame(X.astype(np.float32), columns=list("abc"))
    plain = Bootstrap().fit(table)
    generator = Bootstrap().set_output(transform=container).fit(table)
    samples = generator.sample(5, random_state=0)
    assert isinstance(samples, containers.DataFrame)
    assert list(samples.columns) == list("abc")
    np.testing.assert_array_equal(samples.to_numpy(), plain.sample(5, random_state=0))
    assert samples.to_numpy().dtype == np.float32
    # The choice survives a clone, holds for all estimators, and does not change the score.
    assert isinstance(clone(generator).fit(table).sample(5), containers.DataFrame)
    with sklearn.config_context(transform_output=container):
        assert isinstance(plain.sample(5), containers.DataFrame)
        assert plain.score(table) == generator.score(table)
    assert isinstance(generator.set_output(transform="default").sample(5), np.ndarray)
    # Without names, scikit-learn's own names.
    samples = Bootstrap().set_output(transform=container).fit(X).sample(2)
    assert list(samples.columns) == ["x0", "x1", "x2"]


def test_a_failed_fit_changes_no_attribute():
    generator = Bootstrap()
    with pytest.raises(FloatingPointError):
        generator.set_params(noise=-1.0).fit(X)
    assert vars(generator) == {"noise": -1.0, "random_state": None}
    with pytest.raises(NotFittedError):
        generator.sample()
    with pytest.raises(NotFittedError):
        generator.score(X)
    generator.set_params(noise=0.0).fit(X)
    before = generator.sample(5, random_state=0)
    with pytest.raises(FloatingPointError), all_or_nothing(generator):
        generator.set_params(noise=-1.0).fit(X[:, :2])
    np.testing.assert_array_equal(generator.sample(5, random_state=0), before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Bootstrap().fit(X[:1]), "minimum of 2"),
        (lambda: Bootstrap().fit(X, sample_weight=np.arange(300) == 3), "1 of 300 rows of X with a positive weight"),
        (lambda: Bootstrap().fit(X, sample_weight=np.full(300, -1.0)), "[Nn]egative"),
        (lambda: Bootstrap().fit(X, [0, 1]), "y has 2 labels, but X has 300 rows"),
        (lambda: Bootstrap().fit(X).sample(0), "n_samples must be an integer of 1 or more, got 0"),
        (lambda: Bootstrap().fit(X).sample(2.5), "n_samples must be an integer of 1 or more, got 2.5"),
        (lambda: Bootstrap().fit(X).sample(True), "n_samples must be an integer of 1 or more, got True"),
        (lambda: Bootstrap().fit(X).score(X[:, :2]), "3 features"),
    ],
)
def test_unusable_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_far_out_are_named():
    X = np.random.RandomState(0).standard_normal((300, 3))
    X[7, 1] = 1000
    with pytest.warns(UserWarning, match="Numbers are far out in column 1 of X \\(row 7\\)"):
        Bootstrap().fit(X)

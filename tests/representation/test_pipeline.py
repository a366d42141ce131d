"""Pipelines that draw rows: with anything that samples, in the units of the data, in slices, copies and searches."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.networks import Dense
from sklearn_ot.representation import Autoencoder, GenerativePipeline
from sklearn_ot.solvers.units import UnitCoordinates

RNG = np.random.RandomState(0)
# Four columns with two degrees of freedom and different units.
X = RNG.standard_normal((400, 2)) @ RNG.standard_normal((2, 4)) * [1, 10, 0.1, 3] + 5
SMALL = Dense((16,))
AUTOENCODER = Autoencoder(2, network=Dense((16,), "silu"), max_iter=20, random_state=0)
LAST = {
    "kernels": KernelDensity(bandwidth=0.1),
    "mixture": GaussianMixture(2, random_state=0),
    "semidiscrete": SemiDiscreteOTGenerator(SMALL, max_iter=1, n_fit_samples=500, n_fit_steps=50, random_state=0),
    "critic": WGANGenerator(generator=SMALL, critic=SMALL, max_iter=10, random_state=0),
}


def make(last=LAST["mixture"], encoder=None, **params):
    encoder = PCA(2) if encoder is None else encoder
    return GenerativePipeline([("scale", StandardScaler()), ("code", encoder), ("last", clone(last))], **params)


@pytest.mark.parametrize("encoder", [PCA(2), AUTOENCODER, "passthrough"], ids=["PCA", "Autoencoder", "passthrough"])
@pytest.mark.parametrize("last", LAST.values(), ids=LAST)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_anything_that_samples_is_decoded(last, encoder, dtype):
    data = X + RNG.standard_normal(X.shape) * X.std(axis=0) / 20
    pipeline = make(last, encoder).fit(data.astype(dtype))
    rows = pipeline.sample(300, random_state=1)
    assert rows.shape == (300, 4)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, pipeline.sample(300, random_state=1))
    assert not np.array_equal(pipeline.sample(3), pipeline.sample(3))
    if encoder != "passthrough":  # decoded codes of PCA lie in the plane of the components
        codes = pipeline[:-1].transform(rows)
        again = pipeline[:-1].inverse_transform(codes)
        is_linear = isinstance(encoder, PCA)
        np.testing.assert_allclose(again, rows, atol=1e-3 if is_linear else np.abs(rows).max())
    # Nearer to the rows than their mean is.
    assert pipeline.score(X) > -0.9


def test_samples_are_decoded_codes_of_the_last_step():
    pipeline = make(LAST["kernels"]).fit(X)
    codes = pipeline[-1].sample(50, random_state=3)
    np.testing.assert_allclose(pipeline.sample(50, random_state=3), pipeline[:-1].inverse_transform(codes), rtol=1e-12)


def test_a_mixture_is_not_sorted_and_keeps_its_random_state():
    mixture = GaussianMixture(2, random_state=0)
    pipeline = make(mixture).fit(np.concatenate([X, X + 100]))
    rows = pipeline.sample(200, random_state=0)
    is_far = rows[:, 0] > 50
    # A sorted sample would have one component first.
    assert 25 < is_far[:100].sum() < 75
    assert pipeline[-1].random_state == 0


def test_no_global_state_is_touched():
    pipeline = make().fit(X)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the state that must not change)
    pipeline.sample(5)
    pipeline.score(X)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("scaling", ["columns", "common"])
def test_the_score_is_in_units_of_the_data(scaling):
    pipeline = make(scaling=scaling).fit(X)
    sizes = X.std(axis=0) if scaling == "columns" else np.sqrt(X.var(axis=0).mean())
    rows = pipeline.sample(4096, random_state=0)
    expected = -(sliced_wasserstein_distance(rows / sizes, X / sizes, random_state=0) ** 2)
    assert pipeline.score(X) == pipeline.score(X) == pytest.approx(expected)
    assert pipeline.score(X) > pipeline.score(X + sizes)
    weight = np.arange(400) < 20
    assert pipeline.score(X, sample_weight=weight) == pytest.approx(pipeline.score(X[:20]), rel=1e-9)


def test_encoders_can_be_compared():
    """In the space of codes one component would be the best: it is matched exactly."""
    grid = {"code__n_components": [1, 2]}
    cv = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(make(), grid, cv=cv, error_score="raise").fit(X)
    assert search.best_params_ == {"code__n_components": 2}
    assert search.best_estimator_.sample(5).shape == (5, 4)


def test_a_search_over_parameters_of_the_steps():
    pipeline = make(LAST["critic"], AUTOENCODER)
    grid = {
        "code__network__activation": ["silu", "relu"],
        "last__critic__activation": ["relu"],
        "scale": ["passthrough"],
    }
    GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X)


def test_copies_and_slices():
    pipeline = make(LAST["critic"], AUTOENCODER, scaling="common").fit(X)
    for copied in (pickle.loads(pickle.dumps(pipeline)), clone(pipeline).fit(X)):
        np.testing.assert_array_equal(copied.sample(5, random_state=0), pipeline.sample(5, random_state=0))
        assert copied.score(X) == pipeline.score(X)
        assert copied.scaling == "common"
    inner = pipeline[1:]
    np.testing.assert_allclose(
        pipeline[0].inverse_transform(inner.sample(5, random_state=0)), pipeline.sample(5, random_state=0), rtol=1e-6
    )
    with pytest.raises(NotFittedError, match="This slice of a pipeline has no units"):
        inner.score(X)
    encoder = pipeline[:-1]
    assert not hasattr(encoder, "sample")
    # The score of the encoder is its own.
    assert encoder.score(X) == pipeline[1].score(pipeline[0].transform(X))


def test_the_given_steps_are_parameters_and_their_copies_are_fitted():
    given = [("code", PCA(2)), ("last", GaussianMixture(2, random_state=0))]
    pipeline = GenerativePipeline(given).fit(X)
    assert pipeline.get_params()["steps"] is given
    assert pipeline.get_params()["code"] is given[0][1]
    assert not hasattr(given[0][1], "components_")
    assert pipeline["code"].components_.shape == pipeline[:-1][0].components_.shape == (2, 4)
    # A parameter has an effect in the next fit.
    pipeline.set_params(code__n_components=1)
    assert pipeline.sample().shape == (1, 4)
    assert pipeline["code"].n_components == 2
    assert pipeline.fit(X)["code"].components_.shape == (1, 4)
    # Another step keeps the parameters of the others, and makes the pipeline unfitted.
    pipeline.set_params(code__n_components=3).set_params(last=KernelDensity())
    with pytest.raises(NotFittedError):
        pipeline.sample()
    assert pipeline["code"] is given[0][1]
    assert pipeline.fit(X)["code"].components_.shape == (3, 4)


def test_rows_between_two_rows():
    pipeline = make().fit(X)
    rows = pipeline.interpolate(X[0], X[1], 5)
    # Two components restore these rows, and the codes are linear.
    np.testing.assert_allclose(rows, X[0] + np.linspace(0, 1, 5)[:, None] * (X[1] - X[0]), atol=1e-8)
    assert pipeline.interpolate(list(X[0]), X[1]).shape == (8, 4)


def test_the_class_of_samples():
    y = np.repeat(["a", "b"], 200)
    rows = np.concatenate([X[:200], X[200:] + 100])
    pipeline = make(clone(LAST["critic"]).set_params(max_iter=300)).fit(rows, y)
    one, other = (pipeline.sample(200, random_state=0, y=label).mean() for label in "ab")
    assert other > one + 50


@pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])
def test_weights_reach_the_steps_and_the_units(routing):
    weight = np.where(np.arange(400) < 100, 3.0, 0.0)
    with sklearn.config_context(enable_metadata_routing=routing):
        last = LAST["kernels"].set_fit_request(sample_weight=True) if routing else LAST["kernels"]
        pipeline = GenerativePipeline([("scale", StandardScaler(with_std=False)), ("last", clone(last))])
        if routing:
            pipeline[0].set_fit_request(sample_weight=True)
        pipeline.fit(X, **({"sample_weight": weight} if routing else {"last__sample_weight": weight}))
        expected = UnitCoordinates.of_columns(X[:100], np.full(100, 0.01))
        np.testing.assert_allclose(pipeline.coordinates_.scale, expected.scale)
        assert pipeline.sample(500, random_state=0)[:, 1].mean() == pytest.approx(X[:100, 1].mean(), abs=1)
        score = pipeline.score(X, sample_weight=weight)
        assert score == pytest.approx(pipeline.score(X[:100]), rel=1e-9)


def test_tables():
    table = pd.DataFrame(X, columns=list("abcd"))
    pipeline = make(LAST["mixture"], AUTOENCODER).fit(table)
    assert isinstance(pipeline.sample(2), np.ndarray)
    with pytest.raises(ValueError, match="feature names"):
        pipeline.score(table[["b", "a", "c", "d"]])
    expected = pipeline.sample(3, random_state=0)
    score = pipeline.score(table)
    tabular = clone(pipeline).set_output(transform="pandas").fit(table)
    rows = tabular.sample(3, random_state=0)
    assert list(rows.columns) == list("abcd")
    np.testing.assert_allclose(rows.to_numpy(), expected)
    assert tabular.score(table) == pytest.approx(score)
    assert isinstance(clone(tabular).fit(table).sample(), pd.DataFrame)
    # A choice after a fit holds in the next fit, too.
    assert isinstance(pipeline.set_output(transform="pandas").fit(table)[:-1].transform(table), pd.DataFrame)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [("code", PCA(2)), ("last", LogisticRegression())],
            r"The last step 'last' \(LogisticRegression\) has no method",
        ),
        ([("norm", Normalizer()), ("last", KernelDensity())], r"Step 'norm' \(Normalizer\) has no inverse_transform"),
    ],
)
def test_what_a_pipeline_cannot_do_is_an_attribute_error_that_names_the_step(steps, message):
    pipeline = GenerativePipeline(steps)
    assert not hasattr(pipeline, "sample")
    with pytest.raises(AttributeError) as error:
        _ = pipeline.sample
    with pytest.raises(AttributeError, match=message):
        raise error.value.__cause__


def test_only_steps_that_can_be_inverted_have_noise():
    assert not hasattr(make(), "encode_noise")
    assert hasattr(make(), "interpolate")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: make().sample(), NotFittedError, "not fitted"),
        (lambda: make().fit(X).sample(0), ValueError, "n_samples must be an integer of 1 or more"),
        (lambda: make().fit(X).score(X[:, :3]), ValueError, "3 features"),
        (lambda: make(scaling="rows").fit(X), ValueError, "The 'scaling' parameter of GenerativePipeline must be"),
        (lambda: make().fit(X).interpolate(X[0], X[1, :3]), ValueError, "same shape"),
    ],
)
def test_unusable_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_it_is_a_pipeline():
    pipeline = GenerativePipeline([("scale", StandardScaler()), ("last", LogisticRegression())])
    y = X[:, 0] > 5
    assert isinstance(pipeline, Pipeline)
    assert pipeline.fit(X, y).score(X, y) > 0.9


def test_a_fit_that_fails_leaves_the_steps_as_they_were():
    pipeline = make().fit(X)
    expected = pipeline.sample(5, random_state=0)
    bad = X + 100
    bad[3, 1] = np.nan  # the scaler takes it, the second step does not
    with pytest.raises(ValueError, match="NaN"):
        pipeline.fit(bad)
    np.testing.assert_array_equal(pipeline.sample(5, random_state=0), expected)
    assert pipeline.score(X) == make().fit(X).score(X)

"""W2Generator: noise to rows by an optimal map, its inverse, its sources, weights, and a fit that goes on."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from sklearn_ot.generation import W2Generator
from sklearn_ot.networks import Convex
from sklearn_ot.representation import GenerativePipeline
from sklearn_ot.transport import W2Transport

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.RandomState(0)
NORMAL = RNG.standard_normal((800, 2))
# The optimal map from N(0, I) is known: the columns are independent, and each is a monotone function of its noise.
X = np.column_stack([np.sinh(NORMAL[:, 0]), 100 + 10 * NORMAL[:, 1]])
TRANSPORT = W2Transport(network=Convex((32, 32)), max_iter=500, plan_size=0)
SMALL = W2Generator(transport=TRANSPORT, random_state=0)
QUICK = W2Generator(transport=clone(TRANSPORT).set_params(max_iter=10), random_state=0)


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clone(SMALL).fit(X)


def test_the_map_from_normal_noise_is_found(fitted):
    found = fitted.decode_noise(NORMAL)
    # In units of the columns, whose deviations are about 1.8 and 10. Rows of the map are 20 times nearer than the rows
    # of the mean, in squares.
    assert np.mean(np.square((found - X) / X.std(axis=0))) < 0.05 * 2
    samples = fitted.sample(5000, random_state=0)
    np.testing.assert_allclose(np.median(samples, axis=0), [0, 100], atol=1)
    assert fitted.score(X) > -0.02


def test_the_noise_of_rows_is_the_inverse(fitted):
    noise = fitted.encode_noise(X)
    np.testing.assert_allclose(fitted.decode_noise(noise), X, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(fitted.encode_noise(fitted.decode_noise(NORMAL)), NORMAL, atol=1e-2)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.1)


def test_units_of_columns_have_no_effect():
    unit = np.array([2.0**12, 2.0**-8])
    plain, scaled = clone(QUICK).fit(X), clone(QUICK).fit(X * unit)
    np.testing.assert_array_equal(scaled.sample(20, random_state=0), plain.sample(20, random_state=0) * unit)
    assert scaled.score(X * unit) == plain.score(X)


def test_a_mixture_has_the_clusters_that_normal_noise_lacks():
    """A smooth map of normal noise leaves samples between two clusters."""
    clusters = RNG.choice([-1.0, 1.0], (1000, 1)) + 0.01 * RNG.standard_normal((1000, 1))
    shares = []
    for source in (None, GaussianMixture(2)):
        samples = clone(QUICK).set_params(source=source).fit(clusters).sample(2000, random_state=0)
        shares.append(np.mean(np.abs(np.abs(samples) - 1) > 0.05))
    assert shares[0] > 0.2
    assert shares[1] < 0.01


@pytest.mark.parametrize("source", [None, GaussianMixture(3), KernelDensity(bandwidth=0.2)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sources(source, dtype):
    generator = clone(QUICK).set_params(source=source).fit(X.astype(dtype))
    rows = generator.sample(30, random_state=0)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, clone(generator).fit(X.astype(dtype)).sample(30, random_state=0))
    assert generator.encode_noise(X.astype(dtype)).shape == X.shape
    assert generator.score(X) > -0.1
    copied = pickle.loads(pickle.dumps(generator))
    np.testing.assert_array_equal(copied.sample(30, random_state=0), rows)
    # The parameters are not fitted.
    assert not hasattr(generator.transport, "net_")
    assert source is None or not hasattr(generator.source, "n_features_in_")


@pytest.mark.parametrize("source", [None, GaussianMixture(2), KernelDensity()], ids=str)
def test_weights_are_as_many_equal_rows(source):
    weight = np.arange(len(X)) % 3
    generator = clone(QUICK).set_params(source=source)
    weighted = clone(generator).fit(X, sample_weight=weight)
    repeated = clone(generator).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.sample(20, random_state=0), repeated.sample(20, random_state=0), rtol=1e-4)
    heavy = clone(generator).fit(X, sample_weight=np.where(X[:, 0] > 0, 1.0, 1e-3))
    assert np.median(heavy.sample(500, random_state=0)[:, 0]) > 0.4


def test_constant_columns():
    table = np.column_stack([X[:, :1], np.full(len(X), 7.0), X[:, 1:]])
    generator = clone(QUICK).fit(table)
    np.testing.assert_array_equal(generator.sample(5, random_state=0)[:, 1], 7)
    noise = generator.encode_noise(table)
    assert noise.shape == (len(X), 2)
    np.testing.assert_allclose(generator.decode_noise(noise), table, rtol=1e-2, atol=1e-2)


def test_tables():
    table = pd.DataFrame(X, columns=["a", "b"])
    expected = clone(QUICK).fit(X).sample(5, random_state=0)
    with sklearn.config_context(transform_output="pandas"):
        generator = clone(QUICK).fit(table)
        samples = generator.sample(5, random_state=0)
        assert isinstance(generator.encode_noise(table), np.ndarray)
    assert list(samples.columns) == ["a", "b"]
    np.testing.assert_array_equal(samples.to_numpy(), expected)


def test_another_fit_goes_on():
    generator = clone(QUICK).set_params(source=GaussianMixture(1))
    generator.set_params(transport__warm_start=True, transport__early_stopping=False, transport__max_iter=200).fit(X)
    source, coordinates, before = generator.source_, generator.coordinates_, generator.transport_
    kept = generator.sample(5, random_state=0)
    generator.fit(X)
    assert generator.n_iter_ == 400
    assert generator.source_ is source
    assert generator.coordinates_ is coordinates
    assert before.n_iter_ == 200
    assert not np.array_equal(generator.sample(5, random_state=0), kept)
    with (
        pytest.warns(UserWarning, match="X has another mean or size now"),
        pytest.raises(ValueError, match="other units"),
    ):
        generator.fit(1000 * X)
    assert generator.n_iter_ == 400


def test_a_search_over_the_transport():
    grid = {"transport__network": [Convex((8,)), Convex((16,))], "source": [None, GaussianMixture(2)]}
    GridSearchCV(QUICK, grid, cv=KFold(2, shuffle=True, random_state=0), error_score="raise").fit(X)


def test_noise_in_a_pipeline():
    pipeline = GenerativePipeline([("pca", PCA(2)), ("generator", clone(QUICK).set_params(scaling="common"))])
    table = np.column_stack([X, X.sum(axis=1)])
    noise = pipeline.fit(table).encode_noise(table)
    assert noise.shape == (len(X), 2)
    np.testing.assert_allclose(pipeline.decode_noise(noise), table, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"source": "normal"}, "The 'source' parameter of W2Generator must be"),
        ({"transport": PCA()}, "The 'transport' parameter of W2Generator must be"),
        ({"scaling": "auto"}, "The 'scaling' parameter of W2Generator must be"),
        ({"source": GaussianMixture(900)}, "n_samples >= n_components"),
        ({"source": GaussianMixture(0)}, "The 'n_components' parameter of GaussianMixture must be"),
        ({"transport__solver": "sinkhorn"}, "The 'solver' parameter of W2Transport must be"),
    ],
)
def test_unusable_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        clone(QUICK).set_params(**params).fit(X)


def test_noise_with_other_columns_is_refused(fitted):
    with pytest.raises(ValueError, match="3 features"):
        fitted.decode_noise(np.zeros((2, 3)))

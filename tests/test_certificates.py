"""Certificates: closed forms, bounds that hold, and arguments that cannot be used."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

from sklearn_ot.certificates import Certificate, Statement
from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair
from sklearn_ot.generation import SemiDiscreteOTGenerator, TableGenerator, W2Generator, WGANGenerator
from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.representation import GenerativePipeline
from sklearn_ot.transport import (
    GaussianTransport,
    LSOTTransport,
    QCTransport,
    SemiDiscreteTransport,
    W2Transport,
    W2TransportCV,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CORNERS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])


def rms(rows):
    return np.sqrt(np.mean(np.sum(rows**2, axis=1)))


@pytest.fixture(scope="module")
def pair():
    return make_potential_pair(2, 1000, random_state=0)


@pytest.fixture(scope="module")
def transport(pair):
    network = Convex((16, 16), pool_size=4)
    with warnings.catch_warnings(action="ignore"):
        return W2Transport(network=network, max_iter=100, plan_size=300, random_state=0).fit(pair.source, pair.target)


@pytest.fixture(scope="module")
def certificate(pair, transport):
    return transport.certificate(pair.sample_source(2000, 1), pair.sample_target(2000, 2))


def test_bounds_of_a_network_hold(pair, transport, certificate):
    X = pair.sample_source(20_000, 3)
    T = pair.transport(X)
    distance, error = rms(X - T), rms(transport.transform(X) - T)
    low, high = certificate["distance"].low, certificate["distance"].high
    assert low < distance < high < 1.1 * low
    assert error < certificate["cautious_error"].estimate < certificate["map_error"].high
    assert error < 20 * certificate["map_error"].estimate
    assert certificate["push_forward"].high == certificate["map_error"].high
    assert certificate["spread"].estimate == pytest.approx(np.sqrt(T.var(axis=0).sum()), rel=0.1)
    # ε is the mean of ½ ‖x - T*(x)‖² - f(x) - g(T*(x)), which is 0 or more for each row.
    terms = transport.potentials_.dual_terms(X, T)
    excess = np.sum((X - T) ** 2, axis=1) / 2 - terms.source - terms.target
    assert excess.min() > -1e-6 * distance**2
    assert 0 < excess.mean() < certificate["excess"].high
    # The three sizes of the push-forward theorem: error² ≤ 2 M ε with the M of the weights.
    assert error**2 <= 2 * certificate["stretch"].high * excess.mean()


def test_the_table_has_every_number(certificate):
    text = repr(certificate)
    assert text.startswith("W2Transport on 2000 source rows and 2000 target rows. All bounds are true at once with")
    assert "95 % (asymptotic)" in text
    for statement in certificate.values():
        (line,) = [line for line in text.splitlines() if line.startswith(statement.label)]
        assert statement.bound in line
        if statement.estimate is not None:
            assert f"{statement.estimate:.4g}" in line


def test_a_bound_that_says_nothing_is_called_vacuous():
    statement = Statement("error", None, None, 3.0, note="vacuous: a constant map errs by 2")
    assert "≤ 3 (vacuous: a constant map errs by 2)" in repr(Certificate("A map", 0.9, {"error": statement}))


@pytest.mark.parametrize("n_features", [1, 2, 8])
def test_a_gaussian_pair(n_features):
    """W2 and M in closed form; W2² = ‖m - m'‖² + tr Σ + tr Σ' - 2 tr (Σ A)."""
    pair = make_gaussian_pair(n_features, 2000, random_state=0)
    transport = GaussianTransport().fit(pair.source, pair.target)
    certificate = transport.certificate(pair.sample_source(1000, 1), pair.sample_target(1000, 2))
    shift = pair.target_mean - pair.source_mean
    matrix = pair.transport(pair.source_mean + np.eye(n_features)) - pair.target_mean
    squared = shift @ shift + np.trace(pair.source_covariance + pair.target_covariance)
    distance = np.sqrt(squared - 2 * np.trace(pair.source_covariance @ matrix))
    assert certificate["distance"].low < distance < certificate["distance"].high
    largest = np.linalg.eigvalsh(transport.linear_)[-1]
    assert certificate["stretch"].high == pytest.approx(largest)
    assert certificate["stretch"].estimate == pytest.approx(largest, rel=0.01)
    assert certificate["map_error"].high == pytest.approx(np.sqrt(2 * largest * certificate["excess"].high))


def test_the_identity():
    """P = Q: the distance is 0, and so are the excess and the error of the map, up to the rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    transport = GaussianTransport().fit(X, X)
    certificate = transport.certificate(*rng.normal(size=(2, 1000, 2)))
    assert certificate["distance"].low == 0
    assert certificate["distance"].high < 0.3
    assert certificate["stretch"].high == pytest.approx(1)
    assert certificate["map_error"].high < 0.3
    assert certificate["image_distance"].high < 0.3


@pytest.mark.parametrize("n_features", [2, 8])
def test_the_distance_is_in_the_interval(n_features):
    """Nearly always in 20 repetitions: 95 % for all bounds at once, of which the interval has half of the errors."""
    pair = make_gaussian_pair(n_features, 2000, random_state=0)
    transport = GaussianTransport().fit(pair.source, pair.target)
    X = pair.sample_source(100_000, 99)
    distance = rms(X - pair.transport(X))
    certificates = [
        transport.certificate(pair.sample_source(200, 2 * seed), pair.sample_target(200, 2 * seed + 1))
        for seed in range(20)
    ]
    assert sum(c["distance"].low <= distance <= c["distance"].high for c in certificates) >= 19
    errors = [c["map_error"].high >= rms(transport.transform(X) - pair.transport(X)) for c in certificates]
    assert all(errors)


def test_more_confidence_is_a_wider_interval(pair, transport):
    samples = pair.sample_source(500, 1), pair.sample_target(500, 2)
    narrow, wide = (transport.certificate(*samples, confidence=level) for level in (0.5, 0.999))
    assert wide["distance"].low < narrow["distance"].low < narrow["distance"].high < wide["distance"].high
    assert narrow["excess"].high < wide["excess"].high
    assert narrow["distance"].estimate == wide["distance"].estimate


def test_a_part_of_the_rows_in_the_plan(pair, transport):
    samples = pair.sample_source(500, 1), pair.sample_target(500, 2)
    whole, part = (transport.certificate(*samples, plan_size=size) for size in (500, 100))
    assert part["distance"].low == whole["distance"].low
    assert part["excess"].high > whole["excess"].high


def test_weights_of_zero_leave_rows_out(pair, transport):
    X, Y = pair.sample_source(300, 1), pair.sample_target(300, 2)
    far = np.full((1, 2), 1e3)
    weight = np.r_[np.ones(300), 0]
    expected = transport.certificate(X, Y)
    found = transport.certificate(np.r_[X, far], np.r_[Y, far], sample_weight=weight, target_weight=weight)
    assert repr(found) == repr(expected)


def test_weights_change_the_distributions():
    """Rows of another distribution, weighted to be like the source, give a certificate of the source."""
    pair = make_gaussian_pair(2, 2000, random_state=0)
    transport = GaussianTransport().fit(pair.source, pair.target)
    X, Y = pair.sample_source(3000, 1), pair.sample_target(1000, 2)
    share = np.where(X[:, 0] > pair.source_mean[0], 1.0, 0.1)
    left = np.random.default_rng(0).random(3000) < share
    distance = rms(X - pair.transport(X))
    weighted = transport.certificate(X[left], Y, sample_weight=1 / share[left])["distance"]
    assert weighted.low < distance < weighted.high
    unweighted = transport.certificate(X[left], Y)["distance"]
    assert not unweighted.low < distance < unweighted.high


def test_tables_and_dtypes_are_taken():
    rng = np.random.default_rng(0)
    Xs, Xt, X, Y = (pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"]) for _ in range(4))
    transport = GaussianTransport().fit(Xs, Xt)
    expected = transport.certificate(X, Y)
    single = transport.certificate(X.astype(np.float32), Y.astype(np.float32))
    assert single["distance"].high == pytest.approx(expected["distance"].high, rel=1e-2)
    assert single["distance"].low == pytest.approx(expected["distance"].low, abs=1e-5)
    with pytest.raises(ValueError, match="feature names"):
        transport.certificate(X[["b", "a"]], Y)
    with pytest.raises(ValueError, match="X_target"):
        transport.certificate(X, Y.to_numpy()[:, :1])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": "high"}, "confidence"),
        ({"plan_size": 3}, "plan_size"),
        ({"sample_weight": np.ones(3)}, "sample_weight"),
        ({"target_weight": -np.ones(200)}, "target_weight"),
    ],
)
def test_arguments_that_cannot_be_used(arguments, match):
    X, Y = np.random.default_rng(0).normal(size=(2, 200, 2))
    with pytest.raises(ValueError, match=match):
        GaussianTransport().fit(X, Y).certificate(X, Y, **arguments)


@pytest.mark.parametrize("transport", [GaussianTransport(), W2Transport(), W2TransportCV()])
def test_an_unfitted_transport(transport):
    with pytest.raises(NotFittedError):
        transport.certificate(np.zeros((4, 2)), np.zeros((4, 2)))


@pytest.mark.parametrize("transport", [LSOTTransport, QCTransport])
def test_a_transport_without_a_convex_potential_has_no_certificate(transport):
    assert not hasattr(transport(), "certificate")


def test_rows_of_the_fit_raise_a_warning():
    X, Y, Z = np.random.default_rng(0).normal(size=(3, 200, 2))
    transport = GaussianTransport().fit(X, Y)
    with pytest.warns(UserWarning, match="200 of 200 rows of X_target were in fit"):
        transport.certificate(Z, Y)


def test_few_rows_and_far_rows_raise_a_warning():
    X, Y, Z, W = np.random.default_rng(0).normal(size=(4, 200, 2))
    transport = GaussianTransport().fit(X, Y)
    with pytest.warns(UserWarning, match="X has 50 rows"):
        transport.certificate(Z[:50], W)
    W[7] = 100.0
    with pytest.warns(UserWarning, match="row 7 of X_target: more than 25 % of a variance is due to it"):
        transport.certificate(Z, W)


def test_rows_of_categories_are_equal_by_chance():
    X, Y, Z, W = np.random.default_rng(0).integers(0, 4, size=(4, 200, 2)).astype(float)
    with warnings.catch_warnings(action="error"):
        GaussianTransport().fit(X, Y).certificate(Z, W)


@pytest.mark.parametrize("weight", [None, np.r_[1.0, np.zeros(199)]])
def test_too_few_rows(weight):
    X, Y, Z, W = np.random.default_rng(0).normal(size=(4, 200, 2))
    transport = GaussianTransport().fit(X, Y)
    Z = Z[:1] if weight is None else Z
    with pytest.raises(ValueError, match="X has 1 row with a positive weight; a certificate needs 4"):
        transport.certificate(Z, W, sample_weight=weight)
    with pytest.raises(ValueError, match="X has 3 rows"):
        SemiDiscreteTransport("normal", random_state=0).fit(CORNERS).certificate(X[:3])


@pytest.mark.parametrize("unit", [1e-100, 1e-8, 1e8, 1e100])
def test_the_unit_of_the_data_is_that_of_the_lengths(unit):
    X, Y, Z, W = np.random.default_rng(0).normal(size=(4, 200, 2))
    expected = GaussianTransport().fit(X, Y + 1).certificate(Z, W + 1)
    with warnings.catch_warnings(action="error"):
        found = GaussianTransport().fit(unit * X, unit * (Y + 1)).certificate(unit * Z, unit * (W + 1))
    for name in ("distance", "map_error", "image_distance", "spread"):
        numbers = [[part.low, part.estimate, part.high] for part in (found[name], expected[name])]
        scaled, plain = ([np.nan if number is None else number for number in part] for part in numbers)
        np.testing.assert_allclose(np.array(scaled) / unit, plain, rtol=0.01, atol=1e-6)


def test_good_rows_raise_no_warning(pair, transport):
    with warnings.catch_warnings(action="error"):
        transport.certificate(pair.sample_source(200, 1), pair.sample_target(200, 2))


def test_a_network_with_squares_has_estimates_but_no_bound_of_its_error(pair):
    network = Convex((8,), "softplus", rank=1)
    with warnings.catch_warnings(action="ignore"):
        transport = W2Transport(network=network, max_iter=100, plan_size=0, random_state=0)
        transport.fit(pair.source, pair.target)
        certificate = transport.certificate(pair.sample_source(200, 1), pair.sample_target(200, 2))
    assert certificate["stretch"].high is None
    assert certificate["map_error"].high is None
    assert certificate["cautious_error"].estimate > 0
    assert certificate["excess"].high > 0


def test_the_interval_of_a_semi_discrete_fit_is_a_certificate():
    """From N(0, I) to the corners of a square: W2² = 2 (2 - 2 √(2/π))."""
    distance = np.sqrt(4 - 4 * np.sqrt(2 / np.pi))
    transport = SemiDiscreteTransport("normal", random_state=0).fit(CORNERS)
    of_fit = transport.certificate()
    np.testing.assert_allclose(transport.distance_interval_, [of_fit["distance"].low, of_fit["distance"].high])
    assert of_fit["distance"].estimate == pytest.approx(transport.distance_)
    assert of_fit.confidence == 0.95
    X = np.random.default_rng(0).normal(size=(1000, 2))
    held_out = transport.certificate(X, confidence=0.9)
    for certificate in (of_fit, held_out):
        assert certificate["distance"].low < distance < certificate["distance"].high
    assert held_out["excess"].high < 0.05
    with pytest.raises(ValueError, match=r"confidence=0\.95.*give fresh rows"):
        transport.certificate(confidence=0.9)


@pytest.mark.parametrize("cost", ["euclidean", "cityblock", 3.0])
def test_other_costs_of_semi_discrete_transport(cost):
    transport = SemiDiscreteTransport("uniform", cost=cost, random_state=0).fit(CORNERS)
    X = np.random.default_rng(0).random((1000, 2))
    held_out, of_fit = transport.certificate(X)["distance"], transport.certificate()["distance"]
    assert held_out.label == ("W3(P, Q)" if cost == 3.0 else "W1(P, Q)")
    assert held_out.low < of_fit.high
    assert of_fit.low < held_out.high


def test_a_source_that_is_a_sample_needs_other_rows():
    X = np.random.default_rng(0).normal(size=(2, 500, 2))
    transport = SemiDiscreteTransport(confidence=None, random_state=0).fit(X[0], CORNERS)
    with pytest.raises(ValueError, match="rows of it that fit has not seen"):
        transport.certificate(confidence=0.95)
    with pytest.raises(ValueError, match="confidence must be a number"):
        transport.certificate(X[1])
    assert transport.certificate(X[1], confidence=0.95)["distance"].low > 0


def test_generators_with_a_transport():
    rng = np.random.default_rng(0)
    X, held_out = np.exp(rng.normal(size=(2, 500, 2)) / 2)
    transport = W2Transport(network=Convex((8,), "softplus"), max_iter=100, plan_size=0)
    with warnings.catch_warnings(action="ignore"):
        generator = W2Generator(transport=transport, random_state=0).fit(X)
    certificate = generator.certificate(held_out, plan_size=500, random_state=0)
    assert repr(certificate).startswith("W2Generator on 500 source rows and 500 target rows")
    # Two samples of one distribution are as far from each other as the bound, or nearer.
    samples = generator.coordinates_.to_coordinates(generator.sample(500, random_state=1))
    rows = generator.coordinates_.to_coordinates(held_out)
    assert wasserstein_distance(samples, rows) < certificate["image_distance"].high
    table = pd.DataFrame(X, columns=["a", "b"])
    with warnings.catch_warnings(action="ignore"):
        generator = W2Generator(transport=transport, random_state=0).fit(table)
    same = generator.certificate(pd.DataFrame(held_out, columns=["a", "b"]), plan_size=500, random_state=0)
    assert repr(same) == repr(certificate)
    with pytest.raises(NotFittedError):
        W2Generator().certificate(X)
    with pytest.raises(ValueError, match="X has 2 rows"):
        generator.certificate(held_out[:2], plan_size=100)
    with pytest.warns(UserWarning, match="500 of 500 rows of X were in fit"):
        generator.certificate(X, plan_size=100)


def test_the_distance_of_samples_from_rows():
    X = np.random.default_rng(0).choice([10.0, 20.0], (100, 1))
    generator = SemiDiscreteOTGenerator(Dense((16,)), n_fit_samples=500, n_fit_steps=100, max_iter=1, random_state=0)
    certificate = generator.fit(X).certificate(X, random_state=0)
    distance = wasserstein_distance(generator.sample(20_000, random_state=1), X)
    assert 0.9 * certificate["distance"].low < distance < 1.1 * certificate["distance"].high
    with pytest.raises(NotFittedError):
        SemiDiscreteOTGenerator().certificate(X)


@pytest.mark.parametrize("generator", [WGANGenerator, TableGenerator])
def test_a_generator_without_a_potential_has_no_certificate(generator):
    assert not hasattr(generator(), "certificate")


def test_the_decoding_theorem_with_a_linear_decoder():
    """Codes are two principal components: L is the largest deviation of a component, in units of the generator."""
    rng = np.random.default_rng(0)
    axes, deviations = np.linalg.qr(rng.normal(size=(5, 2)))[0].T, np.array([3.0, 1.0])
    X, held_out = (deviations * rng.normal(size=(2, 600, 2))) @ axes + 0.1 * rng.normal(size=(2, 600, 5))
    transport = W2Transport(network=Convex((8,), "softplus"), max_iter=50, plan_size=0)
    pipeline = GenerativePipeline([("pca", PCA(2)), ("w2", W2Generator(transport=transport, random_state=0))])
    with warnings.catch_warnings(action="ignore"):
        certificate = pipeline.fit(X).certificate(held_out, plan_size=500, random_state=0)
    assert repr(certificate).startswith("GenerativePipeline on 500 source rows and 600 target rows")
    assert certificate["decoder_stretch"].estimate == pytest.approx(3, rel=0.1)
    # Three of the five columns of noise are lost.
    assert certificate["reconstruction"].estimate == pytest.approx(0.1 * np.sqrt(3), rel=0.1)
    assert certificate["reconstruction"].high > certificate["reconstruction"].estimate
    in_codes = min(certificate["image_distance"].high, certificate["push_forward"].high)
    bound = certificate["decoder_stretch"].estimate * in_codes + certificate["reconstruction"].high
    assert certificate["decoding"].estimate == pytest.approx(bound)
    distance = wasserstein_distance(pipeline.sample(600, random_state=1), rng.permutation(held_out))
    assert distance < bound
    assert distance < certificate["sample_distance"].high
    assert certificate["sample_distance"].high < certificate["data_spread"].estimate


def test_a_pipeline_without_a_potential_has_no_certificate():
    assert not hasattr(GenerativePipeline([("pca", PCA(2)), ("mixture", GaussianMixture())]), "certificate")
    assert not hasattr(GenerativePipeline([("ots", SemiDiscreteOTGenerator())]), "certificate")
    with pytest.raises(NotFittedError):
        GenerativePipeline([("pca", PCA(2)), ("w2", W2Generator())]).certificate(np.zeros((10, 2)))

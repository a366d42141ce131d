"""Proportions of classes in a target without labels, and the weights that give them to the source."""

import numpy as np
import pytest
import sklearn
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport
from sklearn_ot.adaptation._proportions import class_ratios
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport import GaussianTransport

rng = np.random.RandomState(0)
SHARES = np.array([0.7, 0.2, 0.1])


def rows_of(sizes, spread=1.0):
    """Rows of three classes that overlap if ``spread`` is large."""
    X, y = make_blobs(sizes, centers=[[0, 0], [5, 0], [0, 5]], cluster_std=spread, random_state=rng.randint(9999))
    order = rng.permutation(len(y))
    return X[order], y[order]


XS, YS = rows_of([200, 200, 200])
XT, YT = rows_of([280, 80, 40])
MOVED = XT @ [[1.5, 0.3], [0.3, 0.8]] + [3, -2]
KNN = KNeighborsClassifier(5)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_proportions_are_estimated_if_only_they_shift(spread):
    """Also if classes overlap, so that the shares of the predictions are not those of the classes."""
    source, target = rows_of([600, 600, 600], spread), rows_of([1400, 400, 200], spread)
    ratios = class_ratios(Sample.of(source[0]), source[1], Sample.of(target[0]), is_moved=False)
    # The sampling error of a share of 2000 rows is 0.01, and the confusion of the classes doubles it.
    np.testing.assert_allclose(ratios / 3, SHARES, atol=0.04)
    assert ratios.mean() == pytest.approx(1)
    predicted = LogisticRegression().fit(*source).predict(target[0])
    if spread == 2.0:
        assert np.abs(np.bincount(predicted) / 2000 - SHARES).max() > 0.05


def test_the_estimate_is_found_together_with_the_map():
    adapter = DomainAdapter(GaussianTransport(), KNN, proportions="estimate").fit(XS, YS, X_target=MOVED)
    np.testing.assert_allclose(adapter.target_proportions_, SHARES, atol=0.05)
    plain = DomainAdapter(GaussianTransport(), KNN).fit(XS, YS, X_target=MOVED)
    assert plain.target_proportions_ is None
    assert adapter.score(MOVED, YT) > 0.97 > 0.9 > plain.score(MOVED, YT)
    # The map is that between the rows of the classes.
    assert np.abs(adapter.transport_.transform(XT) - MOVED).mean() < 0.05 * MOVED.std()


@pytest.mark.parametrize("offset", [0, 5, -50])
def test_far_proportions_are_found_where_equal_ones_would_stay(offset):
    """The Gaussian map of all rows brings as many rows to each class as the source has, so this start misleads."""
    shares = np.array([0.9, 0.1])
    source, y = make_blobs([210, 360], centers=[[0] * 6, [1.5] * 6], cluster_std=1.0, random_state=0)
    target, _ = make_blobs([216, 24], centers=[[0] * 6, [1.5] * 6], cluster_std=1.0, random_state=1)
    ratios = class_ratios(Sample.of(source), y, Sample.of(target + offset), is_moved=True)
    found = ratios * np.bincount(y) / len(y)
    assert np.abs(found - shares).max() < (0.05 if offset == 0 else np.abs(np.bincount(y) / len(y) - shares).max())


def test_a_target_of_rows_unlike_those_of_the_source_changes_nothing():
    """Its predictions are doubtful, so they are no reason to believe in other proportions."""
    between = np.array([[2.5, 0], [2.6, 0.2], [0.2, 2.4], [2.4, 2.4]]).repeat(50, axis=0) + 0.3 * rng.randn(200, 2)
    ratios = class_ratios(Sample.of(XS), YS, Sample.of(between), is_moved=False)
    doubtful = np.abs(ratios - 1).max()
    shifted = np.abs(class_ratios(Sample.of(XS), YS, Sample.of(XT), is_moved=False) - 1).max()
    assert doubtful < 0.3 * shifted


def test_given_proportions_are_weights_of_the_rows():
    given = DomainAdapter(GaussianTransport(), GaussianNB(), proportions=[7, 2, 1]).fit(XS, YS, X_target=MOVED)
    weight = (3 * SHARES)[YS]
    by_hand = DomainAdapter(GaussianTransport(), GaussianNB()).fit(XS, YS, X_target=MOVED, sample_weight=weight)
    np.testing.assert_allclose(given.predict_proba(MOVED), by_hand.predict_proba(MOVED), rtol=1e-9)
    np.testing.assert_allclose(given.target_proportions_, SHARES)
    np.testing.assert_allclose(given.estimator_.class_prior_, SHARES)
    # They multiply the weights of the rows, also of those that are left out.
    own = rng.randint(0, 3, 600).astype(float)
    given.fit(XS, YS, X_target=MOVED, sample_weight=own)
    total = np.bincount(YS, own)
    by_hand.fit(XS, YS, X_target=MOVED, sample_weight=own * (SHARES / total)[YS])
    np.testing.assert_allclose(given.predict_proba(MOVED), by_hand.predict_proba(MOVED), rtol=1e-6)


def test_classes_are_in_the_order_of_their_names():
    names = np.array(["c", "b", "a"])[YS]
    adapter = DomainAdapter(LabelAwareTransport(), GaussianNB(), proportions=(0.1, 0.2, 0.7))
    np.testing.assert_array_equal(adapter.fit(XS, names, X_target=MOVED).classes_, ["a", "b", "c"])
    np.testing.assert_allclose(adapter.estimator_.class_prior_, [0.1, 0.2, 0.7])
    assert adapter.score(MOVED, np.array(["c", "b", "a"])[YT]) > 0.97


def test_an_estimator_without_weights_is_fitted_to_the_rows_as_they_are():
    adapter = DomainAdapter(GaussianTransport(), KNN, proportions=SHARES.tolist()).fit(XS, YS, X_target=MOVED)
    assert adapter.estimator_.n_samples_fit_ == 600


@pytest.mark.parametrize("wanted", [True, False, None])
def test_with_routing_an_estimator_gets_the_weights_that_it_requests(wanted):
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = GaussianNB()
        if wanted is not None:
            estimator.set_fit_request(sample_weight=wanted)
        adapter = DomainAdapter(GaussianTransport(), estimator, proportions=SHARES.tolist())
        adapter.fit(XS, YS, X_target=MOVED)
    np.testing.assert_allclose(adapter.estimator_.class_prior_, SHARES if wanted else [1 / 3] * 3)


def test_each_source_gets_the_proportions_of_the_target():
    other = rows_of([100, 150, 150])
    adapter = DomainAdapter(GaussianTransport(), GaussianNB(), proportions="estimate")
    adapter.fit([XS, other[0] - 9], [YS, other[1]], X_target=MOVED)
    before = np.bincount(np.r_[YS, other[1]]) / 1000
    # The far proportions of the second source are found to two thirds.
    assert np.abs(adapter.target_proportions_ - SHARES).max() < np.abs(before - SHARES).max() / 3
    for transport, rows in zip(adapter.transports_, (XT, XT - 9), strict=True):
        assert np.abs(transport.transform(rows) - MOVED).mean() < 0.2 * MOVED.std()
    # A source without a class gives the others their proportions.
    some = other[1] > 0
    adapter.fit([XS, other[0][some]], [YS, other[1][some]], X_target=MOVED)
    assert np.isfinite(adapter.predict_proba(MOVED)).all()


@pytest.mark.parametrize("transport", [None, GaussianTransport()])
def test_integer_weights_equal_repeated_rows(transport):
    weight, target_weight = rng.randint(0, 3, 600), rng.randint(0, 3, 400)
    model = DomainAdapter(transport, GaussianNB(), proportions="estimate")
    model.fit(XS, YS, X_target=MOVED, sample_weight=weight, target_weight=target_weight)
    found = model.target_proportions_
    model.fit(XS.repeat(weight, axis=0), YS.repeat(weight), X_target=MOVED.repeat(target_weight, axis=0))
    np.testing.assert_allclose(found, model.target_proportions_, rtol=1e-6)


@pytest.mark.parametrize(
    ("proportions", "y", "message"),
    [
        ([0.5, 0.5], YS, "proportions must be 3 numbers"),
        ([1, 2, -1], YS, "proportions must be 3 numbers"),
        ([0, 0, 0], YS, "proportions must be 3 numbers"),
        ("estimate", YS + 0.5, "needs classes: y has the type continuous"),
    ],
)
def test_unusable_proportions_are_refused(proportions, y, message):
    model = DomainAdapter(GaussianTransport(), Ridge(), proportions=proportions)
    with pytest.raises(ValueError, match=message):
        model.fit(XS, y, X_target=MOVED)
    assert not hasattr(model, "transports_")

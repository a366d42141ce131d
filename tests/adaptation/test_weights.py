"""Weights of a DomainAdapter: integer weights equal repeated rows, whatever the transport and the estimator take."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ot.adaptation import DomainAdapter, transport_match, transported_source_accuracy
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.transport import GaussianTransport

ALIGNS = ["source", "target"]
rng = np.random.RandomState(0)
XS, XT = rng.randn(60, 3), rng.randn(50, 3) @ np.diag([2.0, 1.0, 3.0]) + 4
YS = (XS[:, 0] + XS[:, 1] > 0).astype(int)
WS, WT = rng.randint(0, 4, 60), rng.randint(0, 4, 50)


class Shift(BaseEstimator):
    """A transport that takes no weights."""

    def fit(self, X, y=None, *, X_target=None):
        self.shift_ = np.mean(X_target, axis=0) - np.mean(X, axis=0)
        return self

    def transform(self, X):
        return X + self.shift_


class WeightedShift(Shift):
    """A transport that takes the weights of both samples."""

    def fit(self, X, y=None, *, X_target=None, sample_weight=None, target_weight=None):
        means = [np.average(rows, axis=0, weights=w) for rows, w in [(X, sample_weight), (X_target, target_weight)]]
        self.shift_ = means[1] - means[0]
        return self


ESTIMATORS = {
    "takes weights": LogisticRegression(tol=1e-12, max_iter=1000),
    "takes none": KNeighborsClassifier(3),
    "pipeline": make_pipeline(StandardScaler(), PCA(2), KNeighborsClassifier(3)),
}


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize(
    "transport", [GaussianTransport(), WeightedShift(), Shift()], ids=["Gaussian", "takes weights", "takes none"]
)
@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_integer_weights_equal_repeated_rows(align, transport, estimator):
    model = DomainAdapter(transport, estimator, align)
    repeated = XS.repeat(WS, axis=0), YS.repeat(WS)
    expected = sklearn.clone(model).fit(*repeated, X_target=XT.repeat(WT, axis=0))
    model.fit(XS, YS, X_target=XT, sample_weight=WS, target_weight=list(WT))
    np.testing.assert_allclose(model.predict_proba(XT), expected.predict_proba(XT), rtol=1e-6, atol=1e-9)
    # Without weights the result is another one.
    assert not np.allclose(
        sklearn.clone(model).fit(XS, YS, X_target=XT).transport_.transform(XS), model.transport_.transform(XS)
    )


@pytest.mark.parametrize("align", ALIGNS)
def test_the_transport_gets_both_weights_in_its_own_direction(align):
    model = DomainAdapter(WeightedShift(), Ridge(), align)
    model.fit(XS, YS, X_target=XT, sample_weight=WS / 7, target_weight=WT / 7)
    shift = np.average(XT, axis=0, weights=WT) - np.average(XS, axis=0, weights=WS)
    np.testing.assert_allclose(model.transport_.shift_, shift if align == "source" else -shift)


def test_real_weights_need_parts_that_take_weights():
    weight = WS + 0.5
    for model in (DomainAdapter(GaussianTransport(), KNeighborsClassifier()), DomainAdapter(Shift(), Ridge())):
        with pytest.raises(ValueError, match=r"(KNeighborsClassifier|Shift)\.fit takes no sample_weight, and rows can"):
            model.fit(XS, YS, X_target=XT, sample_weight=weight)
        assert not hasattr(model, "transport_")
    with pytest.raises(ValueError, match=r"Shift\.fit takes no target_weight"):
        DomainAdapter(Shift(), Ridge()).fit(XS, YS, X_target=XT, target_weight=WT + 0.5)
    with pytest.raises(ValueError, match="sum of at most"):
        DomainAdapter(Shift(), Ridge()).fit(XS, YS, X_target=XT, target_weight=WT * 1e9)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"sample_weight": WS[1:]}, "sample_weight has shape"),
        ({"sample_weight": -WS}, "sample_weight has a negative weight"),
        ({"target_weight": WS}, "target_weight has shape .*X_target has 50 rows"),
        ({"target_weight": 0 * WT}, "target_weight is zero on every row"),
    ],
)
def test_unusable_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        DomainAdapter(GaussianTransport(), Ridge()).fit(XS, YS, X_target=XT, **weights)


def test_target_weights_need_a_target():
    with pytest.raises(ValueError, match="target_weight is given without target rows"):
        DomainAdapter(GaussianTransport(), Ridge()).fit(XS, YS, target_weight=WT)


def test_requests_decide_whether_the_estimator_gets_weights():
    weight = np.where(YS == 1, 1e-6, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        taken, refused = (LogisticRegression().set_fit_request(sample_weight=wanted) for wanted in (True, False))
        models = [
            DomainAdapter(WeightedShift(), part).fit(XS, YS, X_target=XT, sample_weight=weight)
            for part in (taken, refused)
        ]
        # The weights leave one class.
        assert not models[0].predict(XT).any()
        assert models[1].predict(XT).any()
        # The transport gets them in any case.
        expected = WeightedShift().fit(XS, X_target=XT, sample_weight=weight).shift_
        for model in models:
            np.testing.assert_array_equal(model.transport_.shift_, expected)
        # An estimator that cannot request weights gets repeated rows.
        knn = DomainAdapter(WeightedShift(), KNeighborsClassifier(3))
        knn.fit(XS, YS, X_target=XT, sample_weight=WS)
    probabilities = knn.predict_proba(XT)
    knn.fit(XS.repeat(WS, axis=0), YS.repeat(WS), X_target=XT)
    np.testing.assert_allclose(probabilities, knn.predict_proba(XT), atol=1e-9)


@pytest.mark.parametrize("align", ALIGNS)
def test_scorers_respect_weights(align):
    model = DomainAdapter(GaussianTransport(), KNeighborsClassifier(1), align)
    model.fit(XS, YS, X_target=XT, target_weight=WT)
    rows, y, weight = XS[:30], YS[:30].copy(), np.arange(30.0)
    match = transport_match(model, rows, sample_weight=weight)
    start, end = (rows, model.target_reference_) if align == "source" else (model.target_reference_, rows)
    keyword = "sample_weight" if align == "source" else "target_weight"
    distance = sliced_wasserstein_distance(model.transport_.transform(start), end, random_state=0, **{keyword: weight})
    assert match == pytest.approx(-(distance**2), rel=1e-12)
    assert match != transport_match(model, rows)
    # The reference has the weights of the target.
    weighted = np.average(XT, axis=0, weights=WT)
    np.testing.assert_allclose(model.target_reference_.mean(axis=0), weighted, atol=0.02)
    y[:10] = 1 - y[:10]
    assert transported_source_accuracy(model, rows, y, sample_weight=weight) == pytest.approx(1 - 45 / 435)


def test_a_search_passes_weights_on():
    search = GridSearchCV(
        DomainAdapter(WeightedShift(), LogisticRegression()),
        {"align": ["target"]},
        scoring=transport_match,
        cv=KFold(3, shuffle=True, random_state=0),
        error_score="raise",
    )
    search.fit(XS, YS, X_target=XT, sample_weight=WS.astype(float))
    expected = DomainAdapter(WeightedShift(), LogisticRegression(), "target")
    expected.fit(XS, YS, X_target=XT, sample_weight=WS)
    np.testing.assert_allclose(search.predict_proba(XT), expected.predict_proba(XT))

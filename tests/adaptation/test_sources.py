"""A DomainAdapter gives labels to its transport, does without a transport, and has a map for each source."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_ot.adaptation import DomainAdapter, transport_match, transported_source_accuracy
from sklearn_ot.base import uses_labels
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.transport import GaussianTransport

ALIGNS = ["source", "target"]
NONE = [None, "passthrough"]
rng = np.random.RandomState(0)


def classes(n_rows):
    y = np.arange(n_rows) % 2
    return 0.3 * rng.randn(n_rows, 2) + np.c_[2 * y, y], y


# Three measurements of one population: two sources, in coordinates of their own, and the target.
(X1, Y1), (X2, Y2), (XT, YT) = classes(90), classes(70), classes(80)
X2 = X2 @ [[0.5, 0.2], [0.2, 0.8]] - 5
XT = XT @ [[2.0, 0.5], [0.5, 1.0]] + [6, -3]
SEVERAL = [X1, X2], [Y1, Y2]


class Recorder(BaseEstimator):
    """A transport that keeps its arguments, and moves no row."""

    __metadata_request__fit = {"X_target": True}  # noqa: RUF012

    def fit(self, X, y=None, *, X_target=None):
        self.X_, self.y_, self.X_target_ = X, y, X_target
        return self

    def transform(self, X):
        return X


class LabelRecorder(Recorder):
    """One that says in its tags that it requires labels."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class Away(Recorder):
    """One that moves each row by 10."""

    def transform(self, X):
        return X + 10


def knn(transport, align="source"):
    return DomainAdapter(transport, KNeighborsClassifier(1), align)


# Labels


def test_labels_reach_the_transports_that_require_them():
    assert uses_labels(LabelRecorder())
    assert uses_labels(make_pipeline(GaussianTransport(), LabelRecorder()))
    assert not uses_labels(make_pipeline(GaussianTransport(), GaussianTransport()))
    for y in (Y1, Y1.tolist(), pd.Series(Y1, index=rng.permutation(90)), np.c_[Y1, 2 * Y1]):
        estimator = Ridge()
        seen = DomainAdapter(LabelRecorder(), estimator).fit(X1, y, X_target=XT).transport_
        np.testing.assert_array_equal(seen.y_, y)
        assert DomainAdapter(Recorder(), estimator).fit(X1, y, X_target=XT).transport_.y_ is None


def test_labels_are_repeated_with_their_rows():
    weight = np.arange(90) % 3
    seen = knn(LabelRecorder()).fit(X1, Y1, X_target=XT, sample_weight=weight).transport_
    np.testing.assert_array_equal(seen.y_, Y1.repeat(weight))
    np.testing.assert_array_equal(seen.X_, X1.repeat(weight, axis=0))


def test_each_transport_gets_the_labels_of_its_source():
    fitted = knn(LabelRecorder()).fit(*SEVERAL, X_target=XT)
    for transport, X, y in zip(fitted.transports_, *SEVERAL, strict=True):
        np.testing.assert_array_equal(transport.X_, X)
        np.testing.assert_array_equal(transport.y_, y)


def test_target_rows_have_no_labels():
    model = knn(LabelRecorder(), "target")
    with pytest.raises(ValueError, match="LabelRecorder needs the labels of the rows that it moves"):
        model.fit(X1, Y1, X_target=XT)
    assert not hasattr(model, "transports_")


# No transport


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("transport", NONE)
def test_no_transport_is_the_estimator_alone(transport, align):
    alone = KNeighborsClassifier(1).fit(X1, Y1)
    with warnings.catch_warnings():
        # Rows of both domains are predicted alike, so it does not matter that they are mistaken for each other.
        warnings.simplefilter("error")
        model = knn(transport, align).fit(X1, Y1, X_target=XT)
        for domain in ("auto", "target", "source"):
            for rows in (X1, XT):
                np.testing.assert_array_equal(model.predict(rows, domain=domain), alone.predict(rows))
    np.testing.assert_array_equal(model.transport_.transform(X1), X1)
    distance = sliced_wasserstein_distance(X1, XT, random_state=0)
    assert transport_match(model, X1) == pytest.approx(-(distance**2), rel=1e-12)
    assert transported_source_accuracy(model, X1, 1 - Y1) == 0


def test_no_transport_warns_of_no_units_and_passes_weights_to_the_estimator():
    weight = np.where(Y1 == 1, 1e-6, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = DomainAdapter(None, LogisticRegression()).fit(X1 * [1, 1e3], Y1, X_target=XT, sample_weight=weight)
    # The weights leave one class.
    assert not model.predict(XT).any()


@pytest.mark.parametrize("align", ALIGNS)
def test_a_search_can_choose_no_transport(align):
    grid = {"transport": [Away(), None, "passthrough"]}
    # The target is a part of the source.
    away = 10 if align == "source" else -10
    for target, order in [(X1[1::2], [3, 1, 1]), (X1[1::2] + away, [1, 2, 2])]:
        search = GridSearchCV(knn(Away(), align), grid, scoring=transport_match, cv=KFold(3, shuffle=True))
        search.fit(X1, Y1, X_target=target)
        np.testing.assert_array_equal(search.cv_results_["rank_test_score"], order)


# Several sources


def by_hand():
    """Both sources, each moved by its own map."""
    return [GaussianTransport().fit(X, XT).transform(X) for X in SEVERAL[0]]


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, pd.DataFrame], ids=["array", "list", "DataFrame"])
def test_each_source_has_its_own_map(kind):
    names = {"columns": ["a", "b"]} if kind is pd.DataFrame else {}
    sources, target = [kind(X, **names) for X in SEVERAL[0]], kind(XT, **names)
    fitted = knn(GaussianTransport()).fit(sources, [Y1, list(Y2)], X_target=target)
    images = by_hand()
    expected = KNeighborsClassifier(1).fit(np.vstack(images), np.r_[Y1, Y2])
    np.testing.assert_array_equal(fitted.predict(target), expected.predict(XT))
    assert fitted.score(target, YT) > 0.97
    for transport, X, moved in zip(fitted.transports_, SEVERAL[0], images, strict=True):
        np.testing.assert_allclose(transport.transform(X), moved, rtol=1e-12)
    # One map for both, as if they were one source, is worse.
    together = knn(GaussianTransport()).fit(np.vstack(SEVERAL[0]), np.r_[Y1, Y2], X_target=XT)
    assert together.score(XT, YT) < 0.9
    with pytest.raises(AttributeError, match=r"several sources.*see transports_"):
        fitted.transport_  # noqa: B018


def test_rows_of_each_source_are_recognised_or_named():
    images = by_hand()
    fitted = DomainAdapter(GaussianTransport(), LogisticRegression()).fit(*SEVERAL, X_target=XT)
    for number, (X, moved) in enumerate(zip(SEVERAL[0], images, strict=True)):
        expected = fitted.estimator_.predict_proba(moved)
        np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-12)
        np.testing.assert_allclose(fitted.predict_proba(X, domain=number), expected, rtol=1e-12)
    mixed = np.vstack([XT[:3], X2[:2], X1[:4]])
    expected = fitted.estimator_.predict_proba(np.vstack([XT[:3], images[1][:2], images[0][:4]]))
    np.testing.assert_allclose(fitted.predict_proba(mixed), expected, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predict_proba(X1, domain="target"), fitted.estimator_.predict_proba(X1))
    with pytest.raises(ValueError, match="There are 2 sources: pass domain=0"):
        fitted.predict(X1, domain="source")
    for unknown in (2, -1, True):
        with pytest.raises(ValueError, match="number of a source from 0 to 1; got"):
            fitted.predict(X1, domain=unknown)


def test_a_single_source_has_the_number_0():
    fitted = knn(GaussianTransport()).fit(X1, Y1, X_target=XT)
    np.testing.assert_array_equal(fitted.predict(X1, domain=0), fitted.predict(X1, domain="source"))
    listed = knn(GaussianTransport()).fit([X1], [Y1], X_target=XT)
    np.testing.assert_array_equal(fitted.predict_proba(XT), listed.predict_proba(XT))


def test_weights_of_several_sources_are_lists():
    weights = [np.arange(90) % 3, None]
    model = DomainAdapter(GaussianTransport(), LogisticRegression(tol=1e-12, max_iter=1000))
    expected = clone(model).fit([X1.repeat(weights[0], axis=0), X2], [Y1.repeat(weights[0]), Y2], X_target=XT)
    model.fit(*SEVERAL, X_target=XT, sample_weight=weights)
    np.testing.assert_allclose(model.predict_proba(XT), expected.predict_proba(XT), rtol=1e-6)
    weighted = transport_match(model, SEVERAL[0], sample_weight=weights)
    parts = [knn(GaussianTransport()).fit(X1, Y1, X_target=XT, sample_weight=weights[0])]
    parts.append(knn(GaussianTransport()).fit(X2, Y2, X_target=XT))
    matches = [transport_match(part, X, sample_weight=w) for part, X, w in zip(parts, SEVERAL[0], weights, strict=True)]
    assert weighted == pytest.approx(np.mean(matches), rel=1e-12)


def test_scores_of_several_sources_are_means():
    fitted = knn(GaussianTransport()).fit(*SEVERAL, X_target=XT)
    assert transported_source_accuracy(fitted, SEVERAL[0], [Y1, 1 - Y2]) == pytest.approx(0.5, abs=0.02)
    with pytest.raises(ValueError, match="2 sources: give lists"):
        transport_match(fitted, X1)


def test_several_sources_keep_columns_that_pass_through():
    tables = [pl.DataFrame({"kind": ["u", "v"] * (len(X) // 2), "a": X[:, 0], "b": X[:, 1]}) for X in SEVERAL[0]]

    class Seen(KNeighborsClassifier):
        def fit(self, X, y):
            self.seen_ = X
            return super().fit(X.drop("kind").to_numpy(), y)

    fitted = DomainAdapter(GaussianTransport(), Seen(1), columns=["a", "b"])
    fitted.fit(tables, SEVERAL[1], X_target=pl.DataFrame({"a": XT[:, 0], "b": XT[:, 1]}))
    seen = fitted.estimator_.seen_
    assert seen.columns == ["kind", "a", "b"]
    assert seen["kind"].to_list() == ["u", "v"] * 80
    np.testing.assert_allclose(seen.drop("kind").to_numpy(), np.vstack(by_hand()), rtol=1e-12)


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        (SEVERAL[0], Y1, {}, "X is a list of 2 sources: give y as a list"),
        (SEVERAL[0], [Y1], {}, "X is a list of 2 sources: give y as a list"),
        (SEVERAL[0], None, {}, "X\\[0\\].*requires y to be passed"),
        (SEVERAL[0], [Y1, Y1], {}, "X\\[1\\], the rows of source 1.*inconsistent numbers of samples"),
        ([X1, X2[:, :1]], [Y1, Y2], {}, "X\\[1\\].*X has 1 features, but DomainAdapter is expecting 2"),
        ([X1, X2[:1]], [Y1, Y2[:1]], {}, "X\\[1\\].*minimum of 2 is required"),
        ([X1, pd.DataFrame(X2)], [Y1, Y2], {}, "DataFrames of different kinds"),
        (*SEVERAL, {"sample_weight": np.ones(160)}, "give sample_weight as a list"),
        (*SEVERAL, {"sample_weight": [np.ones(90), np.ones(9)]}, "sample_weight\\[1\\] has shape"),
    ],
)
def test_unusable_sources_are_named_and_leave_no_trace(X, y, options, message):
    model = knn(GaussianTransport())
    parameters = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, X_target=XT, **options)
    assert vars(model) == parameters


def test_the_target_is_moved_onto_one_source_only():
    with pytest.raises(ValueError, match="moves target rows onto one source"):
        knn(GaussianTransport(), "target").fit(*SEVERAL, X_target=XT)
    knn(None, "target").fit(*SEVERAL, X_target=XT)

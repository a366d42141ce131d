"""A DomainAdapter gives labels to its transport, does without a transport, and has a map for each source."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ot.adaptation import (
    DomainAdapter,
    DomainAdapterCV,
    LabelAwareTransport,
    neighbor_consistency,
    prediction_entropy,
    transport_match,
    transported_source_accuracy,
)
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
        with pytest.raises(
            ValueError, match=r"the name of a source, one of \[0, 1\], or such a name for each row; got"
        ):
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


# Several sources as one table with the source of each row

ORDER = rng.permutation(160)
# Rows of each source stay in their order among each other.
NUMBER = np.sort(ORDER >= 90)[np.argsort(rng.rand(160))].astype(int)
X_ALL, Y_ALL = np.empty((160, 2)), np.empty(160, int)
for number, (X, y) in enumerate(zip(*SEVERAL, strict=True)):
    X_ALL[number == NUMBER], Y_ALL[number == NUMBER] = X, y
NAMES = np.array(["lab", "field"])[NUMBER]  # in ascending order, the second source is the first
SCORERS = [transport_match, transported_source_accuracy, prediction_entropy, neighbor_consistency]


@pytest.mark.parametrize("transport", [GaussianTransport(), LabelAwareTransport(n_rounds=1)])
@pytest.mark.parametrize(
    ("domain", "names"),
    [
        (NUMBER, [0, 1]),
        ((7 - NUMBER).tolist(), [7, 6]),
        (NUMBER == 1, [False, True]),
        (NAMES, ["lab", "field"]),
        (pd.Series(NAMES, index=ORDER), ["lab", "field"]),
        (pd.Categorical(NAMES), ["lab", "field"]),
        (pl.Series(NAMES), ["lab", "field"]),
        (NAMES[:, None], ["lab", "field"]),
        (NAMES.astype(object), ["lab", "field"]),
    ],
    ids=["int", "list", "bool", "str", "Series", "Categorical", "polars", "column", "object"],
)
def test_the_source_of_each_row_is_the_same_as_lists(transport, domain, names):
    listed = DomainAdapter(transport, KNeighborsClassifier(1)).fit(*SEVERAL, X_target=XT)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "A column-vector")
        fitted = clone(listed).fit(X_ALL, Y_ALL, domain=domain, X_target=XT)
    assert sorted(names) == fitted.source_names_.tolist()
    np.testing.assert_array_equal(fitted.predict_proba(XT), listed.predict_proba(XT))
    for number, (name, X) in enumerate(zip(names, SEVERAL[0], strict=True)):
        np.testing.assert_array_equal(fitted.predict(X, domain=name), listed.predict(X, domain=number))
        transport = fitted.transports_[fitted.source_names_.tolist().index(name)]
        np.testing.assert_array_equal(transport.transform(X), listed.transports_[number].transform(X))


def test_the_domain_of_each_row_to_predict():
    fitted = DomainAdapter(GaussianTransport(), LogisticRegression()).fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)
    rows = np.vstack([X_ALL[:5], XT[:3], X_ALL[5:]]) + 0.01
    names = [*NAMES[:5], *["target"] * 3, *NAMES[5:]]
    found = fitted.predict_proba(rows, domain=names)
    for name in ("lab", "field", "target"):
        index = np.array(names) == name
        np.testing.assert_allclose(found[index], fitted.predict_proba(rows[index], domain=name), rtol=1e-12)
    assert fitted.score(X_ALL, Y_ALL, domain=NAMES) > 0.97
    # Rows of the fit are recognised.
    np.testing.assert_array_equal(fitted.predict_proba(X_ALL), fitted.predict_proba(X_ALL, domain=NAMES))
    for unusable, message in [
        ("source", "There are 2 sources: pass domain='field'"),
        ("attic", r"one of \['field', 'lab'\].*got 'attic'"),
        (0, "got 0"),
        ({}, "got {}"),
        (None, "got None"),
        (NAMES[:9], r"shape \(9,\) for 160 rows"),
        (["lab"], r"shape \(1,\) for 160 rows"),
    ]:
        with pytest.raises(ValueError, match=message):
            fitted.predict(X_ALL, domain=unusable)
    numbered = DomainAdapter(GaussianTransport(), LogisticRegression()).fit(X_ALL, Y_ALL, domain=NUMBER, X_target=XT)
    for unusable in (True, np.True_, "0"):
        with pytest.raises(ValueError, match=r"one of \[0, 1\]"):
            numbered.predict(X_ALL, domain=unusable)


def test_one_name_is_one_source():
    alone = knn(GaussianTransport()).fit(X1, Y1, X_target=XT)
    named = knn(GaussianTransport()).fit(X1, Y1, domain=["lab"] * 90, X_target=XT)
    for domain in ("lab", "source"):
        np.testing.assert_array_equal(named.predict_proba(X1, domain=domain), alone.predict_proba(X1, domain="source"))
    assert isinstance(named.transport_, GaussianTransport)


def test_weights_of_a_table_with_several_sources():
    weight = 1 + np.arange(160) % 3
    model = DomainAdapter(GaussianTransport(), LogisticRegression(tol=1e-12, max_iter=1000))
    fitted = clone(model).fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT, sample_weight=weight)
    repeated = [part.repeat(weight, axis=0) for part in (X_ALL, Y_ALL, NAMES)]
    expected = clone(model).fit(*repeated[:2], domain=repeated[2], X_target=XT)
    np.testing.assert_allclose(fitted.predict_proba(XT), expected.predict_proba(XT), rtol=1e-6)
    score = transport_match(fitted, X_ALL, sample_weight=weight, domain=NAMES)
    assert score == pytest.approx(transport_match(expected, repeated[0], domain=repeated[2]), rel=1e-9)


@pytest.mark.parametrize("scorer", SCORERS)
def test_scores_of_a_table_with_several_sources(scorer):
    fitted = knn(GaussianTransport()).fit(*SEVERAL, X_target=XT)
    expected = scorer(fitted, *SEVERAL)
    named = knn(GaussianTransport()).fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)
    assert scorer(named, X_ALL, Y_ALL, domain=NAMES) == pytest.approx(expected, rel=1e-9)
    assert scorer(named, pd.DataFrame(X_ALL), pd.Series(Y_ALL), domain=NAMES) == pytest.approx(expected, rel=1e-9)
    # Held-out rows need not be from all sources.
    assert np.isfinite(scorer(named, X1, Y1, domain=["lab"] * 90))
    with pytest.raises(ValueError, match=r"2 sources: give lists.*or domain"):
        scorer(named, X_ALL, Y_ALL)


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_search_splits_the_sources_with_the_rows(scorer):
    model, cv = knn(Away()), KFold(3, shuffle=True, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(model, {"transport": [GaussianTransport()]}, scoring=scorer, cv=cv, error_score="raise")
        search.fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)
        several = {name.__name__: name for name in SCORERS}
        other = clone(search).set_params(scoring=several, refit=scorer.__name__)
        other.fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)
        accuracy = cross_val_score(knn(GaussianTransport()), X_ALL, Y_ALL, params={"domain": NAMES, "X_target": XT})
    assert accuracy.mean() > 0.97
    scores = []
    for training, test in cv.split(X_ALL):
        fitted = knn(GaussianTransport()).fit(X_ALL[training], Y_ALL[training], domain=NAMES[training], X_target=XT)
        scores.append(scorer(fitted, X_ALL[test], Y_ALL[test], domain=NAMES[test]))
    assert search.best_score_ == pytest.approx(np.mean(scores), rel=1e-12)
    assert other.cv_results_[f"mean_test_{scorer.__name__}"] == search.cv_results_["mean_test_score"]
    assert search.best_estimator_.source_names_.tolist() == ["field", "lab"]


def test_a_pipeline_passes_the_sources_on():
    model = knn(GaussianTransport())
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(StandardScaler(), model, transform_input=["X_target"])
        pipe.fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)
        predicted = pipe.predict(X1, domain="lab")
    assert np.mean(predicted == Y1) > 0.97
    assert len(pipe[-1].transports_) == 2


def test_a_choice_of_transports_for_a_table_with_several_sources():
    candidates = [None, GaussianTransport(), LabelAwareTransport()]
    listed = DomainAdapterCV(candidates, KNeighborsClassifier(1)).fit(*SEVERAL, X_target=XT)
    fitted = clone(listed).fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)
    assert listed.best_transport_ is not None
    np.testing.assert_array_equal(fitted.predict(XT), listed.predict(XT))
    for name in ("neighbor_consistency", "prediction_entropy", "transport_match", "is_admitted"):
        np.testing.assert_allclose(fitted.cv_results_[name], listed.cv_results_[name], rtol=1e-9)
    assert fitted.source_names_.tolist() == ["field", "lab"]
    np.testing.assert_array_equal(fitted.predict(X1, domain="lab"), listed.predict(X1, domain=0))


@pytest.mark.parametrize("library", [pd, pl])
def test_a_table_with_several_sources_keeps_columns_that_pass_through(library):
    table = library.DataFrame({"kind": NAMES, "a": X_ALL[:, 0], "b": X_ALL[:, 1]})

    class Seen(KNeighborsClassifier):
        def fit(self, X, y):
            self.seen_ = X
            return super().fit(X[["a", "b"]].to_numpy(), y)

    fitted = DomainAdapter(GaussianTransport(), Seen(1), columns=["a", "b"])
    target = library.DataFrame({"a": XT[:, 0], "b": XT[:, 1]})
    seen = fitted.fit(table, Y_ALL, domain=table["kind"], X_target=target).estimator_.seen_
    # The rows are in the order of the table.
    np.testing.assert_array_equal(seen["kind"], NAMES)
    for name, images in zip(["lab", "field"], by_hand(), strict=True):
        np.testing.assert_allclose(seen[["a", "b"]].to_numpy()[name == NAMES], images, rtol=1e-12)
    assert (
        transported_source_accuracy(
            DomainAdapter(GaussianTransport(), LogisticRegression(), columns=["a", "b"]).fit(
                table[["a", "b"]], Y_ALL, domain=NAMES, X_target=target
            ),
            table[["a", "b"]],
            Y_ALL,
            domain=NAMES,
        )
        > 0.97
    )


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (NAMES[:9], "domain names the source of each row of X: it has 9 entries for 160 rows"),
        ([*NAMES[:159], "target"], "domain has the label 'target'.*target rows as X_target"),
        ([*NAMES[:159], "auto"], "domain has the label 'auto'"),
        ([*NAMES[:159], "attic"], "domain names the source 'attic' for one row only"),
        ([*NAMES[:159], None], "domain, the source of each row of X, cannot be used"),
        ([*NUMBER[:159], np.nan], "domain, the source of each row of X, cannot be used.*NaN"),
        (X_ALL, "domain, the source of each row of X, cannot be used"),
        ("lab", "domain, the source of each row of X, cannot be used"),
    ],
)
def test_unusable_names_of_sources_leave_no_trace(domain, message):
    model = knn(GaussianTransport())
    parameters = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X_ALL, Y_ALL, domain=domain, X_target=XT)
    assert vars(model) == parameters
    with pytest.raises(ValueError, match=r"X is a list of sources: give domain=\.\.\. only with one table"):
        model.fit(*SEVERAL, domain=domain, X_target=XT)
    with pytest.raises(ValueError, match="moves target rows onto one source"):
        knn(GaussianTransport(), "target").fit(X_ALL, Y_ALL, domain=NAMES, X_target=XT)

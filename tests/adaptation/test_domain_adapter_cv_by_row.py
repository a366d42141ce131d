"""DomainAdapterCV(by_row=True): the candidate that predicts is chosen for each row."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sklearn_ot.adaptation import DomainAdapter, DomainAdapterCV, LabelAwareTransport
from sklearn_ot.networks import Dense
from sklearn_ot.transport import GaussianTransport

rng = np.random.RandomState(0)
KNN = KNeighborsClassifier(1)
CANDIDATES = [None, GaussianTransport(), LabelAwareTransport()]
PROPORTIONS = ("source", "estimate")


class FunctionTransport(BaseEstimator):
    """A transport that moves no row."""

    def fit(self, X, y=None, *, X_target=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X


def rows_of(sizes, seed):
    centers = [[0, 0], [4, 0], [0, 4], [4, 4]][: len(sizes)]
    X, y = make_blobs(sizes, centers=centers, cluster_std=0.8, random_state=seed)
    order = np.random.RandomState(seed).permutation(len(y))
    return X[order], y[order]


def rotated(X, angle):
    return X @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]


XS, YS = rows_of([100] * 3, 0)
XT, YT = rows_of([90] * 3, 1)
# Domains by what happens to the target, with the transports that may be chosen.
SHEARED = XT @ [[2.0, 0.6], [0.6, 0.9]] + [8, -3]


def chosen(X, **options):
    fitted = DomainAdapterCV(CANDIDATES, KNN, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitted.fit(XS, YS, X_target=X)


def by_row(X, estimator=KNN, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DomainAdapterCV(CANDIDATES, estimator, by_row=True, **options).fit(XS, YS, X_target=X)


def members(fitted, X):
    """Adapters of all admitted candidates, fitted alone."""
    results = fitted.cv_results_
    rows = zip(results["transport"], results["proportions"], results["is_admitted"], strict=True)
    return [
        DomainAdapter(transport, fitted.estimator, proportions=part).fit(XS, YS, X_target=X)
        for transport, part, is_in in rows
        if is_in
    ]


@pytest.mark.parametrize(
    ("angle", "best", "admitted"), [(0.5, 0, [0, 1, 2]), (0.6, 2, [0, 1, 2]), (0.7, 2, [0, 2])], ids=str
)
def test_each_row_gets_the_candidate_whose_class_is_trusted_most(angle, best, admitted):
    """The trust is the median of the logistic regressions, and 0.2 for the best candidate and for no transport."""
    X = rotated(XT, angle)
    fitted = by_row(X)
    assert fitted.best_index_ == best
    assert list(np.flatnonzero(fitted.cv_results_["is_admitted"])) == admitted
    adapters = [DomainAdapter(CANDIDATES[number], KNN).fit(XS, YS, X_target=X) for number in admitted]
    labels = [adapter.predict(X, domain="target") for adapter in adapters]
    # A candidate that is admitted may be no judge.
    lack, error = np.transpose([lacks(part, adapters, X) for part in adapters])
    moved = [adapter.transport_.transform(XS) for adapter in adapters]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    judges = [model.fit(Z, YS).predict_proba(X) for Z, is_in in zip(moved, lack <= 5 * error, strict=True) if is_in]
    trust = np.median(judges, axis=0)
    for number in (0, admitted.index(best)):
        trust[np.arange(len(X)), labels[number]] += 0.2
    votes = np.array([trust[np.arange(len(X)), part] for part in labels])
    expected = np.array(labels)[votes.argmax(axis=0), np.arange(len(X))]
    np.testing.assert_array_equal(fitted.predict(X, domain="target"), expected)
    # The rule is no choice of one candidate for all rows: it differs from each of them.
    assert all((expected != part).any() for part in labels)
    # The best candidate gets the rows about which it agrees with others.
    share = fitted.cv_results_["share"]
    assert sum(share) == pytest.approx(1)
    assert share[best] == pytest.approx(np.mean(votes[admitted.index(best)] == votes.max(axis=0)))
    assert chosen(X).cv_results_["share"] == [float(number == best) for number in range(3)]


def lacks(adapter, adapters, X):
    """How much less the neighbours of a candidate agree than those of the best one, and the standard error of this."""
    index = NearestNeighbors(n_neighbors=10).fit(X).kneighbors(return_distance=False)
    labels = [part.predict(X, domain="target") for part in (adapter, *adapters)]
    found = [np.mean(part[index] == part[:, None], axis=1) for part in labels]
    difference = max(found[1:], key=np.mean) - found[0]
    return difference.mean(), difference.std(ddof=1) / np.sqrt(len(X))


def test_a_row_about_which_the_candidates_agree_is_never_overruled():
    for estimator in (KNN, DecisionTreeClassifier(random_state=0)):
        X = rotated(XT, 0.6)
        fitted = by_row(X, estimator, proportions=PROPORTIONS)
        labels = np.array([part.predict(X, domain="target") for part in members(fitted, X)])
        predicted = fitted.predict(X, domain="target")
        assert len(labels) > 1
        assert (labels == predicted).any(axis=0).all()


def test_a_candidate_that_is_not_admitted_predicts_no_row():
    """Under other proportions of the classes all maps make rows of one class to rows of another."""
    X = rotated(rows_of([200, 30, 20], 2)[0], 0.3)
    fitted = by_row(X, proportions=PROPORTIONS)
    assert fitted.cv_results_["is_admitted"] == [True, *[False] * 4]
    labels = KNeighborsClassifier(1).fit(XS, YS).predict(X)
    np.testing.assert_array_equal(fitted.predict(X), labels)
    # Nor is it a judge: the probabilities are those of the only candidate that is left.
    judge = make_pipeline(StandardScaler(), LogisticRegression()).fit(XS, YS)
    expected = np.mean(judge.predict_proba(X)[np.arange(len(X)), labels])
    assert fitted.cv_results_["expected_accuracy"][0] == pytest.approx(expected)


def test_other_methods_return_what_the_candidate_of_the_row_returns():
    X = rotated(XT, 0.5)
    fitted = by_row(X, make_pipeline(StandardScaler(), LogisticRegression()))
    adapters = members(fitted, X)
    for method in ("predict_proba", "decision_function"):
        values = getattr(fitted, method)(X, domain="target")
        parts = np.array([getattr(adapter, method)(X, domain="target") for adapter in adapters])
        assert (np.isclose(parts, values).all(axis=2)).any(axis=0).all()
        np.testing.assert_array_equal(values.argmax(axis=1), fitted.predict(X, domain="target"))
    weight = rng.uniform(size=len(X))
    right = fitted.predict(X) == YT
    assert fitted.score(X, YT) == pytest.approx(right.mean())
    assert fitted.score(X, YT, sample_weight=weight) == pytest.approx(np.average(right, weights=weight))


def test_classes_are_names_and_the_rows_of_each_domain_are_known():
    names = np.array(["one", "three", "two"])
    source, other, table = XS, XS + 3, SHEARED
    fitted = DomainAdapterCV(CANDIDATES, KNN, by_row=True)
    fitted.fit([source, other], [names[YS], names[YS]], X_target=table)
    assert np.mean(fitted.predict(table) == names[YT]) > 0.97
    for number, rows in enumerate((source, other)):
        # Rows of a source are known by themselves, and the nearest of the moved rows are they.
        np.testing.assert_array_equal(fitted.predict(rows), names[YS])
        np.testing.assert_array_equal(fitted.predict(rows, domain=number), names[YS])
    mixed = np.vstack([source[:50], table[:50]])
    domain = np.array([0] * 50 + ["target"] * 50, dtype=object)
    np.testing.assert_array_equal(fitted.predict(mixed, domain=domain), fitted.predict(mixed))


@pytest.mark.parametrize("align", ["source", "target"])
def test_source_rows_are_known_even_if_no_transport_is_best(align):
    fitted = DomainAdapterCV([GaussianTransport()], KNN, align=align, margin=1e9, by_row=True)
    fitted.fit(XS, YS, X_target=rotated(XT, 0.5))
    assert fitted.best_transport_ is None
    assert len(fitted.domains_) == 1
    np.testing.assert_array_equal(fitted.predict(XS), YS)


def test_without_a_doubtful_row_none_is_reported_as_before():
    far = 10 * XT
    with pytest.warns(UserWarning, match="No transport is chosen"):
        fitted = DomainAdapterCV([FunctionTransport()], KNN, by_row=True).fit(10 * XS, YS, X_target=far)
    assert fitted.cv_results_["share"] == [1, 0]
    np.testing.assert_array_equal(fitted.predict(far), KNeighborsClassifier(1).fit(10 * XS, YS).predict(far))


def test_a_choice_by_row_is_copied_and_refuses_what_it_cannot_do():
    X = rotated(XT, 0.5)
    fitted = by_row(X)
    expected = fitted.predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), expected)
    np.testing.assert_array_equal(clone(fitted).fit(XS, YS, X_target=X).predict(X), expected)
    with pytest.raises(ValueError, match="needs by_row=False"):
        by_row(X, feature_extractor=Dense(), fine_tune=1)
    np.testing.assert_array_equal(fitted.predict(X), expected)
    with pytest.warns(UserWarning, match="no X_target"):
        alone = clone(fitted).fit(XS, YS)
    np.testing.assert_array_equal(alone.predict(XS), YS)
    # A later fit without by_row forgets the committee.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.set_params(by_row=False).fit(XS, YS, X_target=X)
    np.testing.assert_array_equal(fitted.predict(X), chosen(X).predict(X))


def test_a_choice_by_row_in_tables_and_features():
    tables = [pd.DataFrame({"kind": "u", "a": X[:, 0], "b": X[:, 1]}) for X in (XS, rotated(XT, 0.5))]
    encode = make_column_transformer(("passthrough", ["a", "b"]))
    fitted = DomainAdapterCV(CANDIDATES, make_pipeline(encode, KNN), columns=["a", "b"], by_row=True)
    fitted.fit(tables[0], YS, X_target=tables[1])
    np.testing.assert_array_equal(fitted.predict(tables[1]), by_row(rotated(XT, 0.5)).predict(rotated(XT, 0.5)))
    scaled = by_row(rotated(XT, 0.5), feature_extractor=StandardScaler().fit(XS))
    assert scaled.score(rotated(XT, 0.5), YT) > 0.9

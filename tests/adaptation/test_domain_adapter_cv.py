"""Criteria without labels of the target, and the transport that DomainAdapterCV chooses by them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sklearn_ot.adaptation import (
    DomainAdapter,
    DomainAdapterCV,
    LabelAwareTransport,
    neighbor_consistency,
    prediction_entropy,
    transport_match,
)
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
FEW, Y_FEW = rows_of([200, 30, 20], 2)


def chosen(X, **options):
    fitted = DomainAdapterCV(CANDIDATES, KNN, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitted.fit(XS, YS, X_target=X)


def test_none_is_chosen_if_the_domains_are_alike_and_a_warning_says_so():
    with pytest.warns(UserWarning, match="No transport is chosen") as caught:
        fitted = DomainAdapterCV([GaussianTransport()], KNN).fit(XS, YS, X_target=XT)
    assert caught[0].filename == __file__
    assert fitted.best_transport_ is None
    assert fitted.best_index_ == 0
    np.testing.assert_array_equal(fitted.predict(XT), KNeighborsClassifier(1).fit(XS, YS).predict(XT))


def test_a_shift_of_the_features_is_repaired_without_a_warning():
    """Without a map all rows are predicted to be of one class: neighbours agree, but the other classes are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = DomainAdapterCV(CANDIDATES, KNN).fit(XS, YS, X_target=SHEARED)
    assert len(np.unique(KNeighborsClassifier(1).fit(XS, YS).predict(SHEARED))) < 3
    assert fitted.best_transport_ is not None
    assert fitted.score(SHEARED, YT) > 0.97


def test_a_shift_of_the_proportions_is_no_reason_for_a_map():
    """The score `transport_match` chooses the map that makes rows of one class to rows of another."""
    fitted = chosen(FEW)
    results = fitted.cv_results_
    assert np.argmax(results["transport_match"]) > 0
    losses = [DomainAdapter(part, KNN).fit(XS, YS, X_target=FEW).score(FEW, Y_FEW) for part in CANDIDATES[:2]]
    assert losses[0] > losses[1] + 0.1
    assert fitted.best_transport_ is None
    # Of both shifts the estimate of the proportions is right.
    both = chosen(FEW @ [[2.0, 0.6], [0.6, 0.9]] + [8, -3], proportions=PROPORTIONS)
    assert both.best_proportions_ == "estimate"
    # Maps to the proportions of the source contradict the estimate.
    assert both.cv_results_["proportions"][1:] == [*PROPORTIONS * 2]
    assert both.cv_results_["is_admitted"][:4:2] == [True, True]
    assert both.cv_results_["is_admitted"][1::2] == [False, False]
    assert both.score(FEW @ [[2.0, 0.6], [0.6, 0.9]] + [8, -3], Y_FEW) > losses[1] + 0.1


def test_where_classes_depend_on_the_features_alike_any_map_does_harm():
    """The target has other rows of the same plane, in which the class is the same function of the features."""
    source, target = rng.uniform(0, 1, (400, 2)), rng.uniform(0, 1, (400, 2)) ** [3, 1]
    label = [(10 * X[:, 0] + X[:, 1] > 3).astype(int) for X in (source, target)]
    fitted = DomainAdapterCV(CANDIDATES, KNN)
    with pytest.warns(UserWarning, match="No transport is chosen"):
        fitted.fit(source, label[0], X_target=target)
    harmed = DomainAdapter(GaussianTransport(), KNN).fit(source, label[0], X_target=target)
    assert harmed.score(target, label[1]) < fitted.score(target, label[1]) - 0.1


def test_results_are_those_of_the_scorers_and_the_rule():
    fitted = chosen(rotated(XT, 0.5), proportions=PROPORTIONS)
    results = fitted.cv_results_
    assert results["transport"] == [None, *CANDIDATES[1:2] * 2, *CANDIDATES[2:] * 2]
    assert results["proportions"] == ["source", *PROPORTIONS * 2]
    adapters = [
        DomainAdapter(transport, KNN, proportions=part).fit(XS, YS, X_target=rotated(XT, 0.5))
        for transport, part in zip(results["transport"], results["proportions"], strict=True)
    ]
    for scorer in (neighbor_consistency, prediction_entropy):
        np.testing.assert_allclose(results[scorer.__name__], [scorer(part, XS, YS) for part in adapters])
    np.testing.assert_allclose(results["transport_match"], [transport_match(part, XS) for part in adapters])
    consistency, gains, errors = (
        np.array(results[name]) for name in ("neighbor_consistency", "expected_gain", "standard_error")
    )
    np.testing.assert_array_equal(results["is_admitted"], consistency >= consistency[0])
    expected = np.array(results["expected_accuracy"])
    np.testing.assert_allclose(gains, expected - expected[0], atol=1e-12)
    assert gains[0] == errors[0] == 0
    bounds = gains - fitted.margin * errors
    assert fitted.best_index_ == np.argmax(np.where(consistency >= consistency[0], bounds, -np.inf))
    everything = chosen(rotated(XT, 0.5), proportions=PROPORTIONS, margin=0.0)
    assert everything.best_index_ == np.argmax(np.where(consistency >= consistency[0], gains, -np.inf))
    np.testing.assert_array_equal(fitted.predict(XS), adapters[fitted.best_index_].predict(XS))
    assert chosen(SHEARED, margin=1e9).best_transport_ is None


@pytest.mark.parametrize("X", [XT, SHEARED, rotated(XT, 0.5)], ids=["alike", "sheared", "rotated"])
def test_the_expected_accuracy_is_that_of_the_target_rows(X):
    """The clusters are far apart, so that the mean prediction of the candidates is right, if not certain."""
    fitted = chosen(X, proportions=PROPORTIONS)
    results = fitted.cv_results_
    for transport, part, expected in zip(
        results["transport"], results["proportions"], results["expected_accuracy"], strict=True
    ):
        accuracy = DomainAdapter(transport, KNN, proportions=part).fit(XS, YS, X_target=X).score(X, YT)
        assert expected == pytest.approx(accuracy, abs=0.1)


def test_a_gain_that_all_rows_share_is_a_gain():
    """Without a map all rows are predicted to be of one class, with the map of their own: each row agrees more."""
    y = np.arange(120) % 2
    source, target = (0.1 * rng.randn(120, 2) + np.c_[shift + 2 * y, y] for shift in (0, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = DomainAdapterCV([GaussianTransport()], KNN).fit(source, y, X_target=target)
    assert fitted.cv_results_["neighbor_consistency"] == [0.5, 1]
    assert fitted.score(target, y) == 1


def test_a_transport_that_moves_nothing_gains_nothing():
    fitted = DomainAdapterCV([FunctionTransport()], KNN, margin=0.0)
    with pytest.warns(UserWarning, match="No transport is chosen"):
        fitted.fit(XS, YS, X_target=rotated(XT, 0.5))
    assert fitted.cv_results_["expected_gain"] == fitted.cv_results_["standard_error"] == [0, 0]


def test_scorers_of_a_wrong_map_are_lower():
    none, right, wrong = (
        DomainAdapter(part, LogisticRegression(), align).fit(XS, y, X_target=SHEARED)
        for part, align, y in [
            (None, "source", YS),
            (GaussianTransport(), "target", YS),
            (GaussianTransport(), "source", rng.permutation(YS)),
        ]
    )
    assert neighbor_consistency(right, XS, YS) > 0.95 > neighbor_consistency(none, XS, YS)
    assert neighbor_consistency(wrong, XS, rng.permutation(YS)) < 0.6
    assert prediction_entropy(right, XS, YS) > -0.2 > prediction_entropy(wrong, XS, rng.permutation(YS))
    assert -1 <= prediction_entropy(wrong, XS, rng.permutation(YS)) < -0.9
    pipe = make_pipeline(right)
    assert neighbor_consistency(pipe, XS, YS) == neighbor_consistency(right, XS, YS)
    # Rows without weight are left out.
    weight, y = np.r_[np.ones(150), np.zeros(150)], np.r_[YS[:150], rng.permutation(YS[150:])]
    for scorer in (neighbor_consistency, prediction_entropy):
        assert scorer(right, XS, y, sample_weight=weight) == pytest.approx(scorer(right, XS[:150], y[:150]), abs=0.1)
        assert scorer(right, XS, y) < scorer(right, XS, y, sample_weight=weight) - 0.1


def test_consistency_counts_the_classes_that_are_found():
    """Of two far clusters of the target one is predicted to be of two classes at random."""
    source = np.array([[0.0, 0], [9, 0], [9, 1e-3]]).repeat(2, axis=0)
    target = np.vstack([0.1 * rng.randn(300, 2), 0.1 * rng.randn(100, 2) + [9, 0]])
    fitted = DomainAdapter(None, KNN).fit(source, [0, 0, 1, 1, 2, 2], X_target=target)
    halves = neighbor_consistency(fitted, source, [0, 0, 1, 1, 2, 2])
    assert neighbor_consistency(fitted, source, [0, 0, 1, 1, 1, 1]) == pytest.approx(1)
    assert neighbor_consistency(fitted, np.vstack([source, [[99, 99]]]), [0, 0, 1, 1, 1, 1, 2]) == pytest.approx(2 / 3)
    assert 0.6 < halves < 1


def test_a_target_is_needed_for_a_score_and_a_classifier_for_a_choice():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = DomainAdapterCV(CANDIDATES, KNN).fit(XS, YS)
    assert fitted.cv_results_ == {}
    assert fitted.best_transport_ is None
    for scorer in (neighbor_consistency, prediction_entropy):
        with pytest.raises(ValueError, match="fitted without X_target"):
            scorer(fitted, XS, YS)
    with pytest.raises(ValueError, match="Ridge is no classifier"):
        DomainAdapterCV(CANDIDATES, Ridge()).fit(XS, YS, X_target=XT)


def test_it_takes_several_sources_weights_columns_and_tables():
    tables = [pd.DataFrame({"kind": "u", "a": X[:, 0], "b": X[:, 1]}) for X in (XS, XS + 3, SHEARED)]

    class Numbers(KNeighborsClassifier):
        def fit(self, X, y):
            return super().fit(X[["a", "b"]].to_numpy(), y)

        def predict(self, X):
            return super().predict(X[["a", "b"]].to_numpy())

    fitted = DomainAdapterCV([GaussianTransport()], Numbers(1), columns=["a", "b"])
    fitted.fit(tables[:2], [YS, YS], X_target=tables[2], sample_weight=[np.ones(300), None])
    assert len(fitted.transports_) == 2
    assert np.mean(fitted.predict(tables[2]) == YT) > 0.97
    assert list(fitted.feature_names_in_) == ["kind", "a", "b"]


def test_copies_predict_the_same_and_a_failure_leaves_no_trace():
    fitted = chosen(SHEARED)
    expected = fitted.predict_proba(XS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(XS), expected)
    again = clone(fitted).fit(XS, YS, X_target=SHEARED)
    np.testing.assert_array_equal(again.predict_proba(XS), expected)
    before = vars(fitted).copy()
    with pytest.raises(ValueError, match="contains NaN"):
        fitted.fit(XS, YS, X_target=np.full((5, 2), np.nan))
    assert all(vars(fitted)[name] is value for name, value in before.items())

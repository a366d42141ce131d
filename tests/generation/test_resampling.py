"""TableGenerator as a sampler in pipelines of imbalanced-learn."""

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_validate
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_ot.generation import TableGenerator, WGANGenerator
from sklearn_ot.networks import Dense

N = 120


class NearestMean(ClassifierMixin, BaseEstimator):
    """A classifier that keeps its training rows and predicts the class of the nearest mean."""

    def fit(self, X, y):
        self.X_, self.y_, self.classes_ = np.asarray(X), np.asarray(y), np.unique(y)
        self.means_ = np.stack([self.X_[self.y_ == name].mean(axis=0) for name in self.classes_])
        return self

    def predict(self, X):
        self.n_predicted_ = len(X)
        return self.classes_[np.linalg.norm(np.asarray(X)[:, None] - self.means_, axis=2).argmin(axis=1)]


@pytest.fixture
def data():
    X, y = make_classification(N, 4, n_redundant=0, weights=[0.8], class_sep=1.5, random_state=0)
    return X, np.where(y, "rare", "usual")


@pytest.fixture
def sampler():
    small = Dense((8,))
    return TableGenerator(WGANGenerator(generator=small, critic=small, max_iter=3, batch_size=16), random_state=0)


def test_the_classifier_gets_full_classes_and_predicts_the_rows_as_they_are(data, sampler):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), sampler, NearestMean()).fit(X, y)
    memory, scaled = pipeline[-1], pipeline[0].transform(X)
    n_usual = np.sum(y == "usual")
    assert n_usual > N / 2
    assert_array_equal(np.unique(memory.y_, return_counts=True)[1], [n_usual, n_usual])
    # The rows of fit come first, in their order, and the new ones are of the rare class.
    assert_array_equal(memory.X_[:N], scaled)
    assert_array_equal(memory.y_[:N], y)
    assert set(memory.y_[N:]) == {"rare"}
    pipeline.predict(X[:7])
    assert memory.n_predicted_ == 7


def test_held_out_rows_are_not_resampled(data, sampler):
    X, y = data
    cv = StratifiedKFold(3)
    result = cross_validate(
        make_pipeline(StandardScaler(), sampler, NearestMean()), X, y, cv=cv, return_estimator=True, error_score="raise"
    )
    for fitted, score, (train, test) in zip(result["estimator"], result["test_score"], cv.split(X, y), strict=True):
        assert_array_equal(fitted[-1].X_[: len(train)], fitted[0].transform(X[train]))
        assert score == np.mean(fitted.predict(X[test]) == y[test])
    assert cross_val_predict(make_pipeline(sampler, NearestMean()), X, y, cv=cv).shape == y.shape


def test_a_search_over_the_sampler(data, sampler):
    X, y = data
    grid = {"tablegenerator__generator__max_iter": [1, 2]}
    search = GridSearchCV(make_pipeline(sampler, NearestMean()), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_estimator_[0].generator_.max_iter == search.best_params_["tablegenerator__generator__max_iter"]


def test_tables_with_categories(data, sampler):
    X, y = data
    table = pd.DataFrame({"size": X[:, 0], "kind": pd.Categorical(np.where(X[:, 1] > 0, "a", "b"))})
    encode = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["size"]))
    pipeline = make_pipeline(sampler, encode, NearestMean()).fit(table, pd.Series(y))
    assert_array_equal(np.unique(pipeline[-1].y_, return_counts=True)[1], 2 * [np.sum(y == "usual")])
    assert_array_equal(np.unique(pipeline[-1].X_[:, :2]), [0, 1])
    assert pipeline.predict(table).shape == y.shape

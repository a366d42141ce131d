"""Named columns, and a transport on some columns of a table with the rest passed through."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_ot.adaptation import DomainAdapter, transport_match, transported_source_accuracy
from sklearn_ot.transport import GaussianTransport

ALIGNS = ["source", "target"]
LIBRARIES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
rng = np.random.RandomState(0)


def table(n_rows, rng, scale=1.0, shift=0.0):
    """Columns of a table with two moved columns and two others; the label depends on all of them."""
    size, height = rng.randn(2, n_rows)
    kind, count = rng.choice(["cat", "dog"], n_rows), rng.randint(3, size=n_rows)
    y = (size + height + 2 * (kind == "dog") + count > 2).astype(int)
    return {"size": scale * size + shift, "kind": kind, "height": scale * height - shift, "count": count}, y


SOURCE, YS = table(400, rng)
TARGET, YT = table(300, rng, 2.0, 7.0)
NEW, YN = table(300, rng, 2.0, 7.0)


class Recorder(BaseEstimator):
    """An estimator that keeps the rows that it gets."""

    def fit(self, X, y=None):
        self.X_ = X
        return self

    def predict(self, X):
        self.new_ = X
        return np.zeros(X.shape[0])


def by_names():
    encode = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["kind"]), (StandardScaler(), ["size", "height", "count"])
    )
    return make_pipeline(encode, LogisticRegression())


@pytest.fixture(params=LIBRARIES)
def make(request):
    return LIBRARIES[request.param]


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.filterwarnings("error")
def test_an_estimator_finds_its_columns_by_name(make, align, output):
    source, target, new = (make(columns) for columns in (SOURCE, TARGET, NEW))
    with sklearn.config_context(transform_output=output):
        adapter = DomainAdapter(GaussianTransport(), by_names(), align, columns=["height", "size"])
        adapter.fit(source, YS, X_target=target)
        assert adapter.score(new, YN) > 0.9
        assert adapter.score(source, YS) > 0.9
        assert transport_match(adapter, source) > -0.2
        assert by_names().fit(source, YS).score(new, YN) < adapter.score(new, YN) - 0.03
    assert list(adapter.feature_names_in_) == ["size", "kind", "height", "count"]
    assert list(adapter.columns_) == [0, 2]
    assert adapter.transport_.n_features_in_ == 2


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.filterwarnings("error")
def test_all_columns_keep_their_names(make, align):
    numbers = ["size", "height", "count"]
    source, target, new = (make({name: columns[name] for name in numbers}) for columns in (SOURCE, TARGET, NEW))
    model = make_pipeline(make_column_transformer((StandardScaler(), numbers[::-1])), LogisticRegression())
    adapter = DomainAdapter(GaussianTransport(), model, align).fit(source, YS, X_target=target)
    plain = DomainAdapter(GaussianTransport(), make_pipeline(StandardScaler(), LogisticRegression()), align)
    plain.fit(source.to_numpy(), YS, X_target=target.to_numpy())
    np.testing.assert_allclose(adapter.predict_proba(new), plain.predict_proba(new.to_numpy()), atol=1e-4)


@pytest.mark.parametrize("align", ALIGNS)
def test_other_columns_pass_through_unchanged(make, align):
    source, target, new = (make(columns) for columns in (SOURCE, TARGET, NEW))
    if make is pd.DataFrame:
        source, new = source.assign(kind=source["kind"].astype("category")), new.set_index(np.arange(300) + 5)
    adapter = DomainAdapter(GaussianTransport(), Recorder(), align, columns=["size", "height"])
    adapter.fit(source, YS, X_target=target).predict(new)
    for given, got, is_moved in (
        (source, adapter.estimator_.X_, align == "source"),
        (new, adapter.estimator_.new_, align == "target"),
    ):
        assert type(got) is type(given)
        assert list(got.columns) == list(given.columns)
        rest = ["kind", "count"]
        assert got[rest].equals(given[rest])
        pair = given[["size", "height"]].to_numpy()
        expected = adapter.transport_.transform(pair) if is_moved else pair
        np.testing.assert_allclose(got[["size", "height"]].to_numpy(), expected)
        if make is pd.DataFrame:
            assert got.index.equals(given.index)
            assert (got.dtypes[rest] == given.dtypes[rest]).all()


def test_the_target_needs_the_moved_columns_only(make):
    cut = make({name: TARGET[name] for name in ["height", "size"]})
    source, target, new = (make(columns) for columns in (SOURCE, TARGET, NEW))
    models = [
        DomainAdapter(GaussianTransport(), by_names(), columns=["size", "height"]).fit(source, YS, X_target=X)
        for X in (target, cut)
    ]
    np.testing.assert_array_equal(*(model.predict_proba(new) for model in models))
    with pytest.raises(ValueError, match=r"X_target, the unlabelled target rows,.*size"):
        models[0].fit(source, YS, X_target=make({"height": TARGET["height"]}))


SELECTIONS = {
    "names": ["size", "height"],
    "positions": [0, 2],
    "mask": [True, False, True, False],
    "function": make_column_selector(dtype_include=float),
    "slice": slice(0, 3, 2),
}


@pytest.mark.parametrize("columns", SELECTIONS.values(), ids=SELECTIONS)
def test_columns_are_selected_as_in_a_column_transformer(columns):
    source, target = pd.DataFrame(SOURCE), pd.DataFrame(TARGET)
    adapter = DomainAdapter(GaussianTransport(), Recorder(), columns=columns).fit(source, YS, X_target=target)
    assert list(adapter.columns_) == [0, 2]


@pytest.mark.parametrize("align", ALIGNS)
def test_columns_of_arrays(align):
    # Numbers, and objects with strings among them.
    objects = [pd.DataFrame(columns).to_numpy() for columns in (SOURCE, TARGET, NEW)]
    numbers = [np.delete(X, 1, axis=1).astype(float) for X in objects]
    for (source, target, new), columns in ((objects, [0, 2]), (numbers, slice(2))):
        adapter = DomainAdapter(GaussianTransport(), Recorder(), align, columns=columns)
        adapter.fit(source, YS, X_target=target).predict(new)
        given, got = (source, adapter.estimator_.X_) if align == "source" else (new, adapter.estimator_.new_)
        moved = adapter.transport_.transform(given[:, columns].astype(float))
        np.testing.assert_allclose(got[:, columns].astype(float), moved)
        rest = np.setdiff1d(np.arange(given.shape[1]), adapter.columns_)
        assert np.array_equal(got[:, rest], given[:, rest])


def test_what_cannot_be_moved_is_named():
    source, target = pd.DataFrame(SOURCE), pd.DataFrame(TARGET)
    with pytest.raises(ValueError, match=r"could not convert.*DomainAdapter\(\.\.\., columns=\[\.\.\.\]\)"):
        DomainAdapter(GaussianTransport(), by_names()).fit(source, YS, X_target=target)
    with pytest.raises(ValueError, match="'width'"):
        DomainAdapter(GaussianTransport(), by_names(), columns=["width"]).fit(source, YS, X_target=target)
    with pytest.raises(ValueError, match="selects no column"):
        DomainAdapter(GaussianTransport(), by_names(), columns=[]).fit(source, YS, X_target=target)
    holes = source.assign(size=np.nan)
    adapter = DomainAdapter(GaussianTransport(), by_names(), columns=["size"])
    with pytest.raises(ValueError, match=r"Input X\[columns\] contains NaN"):
        adapter.fit(holes, YS, X_target=target)
    # Other columns may have missing values: the estimator decides.
    DomainAdapter(GaussianTransport(), Recorder(), columns=["height"]).fit(holes, YS, X_target=target)


def test_a_search_cuts_tables(make):
    search = GridSearchCV(
        DomainAdapter(GaussianTransport(), by_names(), columns=["size", "height"]),
        {"transport__shrinkage": ["auto", None]},
        scoring={"match": transport_match, "acc": transported_source_accuracy},
        refit="match",
        cv=KFold(3, shuffle=True, random_state=0),
        error_score="raise",
    )
    search.fit(make(SOURCE), YS, X_target=make(TARGET))
    assert search.best_estimator_.score(make(NEW), YN) > 0.9


@pytest.mark.parametrize("library", LIBRARIES)
def test_transports_give_tables(library):
    pair = [LIBRARIES[library]({name: X[name] for name in ("size", "height")}) for X in (SOURCE, TARGET)]
    mapped = GaussianTransport().set_output(transform=library).fit(*pair).transform(pair[0])
    assert type(mapped) is LIBRARIES[library]
    assert list(mapped.columns) == ["size", "height"]
    np.testing.assert_array_equal(mapped, GaussianTransport().fit(*pair).transform(pair[0]))


def test_float32_stays(make):
    source, target = (make({"a": X["size"].astype("f4"), "b": X["height"].astype("f4")}) for X in (SOURCE, TARGET))
    adapter = DomainAdapter(GaussianTransport(), KNeighborsClassifier()).fit(source, YS, X_target=target)
    assert adapter.transport_.transform(source.to_numpy()).dtype == np.float32
    assert adapter.predict(target).shape == (300,)

"""TableGenerator: types, ranges and masses come back for any generator; labels, weights, missing entries, errors."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state

from sklearn_ot.datasets import make_mixed_table
from sklearn_ot.generation import TableGenerator, WGANGenerator
from sklearn_ot.metrics import copying
from sklearn_ot.networks import Dense

N = 300


class Bootstrap(BaseEstimator):
    """Rows of the training sample: a generator that has learned all dependences."""

    def fit(self, X, y=None, sample_weight=None):
        self.X_, self.weight_ = X, sample_weight
        return self

    def sample(self, n_samples=1, random_state=None):
        return self.X_[check_random_state(random_state).choice(len(self.X_), n_samples, p=self.weight_)]


class Wrong(Bootstrap):
    """Rows without any dependence, whose columns have a wrong place, spread and shape."""

    def sample(self, n_samples=1, random_state=None):
        return 3 + np.exp(0.5 * check_random_state(random_state).standard_normal((n_samples, self.X_.shape[1])))


def columns():
    """One column of each type, without missing entries."""
    rng = np.random.RandomState(0)
    days = np.datetime64("1990-01-01", "s") + rng.randint(0, 9000, N) * np.timedelta64(1, "D")
    words = np.array(["low", "middle", "high"])[rng.choice(3, N, p=[0.7, 0.2, 0.1])]
    return {
        "float": pd.Series(rng.lognormal(0, 3, N)),
        "float32": pd.Series(np.round(rng.normal(50, 9, N), 2).astype(np.float32)),
        "huge": pd.Series(rng.choice([-1.0, 1.0], N) * rng.uniform(1e307, 1.7e308, N)),
        "int": pd.Series(rng.poisson(3, N)),
        "int8": pd.Series(rng.randint(-128, 128, N).astype(np.int8)),
        "uint8": pd.Series(rng.randint(0, 256, N).astype(np.uint8)),
        "int64": pd.Series(np.append(rng.randint(-(2**63), 2**63 - 1, N - 2), [-(2**63), 2**63 - 1])),
        "nullable int": pd.Series(rng.randint(0, 50, N), dtype="Int64"),
        "nullable float": pd.Series(rng.uniform(size=N), dtype="Float64"),
        "bool": pd.Series(rng.uniform(size=N) < 0.3),
        "nullable bool": pd.Series(rng.uniform(size=N) < 0.3, dtype="boolean"),
        "str": pd.Series(words),
        "object": pd.Series(words.astype(object), dtype=object),
        "mixed": pd.Series([("a", 1)[i % 2] for i in range(N)], dtype=object),
        "categories": pd.Series(pd.Categorical(words, ["low", "middle", "high", "never"], ordered=True)),
        "categories of numbers": pd.Series(pd.Categorical(rng.randint(0, 4, N))),
        "days": pd.Series(days),
        "times": pd.Series(days.astype("M8[ns]") + rng.randint(0, 10**9, N).astype("m8[ns]")),
        "time zone": pd.Series(days).dt.tz_localize("Europe/Paris"),
        "durations": pd.Series(pd.to_timedelta(rng.randint(0, 99, N), unit="h")),
        "months": pd.Series(pd.period_range("1970-01", periods=N, freq="D")).dt.asfreq("M"),
        "constant": pd.Series(np.full(N, 3)),
    }


def generator(**parameters):
    return WGANGenerator(generator=Dense((8,)), critic=Dense((8,)), max_iter=3, **parameters)


@pytest.fixture(scope="module")
def mixed():
    return make_mixed_table(N, return_labels=True, random_state=7)


@pytest.fixture(scope="module", params=[Bootstrap(), Wrong()], ids=["right", "wrong"])
def samples(request):
    """Samples of columns of all types."""
    return TableGenerator(request.param, random_state=0).fit(pd.DataFrame(columns())).sample(5000, random_state=0)


@pytest.fixture(scope="module")
def samples_with_gaps():
    """Samples of columns of all types with missing entries."""
    X = pd.DataFrame({name: column.mask(np.arange(N) % 5 == 0) for name, column in columns().items()})
    return X, TableGenerator(Wrong(), random_state=0).fit(X).sample(5000, random_state=0)


@pytest.mark.parametrize("kind", columns())
def test_types_ranges_and_masses_of_a_column_come_back(kind, samples):
    column, drawn = columns()[kind], samples[kind]
    assert drawn.dtype == column.dtype
    if column.dtype.kind in "iufmM":
        assert column.min() <= drawn.min()
        assert drawn.max() <= column.max()
        # The quartiles of 5000 ranks differ by less than 3 %, 4 of their deviations, from their expectations.
        for level in (0.25, 0.5, 0.75):
            low, high = column.astype(object).quantile([level - 0.03, level + 0.03], interpolation="nearest")
            assert low <= drawn.astype(object).quantile(level, interpolation="nearest") <= high
    else:
        assert set(drawn) <= set(column)
    shares = [s.value_counts(normalize=True) for s in (drawn, column)]
    assert shares[0].sub(shares[1], fill_value=0).abs().max() < 0.03


@pytest.mark.parametrize("kind", columns())
def test_missing_entries_come_back_with_their_share_and_type(kind, samples_with_gaps):
    column, drawn = (X[kind] for X in samples_with_gaps)
    assert drawn.dtype == column.dtype
    assert abs(drawn.isna().mean() - 0.2) < 0.025
    types = [set(map(type, s[s.isna()])) for s in (drawn, column)]
    assert types[0] == types[1]


@pytest.fixture(scope="module")
def polars_table():
    """A table of polars with one column of each type, each with missing entries but the first, and its samples."""
    pl = pytest.importorskip("polars")
    rng, words = np.random.RandomState(0), ["low", "middle", "high"]
    days = np.datetime64("1990-01-01", "D") + rng.randint(0, 9000, N)
    instants = days.astype("M8[us]") + rng.randint(0, 10**9, N)
    level, gain = rng.choice(3, N, p=[0.7, 0.2, 0.1]), np.where(rng.uniform(size=N) < 0.9, 0, rng.lognormal(3, 2, N))
    entries = {
        "row": (np.arange(N), pl.UInt16),
        "float": (rng.lognormal(0, 3, N), pl.Float64),
        "float32": (np.round(rng.normal(50, 9, N), 2), pl.Float32),
        "gain": (gain, pl.Float64),
        "int8": (rng.randint(-128, 128, N), pl.Int8),
        "uint64": (rng.randint(0, 2**63 - 1, N).astype(np.uint64) * np.uint64(2), pl.UInt64),
        "price": (np.round(rng.uniform(0, 90, N), 2), pl.Decimal(10, 2)),
        "bool": (rng.uniform(size=N) < 0.3, pl.Boolean),
        "str": (np.array(words)[level], pl.String),
        "categories": (np.array(words)[level], pl.Categorical),
        "levels": (np.array(words)[level], pl.Enum([*words, "never"])),
        "days": (days, pl.Date),
        "times": (instants, pl.Datetime("ms")),
        "time zone": (instants, pl.Datetime("us", "Europe/Paris")),
        "durations": (rng.randint(0, 99, N) * np.timedelta64(3_600_000, "ms"), pl.Duration("ns")),
        "time of day": (rng.randint(0, 86_400, N) * 10**9, pl.Time),
    }
    X = pl.DataFrame({name: pl.Series(values).cast(dtype) for name, (values, dtype) in entries.items()})
    X = X.with_columns(pl.when(pl.col("row") % 5 > 0).then(pl.all().exclude("row")).name.keep())
    return X, TableGenerator(Wrong(), random_state=0).fit(X).sample(5000, random_state=0)


def test_a_table_of_polars_comes_back_with_its_types_ranges_and_masses(polars_table):
    X, samples = polars_table
    assert samples.schema == X.schema
    for name in X.columns[1:]:
        column, drawn = X[name], samples[name]
        assert abs(drawn.is_null().mean() - 0.2) < 0.025
        if column.dtype.is_numeric() or column.dtype.is_temporal():
            assert column.min() <= drawn.min()
            assert drawn.max() <= column.max()
            # The rank of a quartile of 4000 samples has the deviation 0.007.
            for level in (0.25, 0.5, 0.75):
                low, high = (_quantile(column, level + change) for change in (-0.03, 0.03))
                assert low <= _quantile(drawn, level) <= high
        else:
            shares = [dict(s.drop_nulls().value_counts(normalize=True).iter_rows()) for s in (column, drawn)]
            assert shares[0].keys() == shares[1].keys()
            assert max(abs(shares[0][entry] - shares[1][entry]) for entry in shares[0]) < 0.03
    assert abs((samples["gain"] == 0).mean() - (X["gain"] == 0).mean()) < 0.03
    assert not samples["row"].has_nulls()
    assert_allclose(samples["float32"], np.round(samples["float32"], 2), rtol=1e-6)


def _quantile(column, level):
    """A quantile of the entries of a Series of any type; that of polars 1.0 has no decimal numbers."""
    entries = column.drop_nulls().sort()
    return entries[round(level * (len(entries) - 1))]


def test_missing_floats_of_polars_are_null_or_nan():
    pl = pytest.importorskip("polars")
    X = pl.DataFrame({"null": [1.0, None, 2.5] * 20, "nan": [1.0, np.nan, 2.5] * 20})
    samples = TableGenerator(Wrong(), random_state=0).fit(X).sample(300, random_state=0)
    assert abs(samples["null"].is_null().mean() - 1 / 3) < 0.1
    assert abs(samples["nan"].is_nan().mean() - 1 / 3) < 0.1
    assert not samples["nan"].has_nulls()


def test_polars_and_pandas_give_the_same_rows_and_scores(mixed):
    pl = pytest.importorskip("polars")
    X = mixed[0].drop(columns="visits")
    same = pl.DataFrame({name: X[name].astype(object).where(X[name].notna(), None).tolist() for name in X})
    one, other = (TableGenerator(Bootstrap(), random_state=0).fit(table) for table in (X, same))
    rows = one.sample(100, random_state=0), other.sample(100, random_state=0)
    for name in ("age", "income", "capital_gain", "is_married"):
        assert_array_equal(rows[0][name], rows[1][name].to_numpy())
    assert_array_equal(rows[0]["city"].fillna("-"), rows[1]["city"].fill_null("-"))
    assert one.score(X) == pytest.approx(other.score(same), rel=1e-12)
    assert one.score(X) == pytest.approx(one.score(same), rel=1e-12)


def test_fit_resample_joins_tables_of_polars(polars_table):
    pl = pytest.importorskip("polars")
    X, y = polars_table[0], pl.Series("class", ["a", "b", "b"] * (N // 3), dtype=pl.Enum(["a", "b"]))
    new_X, new_y = TableGenerator(Bootstrap(), random_state=0).fit_resample(X, y)
    assert new_X[:N].equals(X)
    assert new_y[:N].equals(y)
    assert (new_X.schema, new_y.dtype, new_y.name) == (X.schema, y.dtype, "class")
    assert len(new_X) == len(new_y) == 2 * (y == "b").sum()
    assert new_y[N:].unique().to_list() == ["a"]


def test_columns_of_polars_that_cannot_be_used_are_named():
    pl = pytest.importorskip("polars")
    for column in ([[1, 2], [3, 4]] * 5, [[1], [3, 4]] * 5, [{"a": 1}, {"a": 2}] * 5, [1.0, np.inf] * 5):
        with pytest.raises(ValueError, match="column 'odd' cannot be used"):
            TableGenerator(Bootstrap()).fit(pl.DataFrame({"x": range(10), "odd": column}))


@pytest.mark.parametrize(
    ("values", "step"),
    [(np.arange(N) % 90 * 5 + 3, 5), (np.round(np.linspace(0, 20, N), 2), 0.01), (np.arange(N) % 7 / 2, 0.5)],
)
def test_numbers_stay_on_their_grid(values, step):
    samples = TableGenerator(Wrong(), random_state=0).fit(pd.DataFrame({"x": values})).sample(500)["x"]
    steps = (samples - values[0]) / step
    assert_allclose(steps, np.round(steps), atol=1e-6)


def test_numbers_between_training_numbers_are_drawn():
    X = np.random.RandomState(0).normal(size=(N, 1))
    samples = TableGenerator(Bootstrap(), random_state=0).fit(X).sample(N, random_state=0)
    assert not np.isin(samples, X).any()


def test_an_atom_keeps_its_mass_and_the_other_numbers_their_distribution():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"gain": np.where(rng.uniform(size=N) < 0.92, 0, rng.pareto(1, N) + 1)})
    samples = TableGenerator(Wrong(), random_state=0).fit(X).sample(20_000, random_state=0)["gain"]
    assert abs((samples == 0).mean() - (X["gain"] == 0).mean()) < 0.01
    # Medians of 1600 samples: the standard error of their rank is 0.0125.
    assert X["gain"][X["gain"] > 0].quantile(0.45) < samples[samples > 0].median()
    assert samples[samples > 0].median() < X["gain"][X["gain"] > 0].quantile(0.55)
    assert samples[samples != 0].min() >= 1


def test_the_calibration_does_not_depend_on_the_number_of_samples(mixed):
    table = TableGenerator(Wrong(), random_state=0).fit(mixed[0])
    single = pd.concat([table.sample(1, random_state=seed) for seed in range(300)])
    assert abs(single["is_married"].mean() - mixed[0]["is_married"].mean()) < 4 * 0.5 / 300**0.5


def test_dependences_that_the_generator_has_learned_come_back(mixed):
    X = mixed[0]
    samples = TableGenerator(Bootstrap(), random_state=0).fit(X).sample(5000, random_state=1)
    # Visits are missing only where the income is.
    assert samples["income"][samples["visits"].isna()].isna().mean() > 0.97
    numbers = ["age", "income", "visits", "capital_gain"]
    difference = X[numbers].corr("spearman") - samples[numbers].corr("spearman")
    assert difference.abs().max(axis=None) < 0.1
    means = [table.groupby("education", observed=True)["income"].median() for table in (X, samples)]
    assert (means[1] / means[0]).between(0.8, 1.25).all()


def test_arrays_give_arrays_of_their_type():
    X = np.array(make_mixed_table(N, random_state=0)[["age", "city", "income"]], dtype=object)
    samples = TableGenerator(generator(), random_state=0).fit(X).sample(200, random_state=0)
    assert samples.dtype == object
    assert {type(entry) for entry in samples[:, 0]} == {int}
    assert any(isinstance(entry, str) for entry in samples[:, 1])
    for X in (np.eye(9, 2, dtype=np.float32), np.arange(20).reshape(10, 2), np.array([["a", "b"], ["c", "d"]] * 5)):
        samples = TableGenerator(generator(), random_state=0).fit(X).sample(4)
        assert (samples.dtype, samples.shape) == (X.dtype, (4, 2))


def test_numbers_with_missing_entries_in_an_array_of_objects_stay_numbers():
    X = np.random.RandomState(0).uniform(size=(N, 1)).astype(object)
    X[::3] = None
    samples = TableGenerator(Wrong(), random_state=0).fit(X).sample(1000, random_state=0)[:, 0]
    missing = np.equal(samples, None)
    assert abs(missing.mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / 1000)
    assert not np.isin(samples[~missing].astype(float), X[~np.equal(X, None)].astype(float)).any()


def test_a_category_that_fit_did_not_have_is_as_far_from_all_others():
    table = TableGenerator(Bootstrap(), random_state=0).fit(pd.DataFrame({"x": ["a", "b", "c"] * 9}))
    column, rng = table._columns[0], np.random.RandomState(0)
    places = [column.encode(np.full(900, name, dtype=object), rng).mean(axis=0) for name in ("a", "b", "c", "new")]
    distances = [np.linalg.norm(place - places[3]) for place in places[:3]]
    # Points of three categories are at a distance of √2 from each other. The noise of a mean is 0.15 / √900.
    assert_allclose(distances, np.sqrt(2 / 3), atol=0.03)


def test_names_of_columns_may_be_anything():
    X = pd.DataFrame(np.eye(9, 3), columns=pd.Index([1, 5, 2], name="numbers"))
    assert TableGenerator(generator()).fit(X).sample(2).columns.equals(X.columns)
    X.columns = pd.MultiIndex.from_product([["a"], [1, 2, 3]])
    assert TableGenerator(generator()).fit(X).sample(2).columns.equals(X.columns)


def test_many_categories_keep_their_masses():
    names = pd.Series([f"name {i * i // 1000}" for i in range(600)])
    samples = TableGenerator(Bootstrap(), random_state=0).fit(names.to_frame("x")).sample(20_000, random_state=0)["x"]
    shares = [s.value_counts(normalize=True) for s in (samples, names)]
    assert shares[0].sub(shares[1], fill_value=0).abs().max() < 0.01


def test_integer_weights_equal_repeated_rows(mixed):
    X, weight = mixed[0], np.arange(N) % 4
    weighted = TableGenerator(Wrong(), random_state=0).fit(X, sample_weight=weight)
    repeated = TableGenerator(Wrong(), random_state=0).fit(X.loc[X.index.repeat(weight)])
    for one, other in zip(weighted._columns, repeated._columns, strict=True):
        assert one.codes == other.codes
        assert_allclose(one.masses, other.masses)
        if one.scale is not None:
            assert_array_equal(one.scale.knots, other.scale.knots)
            assert_allclose(one.scale.ranks, other.scale.ranks)
    assert_array_equal(weighted.generator_.weight_ > 0, True)
    with pytest.raises(ValueError, match="positive on 1 of 300 rows"):
        TableGenerator(Wrong()).fit(X, sample_weight=np.arange(N) == 5)


def test_rows_of_a_class_are_drawn(mixed):
    X, y = mixed
    words = np.array(["no", "yes"])[y]
    table = TableGenerator(Bootstrap(), random_state=0).fit(X, words)
    assert_array_equal(table.classes_, ["no", "yes"])
    visits = [table.sample(2000, random_state=0, y=word)["visits"].mean() for word in ("no", "yes")]
    expected = [X["visits"][words == word].mean() for word in ("no", "yes")]
    assert_allclose(visits, expected, rtol=0.15)
    rows = table.sample(3, random_state=0, y=["yes", "no", "yes"])
    assert list(rows.columns) == list(X.columns)
    with pytest.raises(ValueError, match="not among the classes"):
        table.sample(2, y="perhaps")
    with pytest.raises(ValueError, match="fit got no classes"):
        TableGenerator(Bootstrap()).fit(X).sample(2, y="yes")
    assert not hasattr(table.fit(X), "classes_")


def test_fit_resample_fills_all_classes(mixed):
    X, y = mixed
    y = pd.Series(np.where(y == 1, "all", np.where(np.arange(N) % 3, "none", "some")), dtype="category", name="class")
    table = TableGenerator(Bootstrap(), random_state=0)
    new_X, new_y = table.fit_resample(X, y)
    # All classes have the same weight in the training.
    assert_allclose([table.generator_.weight_[y == name].sum() for name in table.classes_], 1 / 3)
    pd.testing.assert_frame_equal(new_X.iloc[:N], X)
    pd.testing.assert_series_equal(new_y.iloc[:N], y)
    assert new_X.index.equals(new_y.index)
    assert new_y.value_counts().nunique() == 1
    again = TableGenerator(Bootstrap(), random_state=0).fit_resample(X, y)
    pd.testing.assert_frame_equal(new_X, again[0])
    arrays = TableGenerator(Bootstrap(), random_state=0).fit_resample(np.eye(10), np.arange(10) < 3)
    assert [part.shape for part in arrays] == [(14, 10), (14,)]
    same = TableGenerator(Bootstrap()).fit_resample(np.eye(10), np.arange(10) % 2)
    assert [part.shape for part in same] == [(10, 10), (10,)]


def test_the_score_is_higher_for_rows_of_the_same_distribution(mixed):
    X, y = mixed
    table = TableGenerator(Bootstrap(), random_state=0).fit(X, y)
    other, labels = make_mixed_table(N, return_labels=True, random_state=8)
    # A category that fit did not have, and a value out of the range.
    other.loc[0, "city"], other.loc[0, "age"] = "elsewhere", 200
    shuffled = other.apply(lambda column: column.sample(frac=1, random_state=0).to_numpy())
    older = other.assign(age=other["age"] + 20)
    score = table.score(other)
    assert score < 0
    assert max(table.score(older), table.score(shuffled)) < score
    assert table.score(other, labels) == table.score(other, labels)
    assert table.score(other, 1 - labels) < table.score(other, labels)
    assert table.score(other, sample_weight=np.arange(N) % 2) != score


def test_parameters_seeds_and_pickles(mixed):
    X, y = mixed
    table = TableGenerator(generator(), random_state=0)
    assert clone(table).set_params(generator__max_iter=2).generator.max_iter == 2
    assert table.generator.max_iter == 3
    samples = table.fit(X, y).sample(50, random_state=0)
    assert table.generator.random_state is None
    assert not hasattr(table.generator, "net_")
    pd.testing.assert_frame_equal(samples, clone(table).fit(X, y).sample(50, random_state=0))
    pd.testing.assert_frame_equal(samples, pickle.loads(pickle.dumps(table)).sample(50, random_state=0))
    assert not samples.equals(table.sample(50, random_state=1))
    # A pickle holds an example of each category, and no training rows.
    assert all(len(column.examples) < 30 for column in table._columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"income": np.inf}, "column 'income' .* infinity"),
        ({"city": pd.Series([["a"], ["b"]] * (N // 2))}, "column 'city' .* unhashable"),
    ],
)
def test_errors_of_fit_name_the_column(mixed, change, message):
    table = TableGenerator(Bootstrap())
    with pytest.raises(ValueError, match=message):
        table.fit(mixed[0].assign(**change))
    assert not vars(table).keys() - table.get_params().keys()


def test_errors_of_score_name_the_column(mixed):
    table = TableGenerator(Bootstrap()).fit(mixed[0])
    with pytest.raises(ValueError, match=r"column 'age' .* held numbers"):
        table.score(mixed[0].assign(age="old"))
    with pytest.raises(ValueError, match="feature names"):
        table.score(mixed[0].rename(columns={"age": "years"}))
    with pytest.raises(ValueError, match="1 rows"):
        table.fit(mixed[0][:1])


def test_a_generator_without_rows_of_a_class_is_an_error(mixed):
    table = TableGenerator(Bootstrap(), random_state=0).fit(*mixed)
    table.generator_.X_ = np.zeros_like(table.generator_.X_)
    with pytest.raises(ValueError, match="hardly gives rows"):
        table.sample(10, y=[0, 1] * 5)


@pytest.mark.slow
def test_the_default_keeps_a_mixed_table():
    X, held_out = (make_mixed_table(2000, random_state=seed) for seed in (11, 12))
    table = TableGenerator(random_state=11).fit(X)
    samples = table.sample(10_000, random_state=11)
    numbers = ["age", "income", "capital_gain", "visits", "joined"]
    assert all(samples[name].between(X[name].min(), X[name].max())[samples[name].notna()].all() for name in numbers)
    assert (samples.isna().mean() - X.isna().mean()).abs().max() < 0.02
    for name in ("education", "city", "is_married", "visits", "capital_gain"):
        shares = [s.value_counts(normalize=True, dropna=False).nlargest(12) for s in (X[name], samples[name])]
        assert shares[0].astype(float).sub(shares[1].astype(float)).abs().max() < 0.02
    ranks = [s[numbers].astype({"visits": float, "joined": np.int64}).corr("spearman") for s in (X, samples)]
    assert (ranks[0] - ranks[1]).abs().max(axis=None) < 0.1
    # Samples are no nearer to training rows than new rows are.
    rng = np.random.RandomState(0)
    columns = [[s[name] for name in X] for s in (samples[:2000], X, held_out)]
    result = copying(*(table._encode(part, rng) for part in columns), scale_columns=False)
    assert result.nearer < 0.55
    assert result.copied < 0.05

"""Base class of transports, tested on the map in closed form."""

import inspect

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_ot.base import MAX_REFERENCE_ROWS, BaseTransport, documented, frame_library, names_of, sections
from sklearn_ot.exceptions import MissingTargetWarning
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.transport import GaussianTransport, W2Transport, W2TransportCV

rng = np.random.RandomState(0)
XS = rng.randn(60, 3) @ rng.randn(3, 3)
XT = rng.randn(40, 3) @ rng.randn(3, 3) + [1, 2, 3]
LABELS = np.arange(60) % 2
XS.flags.writeable = XT.flags.writeable = False


def table(X, columns="abc"):
    return pd.DataFrame(X, columns=list(columns))


def with_entry(X, value):
    return np.vstack([X[:-1], [[*X[-1, :-1], value]]])


class FailsLate(GaussianTransport):
    """A transport whose fit fails after it has set attributes."""

    def _fit(self, source, target, rng):
        self.source_mean_ = None
        raise FloatingPointError("diverged")


@pytest.fixture
def fitted():
    return GaussianTransport().fit(XS, XT)


@pytest.fixture
def to_the_normal():
    return GaussianTransport().fit(XS)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((XS, XT), {}),
        ((XS,), {"X_target": XT}),
        ((XS, LABELS), {"X_target": XT}),
        ((XS, np.zeros((60, 3))), {"X_target": XT}),
        ((XS.tolist(), XT.tolist()), {}),
        ((table(XS), table(XT)), {}),
        ((table(XS), XT), {}),
        ((XS,), {"X_target": XT.astype(np.float32)}),
    ],
    ids=["short form", "keyword", "labels", "2-d labels", "lists", "tables", "table and array", "float32 target"],
)
@pytest.mark.filterwarnings("error")
def test_a_given_target_is_the_target(fitted, args, kwargs):
    X = args[0]
    # A target in float32 has 7 digits.
    np.testing.assert_allclose(
        GaussianTransport().fit(*args, **kwargs).transform(X), fitted.transform(XS), rtol=1e-4, atol=1e-5
    )


@pytest.mark.filterwarnings("error")
def test_without_a_target_the_standard_normal_is_the_target(to_the_normal):
    assert not to_the_normal.target_mean_.any()
    generated = GaussianTransport(shrinkage=None).fit(XS).inverse_transform(np.random.RandomState(0).randn(4000, 3))
    # Three standard errors of 4000 rows, with standard deviations up to 2.6.
    np.testing.assert_allclose(generated.mean(axis=0), XS.mean(axis=0), atol=0.13)
    np.testing.assert_allclose(np.cov(generated.T), np.cov(XS.T), atol=0.45)


@pytest.mark.parametrize("y", [LABELS, LABELS.tolist(), LABELS.astype(str), pd.Series(LABELS)])
def test_labels_without_a_target_warn_where_fit_is_called(to_the_normal, y):
    with pytest.warns(MissingTargetWarning, match="Pass X_target=") as caught:
        transport = GaussianTransport().fit(XS, y)
    assert caught[0].filename == __file__
    assert np.array_equal(transport.transform(XS), to_the_normal.transform(XS))


# X, the other arguments, pattern of the message
UNUSABLE = {
    "nan": (with_entry(XS, np.nan), {"X_target": XT}, "Input X contains NaN"),
    "infinity": (with_entry(XS, np.inf), {"X_target": XT}, "Input X contains infinity"),
    "no rows": (XS[:0], {"X_target": XT}, r"0 sample\(s\).*minimum of 2 is required by GaussianTransport"),
    "one row": (XS[:1], {"X_target": XT}, r"1 sample\(s\).*minimum of 2 is required by GaussianTransport"),
    "no columns": (XS[:, :0], {"X_target": XT}, r"0 feature\(s\)"),
    "one dimension": (XS[:, 0], {"X_target": XT}, "Expected 2D array, got 1D array"),
    "sparse": (sparse.csr_array(XS), {"X_target": XT}, "Sparse data was passed for X, but dense data is required"),
    "strings": (XS.astype(str).astype(object) + "x", {"X_target": XT}, "could not convert string to float"),
    "complex": (XS + 1j, {"X_target": XT}, "Complex data not supported"),
    "target nan": (XS, {"X_target": with_entry(XT, np.nan)}, "Input X_target contains NaN"),
    "target infinity": (XS, {"y": with_entry(XT, -np.inf)}, "Input X_target contains infinity"),
    "target no rows": (XS, {"X_target": XT[:0]}, r"0 sample\(s\)"),
    "target one row": (XS, {"X_target": XT[:1]}, "X_target has 1 row; .* 2 rows or more"),
    "target one dimension": (XS, {"X_target": XT[:, 0]}, "Expected 2D array, got 1D array"),
    "target sparse": (XS, {"X_target": sparse.csr_array(XT)}, "Sparse data was passed for X_target"),
    "target strings": (XS, {"X_target": XT.astype(str).astype(object) + "x"}, "could not convert string to float"),
    "target columns": (XS, {"X_target": XT[:, :2]}, "X_target has 2 features, but the source has 3"),
    "labels of two outputs": (XS, {"y": np.c_[LABELS, LABELS]}, "pass labels as a 1-d y"),
    "column of labels": (XS, {"y": LABELS[:, None]}, "pass labels as a 1-d y"),
    "other names": (table(XS), {"X_target": table(XT, "abd")}, r"\['a', 'b', 'd'\] differ from .*\['a', 'b', 'c'\]"),
    "names in another order": (table(XS), {"y": table(XT, "acb")}, "the same columns in the same order"),
    "table of labels": (table(XS), {"y": pd.DataFrame({"label": LABELS})}, "pass labels as a 1-d y"),
}


@pytest.mark.parametrize(("X", "kwargs", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_data_are_refused_and_leave_no_trace(X, kwargs, message):
    transport = GaussianTransport()
    with pytest.raises((ValueError, TypeError), match=message):
        transport.fit(X, **kwargs)
    assert vars(transport) == {"shrinkage": "auto"}

    transport.fit(XS, XT)
    before, mapped = vars(transport).copy(), transport.transform(XS)
    with pytest.raises((ValueError, TypeError), match=message):
        transport.fit(X, **kwargs)
    assert vars(transport).keys() == before.keys()
    assert all(vars(transport)[name] is value for name, value in before.items())
    assert np.array_equal(transport.transform(XS), mapped)


def test_a_fit_that_fails_late_changes_no_attribute():
    transport = FailsLate()
    with pytest.raises(FloatingPointError, match="diverged"):
        transport.fit(table(XS), X_target=table(XT))
    assert vars(transport) == {"shrinkage": "auto"}
    with pytest.raises(NotFittedError):
        transport.transform(XS)


def test_columns_that_do_not_vary_are_usable():
    Xs, Xt = XS.copy(), XT.copy()
    Xs[:, 0] = Xt[:, 1] = 5
    transport = GaussianTransport().fit(Xs, Xt)
    assert np.isfinite(transport.transform(Xs)).all()
    assert transport.score(Xs) > -1


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "interpolate", "score"])
def test_use_before_fit_and_rows_of_another_width_are_refused(fitted, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(GaussianTransport(), method)(XS)
    with pytest.raises(ValueError, match="X has 2 features, but GaussianTransport is expecting 3"):
        getattr(fitted, method)(XS[:, :2])
    with pytest.raises(ValueError, match="contains NaN"):
        getattr(fitted, method)(with_entry(XS, np.nan))


def test_tables_keep_their_names():
    transport = GaussianTransport().fit(table(XS), table(XT)).set_output(transform="pandas")
    assert list(transport.feature_names_in_) == list(transport.get_feature_names_out()) == ["a", "b", "c"]
    assert list(transport.transform(table(XS)).columns) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        transport.transform(table(XS, "abd"))


def test_interpolation_moves_rows_on_straight_lines_to_their_images(fitted):
    mapped = fitted.transform(XS)
    assert np.array_equal(fitted.interpolate(XS, 0), XS)
    assert np.array_equal(fitted.interpolate(XS, 1), mapped)
    np.testing.assert_allclose(fitted.interpolate(XS), (XS + mapped) / 2, rtol=1e-12)


def test_interpolation_at_several_times(fitted):
    times = [0, 0.25, 1]
    path = fitted.interpolate(XS, times)
    assert path.shape == (3, *XS.shape)
    for rows, t in zip(path, times, strict=True):
        assert np.array_equal(rows, fitted.interpolate(XS, t))


def test_interpolation_is_a_geodesic():
    transport = GaussianTransport(shrinkage=None).fit(XS, XT)
    quarter = transport.interpolate(XS, 0.25)
    # The distance between Gaussians with the moments of the source and of the rows at time ¼ is ¼ of the whole.
    distance = GaussianTransport(shrinkage=None).fit(XS, quarter).wasserstein_distance_
    assert distance == pytest.approx(0.25 * transport.wasserstein_distance_, rel=1e-8)


def test_interpolation_keeps_float32(fitted):
    assert fitted.interpolate(XS.astype(np.float32), [0.1, 0.5]).dtype == np.float32


@pytest.mark.parametrize("t", [-0.1, 1.1, np.nan, [[0.5]], [0, 2]])
def test_times_outside_0_to_1_are_refused(fitted, t):
    with pytest.raises(ValueError, match="between 0 and 1"):
        fitted.interpolate(XS, t)


def test_score_is_minus_the_squared_distance_to_the_target(fitted):
    distance = sliced_wasserstein_distance(fitted.transform(XS), XT, random_state=0)
    # The target is small, so fit keeps all of it for the comparison.
    assert fitted.score(XS) == fitted.score(XS, LABELS) == pytest.approx(-(distance**2), rel=1e-12)
    assert fitted.score(XS, X_target=XT) == fitted.score(XS, XT) == fitted.score(XS)


def test_score_does_not_depend_on_the_output_of_transform(fitted):
    score = fitted.score(XS, X_target=XT)
    assert fitted.set_output(transform="pandas").score(XS, X_target=XT) == score


def test_score_of_a_better_map_is_higher(fitted, to_the_normal):
    shift_only = GaussianTransport(shrinkage=1.0).fit(XS, XT)
    unmoved = GaussianTransport().fit(XS, XS)
    scores = [transport.score(XS, X_target=XT) for transport in (fitted, shift_only, unmoved)]
    assert 0 > scores[0] > scores[1] > scores[2]
    # Without a target the distance is that to the standard normal.
    assert 0 > to_the_normal.score(XS) > -0.2 > to_the_normal.score(3 * XS)


def test_an_integer_weight_in_score_repeats_a_row(fitted):
    weights = np.arange(60) % 3
    # A sliced distance is a sum over sorted rows, so the two differ only by the order of additions.
    assert fitted.score(XS, sample_weight=weights) == pytest.approx(fitted.score(XS.repeat(weights, axis=0)), rel=1e-9)
    for equal in (np.ones(60), 2.0):
        assert fitted.score(XS, sample_weight=equal) == pytest.approx(fitted.score(XS), rel=1e-9)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(59,\), but X has 60 rows"):
        fitted.score(XS, sample_weight=np.ones(59))


def test_score_refuses_a_target_of_another_width(fitted):
    with pytest.raises(ValueError, match="X_target has 2 features, but the source has 3"):
        fitted.score(XS, X_target=XT[:, :2])


def test_reference_is_a_copy_of_few_rows():
    target = np.random.RandomState(1).randn(MAX_REFERENCE_ROWS + 100, 3)
    reference = GaussianTransport().fit(XS, target).target_reference_
    assert reference.shape == (MAX_REFERENCE_ROWS, 3)
    assert len(np.unique(reference, axis=0)) == MAX_REFERENCE_ROWS
    assert np.isin(reference, target).all()
    assert not np.shares_memory(GaussianTransport().fit(XS, XT).target_reference_, XT)


@pytest.mark.parametrize("target", [XT, None])
def test_reference_of_wide_rows_is_small(monkeypatch, target):
    monkeypatch.setattr("sklearn_ot.base._fitting.MAX_REFERENCE_NUMBERS", 17)
    reference = GaussianTransport().fit(XS, X_target=target).target_reference_
    assert reference.shape == (5, 3)
    assert target is None or np.isin(reference, target).all()


def test_global_random_state_is_neither_read_nor_advanced():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (the state that must stay)
    scores = {GaussianTransport().fit(XS).score(XS) for _ in range(2)}
    assert len(scores) == 1
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_the_base_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        BaseTransport()


def table_with_far_rows():
    X = pd.DataFrame(np.random.RandomState(0).standard_normal((300, 3)), columns=["height", "weight", "age"])
    X.loc[[7, 11], "weight"] = 1000
    return X


def test_numbers_far_out_are_named_once():
    X, Y = table_with_far_rows(), table_with_far_rows()[["height", "weight", "age"]] * 1.0
    with pytest.warns(UserWarning, match="far out") as record:
        GaussianTransport().fit(X, Y)
    (warning,) = record
    assert "in column 'weight' of X (rows 7 and 11) and in column 'weight' of X_target" in str(warning.message)
    assert warning.filename == __file__


def test_rows_without_weight_are_not_far_out(recwarn):
    X = table_with_far_rows()
    weight = np.ones(300)
    weight[7] = 0
    with pytest.warns(UserWarning, match="column 'weight' of X \\(row 11\\)"):
        GaussianTransport().fit(X, sample_weight=weight)
    weight[11] = 0
    recwarn.clear()
    GaussianTransport().fit(X, sample_weight=weight)
    assert not recwarn.list


def test_a_fit_within_a_fit_does_not_warn_again():
    X = table_with_far_rows().to_numpy()
    with pytest.warns(UserWarning, match="far out") as record:
        W2TransportCV(W2Transport(max_iter=0), regs=[0, 1], cv=2).fit(X, X_target=X + 1)
    assert sum("far out" in str(warning.message) for warning in record) == 1


@pytest.mark.parametrize(
    ("columns", "names"),
    [([2], "column 2"), ([0, 3], "columns 0 and 3"), (range(9), "columns 0, 1, 2, 3, 4 and 4 more")],
)
def test_names_of_columns(columns, names):
    assert names_of(None, columns) == names


def test_dataframes_and_their_subclasses_have_a_library():
    pl = pytest.importorskip("polars")

    class Table(pd.DataFrame):
        pass

    for X, name in ((pd.DataFrame({"a": [1]}), "pandas"), (Table({"a": [1]}), "pandas"), (pl.DataFrame(), "polars")):
        assert frame_library(X).container_lib == name
    for X in (np.eye(2), [[1]], pd.Series([1]), pl.Series([1]), pl.DataFrame({"a": [1]}).lazy(), None):
        assert frame_library(X) is None


@pytest.mark.parametrize("stored", [str, inspect.cleandoc], ids=["indented", "without indentation"])
def test_shared_parts_of_docstrings_are_inserted(stored):
    """Python removes the indentation of docstrings from 3.13 on."""

    class Shared:
        """Any estimator.

        Parameters
        ----------
        size : int, default={size}
            Its size,
            in rows.

        Notes
        -----
        Both.
        """

    class Estimator:
        """An estimator.

        Parameters
        ----------
        <parameters>
        own : int
            Its own.
        """

        def __init__(self, own, size=3):
            self.own, self.size = own, size

    Estimator.__doc__ = stored(Estimator.__doc__)
    text = sections(documented(**sections(Shared))(Estimator))["parameters"]
    assert text == "size : int, default=3\n    Its size,\n    in rows.\nown : int\n    Its own."

"""Rows that do not fit into memory: memory maps and dask arrays."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold

from sklearn_ot import (
    MMDGAN,
    Autoencoder,
    DomainAdapter,
    GaussianTransport,
    SemiDiscreteTransport,
    W2Transport,
    streams,
)
from sklearn_ot.base import _reading
from sklearn_ot.streams import is_dask_array, is_streamed, map_rows, memory_map, release

da = pytest.importorskip("dask.array")
# Fits of a few steps.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def tables():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((600, 3)).astype(np.float32)
    return X, 2 * X[::-1] + 1


@pytest.fixture
def on_disk(tmp_path):
    """A function that writes an array to a file and opens it as a memory map."""

    def write(X, mode="r", name="rows.npy"):
        np.save(tmp_path / name, X)
        return np.load(tmp_path / name, mmap_mode=mode)

    return write


def small_w2():
    return W2Transport(max_iter=2, random_state=0)


def adapter(tables):
    X, T = tables
    return DomainAdapter(GaussianTransport(), LogisticRegression()).fit(X, X[:, 0] > 0, X_target=T)


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_dask_arrays_in_dask_arrays_out(tables, method, dtype):
    X, T = tables
    transport = small_w2().fit(X, T)
    rows = (100 * X[:50]).astype(dtype) / dtype(100) if dtype != np.int64 else X[:50].round().astype(dtype)
    expected = getattr(transport, method)(rows)
    # Columns in several chunks, and a block of rows without rows.
    lazy = getattr(transport, method)(da.from_array(rows, chunks=((20, 0, 30), (2, 1))))
    assert is_dask_array(lazy)
    assert lazy.chunks == ((20, 0, 30), (3,))
    assert lazy.dtype == expected.dtype
    result = lazy.compute()
    assert result.dtype == expected.dtype
    # Inverses of other blocks stop at other steps; both are within the tolerance of the solver.
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_predictions_of_dask_arrays(tables, method):
    fitted, rows = adapter(tables), tables[1] + 0.01
    lazy = getattr(fitted, method)(da.from_array(rows, chunks=(250, 3)), domain="target")
    expected = getattr(fitted, method)(rows, domain="target")
    assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-6, atol=1e-12)


def test_codes_have_their_own_number_of_columns(tables):
    X = tables[0]
    encoder = Autoencoder(2, max_iter=2, random_state=0).fit(X)
    codes = encoder.transform(da.from_array(X, chunks=(200, 3)))
    assert codes.shape == (600, 2)
    np.testing.assert_allclose(codes.compute(), encoder.transform(X), rtol=1e-5, atol=1e-6)
    assert encoder.inverse_transform(codes).shape == (600, 3)


def test_nothing_is_computed_before_it_is_asked_for(tables):
    X, T = tables
    transport, calls = GaussianTransport().fit(X, T), []
    lazy = da.from_array(X, chunks=(100, 3)).map_blocks(lambda rows: calls.append(len(rows)) or rows, dtype=X.dtype)
    calls.clear()
    images = transport.transform(lazy)
    assert not calls
    images.compute(scheduler="synchronous")
    assert calls == [100] * 6


def test_a_lazy_result_is_that_of_the_fit_before_it(tables):
    X, T = tables
    transport = GaussianTransport().fit(X, T)
    expected, lazy = transport.transform(X), transport.transform(da.from_array(X, chunks=(100, 3)))
    transport.fit(X, -T)
    np.testing.assert_allclose(lazy.compute(), expected, rtol=1e-6)


def test_errors_of_dask_arrays_come_at_once(tables):
    X, T = tables
    lazy = da.from_array(X, chunks=(100, 3))
    with pytest.raises(ValueError, match="not fitted"):
        GaussianTransport().transform(lazy)
    transport = small_w2().fit(X, T)
    with pytest.raises(ValueError, match="X has 2 features, but W2Transport is expecting 3"):
        transport.transform(lazy[:, :2])
    with pytest.raises(ValueError, match="2 dimensions, got 1"):
        transport.transform(lazy[:, 0])
    with pytest.raises(TypeError, match=r"has one result: leave .'return_residual'. out"):
        transport.inverse_transform(lazy, return_residual=True)
    with pytest.raises(TypeError, match=r"takes no arrays besides the rows: .'domain'."):
        adapter(tables).predict(lazy, domain=["target"] * 600)
    with pytest.raises(TypeError, match=r"DomainAdapter.fit takes no dask array as X: .* X\[:100_000\].compute"):
        DomainAdapter(None, LogisticRegression()).fit(lazy, X[:, 0] > 0)


def test_dask_frames_are_refused(tables):
    # A DataFrame of dask needs pyarrow; this has its module and its method.
    kind = type("DataFrame", (), {"__module__": "dask.dataframe.dask_expr", "to_dask_array": lambda self: None})
    with pytest.raises(TypeError, match=r"give a dask array, X.to_dask_array\(lengths=True\)"):
        GaussianTransport().fit(kind())
    with pytest.raises(TypeError, match="to_dask_array"):
        GaussianTransport().fit(*tables).transform(kind())


def streamed(X, kind, on_disk):
    return on_disk(X, name=f"{len(X)}{X[0, 0]}.npy") if kind == "map" else da.from_array(X, chunks=(100, X.shape[1]))


@pytest.mark.parametrize("kind", ["map", "dask"])
def test_small_ones_are_read_as_a_whole(tables, kind, on_disk, recwarn):
    X, T = tables
    weight = np.arange(600.0)
    plain = small_w2().fit(X, X_target=T, sample_weight=weight)
    transport = small_w2().fit(streamed(X, kind, on_disk), X_target=streamed(T, kind, on_disk), sample_weight=weight)
    np.testing.assert_array_equal(transport.transform(X), plain.transform(X))
    assert transport.n_samples_seen_ == plain.n_samples_seen_ == 600
    assert not [warning for warning in recwarn if "fit reads" in str(warning.message)]


@pytest.mark.parametrize("kind", ["map", "dask"])
def test_a_fit_reads_some_rows_of_large_ones(tables, kind, on_disk, monkeypatch):
    X, T = tables
    monkeypatch.setattr(_reading, "MAX_FIT_NUMBERS", 300)
    # Which rows were read is seen by their weights.
    weight = X[:, 0].astype(float) ** 2
    fits = []
    for _ in range(2):
        transport = SemiDiscreteTransport(tol=0.5, max_samples=100, confidence=None, random_state=0)
        with pytest.warns(UserWarning, match="X is a .* of 600 rows. fit reads 100 of them"):
            fits.append(transport.fit(streamed(X, kind, on_disk), X_target=T, sample_weight=weight))
    first, second = fits
    assert first.n_samples_seen_ == 100
    # source_reference_ holds the rows of the sample, drawn with their weights: all of them are rows of X.
    assert {tuple(row) for row in first.source_reference_} <= {tuple(row) for row in X}
    np.testing.assert_array_equal(first.source_reference_, second.source_reference_)


def test_labels_and_weights_follow_their_rows(tables, on_disk, monkeypatch):
    X = tables[0]
    monkeypatch.setattr(_reading, "MAX_FIT_NUMBERS", 300)
    rng, others = np.random.RandomState(0), {"y": list(X[:, 1]), "w": da.from_array(X[:, 2], chunks=70), "n": 3.0}
    with pytest.warns(UserWarning, match="fit reads 100 of them"):
        rows, labels, weight, number = _reading.rows_for_fit(rng, X=on_disk(X), **others)
    assert rows.shape == (100, 3)
    assert type(rows) is np.ndarray
    np.testing.assert_array_equal(rows[:, 1], labels)
    np.testing.assert_array_equal(rows[:, 2], weight)
    assert number == 3.0
    # In their order, without repetition, and from the whole file.
    place = [X[:, 0].tolist().index(number) for number in rows[:, 0]]
    assert place == sorted(set(place))
    assert place[0] < 60
    assert place[-1] >= 540
    warned = pytest.warns(UserWarning, match="fit reads 100 of them")
    with warned, pytest.raises(ValueError, match="y has 5 entries, but there are 600 rows"):
        _reading.rows_for_fit(np.random.RandomState(0), X=on_disk(X), y=[1] * 5)


def test_a_two_dimensional_y_is_a_target_of_its_own(tables, on_disk, monkeypatch):
    X, T = tables
    monkeypatch.setattr(_reading, "MAX_FIT_NUMBERS", 300)
    with pytest.warns(UserWarning, match="fit reads 100 of them") as caught:
        transport = GaussianTransport().fit(on_disk(X), T[:50])
    assert len(caught) == 1
    assert len(transport.target_reference_) == 50
    with pytest.warns(UserWarning, match="X_target is a memory map of 600 rows"):
        transport = GaussianTransport().fit(X, on_disk(T))
    assert len(transport.target_reference_) == 100


@pytest.mark.parametrize("estimator", [MMDGAN(max_iter=2), Autoencoder(2, max_iter=2)])
def test_generators_and_autoencoders_read_some_rows(estimator, tables, on_disk, monkeypatch):
    monkeypatch.setattr(_reading, "MAX_FIT_NUMBERS", 300)
    estimator.set_params(random_state=0)
    with pytest.warns(UserWarning, match="fit reads 100 of them, drawn at random, as n_samples_seen_ says"):
        estimator.fit(on_disk(tables[0]))
    assert estimator.n_samples_seen_ == 100


def test_numbers_that_are_not_finite_are_found(tables, on_disk):
    X, T = tables
    X = X.copy()
    X[300] = np.nan
    with pytest.raises(ValueError, match="X contains NaN"):
        GaussianTransport().fit(on_disk(X), X_target=T)
    transport = GaussianTransport().fit(T, T)
    with pytest.raises(ValueError, match="X contains NaN"):
        map_rows(transport.transform, on_disk(X), np.empty_like(X), block_rows=100)


def test_unknown_lengths_are_an_error(tables):
    lazy = da.from_array(tables[0], chunks=(100, 3))
    lazy = lazy[lazy[:, 0] > 0]
    with pytest.raises(ValueError, match=r"X has chunks of unknown length: call X.compute_chunk_sizes"):
        GaussianTransport().fit(lazy)


def test_maps_stream_into_maps(tables, on_disk, tmp_path):
    X, T = tables
    transport = GaussianTransport().fit(X, T)
    images = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", dtype=X.dtype, shape=X.shape)
    assert map_rows(transport.transform, on_disk(X), images, block_rows=70) is images
    images.flush()
    np.testing.assert_allclose(np.load(tmp_path / "images.npy"), transport.transform(X), rtol=1e-6)
    labels = map_rows(adapter(tables).predict, T, np.empty(600, bool), block_rows=250)
    np.testing.assert_array_equal(labels, adapter(tables).predict(T))


def test_results_must_fit_into_the_array(tables):
    X, T = tables
    transport = GaussianTransport().fit(X, T)
    with pytest.raises(ValueError, match="out has 5 rows, but X has 600"):
        map_rows(transport.transform, X, np.empty((5, 3)))
    with pytest.raises(ValueError, match=r"600 rows have results of shape \(600, 3\), but out takes \(600, 2\)"):
        map_rows(transport.transform, X, np.empty((600, 2)))
    with pytest.raises(ValueError, match="results are float32, which out cannot hold: it is int64"):
        map_rows(transport.transform, X, np.empty((600, 3), int))
    with pytest.raises(ValueError, match=r"600 rows have results of shape \(1, 3\)"):
        map_rows(lambda rows: rows[:1], X, np.empty((600, 3)))


def test_arrays_that_joblib_shares_with_its_workers_are_no_memory_maps(tables, on_disk):
    parallel = Parallel(2, max_nbytes=1)
    for rows, expected in ((tables[0], False), (on_disk(tables[0]), True)):
        kinds = parallel(delayed(_kinds)(rows) for _ in range(2))
        assert kinds == [(np.memmap, expected)] * 2


def _kinds(rows):
    return type(rows), is_streamed(rows)


def test_memory_maps_and_their_views_are_seen(tables, on_disk):
    X = on_disk(tables[0])
    assert memory_map(X) is X
    for view in (X[:, 1:], np.asarray(X), np.asarray(X)[::2].T):
        assert memory_map(view) is not None
    # Copies are in memory.
    assert memory_map(X[[1, 2]]) is None
    assert memory_map(tables[0]) is None
    assert memory_map(None) is None


def resident_mib(path):
    """The memory that the pages of a file take in this process."""
    is_file, total = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            is_file = line.endswith(str(path))
        elif is_file and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total / 1024


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say what is in memory")
def test_one_block_of_a_file_is_in_memory_at_a_time(on_disk, tmp_path, monkeypatch):
    X, sizes = on_disk(np.ones((2**16, 32), np.float32)), []
    images = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", dtype=X.dtype, shape=X.shape)
    monkeypatch.setattr(streams, "BLOCK_NUMBERS", 2**17)
    monkeypatch.setattr(_reading, "MAX_FIT_NUMBERS", 2**17)

    def measured(rows):
        assert rows.min() == 1
        sizes.append(resident_mib(tmp_path / "rows.npy") + resident_mib(tmp_path / "images.npy"))
        return rows

    map_rows(measured, X, images)
    assert len(sizes) == 16
    # Each file has 8 MiB, a block half a MiB; the system maps up to 2 MiB around a page, of both files.
    assert 0.4 < max(sizes) < 6
    with pytest.warns(UserWarning, match="fit reads 4096 of them"):
        rows, _ = _reading.rows_for_fit(np.random.RandomState(0), X=X, y=None)
    assert rows.nbytes == 2**19
    assert resident_mib(tmp_path / "rows.npy") < 1


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system has no such call")
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_released_maps_keep_their_numbers(tables, mode, on_disk):
    X = on_disk(tables[0], mode)
    expected = tables[0].copy()
    if mode != "r":
        X[3] = expected[3] = 7
    release(X)
    np.testing.assert_array_equal(X, expected)


def test_search_with_the_workers_of_dask(tables):
    distributed = pytest.importorskip("distributed")
    X, T = tables
    search = GridSearchCV(small_w2(), {"reg": [1.0, 30.0]}, cv=KFold(2))
    expected = search.fit(X, X_target=T).cv_results_["mean_test_score"]
    cluster = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.Client(**cluster), parallel_config("dask"):
        found = search.fit(X, X_target=T).cv_results_["mean_test_score"]
        lazy = search.best_estimator_.transform(da.from_array(X, chunks=(200, 3))).compute()
    # Other threads of the same process have other numbers of threads of torch.
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(lazy, search.best_estimator_.transform(X), rtol=1e-5, atol=1e-6)


def test_masses_are_counted_by_workers_of_dask():
    distributed = pytest.importorskip("distributed")
    points = np.random.RandomState(0).standard_normal((3000, 64)).astype(np.float32)
    options = {"tol": 1.0, "max_samples": 5000, "confidence": None, "random_state": 0}
    one = SemiDiscreteTransport("normal", n_jobs=1, **options).fit(points)
    cluster = {"n_workers": 1, "threads_per_worker": 2, "processes": False, "dashboard_address": None}
    with distributed.Client(**cluster), parallel_config("dask"):
        other = SemiDiscreteTransport("normal", n_jobs=2, **options).fit(points)
    np.testing.assert_array_equal(one.potential_, other.potential_)

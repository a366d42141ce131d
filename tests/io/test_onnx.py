"""ONNX files: onnxruntime gives the images of the estimator, for any number of rows."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.exceptions import NotFittedError

from sklearn_ot import GaussianTransport, W2Transport
from sklearn_ot.io import export_onnx
from sklearn_ot.networks import Convex
from tests.fitted import CASES, CLASSES, GENERATORS, X, Y, fitted

# Maps that are searches, and inverses that are.
SEARCHES = ["WpTransport, the other order"]
# onnxruntime has no kernel for eigenvalues, which the third map of a translator needs.
NO_GRAPH = {"ImageTranslator": "no ONNX graph"}
# With the batch sizes 1 and 2, sizes that programs often treat as special cases.
SIZES = (1, 2, 7)
# In float32 the sums of onnxruntime and torch have other orders of summation; each agrees to six digits of the size.
DTYPES = [(torch.float32, np.float32, 1e-5), (torch.float64, np.float64, 1e-10)]


def run(path, dtype, *arguments):
    session = onnxruntime.InferenceSession(path)
    names = [node.name for node in session.get_inputs()]
    arrays = [part.astype(dtype) if part.dtype.kind == "f" else part for part in arguments]
    (result,) = session.run(None, dict(zip(names, arrays, strict=True)))
    assert result.dtype == dtype
    return result


def close(a, b, tol):
    np.testing.assert_allclose(a, b, rtol=0, atol=tol * max(1, np.abs(b).max()))


def check_map(estimator, rows, path, method="transform", dtypes=DTYPES):
    for torch_dtype, dtype, tol in dtypes:
        export_onnx(estimator, path, inverse=method == "inverse_transform", dtype=torch_dtype)
        for size in SIZES:
            part = np.resize(rows, (size, rows.shape[1])).astype(dtype)
            close(run(path, dtype, part), getattr(estimator, method)(part), tol)


@pytest.mark.parametrize("activation", ["mixed", "logsumexp", "celu", "softplus"])
def test_activations(activation, tmp_path):
    transport = fitted_with(activation)
    check_map(transport, X + 0.1, tmp_path / "map.onnx", dtypes=DTYPES[:1])


def fitted_with(activation):
    network = Convex((16, 8), activation, rank=1)
    return W2Transport(network=network, max_iter=100, n_iter_no_change=1, tol=1, random_state=0).fit(X, Y)


def test_samples_of_classes(tmp_path):
    generator, path = fitted("WGANGenerator, classes"), tmp_path / "generator.onnx"
    export_onnx(generator, path)
    session = onnxruntime.InferenceSession(path)
    assert [node.name for node in session.get_inputs()] == ["noise", "labels"]
    for size in SIZES:
        arguments = generator.draw_noise(size, random_state=2)
        close(run(path, np.float32, *arguments), generator.sample(size, random_state=2), 1e-5)
    assert set(CLASSES) == {0, 1}


def test_numbers_keep_their_digits_in_float64(tmp_path):
    """The exporter of torch rounds numbers, such as a strong convexity of .01, to float32: an error of 2e-10."""
    transport, rows = fitted("W2Transport"), CASES["W2Transport"][1][0][0][:8].astype(np.float64)
    export_onnx(transport, tmp_path / "map.onnx", dtype=torch.float64)
    close(run(tmp_path / "map.onnx", np.float64, rows), transport.transform(rows), 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name not in (*SEARCHES, *NO_GRAPH)])
def test_every_map(name, tmp_path):
    rows = CASES[name][1][0][0]
    check_map(fitted(name), 0.6 * rows[:8] + 0.4 * rows[8:16], tmp_path / "map.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator(name, tmp_path):
    generator, path = fitted(name), tmp_path / "generator.onnx"
    for torch_dtype, dtype, tol in DTYPES:
        export_onnx(generator, path, dtype=torch_dtype)
        # The networks of games compute samples in float32.
        tol = tol if name.startswith(("W2", "GenerativePipeline")) else 1e-5
        for size in SIZES:
            rows = run(path, dtype, *generator.draw_noise(size, random_state=2))
            close(rows, generator.sample(size, random_state=2), tol)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["GaussianTransport", "StationaryGaussianTransport", "W2Transport, w2gn", "Autoencoder"]
)
def test_inverse_maps(name, tmp_path):
    rows = np.asarray(fitted(name).transform(CASES[name][1][0][0][:8]))
    check_map(fitted(name), rows, tmp_path / "inverse.onnx", "inverse_transform")


@pytest.mark.parametrize(("name", "inverse"), [("W2Transport", True), (SEARCHES[0], False), ("WpTransport", True)])
def test_searches_are_refused(name, inverse, tmp_path):
    with pytest.raises(ValueError, match="is a search, which is no ONNX graph"):
        export_onnx(fitted(name), tmp_path / "map.onnx", inverse=inverse)
    assert list(tmp_path.iterdir()) == []


def test_a_map_without_a_graph(tmp_path):
    path = tmp_path / "map.onnx"
    path.write_text("before")
    with pytest.raises(
        ValueError, match=r"The map of ImageTranslator is no ONNX graph. The exporter of torch says: \S"
    ):
        export_onnx(fitted("ImageTranslator"), path)
    # A failed call leaves the file as it was, and no other one.
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "before")]


def test_wrong_arguments(tmp_path):
    path = tmp_path / "map.onnx"
    with pytest.raises(NotFittedError):
        export_onnx(GaussianTransport(), path)
    with pytest.raises(ValueError, match=r"dtype must be torch\.float32 or torch\.float64, got torch\.int64"):
        export_onnx(fitted("GaussianTransport"), path, dtype=torch.int64)
    with pytest.raises(ValueError, match="has no inverse map"):
        export_onnx(fitted("QCTransport"), path, inverse=True)


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_the_extra_is_named(missing, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf'export_onnx needs {missing}: pip install "sklearn-ot\[onnx\]"'):
        export_onnx(fitted("GaussianTransport"), tmp_path / "map.onnx")

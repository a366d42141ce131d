"""ONNX files: onnxruntime gives the images of the estimator, for any number of rows."""

import sys

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.nn import functional as F

from sklearn_ot import GaussianTransport, W2Transport
from sklearn_ot.io import export_onnx
from sklearn_ot.networks import Convex
from sklearn_ot.nn import FittedMap, HalfSquare, Method, PatchPotential, _patches
from sklearn_ot.solvers.grid import _flow
from tests.fitted import CASES, CLASSES, GENERATORS, X, Y, fitted

# Maps that are searches, and inverses that are.
SEARCHES = ["WpTransport, the other order"]
# onnxruntime has no kernel for eigenvalues, which the third map of a translator needs.
NO_GRAPH = {"ImageTranslator": "no ONNX graph"}
# The batch sizes 1 and 2, which programs often treat as special cases, and one that is larger than that of the example
# from which the graph is made.
SIZES = (1, 2, 100)
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


class OfModule(BaseEstimator):
    """An estimator whose map is a function of tensors, or a module, of rows of 32 numbers."""

    def __init__(self, function):
        self.function, self.is_fitted_ = function, True

    def fit(self, X, y=None):
        return self

    def to_torch(self, inverse=False):
        function = self.function
        return FittedMap(function if isinstance(function, nn.Module) else OfFunction(function), 32)

    def transform(self, X):
        dtype = torch.as_tensor(X).dtype
        with torch.no_grad():
            return self.to_torch().to(dtype)(torch.as_tensor(X)).numpy()


class OfFunction(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


class OfPictures(nn.Module):
    """Layers of pictures of 4 × 4 pixels and two colours."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.LeakyReLU(0.2),
            nn.Conv2d(3, 4, (2, 3), stride=(1, 2), padding=(0, 2), dilation=(2, 1)),
            nn.CELU(0.7),
            nn.ConvTranspose2d(4, 3, 4, (2, 3), (1, 0), output_padding=(0, 1), dilation=(1, 2), bias=False),
            nn.AvgPool2d(2),
            nn.Upsample(scale_factor=2),
            nn.Softplus(1.3),
        )

    def forward(self, x):
        return self.layers(x.view(-1, 2, 4, 4)).flatten(1)


def numbers(x):
    """Operations with numbers of Python that float32 cannot hold."""
    parts = [x + 0.1, torch.sub(x, x.square(), alpha=0.1), x.clamp(min=0.3), x.clamp(-0.1, 0.7), (x.abs() + 0.1) ** 1.3]
    parts += [F.pad(x, (1, 1), value=0.1), torch.where(x > 0.1, x, 0.7), F.hardtanh(x, -0.1, 0.1), F.elu(x, 0.7)]
    return torch.cat([*parts, torch.full_like(x, 0.1), x.new_full((x.shape[0], 1), 0.7), 0.1 / (x - 7.3)], 1)


# ONNX Runtime has no kernels of float64 for convolutions, pools and some activations, and the exporter of torch rounds
# numbers to float32: its errors are 1e-9 and larger, and those of sums in another order are 1e-15.
@pytest.mark.parametrize("function", [OfPictures().eval(), numbers], ids=["pictures", "numbers"])
def test_operations_keep_their_digits_in_float64(function, tmp_path):
    rows = 2 * np.random.RandomState(0).randn(7, 32)
    check_map(OfModule(function), rows, tmp_path / "map.onnx", dtypes=[(torch.float64, np.float64, 1e-13)])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: torch.addmm(x, x, torch.eye(32, dtype=x.dtype), alpha=0.1),
            "in float64: ONNX has float32 for alpha of aten.addmm",
        ),
        (lambda x: x * len(x), "It depends on the number of rows"),
        (lambda x: torch.cat([part + 1 for part in x.split(20)]), "It depends on the number of rows"),
    ],
    ids=["a number", "the number of rows", "parts of the rows"],
)
def test_graphs_that_would_be_wrong_are_refused(function, message, tmp_path):
    with pytest.raises(ValueError, match=f"The map of OfModule is no ONNX graph.*{message}"):
        export_onnx(OfModule(function), tmp_path / "map.onnx", dtype=torch.float64)
    assert list(tmp_path.iterdir()) == []


def test_a_potential_of_patches_takes_any_number_of_rows(tmp_path, monkeypatch):
    """The module works on parts of the rows, so that the number of rows would be part of the graph."""
    monkeypatch.setattr(_patches, "PATCH_NUMBERS", 1000)
    potential = OfModule(Method(PatchPotential(HalfSquare(), (4, 4, 2), 2), "gradient"))
    check_map(potential, np.random.RandomState(0).randn(7, 32), tmp_path / "map.onnx", dtypes=DTYPES[:1])


def test_a_flow_on_a_grid_takes_any_number_of_rows(tmp_path, monkeypatch):
    """With one step of the flow instead of 48, all of which are in the graph."""
    monkeypatch.setattr(_flow, "TIMES", np.linspace(0, 1, 2))
    check_map(fitted("W1Transport"), X[:7] + 0.1, tmp_path / "map.onnx", dtypes=DTYPES[1:])


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

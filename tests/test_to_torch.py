"""Fitted estimators as torch modules: images, gradients and inverses, over every public estimator."""

import copy
import gc
import pickle
import weakref
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

import sklearn_ot
from sklearn_ot import (
    GAN,
    Autoencoder,
    GaussianTransport,
    GenerativePipeline,
    LabelAwareTransport,
    W2Transport,
)
from sklearn_ot.nn import Inversion
from sklearn_ot.solvers import inversion
from tests.fitted import CASES, CLASSES, GENERATORS, OTHERS, WITHOUT, X, Y, fitted

SEARCHES = [
    "PatchTransport", "W2Transport", "W2Transport, plan", "W2Transport, constant column", "W2Transport, pictures",
    "W2TransportCV", "WpTransport", "WpTransport, the other order", "ImageTranslator",
]  # fmt: skip
NETWORKS = ["GaussianTransport", "StationaryGaussianTransport", "W2Transport, w2gn", "W1Transport", "Autoencoder"]
NETWORKS += ["W1Transport, line", "W1Transport, critic", "Autoencoder, bounded"]
FORWARD = [name for name in CASES if name != "WpTransport, the other order"]
DTYPES = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


@cache
def rows_of(name):
    """Some rows of the fit, and rows that are new; only new ones where rows of the fit lie on borders of cells."""
    rows = CASES[name][1][0][0]
    if rows.shape[1] > 3:
        return np.vstack([rows[:3], OTHERS[:2]])
    new = rows[:4] * 0.6 + rows[4:8] * 0.4
    return new if name.startswith("SemiDiscrete") else np.vstack([rows[:4], new])


def close(a, b, tol):
    """Arrays that agree up to a part of their size."""
    a, b = np.asarray(a), np.asarray(b)
    np.testing.assert_allclose(a, b, rtol=0, atol=tol * max(1, np.abs(b).max()))


def test_every_public_estimator_is_in_the_table():
    named = {name.partition(",")[0] for name in (*CASES, *GENERATORS)}
    assert named.isdisjoint(WITHOUT)
    assert named | set(WITHOUT) == set(sklearn_ot.ESTIMATORS)
    for name in WITHOUT:
        assert not hasattr(getattr(sklearn_ot, name), "to_torch")


# The bars of float32 and float64 are relative to the size of the images. In float32 both sides have the same rows.
@pytest.mark.parametrize(("dtype", "tol"), DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", FORWARD)
def test_images(name, dtype, tol):
    rows = torch.as_tensor(rows_of(name)).to(dtype)
    images = fitted(name).to_torch().to(dtype)(rows)
    assert images.dtype == dtype
    close(images, fitted(name).transform(rows.numpy()), tol)


@pytest.mark.parametrize(("dtype", "tol"), DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_preimages(name, dtype, tol):
    rows = torch.as_tensor(np.asarray(fitted(name).transform(rows_of(name)))).to(dtype)
    preimages = fitted(name).to_torch(inverse=True).to(dtype)(rows)
    close(preimages, fitted(name).inverse_transform(rows.numpy()), tol)


# Searches of the estimator end at its conjugate_tol, and those of the module at rounding: the module is compared with
# the map. The map of float32 rows has seven digits, and loses one or two in the norm of a residual of many columns.
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["float32", "float64"])
@pytest.mark.parametrize("name", SEARCHES)
def test_searches(name, dtype, tol):
    is_other = name == "WpTransport, the other order"
    rows = rows_of(name) if is_other else np.asarray(fitted(name).transform(rows_of(name)))
    found = fitted(name).to_torch(inverse=not is_other).to(dtype)(torch.as_tensor(rows).to(dtype))
    assert isinstance(found, Inversion)
    assert found.residual.shape == (len(rows),)
    back = fitted(name).to_torch(inverse=is_other).to(dtype)(found.rows)
    if name.startswith("Wp"):
        # The map divides by a matrix, of which the network holds a pseudo-inverse in float32.
        tol = max(tol, 1e-6)
    size = max(1, np.abs(rows).max())
    close(back, rows, tol)
    assert found.residual.max() < tol * size * np.sqrt(rows.shape[1])
    # The residual is the distance in the units of the data.
    exact = np.linalg.norm(fitted(name).to_torch(inverse=is_other).double()(found.rows.double()) - rows, axis=1)
    np.testing.assert_allclose(found.residual, exact, rtol=0, atol=tol * size)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_residual_of_a_search_that_ends_early(name, monkeypatch):
    """It is the distance in the units of the data, also of rows that a search has not reached."""
    monkeypatch.setattr(inversion.InverseSearch, "_search", lambda search, y: search.pair.inverse.gradient(y) + 0.3)
    is_other = name == "WpTransport, the other order"
    rows = rows_of(name) if is_other else np.asarray(fitted(name).transform(rows_of(name)))
    rows = torch.as_tensor(rows).requires_grad_()
    found = fitted(name).to_torch(inverse=not is_other).double()(rows)
    assert not found.residual.requires_grad
    exact = torch.linalg.vector_norm(fitted(name).to_torch(inverse=is_other).double()(found.rows) - rows, dim=1)
    assert (exact > 0.01).all()
    # Rounding in another order of the operations; the map of a `WpTransport` has a factor in float32.
    torch.testing.assert_close(found.residual, exact.detach(), rtol=1e-6, atol=1e-9)


def directional(module, rows, direction):
    """Derivatives along a direction by autograd, and by central differences."""

    def images(x):
        found = module(x)
        return found.rows if isinstance(found, Inversion) else found

    rows = rows.clone().requires_grad_()
    weights = torch.linspace(1, 2, images(rows).numel(), dtype=torch.float64).reshape(images(rows).shape)
    (gradient,) = torch.autograd.grad((images(rows) * weights).sum(), rows)
    with torch.no_grad():
        # Rounding of 1e-16 and the third derivative have errors of about 1e-10.
        h = 1e-5
        difference = (images(rows + h * direction) - images(rows - h * direction)) / (2 * h)
    return (gradient * direction).sum(1), (difference * weights).sum(1)


@pytest.mark.parametrize(
    ("name", "inverse"),
    [(name, False) for name in FORWARD] + [(name, True) for name in (*NETWORKS, *SEARCHES) if "other" not in name]
    + [("WpTransport, the other order", False)],
)  # fmt: skip
def test_gradients_agree_with_differences(name, inverse):
    # New rows: the derivatives of maps on a line or a grid jump at rows of the fit.
    rows = rows_of(name)[-4:] if rows_of(name).shape[1] <= 3 else rows_of(name)[-1:]
    rows = np.asarray(fitted(name).transform(rows)) if inverse else rows
    rows = torch.as_tensor(rows)
    direction = torch.as_tensor(np.random.RandomState(1).randn(*rows.shape)) * rows.std()
    module = fitted(name).to_torch(inverse=inverse).double()
    found, expected = directional(module, rows, direction)
    # On a grid the derivative jumps at the borders of cells, and a row of the 48 steps may be near one.
    close(found, expected, 1e-5 if name == "W1Transport" else 1e-6)


def inputs(arguments, dtype):
    return [torch.as_tensor(part).to(dtype) if part.dtype.kind == "f" else torch.as_tensor(part) for part in arguments]


# The networks of games compute samples in float32, so that float64 agrees no better.
@pytest.mark.parametrize(("dtype", "tol"), DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", GENERATORS)
def test_samples_from_given_noise(name, dtype, tol):
    generator = fitted(name)
    module = generator.to_torch().to(dtype)
    rows = module(*inputs(generator.draw_noise(7, random_state=3), dtype))
    is_exact = name.startswith(("W2", "GenerativePipeline"))
    close(rows, generator.sample(7, random_state=3), tol if is_exact else 1e-5)
    assert rows.dtype == dtype


@pytest.mark.parametrize("name", [name for name in GENERATORS if "images" not in name])
def test_gradients_of_generators(name):
    generator = fitted(name)
    noise, *labels = inputs(generator.draw_noise(4, random_state=1), torch.float64)
    module = generator.to_torch().double()
    direction = torch.as_tensor(np.random.RandomState(1).randn(*noise.shape))
    found, expected = directional(lambda z: module(z, *labels), noise, direction)
    close(found, expected, 1e-6)


def test_classes_are_numbers_or_one_hot():
    generator = fitted("WGANGenerator, classes")
    noise, labels = inputs(generator.draw_noise(5, random_state=0, y=1), torch.float32)
    assert (labels == 1).all()
    module = generator.to_torch()
    one_hot = torch.nn.functional.one_hot(labels, 2).float()
    torch.testing.assert_close(module(noise, labels), module(noise, one_hot))
    with pytest.raises(TypeError, match="fitted with classes: give labels of 2 classes"):
        module(noise)
    with pytest.raises(TypeError, match="without classes"):
        fitted("GAN").to_torch()(torch.ones(5, 3), labels)
    with pytest.raises(ValueError, match="labels has shape"):
        module(noise, one_hot[:, :1])


@pytest.mark.parametrize("name", ["W2Generator", "GenerativePipeline"])
def test_noise_of_rows(name):
    rows = torch.as_tensor(np.asarray(fitted(name).sample(6, random_state=0)))
    found = fitted(name).to_torch(inverse=True).double()(rows)
    assert found.residual.max() < 1e-10
    close(fitted(name).to_torch().double()(found.rows), rows, 1e-10)


@pytest.mark.parametrize("name", ["GaussianTransport", "W2Transport", "QCTransport", "WGANGenerator"])
def test_a_module_holds_no_part_of_the_estimator(name):
    estimator = copy.deepcopy(fitted(name))
    module, reference = estimator.to_torch(), weakref.ref(estimator)
    del estimator
    gc.collect()
    assert reference() is None
    stored = pickle.dumps(module)
    # The networks have about 100 weights. Rows of the fit, or a net with its history, would be far larger.
    assert len(stored) < 20_000
    x = torch.ones(2, 3)
    torch.testing.assert_close(pickle.loads(stored)(x), module(x))


def test_a_module_is_frozen():
    module = fitted("WGANGenerator, images").to_torch()
    noise = torch.randn(4, module.latent_dim, generator=torch.Generator().manual_seed(0))
    before = module(noise)
    # Batch normalisation would depend on the batch in training mode.
    torch.nn.Sequential(module).train()
    torch.testing.assert_close(module(noise), before, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    # A later fit does not change it.
    generator = copy.deepcopy(fitted("WGANGenerator"))
    module = generator.to_torch()
    before = module(torch.ones(2, 3))
    generator.fit(10 * X)
    torch.testing.assert_close(module(torch.ones(2, 3)), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["W2Transport", "PatchTransport"])
def test_constants_keep_their_digits(name):
    rows = torch.as_tensor(rows_of(name))
    exact = fitted(name).to_torch().double()(rows)
    close(fitted(name).to_torch().double().float().double()(rows), exact, 1e-13)


@pytest.mark.parametrize("inverse", [False, True])
def test_any_dimensions_of_a_batch(inverse):
    module = fitted("W2Transport").to_torch(inverse=inverse).double()
    rows = torch.as_tensor(X[:6])

    def images(x):
        return module(x).rows if inverse else module(x)

    flat = images(rows)
    close(images(rows.reshape(2, 3, 3)).reshape(6, 3), flat, 1e-12)
    close(images(rows[0]), flat[0], 1e-12)
    assert images(rows[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match=r"x has shape \(6, 2\), but its last dimension must have 3 numbers"):
        module(rows[:, :2])


@pytest.mark.parametrize("name", ["W2Transport", "QCTransport", "PatchTransport", "W1Transport", "W1Transport, critic"])
def test_functions_of_torch_func(name):
    rows = torch.as_tensor(rows_of(name)[:2])
    module = fitted(name).to_torch().double()
    jacobians = torch.func.vmap(torch.func.jacrev(module))(rows)
    for row, jacobian in zip(rows, jacobians, strict=True):
        torch.testing.assert_close(jacobian, torch.autograd.functional.jacobian(module, row))
        _, along = torch.func.jvp(module, (row,), (torch.ones_like(row),))
        torch.testing.assert_close(along, jacobian.sum(1))


@pytest.mark.parametrize("name", ["W2Transport", "WpTransport"])
def test_the_derivative_of_an_inverse_is_the_inverse_matrix(name):
    images = torch.as_tensor(fitted(name).transform(X[:2]))
    forward, module = (fitted(name).to_torch(inverse=inverse).double() for inverse in (False, True))
    jacobians = torch.func.vmap(torch.func.jacrev(lambda y: module(y).rows))(images)
    for row, jacobian in zip(module(images).rows, jacobians, strict=True):
        expected = torch.linalg.inv(torch.autograd.functional.jacobian(forward, row))
        torch.testing.assert_close(jacobian, expected, rtol=1e-6, atol=1e-6)
    y = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(module(y).rows.square().sum(), y, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        gradient.sum().backward()


def test_wide_rows_need_no_matrix_of_all_columns():
    wide = np.random.RandomState(0).randn(20, 3000)
    transport = GaussianTransport().fit(wide, 2 * wide + 1)
    module = transport.to_torch().double()
    assert sum(buffer.numel() for buffer in module.buffers()) < 60 * 3000
    close(module(torch.as_tensor(wide)), transport.transform(wide), 1e-10)


def test_no_inverse_and_no_fit():
    for name in ("QCTransport", "SemiDiscreteTransport", "LabelAwareTransport", "ClassifierFeatures", "WGANGenerator"):
        with pytest.raises(ValueError, match="has no inverse map: take inverse=False"):
            fitted(name).to_torch(inverse=True)
    for estimator in (GaussianTransport(), W2Transport(), GAN(), Autoencoder()):
        with pytest.raises(NotFittedError):
            estimator.to_torch()


def test_parts_without_a_module_are_named():
    class Other(GaussianTransport):
        @property
        def to_torch(self):
            raise AttributeError

    transport = LabelAwareTransport(Other(), n_rounds=1).fit(X, CLASSES, X_target=Y)
    with pytest.raises(ValueError, match=r"transport=Other\(\) has no method to_torch"):
        transport.to_torch()
    pipeline = GenerativePipeline([("mixture", GaussianMixture())]).fit(X)
    assert not hasattr(pipeline, "to_torch")


@pytest.mark.parametrize("name", ["GaussianTransport", "W2Transport", "Autoencoder", "ClassifierFeatures"])
def test_tensors_keep_their_dtype(name):
    estimator, rows = fitted(name), torch.as_tensor(X[:5])
    for dtype in (torch.float32, torch.float64):
        images = estimator.transform(rows.to(dtype))
        assert isinstance(images, np.ndarray)
        assert images.dtype == rows.to(dtype).numpy().dtype
        np.testing.assert_array_equal(images, estimator.transform(rows.to(dtype).numpy()))
    for dtype in (torch.bfloat16, torch.float16):
        assert np.isfinite(estimator.transform(rows.to(dtype))).all()
    with pytest.raises(ValueError, match=r"requires grad, but the result would be an array.*to_torch\(\)"):
        estimator.transform(rows.clone().requires_grad_())


def test_tensors_in_fit():
    expected = GaussianTransport().fit(X, Y).transform(X)
    transport = GaussianTransport().fit(torch.as_tensor(X), torch.as_tensor(Y))
    np.testing.assert_array_equal(transport.transform(torch.as_tensor(X)), expected)
    np.testing.assert_array_equal(transport.inverse_transform(torch.as_tensor(Y)), transport.inverse_transform(Y))
    with pytest.raises(ValueError, match="requires grad"):
        transport.fit(torch.as_tensor(X).requires_grad_(), Y)

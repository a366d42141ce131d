"""A fitted map as a value: on arrays, in chunks, in the dtype of the rows, across directions without variance."""

import copy
import pickle

import numpy as np
import pytest
import torch

from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.nn import MLP, ConvexPair, DenseICNN, DisplacementPotential, PotentialsAndMap, ResidualMap
from sklearn_ot.solvers import potentials as module_of_potentials
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.costs import EuclideanPower
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.potentials import FrozenModule, Potentials
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.units import UnitCoordinates


def shaken(module):
    """A module whose weights differ from the start, at which the map would be the Gaussian one."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    module.project_()
    return module


def pair_of(n_features, is_guess=True):
    torch.manual_seed(0)
    potential = (DenseICNN, {"n_features": n_features, "hidden_layer_sizes": (8, 8), "strong_convexity": 0.1})
    inverse = (ResidualMap, {"n_features": n_features, "hidden_layer_sizes": (8,)}) if is_guess else potential
    return shaken(ConvexPair(potential, inverse, is_guess=is_guess))


@pytest.fixture(params=["all vary", "two of five vary"])
def samples(request):
    """Rows with five columns, which vary in all directions or in two."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(60, 5) + 1, 3 * rng.rand(50, 5) - 2
    if request.param == "all vary":
        return X, Y
    rotation = np.linalg.qr(rng.randn(5, 5))[0]
    return X[:, :2] @ rotation[:2] + 1, Y[:, :2] @ rotation[:2] - 2


@pytest.fixture
def coordinates(samples):
    return BalancedCoordinates.balance(sample_gaussian_map(*map(Sample.of, samples))).focus(*samples)


@pytest.fixture
def potentials(coordinates):
    return Potentials(coordinates, FrozenModule(pair_of(coordinates.n_axes)), conjugate_tol=1e-9)


def test_the_map_is_the_gradient_of_the_potential(samples, potentials):
    X, step = samples[0], 1e-5
    differences = [
        (potentials.potential(X + step * axis) - potentials.potential(X - step * axis)) / (2 * step)
        for axis in np.eye(5)
    ]
    images = potentials.transport(X)
    # Central differences of a smooth function in float64 have the error step² plus rounding / step.
    np.testing.assert_allclose(images, np.transpose(differences), atol=1e-7 * np.abs(images).max())
    np.testing.assert_allclose(potentials.potential(potentials.coordinates.source_mean[None]), 0, atol=1e-12)


def test_the_inverse_undoes_the_map(samples, potentials):
    """The error is the tolerance of the search, times at most 1 / strong_convexity."""
    X = samples[0]
    Y = potentials.transport(X)
    rows, solved = potentials.inverse(Y)
    assert solved.all()
    np.testing.assert_allclose(rows, X, atol=1e-7)
    np.testing.assert_allclose(potentials.residual(rows, Y), 0, atol=1e-7)
    expected = np.linalg.norm(potentials.transport(X + 1) - Y, axis=1)
    np.testing.assert_allclose(potentials.residual(X + 1, Y), expected)


def test_a_search_that_stops_short_says_which_rows(samples, potentials, monkeypatch):
    monkeypatch.setattr("sklearn_ot.solvers.potentials.MAX_CONJUGATE_STEPS", 0)
    easy = potentials.coordinates.source_mean[None]
    Y = np.vstack([samples[1], potentials.transport(easy)])
    rows, solved = potentials.inverse(Y)
    assert not solved.any()
    coarse = Potentials(potentials.coordinates, potentials.module, conjugate_tol=1e6)
    assert coarse.inverse(Y).solved.all()
    np.testing.assert_array_equal(coarse.inverse(Y).rows, rows)


def test_a_network_may_be_the_inverse(samples, coordinates):
    """Without a search the inverse is a network: it is not that of this map, and all rows are solved."""
    module = pair_of(coordinates.n_axes, is_guess=False)
    potentials = Potentials(coordinates, FrozenModule(module))
    rows, solved = potentials.inverse(samples[1])
    assert solved.all()
    assert potentials.residual(rows, samples[1]).max() > 0.1
    swapped = copy.deepcopy(module)
    swapped.potential, swapped.inverse = module.inverse, module.potential
    u = Potentials(coordinates, FrozenModule(swapped)).transport(
        coordinates.to_source(coordinates.of_target(samples[1]))
    )
    np.testing.assert_allclose(coordinates.of_source(rows), coordinates.of_target(u), atol=1e-9)


def test_the_dual_value_is_that_of_its_definition(samples, potentials):
    """The formula in the units of the data: conjugates are values at the preimages."""
    X, Y = samples
    preimages = potentials.inverse(Y).rows
    conjugates = np.sum(preimages * Y, axis=1) - potentials.potential(preimages)
    squares = np.sum(X**2, axis=1).mean() + np.sum(Y**2, axis=1).mean()
    expected = squares / 2 - potentials.potential(X).mean() - conjugates.mean()
    value = potentials.dual_value(X, Y)
    assert value == pytest.approx(expected, abs=1e-9 * squares)
    assert value < wasserstein_distance(X, Y) ** 2 / 2


def test_a_dual_value_of_searches_that_stop_short_is_lower(samples, potentials, monkeypatch):
    exact = potentials.dual_value(*samples)
    monkeypatch.setattr("sklearn_ot.solvers.potentials.MAX_CONJUGATE_STEPS", 1)
    assert potentials.dual_value(*samples) < exact


@pytest.mark.parametrize("samples", ["two of five vary"], indirect=True)
def test_across_the_axes_the_map_is_the_gaussian_one(samples, coordinates, potentials):
    assert coordinates.n_axes == 2
    across = np.random.RandomState(1).randn(60, 5)
    across -= across @ coordinates.axes @ coordinates.axes.T
    u = coordinates.of_source(samples[0])
    v, moved = (coordinates.of_target(potentials.transport(coordinates.to_source(rows))) for rows in (u, u + across))
    np.testing.assert_allclose(moved - v, across, atol=1e-9)
    assert np.abs(v - u).max() > 0.1


def test_results_have_the_dtype_of_the_rows(samples, potentials):
    singles = [rows.astype(np.float32) for rows in samples]
    # The residual of searches in float32 is at least 1e-6 of the size of a row.
    coarse = Potentials(potentials.coordinates, potentials.module, conjugate_tol=1e-4)
    for single, double in [
        (coarse.transport(singles[0]), coarse.transport(samples[0])),
        (coarse.inverse(singles[1]).rows, coarse.inverse(samples[1]).rows),
        (coarse.potential(singles[0]), coarse.potential(samples[0])),
    ]:
        assert (single.dtype, double.dtype) == (np.float32, np.float64)
        np.testing.assert_allclose(single, double, atol=2e-3 * np.abs(double).max())


def test_in_chunks_nothing_changes(samples, potentials, monkeypatch):
    def results():
        X, Y = samples
        return [
            potentials.transport(X),
            *potentials.inverse(Y),
            potentials.residual(X[:50], Y),
            potentials.potential(X),
            potentials.dual_value(X, Y),
        ]

    whole = results()
    monkeypatch.setattr("sklearn_ot.solvers.chunks.CHUNK_ROWS", 7)
    for one, other in zip(results(), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_a_map_without_potential_transports(samples, coordinates):
    torch.manual_seed(0)
    n_axes = coordinates.n_axes
    shape = {"n_features": n_axes, "hidden_layer_sizes": (8,)}
    module = shaken(PotentialsAndMap((MLP, shape), (MLP, {**shape, "n_outputs": n_axes})))
    images = Potentials(coordinates, FrozenModule(module)).transport(samples[0])
    w = coordinates.within(coordinates.of_source(samples[0]))
    with torch.no_grad():
        expected = module.double().transport(torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(coordinates.within(coordinates.of_target(images)), expected, atol=1e-9)


@pytest.mark.parametrize("method", ["potential", "inverse", "dual_value"])
def test_a_map_without_potential_has_no_inverse_and_says_so(samples, coordinates, method):
    shape = {"n_features": coordinates.n_axes, "hidden_layer_sizes": (8,)}
    potentials = Potentials(coordinates, FrozenModule(DisplacementPotential((MLP, shape))))
    rows = samples if method == "dual_value" else samples[:1]
    with pytest.raises(AttributeError, match="no convex potential and no inverse: its module is a DisplacementPot"):
        getattr(potentials, method)(*rows)


def test_it_is_a_value_that_later_training_does_not_change(samples, coordinates):
    module = pair_of(coordinates.n_axes)
    potentials = Potentials(coordinates, FrozenModule(module))
    expected = potentials.transport(samples[0])
    shaken(module)
    np.testing.assert_array_equal(potentials.transport(samples[0]), expected)
    single = potentials.transport(samples[0].astype(np.float32))
    np.testing.assert_allclose(single, expected, atol=1e-4)
    with pytest.raises(AttributeError):
        potentials.conjugate_tol = 1.0
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(potentials)).transport(samples[0]), expected)


class Contraction(MLP):
    """The potential ‖x‖^p / 2^(p − 1) of the map that halves each row, for the cost ‖x − y‖^p."""

    def __init__(self, power):
        super().__init__(3, (1,))
        self.power = power

    def forward(self, x):
        return x.norm(dim=1) ** self.power / 2 ** (self.power - 1)


@pytest.mark.parametrize("power", [1.5, 3.0])
def test_the_map_of_another_cost_follows_from_its_gradient(power):
    rng = np.random.RandomState(0)
    X = 100 * rng.randn(50, 3) + 7
    coordinates = UnitCoordinates.standard(X, np.full(50, 1 / 50))
    potentials = Potentials(coordinates, FrozenModule(Contraction(power)), EuclideanPower(power))
    images = (X + coordinates.center) / 2
    np.testing.assert_allclose(potentials.transport(X), images, rtol=1e-9)
    np.testing.assert_allclose(potentials.residual(X, images), 0, atol=1e-9 * np.abs(X).max())
    # In the units of the cost: ‖x − centre‖^p / 2^(p − 1).
    expected = np.linalg.norm(X - coordinates.center, axis=1) ** power / 2 ** (power - 1)
    np.testing.assert_allclose(potentials.potential(X), expected, rtol=1e-9)
    assert potentials.transport(X.astype(np.float32)).dtype == np.float32


def test_the_terms_of_the_dual(samples, potentials):
    """Their means have the sum of the dual value, and f(x) + g(y) is at most the cost, with equality at an image."""
    X, Y = samples
    terms = potentials.dual_terms(X, Y)
    assert terms.source.mean() + terms.target.mean() == pytest.approx(potentials.dual_value(X, Y))
    costs = np.sum((X[:, None] - Y) ** 2, axis=2) / 2
    assert (terms.source[:, None] + terms.target <= costs + 1e-9).all()
    np.testing.assert_allclose(terms.preimages, potentials.inverse(Y).rows, atol=1e-6)
    images = potentials.transport(X)
    at_images = potentials.dual_terms(X, images)
    np.testing.assert_allclose(at_images.source + at_images.target, np.sum((X - images) ** 2, axis=1) / 2, atol=1e-6)


def test_the_derivative_is_that_of_the_map(samples, potentials):
    X, step = samples[0], 1e-5
    V = np.random.RandomState(0).randn(*X.shape)
    differences = (potentials.transport(X + step * V) - potentials.transport(X - step * V)) / (2 * step)
    np.testing.assert_allclose(potentials.derivative(X, V), differences, rtol=1e-4, atol=1e-4)


def test_no_pair_of_rows_is_stretched_by_more_than_the_bound(coordinates):
    torch.manual_seed(0)
    arguments = {"n_features": coordinates.n_axes, "hidden_layer_sizes": (8, 8), "rank": 0, "activation": "softplus"}
    network = (DenseICNN, arguments)
    potentials = Potentials(coordinates, FrozenModule(shaken(ConvexPair(network, network, is_guess=False))))
    rng = np.random.RandomState(0)
    X, step = 3 * rng.randn(500, 5), 0.1 * rng.randn(500, 5)
    moved = potentials.transport(X + step) - potentials.transport(X)
    stretches = np.linalg.norm(moved, axis=1) / np.linalg.norm(step, axis=1)
    assert stretches.max() <= potentials.lipschitz_bound
    # The derivative along the best direction, by the power iteration, is not far below.
    V = step
    for _ in range(50):
        V = potentials.derivative(X, V / np.linalg.norm(V, axis=1, keepdims=True))
    assert potentials.lipschitz_bound / 10 < np.linalg.norm(V, axis=1).max() <= potentials.lipschitz_bound
    # That of wide rows has no matrix of all columns.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_of_potentials, "MAX_MATRIX_FEATURES", 1)
        assert potentials.lipschitz_bound >= stretches.max()


def test_a_gaussian_map_as_the_gradient_of_a_potential(samples):
    gaussian = sample_gaussian_map(*map(Sample.of, samples))
    potentials = Potentials.gaussian(gaussian)
    X, Y = samples
    np.testing.assert_allclose(potentials.transport(X), gaussian.transport(X))
    np.testing.assert_allclose(potentials.potential(X), gaussian.potential(X), atol=1e-9)
    assert potentials.lipschitz_bound == pytest.approx(np.linalg.eigvalsh(gaussian.linear)[-1])
    assert potentials.inverse(potentials.transport(X)).solved.all()
    assert potentials.dual_value(X, Y) <= wasserstein_distance(X, Y) ** 2 / 2 + 1e-9

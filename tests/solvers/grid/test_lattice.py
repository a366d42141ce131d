"""Regular grids: masses and fields belong together, linear fields are exact, the number of cells is bounded."""

import numpy as np
import pytest

from sklearn_ot.solvers.grid import Lattice

LOW, HIGH = np.array([-1.0, 2.0, 0.0]), np.array([3.0, 2.5, 1.0])


def grid(n_axes, n_cells=5000):
    return Lattice.over(LOW[:n_axes], HIGH[:n_axes], n_cells)


def rows(n_axes, n=200):
    return LOW[:n_axes] + (HIGH - LOW)[:n_axes] * np.random.RandomState(0).rand(n, n_axes)


def field(lattice, weights, constant):
    centres = [low + lattice.spacing * (np.arange(n) + 0.5) for low, n in zip(lattice.low, lattice.shape, strict=True)]
    return sum(w * c for w, c in zip(weights, np.meshgrid(*centres, indexing="ij"), strict=True)) + constant


@pytest.mark.parametrize("n_axes", [2, 3])
@pytest.mark.parametrize("n_cells", [200, 5000, 2**20])
def test_number_of_cells(n_axes, n_cells):
    lattice = grid(n_axes, n_cells)
    assert n_cells / 3 < lattice.n_cells <= n_cells
    # The centres of the outermost cells contain the box.
    ends = lattice.low + 0.5 * lattice.spacing, lattice.low + (np.array(lattice.shape) - 0.5) * lattice.spacing
    assert (ends[0] <= LOW[:n_axes] + 1e-12).all()
    assert (ends[1] >= HIGH[:n_axes] - 1e-12).all()


@pytest.mark.parametrize("n_axes", [2, 3])
def test_linear_fields_are_exact(n_axes):
    lattice, X, w = grid(n_axes), rows(n_axes), np.array([2.0, -3.0, 0.5])[:n_axes]
    np.testing.assert_allclose(lattice.at([field(lattice, w, 1.0)], X)[:, 0], X @ w + 1)
    coarse = Lattice.of_spacing(LOW[:n_axes], HIGH[:n_axes], 2.3 * lattice.spacing)
    fine = lattice.resampled(field(coarse, w, 1.0), coarse)
    # Between the outermost centres of the coarse cells.
    inner = (np.abs(X - (LOW + HIGH)[:n_axes] / 2) < 0.4 * (HIGH - LOW)[:n_axes]).all(axis=1)
    np.testing.assert_allclose(lattice.at([fine], X[inner])[:, 0], X[inner] @ w + 1)


@pytest.mark.parametrize("n_axes", [2, 3])
def test_mean_of_a_field_is_its_product_with_masses(n_axes):
    lattice, X, rng = grid(n_axes), rows(n_axes), np.random.RandomState(1)
    values, mass = rng.randn(*lattice.shape), rng.dirichlet(np.ones(len(X)))
    masses = lattice.masses(X, mass)
    assert masses.sum() == pytest.approx(1)
    assert np.sum(masses * values) == pytest.approx(mass @ lattice.at([values], X)[:, 0])
    # The centre of the mass stays where it is.
    w = np.eye(n_axes)[0]
    assert np.sum(masses * field(lattice, w, 0.0)) == pytest.approx(mass @ X[:, 0])


def test_rows_outside_have_the_value_of_the_nearest_place():
    lattice = grid(2)
    values = field(lattice, [1.0, 1.0], 0.0)
    inside, outside = np.array([[3.0, 2.2]]), np.array([[1e9, 2.2]])
    found = lattice.at([values], np.concatenate([inside, outside]))[:, 0]
    assert found[0] == pytest.approx(5.2)
    end = lattice.low[0] + (lattice.shape[0] - 0.5) * lattice.spacing
    assert found[1] == pytest.approx(end + 2.2)

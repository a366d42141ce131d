"""The flow along the rays of a potential on a grid: its speed, and the flow backwards."""

import numpy as np
import pytest

from sklearn_ot.solvers.grid import GridTransport, Lattice
from sklearn_ot.solvers.grid._flow import TIMES, flow, flow_back


@pytest.mark.parametrize("slope", [0.2, 1.0])
def test_the_speed_is_that_of_the_flux_and_not_of_the_potential(slope):
    """A flux of 2 cells' masses in unit time through cells of mass 1 moves rows by 2 cells, down the potential."""
    lattice = Lattice.of_spacing(np.zeros(2), np.ones(2), 0.05)
    ones = np.ones(lattice.shape, np.float32)
    values = slope * np.broadcast_to(np.arange(lattice.shape[0])[:, None] * lattice.spacing, lattice.shape)
    transport = GridTransport(lattice, values, speed=2 * ones, start=ones, end=ones)
    z = np.random.RandomState(0).uniform(0.3, 0.7, (20, 2))
    # Fields are in float32.
    np.testing.assert_allclose(transport.transport(z), z - [0.1, 0], atol=1e-5)
    np.testing.assert_allclose(transport.inverse(z), z + np.array([0.1, 0]), atol=1e-5)


def test_the_flow_backwards_undoes_each_step():
    """Midpoint steps backwards alone are no inverse: without the iterations the difference is 4e-4."""

    def velocity(z, t):
        return (1 + t) * np.column_stack([np.sin(3 * z[:, 1]), np.cos(2 * z[:, 0])])

    z = np.random.RandomState(0).uniform(-1, 1, (200, 2))
    assert np.abs(flow(velocity, z, TIMES) - z).max() > 1
    np.testing.assert_allclose(flow_back(velocity, flow(velocity, z, TIMES), TIMES), z, atol=1e-5)

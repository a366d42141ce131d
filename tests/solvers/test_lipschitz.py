"""Functions of slope 1 from values at rows."""

import numpy as np

from sklearn_ot.solvers.lipschitz import lipschitz_extension


def test_slope_and_values():
    rng = np.random.RandomState(0)
    a, X = rng.randn(100, 3), rng.randn(400, 3)
    gaps = np.linalg.norm(X[:, None] - X, axis=2)
    for values in (np.linalg.norm(a, axis=1), 50 * rng.randn(100)):
        found = lipschitz_extension(a, values, X)
        assert (np.abs(found[:, None] - found) <= gaps + 1e-9).all()
    values = 0.7 * a[:, 0]
    np.testing.assert_allclose(lipschitz_extension(a, values, a), values, atol=1e-12)

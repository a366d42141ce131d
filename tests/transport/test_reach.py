"""Rows that are far from those of the fit: a warning counts them and names their columns."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_ot.adaptation import LabelAwareTransport
from sklearn_ot.transport import GaussianTransport, LSOTTransport, SemiDiscreteTransport, W2Transport

NAMES = ["age", "size", "count"]


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    return rng.randn(200, 3), 2 * rng.randn(150, 3) + 1


def far(X, column, n_rows):
    X = X.copy()
    X[:n_rows, column] += 1000
    return X


def messages(function, *args):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("transport", [GaussianTransport(), W2Transport(max_iter=0), LSOTTransport(max_iter=0)])
def test_rows_far_from_those_of_the_fit_are_counted_and_their_columns_are_named(transport, samples):
    X, Y = (pd.DataFrame(rows, columns=NAMES) for rows in samples)
    transport.fit(X, Y)
    assert messages(transport.transform, X) == []
    moved = X.copy()
    moved.iloc[:7, 1] += 1000
    (message,) = messages(transport.transform, moved)
    assert message.startswith("7 of 200 rows of X are far")
    assert "column 'size'" in message
    assert messages(transport.interpolate, moved) == [message]


@pytest.mark.parametrize("transport", [GaussianTransport(), W2Transport(max_iter=0)])
def test_preimages_of_rows_that_vary_where_the_target_did_not(transport, samples):
    X, Y = samples
    Y[:, 2] = 5
    transport.fit(X, Y)
    assert messages(transport.inverse_transform, Y) == []
    # The images of the source vary there by next to nothing, and so lead back to the source.
    assert messages(transport.inverse_transform, transport.transform(X)) == []
    Y[:4, 2] = 6
    (message,) = messages(transport.inverse_transform, Y)
    assert message.startswith("4 of 150 preimages are far")
    assert "column 2" in message


def test_a_constant_column_has_no_range(samples):
    X, Y = samples
    X[:, 0], Y[:, 0] = 3, 3
    transport = GaussianTransport().fit(X, Y)
    assert messages(transport.transform, far(X, 0, 5)) == []


def test_the_image_of_a_semi_discrete_map_is_a_point(samples):
    X, Y = samples
    transport = SemiDiscreteTransport(tol=0.5, confidence=None, random_state=0).fit(X, Y[:10])
    assert messages(transport.transform, far(X, 0, 5)) == []


def test_only_the_transport_inside_warns(samples):
    X, Y = samples
    transport = LabelAwareTransport(GaussianTransport()).fit(X, X[:, 0] > 0, X_target=Y)
    assert messages(transport.transform, X) == []
    assert len(messages(transport.transform, far(X, 1, 5))) == 1


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e18), (np.float64, 1e150)])
def test_large_numbers_are_compared_without_overflow(dtype, size, samples):
    X, Y = ((size * rows).astype(dtype) for rows in samples)
    transport = GaussianTransport().fit(X, Y)
    assert messages(transport.transform, X) == []
    reach = transport._reach._replace(low=transport._reach.low.astype(dtype), high=np.full(3, np.finfo(dtype).max))
    assert messages(reach.warn, transport, X, "rows of X", "") == []

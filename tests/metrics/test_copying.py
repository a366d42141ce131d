import numpy as np
import pytest

from sklearn_ot.metrics import copying


@pytest.fixture
def rows():
    """Training rows, held-out rows and fresh rows of one distribution."""
    return np.random.RandomState(0).standard_normal((3, 400, 3))


def table(rng, n):
    """Columns with ties, and in units that differ by 1e6."""
    return np.column_stack([rng.poisson(2, n), rng.choice([0.0, 1.0], n, p=[0.92, 0.08]), 1e6 * rng.standard_normal(n)])


def test_fresh_rows_and_copies(rows):
    training, held_out, fresh = rows
    # 0.6 √(2/400) is the mean of the excess for fresh rows, and it is rarely more than twice as large.
    result = copying(fresh, training, held_out)
    assert result.nearer == pytest.approx(0.5, abs=0.08)
    assert result.copied < 1.2 * np.sqrt(2 / 400)
    result = copying(training, training, held_out)
    assert result[:2] == (1, 1)
    np.testing.assert_array_equal(result.distances, 0)
    # Farther away than data are the means of rows that a blurred image is, and rows beside the data.
    assert copying(held_out + 10, training, fresh).nearer == 0
    assert copying(held_out + 10, training, fresh).copied == 0


def test_a_few_copies_show_among_samples_that_are_far_away(rows):
    training, held_out, fresh = rows
    samples = np.vstack([training[:80], fresh[80:] + 5])
    result = copying(samples, training, held_out)
    assert result.nearer < 0.3
    assert result.copied == pytest.approx(0.2, abs=1e-12)


def test_ties_are_normal_in_discrete_data():
    rng = np.random.RandomState(0)
    training, held_out, fresh = (rng.poisson(2, (400, 2)) for _ in range(3))
    result = copying(fresh, training, held_out)
    assert np.mean(result.distances == 0) > 0.8
    assert result.nearer == pytest.approx(0.5, abs=0.03)
    assert result.copied < 0.05


def test_columns_count_in_their_own_units():
    rng = np.random.RandomState(0)
    training, held_out, fresh = (table(rng, 400) for _ in range(3))
    units = np.array([1e-3, 1e9, 7.0])
    result = copying(fresh, training, held_out)
    scaled = copying(units * fresh, units * training, units * held_out)
    np.testing.assert_allclose(scaled.distances, result.distances, rtol=1e-9)
    assert scaled[:2] == pytest.approx(result[:2])
    # Copies with another value in the small column are not seen in raw units, and are in others.
    noisy = training + np.array([1.0, 0, 0]) * rng.choice([-1, 1], (400, 1))
    assert copying(noisy, training, held_out, scale_columns=False).nearer > 0.95
    assert copying(noisy, training, held_out).nearer < 0.5
    # One wild cell does not decide about a column.
    training[0, 0] = 1e9
    assert copying(noisy, training, held_out).nearer < 0.5


def test_distances_without_scale_are_in_the_units_of_the_data(rows):
    training, held_out, _ = rows
    result = copying(training[:5] + np.array([3e-3, 4e-3, 0]), training, held_out, scale_columns=False)
    np.testing.assert_allclose(result.distances, 5e-3)
    expected = np.linalg.norm(held_out[:, None] - training, axis=2).min(axis=1)
    np.testing.assert_allclose(result.held_out_distances, expected)


def test_constant_columns_and_single_rows():
    result = copying([[1.0, 2.0], [1.0, 5.0]], [[1.0, 2.0]], [[1.0, 4.0]])
    assert result.distances.tolist() == [0, 3]
    assert result[:2] == (0.5, 0.5)


@pytest.mark.parametrize(
    ("samples", "held_out", "message"),
    [
        (np.ones((3, 3)), np.ones((3, 2)), "samples has 3 columns, but training has 2"),
        (np.ones((3, 2)), np.ones((3, 1)), "held_out has 1 columns, but training has 2"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "samples contains NaN"),
        (np.ones((3, 2)), np.ones((0, 2)), "0 sample"),
    ],
)
def test_unusable_rows_are_refused(samples, held_out, message):
    with pytest.raises(ValueError, match=message):
        copying(samples, np.ones((4, 2)), held_out)

"""`sample_quality` of rows with ties: categories, counts, saturated pixels, copies."""

import numpy as np
import pytest

from sklearn_ot.metrics import sample_quality


def categories(rng, n):
    return np.eye(5)[rng.choice(5, n, p=[0.4, 0.3, 0.2, 0.07, 0.03])]


def counts(rng, n):
    return rng.poisson([1.0, 3.0, 8.0], (n, 3)).astype(float)


def tenths(rng, n):
    """Differences of such numbers are not exact."""
    return rng.binomial(20, 0.5, (n, 2)) / 10


def pixels(rng, n):
    """Most are 0 or 1."""
    return np.clip(rng.normal(0.5, 3, (n, 4)), 0, 1).round(1)


def one_value(rng, n):
    return np.full((n, 2), 0.3)


def mostly_zero(rng, n):
    return np.where(rng.uniform(size=(n, 2)) < 0.92, 0, rng.exponential(size=(n, 2)))


def normal(rng, n):
    return rng.standard_normal((n, 3))


DISCRETE = [categories, counts, tenths, pixels, one_value, mostly_zero]
ANY_K = pytest.mark.parametrize("k", [1, 3, 5, 10])


@pytest.mark.parametrize("data", [*DISCRETE, normal])
@ANY_K
def test_a_copy_is_perfect(data, k):
    Y = data(np.random.RandomState(0), 300)
    for X in (Y, Y[::-1], np.repeat(Y, 2, axis=0)):
        assert sample_quality(X, Y, n_neighbors=k) == (1, 1, 1, 1)


@pytest.mark.parametrize("data", DISCRETE)
@ANY_K
def test_two_samples_of_one_discrete_distribution_are_about_perfect(data, k):
    pairs = [data(np.random.RandomState(seed), 2 * 200).reshape(2, 200, -1) for seed in range(10)]
    precision, recall, density, coverage = np.mean([sample_quality(*pair, n_neighbors=k) for pair in pairs], axis=0)
    # The mean density is 1, but for a bias of the estimated share of copies of about 0.01.
    assert density == pytest.approx(1, abs=0.05)
    assert min(precision, recall) > 0.9 - 0.3 * (k == 1)
    # As with continuous rows, a ball holds none of the rows with a probability of at most 2⁻ᵏ.
    assert coverage > 1 - 2.0**-k


@ANY_K
def test_rows_beside_discrete_data_are_not_counted(k):
    rng = np.random.RandomState(0)
    Y = counts(rng, 300)
    assert sample_quality(Y + 100, Y, n_neighbors=k) == (0, 0, 0, 0)
    # A collapsed sample covers only the rows that are equal to it.
    collapsed = sample_quality(np.tile(Y[:1], (300, 1)), Y, n_neighbors=k)
    assert collapsed.precision == 1
    assert collapsed.recall == np.mean([np.array_equal(row, Y[0]) for row in Y])


def test_integer_weights_repeat_rows():
    rng = np.random.RandomState(0)
    for data in (counts, normal):
        X, Y = data(rng, 60), data(rng, 50)
        weights = rng.randint(4, size=60), rng.randint(4, size=50)
        repeated = (np.repeat(rows, weight, axis=0) for rows, weight in zip((X, Y), weights, strict=True))
        weighted = sample_quality(X, Y, n_neighbors=3, sample_weight=weights[0], target_weight=weights[1])
        assert weighted == pytest.approx(sample_quality(*repeated, n_neighbors=3), rel=1e-12)
        # Equal weights are numbers of rows as well.
        twice = sample_quality(X, Y, n_neighbors=3, sample_weight=np.full(60, 2), target_weight=np.full(50, 2))
        assert twice == pytest.approx(sample_quality(np.tile(X, (2, 1)), np.tile(Y, (2, 1)), n_neighbors=3), rel=1e-12)


def test_weights_can_leave_too_few_rows():
    X, weight = np.arange(5.0)[:, None], [1, 1e-12, 1e-12, 1e-12, 0.3]
    with pytest.raises(ValueError, match=r"Y 1.55.* more than n_neighbors=1"):
        sample_quality(X, X, n_neighbors=1, target_weight=weight)
    assert sample_quality(X, X, n_neighbors=1, target_weight=[1, 1e-12, 0, 0, 1]).precision > 0


def test_the_density_of_a_sample_that_is_a_copy_in_part_does_not_depend_on_its_size():
    rng = np.random.RandomState(0)
    Y = rng.randn(60, 2)
    X = np.vstack([Y[:30], rng.randn(30, 2)])
    once, twice = (sample_quality(rows, Y, n_neighbors=3).density for rows in (X, np.repeat(X, 2, axis=0)))
    assert twice == pytest.approx(once, abs=1e-9)


def test_values_that_occur_often_do_not_make_other_rows_copies():
    """Without copies of rare values the density is a mean over the rows of the sample."""
    rng = np.random.RandomState(0)
    Y, *parts = (np.concatenate([np.zeros(n), rng.uniform(1, 2, 20)])[:, None] for n in (50, 60, 30))
    union, *densities = (sample_quality(X, Y, n_neighbors=2).density for X in (np.vstack(parts), *parts))
    assert union == pytest.approx(np.average(densities, weights=[80, 50]), abs=1e-9)

"""Samples with weights: their size, equally weighted rows, and equal rows as one."""

import numpy as np
import pytest

from sklearn_ot.solvers.samples import Sample

X = np.random.RandomState(0).randn(12, 3)


def test_rows_without_weight_are_left_out():
    sample = Sample.of(X, [0, 1, 2, 0] * 3)
    assert np.array_equal(sample.rows, X[np.tile([False, True, True, False], 3)])
    np.testing.assert_allclose(sample.weight, np.tile([1, 2], 3) / 9)


@pytest.mark.parametrize(
    ("weight", "size"),
    [
        (None, 12),
        (0.3, 12),
        (np.full(12, 3), 36),  # counts of rows
        (np.arange(12), 66),
        (np.arange(12) / 10, 66**2 / 506),  # Kish: the square of the sum, divided by the sum of the squares
        (np.full(12, 1e300), 12),
    ],
)
def test_the_size_counts_independent_rows(weight, size):
    sample = Sample.of(X, weight)
    assert sample.size == pytest.approx(size)
    assert sample.mass.sum() == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integer_weights_are_repeated_rows_bit_for_bit_in_any_order(dtype):
    rng = np.random.RandomState(1)
    rows, weight = X.astype(dtype), rng.randint(0, 6, 12)
    order = rng.permutation(12)
    weighted = Sample.of(rows[order], weight[order]).merged()
    repeated = Sample.of(rng.permutation(rows.repeat(weight, axis=0))).merged()
    assert weighted.size == repeated.size == weight.sum()
    assert np.array_equal(weighted.rows, repeated.rows)
    assert np.array_equal(weighted.weight, repeated.weight)
    assert weighted.rows.dtype == dtype


def test_merged_rows_are_the_distinct_ones_with_their_shares():
    rows = np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    merged = Sample.of(rows).merged()
    shares = dict(zip(map(tuple, merged.rows.tolist()), merged.weight, strict=True))
    assert shares == {(0.0, 1.0): 0.75, (2.0, 1.0): 0.25}
    assert Sample.of(X).merged().weight is None


def test_each_merged_row_has_the_index_of_the_first_row_that_is_equal():
    rows = np.random.RandomState(4).randint(-1, 2, (60, 3)) * -0.5
    sample = Sample.of(rows, np.random.RandomState(5).randint(0, 3, 60))
    index = sample.merged_index()
    np.testing.assert_array_equal(sample.rows[index], sample.merged().rows)
    is_equal = (sample.rows == sample.merged().rows[:, None]).all(axis=2)
    np.testing.assert_array_equal(index, is_equal.argmax(axis=1))


def test_merged_rows_are_sorted_in_any_units():
    """By all columns, also if many rows have equal numbers in the first ones."""
    rows = np.random.RandomState(3).randint(-2, 3, (300, 4)).astype(float)
    merged = Sample.of(rows).merged()
    np.testing.assert_array_equal(merged.rows, np.unique(rows, axis=0))
    np.testing.assert_array_equal(Sample.of(1000 * rows + 7).merged().rows, 1000 * merged.rows + 7)


def test_drawn_rows_have_the_distribution_of_the_sample():
    weight = np.random.RandomState(2).rand(12)
    sample = Sample.of(X, weight)
    drawn = sample.draw(1000, np.random.RandomState(0))
    counts = (drawn[:, None] == X).all(axis=2).sum(axis=0)
    # Each count is the expected one, rounded up or down.
    assert np.abs(counts - 1000 * weight / weight.sum()).max() < 1
    assert np.array_equal(np.sort(Sample.of(X).draw(12, np.random.RandomState(0)), axis=0), np.sort(X, axis=0))


def test_halves_divide_counts_and_rows():
    rng = np.random.RandomState(0)
    X = np.arange(5.0)[:, None]
    first, second = Sample.of(X, [100, 1, 0, 7, 92]).halves(rng)
    counts = [dict(zip(part.rows[:, 0], part.count, strict=True)) for part in (first, second)]
    assert {x: counts[0].get(x, 0) + counts[1].get(x, 0) for x in (0, 1, 3, 4)} == {0: 100, 1: 1, 3: 7, 4: 92}
    assert first.size == second.size == 100
    # The share of a row in a half is that of the sample, up to the deviation of a draw.
    assert abs(counts[0][0] - 50) < 20
    rows, mass = first.some(60, rng)
    assert rows.shape == (60, 1)
    np.testing.assert_allclose(mass, 1 / 60)
    assert set(rows[:, 0]) <= set(first.rows[:, 0])
    # No row is drawn more often than there are.
    np.testing.assert_array_equal(
        np.sort(first.some(1000, rng)[0], axis=0), first.rows.repeat(first.count.astype(int), axis=0)
    )
    weight = rng.rand(40) + 0.5
    first, second = Sample.of(np.arange(40.0)[:, None], weight).halves(rng)
    assert sorted([*first.rows[:, 0], *second.rows[:, 0]]) == list(range(40))
    np.testing.assert_allclose(
        first.mass, weight[first.rows[:, 0].astype(int)] / weight[first.rows[:, 0].astype(int)].sum()
    )

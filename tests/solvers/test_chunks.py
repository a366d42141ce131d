"""Rows in chunks."""

import numpy as np
import pytest

from sklearn_ot.solvers import chunks
from sklearn_ot.solvers.chunks import in_chunks


@pytest.mark.parametrize("shape", [(10,), (10, 2)])
def test_in_chunks_is_the_function(shape, monkeypatch):
    x, y = np.random.RandomState(0).rand(2, *shape).astype(np.float32)
    sizes = []

    def add(x, y):
        sizes.append(len(x))
        return x + y

    monkeypatch.setattr(chunks, "CHUNK_ROWS", 4)
    result = in_chunks(add, x, y)
    assert sizes == [4, 4, 2]
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, x + y)


def test_chunks_are_smaller_if_a_row_needs_many_numbers(monkeypatch):
    x, sizes = np.random.RandomState(0).rand(10, 2), []
    monkeypatch.setattr(chunks, "CHUNK_NUMBERS", 12)
    for row_numbers in (1, 4):
        result = in_chunks(lambda x: sizes.append(len(x)) or -x, x, row_numbers=row_numbers)
        np.testing.assert_array_equal(result, -x)
    assert sizes == [6, 4, 3, 3, 3, 1]


def test_without_rows_the_result_has_the_shape_and_the_dtype_of_the_function():
    result = in_chunks(lambda x, y: (x @ y.T).astype(np.float32), np.ones((0, 3)), np.ones((5, 3)))
    assert result.shape == (0, 5)
    assert result.dtype == np.float32


def test_the_layout_of_rows_changes_no_bit():
    rows, matrix = np.random.RandomState(0).standard_normal((3, 40)), np.random.RandomState(1).standard_normal((40, 5))
    orders = []
    for layout in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2]):
        in_chunks(lambda x: orders.append(x.flags.c_contiguous) or x @ matrix, layout)
    assert orders == [True] * 3

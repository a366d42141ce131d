"""Evaluation of functions of many rows, in chunks of rows."""

import numpy as np

# Number of rows that are evaluated together: enough to keep a processor busy, few enough for its memory.
CHUNK_ROWS = 8192
# Largest number of numbers that are evaluated together: 32 MiB of float64. Wide rows are fewer.
CHUNK_NUMBERS = 2**22


def in_chunks(function, *arrays, row_numbers=1):
    """Evaluate a function of rows in chunks, so that only the memory of the result grows with the number of rows.

    Chunks are smaller if the evaluation of a row makes arrays of ``row_numbers`` numbers, more than the row has itself.
    """
    result, n_rows = None, len(arrays[0])
    widest = max(row_numbers, *(array[0].size if n_rows else 1 for array in arrays))
    size = max(1, min(CHUNK_ROWS, CHUNK_NUMBERS // max(1, widest)))
    # Without rows there is one chunk, which is empty, for the shape and the dtype of the result.
    for start in range(0, max(n_rows, 1), size):
        rows = slice(start, start + size)
        # By rows, because products of matrices in another layout are rounded in another way.
        chunk = function(*(np.ascontiguousarray(array[rows]) for array in arrays))
        if result is None:
            result = np.empty((n_rows, *chunk.shape[1:]), chunk.dtype)
        result[rows] = chunk
    return result

"""Functions of many rows, evaluated on some of them at a time."""

import numpy as np
from sklearn.utils import gen_batches

# Rows that are evaluated together: enough to keep a processor busy, few enough for its memory.
CHUNK_ROWS = 8192


def in_chunks(function, *arrays):
    """A function of rows, on a chunk of them at a time: beyond its result, memory does not grow with their number."""
    result = None
    for rows in gen_batches(len(arrays[0]), CHUNK_ROWS):
        chunk = function(*(array[rows] for array in arrays))
        if result is None:
            result = np.empty((len(arrays[0]), *chunk.shape[1:]), chunk.dtype)
        result[rows] = chunk
    return result

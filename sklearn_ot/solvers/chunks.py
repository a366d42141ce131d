"""Evaluation of functions of many rows, in chunks of rows."""

import numpy as np
from sklearn.utils import gen_batches

# Number of rows that are evaluated together: enough to keep a processor busy, few enough for its memory.
CHUNK_ROWS = 8192


def in_chunks(function, *arrays):
    """Evaluate a function of rows in chunks, so that only the memory of the result grows with the number of rows."""
    result = None
    for rows in gen_batches(len(arrays[0]), CHUNK_ROWS):
        chunk = function(*(array[rows] for array in arrays))
        if result is None:
            result = np.empty((len(arrays[0]), *chunk.shape[1:]), chunk.dtype)
        result[rows] = chunk
    return result


def mean_square(X, centre=0.0):
    """Mean squared distance of rows from a centre, in float64."""
    return np.mean(in_chunks(lambda rows: np.sum(np.square(rows - centre, dtype=np.float64), axis=1), X))

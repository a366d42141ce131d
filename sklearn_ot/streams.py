"""Rows that do not fit into memory: memory maps and dask arrays."""

import mmap
import warnings
from functools import wraps

import numpy as np

# Numbers that are read or written together: 16 MiB of float32.
BLOCK_NUMBERS = 2**22
# Begin of the names of the folders through which joblib shares arrays with the processes of its workers.
SHARED = "joblib_memmapping_folder_"


def map_rows(function, X, out, *, block_rows=None):
    """Evaluate a function of rows block by block, and write the results into an array.

    Of memory maps, only one block is in memory at a time.

    Parameters
    ----------
    function : callable
        A function of rows, such as the method ``transform`` or ``inverse_transform`` of a transport, or ``predict`` of
        a `~sklearn_ot.adaptation.DomainAdapter`. It returns one row or one number for each row.
    X : array of shape (n_samples, n_features)
        The rows; anything that gives an array for a slice of rows, such as a `numpy.memmap`.
    out : array of shape (n_samples, ...)
        The results; anything that takes an array for a slice of rows. A file of NumPy's format is
        ``numpy.lib.format.open_memmap("images.npy", "w+", dtype=..., shape=...)``.
    block_rows : int, default=None
        Number of rows of a block; if None, as many as have four million numbers, and at least one.

    Returns
    -------
    out : array
        The argument.

    Raises
    ------
    ValueError
        If ``out`` has not one entry for each row, the results have another shape than its rows, or their dtype would
        lose more than precision. Blocks before the one with the error have been written.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.streams import map_rows
    >>> from sklearn_ot.transport import GaussianTransport
    >>> X = np.random.RandomState(0).standard_normal((1000, 3))
    >>> transport = GaussianTransport().fit(X, 2 * X + 1)
    >>> images = map_rows(transport.transform, X, np.empty((1000, 3), np.float32), block_rows=100)
    >>> np.allclose(images, 2 * X + 1, atol=1e-5)
    True
    """
    if len(out) != len(X):
        raise ValueError(f"out has {len(out)} rows, but X has {len(X)}: give one for each row of X.")
    size = block_rows or max(1, BLOCK_NUMBERS // row_numbers(X))
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        result = np.asarray(function(np.ascontiguousarray(X[rows])))
        shape = (len(result), *out.shape[1:])
        if result.shape != shape or len(result) != len(X[rows]):
            raise ValueError(f"{len(X[rows])} rows have results of shape {result.shape}, but out takes {shape}.")
        if not np.can_cast(result.dtype, out.dtype, "same_kind"):
            raise ValueError(f"The results are {result.dtype}, which out cannot hold: it is {out.dtype}.")
        out[rows] = result
        release(X)
        release(out)
    return out


def memory_map(X):
    """The memory map that holds the numbers of an array, or None; also None for an array of another process."""
    while X is not None and not isinstance(X, np.memmap):
        X = getattr(X, "base", None)
    # The file of a worker is an array in memory for the user.
    return None if X is None or SHARED in str(X.filename) else X


def release(X):
    """Give the memory of a memory map back, which its file keeps."""
    held = memory_map(X)
    # The changes of a copy of a file ("c") are nowhere else. The system without this call gives memory back by itself.
    if held is None or held.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return
    while not isinstance(held, mmap.mmap):
        held = held.base
    held.madvise(mmap.MADV_DONTNEED)


def is_dask_array(X):
    """Whether X is a dask array, without an import of dask.

    Raises
    ------
    TypeError
        If it is a dask DataFrame.
    """
    if type(X).__module__.partition(".")[0] not in ("dask", "dask_expr"):
        return False
    if hasattr(X, "to_dask_array"):
        raise TypeError("A dask DataFrame is not read: give a dask array, X.to_dask_array(lengths=True).")
    return hasattr(X, "map_blocks")


def no_dask(what, **arguments):
    """Raise a TypeError if one of the arguments is a dask array, which ``what`` would read as a whole."""
    for name, value in arguments.items():
        if is_dask_array(value):
            raise TypeError(f"{what} takes no dask array as {name}: give rows of it, {name}[:100_000].compute().")


def is_streamed(*arrays):
    """Whether one of the arrays is a memory map or a dask array."""
    return any(is_dask_array(array) or memory_map(array) is not None for array in arrays)


def row_numbers(X):
    """The number of numbers of a row, at least 1."""
    return max(1, int(np.prod(X.shape[1:])))


def gathered(X, index):
    """Rows of a memory map in memory, with one block of the file in memory at a time."""
    rows = np.empty((len(index), *X.shape[1:]), X.dtype)
    size = max(1, BLOCK_NUMBERS // row_numbers(X))
    ends = np.searchsorted(index, np.arange(size, len(X) + size, size))
    for first, last in zip(np.concatenate([[0], ends[:-1]]), ends, strict=True):
        rows[first:last] = X[index[first:last]]
        release(X)
    return rows


def by_blocks(method):
    """Decorate a method of rows so that it is lazy for dask arrays, and evaluated block by block.

    The result is a dask array. It is that of the estimator as it is when the method is called, also if it is fitted
    again before the result is computed. A block has all columns of its rows.
    """

    @wraps(method)
    def run(self, X, **arguments):
        if not is_dask_array(X):
            return method(self, X, **arguments)
        if any(hasattr(value, "__len__") and not isinstance(value, str) for value in arguments.values()):
            raise TypeError(f"{method.__name__} of a dask array takes no arrays besides the rows: {list(arguments)}.")
        estimator = object.__new__(type(self))
        estimator.__dict__.update(self.__dict__)
        return _lazy(estimator, method.__name__, X, arguments)

    return run


def _lazy(estimator, name, X, arguments):
    from dask import delayed

    if X.ndim != 2:
        raise ValueError(f"Expected a dask array with 2 dimensions, got {X.ndim}: give one row for each sample.")
    # The shape and the dtype of the result, and the errors of an estimator that is not fitted or has other columns.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = getattr(estimator, name)(np.zeros((1, X.shape[1]), X.dtype), **arguments)
    if isinstance(example, tuple):
        raise TypeError(f"{name} of a dask array has one result: leave {list(arguments)} out.")
    example = np.asarray(example)[:0]
    X = X.rechunk({1: X.shape[1]})
    options = {"chunks": (X.chunks[0], *((n,) for n in example.shape[1:])), "dtype": example.dtype, "meta": example}
    if example.ndim == 1:
        options["drop_axis"] = 1
    # The estimator is one object of the graph, which is sent to a worker once.
    return X.map_blocks(_block, delayed(estimator), name, arguments, example, **options)


def _block(rows, estimator, name, arguments, empty):
    return np.asarray(getattr(estimator, name)(rows, **arguments)) if len(rows) else empty

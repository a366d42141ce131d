"""The rows that a fit reads of memory maps and dask arrays."""

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.random import sample_without_replacement

from sklearn_ot.base._fitting import warn_user
from sklearn_ot.streams import gathered, is_dask_array, is_streamed, row_numbers

# Largest number of numbers that a fit reads of a memory map or of a dask array: 128 MiB of float32. With 32 columns
# these are a million rows, whose means have an error of a thousandth of a standard deviation.
MAX_FIT_NUMBERS = 2**25


def rows_for_fit(rng, **arrays):
    """The rows that a fit reads, with their labels and weights.

    A memory map or a dask array of more than `MAX_FIT_NUMBERS` numbers is replaced by rows of it, which are drawn
    without replacement and kept in their order. A warning says how many.

    Parameters
    ----------
    rng : RandomState
        Draws the rows.
    **arrays : array-like
        The rows, under the name of the argument of the user, and then other arguments that have an entry for each row;
        these may be None or a number.

    Returns
    -------
    arrays : list
        The arguments, in memory; those that are no memory maps and no dask arrays as they are if all rows are read.

    Raises
    ------
    ValueError
        If a dask array has chunks of unknown length, or there is not one entry for each row.
    """
    name, X = next(iter(arrays.items()))
    if not is_streamed(*arrays.values()):
        return list(arrays.values())
    if is_dask_array(X) and np.isnan(X.shape).any():
        raise ValueError(f"{name} has chunks of unknown length: call {name}.compute_chunk_sizes() before.")
    n_kept = max(2, MAX_FIT_NUMBERS // row_numbers(X))
    if not is_streamed(X) or len(X) <= n_kept:
        return [array.compute() if is_dask_array(array) else array for array in arrays.values()]
    index = np.sort(sample_without_replacement(len(X), n_kept, random_state=rng))
    warn_user(
        f"{name} is {'a dask array' if is_dask_array(X) else 'a memory map'} of {len(X)} rows. fit reads {n_kept} of "
        f"them, drawn at random, as n_samples_seen_ says. Give an array in memory if it has to read all of them."
    )
    rows = X[index].compute() if is_dask_array(X) else gathered(X, index)
    return [rows, *(_entries(other, entries, len(X), index) for other, entries in list(arrays.items())[1:])]


def _entries(name, values, n_rows, index):
    """The entries of labels or weights with these numbers; None and a single number as they are."""
    if values is None or not hasattr(values, "__len__"):
        return values
    if len(values) != n_rows:
        raise ValueError(f"{name} has {len(values)} entries, but there are {n_rows} rows: give one for each row.")
    return values[index].compute() if is_dask_array(values) else _safe_indexing(values, index)

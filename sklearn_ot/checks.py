"""Checks of arguments that more than one part of the package takes."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array


def check_n_samples(n_samples):
    """Raise a ValueError unless ``n_samples`` is a number of rows that one can draw."""
    if not isinstance(n_samples, Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples must be an integer of 1 or more, got {n_samples!r}.")


def check_weight(weight, n_rows, name="sample_weight", sample="X"):
    """The weights of a sample as an array with sum 1.

    Parameters
    ----------
    weight : array-like of shape (n_rows,), float or None
        Weights of the rows, 0 or more; None and a number weigh all rows equally.
    n_rows : int
        Number of rows of the sample.
    name, sample : str, default="sample_weight" and "X"
        Names of the two arguments of the caller, for the messages.

    Returns
    -------
    weight : ndarray of shape (n_rows,)
        float64, with sum 1; some may be 0.

    Raises
    ------
    ValueError
        If there is not one weight for each row, a weight is negative or not finite, or all weights are 0.
    """
    if weight is None:
        return np.full(n_rows, 1 / n_rows)
    if isinstance(weight, Real):
        weight = np.full(n_rows, weight)
    weight = check_array(weight, dtype=np.float64, ensure_2d=False, input_name=name)
    if weight.shape != (n_rows,):
        raise ValueError(f"{name} has shape {weight.shape}, but {sample} has {n_rows} rows: give one weight per row.")
    if weight.min() < 0:
        raise ValueError(f"{name} has a negative weight ({weight.min():g}); weights must be 0 or more.")
    # The weights are divided by the largest first: the sum of huge weights would overflow, that of tiny ones vanish.
    largest = weight.max()
    if largest == 0:
        raise ValueError(f"{name} is zero on every row; at least one weight must be positive.")
    weight = weight / largest
    return weight / weight.sum()

"""Checks of arguments that more than one part of the package takes."""

import re
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array


def check_n_samples(n_samples):
    """Raise a ValueError unless ``n_samples`` is a number of rows that one can draw."""
    if not isinstance(n_samples, Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples must be an integer of 1 or more, got {n_samples!r}.")


def number_of_axes(array):
    """The number of axes of an array, of a list, or of an object that holds an array."""
    # np.ndim calls __array_function__, which some array-likes do not support.
    ndim = getattr(array, "ndim", None)
    return np.asarray(array).ndim if ndim is None else ndim


def picture_shape(shape, n_features):
    """The shape of a flattened picture, with the channels last.

    Parameters
    ----------
    shape : tuple of int or None
        ``image_shape`` of an estimator or a specification: (height, width, n_channels), or without the last number or
        the last two numbers, which are then 1. None is (n_features,).
    n_features : int
        Number of features of a row.

    Returns
    -------
    shape : tuple of int
        The same with three numbers, or (length, 1) for a single number.

    Raises
    ------
    ValueError
        If these are no lengths, or a row is no picture of this shape.
    """
    shape = (n_features,) if shape is None else shape
    is_whole = all(isinstance(length, Integral) and length > 0 for length in shape)
    if not (1 <= len(shape) <= 3 and is_whole):
        raise ValueError(
            f"image_shape={shape!r}: give (height, width, n_channels), (height, width) or (length,), with whole "
            "numbers above 0."
        )
    if np.prod(shape) != n_features:
        raise ValueError(f"A row of {n_features} features is not a picture of shape {shape}.")
    return shape if len(shape) == 3 else (*shape, 1)


@contextmanager
def errors_about(name):
    """Make every ValueError and TypeError of a block name an argument; not all errors of scikit-learn's checks do.

    Parameters
    ----------
    name : str
        The name of the argument.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        if re.search(rf"\b{name}\b", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} cannot be used: {error}") from error


def check_rows(rows, name, **options):
    """An argument as an array, by `sklearn.utils.check_array` with these options; every error names the argument."""
    with errors_about(name):
        return check_array(rows, input_name=name, **options)


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
    weight = check_rows(weight, name, dtype=np.float64, ensure_2d=False)
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

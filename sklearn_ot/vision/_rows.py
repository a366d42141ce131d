"""Pictures of one size as flat rows, and back."""

import math
from typing import NamedTuple

import numpy as np

from sklearn_ot.checks import number_of_axes, picture_shape
from sklearn_ot.vision._pictures import LEVELS, to_levels, to_unit

# Numbers of channels by which the axis of the channels is found.
CHANNELS = (1, 3)


class Layout(NamedTuple):
    """How pictures of one size are stored.

    Attributes
    ----------
    shape : tuple of int or None
        (height, width, n_channels); None for flat rows.
    dtype : np.dtype or None
        The dtype of the pictures; None for flat rows.
    axes : tuple of int
        For each axis of a picture as it is stored, its number in ``shape``.
    """

    shape: tuple[int, int, int] | None = None
    dtype: np.dtype | None = None
    axes: tuple[int, ...] = ()

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """Flat rows, with any number of axes before their columns, in this layout.

        Integers are clipped to their range and rounded.
        """
        if self.shape is None:
            return rows
        n_before = rows.ndim - 1
        pictures = rows.reshape(*rows.shape[:-1], *self.shape)
        if len(self.axes) < len(self.shape):
            pictures = pictures[..., 0]
        pictures = pictures.transpose(*range(n_before), *(n_before + axis for axis in self.axes))
        if self.dtype.kind == "u":
            pictures = to_levels(pictures.clip(0, 1), self.dtype)
        return np.ascontiguousarray(pictures)


def read_rows(X, image_shape: tuple[int, ...] | None, name: str):
    """Pictures as flat rows with the channels last, and their layout.

    Parameters
    ----------
    X : array-like
        Pictures of shape (n, height, width), (n, height, width, n_channels) or (n, n_channels, height, width), a list
        of pictures of one size, or flat rows of shape (n, n_features).
    image_shape : tuple of int or None
        The shape of a picture, with the channels last. If it is None, the axis of the channels of four axes is the one
        with 1 or 3 numbers.
    name : str
        The name of the argument, for the messages.

    Returns
    -------
    rows : array-like of shape (n, n_features)
        ``X`` itself if it is flat rows; else an array of floats. Integers are divided by the largest one of their
        dtype.
    layout : Layout
        The layout.

    Raises
    ------
    ValueError
        If ``X`` has another shape or dtype.
    """
    if isinstance(X, list | tuple) and len(X) and any(number_of_axes(picture) > 1 for picture in X):
        X = _stacked(X, name)
    if number_of_axes(X) <= 2:
        return X, Layout()
    X = np.asarray(X)
    if X.dtype.name not in LEVELS:
        raise ValueError(f"{name} has dtype {X.dtype}; pictures are uint8, uint16, float32 or float64.")
    layout = _layout(X, image_shape, name)
    pictures = to_unit(X)
    if X.dtype.kind == "u":
        pictures = pictures.astype(np.float32)
    if len(layout.axes) == 3:
        pictures = pictures.transpose(0, *(1 + np.argsort(layout.axes)))
    return pictures.reshape(len(X), -1), layout


def _stacked(pictures, name):
    pictures = [np.asarray(picture) for picture in pictures]
    if len({(picture.shape, picture.dtype) for picture in pictures}) > 1:
        raise ValueError(f"{name} has pictures of several sizes or dtypes: crop or resize them to one size.")
    return np.stack(pictures)


def _layout(X, image_shape, name):
    shape = X.shape[1:]
    if len(shape) == 2:
        expected = picture_shape(image_shape or shape, math.prod(shape))
        if expected != (*shape, 1):
            raise ValueError(f"{name} has pictures of shape {shape}, and image_shape={image_shape}.")
        return Layout(expected, X.dtype, (0, 1))
    if len(shape) != 3:
        raise ValueError(
            f"{name} has shape {X.shape}; pictures have shape (n, height, width), (n, height, width, n_channels) or "
            "(n, n_channels, height, width)."
        )
    first, last = (shape[1], shape[2], shape[0]), shape
    if image_shape is None:
        if last[-1] in CHANNELS:
            return Layout(last, X.dtype, (0, 1, 2))
        if first[-1] in CHANNELS:
            return Layout(first, X.dtype, (2, 0, 1))
        raise ValueError(
            f"{name} has shape {X.shape}, and no axis of 1 or 3 channels. Leave an alpha channel out, or give "
            "image_shape=(height, width, n_channels)."
        )
    expected = picture_shape(image_shape, math.prod(image_shape))
    for candidate, axes in ((last, (0, 1, 2)), (first, (2, 0, 1))):
        if candidate == expected:
            return Layout(candidate, X.dtype, axes)
    raise ValueError(f"{name} has pictures of shape {shape}, and image_shape={image_shape}.")

"""Pictures as arrays: which ones can be used, and their colours between 0 and 1."""

from typing import NamedTuple

import numpy as np

# Number of levels above black, by the dtype of a picture.
LEVELS = {"uint8": 255, "uint16": 65535, "float32": 1, "float64": 1}
MODES = {"L", "LA", "RGB", "RGBA", "I;16"}
# Number of pixels that are worked on together, so that only the memory of the result grows with a picture.
BLOCK_PIXELS = 2**16


class Picture(NamedTuple):
    """The parts of a picture; both arrays are views of it.

    Attributes
    ----------
    colors : ndarray of shape (height, width, 1) or (height, width, 3)
        Grey or RGB.
    alpha : ndarray of shape (height, width) or None
        The alpha channel.
    """

    colors: np.ndarray
    alpha: np.ndarray | None

    @classmethod
    def of(cls, array: np.ndarray) -> "Picture":
        """The parts of an array that `check_picture` has accepted."""
        if array.ndim == 2:
            return cls(array[..., None], None)
        n_colors = array.shape[2] - (array.shape[2] in (2, 4))
        return cls(array[..., :n_colors], array[..., n_colors] if array.shape[2] > n_colors else None)


def check_picture(picture, name: str) -> np.ndarray:
    """A picture as an array, or a ValueError that names the argument.

    Parameters
    ----------
    picture : array-like of shape (height, width) or (height, width, n_channels)
        Grey, grey with alpha, RGB or RGB with alpha; uint8, uint16, or float32 or float64 between 0 and 1.
    name : str
        The name of the argument, for the message.

    Returns
    -------
    picture : ndarray
        The same numbers.
    """
    mode = getattr(picture, "mode", "RGB")
    if mode not in MODES:
        raise ValueError(f"{name} is a picture in mode {mode!r}: use {name}.convert('RGB').")
    picture = np.asarray(picture)
    if picture.dtype.name not in LEVELS:
        raise ValueError(
            f"{name} has dtype {picture.dtype}; a picture is uint8, uint16, or float32 or float64 with values from 0 "
            "to 1."
        )
    if picture.ndim == 4:
        raise ValueError(f"{name} has shape {picture.shape}: give several pictures as a list.")
    if picture.ndim == 3 and picture.shape[0] in (1, 3, 4) and picture.shape[2] > 4:
        raise ValueError(
            f"{name} has shape {picture.shape}, with the channels first: use numpy.moveaxis({name}, 0, -1)."
        )
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 2, 3, 4)):
        raise ValueError(
            f"{name} has shape {picture.shape}; a picture has shape (height, width) or (height, width, n_channels), "
            "with 1 to 4 channels: grey, grey and alpha, RGB, or RGB and alpha."
        )
    if picture.size == 0:
        raise ValueError(f"{name} has shape {picture.shape}: it has no pixels.")
    if picture.dtype.kind == "f":
        _check_range(picture, name)
    return picture


def _check_range(picture, name):
    # Two numbers without an array of the size of the picture; both are NaN if a value is.
    if picture.min() >= 0 and picture.max() <= 1:
        return
    bad = np.isnan(picture)
    kind = "NaN" if bad.any() else "outside 0 to 1"
    if kind != "NaN":
        bad = (picture < 0) | (picture > 1)
    position = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
    advice = "" if kind == "NaN" else " Divide by the value of white, or clip."
    raise ValueError(
        f"{name} has {np.count_nonzero(bad)} values that are {kind}, the first at {position}: "
        f"{picture[position]:g}.{advice}"
    )


def check_pictures(pictures, name: str) -> list[np.ndarray]:
    """One picture or a list of pictures, as a list of arrays that are all grey or all colour."""
    if not isinstance(pictures, list | tuple):
        return [check_picture(pictures, name)]
    if not pictures:
        raise ValueError(f"{name} is an empty list: give at least one picture.")
    checked = [check_picture(picture, f"{name}[{i}]") for i, picture in enumerate(pictures)]
    if len({n_colors_of(picture) for picture in checked}) > 1:
        raise ValueError(f"{name} has grey and colour pictures: give pictures of one kind.")
    return checked


def n_colors_of(picture: np.ndarray) -> int:
    """Number of colour channels of a picture, 1 or 3."""
    return Picture.of(picture).colors.shape[2]


def kind_of(n_colors: int) -> str:
    """The word for pictures with this number of colour channels."""
    return "grey" if n_colors == 1 else "colour"


def to_unit(colors: np.ndarray) -> np.ndarray:
    """Levels of any dtype as colours between 0 and 1; float64, or float32 for float32."""
    if colors.dtype.kind == "f":
        return colors
    return colors / LEVELS[colors.dtype.name]


def to_levels(colors: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Colours between 0 and 1 as levels of a dtype, rounded to the nearest."""
    if np.dtype(dtype).kind == "f":
        return colors.astype(dtype, copy=False)
    return (colors * LEVELS[np.dtype(dtype).name] + 0.5).astype(dtype)


def blocks_of(picture: np.ndarray):
    """Slices of the rows of a picture, with about ``BLOCK_PIXELS`` pixels each."""
    height, width = picture.shape[:2]
    n_rows = max(1, BLOCK_PIXELS // width)
    return [slice(start, start + n_rows) for start in range(0, height, n_rows)]

"""A sample of the colours of pictures: even over the picture and over the colours."""

from typing import NamedTuple

import numpy as np

from sklearn_ot.vision._pictures import LEVELS, Picture, to_unit

# Number of pixels, even over the pictures, for each pixel of the sample.
N_CANDIDATES = 8
# Number of bits of a channel by which colours are ordered.
ORDER_BITS = 8


class ColorSample(NamedTuple):
    """Colours of pixels.

    Attributes
    ----------
    colors : ndarray of shape (n_pixels, n_colors)
        Colours between 0 and 1, in float64, with the noise of one step of quantisation.
    ends : ndarray of shape (2,)
        Shares of the pixels that are exactly black and exactly white.
    """

    colors: np.ndarray
    ends: np.ndarray


def draw_colors(
    pictures: list[np.ndarray], masks: list, n_pixels: int, rng: np.random.RandomState, name: str
) -> ColorSample:
    """Draw colours of pictures; every pixel that is in the mask and not fully transparent has the same chance.

    The candidates are one pixel of each of many equal stretches of the rows of the pictures. They are ordered along a
    space-filling curve through the colours (Morton's), and the sample is one of each of many equal stretches of that
    order. So the sample is even over the pictures and over the colours.

    Parameters
    ----------
    pictures : list of ndarray
        Pictures, see `sklearn_ot.vision._pictures.check_pictures`.
    masks : list of (ndarray of shape (height, width) or None)
        Where the pixels count, for each picture.
    n_pixels : int
        Number of pixels; all pixels if the pictures have fewer.
    rng : RandomState
        Draws them.
    name : str
        The name of the argument, for the message.

    Returns
    -------
    sample : ColorSample
        The sample.

    Raises
    ------
    ValueError
        If no pixel is left, or if all have one colour.
    """
    places = [_counted(picture, mask) for picture, mask in zip(pictures, masks, strict=True)]
    ends = np.cumsum([place.size if isinstance(place, np.ndarray) else place for place in places])
    if ends[-1] == 0:
        raise ValueError(f"{name} has no pixel that is in its mask and not transparent.")
    chosen = one_of_each_stretch(ends[-1], min(N_CANDIDATES * n_pixels, ends[-1]), rng)
    parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
    colors, noise = [], []
    for picture, place, part, start in zip(pictures, places, parts, [0, *ends[:-1]], strict=True):
        pixels = place[part - start] if isinstance(place, np.ndarray) else part - start
        drawn = Picture.of(picture).colors[np.unravel_index(pixels, picture.shape[:2])]
        colors.append(to_unit(drawn).astype(np.float64, copy=False))
        step = 0 if drawn.dtype.kind == "f" else 1 / LEVELS[drawn.dtype.name]
        noise.append(step * rng.uniform(-0.5, 0.5, drawn.shape))
    colors, noise = np.concatenate(colors), np.concatenate(noise)
    if np.all(colors == colors[0]):
        raise ValueError(f"All pixels of {name} have one colour; a map of colours needs two or more.")
    ends = np.array([np.mean(np.all(colors == end, axis=1)) for end in (0, 1)])
    if len(colors) > n_pixels:
        order = np.argsort(_curve(colors), kind="stable")
        drawn = order[one_of_each_stretch(len(colors), n_pixels, rng)]
        colors, noise = colors[drawn], noise[drawn]
    return ColorSample(colors + noise, ends)


def one_of_each_stretch(n: int, n_stretches: int, rng: np.random.RandomState) -> np.ndarray:
    """Sorted numbers below ``n``, one at random of each of ``n_stretches`` equal stretches."""
    return ((np.arange(n_stretches) + rng.uniform(size=n_stretches)) * (n / n_stretches)).astype(np.int64)


def _counted(picture, mask):
    """Positions of the pixels that count, in the flattened picture; only their number if all do."""
    alpha = Picture.of(picture).alpha
    if mask is None and alpha is None:
        return picture.shape[0] * picture.shape[1]
    is_counted = np.ones(picture.shape[:2], dtype=bool) if mask is None else mask
    return np.flatnonzero(is_counted if alpha is None else is_counted & (alpha > 0))


def _curve(colors):
    """Positions of colours along Morton's curve, which interleaves the bits of the channels."""
    whole = np.minimum(colors * 2**ORDER_BITS, 2**ORDER_BITS - 1).astype(np.uint32)
    position = np.zeros(len(colors), dtype=np.uint32)
    for bit in range(ORDER_BITS):
        for channel in range(colors.shape[1]):
            position |= ((whole[:, channel] >> bit) & 1) << (colors.shape[1] * bit + channel)
    return position

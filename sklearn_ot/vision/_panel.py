"""A panel that shows a transfer: the pictures, their palettes, and a part at full size."""

import numpy as np

from sklearn_ot.vision._pictures import BLOCK_PIXELS, Picture, to_levels, to_unit

HEIGHT, GAP, N_PALETTE = 480, 8, 64


def panel(source: np.ndarray, target: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Source, target and result with their palettes, and below a part of source and result at full size.

    Parameters
    ----------
    source, target, result : ndarray
        Pictures that `sklearn_ot.vision._pictures.check_picture` has accepted.

    Returns
    -------
    panel : ndarray of shape (height, width, 3)
        RGB, uint8.
    """
    pictures = [as_rgb(picture) for picture in (source, target, result)]
    top = beside([np.vstack([resized(picture), palette(picture)]) for picture in pictures])
    width = (top.shape[1] - GAP) // 2
    bottom = beside([middle(picture, HEIGHT, width) for picture in (pictures[0], pictures[2])])
    white = np.full((HEIGHT + GAP, top.shape[1], 3), 255, np.uint8)
    white[GAP : GAP + bottom.shape[0], : bottom.shape[1]] = bottom
    return np.vstack([top, white])


def as_rgb(picture):
    """A picture of any kind in RGB with 8 bits."""
    colors = to_levels(to_unit(Picture.of(picture).colors), np.uint8)
    return np.broadcast_to(colors, (*colors.shape[:2], 3))


def resized(picture):
    """A picture in the height of the panel."""
    from PIL import Image

    width = max(1, round(picture.shape[1] * HEIGHT / picture.shape[0]))
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, HEIGHT)))


def palette(picture):
    """A strip of colours: pixels in the order of their brightness, as many as they have in the picture."""
    step = max(1, picture.shape[0] * picture.shape[1] // BLOCK_PIXELS)
    pixels = picture.reshape(-1, 3)[::step]
    ordered = pixels[np.argsort(pixels.sum(axis=1, dtype=np.int64), kind="stable")]
    chosen = ordered[((np.arange(N_PALETTE) + 0.5) * len(ordered) / N_PALETTE).astype(int)]
    width = max(1, round(picture.shape[1] * HEIGHT / picture.shape[0]))
    strip = chosen[np.arange(width) * N_PALETTE // width]
    return np.repeat(strip[None], HEIGHT // 10, axis=0)


def middle(picture, height, width):
    """The middle of a picture at full size."""
    top, left = (max(0, (size - wanted) // 2) for size, wanted in zip(picture.shape, (height, width), strict=False))
    return picture[top : top + height, left : left + width]


def beside(pictures):
    """Pictures of one height beside each other, with gaps."""
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.hstack([part for picture in pictures for part in (gap, picture)][1:])

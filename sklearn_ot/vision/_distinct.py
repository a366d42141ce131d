"""The distinct colours of a picture with 8 bits, and the gathering of their images."""

import numpy as np

from sklearn_ot.vision._pictures import blocks_of


class DistinctColors:
    """The distinct colours of a picture.

    A photograph with millions of pixels has few hundreds of thousands of them, so a function of colours is computed for
    these, and gathered. The memory does not depend on the number of pixels.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, n_colors)
        uint8, with 1 or 3 channels.

    Attributes
    ----------
    colors : ndarray of shape (n_distinct, n_colors)
        The colours, in ascending order; uint8.
    """

    def __init__(self, pixels: np.ndarray):
        n_colors = pixels.shape[2]
        is_present = np.zeros(256**n_colors, dtype=bool)
        for rows in blocks_of(pixels):
            is_present[_codes(pixels[rows])] = True
        codes = np.flatnonzero(is_present)
        self.colors = np.stack([codes >> 8 * k & 255 for k in reversed(range(n_colors))], axis=1).astype(np.uint8)
        self._places = np.zeros(256**n_colors, dtype=np.int32)
        self._places[codes] = np.arange(len(codes), dtype=np.int32)

    def gather(self, values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """The values of the pixels, of shape (height, width, n), given those of `colors`, of shape (n_distinct, n)."""
        places = np.take(self._places, _codes(pixels))
        gathered = np.empty((*places.shape, values.shape[1]), values.dtype)
        # One channel at a time, which is faster than one row at a time.
        for channel, column in enumerate(np.ascontiguousarray(values.T)):
            gathered[..., channel] = np.take(column, places)
        return gathered


def _codes(pixels):
    """One integer for each colour of 8 bits."""
    if pixels.shape[2] == 1:
        return pixels[..., 0].astype(np.uint32)
    padded = np.zeros((*pixels.shape[:2], 4), np.uint8)
    padded[..., 2::-1] = pixels
    return padded.view("<u4")[..., 0]

"""The look of a result: how far colours go along their displacements, and the ranges that they stay in."""

from dataclasses import dataclass

import numpy as np

from sklearn_ot.vision._color_map import smooth_step

# Of ITU-R BT.709, for values with the transfer function of a screen (luma).
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# The displacement falls to 0 over at least 16 and at most 128 levels of 255 before an end of the scale that is kept,
# and otherwise over twice its size there, so that it adds at most 0.75 to the slope of the map.
NARROWEST, WIDEST = 16 / 255, 128 / 255
SLOPE_WIDTH = 2


@dataclass(frozen=True, eq=False)
class Look:
    """The last step of a transfer: from colours and their displacements to the new colours.

    Parameters
    ----------
    amount : float
        Fraction of the displacement.
    seen : ndarray of shape (2, n_colors)
        The smallest and the largest colour of each channel on the other side, which the images do not leave.
    keeps_luminance : bool
        Whether the new colours have the luminance of the old ones.
    widths : tuple of (float or None)
        Distances from black and from white at which the displacement begins to fall to 0; None if it does not.
    """

    amount: float
    seen: np.ndarray
    keeps_luminance: bool = False
    widths: tuple = (None, None)

    def apply(self, colors: np.ndarray, displacement: np.ndarray) -> np.ndarray:
        """New colours of shape (n, n_colors); clipped here, and nowhere before."""
        amount = np.full((len(colors), 1), self.amount, dtype=colors.dtype)
        for width, distance in zip(self.widths, (colors.max(axis=1), 1 - colors.min(axis=1)), strict=True):
            if width is not None:
                amount[:, 0] *= smooth_step(distance / width)
        # The colours of the interpolation between any old colour and any that was seen.
        low, high = (end.astype(colors.dtype) for end in self.seen)
        moved = np.clip(colors + amount * displacement, amount * low, 1 - amount * (1 - high))
        return with_luminance_of(colors, moved) if self.keeps_luminance else moved


def with_luminance_of(colors: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Moved colours with the luminance of the first ones; in range, by less saturation if needed."""
    weights = LUMINANCE.astype(colors.dtype)
    grey = (colors @ weights)[:, None]
    chroma = moved - (moved @ weights)[:, None]
    room = np.where(chroma > 0, 1 - grey, grey)
    share = np.where(np.abs(chroma) > room, room / np.maximum(np.abs(chroma), np.finfo(colors.dtype).tiny), 1)
    return np.clip(grey + share.min(axis=1, keepdims=True) * chroma, 0, 1)


def kept_width(displacement: np.ndarray) -> float:
    """The distance from an end of the scale at which the displacement begins to fall, given the one at the end."""
    return float(np.clip(SLOPE_WIDTH * np.abs(displacement).max(), NARROWEST, WIDEST))

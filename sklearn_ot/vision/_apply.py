"""The transfer of one picture: displacements of its pixels, and the new colours."""

import numpy as np

from sklearn_ot.vision._color_map import ColorMap, ColorTable
from sklearn_ot.vision._distinct import DistinctColors
from sklearn_ot.vision._look import Look
from sklearn_ot.vision._pictures import Picture, blocks_of, to_levels, to_unit
from sklearn_ot.vision._smooth import SmoothField


def move_picture(picture: np.ndarray, moving: ColorMap | ColorTable, look: Look, epsilon: float = 0) -> np.ndarray:
    """A picture with new colours, in its shape and dtype, and with its alpha channel.

    Parameters
    ----------
    picture : ndarray
        A picture that `sklearn_ot.vision._pictures.check_picture` has accepted.
    moving : ColorMap or ColorTable
        The displacements of colours.
    look : Look
        The new colours, given the displacements.
    epsilon : float, default=0
        The standard deviation of the colours of a region in which displacements are constant, see `SmoothField`; 0 for
        the displacements themselves.
    """
    result = np.empty(picture.shape, picture.dtype)
    colors, new = Picture.of(picture).colors, Picture.of(result)
    if new.alpha is not None:
        new.alpha[:] = Picture.of(picture).alpha

    def unit(rows):
        return to_unit(colors[rows])

    if picture.dtype == np.uint8 and not epsilon:
        distinct = DistinctColors(colors)
        seen = to_unit(distinct.colors)
        levels = to_levels(look.apply(seen, moving.displacement(seen)), np.uint8)
        for rows in blocks_of(colors):
            new.colors[rows] = distinct.gather(levels, colors[rows])
        return result
    displacement = _displacement(colors, unit, moving)
    if epsilon:
        displacement = SmoothField(colors, unit, displacement, epsilon)
    for rows in blocks_of(colors):
        flat = unit(rows).reshape(-1, colors.shape[2])
        moved = displacement(rows).reshape(flat.shape)
        new.colors[rows] = to_levels(look.apply(flat, moved), picture.dtype).reshape(colors[rows].shape)
    return result


def _displacement(colors, unit, moving):
    """The displacements of the pixels of some rows, as a function of the rows."""
    if colors.dtype != np.uint8:
        return lambda rows: moving.displacement(unit(rows).reshape(-1, colors.shape[2])).reshape(colors[rows].shape)
    distinct = DistinctColors(colors)
    moved = moving.displacement(to_unit(distinct.colors)).astype(np.float32)
    return lambda rows: distinct.gather(moved, colors[rows])

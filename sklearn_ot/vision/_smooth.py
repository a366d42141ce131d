"""A guided filter of the displacements of pixels: constant in flat regions of a picture, untouched in texture."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from sklearn_ot.vision._pictures import BLOCK_PIXELS

# Side of a picture, in pixels, for each pixel of a side of the cells on which the filter works.
CELL_SIDE = 1000
# The window has 2 · 4 + 1 cells: under 1 % of the side of a picture.
RADIUS = 4
# Rows of cells that are solved together.
BAND_CELLS = 64


class SmoothField:
    r"""Displacements of the pixels of a picture by a guided filter, with the picture itself as the guide.

    In a window around each pixel, the displacements d are regressed on the colours x [He13]_,

    .. math:: \min_{A, b} \sum_i \|A x_i + b - d_i\|^2 + \varepsilon^2 \|A\|^2 ,

    and a pixel gets the displacement

    .. math:: d + \bar f \, (\bar A x + \bar b - d), \qquad f = \frac{\varepsilon^2}{\varepsilon^2 + \sigma^2} ,

    with the means of A, b and f over the windows that contain it. σ² is the variance of the colours of a window, the
    mean of its channels. Where the colours vary by less than ε, all pixels get about the mean displacement of the
    window. In texture they keep their own, where a regression would move the palette away from that of the target. The
    regressions use means of cells of pixels, and A, b and f are interpolated between the cells [He15b]_.

    Parameters
    ----------
    colors : ndarray of shape (height, width, n_colors)
        The picture, in any dtype.
    unit : callable
        ``unit(rows)``: the colours of some rows of the picture between 0 and 1.
    displacement : callable
        ``displacement(rows)``: the displacements of the pixels of some rows, of the same shape.
    epsilon : float
        The standard deviation ε of colours, between 0 and 1.

    References
    ----------
    .. [He13] K. He, J. Sun, X. Tang, "Guided image filtering", IEEE Transactions on Pattern Analysis and Machine
       Intelligence, 2013.
    .. [He15b] K. He, J. Sun, "Fast guided filter", arXiv:1505.00996, 2015.
    """

    def __init__(self, colors: np.ndarray, unit: Callable, displacement: Callable, epsilon: float):
        self.shape, self._unit, self._displacement = colors.shape, unit, displacement
        height, width, n_colors = colors.shape
        self._side = max(1, round(math.sqrt(height * width) / CELL_SIDE))
        n_rows, n_columns = -(-height // self._side), -(-width // self._side)
        guide, moved = (np.empty((n_rows, n_columns, n_colors), np.float32) for _ in range(2))
        step = max(1, BLOCK_PIXELS // (self._side * width))
        for start in range(0, n_rows, step):
            cells = slice(start, min(start + step, n_rows))
            rows = slice(cells.start * self._side, min(cells.stop * self._side, height))
            guide[cells] = self._cell_means(unit(rows))
            moved[cells] = self._cell_means(displacement(rows))
        self._guide, self._moved, self._epsilon = guide, moved, epsilon
        self._band = 0, 0, None

    def __call__(self, rows: slice) -> np.ndarray:
        """The displacements of the pixels of some rows, of shape (n_rows, width, n_colors), in float32."""
        start, stop, _ = rows.indices(self.shape[0])
        side, n_colors = self._side, self.shape[2]
        first, last = start // side, -(-stop // side)
        # One more cell to each side, between which a pixel may be.
        low, high = max(0, first - 1), min(len(self._guide), last + 1)
        small = torch.from_numpy(self._coefficients(low, high))[None]
        large = torch.nn.functional.interpolate(small, scale_factor=side, mode="bilinear", align_corners=False)
        large = large[0, :, start - low * side : stop - low * side, : self.shape[1]].numpy()
        unit = self._unit(slice(start, stop)).astype(np.float32, copy=False)
        own = self._displacement(slice(start, stop))
        moved = np.empty(unit.shape, np.float32)
        for channel in range(n_colors):
            total = large[n_colors * n_colors + channel] - own[..., channel]
            for other in range(n_colors):
                total += large[channel * n_colors + other] * unit[..., other]
            moved[..., channel] = own[..., channel] + large[-1] * total
        return moved

    def _coefficients(self, low, high):
        """The means of A, b and f of some rows of cells, of shape (n_coefficients, n_rows, n_columns).

        They are computed for a band of rows, and only the last band is kept: all of them would be twice as large
        as the means of the cells.
        """
        start, stop, band = self._band
        if not start <= low < high <= stop:
            start, stop = low, min(max(high, low + BAND_CELLS), len(self._guide))
            # Two means in succession depend on cells up to two radii away.
            first, last = max(0, start - 2 * RADIUS), min(len(self._guide), stop + 2 * RADIUS)
            band = coefficients(self._guide[first:last], self._moved[first:last], self._epsilon)
            band = np.ascontiguousarray(band[start - first : stop - first].transpose(2, 0, 1))
            self._band = start, stop, band
        return np.ascontiguousarray(band[:, low - start : high - start])

    def _cell_means(self, values):
        """Means over cells of ``side`` × ``side`` pixels; the last ones repeat the pixels at the edge."""
        side = self._side
        below, right = (-size % side for size in values.shape[:2])
        values = np.pad(values.astype(np.float32, copy=False), ((0, below), (0, right), (0, 0)), mode="edge")
        height, width, n_colors = values.shape
        return values.reshape(height // side, side, width // side, side, n_colors).mean(axis=(1, 3))


def coefficients(guide: np.ndarray, moved: np.ndarray, epsilon: float) -> np.ndarray:
    """The means of A, b and f over the windows of each cell, of shape (height, width, n_colors * (n_colors + 1) + 1).

    The rows of A come first, then b, then f.
    """
    n_colors = guide.shape[2]

    def mean(values):
        size = (2 * RADIUS + 1, 2 * RADIUS + 1) + (1,) * (values.ndim - 2)
        return uniform_filter(values, size=size, mode="reflect")

    guide_mean, moved_mean = mean(guide), mean(moved)
    outer = mean(guide[..., :, None] * guide[..., None, :]) - guide_mean[..., :, None] * guide_mean[..., None, :]
    cross = mean(guide[..., :, None] * moved[..., None, :]) - guide_mean[..., :, None] * moved_mean[..., None, :]
    slopes = np.linalg.solve(outer + np.eye(n_colors, dtype=np.float32) * np.float32(epsilon**2), cross)
    offset = moved_mean - np.einsum("hwi,hwij->hwj", guide_mean, slopes)
    rows = slopes.transpose(0, 1, 3, 2).reshape(*guide.shape[:2], n_colors * n_colors)
    variance = np.trace(outer, axis1=2, axis2=3)[..., None] / n_colors
    flatness = epsilon**2 / (epsilon**2 + np.maximum(variance, 0))
    return mean(np.concatenate([rows, offset, flatness], axis=2))

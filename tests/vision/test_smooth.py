"""The guided filter of displacements: flat regions, texture, edges, and bands."""

import tracemalloc

import numpy as np
import pytest

from sklearn_ot.transport import GaussianTransport
from sklearn_ot.vision import ColorTransfer, _smooth
from sklearn_ot.vision._pictures import blocks_of
from sklearn_ot.vision._smooth import RADIUS, SmoothField, coefficients

RNG = np.random.RandomState(0)


def smoothed(colors, displacement, epsilon=0.03):
    field = SmoothField(colors, lambda rows: colors[rows], lambda rows: displacement[rows], epsilon)
    return field(slice(0, len(colors)))


def test_a_flat_region_gets_the_mean_displacement():
    # Noise of a level moves colours to one of two clusters 60 levels apart: the blotches of a strict map.
    colors = np.full((60, 80, 3), 0.4) + RNG.normal(0, 1 / 255, (60, 80, 3))
    displacement = np.where(colors[..., :1] > 0.4, 30, -30) / 255 * np.ones(3)
    new = smoothed(colors, displacement)
    # The mean of 81 displacements of ±30 levels has a standard deviation of 3 levels, and neighbours share most of
    # them. The slope on the noise is its covariance with the displacements over ε², 0.4 here, so neighbours differ by
    # 0.4 times their noise, and by one level more because the share of their own displacements is 1 / 60.
    assert np.abs(new).max() < 8 / 255
    assert np.abs(np.diff(new, axis=1)).max() < 4 / 255


@pytest.mark.parametrize("n_colors", [1, 3])
def test_a_linear_map_of_colours_is_kept_where_they_vary(n_colors):
    colors = RNG.rand(60, 80, n_colors)
    matrix, shift = RNG.uniform(-0.3, 0.3, (n_colors, n_colors)), 0.1
    # Regularisation by ε² shrinks the slopes by the factor 1 / (1 + ε² / variance), with variance 1/12: by 1e-5 here.
    assert np.allclose(smoothed(colors, colors @ matrix + shift, 0.001), colors @ matrix + shift, atol=1e-4)


def test_texture_keeps_its_displacements():
    colors = RNG.rand(60, 80, 3)
    displacement = 0.3 * np.sin(20 * colors)
    # The regression is nearly 0, and its share ε² / (ε² + variance) is 1.1 %, with variance 1/12.
    assert np.abs(smoothed(colors, displacement) - displacement).max() < 0.02 * 0.3


def test_an_edge_of_the_picture_stays_an_edge():
    # Two flat halves with their own displacements.
    colors, displacement = np.full((40, 80, 3), 0.2), np.full((40, 80, 3), 0.1)
    colors[:, 40:], displacement[:, 40:] = 0.8, -0.2
    new = smoothed(colors, displacement)
    assert np.abs(new - displacement).max() < 2 / 255


def test_cells_follow_the_size_of_the_picture(monkeypatch):
    # A picture in cells of 3 × 3 pixels, whose sides are no multiples of 3: smooth displacements stay as they are.
    monkeypatch.setattr(_smooth, "CELL_SIDE", 40)
    y, x = np.mgrid[:100, :130] / 130
    colors = np.stack([x, y, x * y], axis=2)
    new = smoothed(colors, 0.2 * colors, 0.001)
    assert np.abs(new - 0.2 * colors).max() < 3e-3


def test_bands_have_no_effect(monkeypatch):
    colors, displacement = RNG.rand(70, 30, 3), RNG.uniform(-0.2, 0.2, (70, 30, 3))
    whole = smoothed(colors, displacement)
    monkeypatch.setattr(_smooth, "BAND_CELLS", 9)
    field = SmoothField(colors, lambda rows: colors[rows], lambda rows: displacement[rows], 0.03)
    # The means of a band are those of the picture, up to rounding in float32; in any order of the rows.
    for start in (*range(0, 70, 4), 3, 41):
        assert np.allclose(field(slice(start, start + 4)), whole[start : start + 4], atol=1e-5)


def test_memory_is_that_of_the_means_and_of_one_band():
    # The means of the cells have 24 MB here, and the coefficients of all cells would have 52.
    picture = np.full((1000, 1000, 3), 90, np.uint8)

    def unit(rows):
        return picture[rows] / 255

    tracemalloc.start()
    try:
        field = SmoothField(picture, unit, unit, 0.05)
        for rows in blocks_of(picture):
            field(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 70e6


def test_rows_can_be_asked_for_in_parts(monkeypatch):
    monkeypatch.setattr(_smooth, "CELL_SIDE", 25)
    colors, displacement = RNG.rand(71, 53, 3), RNG.uniform(-0.2, 0.2, (71, 53, 3))
    field = SmoothField(colors, lambda rows: colors[rows], lambda rows: displacement[rows], 0.03)
    parts = [field(slice(start, start + 7)) for start in range(0, 71, 7)]
    assert np.allclose(np.concatenate(parts), field(slice(0, 71)), atol=1e-6)


def test_a_picture_smaller_than_the_window_is_one_region():
    colors = RNG.normal(0.5, 1 / 255, (3, 2, 3))
    displacement = RNG.uniform(-0.1, 0.1, (3, 2, 3))
    assert 2 * RADIUS + 1 > 3
    assert np.ptp(smoothed(colors, displacement, 0.1), axis=(0, 1)).max() < 0.02


def test_coefficients_are_the_regression_on_the_window():
    # A picture of one window, tiled by reflection: every window has the same means, so the mean of A is A.
    guide = np.tile(RNG.rand(2, 2, 1), (17, 17, 1)).astype(np.float32)
    moved = (guide * 0.5 + 0.1).astype(np.float32)
    found = coefficients(guide, moved, 1e-4)
    assert np.allclose(found[..., 0], 0.5, atol=2e-3)
    assert np.allclose(found[..., 1], 0.1, atol=2e-3)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_every_kind_of_picture_is_smoothed(dtype, n_channels):
    scale = {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    source, target = (
        (scale * RNG.uniform(*ends, (40, 50, n_channels))).astype(dtype) for ends in ((0.1, 0.4), (0.3, 0.9))
    )
    transfer = ColorTransfer(GaussianTransport(), table_size=17, random_state=0).fit(source, target)
    new = transfer.transform(source)
    strict = transfer.set_params(smooth=None).transform(source)
    assert (new.shape, new.dtype) == (source.shape, source.dtype)
    # The map of the Gaussian transport is affine, which the filter keeps where colours vary, up to the shrinkage of the
    # slope of the displacement, 1, by ε² / variance of 0.13 at the defaults.
    difference = np.abs(new.astype(float) - strict)[..., : min(n_channels, 3)] / scale
    assert 0 < difference.mean() < 0.02


def test_smoothing_is_the_same_for_all_dtypes():
    source, target = (RNG.randint(*ends, (60, 50, 3)).astype(np.uint8) for ends in ((20, 120), (60, 250)))
    transfer = ColorTransfer(GaussianTransport(), table_size=None, random_state=0).fit(source, target)
    new = transfer.transform(source)
    # The guide of uint8 is in float64 and its displacements in float32; half a level is the rounding.
    assert np.abs(255 * transfer.transform(source / 255) - new).max() <= 0.51


def test_no_amount_is_the_picture_also_with_smoothing():
    source, target = (RNG.randint(*ends, (30, 40, 3)).astype(np.uint8) for ends in ((20, 120), (60, 250)))
    transfer = ColorTransfer(GaussianTransport(), amount=0.0, random_state=0).fit(source, target)
    assert np.array_equal(transfer.transform(source), source)

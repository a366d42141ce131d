"""Maps of colours: the continuation to colours that were not seen, tables, and distinct colours."""

import numpy as np
import pytest

from sklearn_ot.vision._color_map import CELL, FAR, NEAR, ColorMap, ColorTable, grid_of_colors
from sklearn_ot.vision._distinct import DistinctColors

RNG = np.random.RandomState(0)
# A cube of colours in the corner at black.
SAMPLE = RNG.uniform(0, 0.4, (20_000, 3))
A = np.array([[1.5, 0.2, 0], [0.2, 1.2, 0.1], [0, 0.1, 0.8]])


def same(colors):
    return colors


def color_map(images, sample=SAMPLE):
    return ColorMap(images, same, same, sample)


def test_seen_colours_have_the_displacement_of_the_transport():
    colors = RNG.uniform(0.02, 0.38, (1000, 3))
    assert np.allclose(color_map(lambda x: x @ A).displacement(colors), colors @ A - colors, atol=1e-12)


def test_far_colours_have_a_displacement_that_was_seen():
    def wild(x):
        # It flies off where the sample ends.
        return x + 0.1 + 50 * np.maximum(x - 0.4 - NEAR, 0)

    colors = RNG.uniform(0.4 + FAR, 1, (500, 3))
    assert np.allclose(color_map(wild).displacement(colors), 0.1, atol=1e-12)


def test_the_continuation_has_no_jumps():
    # Colours 1e-5 apart on lines out of the sample. The transport has slope 3, the share of the neighbours a slope of
    # 1.5 / (FAR - NEAR) = 24 times a difference below 1, and the neighbours change as slowly as the distances do.
    start, end = RNG.uniform(0.1, 0.4, (5, 1, 3)), RNG.uniform(0.5, 1, (5, 1, 3))
    lines = start + np.linspace(0, 1, 100_001)[None, ::10, None] * (end - start)
    moved = color_map(lambda x: 3 * x).displacement(lines.reshape(-1, 3)).reshape(lines.shape)
    steps = np.linalg.norm(np.diff(moved, axis=1), axis=2) / np.linalg.norm(np.diff(lines, axis=1), axis=2)
    assert steps.max() < 60


def test_a_colour_in_a_cell_of_the_sample_is_near():
    # So the look-up of the cell misses no colour that is too far for the transport.
    assert np.sqrt(3) * CELL < NEAR


def test_few_colours_are_enough():
    moved = color_map(lambda x: x + 0.2, np.zeros((2, 1))).displacement(np.array([[0.9], [0.0]]))
    assert np.allclose(moved, 0.2)


def test_the_dtype_is_kept():
    assert color_map(lambda x: x @ A.astype(x.dtype)).displacement(np.ones((3, 3), np.float32)).dtype == np.float32


def test_images_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="colour space gives colours that are not finite"):
        color_map(lambda x: np.full_like(x, np.nan)).displacement(SAMPLE[:2])


@pytest.mark.parametrize("n_colors", [1, 3])
def test_a_table_of_a_linear_map_is_exact(n_colors):
    sample = np.clip(grid_of_colors(16, n_colors), 0, 1)
    linear = color_map(lambda x: 1.5 * x - 0.1, sample)
    table = ColorTable.of(linear, 9, sample)
    assert table.error < 1e-10
    colors = RNG.rand(100, n_colors)
    assert np.allclose(table.displacement(colors), linear.displacement(colors), atol=1e-12)


def test_the_error_of_a_table_is_measured():
    # Between nodes 1/4 apart, the error of x² is at most (1/8)² in each channel: 4 levels of 255.
    sample = grid_of_colors(17, 3)
    table = ColorTable.of(color_map(np.square, sample), 5, RNG.rand(2000, 3))
    assert 2 < table.error < 255 / 64


@pytest.mark.parametrize("n_colors", [1, 3])
def test_distinct_colours_are_gathered(n_colors):
    pixels = RNG.randint(0, 256, (40, 50, n_colors)).astype(np.uint8)
    pixels[20:] = pixels[:20]
    distinct = DistinctColors(pixels)
    assert np.array_equal(distinct.colors, np.unique(pixels.reshape(-1, n_colors), axis=0))
    assert np.array_equal(distinct.gather(distinct.colors, pixels), pixels)

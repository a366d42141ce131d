"""Pictures as arrays: what is refused, and how levels and colours become each other."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from sklearn_ot.vision._pictures import Picture, blocks_of, check_picture, check_pictures, to_levels, to_unit

GREY = np.zeros((4, 5), np.uint8)
FLOAT = np.full((4, 5, 3), 0.5)


def with_value(value, position=(1, 2, 0)):
    picture = FLOAT.copy()
    picture[position] = value
    return picture


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (GREY.astype(int), "X has dtype int64; a picture is uint8, uint16, or float32 or float64"),
        (GREY > 0, "X has dtype bool"),
        (np.array([["a"]]), "X has dtype <U1"),
        (GREY[0], r"X has shape \(5,\); a picture has shape"),
        (np.zeros((5, 4, 6), np.uint8), r"X has shape \(5, 4, 6\); a picture has shape"),
        (np.zeros((3, 20, 30), np.uint8), r"channels first: use numpy.moveaxis\(X, 0, -1\)"),
        (np.zeros((2, 4, 5, 3), np.uint8), "give several pictures as a list"),
        (np.zeros((0, 5, 3), np.uint8), "it has no pixels"),
        (with_value(np.nan), r"X has 1 values that are NaN, the first at \(1, 2, 0\)"),
        (with_value(1.5), r"1 values that are outside 0 to 1, the first at \(1, 2, 0\): 1.5. Divide"),
        (with_value(-0.1), r"outside 0 to 1, the first at \(1, 2, 0\): -0.1"),
        (with_value(np.inf), r"outside 0 to 1, the first at \(1, 2, 0\): inf"),
        (SimpleNamespace(mode="P"), r"X is a picture in mode 'P': use X.convert\('RGB'\)"),
    ],
)
def test_unusable_pictures_are_refused_with_the_remedy(picture, message):
    with pytest.raises(ValueError, match=message):
        check_picture(picture, "X")


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4), (1, 1, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_pictures_of_every_kind_pass(shape, dtype):
    picture = np.ones(shape, dtype)
    assert check_picture(picture, "X") is picture
    parts = Picture.of(picture)
    assert parts.colors.shape == (*shape[:2], 1 if len(shape) == 2 or shape[2] < 3 else 3)
    assert (parts.alpha is None) == (len(shape) == 2 or shape[2] in (1, 3))


def test_the_parts_are_views():
    picture = np.zeros((4, 5, 4), np.uint8)
    colors, alpha = Picture.of(picture)
    colors[:], alpha[:] = 1, 2
    assert np.all(picture == [1, 1, 1, 2])


def test_a_list_must_have_pictures_of_one_kind():
    assert len(check_pictures([GREY, GREY], "X")) == 2
    with pytest.raises(ValueError, match="X is an empty list"):
        check_pictures([], "X")
    with pytest.raises(ValueError, match="grey and colour"):
        check_pictures([GREY, FLOAT], "X")
    with pytest.raises(ValueError, match=re.escape("X[1] has dtype")):
        check_pictures([GREY, GREY.astype(int)], "X")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_levels_come_back(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    assert np.array_equal(to_levels(to_unit(levels), dtype), levels)
    # Rounded, not cut off: within half a step.
    assert np.array_equal(to_levels(np.clip(to_unit(levels) + 0.49 / levels[-1], 0, 1), dtype), levels)


@pytest.mark.parametrize("shape", [(1, 1, 3), (700, 900, 3), (3, 300_000, 3)])
def test_blocks_are_the_picture(shape):
    blocks = blocks_of(np.empty(shape, np.uint8))
    assert [i for rows in blocks for i in range(*rows.indices(shape[0]))] == list(range(shape[0]))

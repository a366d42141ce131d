"""The sample of colours: even over pictures and colours, masks, and the ends of the scale."""

import numpy as np
import pytest

from sklearn_ot.vision._sample import draw_colors


def draw(pictures, masks=None, n_pixels=500, seed=0):
    masks = masks or [None] * len(pictures)
    return draw_colors(pictures, masks, n_pixels, np.random.RandomState(seed), "source")


def test_small_pictures_give_all_their_pixels_with_the_noise_of_one_step():
    picture = np.random.RandomState(0).randint(0, 256, (10, 12, 3)).astype(np.uint8)
    colors, _ = draw([picture])
    noise = 255 * colors - picture.reshape(-1, 3)
    assert np.abs(noise).max() <= 0.5 + 1e-9
    # The standard deviation of uniform noise of one step is 0.289; that of 360 draws is within 0.03 of it.
    assert abs(noise.std() - 12**-0.5) < 0.03


def test_floats_get_no_noise():
    picture = np.random.RandomState(0).rand(10, 12, 3)
    assert np.array_equal(draw([picture])[0], picture.reshape(-1, 3))


def test_shares_of_colours_are_those_of_the_picture_to_a_pixel_or_two():
    # 32 colours at random places; 4000 pixels are all candidates, so only the order along the curve counts.
    rng = np.random.RandomState(0)
    palette = rng.randint(0, 256, (32, 3)).astype(np.uint8)
    picture = palette[rng.randint(0, 32, (50, 80)) ** 2 // 32]
    drawn = np.rint(255 * draw([picture], n_pixels=500)[0]).astype(int)
    for color in palette:
        expected = 500 * np.mean((picture == color).all(axis=2))
        # Independent draws would miss by √expected, about 4 for these colours.
        assert abs((drawn == color).all(axis=1).sum() - expected) <= 2


def test_the_sample_is_even_over_the_picture():
    # Rows with one colour each, more than there are candidates of a row: each row has its share.
    picture = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 100, axis=1)
    drawn = np.rint(255 * draw([picture], n_pixels=400)[0]).astype(int)
    assert np.bincount(drawn[:, 0], minlength=200).min() >= 1


def test_masked_and_transparent_pixels_are_not_drawn():
    picture = np.zeros((20, 30, 4), np.uint8)
    picture[:10] = [200, 10, 20, 255]
    picture[:10, :5] = [7, 7, 7, 0]
    mask = np.zeros((20, 30), bool)
    mask[:11] = True
    picture[10, :] = [100, 100, 100, 1]
    drawn = np.rint(255 * draw([picture], [mask], n_pixels=60)[0])
    assert {tuple(color) for color in drawn.astype(int)} == {(200, 10, 20), (100, 100, 100)}


def test_pictures_of_a_list_count_by_their_pixels():
    dark, bright = np.full((10, 30, 3), 20, np.uint8), np.full((20, 45, 3), 60000, np.uint16)
    colors, _ = draw([dark, bright], n_pixels=400)
    assert np.mean(colors[:, 0] < 0.5) == 0.25


def test_shares_of_black_and_white_are_those_of_the_pixels():
    picture = np.full((100, 100, 3), 50, np.uint8)
    picture[:10] = 255
    picture[10:12] = 0
    picture[12:20] = [255, 255, 254]
    # All 10 000 pixels are candidates of a sample of 2000.
    assert draw([picture], n_pixels=2000).ends.tolist() == [0.02, 0.1]


def test_pictures_without_two_colours_are_refused():
    with pytest.raises(ValueError, match="All pixels of source have one colour"):
        draw([np.full((5, 5, 3), 9, np.uint8)])
    with pytest.raises(ValueError, match="no pixel that is in its mask"):
        draw([np.eye(5, dtype=np.uint8)], [np.zeros((5, 5), bool)])

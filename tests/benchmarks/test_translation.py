"""The features of benchmarks/translation.py have known values, and its methods are inverted."""

import sys

import numpy as np
import pytest

pytestmark = pytest.mark.parametrize("script", ["translation"], indirect=True)


def part(name):
    """A module that the script has imported."""
    return sys.modules[f"_translation_{name}"]


def test_lab_of_known_colors(script):
    """White, black and the primary colours, from Lindbloom's calculator with the white point D65, to its 4 digits."""
    colors = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.2408, 80.0925, 67.2032], [87.7347, -86.1827, 83.1793]]
    expected += [[32.2970, 79.1875, -107.8602]]
    np.testing.assert_allclose(part("scores").lab(colors), expected, atol=2e-3)


def test_hand_made_features_of_stripes(script):
    """Rows that alternate have a deviation in each cell and one kind of Haar coefficients, on the finest level."""
    picture = np.zeros((1, 16, 16, 1), dtype=np.uint8)
    picture[:, ::2] = 255
    mean, deviation, haar = np.split(part("scores").hand_made(picture)[0], [16, 32])
    # L is 100 or 0. The orthonormal coefficient of four pixels is (100 + 100 - 0 - 0) / 2.
    np.testing.assert_allclose(mean, 50)
    np.testing.assert_allclose(deviation, 50)
    np.testing.assert_allclose(haar, [0, 100, 0, 0, 0, 0, 0, 0, 0])
    constant = part("scores").hand_made(np.full_like(picture, 51))[0]
    np.testing.assert_allclose(constant, [20] * 16 + [0] * 25)


def test_directions_of_haar_coefficients_and_their_levels(script):
    """Columns in pairs have differences on the second level only, and a picture and its transpose swap two kinds."""
    picture = np.zeros((1, 16, 16, 1), dtype=np.uint8)
    picture[:, :, (np.arange(16) // 2) % 2 == 0] = 255
    hand_made = part("scores").hand_made
    haar, transposed = (hand_made(pictures)[0, 32:].reshape(3, 3) for pictures in (picture, picture.swapaxes(1, 2)))
    np.testing.assert_allclose(haar, [[0, 0, 0], [100, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(haar[:, [1, 0, 2]], transposed)


def test_scores_are_one_for_nothing_and_near_the_floor_for_the_target(script):
    pictures = part("data").noise(120, seed=0)
    scores = part("scores").Scores(pictures, seed=0, n_steps=3)
    for side in (0, 1):
        nothing = scores.compared(pictures.held_out[1 - side], side)
        target = scores.compared(pictures.held_out[side], side)
        for name in script.DISTANCES:
            assert nothing[f"{name}_ratio"] == 1
            # The two kinds of noise differ by far more than two halves of one kind.
            assert nothing[name] > 3 * nothing[f"{name}_floor"] > 0
            assert target[name] == pytest.approx(0, abs=1e-6 * nothing[name])
        assert target["taken"] == target["taken_real"]


def test_pictures_are_taken_for_those_that_they_are(script):
    """Training pictures are their own nearest neighbours."""
    pictures = part("data").digits(seed=0)
    scores = part("scores").Scores(pictures, seed=0)
    taken = [[scores.compared(kept, side)["taken"] for kept in pictures.train] for side in (0, 1)]
    np.testing.assert_array_equal(taken, np.eye(2))


def test_each_seed_has_another_split_without_pictures_on_both_sides(script):
    pairs = [part("data").digits(seed) for seed in (0, 0, 1)]
    for kept, held_out in zip(pairs[0].train, pairs[0].held_out, strict=True):
        assert not {picture.tobytes() for picture in kept} & {picture.tobytes() for picture in held_out}
    np.testing.assert_array_equal(pairs[0].held_out[0], pairs[1].held_out[0])
    assert np.any(pairs[0].held_out[0] != pairs[2].held_out[0])


@pytest.mark.parametrize(
    "method", ["nothing", "histogram", "colours, Gaussian", "50 components, Gaussian", "stationary"]
)
def test_inverse_of_simple_maps(script, method):
    pictures = part("data").noise(40, seed=0)
    source, target = (side.astype(np.float64) for side in pictures.to_fit())
    fitted = part("methods").METHODS[method](source.shape[1:], 0).fit(source, target)
    moved = fitted.transform(source)
    error = np.square(fitted.inverse_transform(moved) - source).mean() / source.var(axis=0).mean()
    # Where many pixels share a level, several quantiles are equal, and the map of the histogram has no exact inverse.
    assert error < (1e-2 if method == "histogram" else 1e-10)
    distance = [
        np.abs(np.mean(part, axis=(0, 1, 2)) - np.mean(target, axis=(0, 1, 2))).max() for part in (source, moved)
    ]
    assert distance[1] <= distance[0] * (1 if method == "nothing" else 0.2)


def test_missing_pictures_and_a_failing_method_are_reported(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SKLEARN_OT_DATA", str(tmp_path))
    script.main(["--output", str(tmp_path), "--pairs", "seasons", "usps"])
    printed = capsys.readouterr().out
    assert "seasons: its pictures are not in the folder" in printed
    assert "usps: its pictures are not in the folder" in printed

    def failing(shape, seed):
        raise ValueError("no such map")

    monkeypatch.setitem(script.METHODS, "nothing", failing)
    script.main(["--output", str(tmp_path), "--pairs", "digits", "--seeds", "0", "--methods", "nothing"])
    assert capsys.readouterr().out.count("note=ValueError: no such map") == 2


def test_pictures_are_saved_where_the_user_wants(script, tmp_path):
    arguments = ["--pairs", "digits", "--seeds", "0", "--methods", "nothing", "stationary"]
    script.main([*arguments, "--output", str(tmp_path / "rows"), "--pictures", str(tmp_path / "pictures")])
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["translation_digits_0.png"]

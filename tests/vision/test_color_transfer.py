"""ColorTransfer: exactness, kinds of pictures, parameters, inverse and files."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, LSOTTransport, W2Transport
from sklearn_ot.vision import ColorTransfer
from sklearn_ot.vision._color_map import grid_of_colors

RNG = np.random.RandomState(0)
MATRIX = np.array([[0.8, 0.1, 0], [0.1, 0.7, 0], [0, 0, 0.9]])


def photo(shape, low=20, high=180, seed=0):
    """A smooth picture with noise, of uint8."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    waves = np.stack([np.sin(3 * x + 2 * y), np.cos(4 * y), np.sin(5 * x * y + 1)], axis=2) / 2 + 0.5
    return np.clip(low + (high - low) * waves + rng.normal(0, 4, (*shape, 3)), 0, 255).astype(np.uint8)


SOURCE = photo((120, 160))
TARGET = np.rint(photo((90, 110), seed=1) @ MATRIX + 30).astype(np.uint8)


# Trained for 30 steps: enough for a map that is not linear.
SHORT = W2Transport(max_iter=30, network=Convex((16, 16)), plan_size=200, random_state=0)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def fitted():
    """A transfer by a trained network."""
    return ColorTransfer(SHORT, n_pixels=3000, table_size=33, smooth=None, random_state=0).fit(SOURCE, TARGET)


@pytest.fixture
def gaussian():
    return ColorTransfer(GaussianTransport(), smooth=None, table_size=17, random_state=0).fit(SOURCE, TARGET)


def test_the_colours_become_those_of_the_target(gaussian):
    new = gaussian.transform(SOURCE).reshape(-1, 3).astype(float)
    target = TARGET.reshape(-1, 3).astype(float)
    # Of about 10 000 pixels with a standard deviation of 40, and clipped: within a level or two.
    assert np.abs(new.mean(axis=0) - target.mean(axis=0)).max() < 1.5
    assert np.abs(np.cov(new.T) - np.cov(target.T)).max() < 0.05 * np.cov(target.T).max()


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_bytes_are_those_of_every_pixel_mapped(fitted, method):
    # As a float picture without a table, every pixel is mapped on its own.
    every = clone_with(fitted, table_size=None)
    wanted = np.floor(255 * getattr(every, method)(SOURCE / 255) + 0.5).astype(np.uint8)
    assert np.array_equal(getattr(fitted, method)(SOURCE), wanted)


def clone_with(fitted, **params):
    """The same fit with other parameters."""
    return pickle.loads(pickle.dumps(fitted)).set_params(**params)


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_other_dtypes_are_mapped_by_a_table_to_its_error(fitted, dtype):
    scale = 65535 if dtype == "uint16" else 1
    picture = (SOURCE / 255 * scale).astype(dtype)
    new = fitted.transform(picture)
    assert new.dtype == dtype
    errors = np.abs(255 / scale * new - 255 * clone_with(fitted, table_size=None).transform(SOURCE / 255)).max(axis=2)
    # The table states its mean error on colours of the source.
    assert errors.mean() < 1.5 * fitted.table_error_ + 0.01
    assert 0 < fitted.table_error_ < 2


def test_sixteen_bits_are_not_rounded_to_eight(gaussian):
    picture = np.linspace(20_000, 30_000, 300 * 3).reshape(30, 10, 3).astype(np.uint16)
    assert np.any(gaussian.transform(picture) % 257 != 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_alpha_is_copied_and_does_not_change_colours(gaussian, dtype):
    scale = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[dtype]
    alpha = RNG.randint(0, 256, SOURCE.shape[:2])
    picture = (np.dstack([SOURCE, alpha]) * scale).astype(dtype)
    new = gaussian.transform(picture)
    assert np.array_equal(new[..., 3], picture[..., 3])
    assert np.array_equal(new[..., :3], gaussian.transform(np.ascontiguousarray(picture[..., :3])))


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40, 50, 2)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_pictures_are_maps_of_one_channel(shape, dtype):
    unit = 1 if dtype == "uint8" else 257
    source, target = ((RNG.randint(*ends, shape) * unit).astype(dtype) for ends in ((10, 90), (100, 250)))
    if len(shape) == 3 and shape[2] == 2:
        source[..., 1] = target[..., 1] = 200
    transfer = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(source, target)
    new = transfer.transform(source)
    assert (new.shape, transfer.n_colors_) == (shape, 1)
    grey = new if len(shape) == 2 else new[..., 0]
    assert abs(grey.mean() / unit - 174.5) < 4
    with pytest.raises(ValueError, match="keep_luminance=True would leave grey pictures as they are"):
        transfer.set_params(keep_luminance=True).transform(source)
    with pytest.raises(ValueError, match=r"\.cube file is a map of RGB"):
        transfer.set_params(keep_luminance=False).to_cube("grey.cube")


def test_lists_are_one_sample_and_give_lists():
    parts = [SOURCE[:50], SOURCE[50:].astype(np.uint16) * 257]
    transfer = ColorTransfer(GaussianTransport(), smooth=None, table_size=17, random_state=0).fit(parts, [TARGET])
    new = transfer.transform(parts)
    assert [picture.dtype for picture in new] == [np.uint8, np.uint16]
    whole = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(SOURCE, TARGET).transform(SOURCE)
    # The same pixels with another noise, far below a level after the mean over thousands of them.
    assert np.abs(new[0].astype(int) - whole[:50]).max() <= 1
    assert isinstance(transfer.transform((SOURCE,)), list)


def test_pixels_outside_of_a_mask_have_no_effect():
    picture, mask = SOURCE.copy(), np.ones(SOURCE.shape[:2], bool)
    picture[:40], mask[:40] = 255, False
    masked = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(picture, TARGET, masks=(mask, None))
    cropped = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(SOURCE[40:], TARGET)
    assert np.array_equal(masked.transform(SOURCE), cropped.transform(SOURCE))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((120, 160), bool), "masks must be a pair"),
        ((np.ones((120, 160)), None), "the mask of source has dtype float64"),
        ((None, np.ones((3, 3), bool)), r"the mask of target has dtype bool and shape \(3, 3\)"),
        (([None, None], None), "the mask of source is 2 masks for 1 pictures"),
    ],
)
def test_unusable_masks_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        ColorTransfer(GaussianTransport()).fit(SOURCE, TARGET, masks=masks)


def test_the_inverse_undoes_the_map(fitted):
    # Rounding in between moves a colour by half a level, which the inverse map stretches by its slope, about 2 here.
    back = fitted.inverse_transform(fitted.transform(SOURCE / 255))
    inner = np.all((SOURCE > 30) & (SOURCE < 170), axis=2)
    assert np.abs(255 * back - SOURCE)[inner].mean() < 0.5


def test_a_transport_without_inverse_has_no_inverse_transform():
    transport = LSOTTransport(max_iter=2)
    transfer = ColorTransfer(transport, n_pixels=200, random_state=0).fit(SOURCE, TARGET)
    with pytest.raises(AttributeError, match="LSOTTransport has no inverse_transform"):
        transfer.inverse_transform(TARGET)


def test_amounts_are_a_straight_line(gaussian):
    whole = gaussian.transform(SOURCE / 255)
    half = clone_with(gaussian, amount=0.5).transform(SOURCE / 255)
    # Clipped colours go on along their displacement, which the whole amount cuts off.
    low, high = (getattr(gaussian.target_sample_, end)(axis=0) for end in ("min", "max"))
    inside = np.all((whole > low) & (whole < high), axis=2)
    assert inside.mean() > 0.2
    assert np.allclose(half[inside], (SOURCE / 255 + whole)[inside] / 2, atol=1e-12)
    assert np.array_equal(clone_with(gaussian, amount=0.0).transform(SOURCE), SOURCE)


def test_luminance_is_kept_to_rounding(gaussian):
    new = gaussian.set_params(keep_luminance=True).transform(SOURCE)
    luminance = [0.2126, 0.7152, 0.0722]
    assert np.abs(new @ luminance - SOURCE @ luminance).max() <= 0.5 + 1e-9
    assert np.abs(new.astype(int) - SOURCE).max() > 5


def with_sun(picture):
    picture = picture.copy()
    picture[:20, :30] = 255
    return picture


def test_white_of_both_pictures_stays_white():
    source, target = with_sun(SOURCE), TARGET.copy()
    target[:2, :5] = 255
    transfer = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(source, target)
    assert np.all(transfer.transform(source)[:20, :30] == 255)
    assert np.all(transfer.set_params(keep_white=False).transform(source)[:20, :30].mean() < 250)
    # Without white in the target, only on request.
    transfer = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(source, TARGET)
    assert transfer.transform(source)[:20, :30].max() < 253
    assert np.all(transfer.set_params(keep_white=True).transform(source)[:20, :30] == 255)


def test_unseen_colours_stay_in_the_range_that_was_seen(fitted):
    colors = grid_of_colors(18, 3).reshape(18, -1, 3)
    new = fitted.transform(colors)
    low, high = (np.quantile(fitted.target_sample_, q, axis=0) for q in (0, 1))
    assert np.all((new >= low - 1e-6) & (new <= high + 1e-6))


def test_any_colour_space_is_a_pair_of_functions():
    space = (np.sqrt, np.square)
    transfer = ColorTransfer(GaussianTransport(), smooth=None, color_space=space, table_size=None, random_state=0).fit(
        SOURCE, TARGET
    )
    new = transfer.transform(SOURCE / 255)
    # The roots have the mean of the roots of the target, but for clipped ones.
    assert np.abs(np.sqrt(new).mean((0, 1)) - np.sqrt(TARGET / 255).mean((0, 1))).max() < 0.01
    with pytest.raises(ValueError, match="color_space must be a pair of functions"):
        ColorTransfer(GaussianTransport(), smooth=None, color_space=(np.sqrt,)).fit(SOURCE, TARGET)


def test_a_cube_is_the_map_with_red_first(gaussian, tmp_path):
    gaussian.set_params(table_size=5).to_cube(tmp_path / "look.cube")
    lines = (tmp_path / "look.cube").read_text().splitlines()
    assert lines[:3] == ["LUT_3D_SIZE 5", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1"]
    values = np.array([line.split() for line in lines[3:]], dtype=float)
    ramp = np.linspace(0, 1, 5)
    nodes = np.array([[r, g, b] for b in ramp for g in ramp for r in ramp])
    wanted = clone_with(gaussian, table_size=None).transform(nodes[None])[0]
    assert np.allclose(values, wanted, atol=1e-6)


def test_one_seed_gives_one_result():
    pictures = [
        ColorTransfer(clone(SHORT), smooth=None, n_pixels=300, random_state=1).fit(SOURCE, TARGET).transform(SOURCE)
        for _ in range(2)
    ]
    assert np.array_equal(*pictures)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_the_default_transport_is_seeded_and_ends_without_a_warning():
    pictures = [ColorTransfer(n_pixels=2000, random_state=1).fit(SOURCE, TARGET).transform(SOURCE) for _ in range(2)]
    assert np.array_equal(*pictures)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (SOURCE, TARGET[..., 0], "source is colour and target is grey"),
        (SOURCE[..., 0], TARGET, "source is grey and target is colour"),
        (SOURCE, np.full((9, 9, 3), 3, np.uint8), "All pixels of target have one colour"),
        (SOURCE[:1, :1], TARGET, "All pixels of source have one colour"),
        (SOURCE / 100, TARGET, "source has .* values that are outside 0 to 1"),
    ],
)
def test_unusable_pictures_leave_the_estimator_as_it_was(gaussian, source, target, message):
    before = gaussian.transform(SOURCE)
    with pytest.raises(ValueError, match=message):
        gaussian.fit(source, target)
    assert np.array_equal(gaussian.transform(SOURCE), before)


def test_pictures_of_another_kind_are_refused_by_transform(gaussian):
    with pytest.raises(ValueError, match="X is grey, but the pictures of fit are colour"):
        gaussian.transform(SOURCE[..., 0])


def test_a_single_pixel_is_mapped(gaussian):
    assert np.array_equal(gaussian.transform(SOURCE[:1, :1]), gaussian.transform(SOURCE)[:1, :1])


@pytest.mark.parametrize(
    "params",
    [{"amount": 1.5}, {"n_pixels": 1}, {"keep_white": "yes"}, {"table_size": 1}, {"color_space": 3}, {"transport": 3}],
)
def test_parameters_are_validated_in_fit_and_after_it(gaussian, params):
    with pytest.raises(InvalidParameterError):
        clone(gaussian).set_params(**params).fit(SOURCE, TARGET)
    with pytest.raises(InvalidParameterError):
        clone_with(gaussian, **params).transform(SOURCE)


def test_it_is_an_estimator(fitted):
    with pytest.raises(NotFittedError):
        ColorTransfer().transform(SOURCE)
    copy = clone(fitted)
    assert not hasattr(copy, "transport_")
    assert copy.get_params()["transport__max_iter"] == 30
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).transform(SOURCE), fitted.transform(SOURCE))
    direct = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit_transform(SOURCE, TARGET)
    assert np.array_equal(
        direct, ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(SOURCE, TARGET).transform(SOURCE)
    )


def test_the_given_pictures_are_not_changed():
    source, target = SOURCE.copy(), TARGET.copy()
    source.flags.writeable = target.flags.writeable = False
    transfer = ColorTransfer(GaussianTransport(), smooth=None, random_state=0).fit(source, target)
    transfer.transform(source)
    assert np.array_equal(source, SOURCE)

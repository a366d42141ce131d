"""ImageTranslator: moments and there and back, layouts of pictures, parameters, and the report."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_ot.nn import ConvICNN
from sklearn_ot.transport import GaussianTransport, PatchTransport
from sklearn_ot.vision import ImageTranslator
from sklearn_ot.vision._statistics import StatisticsTransport

SHAPE = (12, 8, 3)
PATCHES = PatchTransport(transport=GaussianTransport(), n_patches=2000, random_state=0)


def photos(n, seed, light, contrast, shape=SHAPE, sizes=(0.6, 1.2)):
    """Smooth pictures of uint8 whose light and contrast vary from one to the other."""
    rng = np.random.RandomState(seed)
    fine, coarse = (gaussian_filter(rng.randn(n, *shape), (0, size, size, 0)) for size in sizes)
    own = np.exp(0.3 * rng.randn(n, 1, 1, 1))
    pictures = light + 10 * rng.randn(n, 1, 1, 1) + contrast * own * (2 * fine + 4 * coarse)
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


DARK, LIGHT = photos(150, 0, 80, 6), photos(120, 1, 150, 12)


@pytest.fixture(scope="module")
def fitted():
    return ImageTranslator(PATCHES).fit(DARK, LIGHT)


def contrasts(pictures):
    """The deviation of the pixels of each picture."""
    return pictures.reshape(len(pictures), -1).std(axis=1)


def test_light_and_contrast_of_fresh_pictures(fitted):
    images = fitted.transform(photos(200, 2, 80, 6))
    assert images.shape == (200, *SHAPE)
    assert images.dtype == np.uint8
    # Both are means over a hundred pictures or more, with deviations of 10 levels, and of a third of the contrast.
    assert images.mean() == pytest.approx(LIGHT.mean(), abs=4)
    assert contrasts(images).mean() == pytest.approx(contrasts(LIGHT).mean(), rel=0.1)
    # The contrasts vary between pictures as they do in the target.
    assert contrasts(images).std() == pytest.approx(contrasts(LIGHT).std(), rel=0.3)


def test_there_and_back(fitted):
    X = DARK / 255
    images = fitted.transform(X)
    assert images.dtype == np.float64
    # The searches of the patches end at 1e-4 of the deviation; the other maps are inverted in closed form.
    assert np.sqrt(np.mean((fitted.inverse_transform(images) - X) ** 2)) < 1e-3 * X.std()
    back = fitted.inverse_transform(fitted.transform(DARK))
    # Contrasts halve on the way back, so that the rounding of the images is half a level.
    assert np.abs(back.astype(int) - DARK).mean() < 0.5


def test_layouts_have_the_same_pictures(fitted):
    images = fitted.transform(DARK)
    first = fitted.transform(np.moveaxis(DARK, -1, 1))
    assert first.shape == (len(DARK), 3, 12, 8)
    np.testing.assert_array_equal(np.moveaxis(first, 1, -1), images)
    np.testing.assert_array_equal(fitted.transform(list(DARK)), images)
    rows = DARK.reshape(len(DARK), -1) / 255
    by_rows = ImageTranslator(PATCHES, image_shape=SHAPE).fit(rows, LIGHT.reshape(len(LIGHT), -1) / 255)
    moved = by_rows.transform(rows)
    assert moved.shape == rows.shape
    # Training of the patches has none of the rounding of float32, in which pictures of uint8 are mapped.
    expected = np.rint(255 * moved.clip(0, 1)).reshape(images.shape)
    np.testing.assert_allclose(expected, images, atol=1)
    deep = fitted.transform(DARK.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    np.testing.assert_allclose(deep / 257, images, atol=0.6)


def test_target_as_y_or_by_name(fitted):
    named = ImageTranslator(PATCHES).fit(np.moveaxis(DARK, -1, 1), X_target=list(LIGHT))
    np.testing.assert_array_equal(named.transform(DARK), fitted.transform(DARK))


def test_grey_pictures_and_series():
    grey = ImageTranslator(PATCHES).fit(DARK[..., 0], LIGHT[..., 0])
    assert grey.image_shape_ == (12, 8, 1)
    assert grey.transform(DARK[..., 0]).mean() == pytest.approx(LIGHT[..., 0].mean(), abs=1)
    series = ImageTranslator(PATCHES).fit(DARK[:, :, 0, 0] / 255, LIGHT[:, :, 0, 0] / 255)
    assert series.image_shape_ == (12, 1)
    assert series.transform(DARK[:, :, 0, 0] / 255).mean() == pytest.approx(LIGHT[:, :, 0, 0].mean() / 255, abs=0.01)


def test_channels_that_only_image_shape_can_name():
    deep = np.random.RandomState(0).rand(30, 5, 6, 4)
    with pytest.raises(ValueError, match="no axis of 1 or 3 channels"):
        ImageTranslator(None).fit(deep, deep)
    translator = ImageTranslator(None, image_shape=(5, 6, 4)).fit(deep, 1 - deep)
    assert translator.transform(np.moveaxis(deep, -1, 1)).shape == (30, 4, 5, 6)


def test_interpolate(fitted):
    half = fitted.interpolate(DARK[:3], [0, 0.5, 1])
    assert half.shape == (3, 3, *SHAPE)
    np.testing.assert_array_equal(half[0], DARK[:3])
    np.testing.assert_array_equal(half[2], fitted.transform(DARK[:3]))


def test_score_and_report(fitted):
    fresh, target = photos(200, 2, 80, 6), photos(200, 3, 150, 12)
    assert fitted.score(fresh, X_target=target) > fitted.score(target, X_target=fresh)
    assert fitted.score(fresh) == pytest.approx(fitted.score(fresh, LIGHT))
    report = fitted.report(fresh, target)
    for before, after, floor in zip(report.before, report.after, report.floor, strict=True):
        assert after < 0.1 * before
        # Twice as many pictures as in the floor, and a map of few parameters.
        assert after < 2 * floor
    assert max(report.cycle_error) < 1e-5
    assert "source to target" in str(report)
    assert report.features in str(report)


def test_report_of_the_floor():
    same = ImageTranslator(None, statistics=False).fit(LIGHT, LIGHT)
    report = same.report(photos(300, 2, 150, 12), photos(300, 3, 150, 12))
    # Pictures of one kind are as near to each other as halves of twice as many, and the map is nearly the identity.
    for values in (report.before, report.after):
        for value, floor in zip(values, report.floor, strict=True):
            assert 0.2 * floor < value < 2 * floor


def test_weights_leave_pictures_out(fitted):
    weight = np.r_[np.ones(len(DARK)), np.zeros(len(LIGHT))]
    weighted = ImageTranslator(None).fit(np.concatenate([DARK, LIGHT]), X_target=LIGHT, sample_weight=weight)
    plain = ImageTranslator(None).fit(DARK, LIGHT)
    np.testing.assert_allclose(weighted.transform(DARK / 255), plain.transform(DARK / 255), atol=1e-10)


def test_statistics_that_do_harm_are_left_out(monkeypatch):
    moved = StatisticsTransport._moved

    def noisy(self, rows, move):
        is_inverse = move == self.map_.inverse
        return moved(self, rows, move) + is_inverse * np.random.RandomState(0).randn(*rows.shape).astype(rows.dtype)

    monkeypatch.setattr(StatisticsTransport, "_moved", noisy)
    with pytest.warns(UserWarning, match="from target to source farther from real pictures"):
        translator = ImageTranslator(None).fit(DARK, LIGHT)
    plain = ImageTranslator(None, statistics=False).fit(DARK, LIGHT)
    np.testing.assert_array_equal(translator.transform(DARK), plain.transform(DARK))


def test_a_pixel_that_is_rarely_bright_is_no_reason_to_warn(recwarn):
    rare = DARK.copy()
    rare[:, 0, 0] = np.random.RandomState(0).randint(5, 9, (len(rare), 3))
    rare[3, 0, 0] = 255
    ImageTranslator(None).fit(rare, LIGHT)
    assert not recwarn.list
    with pytest.warns(UserWarning, match="far out"):
        ImageTranslator(None, image_shape=SHAPE).fit(rare.reshape(len(rare), -1) / 255, LIGHT.reshape(120, -1) / 255)


def test_mirror_images_count_as_pictures():
    lit = np.clip(DARK + np.linspace(0, 60, 8)[:, None], 0, 255).astype(np.uint8)  # brighter on the right
    plain, mirrored = (ImageTranslator(None, mirror=mirror).fit(DARK, lit) for mirror in (False, True))
    right = plain.transform(DARK)[:, :, 4:].mean() - plain.transform(DARK)[:, :, :4].mean()
    assert right > 20
    images = mirrored.transform(DARK / 255)
    # Half of the pictures to fit to are brighter on the left: the map does not know left from right.
    np.testing.assert_allclose(mirrored.transform(DARK[:, :, ::-1] / 255), images[:, :, ::-1], atol=1e-6)
    both = [np.concatenate([pictures, pictures[:, :, ::-1]]) for pictures in (DARK, lit)]
    by_hand = ImageTranslator(None, statistics=False).fit(*both)
    by_name = ImageTranslator(None, statistics=False, mirror=True).fit(DARK, lit)
    np.testing.assert_allclose(by_name.transform(DARK / 255), by_hand.transform(DARK / 255), atol=1e-6)


def test_in_a_pipeline():
    pipeline = make_pipeline(FunctionTransformer(np.sqrt), ImageTranslator(None, image_shape=SHAPE))
    rows, target = DARK.reshape(len(DARK), -1) / 255, LIGHT.reshape(len(LIGHT), -1) / 255
    pipeline.fit(rows, np.sqrt(target))
    assert pipeline.transform(rows).mean() == pytest.approx(np.sqrt(target).mean(), abs=0.02)


def test_pickle_and_clone(fitted):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(DARK), fitted.transform(DARK))
    np.testing.assert_array_equal(clone(fitted).fit(DARK, LIGHT).transform(DARK), fitted.transform(DARK))
    with pytest.raises(NotFittedError):
        clone(fitted).transform(DARK)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_by_name(monkeypatch):
    monkeypatch.setattr("sklearn_ot.transport._patch.MAX_ITER", 1)
    patches = ImageTranslator(random_state=0).fit(DARK[:40], LIGHT[:40])
    assert type(patches.transports_[1]) is PatchTransport
    monkeypatch.setattr("sklearn_ot.vision._translator.CONV", {"batch_size": 4, "max_iter": 1})
    conv = ImageTranslator("conv", random_state=0).fit(DARK[:40], LIGHT[:40])
    assert type(conv.transports_[1].net_.module_.potential) is ConvICNN
    assert len(ImageTranslator(None, statistics=False).fit(DARK, LIGHT).transports_) == 1


@pytest.mark.parametrize(
    ("X", "X_target", "match"),
    [
        (DARK.astype(int), LIGHT, "X has dtype int64"),
        (DARK[..., None], LIGHT, "X has shape .*; pictures have shape"),
        ([DARK[0], DARK[0, :5]], LIGHT, "X has pictures of several sizes"),
        (DARK, LIGHT[:, :5], r"X_target has pictures of shape \(5, 8, 3\)"),
        (DARK, LIGHT[..., :1], "X_target has pictures of shape"),
        (DARK / np.where(DARK.max() == DARK, np.nan, 1), LIGHT, "NaN"),
    ],
)
def test_bad_pictures(X, X_target, match):
    translator = ImageTranslator(None)
    with pytest.raises(ValueError, match=match):
        translator.fit(X, X_target=X_target)
    assert not hasattr(translator, "image_shape_")


def test_a_failed_fit_loses_nothing(fitted):
    translator = ImageTranslator(None).fit(DARK, LIGHT)
    before = translator.transform(DARK)
    with pytest.raises(ValueError, match="several sizes"):
        translator.fit([DARK[0], DARK[0, :5]], LIGHT)
    with pytest.raises(ValueError, match="X_target"):
        translator.fit(DARK, X_target=LIGHT[:, :5])
    np.testing.assert_array_equal(translator.transform(DARK), before)

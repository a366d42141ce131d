import numpy as np
import pytest
from scipy import fft

from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.stationary import cosine_coefficients, stationary_map

SHAPE = (3, 4, 2)


def factors(shape, seed, power=1.0):
    """Factors of the covariances of the channels, with a spectrum that falls with the frequency."""
    rng = np.random.RandomState(seed)
    frequency = sum(np.meshgrid(*[np.arange(length) / length for length in shape[:-1]], indexing="ij")) + 0.1
    mixing = rng.randn(shape[-1], shape[-1]) + 2 * np.eye(shape[-1])
    return (frequency**-power)[..., None, None] * (mixing + np.cos(2 * frequency)[..., None, None])


def pictures(coefficients):
    axes = tuple(range(1, coefficients.ndim - 1))
    return fft.idctn(coefficients, axes=axes, norm="ortho").reshape(len(coefficients), -1)


def exact_sample(matrices):
    """Rows with the mean 0 whose covariance is that of stationary pictures, exactly."""
    n_blocks, n_channels = int(np.prod(matrices.shape[:-2])), matrices.shape[-1]
    rows = np.zeros((n_blocks, n_channels, n_blocks, n_channels))
    for block, matrix in enumerate(matrices.reshape(n_blocks, n_channels, n_channels)):
        rows[block, :, block] = matrix.T
    rows = rows.reshape(n_blocks * n_channels, *matrices.shape[:-1]) * np.sqrt(n_blocks * n_channels)
    return pictures(np.concatenate([rows, -rows]))


def drawn(matrices, n_rows, seed):
    noise = np.random.RandomState(seed).randn(n_rows, *matrices.shape[:-1])
    return pictures(np.einsum("...cd,n...d->n...c", matrices, noise))


def test_cosine_transform_is_orthonormal():
    rows = np.random.RandomState(0).randn(5, 24)
    coefficients = cosine_coefficients(rows, SHAPE)
    np.testing.assert_allclose(np.sum(coefficients.reshape(5, -1) ** 2, axis=1), np.sum(rows**2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(pictures(coefficients), rows, atol=1e-14)


@pytest.mark.parametrize("shape", [SHAPE, (5, 3), (4, 4, 1)])
def test_it_is_the_gaussian_map_of_stationary_covariances(shape):
    samples = [Sample.of(exact_sample(factors(shape, seed)) + seed) for seed in (1, 2)]
    found, expected = stationary_map(*samples, shape, 1), sample_gaussian_map(*samples)
    X = np.random.RandomState(3).randn(10, int(np.prod(shape)))
    for name in ("transport", "inverse", "potential"):
        np.testing.assert_allclose(getattr(found, name)(X), getattr(expected, name)(X), rtol=1e-9, atol=1e-9)
    assert found.wasserstein_distance == pytest.approx(expected.wasserstein_distance, rel=1e-9)
    assert found.unvaried == 0


def test_average_over_frequencies_has_no_bias_for_equal_shapes():
    matrices = factors((8, 8, 2), 1)
    # Frequencies without any variance do not count.
    matrices[1:3] = 0
    rows = exact_sample(matrices)
    wide = stationary_map(Sample.of(rows), Sample.of(3 * rows), (8, 8, 2), 5)
    np.testing.assert_allclose(wide.transport(rows), 3 * rows, rtol=1e-10, atol=1e-10)
    assert wide.wasserstein_distance == pytest.approx(2 * np.sqrt(rows.var(axis=0).sum()), rel=1e-10)


def test_average_over_frequencies_weighs_them_equally():
    frequency = np.arange(16) / 16 + 0.1
    spectrum, stretch = frequency**-4, 1 + frequency
    samples = [Sample.of(exact_sample(part[:, None, None])) for part in (spectrum, spectrum * stretch)]
    blocks = stationary_map(*samples, (16, 1), 3).blocks[2:-1, 0, 0]
    # The average of a window is that of its middle, up to the curvature; low frequencies alone would give 0.06 less.
    np.testing.assert_allclose(blocks, stretch[2:-1], atol=0.01)


def test_few_rows_need_neighbouring_frequencies():
    source, target = factors((16, 16, 3), 1), factors((16, 16, 3), 2, 1.3)
    X = drawn(source, 50, 9)
    exact = [Sample.of(exact_sample(matrices)) for matrices in (source, target)]
    images = stationary_map(*exact, (16, 16, 3), 1).transport(X)
    samples = [Sample.of(drawn(matrices, 20, seed)) for seed, matrices in enumerate((source, target))]
    errors = {
        smoothing: np.mean((stationary_map(*samples, (16, 16, 3), smoothing).transport(X) - images) ** 2)
        for smoothing in (1, "auto")
    }
    assert errors["auto"] < 0.9 * errors[1]
    assert errors["auto"] < 0.2 * np.mean((X - images) ** 2)


def test_directions_without_variance():
    colour = np.random.RandomState(0).randn(200, 4, 4, 3)
    grey = np.repeat(colour.mean(axis=3, keepdims=True), 3, axis=3)
    colour, grey = (Sample.of(rows.reshape(200, -1)) for rows in (9 * colour, 2 * grey))
    to_colour = stationary_map(grey, colour, (4, 4, 3))
    # Two of three channels of independent noise cannot be reached.
    assert to_colour.unvaried == pytest.approx(2 / 3, abs=0.05)
    # The direction of grey is stretched by 4.5, and the typical stretch of the others is √3 times that.
    stretches = np.linalg.eigvalsh(to_colour.blocks)
    np.testing.assert_allclose(stretches[..., 0], 4.5, rtol=0.2)
    np.testing.assert_allclose(stretches[..., 1:], np.median(stretches), rtol=1e-6)
    assert np.median(stretches) == pytest.approx(4.5 * np.sqrt(3), rel=0.05)
    np.testing.assert_allclose(
        np.ptp(to_colour.transport(grey.rows).reshape(200, 16, 3) - to_colour.target_mean.reshape(16, 3), axis=2),
        0,
        atol=1e-8,
    )
    to_grey = stationary_map(colour, grey, (4, 4, 3))
    assert to_grey.unvaried == 0
    stretches = np.linalg.eigvalsh(to_grey.blocks)
    assert np.all((stretches[..., :2] > 1e-5) & (stretches[..., :2] < 1e-3))
    np.testing.assert_allclose(to_grey.inverse(to_grey.transport(colour.rows)), colour.rows, atol=1e-6)


def test_constant_pixels_and_frequencies():
    rows = np.random.RandomState(0).randn(100, 1, 1, 1) * np.ones((1, 4, 4, 1)) + np.arange(16.0).reshape(4, 4, 1)
    rows = rows.reshape(100, -1)
    found = stationary_map(Sample.of(rows), Sample.of(2 * rows + np.sin(np.arange(16))), (4, 4, 1))
    # Only the mean of these pictures varies, with the stretch 2, which is the typical one.
    np.testing.assert_allclose(found.blocks, 2, rtol=1e-6)
    same = stationary_map(*[Sample.of(np.ones((5, 16)))] * 2, (4, 4, 1))
    np.testing.assert_allclose(same.blocks, 1)
    assert same.wasserstein_distance == 0


@pytest.mark.parametrize("unit", [1e160, 1e-160])
def test_numbers_whose_squares_are_no_floats_are_refused(unit):
    sample = Sample.of(unit * drawn(factors(SHAPE, 0), 20, 0))
    with pytest.raises(ValueError, match="Their squares are no floats"):
        stationary_map(sample, Sample.of(np.ones_like(sample.rows)), SHAPE)

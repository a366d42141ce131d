"""Sources: the rows of each kind, their seeds, and errors."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity

from sklearn_ot.solvers.sources import SOURCES, Source, even_noise, normal, pushforward, rows, source_of, uniform

DATA = np.concatenate([np.random.RandomState(0).randn(300, 2) + 5, np.random.RandomState(1).randn(100, 2) - 5])


class Generator:
    """A model with the methods of a fitted generator of this package, which draws from the data."""

    def sample(self, n_samples=1, random_state=None):
        return DATA[random_state.randint(len(DATA), size=n_samples)]


KINDS = {
    "callable": lambda n, generator: DATA[generator.integers(len(DATA), size=n)],
    "array": DATA,
    "tensor": torch.from_numpy(DATA),
    "list": DATA.tolist(),
    "DataFrame": pd.DataFrame(DATA, columns=["a", "b"]),
    "reversed": DATA[::-1],
    "reversed callable": lambda n, generator: DATA[generator.integers(len(DATA), size=n)][::-1],
    "generator": Generator(),
    "mixture": GaussianMixture(2, random_state=0).fit(DATA),
    "unseeded mixture": GaussianMixture(2).fit(DATA),
    "Bayesian mixture": BayesianGaussianMixture(n_components=2, random_state=0).fit(DATA),
    "frozen mixture": FrozenEstimator(GaussianMixture(2, random_state=0).fit(DATA)),
    "kernel density": KernelDensity(bandwidth=0.1).fit(DATA),
    "scipy": stats.multivariate_normal(DATA.mean(0), np.cov(DATA.T)),
    "kernel density of scipy": stats.gaussian_kde(DATA.T, bw_method=0.05),
}
LINES = {
    "expon": stats.expon(1.0),
    "norm": stats.norm(2.0, 3.0),
    "poisson": stats.poisson(3.0),
    "multivariate": stats.multivariate_normal([1.0]),
}
if hasattr(stats, "Normal"):  # since SciPy 1.15
    KINDS["Normal"] = stats.Normal(mu=DATA.mean(0), sigma=DATA.std(0))
    LINES["Normal"] = stats.Normal(mu=2.0, sigma=3.0)
if hasattr(stats, "Binomial"):
    LINES["Binomial"] = stats.Binomial(n=5, p=0.5)


def draw(source, n, points, seed=0):
    torch.manual_seed(seed)
    return source_of(source, points, np.random.RandomState(seed)).sample(n)


@pytest.fixture(params=[torch.float32, torch.float64])
def points(request):
    with torch.random.fork_rng():
        yield torch.zeros(1, 2, dtype=request.param)


@pytest.mark.parametrize("source", KINDS.values(), ids=KINDS)
def test_rows_have_the_distribution_and_the_dtype(source, points):
    drawn = draw(source, 4000, points)
    assert drawn.dtype == points.dtype
    # Each column has a standard deviation of 4.4; the tolerance is five standard errors of 4000 rows.
    torch.testing.assert_close(drawn.double().mean(0), torch.from_numpy(DATA.mean(0)), rtol=0, atol=0.35)
    torch.testing.assert_close(drawn.double().std(0), torch.from_numpy(DATA.std(0)), rtol=0.05, atol=0)


@pytest.mark.parametrize("source", KINDS.values(), ids=KINDS)
def test_the_seed_decides_and_each_draw_is_another(source, points):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert torch.equal(draw(source, 50, points), draw(source, 50, points))
    assert not torch.equal(draw(source, 50, points), draw(source, 50, points, seed=1))
    one = source_of(source, points, np.random.RandomState(0))
    assert not torch.equal(one.sample(50), one.sample(50))
    assert one.sample(1).shape == (1, 2)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("kind", ["mixture", "unseeded mixture", "frozen mixture"])
def test_a_mixture_is_not_changed_and_its_components_are_mixed(kind, points):
    source = KINDS[kind]
    before = source.random_state
    drawn = draw(source, 400, points)
    assert source.random_state is before
    # A mixture draws one component after another, so without a permutation one of the thirds would have one component.
    assert all(0.5 < (part[:, 0] > 0).double().mean() < 0.9 for part in drawn.chunk(3))


@pytest.mark.parametrize("distribution", LINES.values(), ids=LINES)
def test_a_distribution_of_scipy_on_a_line(distribution):
    points = torch.zeros(1, 1, dtype=torch.float64)
    source = source_of(distribution, points, np.random.RandomState(0))
    drawn = source.sample(5000)
    assert drawn.shape == (5000, 1)
    if source.quantile is None:
        # Quantiles do not divide atoms.
        assert not hasattr(distribution, "icdf") or distribution is LINES["Binomial"]
        assert not hasattr(distribution, "dist") or not isinstance(distribution.dist, stats.rv_continuous)
    else:
        level = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
        torch.testing.assert_close((drawn < source.quantile(level)).double().mean(0), level, rtol=0, atol=0.03)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cauchy", "one of normal, uniform"),
        (3.0, "cannot be sampled"),
        (type("Unseeded", (), {"sample": lambda self, n: np.zeros((n, 2))})(), "cannot be seeded"),
        (lambda n, generator: np.zeros((n, 3)), r"shape \(4, 3\), but \(4, 2\) is needed"),
        (lambda n, generator: np.zeros((n + 1, 2)), r"\(5, 2\), but"),
        (lambda n, generator: np.full((n, 2), np.nan), "The rows of source contains NaN"),
        (np.zeros((10, 3)), r"shape \(10, 3\)"),
        ([[0.0, 1.0], [2.0]], "inhomogeneous"),
        ([0.0, 1.0], "Expected 2D array"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "could not convert"),
        (torch.distributions.Normal(0.0, 1.0), "cannot be seeded"),
        (stats.norm(), r"\(4, 1\), but"),
    ],
)
def test_a_wrong_source_is_refused(source, message, points):
    with pytest.raises(ValueError, match=message):
        draw(source, 4, points)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_rows_of_a_source_get_the_dtype_of_the_points(points, dtype):
    source = normal(2, dtype=dtype, generator=torch.Generator().manual_seed(0), seed=0)
    same = normal(2, dtype=dtype, generator=torch.Generator().manual_seed(0), seed=0)
    read = source_of(source, points, np.random.RandomState(0))
    assert torch.equal(read.sample(5), same.sample(5).to(points.dtype))
    assert torch.equal(read.quasi_sample(5), same.quasi_sample(5).to(points.dtype))
    assert read.sample(1).dtype == points.dtype
    assert read.quantile is source.quantile
    assert read.is_normal
    assert source_of(Source(source.sample), points, np.random.RandomState(0)).quasi_sample is None


def test_an_array_in_any_order_of_memory_is_one_source(points):
    expected = draw(DATA, 50, points)
    read_only = DATA.copy()
    read_only.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for array in (np.asfortranarray(DATA), read_only, DATA[::-1].copy()[::-1], DATA.tolist(), pd.DataFrame(DATA)):
            assert torch.equal(draw(array, 50, points), expected)


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_named_sources(make):
    source = make(2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    independent, first, second = source.sample(20_000), source.quasi_sample(1024), source.quasi_sample(1024)
    distribution = stats.norm if make is normal else stats.uniform
    assert stats.kstest(independent[:, 1], distribution.cdf).pvalue > 1e-3
    assert not torch.equal(first, second)
    both = torch.cat([first, second])
    # The mean of 2048 independent rows would have an error of 0.022 standard deviations.
    assert (both.mean(0) - distribution.mean()).abs().max() < 0.004
    assert both.std(0).sub(distribution.std()).abs().max() < 0.01
    level = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    np.testing.assert_allclose(source.quantile(level), distribution.ppf(level), rtol=1e-9, atol=1e-12)
    assert source.is_normal == (make is normal)


def test_the_seed_of_the_sequence_leaves_the_generator_alone():
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    first, second = (normal(2, generator=generator, seed=5) for generator in generators)
    assert torch.equal(first.quasi_sample(10), second.quasi_sample(10))
    assert torch.equal(first.sample(3), torch.randn(3, 2, generator=torch.Generator().manual_seed(0)))


def test_no_sequence_has_so_many_dimensions():
    assert uniform(30_000).quasi_sample is None


def test_rows_with_and_without_replacement():
    x = torch.arange(10.0)[:, None]
    source = rows(x)
    assert set(source.sample(1000)[:, 0].tolist()) == set(range(10))
    assert sorted(source.quasi_sample(1000)[:, 0].tolist()) == list(range(10))


def test_weighted_rows_with_their_masses():
    x, weight = torch.arange(4.0)[:, None], torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64) / 10
    torch.manual_seed(0)
    drawn = rows(x, weight).sample(100_000)[:, 0]
    frequency = torch.bincount(drawn.long()) / 1e5
    # Four standard errors.
    assert (frequency - weight).abs().max() < 4 * (0.25 / 1e5) ** 0.5
    for n in (10, 7, 1000):
        counts = torch.bincount(rows(x, weight).quasi_sample(n)[:, 0].long(), minlength=4)
        assert (counts - n * weight).abs().max() < 1
    # Numbers of equal rows are exact.
    assert torch.bincount(rows(x, weight, 10).quasi_sample(1000)[:, 0].long()).tolist() == [1, 2, 3, 4]


def test_images_of_a_source():
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    base, source = normal(2, generator=generators[0]), pushforward(normal(2, generator=generators[1]), torch.exp)
    assert torch.equal(source.sample(5), base.sample(5).exp())
    assert torch.equal(source.quasi_sample(5), base.quasi_sample(5).exp())
    assert source.quantile is None
    assert not source.is_normal
    assert pushforward(Source(base.sample), torch.exp).quasi_sample is None


@pytest.mark.parametrize("dim", [1, 2, 8, 9])
def test_each_row_of_noise_is_normal(dim):
    noise = even_noise(2000, 3, dim, generator=torch.Generator().manual_seed(0))
    assert noise.shape == (2000, 3, dim)
    for row in range(3):
        assert stats.kstest(noise[:, row, dim - 1], "norm").pvalue > 1e-3
    # Batches are independent of each other.
    assert torch.corrcoef(torch.stack([noise[:-1, 0, 0], noise[1:, 0, 0]]))[0, 1].abs() < 4 / 2000**0.5


@pytest.mark.parametrize(("dim", "gain"), [(1, 4), (2, 2), (4, 1.2)])
def test_means_over_even_noise_vary_less(dim, gain):
    generator = torch.Generator().manual_seed(0)
    means = (even_noise(200, 128, dim, generator=generator).relu().sum(2)).mean(1)
    independent = torch.randn(200, 128, dim, generator=generator).relu().sum(2).mean(1)
    assert independent.std() > gain * means.std()
    assert torch.isfinite(even_noise(200, 1000, dim, generator=generator)).all()

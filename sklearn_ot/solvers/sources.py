"""Sources: distributions that can be sampled."""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import islice

import numpy as np
import torch
from scipy import stats
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_array
from torch import Tensor

from sklearn_ot.solvers.tensors import to_tensor

# With more features, a short Kronecker sequence is not more even than independent rows.
MAX_EVEN_FEATURES = 8


@dataclass(frozen=True)
class Source:
    """A distribution that can be sampled; all its rows have the same shape, dtype and device.

    Parameters
    ----------
    sample : callable
        Takes a number n and returns n independent rows, a tensor of shape (n, d).
    quasi_sample : callable, default=None
        Takes a number n and returns n rows that represent the distribution better than independent rows: points of a
        randomised quasi-Monte Carlo sequence, or rows of a finite sample without repetition (fewer than n if the sample
        has fewer). Each call returns new rows. None if the source has no such rows.
    quantile : callable, default=None
        The quantile function of a continuous distribution of one feature. It takes a float64 tensor of probabilities in
        (0, 1).
    is_normal : bool, default=False
        Whether the distribution is N(0, I).
    """

    sample: Callable[[int], Tensor]
    quasi_sample: Callable[[int], Tensor] | None = None
    quantile: Callable[[Tensor], Tensor] | None = None
    is_normal: bool = False


class CountedDraws:
    """The draws from a source, which can be repeated from another source that is the same.

    Parameters
    ----------
    source : Source
        The source.

    Attributes
    ----------
    source : Source
        The same source, whose draws are counted.
    runs : list of list
        Runs of equal draws in their order: whether they are quasi-random, the number of rows, and the number of draws.
    """

    def __init__(self, source: Source):
        self.runs, self._draws = [], (source.sample, source.quasi_sample)
        quasi_sample = None if source.quasi_sample is None else partial(self._draw, True)
        self.source = replace(source, sample=partial(self._draw, False), quasi_sample=quasi_sample)

    def _draw(self, is_quasi: bool, n: int) -> Tensor:
        if not self.runs or self.runs[-1][:2] != [is_quasi, n]:
            self.runs.append([is_quasi, n, 0])
        self.runs[-1][2] += 1
        return self._draws[is_quasi](n)

    def repeat(self, runs: list):
        """Make all draws of another counter, of which those so far are the first ones, and forget their rows."""
        n_done = sum(times for *_, times in self.runs)
        draws = (draw for *draw, times in runs for _ in range(times))
        for is_quasi, n in islice(draws, n_done, None):
            self._draw(is_quasi, n)


def normal(n_features: int, **options) -> Source:
    """The normal distribution N(0, I).

    Parameters
    ----------
    n_features : int
        Number of features of the rows.
    dtype, device : torch.dtype and torch.device, default=torch.float32 and "cpu"
        Dtype and device of the rows.
    generator : torch.Generator, default=None
        Generator of the independent rows; torch's global generator if None.
    seed : int, default=None
        Seed of the Sobol sequence of the quasi-random rows; drawn from ``generator`` if None.

    Returns
    -------
    source : Source
        The source. Above 21 201 features, the limit of Sobol sequences, it has no quasi-random rows.

    Examples
    --------
    >>> from sklearn_ot.solvers.sources import normal
    >>> normal(2).sample(3).shape
    torch.Size([3, 2])
    """
    return _named(torch.randn, torch.special.ndtri, True, n_features, **options)


def uniform(n_features: int, **options) -> Source:
    """The uniform distribution on the unit cube; its parameters are those of `normal`."""
    return _named(torch.rand, torch.clone, False, n_features, **options)


# The sources by their names.
SOURCES: dict[str, Callable[..., Source]] = {"normal": normal, "uniform": uniform}


def _named(draw, quantile, is_normal, n_features, *, dtype=torch.float32, device="cpu", generator=None, seed=None):
    if seed is None:
        seed = int(torch.randint(2**31, (), generator=generator, device=device))
    # Built at its first use, because that takes long and many fits do not need it.
    sequence = cache(partial(torch.quasirandom.SobolEngine, n_features, scramble=True, seed=seed))

    def quasi_sample(n):
        # The engine works on the default device of the caller, and rounds its first row to the default dtype.
        with torch.device("cpu"):
            engine = sequence()
            first = engine.quasi.double() / 2**engine.MAXBIT
            is_first = engine.num_generated == 0
            levels = engine.draw(n, dtype=torch.float64)
        if is_first:
            levels[0] = first
        # The sequence has 30 bits; half of its smallest step keeps the numbers away from 0.
        return quantile(levels + 2.0**-31).to(device, dtype)

    return Source(
        lambda n: draw(n, n_features, dtype=dtype, device=device, generator=generator),
        quasi_sample if n_features <= torch.quasirandom.SobolEngine.MAXDIM else None,
        quantile,
        is_normal,
    )


def rows(
    x: Tensor,
    weight: Tensor | None = None,
    n_quasi: int | None = None,
    generator: torch.Generator | None = None,
) -> Source:
    """The distribution on the rows of a sample, shape (n, d), with weights that are positive; all equal if None.

    Rows are drawn with replacement. Without weights, quasi-random rows are drawn without replacement, so there are at
    most n of them. With weights, each row is drawn as often as its weight says, rounded up or down at random; there are
    at most ``n_quasi`` of them. If the weights are integers with this sum, all of them are as many equal rows. Rows
    are drawn with ``generator``, or with torch's global one if it is None.
    """
    options = {"device": x.device, "generator": generator}
    if weight is None:
        return Source(
            lambda n: x[torch.randint(len(x), (n,), **options)],
            lambda n: x[torch.randperm(len(x), **options)[:n]],
        )
    ends = weight.double().cumsum(0)

    def at(levels):
        return x[torch.searchsorted(ends[:-1], levels * ends[-1], right=True)]

    def quasi_sample(n):
        n = n if n_quasi is None else min(n, n_quasi)
        order = torch.randperm(n, **options).to(ends)
        return at((order + torch.rand((), dtype=ends.dtype, **options)) / n)

    return Source(lambda n: at(torch.rand(n, dtype=ends.dtype, **options)), quasi_sample)


def pushforward(source: Source, function: Callable[[Tensor], Tensor]) -> Source:
    """The distribution of the images of the rows of a source under a function of tensors."""
    quasi_sample = source.quasi_sample
    return Source(
        lambda n: function(source.sample(n)),
        None if quasi_sample is None else lambda n: function(quasi_sample(n)),
    )


def read_source(source: Source | str, points: Tensor, generator: torch.Generator | None = None) -> Source:
    """Read a source: a `Source`, or a key of `SOURCES` for rows with the features, dtype and device of points.

    Raises
    ------
    ValueError
        If ``source`` is neither of them.
    """
    if isinstance(source, Source):
        return source
    if not isinstance(source, str) or source not in SOURCES:
        raise ValueError(f"The source must be a Source or one of {', '.join(SOURCES)}, got {source!r}.")
    return SOURCES[source](points.shape[1], dtype=points.dtype, device=points.device, generator=generator)


def source_of(
    source, points: Tensor, random_state: np.random.RandomState, generator: torch.Generator | None = None
) -> Source:
    """Make a `Source` of anything that can be sampled, with the features, dtype and device of points.

    Parameters
    ----------
    source : str, callable, array-like, Source or object
        * The rows of a `Source` are converted to the dtype and device of points. Its sequence of quasi-random rows goes
          on where it was, and so does its generator of independent rows, if it has one. Equal seeds therefore give
          equal rows only with a new `Source`.
        * A name is a key of `SOURCES`; its rows are drawn with ``generator``.
        * A callable takes a number n and a `numpy.random.Generator`, and returns n rows.
        * Rows of an array-like (an array, a list of rows, a tensor or a DataFrame) are drawn with ``generator``, see
          `rows`.
        * An object with a method ``sample(n, random_state=...)`` is sampled by this method: a fitted generator of this
          package, `sklearn.neighbors.KernelDensity`. If the method has no argument ``random_state`` but the object has
          this attribute, like `sklearn.mixture.GaussianMixture`, it is set on a copy of the object. If the method
          returns a pair (rows, labels), the rows are taken in random order, because a mixture sorts its rows by
          component. A `sklearn.frozen.FrozenEstimator` is replaced by its estimator.
        * A frozen distribution of `scipy.stats` is sampled by ``rvs``, and a distribution like `scipy.stats.Normal` by
          ``sample(shape, rng=...)``; a continuous one of one feature also has quantiles.
        * A `scipy.stats.gaussian_kde` is sampled by ``resample``.
    points : Tensor of shape (n, d)
        Rows with the features, dtype and device of the source.
    random_state : RandomState
        Draws the rows, unless torch's generator does.
    generator : torch.Generator, default=None
        Torch's generator; its global one if None.

    Returns
    -------
    source : Source
        The source. Every draw is checked: its shape must be right and its numbers finite.

    Raises
    ------
    ValueError
        If ``source`` cannot be sampled, or cannot be seeded.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from scipy import stats
    >>> from sklearn_ot.solvers.sources import source_of
    >>> source = source_of(stats.expon(), torch.zeros(1, 1, dtype=torch.float64), np.random.RandomState(0))
    >>> source.sample(2).shape, source.quantile(torch.tensor([0.5], dtype=torch.float64))
    (torch.Size([2, 1]), tensor([0.6931], dtype=torch.float64))
    """
    if isinstance(source, str):
        return read_source(source, points, generator)
    if isinstance(source, Source):
        converted = pushforward(source, lambda x: x.to(points))
        return replace(source, sample=converted.sample, quasi_sample=converted.quasi_sample)
    # A DataFrame has a method `sample`, but it is no model.
    if isinstance(source, list | tuple) or hasattr(source, "__array__"):
        return rows(_checked(source, len(source), points), generator=generator)
    if isinstance(source, FrozenEstimator):
        source = source.estimator
    quantile = None
    if hasattr(source, "rvs"):
        draw = lambda n: np.reshape(source.rvs(size=n, random_state=random_state), (n, -1))  # noqa: E731
        if isinstance(getattr(source, "dist", None), stats.rv_continuous):
            quantile = lambda level: torch.as_tensor(source.ppf(level.cpu().numpy())).to(level)  # noqa: E731
    elif isinstance(source, stats.gaussian_kde):
        draw = lambda n: source.resample(n, seed=random_state).T  # noqa: E731
    elif hasattr(source, "sample"):
        draw, quantile = _seeded(source, random_state), _quantile_of(source)
    elif callable(source):
        generator = np.random.default_rng(random_state.randint(2**31))
        draw = lambda n: source(n, generator)  # noqa: E731
    else:
        raise ValueError(f"The source {source!r} cannot be sampled: give a name, a function, rows or a fitted model.")
    return Source(lambda n: _checked(draw(n), n, points), quantile=quantile)


def _seeded(model, random_state):
    """A function of n that draws rows from an object with a method ``sample``."""
    if _takes(model.sample, "random_state"):
        return lambda n: _first(model.sample(n, random_state=random_state))
    if _takes(model.sample, "rng"):
        generator = np.random.default_rng(random_state.randint(2**31))
        return lambda n: np.reshape(model.sample(n, rng=generator), (n, -1))
    if not hasattr(model, "random_state"):
        raise ValueError(
            f"The source {model!r} cannot be seeded: its method must be sample(n, random_state=...) or "
            "sample(n, rng=...). Give a function of n and a numpy.random.Generator."
        )
    model = copy.copy(model)
    model.random_state = random_state
    if getattr(model, "covariance_type", None) in ("full", "tied") and hasattr(model, "covariances_"):
        # NumPy compares covariances with their factors to more digits than float32 has, and warns of the difference.
        covariances = np.asarray(model.covariances_, dtype=np.float64)
        model.covariances_ = (covariances + np.swapaxes(covariances, -1, -2)) / 2
    return lambda n: random_state.permutation(_first(model.sample(n)))


def _takes(method, name):
    """Whether a method can be called with a number and an argument of this name."""
    try:
        inspect.signature(method).bind(1, **{name: None})
    except TypeError:
        return False
    return True


def _quantile_of(model):
    """The quantile function of a continuous distribution with methods ``icdf`` and ``cdf``; None for other models."""
    if not (hasattr(model, "icdf") and hasattr(model, "cdf")):
        return None
    level = np.array([0.1, 0.3, 0.7])
    # The distribution function of a discrete distribution is above most levels at their quantiles.
    try:
        is_continuous = np.allclose(model.cdf(model.icdf(level)), level)
    except ValueError:  # the parameters are arrays of another shape: the distribution has several features
        return None
    return (lambda level: torch.as_tensor(model.icdf(level.cpu().numpy())).to(level)) if is_continuous else None


def _first(drawn):
    return drawn[0] if isinstance(drawn, tuple) else drawn


def _checked(drawn, n, points):
    """Check the drawn rows, and make them a tensor with the dtype and device of points."""
    if isinstance(drawn, Tensor):
        drawn = drawn.detach().cpu()
    drawn = check_array(drawn, dtype=[np.float64, np.float32], input_name="The rows of source")
    shape = (n, points.shape[1])
    if drawn.shape != shape:
        raise ValueError(
            f"The rows of source have shape {drawn.shape}, but {shape} is needed: n rows with the features "
            "of the points."
        )
    return to_tensor(drawn, points.dtype, points.device)


def even_noise(n_batches, n_rows, n_features, device="cpu", generator=None):
    """Draw normal rows of shape (n_batches, n_rows, n_features), spread evenly within each batch up to 8 features.

    Each row is normal, and the batches are independent of each other. The rows of a batch are normal quantiles of a
    Kronecker sequence of the generalised golden ratio with a random shift [Roberts18]_, so that means over a batch vary
    far less than means over independent rows. Above 8 features the rows are independent.

    References
    ----------
    .. [Roberts18] M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018.
    """
    options = {"dtype": torch.float32, "device": device, "generator": generator}
    if n_features > MAX_EVEN_FEATURES:
        return torch.randn(n_batches, n_rows, n_features, **options)
    sequence = _kronecker_sequence(n_rows, n_features).to(device)
    shifted = (sequence + torch.rand(n_batches, 1, n_features, **options)).frac()
    # Half a step of float32 away from 0 and 1.
    return torch.special.ndtri(shifted.clamp(2**-24, 1 - 2**-24))


@lru_cache
def _kronecker_sequence(n_rows, n_features):
    ratio = 2.0
    for _ in range(60):  # to the root of x^(n_features + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (n_features + 1))
    options = {"dtype": torch.float64, "device": "cpu"}
    step = torch.tensor([ratio**-k for k in range(1, n_features + 1)], **options)
    return (torch.arange(n_rows, **options)[:, None] * step).frac().float()

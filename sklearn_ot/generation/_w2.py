"""W2Generator: the optimal map from noise to the rows, which can be inverted."""

import copy
from dataclasses import KW_ONLY, dataclass
from os import PathLike
from typing import ClassVar

import numpy as np
import torch
from sklearn import config_context
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from sklearn_ot.base import (
    CHECKPOINT,
    FLOAT_DTYPES,
    BaseGenerator,
    documented,
    finite,
    fit_units,
    kept_units,
    random_source,
    rows_of_tensor,
    seeded,
    validated,
)
from sklearn_ot.certificates import Certificate, certify, check_certificate, warn_seen
from sklearn_ot.checks import check_weight
from sklearn_ot.nn import Chain
from sklearn_ot.solvers.gap import Side
from sklearn_ot.solvers.sources import source_of
from sklearn_ot.transport import W2Transport

# Number of rows of noise for each row of the data, within limits, and the largest number of numbers.
NOISE_ROWS, FEWEST_NOISE_ROWS, MOST_NOISE_ROWS, MOST_NOISE_NUMBERS = 10, 10_000, 50_000, 2**25


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class W2Generator(BaseGenerator):
    r"""A generator that maps noise to rows by the optimal map of the squared cost, which has an inverse.

    The map is :math:`T = \nabla\psi` with a convex ψ, of a `W2Transport` from noise to the training rows. It is a
    bijection: `encode_noise` finds the noise of a row and `decode_noise` the row of noise. There is no game between two
    networks, and a fit that ends early has at least the mean and the covariance of the rows.

    A smooth map of normal noise cannot tear a cloud into clusters, so that samples fall between them. With a mixture as
    ``source`` the noise has the clusters already, and the map corrects their shapes.

    Parameters
    ----------
    source : object with the methods ``fit`` and ``sample``, or None, default=None
        The distribution of the noise; None is the standard normal. An estimator such as
        `sklearn.mixture.GaussianMixture` or `sklearn.neighbors.KernelDensity` is copied, fitted to the training rows in
        ``coordinates_``, and sampled.
    transport : W2Transport, default=None
        The transport, with its networks, solver, number of steps, device and callbacks; ``W2Transport()`` if None. It
        is copied. Its ``warm_start`` continues the map of the previous fit, with the same source and ``coordinates_``.
    scaling : {"columns", "common"}, default="columns"
        How the training rows are brought to size 1 before the transport, also in ``score``. "columns" gives each column
        its own scale, as tables need, whose columns have different units; see
        `sklearn_ot.solvers.units.UnitCoordinates.of_columns`. "common" gives all columns one scale, as rows need whose
        distances have a meaning, such as principal components.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Draws the noise, and seeds ``source`` and ``transport`` if their own ``random_state`` is None. With None each
        fit has a new seed.

    Attributes
    ----------
    transport_ : W2Transport
        The fitted transport, from noise to rows in ``coordinates_``.
    source_ : object or None
        The fitted source.
    n_iter_ : int
        Number of gradient steps of the transport.
    history_ : list of dict
        The history of the transport, see `W2Transport`.
    coordinates_ : UnitCoordinates
        The units in which the transport works. Constant columns have no coordinate.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.

    See Also
    --------
    sklearn_ot.transport.W2Transport : The map between any two samples.
    sklearn_ot.representation.GenerativePipeline : A generator of codes, with a decoder.

    Notes
    -----
    The inverse is exact up to the ``conjugate_tol`` of the transport if its solver has an exact inverse.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sklearn_ot.generation import W2Generator
    >>> from sklearn_ot.networks import Convex
    >>> from sklearn_ot.transport import W2Transport
    >>> X = np.exp(np.random.RandomState(0).randn(500, 1) / 2)
    >>> generator = W2Generator(transport=W2Transport(network=Convex((16,)), max_iter=300), random_state=0)
    >>> with warnings.catch_warnings(action="ignore"):  # 300 steps are few
    ...     noise = generator.fit(X).encode_noise(X)
    >>> bool(abs(noise.mean()) < 0.1), bool(abs(noise.std() - 1) < 0.1)
    (True, True)
    >>> np.allclose(generator.decode_noise(noise), X, atol=1e-2)
    True
    """

    source: object = None
    _: KW_ONLY
    transport: W2Transport | None = None
    scaling: str = "columns"
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict] = {
        "source": [HasMethods(["fit", "sample"]), None],
        "transport": [W2Transport, None],
        "scaling": [StrOptions({"columns", "common"})],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
    }

    def _units(self, sample):
        return kept_units(self, sample) if self._goes_on else fit_units(sample, self.scaling)

    @property
    def _goes_on(self):
        return self.transport is not None and self.transport.warm_start and hasattr(self, "transport_")

    def _fit(self, sample, rng):
        # The validation of this estimator does not include the parameters of the two others.
        with config_context(skip_parameter_validation=False):
            self._fit_parts(sample, rng)
        self.n_iter_, self.history_ = self.transport_.n_iter_, self.transport_.history_

    def _fit_parts(self, sample, rng):
        seeds = rng.randint(2**31, size=2)
        merged = sample.merged()
        merged = merged._replace(rows=self.coordinates_.to_coordinates(merged.rows))
        transport = seeded(W2Transport() if self.transport is None else self.transport, seeds[0])
        if self._goes_on:
            transport = copy.deepcopy(self.transport_).set_params(**transport.get_params(deep=False))
        else:
            self.source_ = None if self.source is None else self._fit_source(merged, seeds[1], rng)
        n_rows = int(np.clip(NOISE_ROWS * sample.size, FEWEST_NOISE_ROWS, MOST_NOISE_ROWS))
        n_rows = max(2, min(n_rows, MOST_NOISE_NUMBERS // self.coordinates_.n_axes))
        noise = self._noise(n_rows, rng).astype(sample.rows.dtype)
        is_unweighted = merged.size == len(merged.rows)
        # The choice of containers for all estimators would give DataFrames.
        self.transport_ = transport.set_output(transform="default").fit(
            noise, X_target=merged.rows, target_weight=None if is_unweighted else merged.count
        )

    def _fit_source(self, sample, seed, rng):
        """A copy of the source, fitted to rows in coordinates, which are repeated if it takes no weights."""
        source = seeded(self.source, seed)
        if sample.weight is None:
            return source.fit(sample.rows)
        if has_fit_parameter(source, "sample_weight"):
            return source.fit(sample.rows, sample_weight=sample.count)
        return source.fit(sample.draw(max(round(sample.size), FEWEST_NOISE_ROWS), rng))

    def _noise(self, n_samples, rng):
        if self.source_ is None:
            return rng.standard_normal((n_samples, self.coordinates_.n_axes))
        like = torch.zeros(1, self.coordinates_.n_axes, dtype=torch.float64)
        return source_of(self.source_, like, rng).sample(n_samples).numpy()

    def _sample(self, n_samples, rng):
        return self._rows(*self._noise_arguments(n_samples, rng))

    @property
    def _noise_shape(self):
        return self.coordinates_.n_axes, 0

    def _noise_arguments(self, n_samples, rng):
        return (self._noise(n_samples, rng).astype(self._dtype, copy=False),)

    def _module(self, inverse):
        potentials = self.transport_.potentials_
        if inverse:
            return Chain(self.coordinates_.to_torch("to_coordinates"), potentials.to_torch(inverse=True))
        return Chain(potentials.to_torch(), self.coordinates_.to_torch("from_coordinates"))

    def _rows(self, noise):
        return self.coordinates_.from_coordinates(self.transport_.transform(noise))

    def certificate(
        self, X, *, confidence=0.95, plan_size=10_000, sample_weight=None, random_state=None
    ) -> Certificate:
        """Bounds and estimates of the distance between samples and data, and of the error of the map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Independent rows of the data that ``fit`` has not seen.
        confidence, plan_size : float, int
            See `sklearn_ot.transport.W2Transport.certificate`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None.
        random_state : int, RandomState instance or None, default=None
            Draws the noise, ``plan_size`` rows of it.

        Returns
        -------
        certificate : Certificate
            The certificate of ``transport_``, see `sklearn_ot.transport.W2Transport.certificate`: P is the noise, Q the
            data and T#P the distribution of samples. Lengths are in ``coordinates_``, where the data have size 1.
        """
        check_is_fitted(self)
        check_certificate(confidence, plan_size)
        X = validated(self, X)
        mass = check_weight(sample_weight, len(X))
        noise = self._noise(plan_size, random_source(random_state)).astype(self._dtype)
        source = Side.of(noise, np.full(plan_size, 1 / plan_size))
        target = Side.of(self.coordinates_.to_coordinates(X), mass)
        warn_seen(target.rows, self.transport_.target_reference_, "X")
        potentials, name = self.transport_.potentials_, type(self).__name__
        return certify(name, potentials, source, target, confidence, plan_size, names=("noise", "X"))

    def encode_noise(self, X):
        """The noise of rows, by the inverse map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        noise : ndarray of shape (n_samples, n_axes)
            Their preimages, which have about the distribution of the noise if the rows have that of the training rows,
            in the dtype of ``X`` if it is a float dtype, else float64. There is one column for each column of ``X``
            that varies.
        """
        check_is_fitted(self)
        X = validated(self, X)
        return self.transport_.inverse_transform(self.coordinates_.to_coordinates(X))

    def decode_noise(self, noise):
        """The rows of given noise, by the map.

        Parameters
        ----------
        noise : array-like of shape (n_samples, n_axes)
            Noise, see `encode_noise`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in the units of the training data.
        """
        check_is_fitted(self)
        noise = check_array(rows_of_tensor(noise), dtype=FLOAT_DTYPES, input_name="noise", force_writeable=True)
        return finite(self._rows(noise), "The rows of noise")

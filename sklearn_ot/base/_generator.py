"""Base class of generators."""

from abc import ABCMeta, abstractmethod
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._set_output import _get_container_adapter
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base._documentation import DocumentationLink
from sklearn_ot.base._fitting import FLOAT_DTYPES, MAX_REFERENCE_ROWS, all_or_nothing, random_source, warn_far
from sklearn_ot.base._reading import rows_for_fit
from sklearn_ot.base._resume import resumable
from sklearn_ot.base._rows import rows_of_tensor, validated
from sklearn_ot.base._to_torch import ToTorch, finished
from sklearn_ot.base._transport import weighted_sample
from sklearn_ot.checks import check_n_samples, check_weight
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.nn import FittedGenerator
from sklearn_ot.plain import PlainState
from sklearn_ot.solvers.units import UnitCoordinates

# Largest number of the training rows in terms of that of their dtype, so that samples can be larger.
SPARE = 1e-4


class BaseGenerator(DocumentationLink, PlainState, ToTorch, OneToOneFeatureMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of estimators that draw new rows with the distribution of their training rows.

    A subclass writes ``_fit(sample, rng)`` and ``_sample(n_samples, rng)``. ``_fit`` gets the validated rows with their
    weights, a `sklearn_ot.solvers.samples.Sample`, and the RandomState ``rng`` of this fit. A subclass with labels or
    other arguments writes its own ``fit`` and ``sample``. If it passes labels of the rows to ``_fit_rows`` as ``y``,
    then ``_fit`` gets them as the keyword ``y``; keyword arguments of ``_draw_rows`` reach ``_sample``. Scores are
    computed in ``coordinates_``, which ``_units(sample)`` chooses.

    Attributes
    ----------
    coordinates_ : UnitCoordinates
        The units of scores: columns of size 1.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.
    """

    _parameter_constraints: ClassVar[dict] = {}

    @abstractmethod
    def _fit(self, sample, rng):
        """Learn the distribution of a sample."""

    @abstractmethod
    def _sample(self, n_samples, rng):
        """Draw rows."""

    def _units(self, sample):
        """The coordinates in which scores are computed; by default each column has its own scale."""
        return UnitCoordinates.of_columns(sample.rows, sample.mass)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the distribution of the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored, present for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None. Integer weights have the effect of as many equal rows.

        Returns
        -------
        self : object
            The fitted generator.

        Raises
        ------
        ValueError
            If the rows, the weights or a parameter are unusable; the estimator then keeps its previous state.
        """
        return self._fit_rows(X, sample_weight)

    def _fit_rows(self, X, sample_weight=None, y=None):
        with all_or_nothing(self):
            rng = random_source(getattr(self, "random_state", 0))
            X, y, sample_weight = rows_for_fit(rng, X=X, y=y, sample_weight=sample_weight)
            X = validate_data(self, rows_of_tensor(X), dtype=FLOAT_DTYPES, ensure_min_samples=2)
            self.n_samples_seen_ = len(X)
            sample = weighted_sample(X, sample_weight, "sample_weight", "X", 2)
            warn_far(self, X=(X, sample_weight))
            labels = {} if y is None else {"y": _labels(y, len(X))[check_weight(sample_weight, len(X)) > 0]}
            _check_size(X)
            with resumable(self, rng, X, sample_weight, labels):
                # Of merged rows, whose sums do not depend on the order of the rows.
                self.coordinates_ = self._units(sample.merged())
                self._fit(sample, rng, **labels)
            self._dtype = X.dtype
        return self

    def sample(self, n_samples=1, random_state=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Draws the rows. With an int, each call gives the same rows. With None, each call gives new rows, and NumPy's
            global random state is neither read nor changed.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            The rows, in the units and in the float dtype of the training data; a DataFrame after `set_output`.
        """
        return self._contained(self._draw_rows(n_samples, random_state))

    def set_output(self, *, transform=None):
        """Choose whether `sample` returns arrays or DataFrames.

        A DataFrame has the columns of the training data. The choice for all estimators,
        ``sklearn.set_config(transform_output="pandas")``, holds here as well.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            The container of rows; "default" is an array. None changes nothing. The name of the parameter is that of
            transformers.

        Returns
        -------
        self : object
            The generator.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def draw_noise(self, n_samples=1, random_state=None):
        """The noise from which `sample` with the same arguments makes its rows.

        Parameters
        ----------
        n_samples, random_state : object
            As in `sample`.

        Returns
        -------
        arguments : tuple of ndarray
            The arguments of the module of `to_torch`: the noise, of shape (n_samples, latent_dim).
        """
        return self._draw_noise(n_samples, random_state)

    def _draw_noise(self, n_samples, random_state, **sample_params):
        check_is_fitted(self)
        check_n_samples(n_samples)
        return self._noise_arguments(n_samples, random_source(random_state), **sample_params)

    def _noise_arguments(self, n_samples, rng):
        """The noise of rows, as the arguments of the module."""
        raise NotImplementedError(f"{type(self).__name__} has no torch module: write _noise_arguments(n_samples, rng).")

    def to_torch(self, inverse=False):
        """The fitted generator as a torch module, from noise to rows in the units of the data.

        Parameters
        ----------
        inverse : bool, default=False
            Whether to return the inverse map, from rows to noise, of a generator that has one.

        Returns
        -------
        module : sklearn_ot.nn.FittedGenerator or sklearn_ot.nn.FittedMap
            ``module(noise)``, or ``module(noise, labels)`` with the numbers of classes in ``classes_`` or one-hot
            labels, in float32 and on the CPU. Noise has shape (..., ``module.latent_dim``) and the distribution of
            `draw_noise`: N(0, I), unless the generator has a source of its own. The module holds no part of the
            estimator, stays in evaluation mode, and its weights get no gradient. Rows can be differentiated in the
            noise, also by `torch.func`.

            An inverse is a search: it returns a pair `sklearn_ot.nn.Inversion` of ``rows``, the noise, and
            ``residual``, see `sklearn_ot.transport.W2Transport`.

        Raises
        ------
        ValueError
            If ``inverse`` is True and the generator has no inverse.
        """
        if inverse:
            return self._to_torch(inverse)
        check_is_fitted(self)
        latent_dim, n_classes = self._noise_shape
        return finished(self._module(inverse), latent_dim, FittedGenerator, n_classes=n_classes)

    @property
    def _is_invertible(self):
        return hasattr(self, "encode_noise")

    def _contained(self, rows):
        """Rows in the container that the user has chosen."""
        return contained(self, rows, self.get_feature_names_out)

    def _draw_rows(self, n_samples, random_state, **sample_params):
        check_is_fitted(self)
        check_n_samples(n_samples)
        rows = self._sample(n_samples, random_source(random_state), **sample_params)
        return rows.astype(self._dtype, copy=False)

    def score(self, X, y=None, sample_weight=None):
        """Minus the squared sliced Wasserstein-2 distance between a sample of the generator and ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the data, if possible rows that were not in ``fit``.
        y : None
            Ignored, present for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Minus the squared distance, without the factor ½; higher is better. It is computed in ``coordinates_``, in
            which the training rows have size 1, so that it does not depend on the units of the data. Two finite samples
            of the same distribution have a score slightly below 0. The sample of 4096 rows and the projections are
            fixed, so equal arguments give equal scores.
        """
        check_is_fitted(self)
        X = validated(self, X)
        weight = check_weight(sample_weight, len(X))
        return self._score_rows(self._draw_rows(MAX_REFERENCE_ROWS, random_state=0), X, weight)

    def _score_rows(self, rows, X, weight=None):
        return sliced_score(self.coordinates_, rows, X, weight)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_dtype")


def contained(estimator, rows, names):
    """Rows in the container that the user has chosen by `set_output` of the estimator, or for all estimators.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    rows : ndarray of shape (n_samples, n_features)
        The rows.
    names : array-like of str, or callable
        Names of the columns.

    Returns
    -------
    rows : ndarray or DataFrame of shape (n_samples, n_features)
        The rows.
    """
    adapter = _get_container_adapter("transform", estimator)
    return rows if adapter is None else adapter.create_container(rows, rows, names)


def sliced_score(coordinates, rows, X, weight=None):
    """Minus the squared sliced Wasserstein-2 distance between samples and rows of the data.

    Parameters
    ----------
    coordinates : UnitCoordinates
        The units of the distance.
    rows, X : ndarray of shape (n_samples, n_features)
        Samples, and rows of the data.
    weight : ndarray, default=None
        Weights of ``X``.

    Returns
    -------
    score : float
        0 is perfect. The projections are fixed.
    """
    rows, X = coordinates.to_coordinates(rows), coordinates.to_coordinates(X)
    return -(sliced_wasserstein_distance(rows, X, target_weight=weight, random_state=0) ** 2)


def _labels(y, n_rows):
    """Labels of rows as an array of one dimension; a ValueError if there is not one for each row."""
    y = column_or_1d(y, warn=True)
    if len(y) != n_rows:
        raise ValueError(f"y has {len(y)} labels, but X has {n_rows} rows: give one label per row.")
    return y


def _check_size(X):
    """Raise a ValueError if larger samples than the rows would not be numbers of their dtype."""
    largest, limit = np.abs(X).max(), SPARE * np.finfo(X.dtype).max
    if largest > limit:
        raise ValueError(
            f"X has numbers up to {largest:.3g}, and samples may be larger, but {X.dtype} ends at {limit / SPARE:.3g}. "
            f"Divide X by a unit, so that its numbers are below {limit:.3g}."
        )

"""Base class of generators."""

from abc import ABCMeta, abstractmethod
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base._fitting import FLOAT_DTYPES, MAX_REFERENCE_ROWS, all_or_nothing, random_source
from sklearn_ot.checks import check_n_samples, check_weight
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.settings import OwnSettings


class BaseGenerator(OwnSettings, BaseEstimator, metaclass=ABCMeta):
    """Base class of estimators that draw new rows with the distribution of their training rows.

    A subclass writes ``_fit(X, sample_weight, rng)`` and ``_sample(n_samples, rng)``. ``_fit`` gets validated arrays
    and the RandomState ``rng`` of this fit. ``sample_weight`` is None if all weights are equal, else positive with sum
    1: rows of weight 0 are removed before. A subclass with labels or other arguments writes its own ``fit`` and
    ``sample``. If it passes labels of the rows to ``_fit_rows`` as ``y``, then ``_fit`` gets them as the keyword ``y``;
    keyword arguments of ``_draw_rows`` reach ``_sample``.

    Attributes
    ----------
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.
    """

    _parameter_constraints: ClassVar[dict] = {}

    @abstractmethod
    def _fit(self, X, sample_weight, rng):
        """Learn the distribution of validated rows."""

    @abstractmethod
    def _sample(self, n_samples, rng):
        """Draw rows."""

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
            Weights of the rows, 0 or more; all equal if None.

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
            X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_min_samples=2)
            y = None if y is None else column_or_1d(y, warn=True)
            check_consistent_length(X, y)
            if sample_weight is not None:
                sample_weight = check_weight(sample_weight, len(X))
                used = sample_weight > 0
                if np.count_nonzero(used) < 2:
                    raise ValueError(
                        f"sample_weight leaves {np.count_nonzero(used)} of {len(X)} rows with a positive weight; a "
                        "generator needs 2 or more."
                    )
                X, sample_weight = X[used], sample_weight[used]
                y = None if y is None else y[used]
                if np.ptp(sample_weight) == 0:
                    sample_weight = None
            labels = {} if y is None else {"y": y}
            self._fit(X, sample_weight, random_source(getattr(self, "random_state", 0)), **labels)
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
        X : ndarray of shape (n_samples, n_features)
            The rows, in the units and in the float dtype of the training data.
        """
        return self._draw_rows(n_samples, random_state)

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
            Minus the squared distance, in squared units of the data and without the factor ½; higher is better. Two
            finite samples of the same distribution have a score slightly below 0. The sample of 4096 rows and the
            projections are fixed, so equal arguments give equal scores.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        weight = check_weight(sample_weight, len(X))
        rows = self.sample(MAX_REFERENCE_ROWS, random_state=0)
        return -(sliced_wasserstein_distance(rows, X, target_weight=weight, random_state=0) ** 2)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_dtype")

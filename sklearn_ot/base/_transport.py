"""The contract of a transport: a map that carries a source sample onto a target sample."""

from abc import ABCMeta, abstractmethod
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, _fit_context
from sklearn.utils import check_array
from sklearn.utils.validation import _get_feature_names, check_is_fitted, validate_data

from sklearn_ot.base._fitting import FLOAT_DTYPES, all_or_nothing, draw_reference, random_source, warn_user
from sklearn_ot.exceptions import MissingTargetWarning
from sklearn_ot.metrics import sliced_wasserstein_distance


class BaseTransport(OneToOneFeatureMixin, TransformerMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of maps that carry a source sample onto a target sample.

    A subclass writes ``_fit(X, target, rng)`` and ``_transform(X)`` on validated arrays; ``target`` is an array of
    the dtype of ``X``, or None for the standard normal N(0, I), and ``rng`` the RandomState of this fit. A subclass
    whose ``fit`` takes more arguments hands them to ``_fit_rows``, which passes them on to ``_fit`` by name. Reading
    and checking the other arguments, and leaving nothing half-fitted, is done here.

    Attributes
    ----------
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if the source was given as a DataFrame.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Rows of the target that `score` compares with when it is given none.
    """

    # Requested by default, so that nobody has to call set_fit_request.
    __metadata_request__fit: ClassVar[dict] = {"X_target": True}
    __metadata_request__score: ClassVar[dict] = {"X_target": True}
    _parameter_constraints: ClassVar[dict] = {}

    @abstractmethod
    def _fit(self, X, target, rng):
        """Learn the map from validated arrays; ``target`` None means N(0, I)."""

    @abstractmethod
    def _transform(self, X):
        """Map validated rows."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, X_target=None):
        """Learn the map from the source ``X`` to the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source sample.
        y : array-like, default=None
            With two dimensions, the target sample (the short form ``fit(Xs, Xt)``); with one, labels of the source,
            which a map does not use.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target sample; any number of rows. Without a target the standard normal N(0, I) is the target, and
            ``inverse_transform`` of noise then generates rows like ``X``.

        Returns
        -------
        self : object
            The fitted transport.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable; the estimator is then left as it was.
        """
        return self._fit_rows(X, y, X_target)

    def _fit_rows(self, X, y, X_target, **fit_params):
        with all_or_nothing(self):
            X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_min_samples=2)
            target = self._validate_target(X, y, X_target)
            rng = random_source(getattr(self, "random_state", 0))
            self._fit(X, target, rng, **fit_params)
            self.target_reference_ = draw_reference(X, target, rng)
        return self

    def transform(self, X):
        """Map source rows to the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows, seen in ``fit`` or not.

        Returns
        -------
        X_mapped : ndarray of shape (n_samples, n_features)
            Their images, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        return self._transform(validate_data(self, X, dtype=FLOAT_DTYPES, reset=False))

    def interpolate(self, X, t=0.5):
        """Displacement interpolation: move source rows a part of the way along their transport rays.

        .. math:: X_t = (1 - t) X + t\\, T(X)

        With the optimal map of the squared cost, this is the geodesic of the Wasserstein-2 space [McCann97]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        t : float or array-like of shape (n_times,), default=0.5
            Time, 0 (source) to 1 (target).

        Returns
        -------
        X_t : ndarray of shape (n_samples, n_features) or (n_times, n_samples, n_features)
            The rows at time ``t``; one block per time if ``t`` is an array.

        References
        ----------
        .. [McCann97] R. J. McCann, "A convexity principle for interacting gases", Advances in Mathematics, 1997.
        """
        t = np.asarray(t, dtype=float)
        if t.ndim > 1 or not np.all((t >= 0) & (t <= 1)):
            raise ValueError(f"t must be a number or a 1-d array of numbers between 0 and 1, got {t!r}.")
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        t = t.astype(X.dtype)[..., None, None]
        return (1 - t) * X + t * self._transform(X)

    def score(self, X, y=None, sample_weight=None, *, X_target=None):
        """Minus the squared sliced Wasserstein-2 distance between ``transform(X)`` and the target.

        A match score: it sees whether the image looks like the target, not whether the map is optimal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like, default=None
            With two dimensions, the target rows to compare with; else ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of ``X``.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows to compare with; those of ``fit`` if None.

        Returns
        -------
        score : float
            Minus the squared distance, without the factor ½; 0 is perfect, higher is better. The projections are
            fixed, so equal arguments give equal scores.
        """
        check_is_fitted(self)
        # Not transform, which may be configured to give a DataFrame.
        mapped = self._transform(validate_data(self, X, dtype=FLOAT_DTYPES, reset=False))
        target = self._read_target(mapped, y, X_target)
        if target is None:
            target = self.target_reference_
        return -(sliced_wasserstein_distance(mapped, target, sample_weight=sample_weight, random_state=0) ** 2)

    def _validate_target(self, X, y, X_target):
        """The target of ``fit`` as an array, or None for N(0, I), with a warning if it was probably forgotten."""
        target = self._read_target(X, y, X_target)
        if target is None and y is not None:
            warn_user(
                f"{type(self).__name__}.fit got a 1-d y and no X_target: y is taken as labels, which the map does not "
                "use, and the standard normal is the target. Pass X_target=... (or a 2-d y) to transport to a sample, "
                "or y=None to silence this.",
                MissingTargetWarning,
            )
        return target

    def _read_target(self, X, y, X_target):
        """``X_target``, else a two-dimensional ``y``, checked against the source; else None."""
        if X_target is None:
            # np.ndim would call __array_function__ on array-likes that refuse it.
            ndim = getattr(y, "ndim", None)
            if y is None or (np.asarray(y).ndim if ndim is None else ndim) != 2:
                return None
            X_target = y
        name = type(self).__name__
        hint = "A 2-d y is the target sample: pass labels as a 1-d y and the target as X_target=..."
        names = _get_feature_names(X_target)
        expected = getattr(self, "feature_names_in_", None)
        # Names are compared before shapes: a table of labels is then refused for what it is.
        if names is not None and expected is not None and list(names) != list(expected):
            raise ValueError(
                f"The columns of the target {list(names)[:5]} differ from those of the source {list(expected)[:5]}. "
                f"Give both the same columns in the same order. {hint}"
            )
        target = check_array(X_target, dtype=X.dtype, input_name="X_target", estimator=self)
        if len(target) < 2:
            raise ValueError(f"X_target has {len(target)} row; {name} needs a target sample of 2 rows or more.")
        if target.shape[1] != X.shape[1]:
            raise ValueError(f"X_target has {target.shape[1]} features, but the source has {X.shape[1]}. {hint}")
        return target

    def __sklearn_is_fitted__(self):
        return hasattr(self, "target_reference_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class InvertibleTransport(BaseTransport):
    """Base class of transports whose map has an inverse; a subclass writes ``_inverse_transform(X)`` as well."""

    @abstractmethod
    def _inverse_transform(self, X):
        """Map validated target rows back to the source."""

    def inverse_transform(self, X):
        """Map target rows back to the source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Target rows, seen in ``fit`` or not.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Their preimages, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        return self._inverse_transform(validate_data(self, X, dtype=FLOAT_DTYPES, reset=False))

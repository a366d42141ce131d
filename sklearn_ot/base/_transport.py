"""Base classes of transports."""

from abc import ABCMeta, abstractmethod
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, _fit_context
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import _get_feature_names, check_is_fitted, validate_data

from sklearn_ot.base._documentation import DocumentationLink
from sklearn_ot.base._fitting import FLOAT_DTYPES, all_or_nothing, draw_reference, random_source, warn_far, warn_user
from sklearn_ot.base._reach import Reach
from sklearn_ot.base._reading import rows_for_fit
from sklearn_ot.base._resume import resumable
from sklearn_ot.base._rows import rows_of_tensor, validated
from sklearn_ot.base._to_torch import ToTorch
from sklearn_ot.checks import check_rows, check_weight, number_of_axes
from sklearn_ot.exceptions import MissingTargetWarning
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.plain import PlainState
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.streams import by_blocks, is_streamed


class BaseTransport(
    DocumentationLink, PlainState, ToTorch, OneToOneFeatureMixin, TransformerMixin, BaseEstimator, metaclass=ABCMeta
):
    """Base class of maps that carry a source sample onto a target sample.

    A subclass writes ``_fit(source, target, rng)`` and ``_transform(X)``. ``source`` and ``target`` are samples of
    validated rows with weights, see `sklearn_ot.solvers.samples.Sample`; both have the same dtype. ``target`` is None
    for the standard normal N(0, I). ``rng`` is the RandomState of this fit. The base class reads and checks the
    arguments, and restores the estimator if a fit fails.

    Attributes
    ----------
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    """

    # The target is requested by default, so that users need not call set_fit_request.
    __metadata_request__fit: ClassVar[dict] = {"X_target": True, "target_weight": True}
    __metadata_request__score: ClassVar[dict] = {"X_target": True, "target_weight": True}
    # Requested only so that `fit_transform` can refuse it.
    __metadata_request__transform: ClassVar[dict] = {"sample_domain": True}
    _parameter_constraints: ClassVar[dict] = {}
    _min_samples = 2
    # Whether the image of a row that is far from those of the fit is an extrapolation.
    _extrapolates: ClassVar[bool] = True

    @abstractmethod
    def _fit(self, source, target, rng):
        """Learn the map between two samples; ``target`` None means N(0, I)."""

    @abstractmethod
    def _transform(self, X):
        """Map validated rows."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, X_target=None, sample_weight=None, target_weight=None):
        """Learn the map from the source ``X`` to the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source sample.
        y : array-like, default=None
            A two-dimensional ``y`` is the target sample (the short form ``fit(Xs, Xt)``). A one-dimensional ``y`` is
            taken as labels of the source, which are not used.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target sample; any number of rows. Without a target sample the target is the standard normal N(0, I), and
            ``inverse_transform`` of rows drawn from N(0, I) then generates rows like those of ``X``.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both samples, 0 or more; all equal if None. Integer weights have the effect of as
            many equal rows.

        Returns
        -------
        self : object
            The fitted transport.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable; the estimator then keeps its previous state.
        """
        with all_or_nothing(self):
            rng = random_source(getattr(self, "random_state", 0))
            # A 2-d y is a target, and no entries of the rows.
            if X_target is None and is_streamed(X, y) and number_of_axes(y) == 2:
                X_target, y = y, None
            X, y, sample_weight = rows_for_fit(rng, X=X, y=y, sample_weight=sample_weight)
            X_target, target_weight = rows_for_fit(rng, X_target=X_target, target_weight=target_weight)
            X = validate_data(self, rows_of_tensor(X), dtype=FLOAT_DTYPES, ensure_min_samples=self._min_samples)
            self.n_samples_seen_ = len(X)
            Y = self._validate_target(X, y, X_target)
            source, target = self._samples(X, Y, sample_weight, target_weight)
            # The points of a map from a given source are X themselves.
            warn_far(self, X=(X, sample_weight), X_target=(None if Y is X else Y, target_weight))
            labels = self._labels(X, y, X_target, sample_weight)
            with resumable(self, rng, X, Y, sample_weight, target_weight, labels):
                self._fit(source, target, rng, *labels)
            self._reach = Reach.of(source.rows)
            self.target_reference_ = self._draw_reference(source, target, rng)
        return self

    def fit_transform(self, X, y=None, *, sample_domain=None, **fit_params):
        """Learn the map, and map the source rows; see `fit` for the parameters.

        Parameters
        ----------
        X, y : array-likes
            As in `fit`.
        sample_domain : None
            The domains of rows of several domains, with which a pipeline of skada calls its steps; refused.
        **fit_params : dict
            Further arguments of `fit`.

        Returns
        -------
        X_mapped : ndarray of shape (n_samples, n_features)
            Images of the rows of ``X``.

        Raises
        ------
        ValueError
            If an argument is unusable, or the transport is a step of a pipeline of skada.
        """
        if sample_domain is not None:
            name = type(self).__name__
            raise ValueError(
                f"{name} got sample_domain: as a step of skada's make_da_pipeline it would be fitted to the rows of "
                f"all domains and move all of them. Use TransportAdapter({name}(...)) of sklearn_ot.adaptation.skada."
            )
        return super().fit_transform(X, y, **fit_params)

    def _labels(self, X, y, X_target, sample_weight):
        """The labels of the source as an argument of ``_fit``; nothing for a map that uses none, see `uses_labels`."""
        return ()

    def _samples(self, X, target, sample_weight, target_weight):
        """Both samples with their weights; None for the target N(0, I)."""
        source = weighted_sample(X, sample_weight, "sample_weight", "X", self._min_samples)
        if target is not None:
            return source, weighted_sample(target, target_weight, "target_weight", "X_target", 2)
        if target_weight is not None:
            raise ValueError("target_weight is given without a target sample: pass X_target=...")
        return source, None

    def _draw_reference(self, source, target, rng):
        """Target rows that `score` compares with when it is given none."""
        return draw_reference(source.rows, target, rng)

    @by_blocks
    def transform(self, X):
        """Map source rows to the target.

        A warning counts the rows that are far from those of ``fit``: more than ten times the range of their column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows, also rows that were not in ``fit``.

        Returns
        -------
        X_mapped : ndarray of shape (n_samples, n_features)
            Images of the rows, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        return self._images(validated(self, X))

    def _images(self, X):
        """Finite images of validated rows, with a warning of rows that are far from those of the fit."""
        self._warn_far(X, "rows of X", "Their images are an extrapolation. Are they in the units of fit?")
        return finite(self._transform(X), "The images of X")

    def _warn_far(self, rows, name, reason):
        # A transport from a pickle of an older version has no reach.
        if self._extrapolates and hasattr(self, "_reach"):
            self._reach.warn(self, rows, name, reason)

    def interpolate(self, X, t=0.5):
        """Move source rows a fraction of the way to their images (displacement interpolation).

        .. math:: X_t = (1 - t) X + t\\, T(X)

        For the optimal map of the squared cost, the distributions of :math:`X_t` are the geodesic of the Wasserstein-2
        space between source and target [McCann97]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        t : float or array-like of shape (n_times,), default=0.5
            The fraction, from 0 (source) to 1 (target).

        Returns
        -------
        X_t : ndarray of shape (n_samples, n_features) or (n_times, n_samples, n_features)
            The moved rows; if ``t`` is an array, one block of rows for each of its values.

        References
        ----------
        .. [McCann97] R. J. McCann, "A convexity principle for interacting gases", Advances in Mathematics, 1997.
        """
        t = np.asarray(t, dtype=float)
        if t.ndim > 1 or not np.all((t >= 0) & (t <= 1)):
            raise ValueError(f"t must be a number or a 1-d array of numbers between 0 and 1, got {t!r}.")
        check_is_fitted(self)
        X = validated(self, X)
        t = t.astype(X.dtype)[..., None, None]
        return (1 - t) * X + t * self._images(X)

    def score(self, X, y=None, sample_weight=None, *, X_target=None, target_weight=None):
        """Minus the squared sliced Wasserstein-2 distance between ``transform(X)`` and the target.

        The score measures whether the images have the distribution of the target, not whether the map is optimal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like, default=None
            A two-dimensional ``y`` holds the target rows for the comparison; any other ``y`` is ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of ``X``.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows for the comparison; rows of the target of ``fit`` if None.
        target_weight : array-like of shape (n_target_samples,), default=None
            Weights of the target rows for the comparison.

        Returns
        -------
        score : float
            Minus the squared distance, in squared units of the data and without the factor ½. 0 is perfect, higher is
            better. The projections are fixed, so equal arguments give equal scores.
        """
        check_is_fitted(self)
        # Not self.transform, which may be set to give a DataFrame.
        mapped = self._transform(validated(self, X))
        target = self._read_target(mapped, y, X_target)
        weight = check_weight(sample_weight, len(mapped))
        if target is None:
            if target_weight is not None:
                raise ValueError("target_weight is given without target rows: pass X_target=...")
            target = self.target_reference_
        target_weight = check_weight(target_weight, len(target), "target_weight", "X_target")
        distance = sliced_wasserstein_distance(
            mapped, target, sample_weight=weight, target_weight=target_weight, random_state=0
        )
        if distance > np.sqrt(np.finfo(float).max):
            raise ValueError(f"The images of X are {distance:.3g} from the target, whose square is no float.")
        return -(distance**2)

    def _validate_target(self, X, y, X_target):
        """The target of ``fit`` as an array, or None for N(0, I); warns if the target was probably forgotten."""
        target = self._read_target(X, y, X_target)
        if target is None and y is not None:
            warn_user(
                f"{type(self).__name__}.fit got a 1-d y and no X_target: y is taken as labels, which the map does not "
                "use, and the target is the standard normal distribution. Pass X_target=... (or a 2-d y) to transport "
                "to a sample, or y=None to silence this warning.",
                MissingTargetWarning,
            )
        return target

    def _read_target(self, X, y, X_target):
        """The target rows, ``X_target`` or a two-dimensional ``y``, checked against the source; None without them."""
        if X_target is None:
            if y is None or number_of_axes(y) != 2:
                return None
            X_target = y
        name = type(self).__name__
        hint = "A 2-d y is taken as the target sample: pass labels as a 1-d y, and the target as X_target=..."
        names = _get_feature_names(X_target)
        expected = getattr(self, "feature_names_in_", None)
        # Names are compared before shapes, so that the error for a table of labels shows its name and not its shape.
        if names is not None and expected is not None and list(names) != list(expected):
            raise ValueError(
                f"The columns of the target {list(names)[:5]} differ from those of the source {list(expected)[:5]}. "
                f"Give both the same columns in the same order. {hint}"
            )
        target = check_rows(rows_of_tensor(X_target), "X_target", dtype=X.dtype, estimator=self)
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


def uses_labels(transport):
    """Whether a transport needs labels of the rows that it moves: its tags say that it requires ``y``.

    `sklearn_ot.adaptation.DomainAdapter` gives labels to such a transport, as a 1-d ``y``. All others ignore them.

    Parameters
    ----------
    transport : estimator
        The transport, or a Pipeline with transports as steps.

    Returns
    -------
    answer : bool
        Whether it needs labels.
    """
    if isinstance(transport, Pipeline):
        return any(uses_labels(step) for _, step in transport.steps)
    return hasattr(transport, "__sklearn_tags__") and get_tags(transport).target_tags.required


def finite(rows, name):
    """The rows, if all their numbers are finite."""
    # No array of their size is needed, and a number that is NaN is the result of both.
    if len(rows) and not (np.isfinite(rows.max()) and np.isfinite(rows.min())):
        raise ValueError(
            f"{name} are not finite: they are beyond the range of {rows.dtype}. Divide the data by a unit."
        )
    return rows


def weighted_sample(X, weight, name, sample, min_rows):
    """A sample of the rows that have a positive weight, of which there must be ``min_rows``."""
    weighted = Sample.of(X, weight, name, sample)
    if len(weighted.rows) < min_rows:
        raise ValueError(
            f"{name} leaves {len(weighted.rows)} of {len(X)} rows of {sample} with a positive weight; at least "
            f"{min_rows} are needed."
        )
    return weighted


class InvertibleTransport(BaseTransport):
    """Base class of transports whose map has an inverse; a subclass also writes ``_inverse_transform(X)``."""

    @abstractmethod
    def _inverse_transform(self, X):
        """Map validated target rows to the source."""

    @by_blocks
    def inverse_transform(self, X):
        """Map target rows to the source, by the inverse map.

        A warning counts the preimages that are far from the source rows of ``fit``: more than ten times the range of
        their column. Rows have such preimages if they vary where the target of ``fit`` did not.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Target rows, also rows that were not in ``fit``.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Preimages of the rows, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        X = validated(self, X)
        preimages = finite(self._inverse_transform(X), "The preimages of X")
        reason = "Such rows vary where the target rows of fit hardly did, or are far from these."
        self._warn_far(preimages, "preimages", reason)
        return preimages

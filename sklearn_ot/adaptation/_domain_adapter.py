"""DomainAdapter: a transport between two domains, and an estimator that is fitted and used in one of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils import check_consistent_length, get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _estimator_has, check_is_fitted, validate_data

from sklearn_ot.base import FLOAT_DTYPES, all_or_nothing, draw_reference, warn_user
from sklearn_ot.exceptions import MissingTargetWarning
from sklearn_ot.solvers.samples import Sample


@dataclass(eq=False, repr=False)
class DomainAdapter(MetaEstimatorMixin, BaseEstimator):
    """Learn from a labelled source and predict an unlabelled target, with a transport between them.

    The source :math:`(X, y)` has labels, the target has none, and their distributions differ. A transport moves the
    rows of one domain onto the other, so that the training rows of the estimator and the rows to predict have the same
    distribution [Courty17]_. ``align`` names the domain whose rows are moved.

    Parameters
    ----------
    transport : estimator with ``fit(X, *, X_target)`` and ``transform(X)``
        The map, for example `sklearn_ot.transport.GaussianTransport`. The adapter fits a clone of it, without labels.
    estimator : classifier or regressor
        The estimator. The adapter fits a clone of it on the labelled rows.
    align : {"source", "target"}, default="source"
        The domain whose rows are moved. With "source", the transport is fitted from the source to the target, the
        estimator is fitted on moved source rows, and target rows are predicted without a move. With "target", the
        transport is fitted from the target to the source, the estimator is fitted on the source rows, and target rows
        are moved before they are predicted.

    Attributes
    ----------
    transport_ : estimator or None
        The fitted transport; None if ``fit`` got no target.
    estimator_ : estimator
        The fitted estimator.
    classes_ : ndarray of shape (n_classes,)
        The class labels, if the estimator is a classifier.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_) or None
        Target rows for the comparison in `transport_match`.
    n_features_in_ : int
        Number of features of both domains.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    transport_match : Scorer to choose the parameters of the transport.
    transported_source_accuracy : Scorer to choose the parameters of the estimator.

    Notes
    -----
    Do not put a transport and a classifier into a plain `sklearn.pipeline.Pipeline`: its ``predict`` would also
    transport the target rows, as if they came from the source. This raises no warning, and the predictions are no
    better than without a transport.

    A scaler can be a step of ``estimator``; the transport then gets the unscaled features. Or it can stand before the
    adapter; then it must scale the target too, which needs metadata routing and
    ``make_pipeline(StandardScaler(), DomainAdapter(...), transform_input=["X_target"])``. Without ``transform_input``
    the target is not scaled, and no warning says so.

    The default score of `sklearn.model_selection.GridSearchCV` treats held-out *source* rows as target rows, and so
    prefers a map that moves nothing. Use `transport_match` as the score, with `transported_source_accuracy` beside it.

    The transport and the estimator receive plain float arrays, also if the adapter gets DataFrames. With metadata
    routing enabled, metadata is routed to ``fit`` and ``transform`` of the transport and to all methods of the
    estimator; ``X_target`` and ``domain`` are requested by default.

    References
    ----------
    .. [Courty17] N. Courty, R. Flamary, D. Tuia and A. Rakotomamonjy, "Optimal transport for domain adaptation", IEEE
       Transactions on Pattern Analysis and Machine Intelligence, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_ot.adaptation import DomainAdapter
    >>> from sklearn_ot.transport import GaussianTransport
    >>> Xs, ys = make_moons(500, noise=0.05, random_state=0)
    >>> Xt, yt = make_moons(500, noise=0.05, random_state=1)
    >>> Xt = Xt @ [[2.0, 0.3], [0.3, 1.0]] + [3.0, -2.0]
    >>> KNeighborsClassifier().fit(Xs, ys).score(Xt, yt)
    0.5
    >>> adapter = DomainAdapter(GaussianTransport(), KNeighborsClassifier()).fit(Xs, ys, X_target=Xt)
    >>> adapter.score(Xt, yt)
    1.0
    """

    transport: object
    estimator: object
    align: str = "source"

    _parameter_constraints: ClassVar[dict] = {
        "transport": [HasMethods(["fit", "transform"])],
        "estimator": [HasMethods(["fit"])],
        "align": [StrOptions({"source", "target"})],
    }
    # Metadata that the adapter itself consumes. The estimator must request the weights of a score.
    __metadata_request__fit: ClassVar[dict] = {"X_target": True}
    __metadata_request__predict: ClassVar[dict] = {"domain": True}
    __metadata_request__predict_proba: ClassVar[dict] = {"domain": True}
    __metadata_request__decision_function: ClassVar[dict] = {"domain": True}
    __metadata_request__score: ClassVar[dict] = {"domain": True, "sample_weight": UNUSED}

    # The transport and the estimator validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, X_target=None, **params):
        """Fit the transport between the domains, and the estimator on the labelled source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values of the source rows.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows, without labels. If None, the estimator is fitted on the source without adaptation, and a
            `~sklearn_ot.exceptions.MissingTargetWarning` says so.
        **params : dict
            Metadata for the transport and the estimator; needs metadata routing.

        Returns
        -------
        self : object
            The fitted adapter.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable; the adapter then keeps its previous state.
        """
        _raise_for_params(params, self, "fit")
        routed = process_routing(self, "fit", **params)
        with all_or_nothing(self):
            X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_min_samples=2)
            # The labels are checked before the transport is trained, which may take long.
            self._validate_labels(X, y)
            training = X
            if X_target is None:
                warn_user(
                    "DomainAdapter.fit got no X_target: the estimator is fitted on the source without adaptation. "
                    "Pass the unlabelled target rows as X_target=...",
                    MissingTargetWarning,
                )
                self.transport_ = self.target_reference_ = None
            else:
                target = self._validate_target(X, X_target)
                start, end = (X, target) if self.align == "source" else (target, X)
                self.transport_ = clone(self.transport).fit(start, X_target=end, **routed.transport.fit)
                self.target_reference_ = draw_reference(X, Sample.of(target), np.random.RandomState(0))
                if self.align == "source":
                    training = self._move(X, routed)
            self.estimator_ = clone(self.estimator).fit(training, y, **routed.estimator.fit)
        return self

    @available_if(_estimator_has("predict"))
    def predict(self, X, *, domain="target", **params):
        """Predict labels or values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the domain ``domain``.
        domain : {"target", "source"}, default="target"
            The domain of the rows.
        **params : dict
            Metadata for the estimator; needs metadata routing.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions of the estimator.
        """
        return self._predict("predict", X, domain, params)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X, *, domain="target", **params):
        """Predict probabilities of the classes; see `predict` for the parameters.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities of the classes, in the order of ``classes_``.
        """
        return self._predict("predict_proba", X, domain, params)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X, *, domain="target", **params):
        """Decision values of the estimator; see `predict` for the parameters.

        Returns
        -------
        values : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values of the estimator.
        """
        return self._predict("decision_function", X, domain, params)

    @available_if(_estimator_has("score"))
    def score(self, X, y, sample_weight=None, *, domain="target", **params):
        """Score of the estimator: accuracy of a classifier, R² of a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the domain ``domain``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True labels or values of the rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. If metadata routing is enabled, the estimator must request them.
        domain : {"target", "source"}, default="target"
            The domain of the rows.
        **params : dict
            Metadata for the estimator; needs metadata routing.

        Returns
        -------
        score : float
            The score; higher is better.
        """
        check_is_fitted(self)
        _raise_for_params(params, self, "score")
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            params, weights = params | weights, {}
        routed = process_routing(self, "score", **params)
        X = self._bring_to_estimator(X, domain, routed)
        return self.estimator_.score(X, y, **weights, **routed.estimator.score)

    @property
    def classes_(self):
        """The class labels, if the estimator is a classifier."""
        return self.estimator_.classes_

    def _predict(self, method, X, domain, params):
        check_is_fitted(self)
        _raise_for_params(params, self, method)
        routed = process_routing(self, method, **params)
        X = self._bring_to_estimator(X, domain, routed)
        return getattr(self.estimator_, method)(X, **routed.estimator[method])

    def _bring_to_estimator(self, X, domain, routed):
        if domain not in ("source", "target"):
            raise ValueError(f"domain must be 'target' or 'source', the domain of the rows; got {domain!r}.")
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        return X if self.transport_ is None or domain != self.align else self._move(X, routed)

    def _move(self, X, routed):
        # Always an array, like the rows of the other domain, even if transforms are set to give DataFrames.
        return np.asarray(self.transport_.transform(X, **routed.transport.transform))

    def _validate_labels(self, X, y):
        tags = get_tags(self.estimator)
        # The tags of a Pipeline do not show whether it needs labels, but they show whether it is a classifier.
        if y is None and (tags.target_tags.required or tags.estimator_type in ("classifier", "regressor")):
            raise ValueError(
                f"{type(self.estimator).__name__} requires y to be passed, but the target y is None. Give the labels "
                "of the source rows, fit(X, y, X_target=...)."
            )
        check_consistent_length(X, y)

    def _validate_target(self, X, X_target):
        try:
            return validate_data(self, X_target, dtype=X.dtype, reset=False, ensure_min_samples=2)
        except ValueError as error:
            raise ValueError(
                f"X_target, the unlabelled target rows, cannot be used with this source: {error}"
            ) from error

    def get_metadata_routing(self):
        """Get the metadata routing of the adapter, the transport and the estimator.

        Returns
        -------
        routing : MetadataRouter
            Their requests.
        """
        methods = ["fit", "predict", "predict_proba", "decision_function", "score"]
        to_transport, to_estimator = MethodMapping().add(caller="fit", callee="fit"), MethodMapping()
        for method in methods:
            to_transport.add(caller=method, callee="transform")
            to_estimator.add(caller=method, callee=method)
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(transport=self.transport, method_mapping=to_transport)
            .add(estimator=self.estimator, method_mapping=to_estimator)
        )

    def __sklearn_is_fitted__(self):
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags = inner.target_tags
        return tags

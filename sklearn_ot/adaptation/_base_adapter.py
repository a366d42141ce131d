"""BaseAdapter: predictions of an estimator for rows of two domains, between which a transport has been fitted."""

from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    get_routing_for_object,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _estimator_has, check_is_fitted

from sklearn_ot.adaptation._columns import read_table
from sklearn_ot.adaptation._maps import bring_to_estimator
from sklearn_ot.adaptation._sources import AUTO, origin_of
from sklearn_ot.adaptation._weights import settles_weights
from sklearn_ot.base import DocumentationLink, warn_user
from sklearn_ot.exceptions import SourceRowsWarning
from sklearn_ot.plain import PlainState
from sklearn_ot.streams import by_blocks


class BaseAdapter(DocumentationLink, PlainState, MetaEstimatorMixin, BaseEstimator):
    """Base class of estimators that predict rows of two domains.

    A subclass has the parameters ``estimator``, ``align`` and ``columns`` of `DomainAdapter`, and its ``fit`` sets the
    attributes of `DomainAdapter`.
    """

    # Metadata that the adapter itself consumes. The estimator must request the weights of a score.
    __metadata_request__fit: ClassVar[dict] = {"X_target": True, "target_weight": True, "domain": True}
    __metadata_request__predict: ClassVar[dict] = {"domain": True}
    __metadata_request__predict_proba: ClassVar[dict] = {"domain": True}
    __metadata_request__decision_function: ClassVar[dict] = {"domain": True}
    __metadata_request__score: ClassVar[dict] = {"domain": True, "sample_weight": UNUSED}

    @property
    def transport_(self):
        """The fitted transport, if there is one source; None if ``fit`` got no target."""
        check_is_fitted(self)
        if len(self.transports_) > 1:
            raise AttributeError("There are several sources, each with its own transport: see transports_.")
        return self.transports_[0] if self.transports_ else None

    @available_if(_estimator_has("predict"))
    @by_blocks
    def predict(self, X, *, domain="auto", **params):
        """Predict labels or values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the domain ``domain``.
        domain : {"auto", "target", "source"}, name of a source or array-like, default="auto"
            The domain of the rows. With "auto", rows of the source of ``fit`` are source rows, and all others target
            rows; a `~sklearn_ot.exceptions.SourceRowsWarning` says if they resemble the source. With several sources,
            one of ``source_names_`` says which one, instead of "source". An array has an entry for each row.
        **params : dict
            Metadata for the estimator; needs metadata routing.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions of the estimator.

        Raises
        ------
        ValueError
            If the rows are unusable, or ``domain`` is no domain of ``fit``.
        """
        return self._predict("predict", X, domain, params)

    @available_if(_estimator_has("predict_proba"))
    @by_blocks
    def predict_proba(self, X, *, domain="auto", **params):
        """Predict probabilities of the classes; see `predict` for the parameters.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities of the classes, in the order of ``classes_``.

        Raises
        ------
        ValueError
            If the rows are unusable, or ``domain`` is no domain of ``fit``.
        """
        return self._predict("predict_proba", X, domain, params)

    @available_if(_estimator_has("decision_function"))
    @by_blocks
    def decision_function(self, X, *, domain="auto", **params):
        """Decision values of the estimator; see `predict` for the parameters.

        Returns
        -------
        values : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values of the estimator.

        Raises
        ------
        ValueError
            If the rows are unusable, or ``domain`` is no domain of ``fit``.
        """
        return self._predict("decision_function", X, domain, params)

    @available_if(_estimator_has("score"))
    def score(self, X, y, sample_weight=None, *, domain="auto", **params):
        """Score of the estimator: accuracy of a classifier, R² of a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the domain ``domain``.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True labels or values of the rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. If metadata routing is enabled, the estimator must request them.
        domain : {"auto", "target", "source"}, name of a source or array-like, default="auto"
            The domain of the rows. With "auto", rows of the source of ``fit`` are source rows, and all others target
            rows; a `~sklearn_ot.exceptions.SourceRowsWarning` says if they resemble the source. With several sources,
            one of ``source_names_`` says which one, instead of "source". An array has an entry for each row.
        **params : dict
            Metadata for the estimator; needs metadata routing.

        Returns
        -------
        score : float
            The score; higher is better.

        Raises
        ------
        ValueError
            If the rows are unusable, or ``domain`` is no domain of ``fit``.
        """
        check_is_fitted(self)
        _raise_for_params(params, self, "score")
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        if _routing_enabled():
            params, weights = params | weights, {}
        routed = process_routing(self, "score", **params)
        return self._score(X, y, domain, routed, weights)

    @property
    def classes_(self):
        """The class labels, if the estimator is a classifier."""
        return self.estimator_.classes_

    def _predict(self, method, X, domain, params):
        check_is_fitted(self)
        _raise_for_params(params, self, method)
        routed = process_routing(self, method, **params)
        return self._call(method, X, domain, routed)

    def _call(self, method, X, domain, routed):
        X = self._bring_to_estimator(X, domain, routed)
        return getattr(self.estimator_, method)(X, **routed.estimator[method])

    def _score(self, X, y, domain, routed, weights):
        X = self._bring_to_estimator(X, domain, routed)
        return self.estimator_.score(X, y, **weights, **routed.estimator.score)

    def _bring_to_estimator(self, X, domain, routed):
        table, origin = self._read_rows(X, domain)
        if not self.transports_:
            return table.with_rows(table.rows)
        return table.with_rows(bring_to_estimator(self, table.rows, origin, routed.transport.transform))

    def _read_rows(self, X, domain):
        """Rows as a `Table`, and for each of them the number of its source, or -1 for the target."""
        table = read_table(self, X)
        is_auto = isinstance(domain, str) and domain == AUTO
        rows = table.rows
        return table, self._origin(rows) if is_auto else origin_of(domain, self.source_names_, len(rows))

    def _origin(self, rows):
        """For each row the number of the source that has it, or -1 for a row of the target."""
        origin = np.full(len(rows), -1)
        for number, domains in enumerate(self.domains_):
            origin[domains.are_source_rows(rows)] = number
        if any(domains.resemble_the_source(rows[origin < 0]) for domains in self.domains_):
            # The same text each time, so that Python shows it once for each line.
            warn_user(
                "Rows to predict resemble the source of this DomainAdapter and no part of its target, but they are "
                "predicted as target rows. Pass domain='source' for source rows, or domain='target' if they are "
                "target rows. If a tool of scikit-learn holds out source rows (cross-validation, calibration, "
                "stacking, a search), put it inside: DomainAdapter(transport, CalibratedClassifierCV(classifier)), "
                "or score by transported_source_accuracy and transport_match.",
                SourceRowsWarning,
            )
        return origin

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
            .add_self_request(self._own_request())
            .add(transport=self._transport_request(), method_mapping=to_transport)
            .add(estimator=self.estimator, method_mapping=to_estimator)
        )

    def _own_request(self):
        request = self._get_metadata_request()
        # Weights are requested by default if it is settled what the estimator does with them.
        is_unset = request.fit.requests.get("sample_weight") is None
        if is_unset and settles_weights(self.estimator):
            request.fit.add_request(param="sample_weight", alias=True)
        return request

    def _transport_request(self):
        """The requests of the transport; none, unless a subclass routes metadata to it."""
        return get_routing_for_object(None)

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

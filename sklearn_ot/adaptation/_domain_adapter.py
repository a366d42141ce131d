"""DomainAdapter: a transport between two domains, and an estimator that is fitted and used in one of them."""

from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRequest,
    MetadataRouter,
    MethodMapping,
    _raise_for_params,
    _routing_enabled,
    get_routing_for_object,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _estimator_has, check_is_fitted

from sklearn_ot.adaptation._columns import read_table, read_target, warn_units
from sklearn_ot.adaptation._domains import Domains
from sklearn_ot.adaptation._maps import bring_to_estimator, check_direction, fit_transport, is_none, moved_source
from sklearn_ot.adaptation._sources import read_source
from sklearn_ot.adaptation._weights import Weighting, can_request_weights, read_weight, settles_weights
from sklearn_ot.base import all_or_nothing, draw_reference, warn_user
from sklearn_ot.exceptions import MissingTargetWarning, SourceRowsWarning
from sklearn_ot.solvers.samples import Sample


@dataclass(eq=False, repr=False)
class DomainAdapter(MetaEstimatorMixin, BaseEstimator):
    """Learn from a labelled source and predict an unlabelled target, with a transport between them.

    The source :math:`(X, y)` has labels, the target has none, and their distributions differ. A transport moves the
    rows of one domain onto the other, so that the training rows of the estimator and the rows to predict have the same
    distribution [Courty17]_. ``align`` names the domain whose rows are moved.

    Parameters
    ----------
    transport : estimator with ``fit(X, *, X_target)`` and ``transform(X)``, "passthrough" or None
        The map, for example `sklearn_ot.transport.GaussianTransport`. The adapter fits a clone of it for each source. A
        transport whose tags say that it requires ``y``, such as `LabelAwareTransport`, gets the labels of its rows, and
        all others get none. None and "passthrough" move no row, so that a search can choose them.
    estimator : classifier or regressor
        The estimator. The adapter fits a clone of it on the labelled rows.
    align : {"source", "target"}, default="source"
        The domain whose rows are moved. With "source", the transport is fitted from the source to the target, the
        estimator is fitted on moved source rows, and target rows are predicted without a move. With "target", the
        transport is fitted from the target to the source, the estimator is fitted on the source rows, and target rows
        are moved before they are predicted.
    columns : list, slice, str, int, callable or None, default=None
        The columns that the transport moves, by names or positions as in a `sklearn.compose.ColumnTransformer`, or a
        function of the source that selects them, such as `sklearn.compose.make_column_selector`. All other columns,
        also of strings, pass through to the estimator unchanged. None moves all columns.

    Attributes
    ----------
    transports_ : list of estimator
        The fitted transport of each source; empty if ``fit`` got no target.
    transport_ : estimator or None
        The fitted transport, if there is one source; None if ``fit`` got no target.
    estimator_ : estimator
        The fitted estimator.
    classes_ : ndarray of shape (n_classes,)
        The class labels, if the estimator is a classifier.
    target_reference_ : ndarray of shape (<= 4096, n_moved_columns) or None
        Target rows for the comparison in `transport_match`.
    domains_ : list of object
        For each source, knows to which domain rows belong if ``domain="auto"``; empty if no row is moved.
    columns_ : ndarray of shape (n_moved_columns,)
        Positions of the columns that the transport moves, if ``columns`` is not None.
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

    *Rows to predict.* ``predict`` and its like take rows as target rows, with one exception: with ``domain="auto"``,
    the default, rows that are exactly rows of the source of ``fit`` (in the moved columns) are source rows. They are
    recognised only if no row of the target shows that rows of both domains can be equal by chance, as in a table of a
    few categories. Rows that resemble the source too much to be any part of the target are predicted as target rows,
    with a `~sklearn_ot.exceptions.SourceRowsWarning`. ``domain="target"`` and ``domain="source"`` leave nothing to
    recognise.

    *Tools of scikit-learn* that hold out rows of ``X`` (cross-validation, calibration, stacking, the tuning of a
    threshold, searches) hold out *source* rows. Put the tool inside the adapter:
    ``DomainAdapter(transport, CalibratedClassifierCV(classifier))``. In a search over parameters of the adapter use
    `transport_match` as the score, with `transported_source_accuracy` beside it.

    *DataFrames.* The transport gets a plain float array. The estimator gets rows of the same kind as the adapter: for a
    DataFrame of pandas or polars a DataFrame with the same names and, in pandas, the same index.

    *Several sources.* ``fit([X1, X2], [y1, y2], X_target=Xt)`` fits one transport for each source, and the estimator on
    the moved rows of all of them; ``sample_weight`` is then a list, too. ``domain=1`` says that rows belong to the
    second source.

    *Weights.* The transport gets the weights of both domains, with the roles exchanged if ``align="target"``. The
    estimator gets those of the source. A part whose ``fit`` takes no weights gets repeated rows if all weights are
    integers; if they are not, ``fit`` raises an error.

    *Metadata routing.* Metadata is routed to ``fit`` and ``transform`` of the transport and to all methods of the
    estimator; ``X_target``, ``target_weight`` and ``domain`` are requested by default. If routing is enabled, an
    estimator that can request ``sample_weight`` must do so, or refuse it, before the adapter gets weights.

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
    columns: object = None

    _parameter_constraints: ClassVar[dict] = {
        "transport": [HasMethods(["fit", "transform"]), StrOptions({"passthrough"}), None],
        "estimator": [HasMethods(["fit"])],
        "align": [StrOptions({"source", "target"})],
        "columns": ["array-like", slice, str, Integral, callable, None],
    }
    # Metadata that the adapter itself consumes. The estimator must request the weights of a score.
    __metadata_request__fit: ClassVar[dict] = {"X_target": True, "target_weight": True}
    __metadata_request__predict: ClassVar[dict] = {"domain": True}
    __metadata_request__predict_proba: ClassVar[dict] = {"domain": True}
    __metadata_request__decision_function: ClassVar[dict] = {"domain": True}
    __metadata_request__score: ClassVar[dict] = {"domain": True, "sample_weight": UNUSED}

    # The transport and the estimator validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, X_target=None, sample_weight=None, target_weight=None, **params):
        """Fit the transport between the domains, and the estimator on the labelled source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or list of such
            Source rows; a list of tables is a list of several sources.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or list of such
            Labels or values of the source rows.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows, without labels; of a DataFrame only the moved columns are needed. If None, the estimator is
            fitted on the source without adaptation, and a `~sklearn_ot.exceptions.MissingTargetWarning` says so.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both domains, 0 or more; all equal if None. Integer weights have the effect of as
            many equal rows. For several sources, ``sample_weight`` is a list with one entry for each of them.
        **params : dict
            Metadata for the transport and the estimator; needs metadata routing.

        Returns
        -------
        self : object
            The fitted adapter.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable, or weights are not integers and the transport or the estimator
            takes none; the adapter then keeps its previous state.
        """
        _raise_for_params(params, self, "fit")
        with all_or_nothing(self):
            # The labels and the weights are checked before the transport is trained, which may take long.
            source = read_source(self, X, y, sample_weight)
            routed, weighting = self._route_fit(params, source.weight)
            training = source.table.rows
            if X_target is None:
                self._without_target(target_weight)
            else:
                self._fit_transports(source, X_target, target_weight, routed)
                training = moved_source(self, source, routed.transport.transform)
            self.estimator_ = clone(self.estimator).fit(
                weighting.rows(source.table.with_rows(training)),
                weighting.rows(source.y),
                **weighting.params,
                **weighting.metadata(training, routed.estimator.fit),
            )
        return self

    def _route_fit(self, params, weight):
        """Metadata of both parts, and the way in which the estimator gets the weights of the source rows."""
        if weight is None or not _routing_enabled():
            return process_routing(self, "fit", **params), Weighting.of(self.estimator, weight)
        routed = process_routing(self, "fit", **params, sample_weight=weight)
        # An estimator that can request weights got them by its request, or refused them.
        return routed, Weighting.of(self.estimator, None if can_request_weights(self.estimator) else weight)

    def _without_target(self, target_weight):
        if target_weight is not None:
            raise ValueError("target_weight is given without target rows: pass X_target=...")
        warn_user(
            "DomainAdapter.fit got no X_target: the estimator is fitted on the source without adaptation. "
            "Pass the unlabelled target rows as X_target=...",
            MissingTargetWarning,
        )
        self.transports_, self.domains_, self.target_reference_ = [], [], None

    def _fit_transports(self, source, X_target, target_weight, routed):
        check_direction(self, source)
        rows, is_moving = source.table.rows, not is_none(self.transport)
        target = read_target(self, X_target, source.table)
        if is_moving:
            warn_units(self, source.table)
        target_weight = read_weight(target_weight, len(target), "target_weight", "X_target")
        self.transports_ = [
            fit_transport(self, source, part, target, target_weight, routed.transport.fit) for part in source.parts
        ]
        sample = Sample.of(target, target_weight, "target_weight", "X_target")
        self.target_reference_ = draw_reference(rows, sample, np.random.RandomState(0))
        self.domains_ = [Domains(rows[part], target) for part in source.parts] if is_moving else []

    @property
    def transport_(self):
        """The fitted transport, if there is one source; None if ``fit`` got no target."""
        check_is_fitted(self)
        if len(self.transports_) > 1:
            raise AttributeError("There are several sources, each with its own transport: see transports_.")
        return self.transports_[0] if self.transports_ else None

    @available_if(_estimator_has("predict"))
    def predict(self, X, *, domain="auto", **params):
        """Predict labels or values.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the domain ``domain``.
        domain : {"auto", "target", "source"} or int, default="auto"
            The domain of the rows. With "auto", rows of the source of ``fit`` are source rows, and all others target
            rows; a `~sklearn_ot.exceptions.SourceRowsWarning` says if they resemble the source. With several sources,
            a number from 0 names one of them instead of "source".
        **params : dict
            Metadata for the estimator; needs metadata routing.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions of the estimator.
        """
        return self._predict("predict", X, domain, params)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X, *, domain="auto", **params):
        """Predict probabilities of the classes; see `predict` for the parameters.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            Probabilities of the classes, in the order of ``classes_``.
        """
        return self._predict("predict_proba", X, domain, params)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X, *, domain="auto", **params):
        """Decision values of the estimator; see `predict` for the parameters.

        Returns
        -------
        values : ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values of the estimator.
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
        domain : {"auto", "target", "source"} or int, default="auto"
            The domain of the rows. With "auto", rows of the source of ``fit`` are source rows, and all others target
            rows; a `~sklearn_ot.exceptions.SourceRowsWarning` says if they resemble the source. With several sources,
            a number from 0 names one of them instead of "source".
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
        n_sources = max(len(self.transports_), 1)
        is_number = isinstance(domain, Integral) and not isinstance(domain, bool) and 0 <= domain < n_sources
        if domain not in ("auto", "target", "source") and not is_number:
            raise ValueError(
                "domain must be 'auto', 'target' or 'source', the domain of the rows, or the number of a source from 0 "
                f"to {n_sources - 1}; got {domain!r}."
            )
        if domain == "source" and n_sources > 1:
            raise ValueError(f"There are {n_sources} sources: pass domain=0 for rows of the first one, and so on.")
        table = read_table(self, X)
        rows = table.rows
        if self.transports_:
            if domain == "auto":
                origin = self._origin(rows)
            else:
                origin = np.full(len(rows), {"target": -1, "source": 0}.get(domain, domain))
            rows = bring_to_estimator(self, rows, origin, routed.transport.transform)
        return table.with_rows(rows)

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
        request = get_routing_for_object(self.transport)
        if isinstance(request, MetadataRequest):
            # The adapter itself gives both weights to the transport, in the roles that ``align`` says.
            for name in ("sample_weight", "target_weight"):
                request.fit.add_request(param=name, alias=False)
        return request

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

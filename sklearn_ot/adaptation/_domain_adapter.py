"""DomainAdapter: a transport between two domains, and an estimator that is fitted and used in one of them."""

from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context, clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRequest,
    _raise_for_params,
    _routing_enabled,
    get_routing_for_object,
    process_routing,
)
from sklearn.utils.validation import has_fit_parameter

from sklearn_ot.adaptation._base_adapter import BaseAdapter
from sklearn_ot.adaptation._columns import features_of, read_target, warn_units
from sklearn_ot.adaptation._domains import Domains
from sklearn_ot.adaptation._features import fit_extractor
from sklearn_ot.adaptation._maps import bring_to_estimator, check_direction, fit_transport, is_none, moved_source
from sklearn_ot.adaptation._neighbors import is_trusted
from sklearn_ot.adaptation._proportions import with_proportions
from sklearn_ot.adaptation._sources import read_source
from sklearn_ot.adaptation._weights import Weighting, can_request_weights, read_weight, settles_weights
from sklearn_ot.base import CHECKPOINT, all_or_nothing, documented, draw_reference, random_source, resumable, warn_user
from sklearn_ot.exceptions import MissingTargetWarning
from sklearn_ot.nets import progress_bar, shown_part
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.streams import no_dask

# A round of fine-tuning has this part of the steps of the training on the source.
FINE_TUNE_PART = 3


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class DomainAdapter(BaseAdapter):
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
    proportions : {"source", "estimate"} or array-like of shape (n_classes,), default="source"
        Proportions of the classes in the target, in the order of ``numpy.unique(y)``. Source rows get weights so that
        their classes have these proportions, for the transport and for an estimator that takes weights. With "source"
        they have those of the source. "estimate" estimates them from predictions of a linear classifier, see Notes.
    feature_extractor : transformer, specification of `sklearn_ot.networks`, nn.Module class or None, default=None
        If it is not None, the transport and the estimator work in the features of this transformer. A fitted
        transformer is used as it is, and a clone of any other is fitted to the labelled source. A network is that of
        `ClassifierFeatures`, such as ``Convolutional()`` for flattened images or ``Dense()`` for tables.
    fine_tune : int, default=0
        Number of rounds in which the feature extractor is trained further, to the labels of the source and the
        predictions for the target; needs a network or a `ClassifierFeatures`.
    <checkpoint>
    verbose : int, default=0
        Whether to show a progress bar over the parts of the fit. The parts have ``verbose`` of their own.

    Attributes
    ----------
    transports_ : list of estimator
        The fitted transport of each source; empty if ``fit`` got no target.
    source_names_ : ndarray of shape (n_sources,)
        The name of each source: its label in ``domain``, in ascending order, or its number from 0.
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
    target_proportions_ : ndarray of shape (n_classes,) or None
        The proportions of the classes that ``proportions`` stands for; None for "source".
    feature_extractor_ : transformer or None
        The fitted feature extractor.
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

    *Proportions of classes.* A transport moves all the mass: if the classes have other proportions in the target, rows
    of one class must become rows of another. The source can be reweighted to proportions that are known, or that
    "estimate" finds by black box shift estimation [Lipton18]_: the shares of the predicted classes in the target are
    compared with the predictions for held-out source rows. The estimate is right if rows of a class are alike in both
    domains, up to an affine map. If the classifier is less sure of target rows than of source rows, the estimate is
    drawn to the proportions of the source.

    *Features.* Squared distances of pixels depend little on what an image shows, and maps of pixels rarely help; maps
    of features of a network that was trained on the source do. In each round of ``fine_tune`` the transport is fitted
    in the features, the estimator predicts the target rows, and the network is trained for a third of its steps on the
    source rows with their labels and target rows with these predictions. A target row is left out for this round if the
    predictions for most rows of its cluster differ from its own, or would if the classes had the proportions of the
    source (those of ``proportions``, if given).

    *Several sources.* ``fit([X1, X2], [y1, y2], X_target=Xt)`` fits one transport for each source, and the estimator on
    the moved rows of all of them; ``sample_weight`` is then a list, too. In ``predict``, ``domain=1`` says that rows
    belong to the second source. Or ``fit(X, y, domain=names, X_target=Xt)``, with the source of each row of one table,
    which tools that select rows can split: ``domain="a"`` in ``predict`` then says that rows belong to the source "a".

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
    .. [Lipton18] Z. C. Lipton, Y.-X. Wang and A. J. Smola, "Detecting and correcting for label shift with black box
       predictors", ICML 2018.

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
    proportions: object = "source"
    feature_extractor: object = None
    fine_tune: int = 0
    checkpoint: str | PathLike | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "transport": [HasMethods(["fit", "transform"]), StrOptions({"passthrough"}), None],
        "estimator": [HasMethods(["fit"])],
        "align": [StrOptions({"source", "target"})],
        "columns": ["array-like", slice, str, Integral, callable, None],
        "proportions": [StrOptions({"source", "estimate"}), "array-like"],
        "feature_extractor": "no_validation",  # a transformer, or a network that module_of validates
        "fine_tune": [Interval(Integral, 0, None, closed="left")],
        "checkpoint": [str, PathLike, None],
        "verbose": ["verbose"],
    }

    # The transport and the estimator validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, domain=None, X_target=None, sample_weight=None, target_weight=None, **params):
        """Fit the transport between the domains, and the estimator on the labelled source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or list of such
            Source rows; a list of tables is a list of several sources.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or list of such
            Labels or values of the source rows.
        domain : array-like of shape (n_samples,), default=None
            The source of each row, by any label, if ``X`` is one table with the rows of several sources.
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
        no_dask(f"{type(self).__name__}.fit", X=X, y=y, X_target=X_target)
        with all_or_nothing(self):
            # The labels and the weights are checked before the transport is trained, which may take long.
            self.feature_extractor_ = None
            given = read_source(self, X, y, sample_weight, domain)
            self.source_names_ = given.names
            target = self._read_target(given, X_target, target_weight)
            self._route_fit(params, given.weight, given.weight)
            # The adapter draws no random numbers of its own.
            with resumable(self, random_source(0), X, y, domain, X_target, sample_weight, target_weight, params):
                self._fit_all(given, target, params)
        return self

    def _fit_all(self, given, target, params):
        has_extractor = self.feature_extractor is not None or self.fine_tune > 0
        n_rounds, n_maps = (0, 0) if target is None else (self.fine_tune, len(given.parts))
        n_parts = has_extractor + n_rounds * (n_maps + 2) + n_maps + 1
        with progress_bar(type(self).__name__, n_parts, "part", self.verbose) as bar:
            if has_extractor:
                with shown_part(bar, "DomainAdapter, feature extractor"):
                    self._fit_extractor(given)
            for number in range(1, n_rounds + 1):
                features, weight = self._fit_parts(given, target, params, bar)
                with shown_part(bar, f"DomainAdapter, fine-tuning {number} of {n_rounds}"):
                    self._fine_tune(given, Sample.of(*target), Sample.of(features, weight).rows)
            self._fit_parts(given, target, params, bar)

    def _read_target(self, source, X_target, target_weight):
        """The target rows and their weights as they are given, or None."""
        if X_target is None:
            if target_weight is not None:
                raise ValueError("target_weight is given without target rows: pass X_target=...")
            warn_user(
                "DomainAdapter.fit got no X_target: the estimator is fitted on the source without adaptation. "
                "Pass the unlabelled target rows as X_target=...",
                MissingTargetWarning,
            )
            return None
        check_direction(self, source)
        rows = read_target(self, X_target, source.table)
        if not is_none(self.transport) and self.feature_extractor is None:
            warn_units(self, source.table)
        return rows, read_weight(target_weight, len(rows), "target_weight", "X_target")

    def _fit_extractor(self, source):
        extractor = self.feature_extractor
        is_tunable = not hasattr(extractor, "transform") or hasattr(extractor, "fine_tune")
        if self.fine_tune and (extractor is None or not is_tunable):
            raise ValueError(
                f"fine_tune={self.fine_tune} needs a network or a ClassifierFeatures as feature_extractor, got "
                f"{extractor!r}."
            )
        if self.columns is not None:
            raise ValueError("feature_extractor needs all columns: leave columns=None.")
        # Rows are repeated by their weights if these are integers.
        weighting = Weighting.of(self.feature_extractor, source.weight)
        rows = weighting.rows(source.table.rows), weighting.rows(source.y)
        self.feature_extractor_ = fit_extractor(self.feature_extractor, *rows)

    def _fine_tune(self, source, target, features):
        """Train the extractor further, on the target rows whose predictions agree with those of their neighbours.

        ``features`` are those of the rows of ``target``, before the training.
        """
        extractor = self.feature_extractor_
        predicted = self.estimator_.predict(bring_to_estimator(self, features, np.full(len(features), -1), {}))
        classes, codes = np.unique(source.y, return_inverse=True)
        weight = np.ones(len(codes)) if source.weight is None else source.weight
        shares = self.target_proportions_
        if shares is None:
            shares = np.bincount(codes, weight) / weight.sum()
        is_used = is_trusted(features, np.searchsorted(classes, predicted), target.mass, shares)
        if is_used.any():
            n_steps = -(-extractor.max_iter // FINE_TUNE_PART)
            extractor.fine_tune(source.table.rows, source.y, target.rows[is_used], predicted[is_used], n_steps)

    def _fit_parts(self, source, target, params, bar):
        """Fit the transports and the estimator, in the features if there is an extractor; return the target there."""
        if self.feature_extractor_ is not None:
            source = source.with_features(self.feature_extractor_)
            target = None if target is None else (features_of(self.feature_extractor_, target[0]), target[1])
        self.transports_, self.domains_ = [], []
        self.target_reference_ = self.target_proportions_ = None
        moving = source if target is None else self._reweighted(source, target)
        routed, weighting = self._route_fit(params, source.weight, moving.weight)
        training = source.table.rows
        if target is not None:
            self._fit_transports(moving, target, routed, bar)
            training = moved_source(self, source, routed.transport.transform)
        with shown_part(bar, "DomainAdapter, estimator"):
            self.estimator_ = clone(self.estimator).fit(
                weighting.rows(source.table.with_rows(training)),
                weighting.rows(source.y),
                **weighting.params,
                **weighting.metadata(training, routed.estimator.fit),
            )
        return target

    def _reweighted(self, source, target):
        """The source with weights that give its classes their proportions in the target."""
        sample = Sample.of(*target, "target_weight", "X_target")
        self.target_reference_ = draw_reference(source.table.rows, sample, np.random.RandomState(0))
        moving = with_proportions(self.proportions, source, sample, not is_none(self.transport))
        if moving is not source:
            codes = np.unique(np.asarray(source.y), return_inverse=True)[1]
            self.target_proportions_ = np.bincount(codes, moving.weight) / moving.weight.sum()
        return moving

    def _route_fit(self, params, weight, moving_weight):
        """Metadata of both parts, and the way in which the estimator gets the weights of the source rows."""
        if not _routing_enabled():
            takes_weights = has_fit_parameter(self.estimator, "sample_weight")
            weighting = Weighting.of(self.estimator, moving_weight if takes_weights else weight)
            return process_routing(self, "fit", **params), weighting
        can_request = can_request_weights(self.estimator)
        if can_request and settles_weights(self.estimator):
            weight = moving_weight
        weights = {} if weight is None else {"sample_weight": weight}
        # An estimator that can request weights got them by its request, or refused them.
        return process_routing(self, "fit", **params, **weights), Weighting.of(
            self.estimator, None if can_request else weight
        )

    def _fit_transports(self, source, target, routed, bar):
        rows, is_moving = source.table.rows, not is_none(self.transport)
        for number, part in enumerate(source.parts, 1):
            with shown_part(bar, f"DomainAdapter, transport {number} of {len(source.parts)}"):
                self.transports_.append(fit_transport(self, source, part, *target, routed.transport.fit))
        self.domains_ = [Domains(rows[part], target[0]) for part in source.parts] if is_moving else []

    def _transport_request(self):
        request = get_routing_for_object(self.transport)
        if isinstance(request, MetadataRequest):
            # The adapter itself gives both weights to the transport, in the roles that ``align`` says.
            for name in ("sample_weight", "target_weight"):
                request.fit.add_request(param=name, alias=False)
        return request

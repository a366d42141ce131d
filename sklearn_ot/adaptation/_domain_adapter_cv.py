"""DomainAdapterCV: a DomainAdapter whose transport is chosen without labels of the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context, is_classifier
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import _raise_for_params

from sklearn_ot.adaptation._base_adapter import BaseAdapter
from sklearn_ot.adaptation._criteria import agreement, certainty, view_of
from sklearn_ot.adaptation._domain_adapter import DomainAdapter
from sklearn_ot.adaptation._maps import is_none
from sklearn_ot.adaptation._scorers import transport_match
from sklearn_ot.base import all_or_nothing, warn_user

# A candidate is refused if its predictions are less certain than without a transport by more standard errors than this.
ENTROPY_MARGIN = 5


@dataclass(eq=False, repr=False)
class DomainAdapterCV(BaseAdapter):
    """A `DomainAdapter` that chooses its transport, or none, without labels of the target.

    Each candidate is fitted and compared with no transport by two criteria of the target rows:

    * the agreement of the predicted classes of neighbours, see `neighbor_consistency`;
    * the entropy of predictions, see `prediction_entropy`.

    A candidate is admitted if the agreement rises by more than ``margin`` standard errors, and the entropy does not
    rise by more than 5 standard errors. Both are those of differences over the same target rows. Candidates whose
    agreement is less than ``margin`` standard errors below that of the best admitted one are alike. Of these, one with
    other ``proportions`` than "source" is preferred, because a map to wrong proportions does the most harm, and then
    the one with the highest agreement. If no candidate is admitted, no transport is chosen, and a warning says so.

    Parameters
    ----------
    transports : sequence of transports
        The candidates; None, which moves no row, is always among them.
    estimator : classifier
        The classifier. A clone of it is fitted for each candidate.
    align : {"source", "target"}, default="source"
        The domain whose rows are moved, see `DomainAdapter`.
    columns : list, slice, str, int, callable or None, default=None
        The columns that the transport moves, see `DomainAdapter`.
    proportions : str or sequence, default="source"
        ``proportions`` of `DomainAdapter`, or a tuple of several of them that are combined with each transport, such as
        ``("source", "estimate")``.
    feature_extractor : transformer, specification of `sklearn_ot.networks`, nn.Module class or None, default=None
        See `DomainAdapter`. It is fitted once, to the source, and the candidates are compared in its features.
    fine_tune : int, default=0
        Number of rounds in which the feature extractor is trained further with the chosen candidate, see
        `DomainAdapter`. Afterwards the criteria no longer distinguish candidates.
    margin : float, default=1.0
        The number of standard errors by which the agreement must rise. A larger number chooses none more often.

    Attributes
    ----------
    best_transport_ : transport or None
        The transport that was chosen, not fitted; None for no transport.
    best_proportions_ : str or sequence
        The proportions that were chosen.
    best_index_ : int
        The position of the chosen candidate in ``cv_results_``.
    cv_results_ : dict of list
        For each candidate, of which the first has no transport: ``transport`` and ``proportions``; the criteria
        ``neighbor_consistency``, ``prediction_entropy`` and, for comparison only, ``transport_match``;
        ``consistency_gain`` and ``entropy_gain`` over the first candidate in standard errors; and ``is_admitted``. It
        is empty if ``fit`` got no target.
    feature_extractor_, transports_, source_names_, estimator_, classes_
        Those of the chosen `DomainAdapter`.
    target_reference_, domains_, target_proportions_, columns_
        Those of the chosen `DomainAdapter`.
    n_features_in_ : int
        Number of features of both domains.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    DomainAdapter : The same with a given transport.

    Notes
    -----
    Both criteria take classes for clusters of the target. If the domains differ in the features only, such as by age,
    and a class has the same probability for the same features in both, then any map does harm. Predictions of
    neighbours agree without a map, too, and usually none is chosen.

    Standard errors are those of the target rows, as if the maps were given. With few target rows a gain can be chance.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_ot.adaptation import DomainAdapterCV, LabelAwareTransport
    >>> from sklearn_ot.transport import GaussianTransport
    >>> rng = np.random.RandomState(0)
    >>> y = np.arange(400) % 2
    >>> Xs = 0.3 * rng.randn(400, 2) + np.c_[y, 0 * y]
    >>> Xt = 0.3 * rng.randn(400, 2) + np.c_[0.5 * y, -1.5 * y]
    >>> adapter = DomainAdapterCV([None, GaussianTransport(), LabelAwareTransport()], KNeighborsClassifier())
    >>> adapter.fit(Xs, y, X_target=Xt).best_transport_
    LabelAwareTransport()
    >>> round(adapter.score(Xt, y), 2)
    0.99
    """

    transports: Sequence
    estimator: object
    align: str = "source"
    columns: object = None
    proportions: object = "source"
    feature_extractor: object = None
    fine_tune: int = 0
    margin: float = 1.0

    _parameter_constraints: ClassVar[dict] = {
        "transports": [list, tuple],
        "estimator": [HasMethods(["fit", "predict"])],
        "align": [StrOptions({"source", "target"})],
        "columns": ["array-like", slice, str, Integral, callable, None],
        "proportions": [str, "array-like"],
        "feature_extractor": "no_validation",  # the candidates validate it
        "fine_tune": [Interval(Integral, 0, None, closed="left")],
        "margin": [Interval(Real, 0, None, closed="left")],
    }

    # The candidates and the estimator validate their own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, *, domain=None, X_target=None, sample_weight=None, target_weight=None, **params):
        """Fit and compare the candidates, and keep the best one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or list of such
            Source rows; a list of tables is a list of several sources.
        y : array-like of shape (n_samples,), or list of such
            Classes of the source rows.
        domain : array-like of shape (n_samples,), default=None
            The source of each row, see `DomainAdapter`.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows, without labels. If None, the estimator is fitted on the source without adaptation, and a
            `~sklearn_ot.exceptions.MissingTargetWarning` says so.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both domains, see `DomainAdapter`.
        **params : dict
            Metadata for the estimator; needs metadata routing.

        Returns
        -------
        self : object
            The fitted adapter.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable, or the estimator is no classifier; the adapter then keeps its
            previous state.
        """
        _raise_for_params(params, self, "fit")
        if not is_classifier(self.estimator):
            raise ValueError(
                f"{type(self.estimator).__name__} is no classifier: DomainAdapterCV compares transports by the "
                "predicted classes of target rows."
            )
        with all_or_nothing(self):
            candidates = self._candidates() if X_target is not None else [(None, "source")]
            weights = {"sample_weight": sample_weight, "target_weight": target_weight}
            given = {"domain": domain, "X_target": X_target, **weights, **params}
            adapters, extractor = [], self.feature_extractor
            for candidate in candidates:
                adapters.append(self._adapter(*candidate, extractor).fit(X, y, **given))
                # The first candidate trains a network, and the others take the trained one.
                extractor = adapters[0].feature_extractor_
            self.cv_results_, self.best_index_ = {}, 0
            if X_target is not None:
                self._compare(adapters, X, y, sample_weight, domain)
            best = adapters[self.best_index_]
            if self.fine_tune:
                best = self._adapter(*candidates[self.best_index_], extractor, self.fine_tune).fit(X, y, **given)
            self.best_transport_, self.best_proportions_ = best.transport, best.proportions
            # Everything that was fitted, so that this object predicts as the chosen adapter does.
            vars(self).update({name: value for name, value in vars(best).items() if name.endswith("_")})
        return self

    def _adapter(self, transport, proportions, extractor, fine_tune=0):
        return DomainAdapter(transport, self.estimator, self.align, self.columns, proportions, extractor, fine_tune)

    def _candidates(self):
        is_one = isinstance(self.proportions, str) or not any(isinstance(part, str) for part in self.proportions)
        choices = [self.proportions] if is_one else self.proportions
        moving = [transport for transport in self.transports if not is_none(transport)]
        return [(None, "source"), *((transport, choice) for transport in moving for choice in choices)]

    def _compare(self, adapters, X, y, sample_weight, domain):
        views = [view_of(adapter, X, y, sample_weight, domain) for adapter in adapters]
        agreements, certainties = [agreement(view) for view in views], [certainty(view) for view in views]
        gains = [gain(found, agreements[0]) for found in agreements]
        entropy_gains = [gain(found, certainties[0]) for found in certainties]
        is_admitted = [
            index == 0 or (rise > self.margin and sureness > -ENTROPY_MARGIN)
            for index, (rise, sureness) in enumerate(zip(gains, entropy_gains, strict=True))
        ]
        self.cv_results_ = {
            "transport": [adapter.transport for adapter in adapters],
            "proportions": [adapter.proportions for adapter in adapters],
            "neighbor_consistency": [float(found.mean()) for found in agreements],
            "prediction_entropy": [float(found.mean()) for found in certainties],
            "transport_match": [transport_match(adapter, X, None, sample_weight, domain) for adapter in adapters],
            "consistency_gain": gains,
            "entropy_gain": entropy_gains,
            "is_admitted": is_admitted,
        }
        self.best_index_ = self._best_of(adapters, agreements, np.array(is_admitted))
        if self.best_index_ == 0 and len(adapters) > 1:
            warn_user(
                "No transport is chosen: with none of them do predictions of neighbours in the target agree more than "
                "without, and the estimator is fitted on the source as it is. cv_results_ has the criteria."
            )

    def _best_of(self, adapters, agreements, is_admitted):
        """The index of the chosen candidate; 0 if only the first one, which has no transport, is admitted."""
        means = np.where(is_admitted, [found.mean() for found in agreements], -np.inf)
        best = agreements[int(np.argmax(means))]
        is_alike = is_admitted & [gain(best, found) <= self.margin for found in agreements]
        is_alike[0] = not is_admitted[1:].any()
        is_source = [isinstance(part.proportions, str) and part.proportions == "source" for part in adapters]
        is_preferred = is_alike & ~np.array(is_source)
        return int(np.argmax(np.where(is_preferred if is_preferred.any() else is_alike, means, -np.inf)))


def gain(found, before):
    """The mean of differences over the same rows, in standard errors; infinite if all rows differ alike."""
    difference = found - before
    mean, error = difference.mean(), difference.std(ddof=1) / np.sqrt(len(difference))
    return float(mean / error) if error else float(np.copysign(np.inf, mean)) if mean else 0.0

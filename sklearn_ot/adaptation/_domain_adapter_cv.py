"""DomainAdapterCV: a DomainAdapter whose transport is chosen without labels of the target."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
from sklearn.base import _fit_context, is_classifier
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import _raise_for_params

from sklearn_ot.adaptation._base_adapter import BaseAdapter
from sklearn_ot.adaptation._committee import VOTE, Committee
from sklearn_ot.adaptation._criteria import (
    agreement,
    certainty,
    judge,
    nearest_class,
    source_shares,
    target_probabilities,
    view_of,
)
from sklearn_ot.adaptation._domain_adapter import DomainAdapter
from sklearn_ot.adaptation._maps import is_none
from sklearn_ot.adaptation._scorers import transport_match
from sklearn_ot.base import CHECKPOINT, all_or_nothing, documented, random_source, resumable, warn_user
from sklearn_ot.nets import progress_bar
from sklearn_ot.streams import no_dask

# A candidate whose neighbours agree less than those of the best one by more standard errors than this is no judge.
JUDGE_MARGIN = 5
# Estimated proportions are others than those of the source if their total variation from them is above this.
OTHER_PROPORTIONS = 0.1


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class DomainAdapterCV(BaseAdapter):
    """A `DomainAdapter` that chooses its transport, or none, without labels of the target.

    Each candidate predicts the target rows of the fit, and two criteria compare it with no transport:

    * The predicted classes of neighbours in the target must not agree less, see `neighbor_consistency`. A candidate for
      which they do is not admitted. Nor is a map with ``proportions="source"`` if a candidate with "estimate" finds
      proportions whose total variation from those of the source is above 0.1: it moves rows to other classes.
    * The expected accuracy must rise. The candidates judge each other: the median of their probabilities of the classes
      is taken for the probabilities of the truth [Hu24]_, and the expected accuracy is the mean probability of the
      predicted classes. Each candidate's probabilities are those of a logistic regression on its moved source, with its
      proportions of the classes. Candidates that are not admitted are no judges, and no transport is none either if its
      neighbours agree less than those of the best candidate by more than 5 standard errors.

    The candidate with the largest gain minus ``margin`` standard errors is chosen, where the standard error is that of
    the difference over the same target rows. If no such number is above 0, no transport is chosen, and a warning says
    so.

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
    margin : float, default=0.75
        The number of standard errors that are subtracted from the gain. A larger number chooses none more often.
    by_row : bool, default=False
        Whether each row to predict gets a candidate of its own. If True, all admitted candidates predict the row, and
        the estimator of one whose class is trusted most decides: the trust in a class is the median of the judges'
        probabilities for it, plus 0.2 if the chosen candidate predicts it, and 0.2 if no transport does. Needs
        ``fine_tune=0``.
    <checkpoint>
    verbose : int, default=0
        Whether to show a progress bar over the candidates.

    Attributes
    ----------
    best_transport_ : transport or None
        The transport that was chosen, not fitted; None for no transport.
    best_proportions_ : str or sequence
        The proportions that were chosen.
    best_index_ : int
        The position of the chosen candidate in ``cv_results_``.
    cv_results_ : dict of list
        For each candidate, of which the first has no transport: ``transport`` and ``proportions``;
        ``neighbor_consistency`` and ``is_admitted``; ``share``, the share of the target rows of the fit that get it;
        ``expected_accuracy``, the ``expected_gain`` over the first candidate and the ``standard_error`` of this gain;
        and for comparison only, ``prediction_entropy`` and ``transport_match``. It is empty if ``fit`` got no target.
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

    A mistake that most of the candidates share is not seen. If the classes may have other
    proportions in the target, give ``proportions=("source", "estimate")``.

    Standard errors are those of the target rows, as if the maps were given. With few target rows a gain can be chance.

    With ``by_row=True`` a prediction is always that of the estimator of a candidate, and candidates that agree about a
    row are never overruled. Where they disagree a linear classifier decides, so that a part of the gain can be that of
    two kinds of classifiers, and not of the maps. ``best_transport_``, ``transports_`` and ``estimator_`` stay those of
    the candidate that is best for all rows together. ``score`` is the accuracy. `predict` takes the time of all
    candidates. All methods predict first, by the candidates' own ``predict``: metadata of ``predict`` reach it, but
    ``predict_proba``, ``decision_function`` and ``score`` pass none to it. No transport gets metadata.

    References
    ----------
    .. [Hu24] D. Hu, M. Luo, J. Liang and C.-S. Foo, "Towards reliable model selection for unsupervised domain
       adaptation: an empirical study and a certified baseline", NeurIPS Datasets and Benchmarks 2024.

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
    margin: float = 0.75
    by_row: bool = False
    checkpoint: str | PathLike | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "transports": [list, tuple],
        "estimator": [HasMethods(["fit", "predict"])],
        "align": [StrOptions({"source", "target"})],
        "columns": ["array-like", slice, str, Integral, callable, None],
        "proportions": [str, "array-like"],
        "feature_extractor": "no_validation",  # the candidates validate it
        "fine_tune": [Interval(Integral, 0, None, closed="left")],
        "margin": [Interval(Real, 0, None, closed="left")],
        "by_row": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "verbose": ["verbose"],
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
        no_dask(f"{type(self).__name__}.fit", X=X, y=y, X_target=X_target)
        if not is_classifier(self.estimator):
            raise ValueError(
                f"{type(self.estimator).__name__} is no classifier: DomainAdapterCV compares transports by the "
                "predicted classes of target rows."
            )
        if self.by_row and self.fine_tune:
            raise ValueError(
                f"fine_tune={self.fine_tune} needs by_row=False: features are trained further with one transport, and "
                "afterwards no criterion distinguishes the candidates."
            )
        with all_or_nothing(self):
            weights = {"sample_weight": sample_weight, "target_weight": target_weight}
            given = {"domain": domain, "X_target": X_target, **weights, **params}
            # The adapter draws no random numbers of its own.
            with resumable(self, random_source(0), X, y, given):
                self._fit(X, y, given)
        return self

    def _fit(self, X, y, given):
        candidates = self._candidates() if given["X_target"] is not None else [(None, "source")]
        adapters, extractor = [], self.feature_extractor
        title = f"{type(self).__name__}, candidates"
        for candidate in progress_bar(title, len(candidates), "fit", self.verbose, candidates):
            adapters.append(self._adapter(*candidate, extractor).fit(X, y, **given))
            # The first candidate trains a network, and the others take the trained one.
            extractor = adapters[0].feature_extractor_
        self.cv_results_, self.best_index_, self._committee = {}, 0, None
        if given["X_target"] is not None:
            self._compare(adapters, X, y, given["sample_weight"], given["domain"])
            self._warn_of_none()
        best = adapters[self.best_index_]
        if self.fine_tune:
            best = self._adapter(*candidates[self.best_index_], extractor, self.fine_tune).fit(X, y, **given)
        self.best_transport_, self.best_proportions_ = best.transport, best.proportions
        # Everything that was fitted, so that this object predicts as the chosen adapter does.
        vars(self).update({name: value for name, value in vars(best).items() if name.endswith("_")})
        if self._committee is not None:
            # Without a transport an adapter knows no domains.
            self.domains_ = max((part.domains_ for part in self._committee.adapters), key=len)

    def _adapter(self, transport, proportions, extractor, fine_tune=0):
        return DomainAdapter(transport, self.estimator, self.align, self.columns, proportions, extractor, fine_tune)

    def _candidates(self):
        is_one = isinstance(self.proportions, str) or not any(isinstance(part, str) for part in self.proportions)
        choices = [self.proportions] if is_one else self.proportions
        moving = [transport for transport in self.transports if not is_none(transport)]
        return [(None, "source"), *((transport, choice) for transport in moving for choice in choices)]

    def _compare(self, adapters, X, y, sample_weight, domain):
        views = [view_of(adapter, X, y, sample_weight, domain) for adapter in adapters]
        predicted = [nearest_class(view) for view in views]
        agreements = [agreement(*part) for part in zip(views, predicted, strict=True)]
        consistency = np.array([found.mean() for found in agreements])
        is_admitted = (consistency >= consistency[0]) & ~contradicted(adapters, source_shares(views[0]))
        best = agreements[np.argmax(np.where(is_admitted, consistency, -1))]
        lack, error = np.transpose([mean_and_error(best - found) for found in agreements])
        is_judge = is_admitted & (lack <= JUDGE_MARGIN * error)
        judges = [
            judge(view, adapter.target_proportions_) if is_in else None
            for view, adapter, is_in in zip(views, adapters, is_judge, strict=True)
        ]
        committee = Committee(adapters, judges, np.zeros(len(adapters)), views[0].classes)
        consensus = committee.consensus([view.target for view in views])
        # The probability that each prediction is right.
        right = [np.take_along_axis(consensus, part[:, None], axis=1)[:, 0] for part in predicted]
        gains, errors = np.transpose([mean_and_error(found - right[0]) for found in right])
        self.best_index_ = int(np.argmax(np.where(is_admitted, gains - self.margin * errors, -np.inf)))
        members = self._members(is_admitted)
        committee = committee.part(members, [VOTE * ((part == self.best_index_) + (part == 0)) for part in members])
        chosen = np.take(members, committee.choose(consensus, [predicted[part] for part in members]))
        share = np.bincount(chosen, minlength=len(adapters)) / len(chosen)
        self.cv_results_ = {
            "transport": [adapter.transport for adapter in adapters],
            "proportions": [adapter.proportions for adapter in adapters],
            "neighbor_consistency": consistency.tolist(),
            "is_admitted": is_admitted.tolist(),
            "share": share.tolist(),
            "expected_accuracy": [float(found.mean()) for found in right],
            "expected_gain": gains.tolist(),
            "standard_error": errors.tolist(),
            "prediction_entropy": [float(certainty(target_probabilities(view)).mean()) for view in views],
            "transport_match": [transport_match(adapter, X, None, sample_weight, domain) for adapter in adapters],
        }
        self._committee = committee if self.by_row else None

    def _members(self, is_admitted):
        """The numbers of the candidates that predict, the chosen one first."""
        others = np.flatnonzero(is_admitted) if self.by_row else []
        return [self.best_index_, *(number for number in others if number != self.best_index_)]

    def _warn_of_none(self):
        share = self.cv_results_["share"]
        if share[0] == 1 and len(share) > 1:
            warn_user(
                "No transport is chosen: with none of them is the expected accuracy in the target higher by more "
                f"than {self.margin:g} standard errors, and the estimator is fitted on the source as it is. "
                "cv_results_ has the criteria."
            )

    def _call(self, method, X, domain, routed):
        if self._committee is None:
            return super()._call(method, X, domain, routed)
        return self._committee.call(method, *self._read_rows(X, domain), routed.estimator)

    def _score(self, X, y, domain, routed, weights):
        if self._committee is None:
            return super()._score(X, y, domain, routed, weights)
        predicted = self._call("predict", X, domain, routed)
        return float(accuracy_score(y, predicted, **weights, **routed.estimator.score))


def contradicted(adapters, shares):
    """Which candidates assume the proportions of the source although an estimate finds others."""
    found = [adapter.target_proportions_ for adapter in adapters if is_word(adapter.proportions, "estimate")]
    if not any(np.abs(part - shares).sum() / 2 > OTHER_PROPORTIONS for part in found):
        return np.zeros(len(adapters), bool)
    return np.array([not is_none(part.transport) and is_word(part.proportions, "source") for part in adapters])


def is_word(value, word):
    """Whether a parameter is this word, and no array."""
    return isinstance(value, str) and value == word


def mean_and_error(differences):
    """The mean of differences over the same rows, and its standard error."""
    return differences.mean(), differences.std(ddof=1) / np.sqrt(len(differences))

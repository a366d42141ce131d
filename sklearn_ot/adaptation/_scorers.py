"""Scorers for model selection in domain adaptation, where the target has no labels."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_ot.adaptation._base_adapter import BaseAdapter
from sklearn_ot.adaptation._columns import read_table
from sklearn_ot.adaptation._criteria import (
    agreement,
    certainty,
    check_target,
    each_source,
    nearest_class,
    target_probabilities,
    view_of,
)
from sklearn_ot.checks import check_weight
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.settings import in_own_settings


def _requests_domain(scorer):
    """Let searches with metadata routing pass ``domain`` on to a scorer."""
    request = MetadataRequest(owner=scorer.__name__)
    request.score.add_request(param="domain", alias=True)
    scorer.get_metadata_routing = lambda: request
    return scorer


def _last_step(estimator, X):
    if not isinstance(estimator, Pipeline):
        return estimator, X
    # An empty pipeline has no transform.
    return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X


@_requests_domain
@in_own_settings
def transport_match(estimator, X, y=None, sample_weight=None, domain=None):
    """Match of the two domains after transport: minus their squared sliced Wasserstein-2 distance.

    Do not choose a transport by this score alone. It rewards a copy of the target, whatever becomes of the classes: if
    the classes have other proportions in the target, the map with the best match moves rows of one class onto another,
    which has cost up to 29 points of accuracy. `prediction_entropy` and `neighbor_consistency` look at the classes, and
    `DomainAdapterCV` compares transports with none. Use the match for parameters that only change how well the same map
    is fitted.

    Give it as ``scoring`` to one of scikit-learn's searches, in which ``X`` are held-out source rows. With
    ``align="source"``, and for a transport without an adapter, the map moves these rows, and the score compares
    them with the target of ``fit``. With ``align="target"`` the map moves the target of ``fit``, and the score
    compares it with these rows. The score measures whether the distributions match. It does not measure whether the
    map is optimal, nor whether it sends each class to the same class.

    Parameters
    ----------
    estimator : DomainAdapter, transport, or Pipeline that ends in one
        An estimator that was fitted with a target. In a Pipeline the distance is measured in the features of the last
        step: compare only pipelines whose other steps are the same.
    X : array-like of shape (n_samples, n_features), or list of such
        Source rows; for several sources, a list with one entry for each of them, like all other arguments. The score is
        then the mean over the sources.
    y : array-like, default=None
        Ignored by a DomainAdapter. A transport takes it as in its ``score``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. The target of ``fit`` has the weights that ``fit`` got.
    domain : array-like of shape (n_samples,), default=None
        The source of each row, if ``fit`` got it for the rows of one table. With metadata routing, searches pass it on.

    Returns
    -------
    score : float
        Minus the squared distance, in squared units of the data and without the factor ½. 0 is perfect, higher is
        better. The projections are fixed, so equal arguments give equal scores.

    Raises
    ------
    ValueError
        If the adapter was fitted without a target, or has several sources and neither lists nor ``domain`` say which
        rows belong to each of them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV, KFold
    >>> from sklearn_ot.adaptation import DomainAdapter, transport_match
    >>> from sklearn_ot.transport import GaussianTransport
    >>> Xs = np.random.RandomState(0).randn(200, 2)
    >>> ys, Xt = Xs[:, 0] > 0, 3 * Xs[::2] @ [[1.0, 0.8], [0.0, 0.6]] + 1
    >>> search = GridSearchCV(
    ...     DomainAdapter(GaussianTransport(), LogisticRegression()),
    ...     {"transport__shrinkage": ["auto", 1.0]},
    ...     scoring=transport_match,
    ...     cv=KFold(5, shuffle=True, random_state=0),
    ... )
    >>> search.fit(Xs, ys, X_target=Xt).best_params_
    {'transport__shrinkage': 'auto'}
    """
    estimator, X = _last_step(estimator, X)
    if not isinstance(estimator, BaseAdapter):
        return estimator.score(X, y, sample_weight=sample_weight)
    check_target(estimator)
    sources = each_source(estimator, X, sample_weight, domain=domain)
    return float(np.mean([_match(estimator, *source) for source in sources]))


def _match(adapter, number, X, sample_weight):
    rows, target = read_table(adapter, X).rows, adapter.target_reference_
    weight, transport = check_weight(sample_weight, len(rows)), adapter.transports_[number]
    if adapter.align == "source":
        moved = np.asarray(transport.transform(rows))
        distance = sliced_wasserstein_distance(moved, target, sample_weight=weight, random_state=0)
    else:
        moved = np.asarray(transport.transform(target))
        distance = sliced_wasserstein_distance(moved, rows, target_weight=weight, random_state=0)
    return -(distance**2)


@_requests_domain
@in_own_settings
def prediction_entropy(estimator, X, y, sample_weight=None, domain=None):
    r"""Certainty of a linear classifier in the target: minus the mean entropy of its predictions.

    The classifier is a logistic regression on standardised columns, fitted to the rows ``X`` where the estimator of the
    adapter sees them, which is after their move if ``align="source"``. The classes of the target rows of ``fit`` are
    predicted with probabilities :math:`p_k`, and the score is the mean of

    .. math:: \frac{1}{\log K} \sum_{k=1}^K p_k \log p_k

    over the rows of each predicted class, then over the classes. A class that is predicted for no row counts as -1:
    predictions for rows far from all rows of the source are certain, but usually of one class.

    A wrong map leaves target rows between the classes of the source, where predictions are not certain [Morerio18]_.
    But a map that knows the labels of the source draws its classes apart, and makes predictions certain also if it is
    wrong: use this score with `neighbor_consistency`.

    Parameters
    ----------
    estimator : DomainAdapter, or Pipeline that ends in one
        A classifier that was fitted with a target.
    X : array-like of shape (n_samples, n_features), or list of such
        Source rows; for several sources, a list with one entry for each of them, like all other arguments.
    y : array-like of shape (n_samples,)
        Their classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    domain : array-like of shape (n_samples,), default=None
        The source of each row, if ``fit`` got it for the rows of one table. With metadata routing, searches pass it on.

    Returns
    -------
    score : float
        From -1, if all classes are as likely everywhere, to 0; higher is better.

    Raises
    ------
    ValueError
        If the adapter was fitted without a target, or has several sources and neither lists nor ``domain`` say which
        rows belong to each of them.

    References
    ----------
    .. [Morerio18] P. Morerio, J. Cavazza and V. Murino, "Minimal-entropy correlation alignment for unsupervised deep
       domain adaptation", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport, prediction_entropy
    >>> from sklearn_ot.transport import GaussianTransport
    >>> rng = np.random.RandomState(0)
    >>> ys = np.arange(400) % 2
    >>> Xs = 0.3 * rng.randn(400, 2) + np.c_[ys, 0 * ys]
    >>> Xt = 0.3 * rng.randn(400, 2) + np.c_[0.5 * ys, -1.5 * ys]
    >>> for transport in (GaussianTransport(), LabelAwareTransport()):
    ...     adapter = DomainAdapter(transport, KNeighborsClassifier()).fit(Xs, ys, X_target=Xt)
    ...     print(round(prediction_entropy(adapter, Xs, ys), 2))
    -0.41
    -0.14
    """
    estimator, X = _last_step(estimator, X)
    return float(np.mean(certainty(target_probabilities(view_of(estimator, X, y, sample_weight, domain)))))


@_requests_domain
@in_own_settings
def neighbor_consistency(estimator, X, y, sample_weight=None, domain=None):
    """Agreement of the predicted classes of neighbours in the target.

    Each target row of ``fit`` gets the class of the nearest row of ``X``, where the estimator of the adapter sees them,
    which is after the move of ``X`` if ``align="source"``. The score is the mean share of the 10 nearest target rows
    with the same predicted class. It is multiplied by the share of the classes that are found: a class is not found if
    it is predicted for less than a tenth of its share in ``X``, because predictions for rows far from all rows of the
    source agree, but are usually of one class. If classes are clusters of the target, a wrong map has its border
    between two classes inside of a cluster.

    Parameters
    ----------
    estimator : DomainAdapter, or Pipeline that ends in one
        A classifier that was fitted with a target.
    X : array-like of shape (n_samples, n_features), or list of such
        Source rows; for several sources, a list with one entry for each of them, like all other arguments.
    y : array-like of shape (n_samples,)
        Their classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; rows with the weight 0 are left out.
    domain : array-like of shape (n_samples,), default=None
        The source of each row, if ``fit`` got it for the rows of one table. With metadata routing, searches pass it on.

    Returns
    -------
    score : float
        From 0 to 1; higher is better.

    Raises
    ------
    ValueError
        If the adapter was fitted without a target, or has several sources and neither lists nor ``domain`` say which
        rows belong to each of them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport, neighbor_consistency
    >>> from sklearn_ot.transport import GaussianTransport
    >>> rng = np.random.RandomState(0)
    >>> ys = np.arange(400) % 2
    >>> Xs = 0.3 * rng.randn(400, 2) + np.c_[ys, 0 * ys]
    >>> Xt = 0.3 * rng.randn(400, 2) + np.c_[0.5 * ys, -1.5 * ys]
    >>> for transport in (GaussianTransport(), LabelAwareTransport()):
    ...     adapter = DomainAdapter(transport, KNeighborsClassifier()).fit(Xs, ys, X_target=Xt)
    ...     print(round(neighbor_consistency(adapter, Xs, ys), 2))
    0.9
    0.99
    """
    estimator, X = _last_step(estimator, X)
    view = view_of(estimator, X, y, sample_weight, domain)
    return float(np.mean(agreement(view, nearest_class(view))))


@_requests_domain
def transported_source_accuracy(estimator, X, y, sample_weight=None, domain=None):
    """Score of a `DomainAdapter` on labelled source rows.

    Use this scorer to choose the parameters of the estimator when the target has no labels: give it as ``scoring`` to
    one of scikit-learn's searches, in which ``X`` and ``y`` are held-out source rows. The default score of a search
    would treat these rows as target rows. This scorer does not show whether the transport is right. If the search
    also runs over parameters of the transport, set ``refit`` to `transport_match`.

    * With ``align="source"`` the map moves the rows, as it moved the training rows of the estimator. A wrong map that
      keeps the classes apart has the same score as the right one.
    * With ``align="target"`` the estimator was fitted on unmoved source rows, so the rows are not moved and the
      transport has no effect on the score.

    Parameters
    ----------
    estimator : DomainAdapter or Pipeline that ends in one
        A fitted estimator.
    X : array-like of shape (n_samples, n_features), or list of such
        Source rows; for several sources, a list with one entry for each of them, like all other arguments. The score is
        then the mean over the sources.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their labels or values.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    domain : array-like of shape (n_samples,), default=None
        The source of each row, if ``fit`` got it for the rows of one table. With metadata routing, searches pass it on.

    Returns
    -------
    score : float
        The estimator's own score, higher is better: accuracy of a classifier, R² of a regressor.

    Raises
    ------
    ValueError
        If the adapter has several sources and neither lists nor ``domain`` say which rows belong to each of them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_ot.adaptation import DomainAdapter, transported_source_accuracy
    >>> from sklearn_ot.transport import GaussianTransport
    >>> Xs = np.random.RandomState(0).randn(200, 2)
    >>> ys, Xt = Xs[:, 0] > 0, 3 * Xs[::2] + 10
    >>> adapter = DomainAdapter(GaussianTransport(), LogisticRegression()).fit(Xs, ys, X_target=Xt)
    >>> transported_source_accuracy(adapter, Xs, ys) > 0.95
    True
    >>> adapter.score(Xs, ys, domain="target")
    0.56
    """
    estimator, X = _last_step(estimator, X)
    if not isinstance(estimator, BaseAdapter):
        return estimator.score(X, y, sample_weight=sample_weight, domain="source")
    sources = each_source(estimator, X, y, sample_weight, domain=domain)
    return float(
        np.mean(
            [
                estimator.score(rows, labels, sample_weight=weight, domain=estimator.source_names_[number])
                for number, rows, labels, weight in sources
            ]
        )
    )

"""Scorers for model selection in domain adaptation, where the target has no labels."""

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import validate_data

from sklearn_ot.adaptation._domain_adapter import DomainAdapter
from sklearn_ot.base import FLOAT_DTYPES
from sklearn_ot.metrics import sliced_wasserstein_distance


def _last_step(estimator, X):
    if not isinstance(estimator, Pipeline):
        return estimator, X
    # A pipeline of no steps has no transform.
    return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X


def transport_match(estimator, X, y=None):
    """How well the moved domain matches the other: minus their squared sliced Wasserstein-2 distance.

    Use it to choose the parameters of a transport: the callable is a value of ``scoring`` of scikit-learn's searches,
    where ``X`` are held-out source rows. They are compared with the target of ``fit``, after the map has moved them
    onto the target (``align="source"``, and a transport by itself) or the target onto them (``align="target"``). It
    sees whether the domains match, not whether the map is optimal, nor whether classes meet.

    Parameters
    ----------
    estimator : DomainAdapter, transport, or Pipeline that ends in one
        Fitted, with a target. With a Pipeline, the distance is measured in the space of its last step: compare only
        pipelines whose first steps are the same.
    X : array-like of shape (n_samples, n_features)
        Source rows.
    y : array-like, default=None
        Ignored by a DomainAdapter. A transport takes it as in its ``score``.

    Returns
    -------
    score : float
        0 is perfect, higher is better; without the factor ½, in squared units of the data. The projections are fixed,
        so equal arguments give equal scores.

    Raises
    ------
    ValueError
        If the adapter was fitted without a target.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV, KFold
    >>> from sklearn_ot.adaptation import DomainAdapter, transport_match
    >>> from sklearn_ot.transport import GaussianTransport
    >>> Xs = np.random.RandomState(0).randn(200, 2)
    >>> ys, Xt = Xs[:, 0] > 0, 3 * Xs[::2] + 1
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
    if not isinstance(estimator, DomainAdapter):
        return estimator.score(X, y)
    if estimator.transport_ is None:
        raise ValueError(
            "This DomainAdapter was fitted without X_target: it has no map to score. Pass X_target=... to fit "
            "(fit(X, y, X_target=...) of a search hands it on)."
        )
    X = validate_data(estimator, X, dtype=FLOAT_DTYPES, reset=False)
    target = estimator.target_reference_
    start, end = (X, target) if estimator.align == "source" else (target, X)
    moved = estimator.transport_.transform(start)
    return -(sliced_wasserstein_distance(moved, end, random_state=0) ** 2)


def transported_source_accuracy(estimator, X, y):
    """The score of a `DomainAdapter` on labelled source rows, brought to where its estimator was fitted.

    Use it to choose the parameters of the estimator, where the target has no labels: the callable is a value of
    ``scoring`` of scikit-learn's searches, where ``X`` and ``y`` are held-out source rows. (Their default, ``score``,
    would take those rows for target rows.) It is blind to much of what a transport does, so ``refit`` by
    `transport_match` when the transport has parameters too:

    * with ``align="source"`` the rows are moved like those the estimator was fitted on; any map that keeps the
      classes apart, right or wrong, scores as high;
    * with ``align="target"`` the estimator lives in the source, so that the rows stay as they are and the transport
      has no part in the score.

    Parameters
    ----------
    estimator : DomainAdapter or Pipeline that ends in one
        Fitted.
    X : array-like of shape (n_samples, n_features)
        Source rows.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Their labels or values.

    Returns
    -------
    score : float
        The estimator's own score, higher is better: accuracy of a classifier, R² of a regressor.

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
    >>> adapter.score(Xs, ys)  # takes the source rows for target rows
    0.56
    """
    estimator, X = _last_step(estimator, X)
    return estimator.score(X, y, domain="source")

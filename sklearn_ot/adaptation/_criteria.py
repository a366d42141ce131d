"""Criteria of a map without labels of the target: one number for each target row, from moved labelled rows."""

from typing import NamedTuple

import numpy as np
from scipy.special import entr
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import _num_samples

from sklearn_ot.adaptation._columns import read_table
from sklearn_ot.adaptation._proportions import Probabilities, linear_classifier
from sklearn_ot.adaptation._sources import is_several, origin_of
from sklearn_ot.checks import check_weight
from sklearn_ot.plain import stored

NEIGHBORS = 10
# A class is found in the target if it is predicted for at least this part of its share in the source.
FOUND = 0.1


class View(NamedTuple):
    """Rows of both domains where the estimator of an adapter sees them.

    Attributes
    ----------
    source : ndarray of shape (n_samples, n_columns)
        Source rows.
    codes, weight : ndarray of shape (n_samples,)
        Their classes as integers from 0, and their weights as numbers of equal rows.
    target : ndarray of shape (n_target_samples, n_columns)
        Target rows.
    unmoved : ndarray of shape (n_target_samples, n_columns)
        Target rows as they were given.
    classes : ndarray of shape (n_classes,)
        The classes of the integers.
    """

    source: np.ndarray
    codes: np.ndarray
    weight: np.ndarray
    target: np.ndarray
    unmoved: np.ndarray
    classes: np.ndarray


def each_source(adapter, X, *others, domain=None):
    """The number of each source of a fitted adapter that has rows here, its rows, and its part of other arguments."""
    n_sources = len(adapter.source_names_)
    if domain is not None:
        # The rows may lie in any order, and their columns may be of any kind.
        origin = origin_of(domain, adapter.source_names_, _num_samples(X))
        rows_of = [(number, np.flatnonzero(origin == number)) for number in range(n_sources)]
        return [
            (number, *(None if part is None else _safe_indexing(*indexable(part), index) for part in (X, *others)))
            for number, index in rows_of
            if len(index)
        ]
    if n_sources == 1:
        return [(0, X, *others)]
    parts = [[None] * n_sources if other is None else other for other in others]
    if not is_several(X) or any(len(part) != n_sources for part in (X, *parts)):
        raise ValueError(
            f"The adapter has {n_sources} sources: give lists with one entry for each of them, or domain=..., the "
            "source of each row; a search passes it on if metadata routing is enabled."
        )
    return list(zip(range(n_sources), X, *parts, strict=True))


def check_target(adapter):
    """Raise a ValueError unless an adapter was fitted with a target."""
    if not adapter.transports_:
        raise ValueError(
            "This DomainAdapter was fitted without X_target: it has no map to score. Pass X_target=... to fit "
            "(a search passes it on: search.fit(X, y, X_target=...))."
        )


def view_of(adapter, X, y, sample_weight=None, domain=None):
    """The rows of both domains where the estimator of a fitted adapter sees them."""
    check_target(adapter)
    rows, labels, weights = [], [], []
    for number, part, part_y, part_weight in each_source(adapter, X, y, sample_weight, domain=domain):
        table = read_table(adapter, part).rows
        transport = adapter.transports_[number]
        rows.append(np.asarray(transport.transform(table)) if adapter.align == "source" else table)
        labels.append(np.asarray(part_y))
        weights.append(check_weight(part_weight, len(table)) * len(table))
    unmoved = adapter.target_reference_
    target = unmoved if adapter.align == "source" else np.asarray(adapter.transports_[0].transform(unmoved))
    classes, codes = np.unique(np.concatenate(labels), return_inverse=True)
    return View(np.concatenate(rows), codes, np.concatenate(weights), target, unmoved, classes)


def target_probabilities(view, proportions=None):
    """Probabilities of the classes of target rows, by the `judge` of the same arguments."""
    return judge(view, proportions)(view.target)


def judge(view, proportions=None):
    """A function from rows, where the estimator sees them, to probabilities of the classes; it can be pickled.

    It is a linear classifier that is fitted to the source. ``proportions`` are those of the classes in the target; None
    are those of the source.
    """
    linear = linear_classifier(view.source, view.codes, view.weight)
    if proportions is None:
        return linear
    share = source_shares(view)
    return WithRatios(linear, np.divide(proportions, share, out=np.zeros_like(share), where=share > 0))


@stored
class WithRatios(NamedTuple):
    """A function from rows to probabilities of the classes, if those of another function are in given ratios.

    Attributes
    ----------
    linear : Probabilities
        The other function.
    ratios : ndarray of shape (n_classes,)
        The ratios of the proportions of the classes.
    """

    linear: Probabilities
    ratios: np.ndarray

    def __call__(self, rows):
        # No row may have the sum 0.
        probabilities = (self.linear(rows) + np.finfo(np.float64).tiny) * self.ratios
        return probabilities / probabilities.sum(axis=1, keepdims=True)


def certainty(probabilities):
    """Minus the entropy of the probabilities of each target row, as a share of the largest one, and `balanced`.

    The mean over the rows is from -1 to 0.
    """
    entropy = entr(probabilities).sum(axis=1) / np.log(max(probabilities.shape[1], 2))
    return balanced(1 - entropy, probabilities.argmax(axis=1), probabilities.shape[1]) - 1


def nearest_class(view):
    """The class of the nearest source row of each target row."""
    is_used = view.weight > 0
    return KNeighborsClassifier(1).fit(view.source[is_used], view.codes[is_used]).predict(view.target)


def agreement(view, predicted):
    """The share of the nearest target rows of each target row that have its predicted class.

    It is multiplied by the share of the classes that are found among the predictions.
    """
    neighbors = NearestNeighbors(n_neighbors=min(NEIGHBORS, len(predicted) - 1)).fit(view.unmoved)
    index = neighbors.kneighbors(return_distance=False)
    shares = source_shares(view)
    is_found = np.bincount(predicted, minlength=len(shares)) >= FOUND * len(predicted) * shares
    return np.mean(predicted[index] == predicted[:, None], axis=1) * is_found[shares > 0].mean()


def source_shares(view):
    """The proportions of the classes in the source."""
    return np.bincount(view.codes, view.weight) / view.weight.sum()


def balanced(values, predicted, n_classes):
    """Values whose mean over all rows is the mean over the classes of the given values of rows of the class.

    A class that is predicted for no row counts as 0.
    """
    share = np.bincount(predicted) / len(predicted)
    return values / (share[predicted] * n_classes)

"""The labelled rows of a fit: of one source, or of several sources that are given as lists."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length, get_tags

from sklearn_ot.adaptation._columns import Table, features_of, read_table
from sklearn_ot.adaptation._weights import read_weight


class Source(NamedTuple):
    """Labelled rows of all sources, one source after the other.

    Attributes
    ----------
    table : Table
        The rows.
    y : array-like or None
        Their labels or values.
    weight : ndarray of shape (n_samples,) or None
        Their weights.
    parts : list of slice
        The rows of each source.
    """

    table: Table
    y: object
    weight: np.ndarray | None
    parts: list

    def with_features(self, extractor):
        """The same labelled rows in the features of a transformer."""
        rows = features_of(extractor, self.table.rows)
        return self._replace(table=Table(rows, rows, np.arange(rows.shape[1])))


def is_several(X):
    """Whether ``X`` is a list of tables, and not one table."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else None
    if hasattr(first, "shape"):
        return len(first.shape) == 2
    return isinstance(first, list | tuple) and len(first) > 0 and isinstance(first[0], list | tuple | np.ndarray)


def read_source(adapter, X, y, sample_weight):
    """Validate the labelled rows of a fit.

    Parameters
    ----------
    adapter : DomainAdapter
        The adapter; its attributes about features are set.
    X, y, sample_weight : array-likes, or lists of array-likes for several sources
        Rows, labels and weights. ``y`` and ``sample_weight`` may be None.

    Returns
    -------
    source : Source
        The rows of all sources.
    """
    if not is_several(X):
        table = read_table(adapter, X, reset=True)
        _check_labels(adapter.estimator, X, y)
        weight = read_weight(sample_weight, len(table.rows), "sample_weight", "X")
        return Source(table, y, weight, [slice(0, len(table.rows))])
    ys, weights = (_one_for_each(part, len(X), name) for part, name in [(y, "y"), (sample_weight, "sample_weight")])
    tables = []
    for number, (rows, labels) in enumerate(zip(X, ys, strict=True)):
        try:
            tables.append(read_table(adapter, rows, reset=number == 0, min_samples=2))
            _check_labels(adapter.estimator, rows, labels)
        except ValueError as error:
            raise ValueError(f"X[{number}], the rows of source {number}, cannot be used: {error}") from error
    sizes = [len(table.rows) for table in tables]
    weight = None
    if sample_weight is not None:
        weights = [
            read_weight(1.0 if part is None else part, size, f"sample_weight[{number}]", f"X[{number}]")
            for number, (part, size) in enumerate(zip(weights, sizes, strict=True))
        ]
        weight = np.concatenate(weights)
    ends = np.cumsum(sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    labels = None if y is None else np.concatenate([np.asarray(part) for part in ys])
    return Source(Table.stack(tables), labels, weight, parts)


def _one_for_each(parts, n_sources, name):
    """A list with one entry for each source."""
    if parts is None:
        return [None] * n_sources
    if not isinstance(parts, list | tuple) or len(parts) != n_sources:
        raise ValueError(f"X is a list of {n_sources} sources: give {name} as a list with one entry for each of them.")
    return parts


def _check_labels(estimator, X, y):
    """Raise a ValueError unless there are labels for all rows, or the estimator needs none."""
    tags = get_tags(estimator)
    # The tags of a Pipeline do not show whether it needs labels, but they show whether it is a classifier.
    if y is None and (tags.target_tags.required or tags.estimator_type in ("classifier", "regressor")):
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None. Give the labels of the "
            "source rows, fit(X, y, X_target=...)."
        )
    check_consistent_length(X, y)

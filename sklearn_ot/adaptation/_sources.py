"""The labelled rows of a fit: of one source, or of several sources, as lists or with the source of each row."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d, get_tags

from sklearn_ot.adaptation._columns import Table, features_of, read_table
from sklearn_ot.adaptation._weights import read_weight

# Words with a meaning as the domain of rows to predict: they are no names of sources.
AUTO, TARGET, ANY_SOURCE = "auto", "target", "source"


class Source(NamedTuple):
    """Labelled rows of all sources.

    Attributes
    ----------
    table : Table
        The rows.
    y : array-like or None
        Their labels or values.
    weight : ndarray of shape (n_samples,) or None
        Their weights.
    parts : list of slice or ndarray of int
        The rows of each source.
    names : ndarray of shape (n_sources,)
        The name of each source: its label in ``domain``, or its number.
    """

    table: Table
    y: object
    weight: np.ndarray | None
    parts: list
    names: np.ndarray

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


def read_source(adapter, X, y, sample_weight, domain):
    """Validate the labelled rows of a fit.

    Parameters
    ----------
    adapter : DomainAdapter
        The adapter; its attributes about features are set.
    X, y, sample_weight : array-likes, or lists of array-likes for several sources
        Rows, labels and weights. ``y`` and ``sample_weight`` may be None.
    domain : array-like of shape (n_samples,) or None
        The label of the source of each row; None for one source, or for lists.

    Returns
    -------
    source : Source
        The rows of all sources.
    """
    if is_several(X):
        if domain is not None:
            raise ValueError("X is a list of sources: give domain=... only with one table of the rows of all sources.")
        return _read_list(adapter, X, y, sample_weight)
    table = read_table(adapter, X, reset=True)
    _check_labels(adapter.estimator, X, y)
    weight = read_weight(sample_weight, len(table.rows), "sample_weight", "X")
    if domain is None:
        return Source(table, y, weight, [slice(0, len(table.rows))], np.arange(1))
    names, numbers = read_domain(domain, len(table.rows))
    parts = [np.flatnonzero(numbers == number) for number in range(len(names))]
    return Source(table, y, weight, parts, names)


def read_domain(domain, n_rows):
    """The names of the sources in ascending order, and the number of the source of each row.

    Raises
    ------
    ValueError
        If ``domain`` is no label for each row, or a source has fewer than two rows.
    """
    try:
        labels = column_or_1d(check_array(domain, dtype=None, ensure_2d=False, input_name="domain"))
        names, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"domain, the source of each row of X, cannot be used: {error}") from error
    if len(labels) != n_rows:
        raise ValueError(f"domain names the source of each row of X: it has {len(labels)} entries for {n_rows} rows.")
    for word in (AUTO, TARGET, ANY_SOURCE):
        if word in names.tolist():
            raise ValueError(
                f"domain has the label {word!r}, which has a meaning of its own in predict: give the sources other "
                "labels, and target rows as X_target=..."
            )
    if counts.min() < 2:
        single = names.tolist()[counts.argmin()]
        raise ValueError(f"domain names the source {single!r} for one row only: a map needs two rows.")
    return names, numbers


def origin_of(domain, names, n_rows):
    """For each of the rows to predict, the number of its source, or -1 for the target.

    Parameters
    ----------
    domain : str, label or array-like of shape (n_samples,)
        "target", "source" for the only one, or the name of a source; for all rows, or for each of them.
    names : ndarray of shape (n_sources,)
        The names of the sources.
    n_rows : int
        Number of rows.

    Returns
    -------
    origin : ndarray of shape (n_samples,)
        The numbers.
    """
    # True is equal to 1, but it is not the name of the source 1.
    number_of = {(isinstance(name, bool), name): number for number, name in enumerate(names.tolist())}
    number_of[False, TARGET] = -1
    if len(names) == 1:
        number_of[False, ANY_SOURCE] = 0
    elif isinstance(domain, str) and domain == ANY_SOURCE:
        first = names.tolist()[0]
        raise ValueError(f"There are {len(names)} sources: pass domain={first!r} for rows of the first one, and so on.")
    given = np.asarray(domain, dtype=object)
    try:
        origin = np.array([number_of[isinstance(label, bool | np.bool_), label] for label in given.ravel()], dtype=int)
    except (KeyError, TypeError) as error:
        raise ValueError(
            "domain must be 'auto', 'target' or 'source', the domain of the rows, or the name of a source, one of "
            f"{names.tolist()}, or such a name for each row; got {domain!r}."
        ) from error
    if given.ndim == 0:
        return np.full(n_rows, origin[0])
    if given.shape != (n_rows,):
        raise ValueError(f"domain names the domain of each row: it has the shape {given.shape} for {n_rows} rows.")
    return origin


def _read_list(adapter, X, y, sample_weight):
    """The same as `read_source` for several sources as lists."""
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
    return Source(Table.stack(tables), labels, weight, parts, np.arange(len(X)))


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

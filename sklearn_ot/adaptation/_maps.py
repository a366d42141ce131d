"""The maps of a DomainAdapter: one for each source, between it and the target."""

import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import _check_method_params

from sklearn_ot.adaptation._weights import Weighting
from sklearn_ot.base import uses_labels


def is_none(transport):
    """Whether the parameter ``transport`` of an adapter says that no row is moved."""
    return transport is None or isinstance(transport, str)


def check_direction(adapter, source):
    """Raise a ValueError if the adapter cannot move the target onto these sources."""
    if adapter.align == "source" or is_none(adapter.transport):
        return
    if uses_labels(adapter.transport):
        raise ValueError(
            f"{type(adapter.transport).__name__} needs the labels of the rows that it moves, but align='target' moves "
            "target rows, which have none. Use align='source'."
        )
    if len(source.parts) > 1:
        raise ValueError(
            "align='target' moves target rows onto one source, but there are several sources. Use align='source'."
        )


def fit_transport(adapter, source, part, target, target_weight, params):
    """Fit a clone of the transport of an adapter between one source and the target.

    Parameters
    ----------
    adapter : DomainAdapter
        The adapter.
    source : Source
        The rows of all sources.
    part : slice or ndarray of int
        The rows of this source.
    target, target_weight : ndarray and ndarray or None
        Target rows and their weights.
    params : dict
        Metadata for ``fit``; what has one entry for each row of all sources is split.

    Returns
    -------
    transport : estimator
        The fitted transport; one that moves no row if the adapter has none.
    """
    transport = adapter.transport
    if is_none(transport):
        return FunctionTransformer().fit(target)
    params = part_of(params, source, part)
    rows, weight = source.table.rows[part], None if source.weight is None else source.weight[part]
    samples = [(rows, weight), (target, target_weight)]
    (start, start_weight), (end, end_weight) = samples if adapter.align == "source" else samples[::-1]
    at_start = Weighting.of(transport, start_weight)
    at_end = Weighting.of(transport, end_weight, "target_weight")
    # Labels as an array, because a slice of a Series means its index.
    labels = (at_start.rows(np.asarray(source.y)[part]),) if uses_labels(transport) else ()
    return clone(transport).fit(
        at_start.rows(start),
        *labels,
        X_target=at_end.rows(end),
        **at_start.params,
        **at_end.params,
        **at_start.metadata(start, params),
    )


def part_of(params, source, part):
    """Metadata for the rows of one source."""
    if len(source.parts) == 1:
        return params
    rows = source.table.rows
    return _check_method_params(rows, params, indices=np.arange(len(rows))[part])


def moved(transport, rows, params, index=None):
    """Images of rows, of which metadata has the entries ``index``."""
    if index is not None:
        params = _check_method_params(rows, params, indices=index)
    # Always an array, like the rows of the other domain, even if transforms are set to give DataFrames.
    return np.asarray(transport.transform(rows, **params))


def moved_source(adapter, source, params):
    """The rows of all sources as the estimator is fitted on them."""
    rows = source.table.rows
    if adapter.align == "target":
        return rows
    images = [
        moved(transport, rows[part], part_of(params, source, part))
        for transport, part in zip(adapter.transports_, source.parts, strict=True)
    ]
    if len(images) == 1:
        return images[0]
    rows = np.empty((len(rows), images[0].shape[1]), np.result_type(*images))
    for part, image in zip(source.parts, images, strict=True):
        rows[part] = image
    return rows


def bring_to_estimator(adapter, rows, origin, params):
    """Rows where the estimator expects them.

    Parameters
    ----------
    adapter : DomainAdapter
        The fitted adapter.
    rows : ndarray of shape (n_samples, n_moved_columns)
        The rows.
    origin : ndarray of shape (n_samples,)
        For each row the number of its source, or -1 for the target.
    params : dict
        Metadata for ``transform``.

    Returns
    -------
    rows : ndarray of shape (n_samples, n_moved_columns)
        Images of the rows of the domain that is moved, and the other rows as they are.
    """
    given = rows
    for number in np.unique(origin):
        if (number < 0) == (adapter.align == "source"):
            continue
        index = np.flatnonzero(origin == number)
        transport = adapter.transports_[max(number, 0)]
        if len(index) == len(rows):
            return moved(transport, rows, params)
        images = moved(transport, given[index], params, index)
        rows = rows.astype(np.result_type(rows, images))
        rows[index] = images
    return rows

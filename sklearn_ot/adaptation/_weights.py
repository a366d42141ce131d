"""Weights of rows for estimators that take weights, and for those that do not."""

from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.metadata_routing import MetadataRouter, get_routing_for_object
from sklearn.utils.validation import _check_method_params, has_fit_parameter

from sklearn_ot.checks import check_weight

# More rows than these are a mistake: weights that are no counts.
MAX_REPEATED_ROWS = 10**7


class Weighting(NamedTuple):
    """How the ``fit`` of an estimator gets weights.

    Attributes
    ----------
    params : dict
        The weights as an argument of ``fit``, or nothing.
    index : ndarray or None
        Positions of the rows, each as often as its weight says; None if all rows are used once.
    """

    params: dict
    index: np.ndarray | None

    @classmethod
    def of(cls, estimator, weight, keyword="sample_weight"):
        """Weights for an estimator: as its argument ``keyword`` if it has one, else integers as repeated rows.

        Parameters
        ----------
        estimator : estimator
            The estimator to be fitted.
        weight : ndarray of shape (n_samples,) or None
            The weights.
        keyword : str, default="sample_weight"
            The argument of ``fit``.

        Returns
        -------
        weighting : Weighting
            The way.

        Raises
        ------
        ValueError
            If the estimator takes no weights, and rows cannot be repeated instead.
        """
        if weight is None:
            return cls({}, None)
        if has_fit_parameter(estimator, keyword):
            return cls({keyword: weight}, None)
        if np.any(weight != np.rint(weight)) or weight.sum() > MAX_REPEATED_ROWS:
            name = type(estimator).__name__
            raise ValueError(
                f"{name}.fit takes no {keyword}, and rows can be repeated instead only for weights that are integers "
                f"with a sum of at most {MAX_REPEATED_ROWS}. Give integer weights or an estimator that takes weights. "
                "For a Pipeline, enable metadata routing and let its steps request the weights."
            )
        return cls({}, np.repeat(np.arange(len(weight)), weight.astype(int)))

    def rows(self, X):
        """The rows of ``X``, repeated if this is the way; None stays None."""
        return X if self.index is None or X is None else _safe_indexing(*indexable(X), self.index)

    def metadata(self, X, params):
        """Metadata for ``fit``; what has one entry for each row of ``X`` is repeated with the rows."""
        return params if self.index is None else _check_method_params(X, params, indices=self.index)


def can_request_weights(estimator):
    """Whether the ``fit`` of an estimator, or of a part of it, can request weights by metadata routing."""
    routing = get_routing_for_object(estimator)
    return isinstance(routing, MetadataRouter) or "sample_weight" in routing.fit.requests


def settles_weights(estimator):
    """Whether an estimator cannot request weights, or has requested or refused them."""
    routing = get_routing_for_object(estimator)
    if isinstance(routing, MetadataRouter):
        return bool(routing.consumes("fit", ["sample_weight"]))
    return routing.fit.requests.get("sample_weight", False) is not None


def read_weight(weight, n_rows, name, sample):
    """Weights as they are given, not divided by their sum, in an array of shape (n_rows,); None stays None."""
    if weight is None:
        return None
    check_weight(weight, n_rows, name, sample)
    return np.full(n_rows, weight, np.float64) if isinstance(weight, Real) else np.asarray(weight, np.float64)

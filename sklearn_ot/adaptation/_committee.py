"""Committee: candidates of a DomainAdapterCV, of which each row gets the one whose class is trusted most."""

from typing import NamedTuple

import numpy as np

from sklearn_ot.adaptation._maps import bring_to_estimator
from sklearn_ot.plain import stored

# The vote of the candidate that is best for all rows together, and that of no transport, as probabilities.
VOTE = 0.2


@stored
class Committee(NamedTuple):
    """Fitted candidates that predict together.

    A class of a row is trusted by the median of the probabilities that the judges give it, and by the votes of the
    candidates that predict it.

    Attributes
    ----------
    adapters : list of DomainAdapter
        The candidates. Of several that predict the most trusted class of a row, the row gets the first.
    judges : list of callable or None
        For each candidate, a function from rows, where its estimator sees them, to probabilities of the classes; None
        if it is no judge.
    votes : list of float
        The vote of each candidate, as a probability.
    classes : ndarray of shape (n_classes,)
        The classes, in the order of the probabilities.
    """

    adapters: list
    judges: list
    votes: list
    classes: np.ndarray

    def part(self, numbers, votes):
        """The committee of the candidates with these numbers, in their order, and with these votes."""
        adapters, judges = ([part[number] for number in numbers] for part in (self.adapters, self.judges))
        return Committee(adapters, judges, votes, self.classes)

    def consensus(self, rows):
        """The median of the judges' probabilities; ``rows`` has the rows where the estimator of each candidate is."""
        pairs = zip(self.judges, rows, strict=True)
        return np.median([judge(part) for judge, part in pairs if judge is not None], axis=0)

    def choose(self, consensus, predicted):
        """For each row the number of the candidate whose class is trusted most.

        Parameters
        ----------
        consensus : ndarray of shape (n_samples, n_classes)
            The median of the judges' probabilities.
        predicted : ndarray of shape (n_candidates, n_samples)
            The classes that the candidates predict, as integers from 0.

        Returns
        -------
        chosen : ndarray of shape (n_samples,)
            The numbers.
        """
        trust = consensus.copy()
        for codes, vote in zip(predicted, self.votes, strict=True):
            trust[np.arange(len(codes)), codes] += vote
        return np.take_along_axis(trust, np.transpose(predicted), axis=1).argmax(axis=1)

    def call(self, method, table, origin, params):
        """Call a method of all estimators, and return for each row the result of the one that is chosen for it.

        Parameters
        ----------
        method : str
            "predict", "predict_proba" or "decision_function".
        table : Table
            The rows.
        origin : ndarray of shape (n_samples,)
            For each row the number of its source, or -1 for the target.
        params : dict of dict
            Metadata for the methods of the estimator.

        Returns
        -------
        values : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The values.
        """
        rows = [bring_to_estimator(adapter, table.rows, origin, {}) for adapter in self.adapters]
        pairs = [(part.estimator_, table.with_rows(moved)) for part, moved in zip(self.adapters, rows, strict=True)]
        labels = [estimator.predict(X, **params.get("predict", {})) for estimator, X in pairs]
        chosen = self.choose(self.consensus(rows), [np.searchsorted(self.classes, part) for part in labels])
        values = labels
        if method != "predict":
            values = [getattr(estimator, method)(X, **params[method]) for estimator, X in pairs]
        return np.stack(values)[chosen, np.arange(len(chosen))]

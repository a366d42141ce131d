"""Classes of the rows of a generator."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from sklearn_ot.plain import stored


@stored
@dataclass(frozen=True)
class Classes:
    """The classes of the training rows of a generator; without classes, ``names`` and ``prior`` are empty.

    Attributes
    ----------
    names : ndarray of shape (n_classes,)
        The labels of the user, sorted.
    prior : ndarray of shape (n_classes,)
        Masses of the classes in the training rows, with sum 1.
    """

    names: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, y, n_rows, weight=None):
        """Find the classes of training rows, and the number of the class of each row.

        Parameters
        ----------
        y : ndarray of shape (n_rows,) or None
            Labels.
        n_rows : int
            Number of rows.
        weight : ndarray of shape (n_rows,), default=None
            Weights of the rows, with sum 1; None for equal weights.

        Returns
        -------
        classes : Classes
            The classes.
        index : ndarray of shape (n_rows,)
            The number of the class of each row; 0 without classes.
        """
        if y is None:
            return cls(np.empty(0), np.empty(0)), np.zeros(n_rows, dtype=int)
        check_classification_targets(y)
        names, index = np.unique(y, return_inverse=True)
        return cls(names, np.bincount(index) / n_rows if weight is None else np.bincount(index, weight)), index

    def __len__(self):
        return len(self.names)

    def index(self, y, n_rows):
        """Numbers of the classes with labels ``y``, which are one label or one for each row; 0 without classes."""
        if not len(self):
            return np.zeros(n_rows, dtype=int)
        y = column_or_1d(np.full(n_rows, y) if np.ndim(y) == 0 else y)
        if len(y) != n_rows:
            raise ValueError(f"y has {len(y)} classes for {n_rows} rows; give one for each row.")
        try:
            index = np.searchsorted(self.names, y).clip(max=len(self) - 1)
        except TypeError as error:  # numbers among words
            raise ValueError(f"y must hold classes of fit, {self.names.tolist()}: {error}.") from None
        unknown = self.names[index] != y
        if unknown.any():
            raise ValueError(
                f"y holds {y[unknown].tolist()[0]!r}, which is not among the classes of fit: {self.names.tolist()}."
            )
        return index

    def one_hot(self, index):
        """One-hot labels of the classes with these numbers, a Tensor of shape (n_rows, n_classes)."""
        return torch.from_numpy(index[:, None] == np.arange(len(self))).float()

    def draw(self, n_samples, rng):
        """Draw numbers of classes with their masses in the training rows; 0 without classes."""
        return rng.choice(len(self), n_samples, p=self.prior) if len(self) else np.zeros(n_samples, dtype=int)

"""Rows that are far from those of a fit."""

from typing import NamedTuple

import numpy as np

from sklearn_ot.base._fitting import names_of, warn_user
from sklearn_ot.plain import stored

# A number is far if its distance from the numbers of the fit is more than this many times their range.
N_RANGES = 10


@stored
class Reach(NamedTuple):
    """The smallest and the largest number of each column of a sample.

    Attributes
    ----------
    low, high : ndarray of shape (n_features,)
        The numbers.
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Reach":
        """The reach of a sample."""
        return cls(rows.min(axis=0), rows.max(axis=0))

    def warn(self, estimator, rows: np.ndarray, name: str, reason: str) -> None:
        """Warn if rows have numbers that are far from those of the sample.

        Columns that are constant in the sample have no range, and are left out.

        Parameters
        ----------
        estimator : estimator
            One with the attribute ``feature_names_in_``, if the columns have names.
        rows : ndarray of shape (n_samples, n_features)
            The rows.
        name : str
            Their name in the message, such as "rows of X".
        reason : str
            Why this matters, the end of the message.
        """
        with np.errstate(over="ignore"):  # no number is beyond an infinite limit
            margin = N_RANGES * (self.high - self.low)
            least, most = self.low - margin, self.high + margin
        far = np.flatnonzero((margin > 0) & ((rows.min(axis=0) < least) | (rows.max(axis=0) > most)))
        if far.size:
            n_far = np.count_nonzero(((rows[:, far] < least[far]) | (rows[:, far] > most[far])).any(axis=1))
            warn_user(
                f"{n_far} of {len(rows)} {name} are far from the rows to which the map was fitted, by more than "
                f"{N_RANGES} times their range, in {names_of(estimator, far)}. {reason}"
            )

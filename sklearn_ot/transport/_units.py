"""Whether the rows of a fit that continues another are in the units of the rows of that fit."""

from typing import NamedTuple

import numpy as np

from sklearn_ot.base import names_of
from sklearn_ot.plain import stored

# Number of rows for quantiles.
MAX_ROWS = 8192
# A few rows that are far out do not change this quantile.
QUANTILE = 0.9
# Changes of the spread of a column by this factor or more are changes of its unit.
LARGEST_CHANGE = 10.0


@stored
class Units(NamedTuple):
    """Centres and spreads of the columns of a sample.

    Attributes
    ----------
    centre : ndarray of shape (n_features,)
        Medians.
    spread : ndarray of shape (n_features,)
        See `spreads`.
    """

    centre: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> "Units":
        """The units of a sample."""
        centre = np.median(_some(rows), axis=0)
        return cls(centre, spreads(rows, centre))


def spreads(rows: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The 0.9 quantiles of the distances from the centre, for each column, of the rows that are not equal to it.

    NaN for a column without such rows.
    """
    distances = np.abs(_some(rows) - centre)
    # NaN is sorted behind all numbers. `np.nanquantile` would run Python code for each column.
    distances = np.sort(np.where(distances > 0, distances, np.nan), axis=0)
    n_others = np.maximum(np.count_nonzero(distances > 0, axis=0), 1)
    place = QUANTILE * (n_others - 1)
    below = place.astype(int)
    low, high = (np.take_along_axis(distances, index[None], axis=0)[0] for index in (below, np.ceil(place).astype(int)))
    return low + (place - below) * (high - low)


def _some(rows):
    return rows[:: max(1, len(rows) // MAX_ROWS)]


def refuse_other_units(estimator, before: Units, rows: np.ndarray, name: str) -> None:
    """Raise a ValueError if columns of a sample have other units than in the previous fit, or another origin.

    Parameters
    ----------
    estimator : estimator
        Its names of columns are in the message.
    before : Units
        Those of the sample of the previous fit.
    rows : ndarray of shape (n_samples, n_features)
        Rows of the sample of this fit.
    name : str
        Name of the sample, for the message.
    """
    change = spreads(rows, before.centre) / before.spread
    other = np.flatnonzero((change >= LARGEST_CHANGE) | (change <= 1 / LARGEST_CHANGE))
    if other.size:
        worst = other[np.argmax(np.abs(np.log(change[other])))]
        raise ValueError(
            f"warm_start=True continues in the coordinates of the previous fit, but {names_of(estimator, other)} of "
            f"{name} {'have' if other.size > 1 else 'has'} other units: distances from the previous median are "
            f"{change[worst]:.3g} times as large. Give rows in the units of the previous fit, or set warm_start=False."
        )

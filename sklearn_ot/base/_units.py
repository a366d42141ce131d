"""The units in which the networks of one sample work."""

import numpy as np

from sklearn_ot.base._fitting import names_of, warn_user
from sklearn_ot.solvers.units import UnitCoordinates


def fit_units(sample, scaling, is_bounded=False):
    """Find coordinates of a sample.

    Parameters
    ----------
    sample : Sample
        The rows, with their weights.
    scaling : {"auto", "columns", "common"}
        Whether each column has its own scale, or all have one. "auto" is "common" for bounded coordinates, else
        "columns".
    is_bounded : bool, default=False
        Whether the coordinates are between −1 and 1, for a network that ends in "tanh".

    Returns
    -------
    units : UnitCoordinates
        The coordinates.
    """
    by_columns = scaling == "columns" or (scaling == "auto" and not is_bounded)
    if is_bounded:
        return UnitCoordinates.bounded(sample.rows, axis=0 if by_columns else None)
    fit = UnitCoordinates.of_columns if by_columns else UnitCoordinates.standard
    return fit(sample.rows, sample.mass)


def kept_units(estimator, sample, is_bounded=False):
    """The coordinates of the previous fit of an estimator, with a warning if those of a sample differ.

    Parameters
    ----------
    estimator : estimator
        One with the parameter ``scaling`` and the attribute ``coordinates_``.
    sample, is_bounded
        See `fit_units`.

    Returns
    -------
    units : UnitCoordinates
        ``coordinates_``.
    """
    units = estimator.coordinates_
    changed = np.flatnonzero(units.differs(fit_units(sample, estimator.scaling, is_bounded)))
    if len(changed):
        warn_user(
            f"warm_start=True keeps the units of the first fit, but X has another mean or size now in "
            f"{names_of(estimator, changed)}. Set warm_start=False to fit these rows anew."
        )
    return units

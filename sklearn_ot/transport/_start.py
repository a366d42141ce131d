"""The Gaussian map between two samples, at which every transport starts, and warnings of what it cannot do."""

import numpy as np

from sklearn_ot.base import names_of, warn_user
from sklearn_ot.checks import picture_shape
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.stationary import stationary_map
from sklearn_ot.solvers.stationary_coordinates import StationaryCoordinates

# Share of a column in directions in which the source does not vary, or the coordinates do, that is named in a warning.
LEAST_SHARE = 0.3
# Share of the variance of pictures, in directions in which the source does not vary, that is named in a warning.
LEAST_PICTURE_SHARE = 0.01


def gaussian_start(transport, source, target):
    """The Gaussian map of a transport with the parameter ``shrinkage``; warns if the source does not determine it.

    Parameters
    ----------
    transport : BaseTransport
        The transport that is fitted.
    source : Sample
        Source rows.
    target : Sample or None
        Target rows; None for N(0, I).

    Returns
    -------
    gaussian : GaussianMap
        The map.
    """
    gaussian = sample_gaussian_map(source, target, transport.shrinkage)
    lost = np.flatnonzero(gaussian.unvaried > LEAST_SHARE)
    if lost.size:
        warn_user(
            f"The target varies where the source does not, in {names_of(transport, lost)}, or does so in a few rows "
            "only. The rows do not say where other values of the source go there: the map stretches them like a usual "
            "column, and its images of the source rows vary there less than the target. Leave these columns out, or "
            "collect source rows in which they vary."
        )
    return gaussian


def balanced_start(transport, source, target, samples):
    """Balanced coordinates of the Gaussian map of a transport, in the directions in which training rows vary.

    Warns of columns that vary in both samples, but so little in comparison with the others that they are left out.

    Parameters
    ----------
    transport, source, target
        See `gaussian_start`.
    samples : pair of Sample
        Rows on which the transport is trained, and their weights.

    Returns
    -------
    coordinates : BalancedCoordinates
        The coordinates.
    """
    gaussian = gaussian_start(transport, source, target)
    coordinates = BalancedCoordinates.balance(gaussian)
    (X, x_weight), (Y, y_weight) = ((sample.rows, sample.weight) for sample in samples)
    coordinates = coordinates.focus(X, Y, x_weight, y_weight)
    if coordinates.axes is not None and coordinates.basis is None:
        is_small = (np.linalg.norm(coordinates.axes, axis=1) < LEAST_SHARE) & (gaussian.unvaried < LEAST_SHARE)
        small = np.flatnonzero(is_small & np.all([np.ptp(rows, axis=0) > 0 for rows in (X, Y)], axis=0))
        if small.size:
            warn_user(
                f"The numbers of {names_of(transport, small)} are tiny next to those of other columns. The cost is "
                "that of the large columns, and the map of the tiny ones stays the Gaussian one. Standardise "
                "columns in different units."
            )
    return coordinates


def stationary_gaussian_start(source, target, image_shape, smoothing="auto"):
    """The map between two stationary Gaussian pictures; warns if the source does not determine it.

    Parameters
    ----------
    source : Sample
        Source rows, flattened pictures.
    target : Sample or None
        Target rows; None for N(0, I).
    image_shape : tuple of int or None
        The shape of a picture, see `sklearn_ot.checks.picture_shape`.
    smoothing : int or "auto", default="auto"
        See `sklearn_ot.solvers.stationary.stationary_map`.

    Returns
    -------
    map : StationaryMap
        The map.
    """
    shape = picture_shape(image_shape, source.rows.shape[1])
    stationary = stationary_map(source, target, shape, smoothing)
    if stationary.unvaried > LEAST_PICTURE_SHARE:
        warn_user(
            f"{100 * stationary.unvaried:.0f} % of the variance of the target are in directions of the channels in "
            "which the source does not vary, such as the colours of grey pictures. The images of the source do not "
            "vary there either."
        )
    return stationary


def coordinates_at_start(transport, source, target, samples):
    """The coordinates in which a transport is trained, where its Gaussian map is the identity.

    They are those of the map between stationary pictures if the network has an ``image_shape``, and balanced ones
    otherwise, which mix all columns. The parameters are those of `balanced_start`.
    """
    image_shape = getattr(transport.network, "image_shape", None)
    if image_shape is None:
        return balanced_start(transport, source, target, samples)
    return StationaryCoordinates.balance(stationary_gaussian_start(source, target, image_shape), *samples)

"""PatchTransport: the mean over all patches of a picture of their images under one transport."""

import math
import warnings
from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import CHECKPOINT, documented, seeded
from sklearn_ot.checks import picture_shape
from sklearn_ot.networks import Convex
from sklearn_ot.nn import ConvexPair, HalfSquare, PatchPotential
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.potentials import FrozenModule, Potentials
from sklearn_ot.solvers.units import UnitCoordinates
from sklearn_ot.transport._convex import ConvexTransport
from sklearn_ot.transport._w2 import W2Transport

# The default transport. With twice the steps, or wider networks, pictures were the same.
MAX_ITER, HIDDEN_LAYER_SIZES = 500, (64, 64)
# Largest number of numbers in the patches that are cut at once.
MAX_CUT = 2**22


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class PatchTransport(ConvexTransport):
    r"""A map of pictures that moves every pixel by its mean displacement in all patches around it.

    Rows are flattened pictures. A transport between the patches of both samples has a convex potential ψ. The sum of
    its values over all overlapping patches :math:`P_j x` of a picture is a convex function of the picture, and the map
    is its gradient,

    .. math:: \Psi(x) = \sum_j w_j\, \psi(P_j x), \qquad
        T(x) = \sum_j w_j P_j^\top \nabla\psi(P_j x), \qquad \sum_j w_j P_j^\top P_j = I .

    It is a convolutional potential that is learned from many small rows, and it is optimal between the source and its
    own images. The images have nearly, and not exactly, the patches of the target. The inverse map is exact, by a
    search over pictures for each of them.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        The shape of a picture: (height, width, n_channels), (height, width) or (length,). None is a row of numbers,
        such as a time series, with the length n_features.
    transport : estimator with ``potentials_``, default=None
        The transport of patches, such as a `W2Transport` or a `GaussianTransport`. A clone of it is fitted. None is a
        `W2Transport` with at most 500 steps and the network
        ``Convex((64, 64))``.
    patch_size : int, default=4
        Height and width of a patch, at most those of the picture.
    stride : int, default=None
        Distance of neighbouring patches. It must divide the height and width of the picture and the size of a patch.
        None is the largest such number up to half of a patch.
    reduction : int, default=1
        The patches are those of the means of blocks of so many pixels in each direction. Differences within a block do
        not change. It must divide the height and width of the picture.
    n_patches : int, default=20000
        Number of patches of each sample on which the transport is fitted.
    conjugate_tol : float, default=1e-4
        Residual at which the searches for preimages end, a root mean square over the pixels, in units of the geometric
        mean of the standard deviations of both samples.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Draws the patches, and seeds the transport if its own ``random_state`` is None.
    verbose : int, default=0
        Whether to show a progress bar of the fit, if ``transport`` is None.

    Attributes
    ----------
    transport_ : estimator
        The fitted transport of patches. They are in units in which both samples have the same standard deviation, and
        means of the channels of 0.
    coordinates_ : BalancedCoordinates
        These units, for pictures.
    potentials_ : Potentials
        The fitted map as a frozen value, see `sklearn_ot.solvers.potentials`.
    wasserstein_distance_ : float
        Root mean square displacement of 256 source rows, in the units of the data and without the factor ½: the
        Wasserstein-2 distance between the source and its images.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    StationaryGaussianTransport : The affine map between pictures, in closed form.
    sklearn_ot.vision.ImageTranslator : Both of them, one after the other.

    Notes
    -----
    Pictures are mirrored at their edges. Without a target sample the patches are mapped to N(0, I).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.transport import GaussianTransport, PatchTransport
    >>> noise = np.random.RandomState(0).randn(400, 16 * 16)
    >>> source, target = noise[:200], np.sinh(noise[200:])
    >>> transport = PatchTransport((16, 16), GaussianTransport(), random_state=0).fit(source, target)
    >>> bool(abs(transport.transform(source).std() / target.std() - 1) < 0.05)
    True
    """

    image_shape: tuple[int, ...] | None = None
    transport: object = None
    _: KW_ONLY
    patch_size: int = 4
    stride: int | None = None
    reduction: int = 1
    n_patches: int = 20_000
    conjugate_tol: float = 1e-4
    checkpoint: str | PathLike | None = None
    random_state: object = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "image_shape": [tuple, None],
        "transport": [HasMethods(["fit", "transform"]), None],
        "patch_size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left"), None],
        "reduction": [Interval(Integral, 1, None, closed="left")],
        "n_patches": [Interval(Integral, 2, None, closed="left")],
        "conjugate_tol": [Interval(Real, 0, None, closed="neither")],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _fit(self, source, target, rng):
        # As many patches of a row with a weight as of equal rows.
        source, target = source.merged(), None if target is None else target.merged()
        shape = self._shape()
        self.coordinates_ = _channel_units(source, target, shape[-1])
        cut = partial(self._draw_patches, PatchPotential(HalfSquare(), shape, **self._cuts()), rng)
        patches = [
            None if sample is None else cut(sample, to_coordinates)
            for sample, to_coordinates in (
                (source, self.coordinates_.of_source),
                (target, self.coordinates_.of_target),
            )
        ]
        self.transport_ = self._fitted(*patches, rng)
        rows = source.draw(min(len(source.rows), 256), rng)
        self.wasserstein_distance_ = float(np.sqrt(np.square(self._transform(rows) - rows).sum(axis=1).mean()))

    def _fitted(self, source, target, rng):
        """The fitted transport of patches."""
        transport = self.transport
        if transport is None:
            network = Convex(HIDDEN_LAYER_SIZES)
            transport = W2Transport(max_iter=MAX_ITER, network=network, verbose=self.verbose)
        transport = seeded(transport, rng.randint(2**31))
        with warnings.catch_warnings():
            if self.transport is None:
                warnings.simplefilter("ignore", ConvergenceWarning)
            transport.fit(source, X_target=target)
        try:
            transport.potentials_.module_in_units()
        except AttributeError as error:
            raise ValueError(
                f"transport={self.transport!r} has no convex potential: give one such as W2Transport or "
                "GaussianTransport."
            ) from error
        return transport

    def _draw_patches(self, potential, rng, sample, to_coordinates):
        """Random patches of a sample, in the proportion of their weights in the map."""
        weight = potential.weight.flatten().numpy()
        pictures = np.sort(rng.choice(len(sample.rows), self.n_patches, p=sample.mass))
        places = rng.choice(len(weight), self.n_patches, p=weight / weight.sum())
        n_together = max(1, MAX_CUT // (len(weight) * math.prod(potential.patch_shape)))
        parts = []
        for start in range(0, len(sample.rows), n_together):
            here = (pictures >= start) & (pictures < start + n_together)
            rows = torch.from_numpy(np.ascontiguousarray(to_coordinates(sample.rows[start : start + n_together])))
            cut = potential.patches(potential.reduced(rows)).view(len(rows), len(weight), -1)
            parts.append(cut[pictures[here] - start, places[here]].numpy())
        return np.concatenate(parts)

    @property
    def potentials_(self):
        """The fitted map as a frozen value, see `sklearn_ot.solvers.potentials`."""
        check_is_fitted(self, "transport_")
        patches = self.transport_.potentials_.module_in_units()
        arguments = {"potential": patches, "image_shape": self._shape(), **self._cuts()}
        pair = ConvexPair((PatchPotential, arguments), (HalfSquare, {}), is_guess=True)
        pair = pair.to(next(patches.parameters()).device, torch.float64)
        return Potentials(self.coordinates_, FrozenModule(pair), conjugate_tol=self.conjugate_tol)

    def _shape(self):
        shape = picture_shape(self.image_shape, self.n_features_in_)
        return shape if len(shape) == 3 else (1, *shape)

    def _cuts(self):
        return {"patch_size": self.patch_size, "stride": self.stride, "reduction": self.reduction}


def _channel_units(source, target, n_channels):
    """Coordinates with means of the channels of 0, and the same standard deviation of both samples."""
    n_pixels = source.rows.shape[1] // n_channels
    # Without a target sample it is N(0, I).
    units = [UnitCoordinates(np.zeros(n_channels), 1.0)] * 2
    for i, sample in enumerate((source, target)):
        if sample is not None:
            weight = np.repeat(sample.mass / n_pixels, n_pixels)
            units[i] = UnitCoordinates.standard(sample.rows.reshape(-1, n_channels), weight)
    means = (np.tile(unit.center, n_pixels) for unit in units)
    return BalancedCoordinates.of_deviations(*means, *(unit.scale for unit in units))

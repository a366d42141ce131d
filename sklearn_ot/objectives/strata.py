"""Whether a map is worse than the Gaussian map on some rows, which may be too few to count in an objective."""

from collections.abc import Callable
from typing import NamedTuple

import ot
import torch
from torch import Tensor, nn

from sklearn_ot.nn import ConvexPair
from sklearn_ot.objectives.dual import preimages
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.stationary_coordinates import StationaryCoordinates

# Share of a distance by which a map may be worse than the start.
SLACK = 0.1
# Directions of sliced distances.
N_PROJECTIONS = 100

Coordinates = BalancedCoordinates | StationaryCoordinates
Sides = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


def start_check(
    samples: tuple[Tensor, Tensor], compared: Sides, n_far: tuple[int, int], coordinates: Coordinates
) -> Callable[[nn.Module], bool]:
    """A function that decides whether a map is on no stratum of two samples worse than the Gaussian map.

    The images of source rows are compared with the target rows, see `StartImages`, and for a `ConvexPair` the preimages
    of target rows with the source rows.

    Parameters
    ----------
    samples : pair of Tensors of shape (n, d) and (m, d)
        All source rows and all target rows, in coordinates in which the Gaussian map is the identity.
    compared : tuple of four Tensors
        Source rows and target rows whose images are compared, and their weights, which have sum 1 or are None.
    n_far : pair of int
        How many of both are far rows, which come first.
    coordinates : BalancedCoordinates or StationaryCoordinates
        The coordinates. Distances are measured in the units of the data.

    Returns
    -------
    check : callable
        ``check(module) -> bool`` for a module with a method ``transport``.
    """
    (x, y, x_weight, y_weight), (all_x, all_y) = compared, samples
    source_lengths, target_lengths = map(_of_tensors, coordinates.lengths)
    forward = StartImages.of((x, y), (x_weight, y_weight), n_far, all_y, target_lengths)
    backward = StartImages.of((y, x), (y_weight, x_weight), n_far[::-1], all_x, source_lengths)

    # The map of a fit has a rim, see `WithRim`, and the farthest target rows may have their preimages beyond it.
    radius = torch.linalg.vector_norm(all_x, dim=1).max().item()

    @torch.no_grad()
    def check(module: nn.Module) -> bool:
        if forward.beat(module.transport(x)):
            return False
        if not isinstance(module, ConvexPair):
            return True
        return not backward.beat(preimages(module.with_rim(radius) if module.is_guess else module, y))

    return check


class StartImages(NamedTuple):
    r"""The images of a sample at the start, which are its own rows, and the rows of the other sample.

    Other images :math:`z_i` of the rows :math:`x_i` are worse in three cases.

    * An image is farther out than its row is and than any row of the other sample:
      :math:`\|z_i\| > 1.1 \max(\|x_i\|, \max_j \|y_j\|) + h`, where h is the median distance between two rows of the
      other sample. Norms are those of differences from the medians of its columns.
    * The sliced Wasserstein-1 distance of all images from the other sample is more than 1.1 times that at the start.
      (A single image could set the Wasserstein-2 distance, although the first rule allows it.)
    * The same holds for near rows alone, in both samples. Far rows would hide them.

    Attributes
    ----------
    start, rows : Tensor of shape (n, d), (m, d)
        The images at the start, and rows of the other sample.
    lengths : callable
        A linear function of rows, whose results have the lengths of the rows in the units of the data.
    centre : Tensor of shape (d,)
        Medians of the columns of the other sample.
    reach, unit : Tensor of shape ()
        Largest distance of a row of the other sample from the centre; h.
    strata : list of tuple
        For all rows and for near rows: number of the first row of both samples, and their weights.
    projections : Tensor of shape (d, n_projections)
        Directions of the slices.
    """

    start: Tensor
    rows: Tensor
    lengths: Callable[[Tensor], Tensor]
    centre: Tensor
    reach: Tensor
    unit: Tensor
    strata: list
    projections: Tensor

    @classmethod
    def of(cls, samples, weights, n_far, all_y, lengths):
        """The images of the first sample, and rows of the other one, some of ``all_y``."""
        start, rows = map(lengths, samples)
        centre = rows.median(0).values
        reach = torch.linalg.vector_norm(lengths(all_y) - centre, dim=1).max()
        distances = torch.pdist(rows)
        unit = distances.median() if len(distances) else reach
        near = [None if w is None else w[n:] / w[n:].sum() for w, n in zip(weights, n_far, strict=True)]
        strata = [((0, 0), weights), (n_far, near)]
        generator = torch.Generator().manual_seed(0)
        projections = torch.randn(rows.shape[1], N_PROJECTIONS, generator=generator).to(rows)
        projections /= torch.linalg.vector_norm(projections, dim=0)
        return cls(start, rows, lengths, centre, reach, unit, strata, projections)

    def beat(self, images: Tensor) -> bool:
        """Whether other images of the same rows are worse."""
        images = self.lengths(images)
        pairs = zip(self.distances(images), self.distances(self.start), strict=True)
        return self._is_farther(images) or any(after > (1 + SLACK) * before for after, before in pairs)

    def distances(self, images: Tensor) -> list[float]:
        """Sliced distances to the other sample, of all images and of those of near rows."""
        return [
            ot.sliced_wasserstein_distance(
                images[i:], self.rows[j:], *weights, projections=self.projections, p=1
            ).item()
            for (i, j), weights in self.strata
        ]

    def _is_farther(self, images):
        before, after = (torch.linalg.vector_norm(z - self.centre, dim=1) for z in (self.start, images))
        return bool((after > (1 + SLACK) * before.clamp(min=self.reach) + self.unit).any())


def _of_tensors(function):
    """A function of arrays as one of tensors on any device."""
    return lambda rows: torch.from_numpy(function(rows.cpu().numpy())).to(rows)

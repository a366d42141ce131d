"""Whether a map is worse than the Gaussian map on some rows, which may be too few to count in an objective."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_ot.nn import ConvexPair
from sklearn_ot.objectives.dual import preimages
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.tensors import squared_error, weighted_mean

# Share of its distance by which a row may be sent farther out than the start and the other sample are.
SLACK = 0.1

Sides = tuple[Tensor, Tensor, Tensor | None, Tensor | None]


def start_check(
    samples: tuple[Tensor, Tensor], valid: Sides, coordinates: BalancedCoordinates
) -> Callable[[nn.Module], bool]:
    """A function that tells whether a map is on no stratum of two samples worse than the Gaussian map.

    The images of source rows are compared with the target rows, see `StartImages`, and for a `ConvexPair` the preimages
    of target rows with the source rows.

    Parameters
    ----------
    samples : pair of Tensors of shape (n, d) and (m, d)
        All source rows and all target rows, in coordinates in which the Gaussian map is the identity.
    valid : tuple of four Tensors
        Source rows and target rows whose images are compared, and their weights, which have sum 1 or are None.
    coordinates : BalancedCoordinates
        The coordinates. Distances are measured in the units of the data.

    Returns
    -------
    check : callable
        ``check(module) -> bool`` for a module with a method ``transport``.
    """
    (x, y, x_weight, y_weight), (all_x, all_y) = valid, samples
    source_lengths, target_lengths = (torch.as_tensor(part, dtype=x.dtype).to(x.device) for part in coordinates.lengths)
    forward = StartImages.of(x, y, x_weight, y_weight, all_y, target_lengths)
    backward = StartImages.of(y, x, y_weight, x_weight, all_x, source_lengths)

    @torch.no_grad()
    def check(module: nn.Module) -> bool:
        if forward.beat(module.transport(x)):
            return False
        return not (isinstance(module, ConvexPair) and backward.beat(preimages(module, y)))

    return check


class StartImages(NamedTuple):
    r"""The images of a sample at the start, which are its own rows, and the rows of the other sample.

    Other images :math:`z_i` of the rows :math:`x_i` are worse if one of two numbers says so.

    * An image is farther out than its row is and than any row of the other sample:
      :math:`\|z_i\| > 1.1 \max(\|x_i\|, \max_j \|y_j\|) + h`, where h is the median distance between two rows of the
      other sample. Norms are those of differences from the medians of its columns.
    * The images as a whole are less like the other sample, by more than the standard error of the difference. The
      measure is an energy distance with a logarithm [Szekely13]_, to which near rows contribute as much as far rows,

      .. math:: 2 E\, g(z - y) - E\, g(z - z') - E\, g(y - y'), \qquad g(r) = \log(1 + \|r\|^2 / h^2) .

    Attributes
    ----------
    start, rows : Tensor of shape (n, d), (m, d)
        The rows of both samples.
    weight, row_weight : Tensor of shape (n,), (m,) or None
        Their weights with sum 1; None for equal weights.
    lengths : Tensor of shape (d, d)
        A matrix. The product of a row with it has the length of the row in the units of the data.
    centre : Tensor of shape (d,)
        Medians of the columns of the other sample.
    reach : Tensor of shape ()
        Largest distance of a row of the other sample from the centre.
    unit : Tensor of shape ()
        h; the mean distance if the median is 0.

    References
    ----------
    .. [Szekely13] G. J. Székely, M. L. Rizzo, "Energy statistics: a class of statistics based on distances", Journal of
       Statistical Planning and Inference, 2013.
    """

    start: Tensor
    rows: Tensor
    weight: Tensor | None
    row_weight: Tensor | None
    lengths: Tensor
    centre: Tensor
    reach: Tensor
    unit: Tensor

    @classmethod
    def of(cls, x, y, x_weight, y_weight, all_y, lengths):
        """The images of the rows ``x``, and the rows ``y``, some of ``all_y``."""
        rows = y @ lengths
        centre = rows.median(0).values
        reach = torch.linalg.vector_norm(all_y @ lengths - centre, dim=1).max()
        distances = _distances(rows, rows)
        unit = distances.median() if distances.median() > 0 else distances.mean()
        return cls(x @ lengths, rows, x_weight, y_weight, lengths, centre, reach, unit)

    def beat(self, images: Tensor) -> bool:
        """Whether other images of the same rows are worse."""
        images = images @ self.lengths
        return self._is_farther(images) or self._is_less_alike(images)

    def _is_farther(self, images):
        before, after = (torch.linalg.vector_norm(z - self.centre, dim=1) for z in (self.start, images))
        return bool((after > (1 + SLACK) * before.clamp(min=self.reach) + self.unit).any())

    def _is_less_alike(self, images):
        if self.unit == 0:
            return False
        weights = (self.weight, self.row_weight)
        parts = [after - before for before, after in zip(self._parts(self.start), self._parts(images), strict=True)]
        # The derivative of the measure by the weight of a row is twice the part of the row.
        error = 2 * sum(map(squared_error, parts, weights)).sqrt()
        return bool(sum(map(weighted_mean, parts, weights)) > error)

    def _parts(self, images):
        """Parts of both samples, by rows; the sum of their means is the measure up to a constant."""
        across, within = ((_distances(images, rows) / self.unit).square().log1p() for rows in (self.rows, images))
        of_images = weighted_mean(across.T, self.row_weight) - weighted_mean(within, self.weight)
        return of_images, weighted_mean(across, self.weight)


def _distances(x, y):
    # Distances from inner products would lose those between near rows.
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")

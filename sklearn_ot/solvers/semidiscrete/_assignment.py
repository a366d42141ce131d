"""The map of a potential: the point of each row, its cost, and the gap to the second best point."""

import torch
from torch import Tensor

from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.costs import Cost, read_cost
from sklearn_ot.solvers.semidiscrete._tiles import Tiles
from sklearn_ot.solvers.semidiscrete._units import Units


class Cells:
    """The cells of a potential, prepared once for rows that come in several chunks; see `assign` and `soft_assign`.

    Parameters
    ----------
    points : Tensor of shape (N, d)
        The points.
    potential : Tensor of shape (N,)
        The potential ψ, in units of the cost.
    cost : {"sqeuclidean", "euclidean", "cityblock"}, float or Cost
        The cost.
    dtype : torch.dtype
        Dtype of the source rows.
    """

    def __init__(self, points: Tensor, potential: Tensor, cost: str | float | Cost, dtype: torch.dtype):
        self.units = Units(points, cost, dtype=dtype)
        self.tiles, self.offsets = Tiles(self.units), self.units.offsets(potential)

    @torch.no_grad()
    def index(self, x: Tensor) -> Tensor:
        """The index of the point of each row, int64."""
        return self.tiles.cells(self.units.rows(x), self.offsets)

    @torch.no_grad()
    def barycentres(self, x: Tensor, epsilon: float) -> Tensor:
        """The barycentre of the points of each row at a temperature, in the units of the data."""
        units, rows = self.units, self.units.rows(x)
        images = torch.empty_like(rows)
        for part, scores in self.tiles.scores(rows, self.offsets):
            images[part] = torch.softmax(scores.mul_(units.unit / epsilon), 1) @ units.points
        return images.mul_(units.width).add_(units.shift)


@in_own_settings
@torch.no_grad()
def assign(x: Tensor, points: Tensor, potential: Tensor, cost: str | float | Cost = "sqeuclidean") -> Tensor:
    r"""Find the point to which each source row is sent.

    .. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i c(x, y_i) - \psi_i

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Source rows.
    points : Tensor of shape (N, d)
        The points.
    potential : Tensor of shape (N,)
        The potential ψ, in units of the cost.
    cost : {"sqeuclidean", "euclidean", "cityblock"}, float or Cost, default="sqeuclidean"
        The cost; a number p is :math:`|x - y|^p` with the Euclidean norm.

    Returns
    -------
    index : Tensor of shape (n,)
        The index of the point of each row, int64. Scores are computed in tiles of at most 64 MB.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import assign
    >>> x, points = torch.tensor([[-1.0], [0.2], [3.0]]), torch.tensor([[0.0], [1.0]])
    >>> assign(x, points, torch.tensor([0.0, 0.0])).tolist(), assign(x, points, torch.tensor([0.0, 0.8])).tolist()
    ([0, 0, 1], [0, 1, 1])
    """
    return Cells(points, potential, cost, x.dtype).index(x)


@in_own_settings
@torch.no_grad()
def assignment_cost(x: Tensor, points: Tensor, index: Tensor, cost: str | float | Cost = "sqeuclidean") -> Tensor:
    """Compute the cost c(x, y) of each row and its point.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Source rows.
    points : Tensor of shape (N, d)
        The points.
    index : Tensor of shape (n,)
        The point of each row.
    cost : {"sqeuclidean", "euclidean", "cityblock"}, float or Cost, default="sqeuclidean"
        See `assign`.

    Returns
    -------
    values : Tensor of shape (n,)
        The costs, float64, without a mean and without a root.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import assignment_cost
    >>> x, points = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0], [3.0, 4.0]])
    >>> [assignment_cost(x, points, torch.tensor([1]), cost).item() for cost in ("sqeuclidean", "cityblock", 1.0)]
    [25.0, 7.0, 5.0]
    """
    cost = read_cost(cost)
    chunks = zip(x.split(CHUNK_ROWS), index.split(CHUNK_ROWS), strict=True)
    # In float64, because squares of large numbers in float32 are infinite.
    return torch.cat([cost.value(rows.double() - points[cells].double()) for rows, cells in chunks])


@in_own_settings
@torch.no_grad()
def soft_assign(
    x: Tensor, points: Tensor, potential: Tensor, epsilon: float, cost: str | float | Cost = "sqeuclidean"
) -> Tensor:
    r"""Compute the barycentre of the points of each source row at a temperature.

    .. math:: T_\varepsilon(x) = \sum_i y_i\, \mathrm{softmax}_i \frac{\psi_i - c(x, y_i)}{\varepsilon}

    Parameters
    ----------
    x, points, potential, cost
        See `assign`.
    epsilon : float
        The temperature, positive, in units of the cost.

    Returns
    -------
    images : Tensor of shape (n, d)
        The barycentres.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import soft_assign
    >>> points = torch.tensor([[-1.0], [1.0]])
    >>> soft_assign(torch.tensor([[0.0], [0.1], [9.0]]), points, torch.zeros(2), 1.0).flatten()
    tensor([0.0000, 0.1974, 1.0000])
    """
    return Cells(points, potential, cost, x.dtype).barycentres(x, epsilon).to(points.dtype)


@in_own_settings
@torch.no_grad()
def assignment_gap(x: Tensor, points: Tensor, potential: Tensor, cost: str | float | Cost = "sqeuclidean") -> float:
    r"""Mean additional cost if each row is sent to its second best point, the natural unit of temperatures and steps.

    Parameters
    ----------
    x, points, potential, cost
        See `assign`.

    Returns
    -------
    gap : float
        Mean difference between the two smallest :math:`c(x, y_i) - \psi_i`, in units of the cost; 0 for a single point.
        Equal points are one point.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import assignment_gap
    >>> assignment_gap(torch.tensor([[0.5]]), torch.tensor([[0.0], [2.0]]), torch.zeros(2))
    2.0
    """
    kept, _ = distinct(points)
    if kept is not None:
        points, potential = points[kept], potential[kept]
    if len(points) == 1:
        return 0.0
    cells = Cells(points, potential, cost, x.dtype)
    return float(cells.tiles.gaps(cells.units.rows(x), cells.offsets).mean()) * cells.units.unit


def distinct(points: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """One index of each group of equal points and the group of each point, or (None, None) if all differ."""
    # Equal rows have equal projections, which can be sorted without a copy of the points.
    options = {"dtype": torch.float64, "device": "cpu", "generator": torch.Generator().manual_seed(0)}
    axis = torch.randn(points.shape[1], **options)
    projection = torch.cat([(block.double() * axis.to(points.device)).sum(1) for block in points.split(CHUNK_ROWS)])
    _, group = projection.unique(return_inverse=True)
    n_groups = int(group.max()) + 1
    if n_groups == len(points):
        return None, None
    kept = torch.zeros(n_groups, dtype=torch.int64, device=points.device)
    kept[group] = torch.arange(len(points), device=points.device)
    if not bool((points == points[kept[group]]).all()):
        return None, None
    return kept, group

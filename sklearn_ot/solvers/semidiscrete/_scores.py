"""Scores of source rows against weighted points, and the cells they make, one tile at a time."""

import math

import numpy as np
import torch
from scipy.special import gammaincinv
from torch import Tensor

from sklearn_ot.solvers.costs import Cost, read_cost

# Numbers in a tile of scores: 64 MB of float32 at most, and no more than a cache holds where rows are still many.
MAX_TILE, CPU_TILE, MIN_ROWS = 2**24, 2**19, 256
# How often `Scores.turned_tiles` turns a frame. Frames have a multiple of 12 rows: of 2^k, some turns undo others.
N_TURNS, FRAME_ROWS = 12, 12
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class Scores:
    r"""Points in units of their own, and the scores whose largest one says in which cell a source row lies.

    With rows :math:`x' = (x - s) / a` and points :math:`y' = (y - m) / b`, the cell of x is that of the largest

    .. math:: \langle x', y'_i \rangle + h_i \quad \text{(squared cost)}, \qquad h_i - c(x', y'_i)
        \quad \text{(other costs, where } s = m, a = b \text{)}

    Both differ from :math:`(\psi_i - c(x, y_i)) / \text{unit}` only by a number that depends on x alone. The offsets
    h are free of the units of the data, so that every step made in them is as well.

    Parameters
    ----------
    points : Tensor of shape (N, d)
        The points.
    cost : str, float or Cost
        See `sklearn_ot.solvers.costs.read_cost`.
    source : Tensor of shape (n, d) or "normal", default=None
        Rows that show where the source is and how wide; or N(0, I), of which `turned_tiles` makes more.
    dtype : torch.dtype, default=None
        Of the rows and points in here; that of ``points`` if None. On a line it is float64 always.
    """

    def __init__(self, points, cost, source=None, dtype=None):
        self.cost = read_cost(cost)
        self.n_points, n_features = points.shape
        self.shift, self.width = _location(points)
        self.is_normal = isinstance(source, str) and self.cost.is_squared
        if source is None:
            self.source_shift, self.source_width = self.shift, self.width
        elif isinstance(source, str):
            self.source_shift, self.source_width = torch.zeros_like(self.shift), n_features**0.5
        else:
            self.source_shift, self.source_width = _location(source)
        # A point or a source without extension has no scale of its own.
        self.width = self.width or self.source_width or 1.0
        self.source_width = self.source_width or self.width
        if self.cost.is_squared:
            # In the exact arithmetic of float64, for points that may have an offset much larger than their spread.
            self.unit = 2 * self.width * self.source_width
            self.bend = _row_squares(points, self.source_shift)
        else:
            self.width = self.source_width = max(
                self.width, self.source_width, float((self.shift - self.source_shift).norm())
            )
            self.shift = self.source_shift = (self.shift + self.source_shift) / 2
            self.unit = self.width**self.cost.power
            self.bend = 0.0
        if n_features == 1:
            # Gaps on a line fall with the square of the number of points.
            dtype = torch.float64
        elif dtype is None:
            dtype = points.dtype
        self.points = torch.empty(self.n_points, n_features, dtype=dtype, device=points.device)
        for start in range(0, self.n_points, MIN_ROWS):
            rows = slice(start, min(start + MIN_ROWS, self.n_points))
            self.points[rows] = ((points[rows].double() - self.shift) / self.width).to(dtype)
        self._shift = 0.0
        self._workspaces = [self.points.new_empty(0) for _ in range(4)]

    @property
    def rows_worth(self) -> float:
        """Independent rows that are worth as much as those which `turned_tiles` makes of one."""
        if not self.is_normal:
            return 1
        # A frame of fewer rows than columns does not reach all directions, however it is turned.
        return (1.8 if self.points.shape[1] <= MIN_ROWS else 1.2) * (1 + N_TURNS)

    def offsets(self, potential: Tensor) -> Tensor:
        """The h of a potential, in float64."""
        h = (potential.double() - self.bend) / self.unit
        return h - h.max()

    def potential(self, h: Tensor, weights: Tensor) -> Tensor:
        """The potential of h, in float64, with a weighted mean of zero."""
        potential = self.unit * h + self.bend
        return potential - weights @ potential

    def rows(self, x: Tensor) -> Tensor:
        """Source rows in the units of the scores."""
        return ((x - self.source_shift.to(x.dtype)) / self.source_width).to(self.points.dtype)

    def tiles(self, n_rows: int):
        """Slices of ``n_rows`` rows, each as many as a tile of scores holds."""
        tile = MAX_TILE if self.points.is_cuda else CPU_TILE
        size = max(1, min(max(tile // self.n_points, MIN_ROWS), MAX_TILE // self.n_points))
        if self.is_normal:
            size = max(1, size // FRAME_ROWS) * FRAME_ROWS
        return (slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size))

    def workspace(self, n_rows: int, k: int = 0) -> Tensor:
        """The k-th of four pieces of memory, shape (n_rows, N), with whatever was last in it.

        They are kept: on the CPU, memory that is new to the process costs several times the arithmetic that fills it.
        """
        size = n_rows * self.n_points
        if self._workspaces[k].numel() < size:
            self._workspaces[k] = self.points.new_empty(size)
        return self._workspaces[k][:size].view(n_rows, self.n_points)

    def tile(self, x: Tensor, h: Tensor, out: Tensor | None = None) -> Tensor:
        """Scores of a tile of rows (`rows`), shape (n, N), maybe in ``out``."""
        h = h.to(x.dtype)
        if self.cost.is_squared:
            return torch.addmm(h, x, self.points.T, out=out)
        return torch.sub(h, self.cost.pairwise(x, self.points, by_product=True), out=out)

    def in_tiles(self, x: Tensor, h: Tensor):
        """Slices of the rows x, and the scores of each, which the next ones overwrite."""
        for rows in self.tiles(len(x)):
            part = x[rows]
            yield rows, self.tile(part, h, self.workspace(len(part)))

    def turned_tiles(self, x: Tensor, h: Tensor):
        """Pairs of a tile and a number: their product is the scores of all rows, or, of a normal source, of new ones.

        A tile is overwritten by the next, which may be made of it.

        In the place of normal rows come those of a `frame`, which fill all directions more evenly [Yu16]_. Such a row
        times a length from the chi distribution, with as many degrees of freedom as the frame has rows or columns,
        whichever are more, is normal. An orthogonal matrix times a frame is another one, and the scores of its rows are
        the same matrix times the scores. Here, groups of four rows are reflected at their mean, which keeps what the
        rows of a tile have in common, the offsets: two additions, where scores of new rows are products of vectors.
        Each row of each frame counts with both signs. All these rows are normal, not independent, and the cells of two
        of them nearly are: for 1000 points they are worth 0.93 of as many independent rows in 64 dimensions, 0.5 to 0.7
        in 784, and less for few points where a frame has fewer rows than columns.

        References
        ----------
        .. [Yu16] F. X. Yu et al., "Orthogonal random features", NeurIPS 2016.
        """
        if not self.is_normal:
            for _, scores in self.in_tiles(x, h):
                yield scores, 1.0
            return
        h = h.to(x.dtype)
        for rows in self.tiles(len(x)):
            part = frame(x[rows])
            lengths = self._lengths(max(part.shape))
            scores, other = (self.workspace(len(part), k) for k in range(2))
            # In units of the length of the rows, so that the rows need no factor of their own.
            torch.addmm(h / lengths[0], part, self.points.T, out=scores)
            for turn in range(1 + N_TURNS):
                if turn:
                    # Twice the reflected rows, so that one operation less is needed.
                    scores, other = doubly_reflected(scores, self.workspace(len(scores) // 4, 2), out=other), scores
                first, second = (length / 2**turn for length in lengths[turn : turn + 2])
                yield scores, first
                yield torch.sub(h * (1 / first + 1 / second), scores, out=scores), second

    def _lengths(self, n: int) -> list:
        """Lengths for all turns and one more: one in each part, of equal mass, of the chi distribution.

        It has n degrees of freedom. How far each is into its part, and which comes first, changes from call to call:
        over many, all lengths are as frequent as they should be.
        """
        self._shift = (self._shift + GOLDEN_RATIO) % 1
        level = (np.linspace(0, 1, N_TURNS + 2, endpoint=False) + self._shift) % 1
        return (np.sqrt(2 * gammaincinv(n / 2, level)) / self.source_width).tolist()

    def cells(self, x: Tensor, h: Tensor) -> Tensor:
        """The cell of each row."""
        index = torch.empty(len(x), dtype=torch.int64, device=x.device)
        for rows, scores in self.in_tiles(x, h):
            index[rows] = row_argmax(scores)
        return index

    def masses(self, x: Tensor, h: Tensor) -> Tensor:
        """Share of each cell in the rows of `turned_tiles`, float64."""
        cells = torch.cat([row_argmax(tile) for tile, _ in self.turned_tiles(x, h)])
        return torch.bincount(cells, minlength=self.n_points).double() / len(cells)


def frame(x: Tensor) -> Tensor:
    """The orthonormal columns, or, of fewer rows than columns, rows, of the QR factorisation, in the shape (n, d) of x.

    Of normal rows they are uniformly distributed, if the triangular factor has a positive diagonal (F. Mezzadri, "How
    to generate random matrices from the classical compact groups", Notices of the AMS, 2007).
    """
    is_tall = len(x) >= x.shape[1]
    columns, triangle = torch.linalg.qr(x if is_tall else x.T)
    columns *= triangle.diagonal().sign()
    return columns if is_tall else columns.T


def doubly_reflected(rows: Tensor, workspace: Tensor, out: Tensor) -> Tensor:
    """Twice 2 m - x for each row x, where m is the mean of it and three others: a quarter, half and three quarters on.

    The four stand side by side in the result, in ``out``, so that each turn takes other ones. Rows beyond a multiple of
    four are left out.
    """
    groups = rows[: len(rows) // 4 * 4].view(4, -1, rows.shape[1])
    total = torch.sum(groups, 0, out=workspace)
    out = out[: 4 * len(total)]
    torch.sub(total[:, None], groups.transpose(0, 1), alpha=2, out=out.view(-1, 4, rows.shape[1]))
    return out


def row_argmax(scores: Tensor) -> Tensor:
    """The column of the largest number in each row."""
    # On the CPU that of numpy is vectorised, and that of torch is not.
    return torch.from_numpy(scores.numpy().argmax(1)) if scores.device.type == "cpu" else scores.argmax(1)


def distinct(points: Tensor) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """One index of each group of equal points and the group of each point, or (None, None) if all differ."""
    # Equal rows have equal projections; sorting those needs no copy of the points.
    axis = torch.randn(points.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    projection = torch.cat([(block.double() * axis.to(points.device)).sum(1) for block in points.split(4096)])
    _, group = projection.unique(return_inverse=True)
    n_groups = int(group.max()) + 1
    if n_groups == len(points):
        return None, None
    kept = torch.zeros(n_groups, dtype=torch.int64, device=points.device)
    kept[group] = torch.arange(len(points), device=points.device)
    if not bool((points == points[kept[group]]).all()):
        return None, None
    return kept, group


def _location(rows):
    """Mean, float64, and root mean square distance to it."""
    mean = sum(block.double().sum(0) for block in rows.split(4096)) / len(rows)
    return mean, float((_row_squares(rows, mean).mean()).sqrt())


def _row_squares(rows, centre):
    return torch.cat([(block.double() - centre).square().sum(1) for block in rows.split(4096)])


@torch.no_grad()
def assign(x: Tensor, points: Tensor, potential: Tensor, cost: str | float | Cost = "sqeuclidean") -> Tensor:
    r"""The point to which each source row goes.

    .. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i c(x, y_i) - \psi_i

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Source rows.
    points : Tensor of shape (N, d)
        The points.
    potential : Tensor of shape (N,)
        The potential ψ, in units of the cost.
    cost : {"sqeuclidean", "euclidean", "cityblock"} or float, default="sqeuclidean"
        The cost; a number p is :math:`|x - y|^p` with the Euclidean norm.

    Returns
    -------
    index : Tensor of shape (n,)
        int64. Scores are computed in tiles of at most 64 MB, however many rows and points there are.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import assign
    >>> x, points = torch.tensor([[-1.0], [0.2], [3.0]]), torch.tensor([[0.0], [1.0]])
    >>> assign(x, points, torch.tensor([0.0, 0.0])).tolist(), assign(x, points, torch.tensor([0.0, 0.8])).tolist()
    ([0, 0, 1], [0, 1, 1])
    """
    scores = Scores(points, cost, dtype=x.dtype)
    return scores.cells(scores.rows(x), scores.offsets(potential))


@torch.no_grad()
def assignment_cost(x: Tensor, points: Tensor, index: Tensor, cost: str | float | Cost = "sqeuclidean") -> Tensor:
    """The cost c(x, y) of sending each row to its point.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Source rows.
    points : Tensor of shape (N, d)
        The points.
    index : Tensor of shape (n,)
        The point of each row.
    cost : {"sqeuclidean", "euclidean", "cityblock"} or float, default="sqeuclidean"
        See `assign`.

    Returns
    -------
    values : Tensor of shape (n,)
        The costs, not averaged and without a root.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.solvers.semidiscrete import assignment_cost
    >>> x, points = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0], [3.0, 4.0]])
    >>> [assignment_cost(x, points, torch.tensor([1]), cost).item() for cost in ("sqeuclidean", "cityblock", 1.0)]
    [25.0, 7.0, 5.0]
    """
    cost = read_cost(cost)
    return torch.cat(
        [cost.value(x[rows] - points[index[rows]]) for rows in torch.arange(len(x), device=x.device).split(8192)]
    )


@torch.no_grad()
def soft_assign(
    x: Tensor, points: Tensor, potential: Tensor, epsilon: float, cost: str | float | Cost = "sqeuclidean"
) -> Tensor:
    r"""The barycentre of the points between which each source row is divided at a temperature.

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
    scores = Scores(points, cost, dtype=x.dtype)
    x = scores.rows(x)
    images = torch.empty(len(x), points.shape[1], dtype=x.dtype, device=x.device)
    for rows, tile in scores.in_tiles(x, scores.offsets(potential)):
        images[rows] = torch.softmax(tile.mul_(scores.unit / epsilon), 1) @ scores.points
    return (images * scores.width + scores.shift).to(points.dtype)


@torch.no_grad()
def assignment_gap(x: Tensor, points: Tensor, potential: Tensor, cost: str | float | Cost = "sqeuclidean") -> float:
    r"""Mean of what a row would lose at its second best point, the natural unit of temperatures and of steps.

    Parameters
    ----------
    x, points, potential, cost
        See `assign`.

    Returns
    -------
    gap : float
        Mean difference between the two least :math:`c(x, y_i) - \psi_i`, in units of the cost; 0 for a single point.
        Points that are exactly equal are one point.

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
    scores = Scores(points, cost, dtype=x.dtype)
    return float(best_gaps(scores, scores.rows(x), scores.offsets(potential)).mean()) * scores.unit


def best_gaps(scores: Scores, x: Tensor, h: Tensor) -> Tensor:
    """Difference between the two largest scores of each row; there must be two points."""
    gaps = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for rows, tile in scores.in_tiles(x, h):
        best = row_argmax(tile)[:, None]
        largest = tile.gather(1, best)[:, 0]
        gaps[rows] = largest - tile.scatter_(1, best, -torch.inf).amax(1)
    return gaps

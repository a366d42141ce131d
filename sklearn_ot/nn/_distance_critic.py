"""A critic of distances to points, whose slope is at most 1."""

import torch
from torch import Tensor, nn

# The square of the distance at which a cone is rounded off, per column. It is above the rounding errors of squared
# distances between rows of size 1 in float32, so that no slope exceeds 1.
ROUNDING = 5e-6


class DistanceCritic(nn.Module):
    r"""A critic of slope at most 1: a combination of the sorted distances to some points.

    .. math:: f(x) = \sum_k a_k\, h_{(k)}(x), \qquad h_j(x) = b_j \pm \sqrt{\|x - p_j\|^2 + \varepsilon},
        \qquad \sum_k |a_k| = 1

    :math:`h_{(k)}` is the k-th smallest of the values :math:`h_j`. Half of them have each sign. The points, the offsets
    b and the weights a are learned. Each value has slope at most 1, sorting does not raise the largest slope, and
    neither does the weighted mean. So no two rows x and y have :math:`|f(x) - f(y)| > \|x - y\|`, for any weights.

    Every function of slope 1 is a limit of maxima of :math:`b_j - \|x - p_j\|`, which are functions of this form
    [McShane34]_. A network of layers whose weight matrices have norm 1 is also a function of slope at most 1, but to
    turn from slope 1 to −1 within a short distance, all units of its layers must turn at the same place. Here a single
    point does it. Sorting with weights of sum 1 is a layer of [Anil19]_ with the norm of the largest entry.

    Parameters
    ----------
    n_features : int
        Dimension d of a row.
    n_classes : int, default=0
        Number of columns of the label, which follow the columns of the row.
    n_outputs : None
        The critic is a scalar function. Games with an embedding of rows need another critic.
    n_points : int, default=128
        Number of points, an even one.

    Raises
    ------
    ValueError
        If ``n_points`` is odd, or ``n_outputs`` is given.

    References
    ----------
    .. [McShane34] E. J. McShane, "Extension of range of functions", Bulletin of the American Mathematical Society,
       1934.
    .. [Anil19] C. Anil, J. Lucas, R. Grosse, "Sorting out Lipschitz function approximation", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import DistanceCritic
    >>> critic = DistanceCritic(2)
    >>> x, y = torch.randn(2, 100, 2)
    >>> bool(((critic(x) - critic(y)).abs() <= (x - y).norm(dim=1)).all())
    True
    """

    def __init__(self, n_features: int, n_classes: int = 0, n_outputs: None = None, n_points: int = 128):
        super().__init__()
        if n_outputs is not None:
            raise ValueError(f"DistanceCritic has scalar values, but the game needs {n_outputs} outputs: use Dense().")
        if n_points % 2:
            raise ValueError(f"n_points must be even, because half of the points have each sign, got {n_points}.")
        n_columns = n_features + n_classes
        self.points = nn.Parameter(torch.randn(n_points, n_columns))
        self.offsets = nn.Parameter(torch.zeros(n_points))
        # Only their ratios count. A step of Adam changes small weights more, and a critic of a game must change fast.
        self.weight = nn.Parameter(torch.empty(n_points).uniform_(-1, 1) / n_points**0.5)
        self.register_buffer("signs", torch.tensor([1.0, -1.0]).repeat_interleave(n_points // 2))
        self.rounding = ROUNDING * n_columns

    def forward(self, x: Tensor) -> Tensor:
        """Map rows, shape (n, n_features + n_classes), to values, shape (n,)."""
        squares = x.square().sum(1, keepdim=True) + self.points.square().sum(1)
        squares = torch.addmm(squares, x, self.points.T, alpha=-2).clamp(min=0)
        values = self.offsets + self.signs * (squares + self.rounding).sqrt()
        return values.sort(dim=1).values @ (self.weight / self.weight.abs().sum())

    def lipschitz_bound(self) -> float:
        """An upper bound of all slopes: 1."""
        return 1.0

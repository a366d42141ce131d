"""One dimension: the cells are intervals between quantiles of the source."""

import torch


def line_potential(points, weights, cost, quantile):
    r"""The potential of points on a line, exactly.

    For a convex cost of x - y the optimal plan is monotone: sorted points take consecutive intervals, whose ends
    :math:`b_i` are the quantiles of the cumulated weights, and on each end two points must be equally good:

    .. math:: \psi_{i+1} - \psi_i = c(b_i, y_{i+1}) - c(b_i, y_i)

    Parameters
    ----------
    points : Tensor of shape (N, 1)
        The points, all different.
    weights : Tensor of shape (N,)
        Their masses.
    cost : Cost
        The cost, convex in x - y.
    quantile : callable
        The quantile function of the source, of a float64 tensor of probabilities in (0, 1).

    Returns
    -------
    potential : Tensor of shape (N,)
        float64, up to a constant.
    """
    order = points[:, 0].argsort()
    y = points[order, 0].double()
    # Beside a weight of 1 the lightest ones are lost, and 1 has no quantile.
    ends = quantile(weights[order].cumsum(0)[:-1].clamp(max=1 - 2**-53))
    left, right = y[:-1] - ends, y[1:] - ends
    if cost.is_squared:
        # The squares of far points would cancel.
        steps = (right - left) * (right + left)
    else:
        steps = cost.value(right[:, None]) - cost.value(left[:, None])
    potential = torch.zeros(len(y), dtype=torch.float64, device=y.device)
    potential[order[1:]] = steps.cumsum(0)
    return potential


def sample_quantile(rows):
    """The quantile function of a sample: half-way between two rows where the probability falls between them."""
    rows = rows[:, 0].double().sort().values

    def quantile(probability):
        position = probability * len(rows)
        # Cumulated weights are a rounding away from the whole numbers that equal weights make of them.
        near = (position - position.round()).abs() < 1e-6
        below = torch.where(near, position.round() - 1, position.floor()).long().clamp(0, len(rows) - 1)
        above = torch.where(near, position.round(), position.floor()).long().clamp(0, len(rows) - 1)
        return (rows[below] + rows[above]) / 2

    return quantile

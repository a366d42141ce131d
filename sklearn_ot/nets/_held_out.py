"""The training rows and the validation rows of a sample."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_ot.nets._pairs import MassOrder, spatial_order

# A far row has at least the share of the squares that this number of strata have on average.
FAR_STRATA = 2
# A heavy row has at least this part of the mass of a stratum.
HEAVY_PART = 0.75


class WeightedRows(NamedTuple):
    """Rows as a tensor, with weights.

    Attributes
    ----------
    rows : Tensor of shape (n, d)
        The rows.
    weight : Tensor of shape (n,) or None
        Positive weights, in float64 and on the CPU; None for equal weights.
    """

    rows: Tensor
    weight: Tensor | None = None


def validation_size(sample, size, fraction):
    """Number of strata for `hold_out` that takes a fraction of the mass from the training rows.

    Parameters
    ----------
    sample : WeightedRows
        Different rows.
    size : float
        Number of independent rows that the sample counts for, see `sklearn_ot.solvers.samples.Sample`.
    fraction : float
        The fraction, above 0 and below 1.

    Returns
    -------
    n_valid : int
        1 or more.
    """
    n_rows = len(sample.rows)
    if sample.weight is None:
        return max(1, min(int(fraction * n_rows), n_rows - 1))
    # A light row leaves the training rows, with all of its weight, if it is drawn.
    mass = sample.weight / sample.weight.sum()
    light = mass[mass * fraction * size < HEAVY_PART]
    n_valid = fraction * (min(size, 1 / light.square().sum().item()) if len(light) else size)
    return max(1, int(n_valid * (1 + 1e-9)))


def hold_out(sample, n_valid, rng, *, is_separate=True):
    r"""Split a sample into training rows and validation rows.

    The validation rows are one row of each of ``n_valid`` strata of equal mass, drawn in proportion to the weights, and
    the far rows. A *far row* has a share of the sum of squares, :math:`w_i \|x_i\|^2 / \sum_j w_j \|x_j\|^2`, that is
    as large as the mean share of two strata, but less mass than a stratum. A mean over strata would depend on whether
    they are drawn, and the best weights could be those that are wrong on them.

    A validation row is no training row. There are two exceptions, because without such a row the distribution of the
    training rows would be another one: the far rows, and *heavy rows*, which have a large part of the mass of a
    stratum. A light row that is not drawn stands for itself when it is drawn as well: its training weight is divided by
    the probability of not being drawn.

    Parameters
    ----------
    sample : WeightedRows
        Different rows, whose mean is about 0.
    n_valid : int
        Number of strata, 1 or more.
    rng : RandomState
        Draws the rows.
    is_separate : bool, default=True
        Whether validation rows are taken from the training rows. If not, all rows are training rows.

    Returns
    -------
    train, valid : WeightedRows
        The two parts; neither is empty.
    """
    rows, weight = sample
    n_rows, mass = len(rows), _mass(sample)
    is_far = far_rows(sample, n_valid)
    valid, drawn = _represent(sample, is_far, n_valid, rng)
    if not is_separate:
        return sample, valid
    is_light = mass * n_valid < HEAVY_PART if weight is not None else torch.full((n_rows,), n_valid < n_rows)
    is_light &= ~is_far
    remains = torch.ones(n_rows, dtype=torch.bool)
    remains[drawn] = ~is_light[drawn]
    if weight is not None:
        weight = torch.where(is_light, mass / (1 - n_valid * mass), mass)[remains]
        weight = None if (weight == weight[0]).all() else weight
    return WeightedRows(rows[remains.to(rows.device)], weight), valid


def far_and_near(sample, n_valid, n_rows, rng):
    """The far rows of a sample and, after them, one row of each of ``n_rows`` strata of the others, or all others.

    Parameters
    ----------
    sample : WeightedRows
        Different rows.
    n_valid : int
        Number of strata by which far rows are defined, see `hold_out`.
    n_rows : int
        Number of strata of the other rows.
    rng : RandomState
        Draws the rows.

    Returns
    -------
    rows : WeightedRows
        The rows.
    n_far : int
        How many of them are far rows.
    """
    is_far = far_rows(sample, n_valid)
    n_far = int(is_far.sum())
    if len(sample.rows) > n_rows + n_far:
        return _represent(sample, is_far, n_rows, rng)[0], n_far
    order = torch.cat([is_far.nonzero()[:, 0], (~is_far).nonzero()[:, 0]])
    weight = None if sample.weight is None else _mass(sample)[order]
    return WeightedRows(sample.rows[order.to(sample.rows.device)], weight), n_far


def _represent(sample, is_far, n_strata, rng):
    """The far rows and one row of each stratum of the others, with their mass, and the indices of the latter."""
    rows, mass = sample.rows, _mass(sample)
    far, near = (chosen.nonzero()[:, 0] for chosen in (is_far, ~is_far))
    weight = None if sample.weight is None else mass[near]
    drawn = near[_draw(rows[near.to(rows.device)], weight, n_strata, rng)]
    of_stratum = mass[near].sum().expand(n_strata) / n_strata
    weight = torch.cat([mass[far], of_stratum]) if len(far) else None
    return WeightedRows(rows[torch.cat([far, drawn]).to(rows.device)], weight), drawn


def far_rows(sample, n_valid):
    """Which rows of a sample are far rows, see `hold_out`, a tensor on the CPU."""
    mass = _mass(sample)
    squares = mass * torch.linalg.vector_norm(sample.rows, dim=1).cpu().double().square()
    has_much = squares * n_valid >= FAR_STRATA * squares.sum()
    return has_much & (squares > 0) & (mass * n_valid < 1)


def _mass(sample):
    rows, weight = sample
    return torch.full((len(rows),), 1 / len(rows), dtype=torch.float64) if weight is None else weight / weight.sum()


def _draw(rows, weight, n_strata, rng):
    """Indices of one row of each of ``n_strata`` strata of equal mass."""
    order = spatial_order(rows, min(n_strata, len(rows))).cpu()
    if weight is None and n_strata <= len(rows):
        edges = np.linspace(0, len(rows), n_strata + 1).astype(int)
        return order[rng.randint(edges[:-1], edges[1:])]
    places = (np.arange(n_strata) + rng.uniform(size=n_strata)) * (len(rows) / n_strata)
    return MassOrder(order, weight).at(torch.from_numpy(places))

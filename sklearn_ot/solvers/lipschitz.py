"""Functions of slope 1 from values at finitely many rows."""

from collections.abc import Sequence

import numpy as np
import torch

from sklearn_ot.solvers.axes import AxesTransport
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.gap import Side
from sklearn_ot.solvers.samples import Sample

# Largest numbers of rows for bounds of the distance, and of rows that determine the extension of a potential.
N_BOUND_ROWS, N_ANCHORS = 8192, 2048


@torch.no_grad()
def lipschitz_extension(anchors: np.ndarray, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    r"""A 1-Lipschitz function that is near given values at some rows.

    It is the mean of the largest and the smallest extension of [McShane34]_,

    .. math:: \tfrac12 \min_j \bigl(v_j + \|x - a_j\|\bigr) + \tfrac12 \max_j \bigl(v_j - \|x - a_j\|\bigr) .

    Both are 1-Lipschitz for any values. If the slopes between all anchors are at most 1, both have these values there.

    Parameters
    ----------
    anchors : ndarray of shape (n_anchors, n_features)
        Where the values are given.
    values : ndarray of shape (n_anchors,)
        The values.
    rows : ndarray of shape (n, n_features)
        Where the function is wanted.

    Returns
    -------
    extended : ndarray of shape (n,)
        The function at the rows, float64.

    References
    ----------
    .. [McShane34] E. J. McShane, "Extension of range of functions", Bulletin of the American Mathematical Society,
       1934.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.lipschitz import lipschitz_extension
    >>> lipschitz_extension(np.array([[0.0], [4.0]]), np.array([0.0, 2.0]), np.array([[0.0], [2.0], [9.0]]))
    array([0., 1., 2.])
    """
    a, v = torch.from_numpy(anchors.astype(np.float64)), torch.from_numpy(values.astype(np.float64))

    def extended(part):
        distances = torch.cdist(torch.from_numpy(part), a, compute_mode="donot_use_mm_for_euclid_dist")
        return (((v + distances).amin(1) + (v - distances).amax(1)) / 2).numpy()

    return in_chunks(extended, rows.astype(np.float64))


def held_out_sides(
    transport: AxesTransport,
    fitted: Sequence[Sample],
    held_out: Sequence[Sample],
    rng: np.random.RandomState,
    n_anchors: int = N_ANCHORS,
) -> tuple[Side, Side]:
    """Held-out rows with the values of a potential, made 1-Lipschitz: what `sklearn_ot.solvers.gap.cost_bounds` takes.

    Parameters
    ----------
    transport : AxesTransport
        The potential u.
    fitted, held_out : pair of Sample
        Rows of source and target by which u was found, and other rows of them.
    rng : RandomState
        Draws the anchors of `lipschitz_extension` from the first pair, and at most 8192 rows from the second one.
    n_anchors : int, default=2048
        Number of anchors. More of them make the values larger, and their sum nearer to the distance.

    Returns
    -------
    source, target : Side
        The rows, with values of u and of −u.
    """
    anchors = np.concatenate([sample.some(n_anchors // 2, rng)[0] for sample in fitted])
    axes, values = transport.axes, transport.inner.potential(transport.axes.coordinates(anchors))
    sides = []
    for sample, sign in zip(held_out, (1, -1), strict=True):
        rows, mass = sample.some(N_BOUND_ROWS, rng)
        extended = lipschitz_extension(axes.scaled(anchors), values, axes.scaled(rows))
        sides.append(Side(rows, mass, sign * axes.length * extended))
    return tuple(sides)

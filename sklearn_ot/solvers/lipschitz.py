"""Functions of slope 1 from values at finitely many rows."""

import numpy as np
import torch

from sklearn_ot.solvers.chunks import in_chunks


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

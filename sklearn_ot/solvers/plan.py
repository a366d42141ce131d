"""Exact transport plans between samples."""

import numpy as np
import ot


def exact_pairing(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    r"""The optimal pairing of two samples of equal size for the squared cost.

    .. math:: \min_{\sigma} \sum_i \|x_i - y_{\sigma(i)}\|^2

    Parameters
    ----------
    X, Y : ndarray of shape (n_samples, n_features)
        The samples. Memory grows with the square of the number of rows, time a little faster.

    Returns
    -------
    partner : ndarray of shape (n_samples,)
        The permutation σ: row i of ``X`` goes to row ``partner[i]`` of ``Y``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.solvers.plan import exact_pairing
    >>> exact_pairing(np.array([[0.0], [1.0], [2.0]]), np.array([[5.0], [3.0], [4.0]])).tolist()
    [1, 2, 0]
    """
    costs = ot.dist(X, Y)
    # With equal uniform weights the plan of least cost is a permutation. The solver has absolute tolerances.
    return ot.emd([], [], costs / (costs.max() or 1.0), numItermax=10_000_000).argmax(axis=1)

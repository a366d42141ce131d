"""The dual of Wasserstein-1 on a grid and its flux, by primal-dual steps."""

import numpy as np
from scipy.fft import dctn, idctn

TINY = np.float32(1e-12)


def gradient(f: np.ndarray) -> np.ndarray:
    """Forward differences along each axis, on the faces between cells; shape (n_axes, \\*f.shape).

    The entry of the last cell of an axis is 0: it stands for the boundary, through which nothing flows.
    """
    found = np.zeros((f.ndim, *f.shape), f.dtype)
    for axis in range(f.ndim):
        np.subtract(_shifted(f, axis, 1), _shifted(f, axis, 0), out=_shifted(found[axis], axis, 0))
    return found


def outflow(m: np.ndarray) -> np.ndarray:
    """The adjoint of `gradient`, minus the divergence of a flux on faces; shape ``m.shape[1:]``."""
    found = np.zeros(m.shape[1:], m.dtype)
    for axis, part in enumerate(m):
        face = _shifted(part, axis, 0)
        _shifted(found, axis, 0)[...] -= face
        _shifted(found, axis, 1)[...] += face
    return found


def _shifted(array, axis, first):
    """All cells but the last one (``first`` = 0) or the first one (1) of an axis, as a view."""
    index = [slice(None)] * array.ndim
    index[axis] = slice(1, None) if first else slice(0, -1)
    return array[tuple(index)]


class InverseLaplacian:
    """The inverse of ``outflow(gradient(f))`` on fields with mean 0, by a cosine transform.

    The matrix of second differences with free ends has the eigenvalues :math:`\\sum_k 2 - 2 \\cos(\\pi i_k / M_k)`, and
    its eigenvectors are those of the discrete cosine transform of type II.

    Parameters
    ----------
    shape : tuple of int
        Numbers of cells.
    dtype : dtype
        Of the fields.
    """

    def __init__(self, shape: tuple[int, ...], dtype):
        self.values = np.zeros(shape, dtype)
        for axis, n_cells in enumerate(shape):
            line = 2 - 2 * np.cos(np.pi * np.arange(n_cells) / n_cells)
            self.values += line.astype(dtype).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        self.values.flat[0] = 1

    def __call__(self, field: np.ndarray) -> np.ndarray:
        """The solution with mean 0."""
        coefficients = dctn(field, norm="ortho")
        coefficients /= self.values
        coefficients.flat[0] = 0
        return idctn(coefficients, norm="ortho", overwrite_x=True)


def solve(
    difference: np.ndarray, n_steps: int, f: np.ndarray | None = None, m: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""The potential f of the dual of Wasserstein-1 on a grid, and the flux m of its primal problem.

    With the masses P and Q of the cells, and lengths in cells, the two problems are

    .. math:: \max_{\|\nabla f\| \le 1} \langle f, P - Q \rangle
        = \min_{\nabla^\top m = P - Q} \sum_i \|m_i\| ,

    where the gradient has one difference for each axis, see `gradient`, and the flux lives on the same faces. It is
    [Beckmann52]_'s problem. Their saddle point is found by the primal-dual steps of [Chambolle11]_,

    .. math:: m \leftarrow S_1(m + \nabla \bar f), \qquad
        f' = f + (-\Delta)^{-1} (P - Q - \nabla^\top m), \qquad \bar f = 2 f' - f ,

    where :math:`S_1(v) = v \max(1 - 1 / \|v\|, 0)` is the proximal map of the norm. The metric of f is that of the
    gradient, :math:`-\Delta = \nabla^\top \nabla`, as in [Jacobs19]_. In this metric the gradient has the norm 1, so
    that steps of size 1 converge on every grid. P − Q is divided by the mean size of a flux where it flows,
    :math:`\sum \|m_i\|^2 / \sum \|m_i\|` for the flux :math:`m = \nabla (-\Delta)^{-1} (P - Q)`, so that m has the size
    of a step, wherever the mass is and however far it moves.

    At the end the flux is replaced by the nearest one with :math:`\nabla^\top m = P - Q`, so mass is conserved.

    Parameters
    ----------
    difference : ndarray of shape (M_1, ..., M_k)
        P − Q, with sum 0.
    n_steps : int
        Number of steps.
    f, m : ndarray of shape (M_1, ..., M_k) and (k, M_1, ..., M_k), default=None
        Where to start, 0 if None.

    Returns
    -------
    f : ndarray of shape (M_1, ..., M_k)
        The potential, in cells, up to a constant; float32.
    m : ndarray of shape (k, M_1, ..., M_k)
        The flux, from Q to P, so that it is minus the flow of mass from P to Q; float32. The sum of its norms,
        multiplied by the size of a cell, is the Wasserstein-1 distance on the grid.

    References
    ----------
    .. [Beckmann52] M. Beckmann, "A continuous model of transportation", Econometrica, 1952.
    .. [Chambolle11] A. Chambolle and T. Pock, "A first-order primal-dual algorithm for convex problems with
       applications to imaging", Journal of Mathematical Imaging and Vision, 2011.
    .. [Jacobs19] M. Jacobs, F. Léger, W. Li and S. Osher, "Solving large-scale optimization problems with a convergence
       rate independent of grid size", SIAM Journal on Numerical Analysis, 2019.

    Examples
    --------
    One unit of mass moves by four cells, and everything between has a flux of 1.

    >>> import numpy as np
    >>> from sklearn_ot.solvers.grid import solve
    >>> f, m = solve(np.array([0, 1, 0, 0, 0, -1, 0.0]), 200)
    >>> print(m.round(3) + 0, (f[1] - f[5]).round(3))
    [[ 0. -1. -1. -1. -1.  0.  0.]] 4.0
    """
    inverse = InverseLaplacian(difference.shape, np.float32)
    unit = float(np.abs(difference).max()) or 1.0
    smoothest = gradient(inverse((difference / unit).astype(np.float32)))
    square = float(np.sum(smoothest * smoothest, dtype=np.float64))
    scale = mass_moved(smoothest) / square / unit if square > 0 else 1.0
    r = (difference * scale).astype(np.float32)
    f = np.zeros_like(r) if f is None else f.astype(np.float32)
    m = np.zeros((r.ndim, *r.shape), np.float32) if m is None else (m * scale).astype(np.float32)
    ahead = f
    for _ in range(n_steps):
        m += gradient(ahead)
        norm = np.sqrt(np.einsum("k...,k...->...", m, m))
        np.maximum(norm, TINY, out=norm)
        m *= np.maximum(1 - 1 / norm, 0)
        before, f = f, f + inverse(r - outflow(m))
        ahead = 2 * f - before
    m += gradient(inverse(r - outflow(m)))
    return f, m / np.float32(scale)


def mass_moved(m: np.ndarray) -> float:
    """The sum of the norms of a flux."""
    return float(np.sqrt(np.einsum("k...,k...->...", m, m)).sum(dtype=np.float64))

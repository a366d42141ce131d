"""Tensors of arrays."""

import numpy as np
import torch
from torch import Tensor


def to_tensor(array, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Tensor:
    """Make a tensor of an array or a tensor, which shares its memory where that is possible.

    Torch takes no arrays with negative strides and warns about arrays that are read-only. Such arrays are copied.
    """
    if not isinstance(array, Tensor):
        array = np.require(array, requirements=["C", "W"])
        # A single row counts as contiguous, even if its stride is negative.
        if min(array.strides, default=0) < 0:
            array = array.copy()
    return torch.as_tensor(array, dtype=dtype, device=device)


def constants(*arrays) -> list[Tensor | None]:
    """Float64 copies of arrays as tensors on the CPU, the constants of a module; None stays None."""
    copies = (None if array is None else np.array(array, dtype=np.float64, order="C") for array in arrays)
    return [None if array is None else torch.tensor(array, device="cpu") for array in copies]


def weighted_mean(values, weight=None):
    """The mean of a tensor over its first dimension, with weights that have sum 1; None for equal weights."""
    return values.mean(0) if weight is None else torch.tensordot(weight, values, dims=1)


@torch.no_grad()
def calibrated_weights(rows: Tensor, mean: Tensor) -> Tensor:
    r"""Weights of rows with sum 1 whose weighted mean is near a known one.

    They are those of the regression estimator [Deville92]_. A weighted mean of any function of the rows then lacks most
    of the noise of its part that is linear in the rows. The weights are those with the least sum of squares, up to a
    ridge of d / n, with which they stay near 1 / n also for fewer rows than columns; some can be negative.

    Parameters
    ----------
    rows : Tensor of shape (n, d)
        Rows that were drawn at random from a sample.
    mean : Tensor of shape (d,)
        The mean of the sample.

    Returns
    -------
    weights : Tensor of shape (n,)
        The weights.

    References
    ----------
    .. [Deville92] J.-C. Deville and C.-E. Särndal, "Calibration estimators in survey sampling", JASA, 1992.
    """
    n_rows, n_features = rows.shape
    centre = rows.mean(0)
    centred, target = rows - centre, (mean - centre)[:, None]
    # With C for the centred rows, C (Cᵀ C + r)⁻¹ = (C Cᵀ + r)⁻¹ C: the smaller one of both matrices is solved.
    is_wide = n_features > n_rows
    matrix = (centred @ centred.T if is_wide else centred.T @ centred) / n_rows
    variance = (matrix.diagonal().sum() / n_features).clamp(min=torch.finfo(rows.dtype).tiny)
    matrix.diagonal().add_(n_features / n_rows * variance)
    # Without a test of the result, for which a GPU would have to wait: the ridge keeps the matrix positive.
    root, _ = torch.linalg.cholesky_ex(matrix)
    slopes = torch.cholesky_solve(centred @ target, root) if is_wide else centred @ torch.cholesky_solve(target, root)
    return (1 + slopes[:, 0]) / n_rows


def squared_error(values, weight=None):
    """The square of the standard error of `weighted_mean` of a tensor of shape (n,), n ≥ 2."""
    if weight is None:
        return values.var() / len(values)
    squares = (weight * (values - weighted_mean(values, weight))).square().sum()
    return squares / (1 - weight.square().sum())

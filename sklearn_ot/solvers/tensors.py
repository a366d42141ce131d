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


def weighted_mean(values, weight=None):
    """The mean of a tensor over its first dimension, with weights that have sum 1; None for equal weights."""
    return values.mean(0) if weight is None else torch.tensordot(weight, values, dims=1)


def squared_error(values, weight=None):
    """The square of the standard error of `weighted_mean` of a tensor of shape (n,), n ≥ 2."""
    if weight is None:
        return values.var() / len(values)
    squares = (weight * (values - weighted_mean(values, weight))).square().sum()
    return squares / (1 - weight.square().sum())

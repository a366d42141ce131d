"""Rows that methods of fitted estimators take: arrays and tensors."""

import numpy as np
import torch
from sklearn.utils.validation import validate_data

from sklearn_ot.base._fitting import FLOAT_DTYPES


def validated(estimator, X):
    """Rows for a fitted estimator as an array, in their dtype if it is a float dtype, else in float64.

    Parameters
    ----------
    estimator : estimator
        The estimator, whose number of features and their names the rows must have.
    X : array-like or Tensor of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The rows, of float32 or float64. Those of a tensor on another device are copied.
    """
    return validate_data(estimator, rows_of_tensor(X), dtype=FLOAT_DTYPES, reset=False)


def rows_of_tensor(X):
    """Rows of a tensor as an array in its float dtype; any other argument as it is.

    A ValueError is raised if the tensor is part of a graph of gradients, which an array would leave without a warning.
    """
    if not isinstance(X, torch.Tensor):
        return X
    if X.requires_grad:
        raise ValueError(
            "The argument is a tensor that requires grad, but the result would be an array, through which no gradient "
            "flows. Use the module of to_torch(), which can be differentiated, or give X.detach()."
        )
    # NumPy has no bfloat16.
    return np.asarray(X.cpu() if X.dtype != torch.bfloat16 else X.cpu().float())

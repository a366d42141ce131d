"""Distances between samples, and errors of a map whose truth is known."""

import numpy as np
import ot
from sklearn.utils import check_array


def sliced_wasserstein_distance(
    X, Y, *, p=2, n_projections=128, sample_weight=None, target_weight=None, random_state=None
):
    X, Y = check_array(X, dtype=np.float64), check_array(Y, dtype=np.float64)
    return float(
        ot.sliced_wasserstein_distance(
            X, Y, sample_weight, target_weight, n_projections=n_projections, p=p, seed=random_state
        )
    )

"""Principal components of rows with weights."""

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor


def principal_components(x: Tensor, weight: Tensor | None, n_components: int, seed: int) -> list[Tensor]:
    """The directions with the largest variances of rows.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        The rows.
    weight : Tensor of shape (n,) or None
        Their weights, with sum 1; None for equal weights.
    n_components : int
        Number of components, if there are as many.
    seed : int
        Seeds the randomised decomposition.

    Returns
    -------
    components, deviations, mean : list of Tensor
        Of shapes (n_components, d), (n_components,) and (d,), in float32 and on the device of the rows.
    """
    rows = x.cpu().numpy().astype(np.float64)
    mass = np.full(len(rows), 1 / len(rows)) if weight is None else weight.cpu().numpy().astype(np.float64)
    mean = mass @ rows
    scaled = np.sqrt(mass)[:, None] * (rows - mean)
    _, deviations, components = randomized_svd(scaled, min(n_components, *rows.shape), random_state=seed)
    return [torch.as_tensor(part, dtype=torch.float32, device=x.device) for part in (components, deviations, mean)]

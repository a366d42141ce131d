"""Normal noise that fills space evenly."""

from functools import lru_cache

import torch

MAX_EVEN_DIM = 8


def even_noise(n_batches, n_rows, latent_dim, device, generator=None):
    """Normal noise of shape (n_batches, n_rows, latent_dim), in few dimensions spread evenly.

    Each row is normal, and each batch independent of the others. The rows of one are a Kronecker sequence of the
    generalised golden ratio with a random shift [Roberts18]_, as normal quantiles: means over them vary far less than
    over independent rows. Above 8 dimensions the rows are independent.

    References
    ----------
    .. [Roberts18] M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018.
    """
    options = {"device": device, "generator": generator}
    if latent_dim > MAX_EVEN_DIM:
        return torch.randn(n_batches, n_rows, latent_dim, **options)
    sequence = _kronecker_sequence(n_rows, latent_dim).to(device)
    uniform = (sequence + torch.rand(n_batches, 1, latent_dim, **options)).frac()
    # Half a step of float32 away from 0 and 1.
    return torch.special.ndtri(uniform.clamp(2**-24, 1 - 2**-24))


@lru_cache
def _kronecker_sequence(n_rows, dim):
    ratio = 2.0
    for _ in range(60):  # to the root of x^(dim + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (dim + 1))
    step = torch.tensor([ratio**-k for k in range(1, dim + 1)], dtype=torch.float64)
    return (torch.arange(n_rows)[:, None] * step).frac().float()

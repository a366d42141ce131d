"""Sources with a name: what can be known of them beside independent rows."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import torch

NAMES = ("normal", "uniform")


class Source(NamedTuple):
    """Functions of a number of rows, and of probabilities; the next two are None where nothing is known."""

    sample: Callable
    quasi_sample: Callable | None = None
    quantile: Callable | None = None
    is_normal: bool = False


def named_source(name, n_features, dtype, device, generator=None):
    """N(0, I) ("normal") or the uniform distribution on the unit cube ("uniform") as a `Source`.

    The quasi-random rows are one scrambled Sobol sequence, of which each call takes the next piece.
    """
    if name not in NAMES:
        raise ValueError(f"The source must be a function of a number of rows or one of {NAMES}, got {name!r}.")
    options = {"dtype": dtype, "device": device, "generator": generator}
    if name == "normal":
        draw, quantile = torch.randn, torch.special.ndtri
    else:
        draw, quantile = torch.rand, torch.clone
    # Its seed is drawn at once, but to set it up takes long where it may never be asked.
    seed = int(torch.randint(2**31, (), generator=generator, device=device))
    sobol = cache(partial(torch.quasirandom.SobolEngine, n_features, scramble=True, seed=seed))

    def quasi_sample(n):
        # Half a cell of the 30 bits of the sequence keeps it away from 0.
        return quantile(sobol().draw(n, dtype=torch.float64) + 2.0**-31).to(device, dtype)

    is_known = n_features <= torch.quasirandom.SobolEngine.MAXDIM
    return Source(
        lambda n: draw(n, n_features, **options), quasi_sample if is_known else None, quantile, name == "normal"
    )

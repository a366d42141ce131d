"""The dual value of a potential on held-out rows, with exact conjugates; every formula has the cost ½‖x − y‖²."""

import math

import torch
from torch import Tensor

from sklearn_ot.nn import ConvexPair, PotentialPair
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.solvers.tensors import squared_error, weighted_mean


def gains(pair: PotentialPair, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    r"""The gain of the dual value of ψ over that of ‖·‖²/2 for each feature, by rows.

    .. math:: \frac1d \big( \tfrac12 \|x\|^2 - \psi(x) \big), \qquad \frac1d \big( \tfrac12 \|y\|^2 - \psi^*(y) \big)

    The gain is the sum of the means over both samples. The searches for ψ* start at ∇ω(y). Strong convexity gives an
    upper bound of ψ* from the residual of a search, so that a search that ends early can only lower the gain.

    Parameters
    ----------
    pair : PotentialPair
        ψ, with its ``strong_convexity``, and ω; only the gradient of ω is used.
    x : Tensor of shape (n, d)
        Source rows.
    y : Tensor of shape (m, d)
        Target rows.

    Returns
    -------
    source_gains, target_gains : Tensor of shape (n,), Tensor of shape (m,)
        The parts.
    """
    search, n_features = _search(pair, y), y.shape[1]
    bound = search.value + search.residual.square() / (2 * pair.potential.strong_convexity)
    values = ((x, pair.potential(x)), (y, bound))
    return tuple((rows.square().sum(1) / 2 - value) / n_features for rows, value in values)


def losses_of_rows(pair: PotentialPair, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Minus the `gains` of rows."""
    return tuple(-gain for gain in gains(pair, x, y))


def preimages(pair: ConvexPair, y: Tensor) -> Tensor:
    """Images of target rows by the inverse map: maximisers that are found as in `gains`, or ∇ω."""
    return _search(pair, y).argmax if pair.is_guess else pair.inverse.gradient(y)


def _search(pair, y):
    # For every modulus, the bound adds at most 5e-5 per feature to the value of a row that has converged.
    tol = 1e-2 * math.sqrt(pair.potential.strong_convexity * y.shape[1])
    return convex_conjugate(pair.potential.value_and_gradient, y, pair.inverse.gradient(y), tol=tol, rest=pair.rest)


def negative_dual(
    pair: PotentialPair, x: Tensor, y: Tensor, x_weight: Tensor | None = None, y_weight: Tensor | None = None
) -> Tensor:
    """Minus the mean gain: 0 at the potential ‖·‖²/2, lower for a better one.

    Its parameters are those of `gains`, and weights of the rows, which have sum 1; None weighs all rows equally.
    """
    return sum(map(weighted_mean, losses_of_rows(pair, x, y), (x_weight, y_weight)))


@torch.no_grad()
def gain_exceeds_error(
    pair: PotentialPair,
    x: Tensor,
    y: Tensor,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    start: PotentialPair | None = None,
) -> bool:
    """Whether the mean gain is more than its standard error; False for a single row, which has none.

    The parameters are those of `negative_dual`, and ``start``, a pair over which the gain is computed; None for the
    potential ‖·‖²/2 of the squared cost.
    """
    parts, weights = gains(pair, x, y), (x_weight, y_weight)
    if start is not None:
        parts = [part - before for part, before in zip(parts, gains(start, x, y), strict=True)]
    if min(map(len, parts)) < 2:
        return False
    gain = sum(map(weighted_mean, parts, weights))
    return bool(gain > sum(map(squared_error, parts, weights)).sqrt())

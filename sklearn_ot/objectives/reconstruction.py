"""The objective of an autoencoder."""

from torch import Tensor, nn


def reconstruction(autoencoder: nn.Module, x: Tensor, weight: Tensor | None = None) -> Tensor:
    r"""The squared error of decoded codes.

    .. math:: E \|v(u(x)) - x\|^2

    With linear networks the best codes are principal components [Baldi89]_.

    Parameters
    ----------
    autoencoder : nn.Module
        A module with the methods ``encode``, u, and ``decode``, v.
    x : Tensor of shape (n, d)
        Rows.
    weight : Tensor of shape (n,), default=None
        Weights of the rows, with sum 1; None if all are equal.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Baldi89] P. Baldi, K. Hornik, "Neural networks and principal component analysis: learning from examples without
       local minima", Neural Networks, 1989.
    """
    errors = (autoencoder.decode(autoencoder.encode(x)) - x).square().sum(1)
    return errors.mean() if weight is None else weight @ errors

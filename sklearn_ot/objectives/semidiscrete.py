"""The objective of generators that are fitted to points assigned to their noise."""

from torch import Tensor, nn

from sklearn_ot.objectives.w2 import mean_squared_norm


def assigned_regression(generator: nn.Module, z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    r"""Regression of a generator on the points that optimal transport assigns to its samples.

    .. math:: E\, w(z)\, \|g(z) - y(z)\|^2, \qquad y(z) = T(g_0(z))

    with :math:`g_0` the generator as it was when the transport map T of its law onto the data was computed: FIT, the
    second half of a round of [Chen19]_. Whatever the cost of T, this square is what the generator is fitted by.

    Parameters
    ----------
    generator : nn.Module
        g.
    z : Tensor of shape (n, latent_dim)
        Noise.
    y : Tensor of shape (n, d)
        The point assigned to each row of noise.
    weight : Tensor of shape (n,)
        w, with mean 1 over the noise.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Chen19] Y. Chen, M. Telgarsky, C. Zhang, B. Bailey, D. Hsu, J. Peng, "A gradual, semi-discrete approach to
       generative network training via explicit Wasserstein minimization", ICML 2019.
    """
    return mean_squared_norm((generator(z) - y) * weight.sqrt()[:, None])

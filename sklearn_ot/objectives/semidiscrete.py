"""The objective of generators that are fitted to the points assigned to their noise."""

from torch import Tensor, nn

from sklearn_ot.objectives.w2 import mean_squared_norm


def assigned_regression(generator: nn.Module, z: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    r"""Regression of a generator on the points to which optimal transport sends its samples.

    .. math:: E\, w(z)\, \|g(z) - y(z)\|^2, \qquad y(z) = T(g_0(z))

    Here T is the transport map from the distribution of the generator :math:`g_0` to the data, and :math:`g_0` is the
    generator when T was computed. This is FIT, one of the two parts of a round of [Chen19]_. The regression minimises
    the square for every cost of T.

    Parameters
    ----------
    generator : nn.Module
        g.
    z : Tensor of shape (n, latent_dim)
        Noise.
    y : Tensor of shape (n, d)
        The point assigned to each row of noise.
    weight : Tensor of shape (n,)
        w, the weights of the noise, with mean 1.

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

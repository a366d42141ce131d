"""The maximum mean discrepancy of embedded rows, and its game."""

from collections.abc import Callable

import torch
from torch import Tensor

from sklearn_ot.objectives.cramer import norms
from sklearn_ot.solvers.costs import half_squared_distances

# The scales σ of a kernel, in units in which the data are of size 1.
SCALES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# Kernels as functions of ‖a − b‖² / 2σ².
KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": lambda t: torch.exp(-t),
    "rational-quadratic": lambda t: 1 / (1 + t),
}


def kernel(a: Tensor, b: Tensor, name: str) -> Tensor:
    r"""The mean of kernels of several scales σ, for all pairs of rows.

    .. math::
        \exp\Bigl(-\frac{\|a - b\|^2}{2 \sigma^2}\Bigr) \quad \text{(gaussian)}, \qquad
        \Bigl(1 + \frac{\|a - b\|^2}{2 \sigma^2}\Bigr)^{-1} \quad \text{(rational-quadratic)}

    Parameters
    ----------
    a : Tensor of shape (n, k)
        Rows.
    b : Tensor of shape (m, k)
        Rows.
    name : {"gaussian", "rational-quadratic"}
        The shape of the kernel, a key of `KERNELS`. The second has heavy tails: its gradient reaches rows far away.

    Returns
    -------
    values : Tensor of shape (n, m)
        The mean over the scales; 1 where rows are equal.
    """
    squares = half_squared_distances(a, b)
    return sum(KERNELS[name](squares / scale**2) for scale in SCALES) / len(SCALES)


def squared_mmd(real: Tensor, fake: Tensor, *, kernel_name: str) -> Tensor:
    r"""Unbiased estimate of the squared maximum mean discrepancy between two distributions from samples.

    .. math:: E\, k(X, X') - 2 E\, k(X, Y) + E\, k(Y, Y')

    This is the discrepancy of [Gretton12]_. X runs through the first half of a sample and X' through the second half.
    The two halves must be independent of each other; the rows of a half need not be.

    Parameters
    ----------
    real : Tensor of shape (n, k)
        Rows of the first distribution, 2 or more.
    fake : Tensor of shape (m, k)
        Rows of the second distribution, 2 or more.
    kernel_name : {"gaussian", "rational-quadratic"}
        The `kernel`.

    Returns
    -------
    discrepancy : Tensor of shape ()
        The estimate; it can be below 0.

    References
    ----------
    .. [Gretton12] A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample test", JMLR 2012.
    """
    within = sum(kernel(*rows.chunk(2), kernel_name).mean() for rows in (real, fake))
    return within - 2 * kernel(real, fake, kernel_name).mean()


def witness(outputs: Tensor, real: Tensor, fake: Tensor, *, kernel_name: str) -> Tensor:
    r"""The witness function :math:`E\,k(x, X) - E\,k(x, Y)`; the discrepancy is the difference of its means."""
    return kernel(outputs, real, kernel_name).mean(1) - kernel(outputs, fake, kernel_name).mean(1)


def critic_loss(critic: Callable, real: Tensor, fake: Tensor, *, reg: float, kernel_name: str) -> Tensor:
    r"""Loss of the critic: minus the squared discrepancy of embedded rows, plus λ times a penalty on stretching.

    .. math:: -\text{MMD}^2 + \lambda\, E \max\Bigl( \frac{\|h(X) - h(Y)\|}{\|X - Y\|} - 1,\, 0 \Bigr)^2

    The mean of the penalty is over pairs of rows at the same place of both batches. It replaces the clipped weights of
    [Li17]_. Without a bound the embedding would stretch all distances beyond the largest scale of the kernel.

    References
    ----------
    .. [Li17] C.-L. Li, W.-C. Chang, Y. Cheng, Y. Yang, B. Póczos, "MMD GAN: towards deeper understanding of moment
       matching network", NeurIPS 2017.
    """
    h_real, h_fake = critic(real), critic(fake)
    stretch = norms(h_real - h_fake) / norms(real - fake)
    penalty = (stretch - 1).clamp(min=0).square().mean()
    return reg * penalty - squared_mmd(h_real, h_fake, kernel_name=kernel_name)


def generator_loss(critic: Callable, real: Tensor, fake: Tensor, *, kernel_name: str) -> Tensor:
    """Loss of the generator: the squared discrepancy of embedded rows."""
    return squared_mmd(critic(real), critic(fake), kernel_name=kernel_name)

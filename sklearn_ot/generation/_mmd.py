"""MMDGAN: a generator for a kernel discrepancy of embedded rows."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import documented, sections
from sklearn_ot.generation._adversarial import AdversarialGenerator
from sklearn_ot.objectives import mmd
from sklearn_ot.objectives.game import Game


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class MMDGAN(AdversarialGenerator):
    r"""A generator that minimises the maximum mean discrepancy between data and samples, embedded by a critic.

    .. math:: \min_g \max_h\; E\,k(h(X), h(X')) - 2 E\,k(h(X), h(Y)) + E\,k(h(Y), h(Y')), \qquad Y = g(z)

    This is the method of [Li17]_. The kernel k is a mean of kernels with scales from 0.05 to 2 times the size of the
    data. As in `CramerGAN`, gradients are unbiased for every embedding h, and a ``Dense`` critic is an isometry at
    first.

    Training works in units in which the data are of size 1; samples have the units of ``X``.

    Parameters
    ----------
    kernel : {"rational-quadratic", "gaussian"}, default="rational-quadratic"
        The kernel :math:`(1 + \|a - b\|^2 / 2 \sigma^2)^{-1}`, which has a gradient at large distances too, or
        :math:`\exp(-\|a - b\|^2 / 2 \sigma^2)`.
    reg : float, default=1.0
        The weight λ of a penalty on embeddings that stretch distances between data and samples,
        :math:`E \max(\|h(X) - h(Y)\| / \|X - Y\| - 1, 0)^2`. It replaces the clipped weights of [Li17]_.
    <parameters>

    Attributes
    ----------
    <attributes>

    See Also
    --------
    CramerGAN : A generator for the energy distance, whose kernel has no scale.

    References
    ----------
    .. [Li17] C.-L. Li, W.-C. Chang, Y. Cheng, Y. Yang, B. Póczos, "MMD GAN: towards deeper understanding of moment
       matching network", NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import MMDGAN
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = MMDGAN(generator=Dense((16,)), critic=Dense((16,)), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 2)
    True
    """

    kernel: str = "rational-quadratic"
    _: KW_ONLY
    reg: float = 1.0

    _parameter_constraints: ClassVar[dict] = {
        **AdversarialGenerator._parameter_constraints,
        "kernel": [StrOptions(mmd.KERNELS.keys())],
        "reg": [Interval(Real, 0, None, closed="left")],
    }
    _n_outputs = 16

    def _game(self):
        return Game(
            partial(mmd.critic_loss, reg=self.reg, kernel_name=self.kernel),
            partial(mmd.generator_loss, kernel_name=self.kernel),
            partial(mmd.witness, kernel_name=self.kernel),
        )

    def _remedy(self):
        return f"Lower learning_rate (now {self.learning_rate:g}) or raise reg (now {self.reg:g})."

"""CramerGAN: a generator that descends on the energy distance of embedded rows."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import documented, sections
from sklearn_ot.generation._adversarial import AdversarialGenerator
from sklearn_ot.objectives import cramer
from sklearn_ot.objectives.game import Game

LOSSES = {"witness": cramer.witness_loss, "energy": cramer.energy_loss}


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class CramerGAN(AdversarialGenerator):
    r"""A generator that descends on the energy distance of rows embedded by a critic [Bellemare17]_.

    .. math:: 2 E\|h(X) - h(Y)\| - E\|h(X) - h(X')\| - E\|h(Y) - h(Y')\|, \qquad Y = g(z)

    For any embedding h the gradient of a batch is unbiased, which that of a Wasserstein distance between batches is
    not. The critic is the embedding; it is trained to raise the difference :math:`E f(X) - E f(Y)` of

    .. math:: f(x) = E\|h(x) - h(Y)\| - \|h(x)\| ,

    which stands for the distance and does not vanish where the laws meet. The "mlp" critic embeds as an isometry at
    first: training starts with the distances of the data themselves, and the critic learns to see what these do not.

    Training runs in units in which the data are of size 1; samples come back in the units of ``X``.

    Parameters
    ----------
    reg : float, default=0.1
        The weight λ of the penalty on slopes of f other than 1 between data and samples, which holds the embedding.
    loss : {"witness", "energy"}, default="witness"
        What the generator minimises: the difference that the critic maximises, or the energy distance itself. The
        second is least where the laws are equal, whatever the embedding. But its pull on the last samples between
        modes fades with their number, so that it leaves more of them.
    <parameters>

    Attributes
    ----------
    <attributes>

    See Also
    --------
    WGANGenerator : With the Wasserstein-1 distance.
    MMDGAN : With a kernel.

    Notes
    -----
    The published method takes one row of data and two samples for each term of a mean. Here means run over all pairs of
    a batch and over its two halves, which are independent: the same expectation with far less noise.

    References
    ----------
    .. [Bellemare17] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients",
       arXiv:1705.10743, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import CramerGAN
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = CramerGAN(generator=Dense((16,)), critic=Dense((16,)), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 2)
    True
    """

    reg: float = 0.1
    _: KW_ONLY
    loss: str = "witness"
    n_critic: int = 2
    learning_rate: float = 3e-3
    max_iter: int = 10_000

    _parameter_constraints: ClassVar[dict] = {
        **AdversarialGenerator._parameter_constraints,
        "reg": [Interval(Real, 0, None, closed="left")],
        "loss": [StrOptions(LOSSES.keys())],
    }
    _n_outputs = 16

    def _game(self):
        return Game(partial(cramer.critic_loss, reg=self.reg), LOSSES[self.loss], cramer.witness)

    def _remedy(self):
        return f"Lower learning_rate (now {self.learning_rate:g}) or raise reg (now {self.reg:g})."

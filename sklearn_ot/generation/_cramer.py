"""CramerGAN: a generator for the energy distance of embedded rows."""

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
    r"""A generator that minimises the energy distance between data and samples, embedded by a critic.

    .. math:: 2 E\|h(X) - h(Y)\| - E\|h(X) - h(X')\| - E\|h(Y) - h(Y')\|, \qquad Y = g(z)

    This is the method of [Bellemare17]_. For every embedding h the gradient on a batch is unbiased, unlike that of a
    Wasserstein distance between batches. The critic is the embedding. It is trained to raise the difference
    :math:`E f(X) - E f(Y)` of the function

    .. math:: f(x) = E\|h(x) - h(Y)\| - \|h(x)\| ,

    which replaces the energy distance and does not become 0 if the distributions are equal. A ``Dense`` critic is an
    isometry at first, so training starts with the distances between the rows themselves.

    Training works in units in which the data are of size 1; samples have the units of ``X``.

    Parameters
    ----------
    reg : float, default=0.1
        The weight λ of a penalty on slopes of f other than 1 between data and samples, which limits the embedding.
    loss : {"witness", "energy"}, default="witness"
        The loss of the generator: the difference that the critic maximises, or the energy distance itself. The energy
        distance has its minimum at equal distributions for every embedding. But its gradient at the last samples
        between modes becomes small with their number, so that more of them remain.
    <parameters>

    Attributes
    ----------
    <attributes>

    See Also
    --------
    WGANGenerator : A generator for the Wasserstein-1 distance.
    MMDGAN : A generator for a kernel discrepancy.

    Notes
    -----
    Each term of a mean of the published method has one row of data and two samples. Here means run over all pairs of a
    batch, and over its two halves, which are independent. The expectation is the same, with far less noise.

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

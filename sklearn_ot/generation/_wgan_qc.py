"""WGANQC: a generator for the squared transport cost, with a critic fitted to exact plans of batches."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval

from sklearn_ot.base import documented, sections
from sklearn_ot.generation._adversarial import AdversarialGenerator
from sklearn_ot.objectives import qc
from sklearn_ot.objectives.game import Game


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class WGANQC(AdversarialGenerator):
    r"""A generator that minimises the squared transport cost, with a critic fitted to exact plans of batches.

    This is the method of [Liu19]_. Each step of the critic computes the exact plan (by POT) from a batch of samples to
    a batch of data, for the cost ½‖x − y‖². The critic learns the Kantorovich potential φ of the samples from its
    values at the samples, its values at the data, where it is minus the potential of the data, and its gradients, which
    are the displacements,

    .. math:: \nabla\varphi(y) = y - T(y) .

    The generator then minimises :math:`E\,\varphi(g(z))`, which moves each sample towards its image under the plans.
    The critic needs no constraint, because it is fitted by a regression.

    If the data have clusters, use `WGANGenerator` or `SemiDiscreteOTGenerator` instead: on the grid of 25 Gaussians,
    about three quarters of the samples of WGANQC lie between the clusters.

    Training works in units in which the data are of size 1; samples have the units of ``X``.

    Parameters
    ----------
    reg : float, default=1.0
        The weight λ of the gradients in the regression.
    <parameters>

    Attributes
    ----------
    <attributes>

    See Also
    --------
    sklearn_ot.transport.QCTransport : The map between two samples of the same critic.
    SemiDiscreteOTGenerator : A generator with the exact transport to all rows instead of batches.

    Notes
    -----
    The published critic is fitted to the *lengths* of gradients, with weight :math:`\gamma \sqrt d`, γ = 0.1. The
    generator moves along gradients at samples, so this critic is also fitted to their directions.

    Plans of batches have a bias, which is larger with fewer rows and more features: the mean of the images of a sample
    under the plans of several batches lies inside the data. The plans also differ between batches more than the losses
    of other games, which small steps compensate.

    References
    ----------
    .. [Liu19] H. Liu, X. Gu, D. Samaras, "Wasserstein GAN with quadratic transport cost", ICCV 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import WGANQC
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = WGANQC(generator=Dense((16,)), critic=Dense((16,)), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 2)
    True
    """

    reg: float = 1.0
    _: KW_ONLY
    n_critic: int = 2
    learning_rate: float = 5e-4

    _parameter_constraints: ClassVar[dict] = {
        **AdversarialGenerator._parameter_constraints,
        "reg": [Interval(Real, 0, None, closed="left")],
    }

    def _game(self):
        return Game(partial(qc.critic_loss, reg=self.reg), qc.generator_loss, qc.witness)

    def _remedy(self):
        return f"Lower learning_rate (now {self.learning_rate:g}) or reg (now {self.reg:g})."

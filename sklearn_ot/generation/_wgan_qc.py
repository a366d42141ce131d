"""WGANQC: a generator whose critic is regressed on exact plans of batches."""

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
    r"""A generator that descends on the transport cost with squares, by a critic regressed on exact plans [Liu19]_.

    In each step of the critic the transport from a batch of samples to one of data is solved exactly (by POT), for the
    cost ½‖x − y‖², and the critic learns the Kantorovich potential φ of the samples: its values, those at the data,
    where it is minus the potential of the data, and its gradients, which are the displacements,

    .. math:: \nabla\varphi(y) = y - T(y) .

    The generator then minimises :math:`E\,\varphi(g(z))`, which moves each sample towards where the plans send it.
    There is nothing to constrain: the critic is the answer of a regression.

    Training runs in units in which the data are of size 1; samples come back in the units of ``X``.

    Parameters
    ----------
    reg : float, default=1.0
        The weight λ of the gradients against the values.
    <parameters>

    Attributes
    ----------
    <attributes>

    See Also
    --------
    sklearn_ot.transport.QCTransport : The same critic as a map between two samples.
    SemiDiscreteOTGenerator : With the transport to all rows at once in the place of batches.

    Notes
    -----
    The published critic is regressed on the *lengths* of gradients, with weight :math:`\gamma \sqrt d`, γ = 0.1. What
    the generator follows are gradients at samples: they are learned here with their directions.

    Plans of batches are blurred, the more the fewer rows they have and the more features: the mean of all the rows that
    plans send a sample to lies inwards of the data. They also differ from batch to batch more than the losses of other
    games do, which small steps make up for.

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

"""QCTransport: the map of a potential fitted to exact plans of batches."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval

from sklearn_ot.base import documented, sections
from sklearn_ot.networks import Dense, module_of
from sklearn_ot.nn import DisplacementPotential
from sklearn_ot.objectives.qc import displacement_error, plan_regression
from sklearn_ot.transport._neural import NeuralTransport, Stage

KINKED_ACTIVATIONS = {"relu", "leaky_relu", "groupsort"}


@documented(**sections(NeuralTransport))
@dataclass(eq=False, repr=False)
class QCTransport(NeuralTransport):
    r"""The map of a potential fitted to exact plans of batches, like the critic of quadratic-cost Wasserstein GANs.

    Each step computes the exact plan between two batches. The potential φ is fitted to the Kantorovich potentials of
    the plan, and its gradient to the displacements. For the cost :math:`\tfrac12 \|x - y\|^2` the map is

    .. math:: T(x) = x - \nabla\varphi(x) .

    The critic is that of [Liu19]_, see `sklearn_ot.objectives.qc`. As in `W2Transport`, training works in coordinates
    in which the Gaussian map is the identity, and starts at this map, with φ = 0.

    Parameters
    ----------
    reg : float, default=10.0
        The weight λ of the gradients in the regression, in balanced coordinates.
    network : specification or nn.Module class, default=None
        The network of the potential, ``Dense((128, 128), "silu")`` if None, see `sklearn_ot.networks`. Its gradient
        must be continuous: the activation "relu" is refused.
    learning_rate : float, default=1e-2
        Step size of Adam after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500).
    <parameters>

    Attributes
    ----------
    n_iter_ : int
        Number of gradient steps.
    history_ : list of dict
        One row for each block of 100 steps: ``stage``, always "critic"; ``n_iter``; ``dur``, in seconds;
        ``train_loss``, the objective; and ``valid_loss``, the mean squared distance for each feature, in balanced
        coordinates, between the images of held-out rows and those of the exact plan between 512 held-out rows of each
        sample. The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is φ.
    <attributes>

    See Also
    --------
    W2Transport : A more accurate map, with an inverse and without the bias of plans of batches.

    Notes
    -----
    The map is a mean of the maps of many plans, and therefore blurred. It is less blurred with more rows in a batch,
    but the time of a plan grows a little faster than the square of the number of rows.

    The published critic compares only the *lengths* of gradients and displacements, with the weight
    :math:`\gamma \sqrt d`, γ = 0.1, instead of λ, on batches of 64. A map also needs the directions, and a larger
    weight of the gradients, which are less noisy than the values.

    References
    ----------
    .. [Liu19] H. Liu, X. Gu, D. Samaras, "Wasserstein GAN with quadratic transport cost", ICCV 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.networks import Dense
    >>> from sklearn_ot.transport import GaussianTransport, QCTransport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(1000, 1), rng.choice([-2, 2], (1000, 1)) + rng.rand(1000, 1)
    >>> transport = QCTransport(
    ...     network=Dense((32,), "celu"), learning_rate=0.03, batch_size=64, tol=0.03, n_iter_no_change=1,
    ...     random_state=0,
    ... ).fit(Xs, Xt)
    >>> bool(transport.score(Xs) > 0.5 * GaussianTransport().fit(Xs, Xt).score(Xs))
    True
    """

    reg: float = 10.0
    _: KW_ONLY

    MODULE: ClassVar[type] = DisplacementPotential
    _max_validation_rows: ClassVar[int] = 512  # the time of an exact plan grows with the square of its rows and more
    _parameter_constraints: ClassVar[dict] = {
        **NeuralTransport._parameter_constraints,
        "reg": [Interval(Real, 0, None, closed="left")],
    }

    def _architecture(self, n_features):
        network = Dense((128, 128), "silu") if self.network is None else self.network
        module, arguments = module_of(network, "function", n_features=n_features, n_outputs=None)
        if arguments.get("activation") in KINKED_ACTIVATIONS:
            raise ValueError(
                f"The map of QCTransport is a gradient, and the gradient of a network with the activation "
                f'"{arguments["activation"]}" jumps: use "silu", "celu" or "softplus".'
            )
        return {"potential": (module, arguments)}

    def _stages(self):
        critic = Stage(
            "critic",
            partial(plan_regression, reg=self.reg),
            evaluation=displacement_error,
            remedy=f"Lower learning_rate (now {self.learning_rate:g}) or reg (now {self.reg:g}).",
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            net_params={"capturable": False},  # the plan of each batch is POT's, on the CPU
        )
        return [critic]

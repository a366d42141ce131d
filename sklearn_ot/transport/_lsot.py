"""LSOTTransport: the barycentric projection of regularised transport, by stochastic optimisation."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import documented, sections
from sklearn_ot.networks import Dense, module_of
from sklearn_ot.nn import PotentialsAndMap
from sklearn_ot.objectives.lsot import barycentric_regression, regularized_dual
from sklearn_ot.transport._neural import NeuralTransport, Stage


@documented(**sections(NeuralTransport))
@dataclass(eq=False, repr=False)
class LSOTTransport(NeuralTransport):
    r"""Large-scale regularised transport: first potentials, from the dual, then a map, by barycentric projection.

    This is the method of [Seguy18]_, a baseline. Two networks without constraints maximise the dual of transport with
    an entropic or an L2 penalty, by stochastic gradients over all pairs of a batch. A third network is then fitted to
    the barycentric images of their plan,

    .. math::
        & \max_{u, v}\ E_P\, u(x) + E_Q\, v(y) \\
        & \quad - E_{P \times Q}\, G(u(x) + v(y) - \tfrac12 \|x - y\|^2), \\
        & T(x) = E_\pi [y \mid x], \\
        & \frac{d\pi}{d (P \times Q)} = G'(u(x) + v(y) - \tfrac12 \|x - y\|^2) .

    See `sklearn_ot.objectives.lsot`. As in `W2Transport`, training works in coordinates in which the Gaussian map is
    the identity, and starts at this map, with u = v = 0 and T(x) = x.

    Parameters
    ----------
    regularization : {"l2", "entropic"}, default="l2"
        The penalty on the density h of the plan π with respect to P × Q: :math:`\varepsilon E_\pi h` or
        :math:`\varepsilon E_\pi \log h`.
    reg : float, default=0.03
        The weight ε of the penalty, above 0, in balanced coordinates, whose mean variance is 1. With a larger ε the
        plan is more blurred and the map shrinks more towards the mean. With a smaller ε fewer pairs of a batch have a
        positive weight. The default suits "l2"; "entropic" needs about 0.05 with 2 features and 0.5 with 16.
    network : specification or nn.Module class, default=None
        The networks of the potentials and of the map, ``Dense((128, 128), "silu")`` if None, see `sklearn_ot.networks`.
    learning_rate : float, default=1e-2
        Step size of Adam after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500).
    <parameters>

    Attributes
    ----------
    n_iter_ : int
        Number of gradient steps in both stages.
    history_ : list of dict
        One row for each block of 100 steps: ``stage``, "dual" for the potentials, then "map"; ``n_iter``; ``dur``, in
        seconds; ``train_loss``, the objective; and ``valid_loss``, the objective on held-out rows, divided by the
        number of features. The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` holds the networks ``u``, ``v`` and ``displacement``, T(x) − x.
    <attributes>

    See Also
    --------
    W2Transport : A more accurate map, with an inverse and without the bias of a regularisation.

    Notes
    -----
    The barycentric projection of a regularised plan is not the optimal map, and it does not carry P onto Q exactly.
    Both are true in the limit ε → 0.

    The published algorithm starts with random networks in the units of the data and keeps the last weights.

    References
    ----------
    .. [Seguy18] V. Seguy, B. B. Damodaran, R. Flamary, N. Courty, A. Rolet, M. Blondel, "Large-scale optimal transport
       and mapping estimation", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.networks import Dense
    >>> from sklearn_ot.transport import GaussianTransport, LSOTTransport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(1000, 1), rng.choice([-2, 2], (1000, 1)) + rng.rand(1000, 1)
    >>> transport = LSOTTransport(
    ...     network=Dense((32,), "silu"), learning_rate=0.03, batch_size=64, tol=0.01, n_iter_no_change=1,
    ...     random_state=0,
    ... ).fit(Xs, Xt)
    >>> bool(transport.score(Xs) > 0.5 * GaussianTransport().fit(Xs, Xt).score(Xs))
    True
    """

    regularization: str = "l2"
    _: KW_ONLY
    reg: float = 0.03

    MODULE: ClassVar[type] = PotentialsAndMap
    _parameter_constraints: ClassVar[dict] = {
        **NeuralTransport._parameter_constraints,
        "regularization": [StrOptions({"entropic", "l2"})],
        "reg": [Interval(Real, 0, None, closed="neither")],
    }

    def _architecture(self, n_features):
        network = Dense((128, 128), "silu") if self.network is None else self.network
        return {
            "potential": module_of(network, "function", n_features=n_features, n_outputs=None),
            "displacement": module_of(network, "function", n_features=n_features, n_outputs=n_features),
        }

    def _stages(self):
        return [self._stage("dual", regularized_dual), self._stage("map", barycentric_regression)]

    def _stage(self, name, objective):
        objective = partial(objective, reg=self.reg, regularization=self.regularization)
        return Stage(
            name,
            objective,
            evaluation=partial(_per_feature, objective),
            remedy=f"Lower learning_rate (now {self.learning_rate:g}) or raise reg (now {self.reg:g}).",
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
        )


def _per_feature(objective, module, x, *batch):
    return objective(module, x, *batch) / x.shape[1]

"""LSOTTransport: regularised transport by stochastic optimisation, and its barycentric projection."""

from functools import partial
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sklearn_ot.nets import JointNet, resolve_device, threads_worth_it, torch_seed
from sklearn_ot.nn import MLP
from sklearn_ot.objectives.lsot import barycentric_regression, regularized_dual
from sklearn_ot.transport._neural import NeuralTransport


class PotentialsAndMap(nn.Module):
    """Potentials u and v, which start at 0, and a map, which starts at the identity; the parameters are of `MLP`."""

    def __init__(self, n_features, **architecture):
        super().__init__()
        self.u, self.v = MLP(n_features, **architecture), MLP(n_features, **architecture)
        self.displacement = MLP(n_features, n_outputs=n_features, **architecture)

    def transport(self, x):
        return x + self.displacement(x)

    def project_(self):
        """Nothing is constrained."""


STAGES = {"dual": regularized_dual, "map": barycentric_regression}


class LSOTTransport(NeuralTransport):
    r"""Large-scale regularised transport: potentials by its dual, then a map by barycentric projection.

    The published method of [Seguy18]_, here as a baseline. Two networks without constraints maximise the dual of
    transport with an entropic or an L2 penalty, by stochastic gradients over all pairs of a batch; a third one is then
    regressed on the means of the plan that belongs to them,

    .. math::
        \max_{u, v}\ E_P\, u(x) + E_Q\, v(y) - E_{P \times Q}\, G(u(x) + v(y) - \tfrac12 \|x - y\|^2), \qquad
        T(x) = E_\pi [y \mid x], \quad \frac{d\pi}{d (P \times Q)} = G'(u(x) + v(y) - \tfrac12 \|x - y\|^2) ,

    see `sklearn_ot.objectives.lsot`. As in `W2Transport`, training runs in coordinates where the Gaussian map is the
    identity, and starts there: u = v = 0 and T the identity.

    Parameters
    ----------
    regularization : {"l2", "entropic"}, default="l2"
        The penalty on the density h of the plan π by P × Q: :math:`\varepsilon E_\pi h` or
        :math:`\varepsilon E_\pi \log h`.
    reg : float, default=0.03
        ε, above 0, in balanced coordinates, whose mean variance is 1. The larger, the more blurred the plan, and the
        more the map shrinks towards the mean; the smaller, the fewer pairs of a batch have any weight. The default
        suits "l2"; "entropic" needs about 0.05 in two dimensions and 0.5 in sixteen.
    hidden_layer_sizes : array-like of int, default=(128, 128)
        Widths of the hidden layers of each network.
    activation : {"silu", "celu", "softplus", "relu"}, default="silu"
        Activation of the networks.
    shrinkage : "auto", float or None, default="auto"
        Shrinkage of the covariances of the Gaussian map at the start, see `GaussianTransport`.
    learning_rate : float, default=1e-2
        Step size of Adam after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500).
    batch_size : int, default=256
        Rows of each sample in a step. All their pairs are used.
    max_iter : int, default=5000
        Gradient steps at most in each of the two stages, whatever the number of rows. With 0 the map is the Gaussian
        map.
    tol : float, default=1e-3
        Least decrease of ``valid_loss`` (see ``history_``) that counts as one.
    n_iter_no_change : int, default=10
        Blocks of 100 steps without such a decrease after which training has converged; after each
        third of them the step size is cut to 0.3 of what it was.
    early_stopping : bool, default=True
        Whether ``valid_loss`` is taken on held-out rows. If not, it is taken on rows that are trained on.
    validation_fraction : float, default=0.1
        Part of each sample to hold out, 2048 rows at most.
    device : str or torch.device, default="auto"
        Where to train: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net; they are cloned.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, held-out rows and batches. None is a fresh seed each time; the global states of numpy
        and torch are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    n_iter_ : int
        Gradient steps taken in both stages.
    history_ : list of dict
        One row per block of 100 steps: ``stage``, ``n_iter``, ``dur`` in seconds, ``train_loss``, the objective, and
        ``valid_loss``, the same on the held-out rows and divided by the number of features. ``stage`` is "dual" for the
        potentials, then "map". The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` holds the networks ``u``, ``v`` and ``displacement``, T(x) − x.
    coordinates_ : BalancedCoordinates
        The coordinates in which the net works.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Rows of the target that `score` compares with when it is given none.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if the source was given as a DataFrame.

    See Also
    --------
    W2Transport : More accurate, with an inverse, and without the bias of a regularisation.

    Notes
    -----
    The barycentric projection of a regularised plan is not the optimal map, nor does it carry P onto Q exactly; both
    hold in the limit ε → 0.

    The published algorithm starts at random networks in the coordinates of the data and keeps the last weights.

    References
    ----------
    .. [Seguy18] V. Seguy, B. B. Damodaran, R. Flamary, N. Courty, A. Rolet, M. Blondel, "Large-scale optimal transport
       and mapping estimation", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.transport import GaussianTransport, LSOTTransport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(1000, 1), rng.choice([-2, 2], (1000, 1)) + rng.rand(1000, 1)
    >>> transport = LSOTTransport(
    ...     hidden_layer_sizes=(32,), learning_rate=0.03, batch_size=64, tol=0.01, n_iter_no_change=1, random_state=0
    ... ).fit(Xs, Xt)
    >>> bool(transport.score(Xs) > 0.5 * GaussianTransport().fit(Xs, Xt).score(Xs))
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        **NeuralTransport._parameter_constraints,
        "regularization": [StrOptions({"entropic", "l2"})],
        "reg": [Interval(Real, 0, None, closed="neither")],
        "activation": [StrOptions({"silu", "celu", "softplus", "relu"})],
    }

    def __init__(
        self,
        regularization="l2",
        *,
        reg=0.03,
        hidden_layer_sizes=(128, 128),
        activation="silu",
        shrinkage="auto",
        learning_rate=1e-2,
        batch_size=256,
        max_iter=5_000,
        tol=1e-3,
        n_iter_no_change=10,
        early_stopping=True,
        validation_fraction=0.1,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.regularization = regularization
        self.reg = reg
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.shrinkage = shrinkage
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def _fit(self, X, target, rng):
        device = resolve_device(self.device)
        architecture = self._architecture(X.shape[1])
        samples = self._balance(X, target, rng, device)
        width = max(X.shape[1], *architecture["hidden_layer_sizes"])
        with torch_seed(rng.randint(2**31), device), threads_worth_it(self.batch_size, width):
            callbacks = self._fresh_callbacks()
            dual = self._build_net(device, callbacks, stage="dual", **architecture)
            if self._train(dual, *samples):
                net = self._build_net(device, callbacks, **architecture)
                net.resume(dual)
                self._train(net, *samples)

    def _build_net(self, device, callbacks=(), stage="map", **architecture):
        objective = partial(STAGES[stage], reg=self.reg, regularization=self.regularization)
        return JointNet(
            PotentialsAndMap,
            objective,
            evaluation=partial(_per_feature, objective),
            remedy=f"Lower learning_rate (now {self.learning_rate:g}) or raise reg (now {self.reg:g}).",
            stage=stage,
            **self._net_parameters(device, architecture, callbacks),
        ).initialize()


def _per_feature(objective, module, x, y):
    return objective(module, x, y) / x.shape[1]

"""QCTransport: a critic regressed on exact plans of batches."""

from functools import partial
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.nets import JointNet, resolve_device, threads_worth_it, torch_seed
from sklearn_ot.nn import MLP
from sklearn_ot.objectives.qc import batch_transport, plan_regression
from sklearn_ot.objectives.w2 import mean_squared_norm
from sklearn_ot.transport._neural import NeuralTransport

# The time of an exact plan grows with the square of its rows and more.
MAX_PLAN_ROWS = 512


class Critic(MLP):
    """A potential, and the map x − ∇φ(x), which starts at the identity; the parameters are those of `MLP`."""

    def transport(self, x):
        return x - self.gradient(x)

    def project_(self):
        """Nothing is constrained."""


def displacement_error(critic, x, y):
    """Mean squared distance per feature from the images of the critic's map to those of an exact plan."""
    x, y = x[:MAX_PLAN_ROWS], y[:MAX_PLAN_ROWS]
    images = batch_transport(x, y).images
    return mean_squared_norm(critic.transport(x) - images) / x.shape[1]


class QCTransport(NeuralTransport):
    r"""The critic of quadratic-cost Wasserstein GANs as a map: a potential regressed on exact plans of batches.

    In each step the transport between two batches is solved exactly, and the potential φ learns its values and, by
    its gradient, its displacements; for the cost :math:`\tfrac12 \|x - y\|^2` the map is

    .. math:: T(x) = x - \nabla\varphi(x) .

    The critic is the one of [Liu19]_, see `sklearn_ot.objectives.qc`. As in `W2Transport`, training runs in coordinates
    where the Gaussian map is the identity, and starts there: φ = 0.

    Parameters
    ----------
    reg : float, default=10.0
        λ, the weight of the gradients against the values, in balanced coordinates.
    hidden_layer_sizes : array-like of int, default=(128, 128)
        Widths of the hidden layers of each network.
    activation : {"silu", "celu", "softplus"}, default="silu"
        Activation of the networks.
    shrinkage : "auto", float or None, default="auto"
        Shrinkage of the covariances of the Gaussian map at the start, see `GaussianTransport`.
    learning_rate : float, default=1e-2
        Step size of Adam after a warm-up of 100 steps; it decays as 1 / (1 + step / 1500).
    batch_size : int, default=256
        Rows of each sample in a step. The map is that of the plans of batches on average, which is blurred:
        the more rows, the less, but the time of a plan grows a little faster than their square.
    max_iter : int, default=5000
        Gradient steps at most, whatever the number of rows. With 0 the map is the Gaussian map.
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
        Gradient steps taken.
    history_ : list of dict
        One row per block of 100 steps: ``stage``, ``n_iter``, ``dur`` in seconds, ``train_loss``, the objective, and
        ``valid_loss``, the mean squared distance per feature, in balanced coordinates, from the images of held-out
        rows to those of the exact plan between 512 held-out rows of each sample. ``stage`` is always "critic".
        The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is φ.
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
    W2Transport : More accurate, with an inverse, and without the bias of plans of batches.

    Notes
    -----
    The published critic ties the *lengths* of gradients and displacements with weight :math:`\gamma \sqrt d` in the
    place of λ, γ = 0.1, on batches of 64. A map needs their directions too, and the gradients, less noisy than the
    values, a larger weight.

    References
    ----------
    .. [Liu19] H. Liu, X. Gu, D. Samaras, "Wasserstein GAN with quadratic transport cost", ICCV 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.transport import GaussianTransport, QCTransport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(1000, 1), rng.choice([-2, 2], (1000, 1)) + rng.rand(1000, 1)
    >>> transport = QCTransport(
    ...     activation="celu", hidden_layer_sizes=(32,), learning_rate=0.03, batch_size=64, tol=0.03,
    ...     n_iter_no_change=1, random_state=0
    ... ).fit(Xs, Xt)
    >>> bool(transport.score(Xs) > 0.5 * GaussianTransport().fit(Xs, Xt).score(Xs))
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        **NeuralTransport._parameter_constraints,
        "reg": [Interval(Real, 0, None, closed="left")],
        "activation": [StrOptions({"silu", "celu", "softplus"})],
    }

    def __init__(
        self,
        reg=10.0,
        *,
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
            self._train(self._build_net(device, self._fresh_callbacks(), **architecture), *samples)

    def _build_net(self, device, callbacks=(), **architecture):
        return JointNet(
            Critic,
            partial(plan_regression, reg=self.reg),
            evaluation=displacement_error,
            remedy=f"Lower learning_rate (now {self.learning_rate:g}) or reg (now {self.reg:g}).",
            stage="critic",
            capturable=False,  # the plan of each batch is POT's, on the CPU
            **self._net_parameters(device, architecture, callbacks),
        ).initialize()

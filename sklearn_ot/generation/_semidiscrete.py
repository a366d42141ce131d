"""SemiDiscreteOTGenerator: a generator trained by explicit transport instead of against an adversary."""

from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import warn_user
from sklearn_ot.generation._neural import NeuralGenerator
from sklearn_ot.nets import AssignedNoise, SemiDiscreteNet, resolve_device, torch_seed
from sklearn_ot.objectives.semidiscrete import assigned_regression
from sklearn_ot.solvers.costs import COSTS, Cost

HISTORY_KEYS = ("n_iter", "dur", "distance", "mass_error", "n_empty", "train_loss")


class SemiDiscreteOTGenerator(NeuralGenerator):
    r"""A generator trained by optimal transport computed explicitly, without an adversary.

    Each round [Chen19]_ has two halves. *FIT* regresses the generator g on the training points assigned to its noise,

    .. math:: \min_g\ E_z \|g(z) - T(g_0(z))\|^2 ,

    with :math:`g_0` the generator of the round before. *OTS* then computes the optimal transport T from the law of
    g(z) to the N training points anew. It is semi-discrete: T sends x to the point of the cell it lies in,

    .. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i c(x, y_i) - \psi_i ,

    and ψ, which makes the cells as heavy as the points, maximises
    :math:`E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i`, a concave problem
    (`sklearn_ot.solvers.semidiscrete`). So there is nothing to balance, and the curve of training *is* the Wasserstein
    distance.

    Training runs in units in which the data are of size 1; samples come back in the units of ``X``.

    Parameters
    ----------
    generator : {"mlp", "dcgan"} or nn.Module class, default="mlp"
        The network: `sklearn_ot.nn.MLPGenerator`; `sklearn_ot.nn.DCGANGenerator` for rows that are flattened images
        of 28, 32 or 64 pixels; or a class that is called with ``latent_dim``, ``n_features`` and ``generator_params``,
        and maps noise of shape (n, latent_dim) to rows of shape (n, n_features).
    latent_dim : int or "auto", default="auto"
        Dimension of the noise, which is normal. "auto" is the number of features, and at most 100.
    hidden_layer_sizes : array-like of int, default=(128, 128, 128)
        Widths of the hidden layers of "mlp". Images want more, (512, 512, 512) say.
    activation : {"relu", "silu", "celu", "softplus"}, default="relu"
        Activation of the hidden layers of "mlp".
    output_activation : {"auto", "identity", "tanh"}, default="auto"
        With "identity", data are centred and divided by the root of their mean variance. With "tanh", for images, they
        are brought from their range to −1 to 1, and no sample leaves the range. "auto" is "tanh" for "dcgan", else
        "identity". A class of your own applies it itself.
    generator_params : dict, default=None
        Further arguments of the network, such as ``{"n_channels": 32}`` for "dcgan".
    cost : {"sqeuclidean", "euclidean", "cityblock"} or float, default="sqeuclidean"
        The cost c of transport; a number p is :math:`\|x - y\|^p`.
    tol : float, default=0.2
        Where OTS stops: root mean square of the relative errors of the masses of the cells. The errors of one round
        are not those of the next.
    max_samples : int or None, default=500000
        Samples of the generator at most that one OTS uses, which bounds its time. None is enough for ``tol``.
    n_fit_samples : int, default=50000
        Rows of noise that are drawn and assigned in each round; FIT runs through all of them in mini-batches.
    n_fit_steps : int, default=4000
        Gradient steps of FIT in each round, whatever ``n_fit_samples``.
    rebalance : float, default=0
        With more noise assigned to one point than to another, FIT follows the first more. This weighs noise by
        (weight of its point / share of the noise assigned to it) to the power of ``rebalance``: 1 is full balance
        of the points that got any noise.
    learning_rate : float, default=4e-3
        Step size of Adam as the first round begins. It falls to 0 in each round; that at the beginning of round r is
        divided by √r.
    batch_size : int, default=256
        Rows in a step.
    max_iter : int, default=5
        Number of rounds.
    warm_start : bool, default=False
        Whether another call of ``fit`` adds ``max_iter`` rounds to those there have been, also in an estimator that
        was pickled. With the same rows and parameters the result is that of one longer fit, bit for bit; with other
        rows or another cost the potential starts anew, the units of the data stay.
    device : str or torch.device, default="auto"
        Where to train: "auto" (CUDA where there is one, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net, for which an epoch is a round; they are cloned.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, noise and batches. None is a fresh seed each time; the global states of numpy and torch
        are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar over the rounds.

    Attributes
    ----------
    wasserstein_distance_ : float
        Distance of the law of the generator from the training points, in the units of ``X``: the last in ``history_``.
    n_iter_ : int
        Rounds; with ``warm_start``, in all fits.
    history_ : list of dict
        One row for the start and one for each round: ``n_iter``, its number; ``dur``, its seconds; ``distance``, the
        Wasserstein distance of order p (2 for the squared cost) between the law of the generator and the points after
        the round, from ``n_fit_samples`` fresh samples; ``mass_error``, the error of the masses of the cells it was
        computed with; ``n_empty``, cells without any mass seen; and ``train_loss``, what the regression of the round
        has left in the end, the mean squared distance in units in which the data are of size 1.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the generator, ``net_.potential_`` the potential.
    coordinates_ : UnitCoordinates
        The units in which the net works.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if the data were given as a DataFrame.

    Notes
    -----
    Equal rows are one point with their weights together. No matrix of all samples by all points is ever made.

    Interrupted from the keyboard, ``fit`` keeps what the last whole round left, with a warning.

    References
    ----------
    .. [Chen19] Y. Chen, M. Telgarsky, C. Zhang, B. Bailey, D. Hsu, J. Peng, "A gradual, semi-discrete approach to
       generative network training via explicit Wasserstein minimization", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import SemiDiscreteOTGenerator
    >>> X = np.random.RandomState(0).choice([10.0, 20.0], (100, 1))
    >>> generator = SemiDiscreteOTGenerator(
    ...     hidden_layer_sizes=(32,), n_fit_samples=500, n_fit_steps=200, max_iter=1, random_state=0
    ... ).fit(X)
    >>> samples = generator.sample(1000, random_state=0)
    >>> bool(abs((samples > 15).mean() - (X > 15).mean()) < 0.1)
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        **NeuralGenerator._parameter_constraints,
        "cost": [StrOptions(COSTS.keys()), Interval(Real, 1, None, closed="left"), Cost],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_samples": [Interval(Integral, 1, None, closed="left"), None],
        "n_fit_samples": [Interval(Integral, 1, None, closed="left")],
        "n_fit_steps": [Interval(Integral, 1, None, closed="left")],
        "rebalance": [Interval(Real, 0, 1, closed="both")],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        generator="mlp",
        *,
        latent_dim="auto",
        hidden_layer_sizes=(128, 128, 128),
        activation="relu",
        output_activation="auto",
        generator_params=None,
        cost="sqeuclidean",
        tol=0.2,
        max_samples=500_000,
        n_fit_samples=50_000,
        n_fit_steps=4000,
        rebalance=0.0,
        learning_rate=4e-3,
        batch_size=256,
        max_iter=5,
        warm_start=False,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.generator = generator
        self.latent_dim = latent_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.output_activation = output_activation
        self.generator_params = generator_params
        self.cost = cost
        self.tol = tol
        self.max_samples = max_samples
        self.n_fit_samples = n_fit_samples
        self.n_fit_steps = n_fit_steps
        self.rebalance = rebalance
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.device = device
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Train the generator on the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored; it is here for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more. Equal weights if None.

        Returns
        -------
        self : object
            The fitted generator.

        Raises
        ------
        ValueError
            If the rows or a parameter are unusable; the estimator is then left as it was.
        DivergenceError
            If training makes numbers that are not finite.
        """
        return self._fit_rows(X, sample_weight)

    def _fit(self, X, sample_weight, rng):
        device = resolve_device(self.device)
        architecture = self._architecture(X.shape[1])
        # Which of equal rows a sample goes to would be arbitrary.
        points, index = np.unique(X, axis=0, return_inverse=True)
        weights = np.bincount(index.ravel(), sample_weight, minlength=len(points))
        weights = weights / weights.sum()
        previous = self._net_to_resume(architecture)
        if previous is None:
            self._balance(points, weights)
        points = torch.as_tensor(self.coordinates_.to_coordinates(points), dtype=torch.float32, device=device)
        dataset = AssignedNoise(points, torch.as_tensor(weights, device=device))
        seed = rng.randint(2**31) if previous is None else previous.seed
        with torch_seed(seed, device):
            net = self._build_net(device, seed=seed, **architecture)
            if previous is not None:
                net.resume(previous)
            net.partial_fit(dataset)
        if net.interrupted_:
            warn_user(
                f"Training was interrupted after {net.n_fitted_} of {net.max_iter} rounds; the generator is what the "
                "last whole round left.",
            )
        self.net_, self.n_iter_ = net, net.n_iter_
        self.history_ = [{key: row[key] for key in HISTORY_KEYS if key in row} for row in net.history]
        for row in self.history_:
            row["distance"] *= self.coordinates_.scale
        self.wasserstein_distance_ = self.history_[-1]["distance"]

    def _build_net(self, device, module, *, seed, **architecture):
        return SemiDiscreteNet(
            criterion=assigned_regression,
            cost=self.cost,
            tol=self.tol,
            max_samples=self.max_samples,
            n_fit_samples=self.n_fit_samples,
            n_fit_steps=self.n_fit_steps,
            rebalance=self.rebalance,
            seed=seed,
            remedy=f"Lower learning_rate (now {self.learning_rate:g}).",
            unit=self.coordinates_.scale,
            **self._net_parameters(device, module, architecture),
        ).initialize()

    def _architecture_of(self, net):
        return {"seed": net.seed, **super()._architecture_of(net)}

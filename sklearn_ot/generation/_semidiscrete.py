"""SemiDiscreteOTGenerator: a generator trained by explicit transport instead of a critic."""

from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral, Real
from typing import ClassVar

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import documented, sections, validated
from sklearn_ot.certificates import Certificate, check_certificate
from sklearn_ot.generation._correction import N_CORRECTION_ROWS
from sklearn_ot.generation._neural import NeuralGenerator
from sklearn_ot.nets import AssignedNoise, SemiDiscreteNet, torch_seed, training_device
from sklearn_ot.objectives.semidiscrete import assigned_regression
from sklearn_ot.solvers.costs import COSTS, Cost
from sklearn_ot.solvers.sources import even_noise
from sklearn_ot.transport import SemiDiscreteTransport


@documented(**sections(NeuralGenerator))
@dataclass(eq=False, repr=False)
class SemiDiscreteOTGenerator(NeuralGenerator):
    r"""A generator trained by explicit optimal transport, without a critic.

    This is the method of [Chen19]_. Each round has two parts. *FIT* regresses the generator g on the training points
    that are assigned to its noise,

    .. math:: \min_g\ E_z \|g(z) - T(g_0(z))\|^2 ,

    where :math:`g_0` is the generator of the previous round. *OTS* then computes the optimal transport T from the
    distribution of g(z) to the N training points. T is semi-discrete: it sends x to the point of its cell,

    .. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i c(x, y_i) - \psi_i .

    The potential ψ maximises :math:`E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i`, a concave problem
    (`sklearn_ot.solvers.semidiscrete`), which makes the mass of each cell equal to the weight of its point. So training
    needs no balance between two networks, and its curve *is* the Wasserstein distance.

    A regression gives a mean of points, so samples of g vary less than the points, in some directions more than in
    others. After the training, samples are therefore corrected by the Gaussian map from samples of g to the points, in
    ``coordinates_``, so that their mean and their covariance are those of the points. Both are cut off at three
    deviations of each column for this map, and a number beyond them is moved as far as one at three deviations. Bounded
    samples, those of "tanh", are not corrected.

    Training works in units in which the data are of size 1; samples have the units of ``X``.

    Parameters
    ----------
    <parameters>
    cost : {"sqeuclidean", "euclidean", "cityblock"}, float or Cost, default="sqeuclidean"
        The cost c of transport; a number p is :math:`\|x - y\|^p`.
    tol : float, default=0.2
        Relative error of the masses of the cells, as a root mean square, at which OTS stops. The errors of different
        rounds are independent.
    max_samples : int or None, default=500000
        Largest number of samples of the generator in one OTS, which limits its time. With None it is
        :math:`2^{20} + 8 N / \mathrm{tol}^2`. With less than 10 N the test of the masses takes less time as well, and
        counts no empty cells.
    n_fit_samples : int, default=50000
        Rows of noise that are drawn and assigned in each round; FIT runs through all of them in mini-batches.
    n_fit_steps : int, default=4000
        Gradient steps of FIT in each round, for any ``n_fit_samples``.
    rebalance : float, default=0
        If a point gets more than its share of the noise, it has more weight in FIT. To correct this, noise gets the
        weight (weight of its point / share of the noise assigned to the point) to the power of ``rebalance``. With 1
        all points that get noise have their weights.
    learning_rate : float, default=4e-3
        Step size of Adam at the start of the first round. The step size falls to 0 in each round, and is divided by √r
        at the start of round r.
    batch_size : int, default=256
        Rows in a step.
    max_iter : int, default=5
        Number of rounds.
    warm_start : bool, default=False
        Whether another call of ``fit`` adds ``max_iter`` rounds to the previous ones, also after a pickle. With the
        same rows and parameters the result is that of one longer fit, bit for bit. With other rows or another cost the
        potential is computed anew. ``coordinates_`` do not change; rows in other units raise a warning.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net, or pairs (name, callback), for which an epoch is a round; they are cloned.

    Attributes
    ----------
    wasserstein_distance_ : float
        Distance between the distribution of g, without the correction, and the training points: the last one of
        ``history_``. It is in the units of ``X`` if all columns have one scale, see ``scaling``, else in
        ``coordinates_``.
    n_iter_ : int
        Number of rounds; with ``warm_start``, in all fits.
    history_ : list of dict
        One row for the start and one for each round: ``n_iter``, its number; ``dur``, its seconds; ``distance``, the
        Wasserstein distance of order p (2 for the squared cost) between the distribution of the generator and the
        points after the round, from ``n_fit_samples`` fresh samples; ``mass_error``, the error of the masses of the
        cells; ``n_empty``, the number of cells without any sample; and ``train_loss``, the mean squared distance
        between samples and their points at the end of the regression, in units in which the data are of size 1.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the generator g, ``net_.potential_`` the potential.
    correction_ : object
        The correction of samples of g, in ``coordinates_``: its method ``apply`` maps rows to rows. None for "tanh".
    <attributes>

    Notes
    -----
    Equal rows are one point with the sum of their weights. The matrix of all samples and points is never computed.

    If ``fit`` is interrupted from the keyboard, it keeps the result of the last whole round and raises a warning.

    References
    ----------
    .. [Chen19] Y. Chen, M. Telgarsky, C. Zhang, B. Bailey, D. Hsu, J. Peng, "A gradual, semi-discrete approach to
       generative network training via explicit Wasserstein minimization", ICML 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import SemiDiscreteOTGenerator
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).choice([10.0, 20.0], (100, 1))
    >>> generator = SemiDiscreteOTGenerator(
    ...     Dense((32,)), n_fit_samples=500, n_fit_steps=200, max_iter=1, random_state=0
    ... ).fit(X)
    >>> samples = generator.sample(1000, random_state=0)
    >>> bool(abs((samples > 15).mean() - (X > 15).mean()) < 0.1)
    True
    """

    generator: object = None
    _: KW_ONLY
    cost: str | float | Cost = "sqeuclidean"
    tol: float = 0.2
    max_samples: int | None = 500_000
    n_fit_samples: int = 50_000
    n_fit_steps: int = 4000
    rebalance: float = 0.0
    learning_rate: float = 4e-3
    batch_size: int = 256
    max_iter: int = 5

    _parameter_constraints: ClassVar[dict] = {
        **NeuralGenerator._parameter_constraints,
        "cost": [StrOptions(COSTS.keys()), Interval(Real, 1, None, closed="left"), Cost],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_samples": [Interval(Integral, 1, None, closed="left"), None],
        "n_fit_samples": [Interval(Integral, 1, None, closed="left")],
        "n_fit_steps": [Interval(Integral, 1, None, closed="left")],
        "rebalance": [Interval(Real, 0, 1, closed="both")],
    }

    def _fit(self, sample, rng):
        device = training_device(self.device)
        architecture = self._architecture(self.coordinates_.n_axes)
        # Equal points are merged, because their cells would not be unique.
        sample = sample.merged()
        previous = self._net_to_resume(architecture)
        points = torch.as_tensor(self.coordinates_.to_coordinates(sample.rows), dtype=torch.float32, device=device)
        dataset = AssignedNoise(points, torch.as_tensor(sample.mass, device=device))
        seed = rng.randint(2**31) if previous is None else previous.seed
        with torch_seed(seed, device):
            net = self._build_net(device, seed=seed, **architecture)
            if previous is not None:
                net.resume(previous)
            self._check_shapes(net, self.coordinates_.n_axes)
            net.partial_fit(dataset)
        self._store(net, ("n_iter", "dur", "distance", "mass_error", "n_empty", "train_loss"))
        for row in self.history_:
            row["distance"] *= self.coordinates_.unit
        self.wasserstein_distance_ = self.history_[-1]["distance"]
        latent_dim = net.get_params_for("module")["latent_dim"]
        noise = even_noise(1, N_CORRECTION_ROWS, latent_dim, generator=torch.Generator().manual_seed(0))[0]
        self.correction_ = self._find_correction(noise, sample)

    def certificate(self, X, *, confidence=0.95, sample_weight=None, random_state=None) -> Certificate:
        """Bounds of the distance between the distribution of samples and rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, which are the target itself and not a sample of it: those of ``fit``, or others.
        confidence : float, default=0.95
            The probability that both bounds are true, asymptotically.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None.
        random_state : int, RandomState instance or None, default=None
            Draws the samples.

        Returns
        -------
        certificate : Certificate
            The statement "distance", in the units of the data and without a factor ½; see
            `sklearn_ot.transport.SemiDiscreteTransport`, which computes it from fresh samples.
        """
        check_is_fitted(self)
        check_certificate(confidence, plan_size=4)
        X = validated(self, X)
        transport = SemiDiscreteTransport(self, cost=self.cost, confidence=confidence, random_state=random_state)
        certificate = transport.fit(X, sample_weight=sample_weight).certificate()
        return replace(certificate, title=f"Samples of {type(self).__name__} and {len(X)} rows")

    def _build_net(self, device, *, seed, **architecture):
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
            unit=self.coordinates_.unit,
            **self._net_parameters(device),
            **architecture,
        ).initialize()

    def _net_state(self, net):
        state = super()._net_state(net)
        state["architecture"]["seed"] = net.seed
        return state

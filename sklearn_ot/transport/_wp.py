"""WpTransport: the optimal map of a power of the distance between two samples."""

from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import documented, sections, validated
from sklearn_ot.certificates import Certificate, certify_power, check_certificate, warn_seen
from sklearn_ot.nn import CostPair
from sklearn_ot.objectives.dual import gain_exceeds_error
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.coordinates import BalancedCoordinates, mean_square
from sklearn_ot.solvers.cost_potentials import CostPotentials
from sklearn_ot.solvers.costs import EuclideanPower
from sklearn_ot.solvers.gap import Side
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.metric import StepMetric
from sklearn_ot.solvers.newton import FEW_FEATURES
from sklearn_ot.solvers.potentials import FrozenModule, Potentials, on_arrays
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport._convex import ConvexTransport
from sklearn_ot.transport._neural import MIN_REFERENCE_ROWS, NeuralTransport
from sklearn_ot.transport._start import balanced_start
from sklearn_ot.transport._w2 import convex_networks, dual_stage

SOLVER = "dual"
# Factor of the step size for powers above 4 and more than 4 features. The gradients of long steps are then far
# larger than those of short ones.
STEEP_POWER, STEEP_FACTOR = 4, 0.4


@documented(**sections(NeuralTransport))
@dataclass(eq=False, repr=False)
class WpTransport(ConvexTransport, NeuralTransport):
    r"""The optimal map of a power of the distance between two samples, and its inverse, by a convex network.

    The cost is :math:`h(x - y) = \|x - y\|^p`, without a factor 1/p. The map is determined by a Kantorovich potential
    [Gangbo96]_, and the potential is the solution of the dual problem:

    .. math::
        T(x) = x - (\nabla h)^{-1}(\nabla f(x)), \qquad
        W_p^p(P, Q) = \max_f E_P\, f(x) + E_Q\, g(y), \quad g(y) = \min_x \|x - y\|^p - f(x) .

    The method is that of `W2Transport` with ``solver="dual"``, in coordinates that make the cost nearly a square. Near
    the steps of an affine map the cost is a quadratic function of the step plus a rest, see
    `sklearn_ot.solvers.metric.StepMetric`. In the coordinates in which the quadratic part is the squared distance, the
    affine map is the Gaussian map, at which training starts, and the rest is part of the search for each minimum in
    the dual, see `sklearn_ot.nn.CostPair`. For p = 2 there is no rest.

    The network is the potential of the sample that spreads less, where its convexity is no constraint. The map of this
    sample is in closed form, and the map of the other one is its inverse, by a search for each row.

    Parameters
    ----------
    p : float, default=3.0
        The power of the distance, above 1 and at most 8. Powers below 2 prefer a few long steps, those above 2 many
        short ones.
    network : specification or nn.Module class, default=None
        The convex network of the potential, with the same default as in `W2Transport`.
    conjugate_tol : float, default=1e-4
        Residual at which the searches end, see `W2Transport`.
    learning_rate : float or "auto", default="auto"
        Step size of Adam. "auto" is that of the solver "dual" of `W2Transport`, and 0.4 times as large for p > 4
        with more than 4 features.
    <parameters>

    Attributes
    ----------
    distance_ : float
        Wasserstein-p distance, :math:`(E\|x - T(x)\|^p)^{1/p}` for the optimal T, in the units of the data. It is
        estimated by the dual value, so its error is of the order of the squared error of the map.
    metric_ : StepMetric
        The quadratic part of the cost, and the order of the samples: ``metric_.is_reversed`` says whether the network
        is the potential of the target. ``coordinates_`` begin where this metric ends.
    is_start_ : bool
        Whether the map is that of the start, because the gain of the best weights over it on held-out rows was less
        than the standard error of this gain. Without ``early_stopping`` it is False.
    n_iter_ : int
        Number of gradient steps.
    history_ : list of dict
        One row for each block of 100 steps: ``stage``, always "dual"; ``n_iter``; ``dur``, in seconds; ``train_loss``,
        the objective; and ``valid_loss``, minus the dual value on held-out rows, for each feature and up to a constant.
        The row of an interrupted block has no ``dur`` and no ``train_loss``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is a `sklearn_ot.nn.CostPair`.
    <attributes>

    See Also
    --------
    W2Transport : The map of the squared cost, with a certificate of its error.
    W1Transport : The map of the distance itself.
    SemiDiscreteTransport : Maps of any power to weighted points.

    Notes
    -----
    Shifts and a common unit of all columns have no effect on the map. The units of single columns have one:
    standardise columns that are not comparable.

    In directions in which the standard deviation of one of the samples is at most a hundredth of the mean one, such as
    those of constant columns, the map is the affine one. The cost counts the mean step in these directions, and not
    how the steps vary there.

    For p ≠ 2 the searches have no unique local minimum. They start near it, at the guess of a second network.

    References
    ----------
    .. [Gangbo96] W. Gangbo and R. J. McCann, "The geometry of optimal transportation", Acta Mathematica, 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.networks import Convex
    >>> from sklearn_ot.transport import WpTransport
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(5000, 1), np.sinh(rng.randn(5000, 1))
    >>> transport = WpTransport(1.5, network=Convex((32, 32)), random_state=0).fit(Xs, Xt)
    >>> bool(abs(transport.transform([[1.0]]).item() - np.sinh(1)) < 0.1)
    True
    """

    p: float = 3.0
    _: KW_ONLY
    conjugate_tol: float = 1e-4
    learning_rate: float | str = "auto"
    max_iter: int = 10_000
    n_iter_no_change: int = 6

    MODULE: ClassVar[type] = CostPair
    _parameter_constraints: ClassVar[dict] = {
        **NeuralTransport._parameter_constraints,
        "p": [Interval(Real, 1, 8, closed="right")],
        "conjugate_tol": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    }

    @property
    def potentials_(self):
        """The fitted map as a frozen value, see `sklearn_ot.solvers.cost_potentials`."""
        check_is_fitted(self)
        module = FrozenModule(self.net_.module_)
        return CostPotentials(Potentials(self.coordinates_, module, conjugate_tol=self.conjugate_tol), self.metric_)

    def _fit(self, source, target, rng):
        if hasattr(self.network, "image_shape"):
            raise ValueError(
                f"network={self.network!r}: WpTransport has no networks of pictures, because its coordinates mix their "
                "places. Give Convex(...), or use W2Transport."
            )
        if target is None:
            n_rows = max(len(source.merged().rows), MIN_REFERENCE_ROWS)
            target = Sample.of(rng.standard_normal((n_rows, source.rows.shape[1])))
        source, target = (sample._replace(rows=sample.rows.astype(np.float64)).merged() for sample in (source, target))
        balanced_start(self, source, target, (source, target))  # for its warnings
        self.metric_ = metric = StepMetric.between(source, target, float(self.p), self.shrinkage, rng)
        sides = (sample._replace(rows=metric.to_coordinates(sample.rows)) for sample in (source, target))
        super()._fit(*metric.ordered(*sides), rng)

    def _start(self, source, target, samples):
        """The same without warnings of single columns, which the coordinates of the metric are not."""
        coordinates = BalancedCoordinates.balance(sample_gaussian_map(source, target, self.shrinkage))
        (X, x_weight, _), (Y, y_weight, _) = samples
        return coordinates.focus(X, Y, x_weight, y_weight)

    def _split(self, samples, rng, device):
        rows = self.coordinates_.within(self.coordinates_.of_source(samples[0].rows))
        self._geometry = self.metric_.geometry(self.coordinates_, np.linalg.norm(rows, axis=1).max())
        return super()._split(samples, rng, device)

    def _architecture(self, n_features):
        networks = convex_networks(self.network, SOLVER, n_features, self._n_rows)
        return {**networks, "cost": EuclideanPower(float(self.p)), "geometry": self._geometry}

    def _stages(self):
        is_steep = self.p > STEEP_POWER and self.coordinates_.n_axes > FEW_FEATURES
        return [dual_stage(self, SOLVER, factor=STEEP_FACTOR if is_steep else 1.0)]

    def _conclude(self, samples, valid, *, resumed):
        """Keep the start if the networks are not better than it, and estimate the distance."""
        net = self.net_
        del self._geometry
        start = self._build_net(torch.device(net.device), **net.get_params_for("module")).module_
        self.is_start_ = self.early_stopping and not net.processes.first(
            gain_exceeds_error(net.module_, *valid.whole(), start=start)
        )
        if self.is_start_:
            net.module_.load_state_dict(start.state_dict())
            net.best_loss_ = net.start_loss_
        self.distance_ = self._distance(samples)

    def _distance(self, samples):
        """The distance by the dual value: that of quadratic potentials on all rows, plus the gain over them."""
        coordinates, pair = self.coordinates_, FrozenModule(self.net_.module_).of(np.float64)
        value = -coordinates.n_axes * self.net_.best_loss_
        to_coordinates, parts = (coordinates.of_source, coordinates.of_target), (pair.source_part, pair.target_part)
        for sample, of_rows, part in zip(samples, to_coordinates, parts, strict=True):
            rows = coordinates.within(of_rows(sample.rows))
            values = in_chunks(on_arrays(pair, part), rows)
            value += np.average(values, weights=sample.weight) - mean_square(rows, weight=sample.weight) / 2
        return self.metric_.unit * max(0.0, value / float(pair.unit)) ** (1 / self.p)

    def dual_value(self, X, X_target, *, sample_weight=None, target_weight=None):
        r"""The value of the potentials f and g in the dual problem on two samples.

        .. math:: E f(x) + E\, g(y) \;\le\; W_p^p, \qquad f(x) + g(y) \le \|x - y\|^p

        On rows that were not in ``fit`` it compares maps, networks and parameters without the true map: higher is
        better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        X_target : array-like of shape (n_target_samples, n_features)
            Target rows.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both samples, 0 or more; all equal if None.

        Returns
        -------
        value : float
            The value, in units of the cost. It is a lower bound of :math:`W_p^p` between the two samples if all
            searches end at a global minimum, see ``conjugate_tol``. They are not convex for p ≠ 2, so this is likely
            and not certain.
        """
        check_is_fitted(self)
        return self.potentials_.dual_value(*self._both_samples(X, X_target, sample_weight, target_weight))

    def certificate(
        self, X, X_target, *, confidence=0.95, plan_size=2000, sample_weight=None, target_weight=None
    ) -> Certificate:
        r"""Estimates and upper bounds of the distance, from rows that ``fit`` has not seen.

        The cost of a plan between rows is too large on average, see `sklearn_ot.solvers.gap.cost_bounds`. There is no
        lower bound and no bound of the error of the map: for p ≠ 2 the searches for the second potential are not
        convex, and no theorem bounds the error by the excess of the dual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Independent source rows that ``fit`` has not seen. On its own rows a map seems better than it is.
        X_target : array-like of shape (n_target_samples, n_features)
            Independent target rows that ``fit`` has not seen.
        confidence : float, default=0.95
            The probability that both bounds are true at once (asymptotic).
        plan_size : int, default=2000
            Largest number of rows of each sample in a plan, whose costs are all in memory.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both samples, 0 or more; all equal if None.

        Returns
        -------
        certificate : Certificate
            A mapping from names to statements, which is printed as a table. All numbers have the units of the data.

            - "distance": :math:`W_p(P, Q)`, with the estimate of the dual, and an upper bound.
            - "image_distance": :math:`W_p(T\#P, Q)`, with the cost of a plan between images and target rows.
            - "spread": the standard deviation of Q over all features.
        """
        check_is_fitted(self)
        check_certificate(confidence, plan_size)
        X, Y, weight, target_weight = self._both_samples(X, X_target, sample_weight, target_weight)
        sides = Side.of(X, weight), Side.of(Y, target_weight)
        warn_seen(sides[1].rows, self.target_reference_, "X_target")
        return certify_power(type(self).__name__, self.potentials_, *sides, confidence, plan_size)

    def potential(self, X):
        r"""The Kantorovich potential f of the source.

        .. math:: T(x) = x - (\nabla h)^{-1}(\nabla f(x)), \qquad h(z) = \|z\|^p

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.

        Returns
        -------
        potential : ndarray of shape (n_samples,)
            Values of f, up to a constant, in units of the cost, without a factor 1/p, in the dtype of ``X`` if it is a
            float dtype, else float64.
        """
        check_is_fitted(self)
        return self.potentials_.potential(validated(self, X))

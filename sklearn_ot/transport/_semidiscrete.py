"""SemiDiscreteTransport: the optimal map from a source that can be sampled to finitely many points."""

import math
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import (
    CHECKPOINT,
    MAX_REFERENCE_ROWS,
    BaseTransport,
    documented,
    draw_reference,
    random_source,
    validated,
    warn_user,
)
from sklearn_ot.certificates import Certificate, certify_cost, check_certificate, cost_certificate
from sklearn_ot.checkpoints import begin_part
from sklearn_ot.checks import check_n_samples, check_weight
from sklearn_ot.nets import progress_bar, resolve_device, torch_seed
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.costs import COSTS, Cost, read_cost
from sklearn_ot.solvers.gap import Side
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.semidiscrete import (
    Cells,
    CellsMap,
    assignment_cost,
    assignment_gap,
    default_max_samples,
    primal_dual_interval,
    semidiscrete_dual,
)
from sklearn_ot.solvers.sources import SOURCES, Source, rows, source_of
from sklearn_ot.solvers.tensors import to_tensor

# Number of rows for the estimate of ``gap_``.
GAP_ROWS = 1024
# Largest number of rows in a plan that holds all pairs in memory.
MAX_DENSE_ROWS = 2000
# The largest cost, with room for sums of many, is the inverse of the smallest.
MAX_COST = 1e300
# A source that is an object has one of these methods.
SAMPLERS = "sample", "rvs"
# Largest number of source rows if the source is a sample: this number, plus 100 draws of each row. More draws of the
# same rows have little new information.
MIN_ROWS, MAX_VISITS = 2**17, 100
# Smallest tolerance if the source is a sample, in units of the error of masses that are counted on so many independent
# rows. The masses of the distribution of the sample are unknown up to this error, so that a half of it is enough.
SAMPLE_ERROR = 0.5


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class SemiDiscreteTransport(BaseTransport):
    r"""The optimal map from a source that can be sampled to finitely many weighted points.

    The map sends each x to the point of its cell. The potential ψ makes the mass of each cell equal to the weight of
    its point:

    .. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i c(x, y_i) - \psi_i, \qquad P(i(x) = i) = \nu_i

    For the squared cost the cells are convex polyhedra (Laguerre or power cells). ψ maximises
    :math:`E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i`, a concave problem without local optima, networks or
    regularisation [Genevay16]_, [Kitagawa19]_.

    Parameters
    ----------
    source : {"normal", "uniform"}, callable, array-like, object that can be sampled, Source or None, default=None
        The source. If None, it is the sample given to ``fit``, as in every transport, whose rows are drawn with
        replacement. Otherwise ``fit`` takes only the target points:

        * "normal" is N(0, I), "uniform" the uniform distribution on the unit cube;
        * a callable takes a number n and a `numpy.random.Generator` and returns n rows;
        * rows of an array, a list of rows, a tensor or a DataFrame are drawn with replacement;
        * an object with a method ``sample(n, random_state=...)`` is sampled by it, such as a fitted generator or a
          `sklearn.neighbors.KernelDensity`; so is a fitted `sklearn.mixture.GaussianMixture`, whose own
          ``random_state`` is replaced in a copy. (`sklearn.base.clone` makes an estimator unfitted: wrap it in
          `sklearn.frozen.FrozenEstimator` for a search.)
        * a frozen distribution of `scipy.stats` is sampled by ``rvs``, a distribution like `scipy.stats.Normal` by
          ``sample(shape, rng=...)``, and a `scipy.stats.gaussian_kde` by ``resample``;
        * the rows of a `sklearn_ot.solvers.sources.Source` are converted to the dtype of the points. Its sequence of
          quasi-random rows goes on from fit to fit, and so does its generator of independent rows, if it has one. Fits
          with equal ``random_state`` are therefore equal only with a new `Source` for each.
    cost : {"sqeuclidean", "euclidean", "cityblock"}, float or Cost, default="sqeuclidean"
        The cost c(x, y). A number p, 1 or more, is :math:`|x - y|^p` with the Euclidean norm. See
        `sklearn_ot.solvers.costs` for your own cost.
    tol : float, default=0.05
        The fit ends when the error of the masses, the root mean square of :math:`P(\text{cell}_i) / \nu_i - 1` on
        fresh rows, is at most ``tol``. If the source is a sample of n rows, it determines the masses of N points only
        up to an error of :math:`\frac12 \sqrt{N / n}`, and the fit ends there.
    max_samples : int, default=None
        Number of source rows after which the fit ends; see ``mass_error_floor_`` for the error that they allow. The
        first phase, of some ten thousand rows, and a pool of Newton's method are always finished. If None,
        :math:`2^{20} + 8 N / \mathrm{tol}^2`.
    smoothing : float, default=0
        With 0 the images are the points. With a positive number they are barycentres of the points, with weights that
        are a softmax of :math:`\psi_i - c(x, y_i)` at a temperature of ``smoothing`` times ``gap_``; 1 mixes
        neighbouring points.
    confidence : float or None, default=0.95
        Confidence level of ``distance_interval_``. With None the interval is not computed, which saves up to a minute
        with very many points.
    warm_start : bool, default=False
        Whether ``fit`` starts at the potential of the last fit, if the number of points is the same.
    n_jobs : int, default=None
        Number of workers that count the masses, through joblib on the backend that is active: processes on this
        computer, or the workers of a cluster, see `joblib.parallel_config`. -1 is one worker for each processor. A
        worker uses one thread, as does the rest of the fit, and the number of workers changes no bit of the result.
        With None the fit runs in this process with torch's threads, unless `joblib.parallel_config` sets a number above
        1. Workers save time if there are many points with many features, from some million numbers on.
    device : {"auto", "cpu", "cuda", ...} or torch.device, default="auto"
        Device of the computation. "auto" is CUDA if there is a device and ``n_jobs`` is None, else the CPU.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Draws the source rows.
    verbose : int, default=0
        Whether to show a progress bar over the source rows. The fit ends before the last one if the error of the masses
        is at most ``tol``.

    Attributes
    ----------
    points_ : ndarray of shape (n_points, n_features_in_)
        The target points in the order in which they first appear, each of them once, without points of weight 0.
    target_weight_ : ndarray of shape (n_points,)
        Weights of the points, with sum 1.
    potential_ : ndarray of shape (n_points,)
        The potential ψ, in units of the cost, with a weighted mean of 0.
    distance_ : float
        Estimate of the Wasserstein-p distance: the p-th root of the dual value on fresh rows, in the units of the data
        and without a factor ½. p is 2 for "sqeuclidean" and 1 for "euclidean" and "cityblock".
    distance_interval_ : ndarray of shape (2,) or None
        A confidence interval for the true distance, from a lower and an upper bound of it. An inaccurate potential
        makes the interval wide, but not wrong; see `sklearn_ot.solvers.semidiscrete.primal_dual_interval`.
    mass_error_ : float
        The error of the masses, as in ``tol``, estimated from fresh rows; 0 if the unbiased estimate of its square is
        negative. Very light points are left out of it and of the next two numbers: those whose test would need more
        than a million rows, and more than eight times as many as with equal weights.
    mass_error_floor_ : float
        :math:`\sqrt{N / n}`, the error of masses that are counted on n = ``n_samples_`` independent rows. With unequal
        weights N is the mean of :math:`1 / \nu_i`. Quantiles, quasi-random rows and kernel estimates can have a smaller
        error.
    empty_cells_ : int
        Number of points to which no fresh row was sent, although at least 10 were expected.
    n_samples_ : int
        Number of source rows in the fit.
    gap_ : float
        Mean additional cost if each source row is sent to its second best point, the unit of ``smoothing``.
    source_reference_ : ndarray of shape (<= 4096, n_features_in_) or None
        With ``source=None``, the rows of the source sample that `sample` transports: all of them, or 4096 that are
        drawn with their weights. None otherwise.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.

    See Also
    --------
    W2Transport : A smooth map, with an inverse, between two samples.
    sklearn_ot.plotting.CellsDisplay : Display of the cells in the plane.

    Notes
    -----
    With one feature the potential is exact, from quantiles. In two and three dimensions Newton's method on quasi-random
    rows of "normal" and "uniform" has a far smaller error than counts of independent rows. In more dimensions, averaged
    stochastic steps reach the error of counts. If the data are multiplied by a number, only the units change.

    The fit can end with a warning for powers p of about 5 or more, for points with two very different scales or very
    heavy tails, and for points in a subspace of fewer dimensions.

    Equal points are one point with the sum of their weights. A weight k of a source row or a point has the effect of k
    equal ones, and the order of both samples has none.

    The masses can stay wrong with "cityblock", and with "euclidean" for one feature. The costs to two points then
    differ by the same number on a set of rows, which no potential divides between the points. The distance is not
    affected.

    References
    ----------
    .. [Genevay16] A. Genevay, M. Cuturi, G. Peyré and F. Bach, "Stochastic optimization for large-scale optimal
       transport", NeurIPS 2016.
    .. [Kitagawa19] J. Kitagawa, Q. Mérigot and B. Thibert, "Convergence of a Newton algorithm for semi-discrete
       optimal transport", Journal of the European Mathematical Society, 2019.

    Examples
    --------
    From N(0, 1) to three points with one feature. Each cell has a third of the mass, so the cells end at ±0.43.

    >>> import numpy as np
    >>> from sklearn_ot.transport import SemiDiscreteTransport
    >>> transport = SemiDiscreteTransport("normal", random_state=0).fit([[-1.0], [0.0], [5.0]])
    >>> transport.transform([[-0.44], [-0.42], [0.42], [0.44]]).ravel()
    array([-1.,  0.,  0.,  5.])
    >>> transport.empty_cells_
    0
    """

    source: Any = None
    _: KW_ONLY
    cost: str | float | Cost = "sqeuclidean"
    tol: float = 0.05
    max_samples: int | None = None
    smoothing: float = 0.0
    confidence: float | None = 0.95
    warm_start: bool = False
    n_jobs: int | None = None
    device: str | torch.device = "auto"
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    # An image is a point, wherever the row is.
    _extrapolates: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict] = {
        "source": [StrOptions(SOURCES.keys()), callable, "array-like", Source, *map(HasMethods, SAMPLERS), None],
        "cost": [StrOptions(COSTS.keys()), Interval(Real, 1, None, closed="left"), Cost],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_samples": [Interval(Integral, 1, None, closed="left"), None],
        "smoothing": [Interval(Real, 0, np.inf, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="neither"), None],
        "warm_start": ["boolean"],
        "n_jobs": [Integral, None],
        "device": [str, torch.device],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def fit(self, X, y=None, *, X_target=None, sample_weight=None, target_weight=None):
        """Compute the potential.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            With ``source=None`` the source sample, else the target points.
        y : array-like, default=None
            With ``source=None`` and two dimensions, the target points (the short form ``fit(Xs, Xt)``); else ignored.
        X_target : array-like of shape (n_points, n_features), default=None
            With ``source=None`` the target points. Without them the target is the standard normal, represented by as
            many rows of it as ``X`` has different ones (at most 4096).
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_points,), default=None
            Weights of the source sample and of the target points, 0 or more; all equal if None. Integers have the
            effect of as many equal rows. If a source is given, both names stand for the weights of the points.

        Returns
        -------
        self : object
            The fitted transport.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable; the estimator is then left as it was.
        """
        return super().fit(X, y, X_target=X_target, sample_weight=sample_weight, target_weight=target_weight)

    @property
    def _min_samples(self):
        return 2 if self.source is None else 1

    def _validate_target(self, X, y, X_target):
        if self.source is None:
            return super()._validate_target(X, y, X_target)
        if self._read_target(X, y, X_target) is not None:
            raise ValueError(
                f"With source={self.source!r} the target points are the first argument: fit(points). X_target "
                "and a 2-d y are for source=None, where the first argument is the source sample."
            )
        return X

    def _samples(self, X, target, sample_weight, target_weight):
        if self.source is None:
            return super()._samples(X, target, sample_weight, target_weight)
        if sample_weight is not None and target_weight is not None:
            raise ValueError("With a given source, sample_weight and target_weight are the same weights: give one.")
        points = Sample.of(X, sample_weight) if target_weight is None else Sample.of(X, target_weight, "target_weight")
        return points, points

    def _fit(self, source, target, rng):
        power = read_cost(self.cost).power
        for sample, name in ((target, "X_target"), (source, "X")) if self.source is None else ((target, "X"),):
            check_size(sample, power, name)
        source = source.merged()
        points = normal_points(source, rng) if target is None else target.merged()
        # The solver and the map get the points in the order of their values, so that nothing depends on the order of
        # the caller, which the attributes have.
        order = np.arange(len(points.rows)) if target is None else np.argsort(target.merged_index())
        self._place = np.argsort(order)
        start = getattr(self, "potential_", None) if self.warm_start else None
        start = None if start is None or len(start) != len(order) else start[self._place]
        self.points_, self.target_weight_ = points.rows[order], points.mass[order]
        tol, max_samples = self.tol, self.max_samples
        if self.source is None:
            tol = max(tol, SAMPLE_ERROR * math.sqrt(len(order) / source.size))
            most = MIN_ROWS + MAX_VISITS * math.ceil(source.size)
            max_samples = max_samples or min(default_max_samples(len(order), tol), most)
        device = resolve_device("cpu" if self.device == "auto" and self.n_jobs is not None else self.device)
        with torch_seed(rng.randint(2**31), device):
            x, weights = to_tensor(points.rows, device=device), to_tensor(points.mass, device=device)
            sampler = rows_of(source, device) if self.source is None else source_of(self.source, x, rng)
            start = None if start is None else to_tensor(start, device=device)
            solution = self._solve(sampler, x, weights, tol=tol, max_samples=max_samples, start=start)
        self.potential_ = solution.potential.cpu().numpy()[order]
        self._report(solution, tol)
        # A pickle of a map onto few points must not be as large as the data.
        self.source_reference_ = draw_reference(None, source, rng) if self.source is None else None

    def _solve(self, source, points, weights, *, tol, max_samples, start):
        """The solution, and the distance, with a progress bar over the source rows."""
        title, most = type(self).__name__, max_samples or default_max_samples(len(points), tol)
        with progress_bar(f"{title}, potential", most, "row", self.verbose) as bar:

            def show(potential, n_rows):
                # It returns nothing: the solver would end with True, which the bar may return.
                bar.update(n_rows - bar.n)

            options = {"cost": self.cost, "tol": tol, "max_samples": max_samples, "start": start}
            options |= {"n_jobs": self.n_jobs, "callback": show if self.verbose else None, "part": begin_part()}
            solution = semidiscrete_dual(source, points, weights, **options)
            bar.set_postfix(mass_error=f"{solution.mass_error:.2g}")
            bar.set_description(f"{title}, distance")
            self._measure(source, points, solution.potential, weights)
        return solution

    def _report(self, solution, tol):
        """Store the error of the masses, with a warning if it is larger than ``tol``."""
        self.mass_error_, self.mass_error_floor_ = solution.mass_error, solution.mass_error_floor
        self.empty_cells_, self.n_samples_ = solution.n_empty, solution.n_samples
        # A sample with few rows for each point cannot fill all cells.
        if not solution.converged and (self.source is not None or self.mass_error_ > tol):
            warn_user(
                f"The masses of the cells are off by {self.mass_error_:.2g} (root mean square, wanted: tol={tol:.2g}) "
                f"and {self.empty_cells_} of {len(self.points_)} cells are empty after {self.n_samples_} source rows. "
                "Raise max_samples or tol.",
                ConvergenceWarning,
            )

    def _measure(self, source, points, potential, weights):
        """The distance, its interval and the gap, on fresh rows."""
        self.gap_ = assignment_gap(source.sample(GAP_ROWS), points, potential, self.cost)
        options = {"n_batches": 0} if self.confidence is None else {"confidence": self.confidence}
        options |= {"cost": self.cost, "n_jobs": self.n_jobs}
        interval = primal_dual_interval(source, points, potential, weights, **options)
        root = 1 / read_cost(self.cost).power
        self.distance_ = max(interval.dual_value, 0.0) ** root
        self.distance_interval_ = None
        if self.confidence is not None:
            self.distance_interval_ = np.array([interval.low, interval.high]) ** root

    def _draw_reference(self, source, target, rng):
        return draw_reference(None, Sample.of(self.points_, self.target_weight_), rng)

    def certificate(self, X=None, *, confidence=None, plan_size=10_000, sample_weight=None) -> Certificate:
        """Bounds of the distance and of the excess of the dual, from rows of the source that ``fit`` has not seen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Independent rows of the source. If None, the certificate is the interval of ``fit``,
            ``distance_interval_``, which needs a ``source`` that can be sampled: the rows of a source sample are those
            of ``fit``.
        confidence : float, default=None
            The probability that all bounds are true at once; that of the estimator if None. The bounds are asymptotic.
        plan_size : int, default=10_000
            Largest number of rows in a plan. For other costs than the squared one, whose plan holds all pairs in
            memory, at most 2000.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None.

        Returns
        -------
        certificate : Certificate
            A mapping from names to statements, which is printed as a table: "distance", and with ``X`` also "excess",
            the amount by which the dual value of the potential is below the optimum, in units of the cost. There is no
            factor ½. The points with their weights are the target, and not a sample of it.

        Raises
        ------
        ValueError
            If there are no fresh rows of the source.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_ot.transport import SemiDiscreteTransport
        >>> transport = SemiDiscreteTransport("normal", random_state=0).fit([[-1.0], [1.0]])
        >>> distance = transport.certificate()["distance"]
        >>> bool(distance.low < np.sqrt(2 - 2 * np.sqrt(2 / np.pi)) < distance.high)
        True
        """
        check_is_fitted(self)
        confidence = self.confidence if confidence is None else confidence
        check_certificate(confidence, plan_size)
        cost = read_cost(self.cost)
        if X is None:
            return self._certificate_of_fit(confidence, cost)
        X = validated(self, X).astype(np.float64)
        mass = check_weight(sample_weight, len(X))
        X, mass = X[mass > 0], mass[mass > 0]
        index = self._mapped(X, Cells.index)
        points, potential = (
            self.points_[self._place].astype(np.float64),
            self.potential_[self._place].astype(np.float64),
        )
        costs = assignment_cost(*map(torch.from_numpy, (X, points, index)), cost).numpy()
        source = Side(X, mass, costs - potential[index])
        target = Side(points, self.target_weight_[self._place], potential, is_sample=False)
        title = f"SemiDiscreteTransport on {len(X)} source rows"
        size = plan_size if cost.is_squared else min(plan_size, MAX_DENSE_ROWS)
        return certify_cost(title, source, target, confidence, size, cost)

    def _certificate_of_fit(self, confidence, cost):
        """The certificate that ``fit`` has computed on fresh rows of the source."""
        if self.source is None:
            raise ValueError("The source is a sample: give rows of it that fit has not seen, certificate(X).")
        if self.distance_interval_ is None or confidence != self.confidence:
            raise ValueError(
                f"fit had confidence={self.confidence!r}, and {confidence!r} is wanted: fit again with it, or give "
                "fresh rows of the source, certificate(X)."
            )
        low, high = self.distance_interval_
        ends = (end**cost.power for end in (self.distance_, low, high))
        return cost_certificate("SemiDiscreteTransport on fresh rows of its source", tuple(ends), confidence, cost)

    def assign(self, X):
        """The index of the target point that each source row is sent to.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.

        Returns
        -------
        index : ndarray of shape (n_samples,)
            Rows of ``points_``.
        """
        check_is_fitted(self)
        X = validated(self, X)
        return self._place[self._mapped(X, Cells.index)]

    def _transform(self, X):
        epsilon = self.smoothing * self.gap_
        if epsilon == 0:
            images = to_tensor(self.points_[self._place].astype(X.dtype, copy=False))
            return self._mapped(X, lambda cells, rows: images[cells.index(rows).cpu()])
        return self._mapped(X, lambda cells, rows: cells.barycentres(rows, epsilon).to(rows.dtype))

    def _module(self, inverse):
        points, potential = (to_tensor(part[self._place]) for part in (self.points_, self.potential_))
        return CellsMap(points, potential, self.cost, self.smoothing * self.gap_)

    def _mapped(self, X, function):
        """Evaluate a function of the cells and of rows on a device, in chunks of ``X``."""
        device = resolve_device(self.device)
        points, potential = (to_tensor(part[self._place], device=device) for part in (self.points_, self.potential_))
        cells = Cells(points, potential, self.cost, to_tensor(X[:1]).dtype)
        return in_chunks(lambda rows: function(cells, to_tensor(rows, device=device)).cpu().numpy(), X)

    def sample(self, n_samples=1, random_state=None):
        """Draw source rows and transport them.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Determines the draw.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_in_)
            Target points, drawn with the masses of their cells; with ``smoothing``, barycentres.
        """
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng = random_source(random_state)
        device = resolve_device(self.device)
        seed, source = rng.randint(2**31), self.source_reference_ if self.source is None else self.source
        generator = torch.Generator(device).manual_seed(seed)
        # A Source of the user may draw from torch's random stream, for which threads take turns.
        with torch_seed(seed, device) if isinstance(source, Source) else nullcontext():
            source = source_of(source, to_tensor(self.points_, device=device), rng, generator)
            return self._transform(source.sample(n_samples).cpu().numpy())


def check_size(sample, power, name):
    """Raise a ValueError if costs of a power of the distances of a sample are beyond the range of floats."""
    if sample is None:
        return
    largest = float(max(sample.rows.max(), -sample.rows.min()))
    limit = MAX_COST ** (1 / max(power, 2))
    spread = math.inf if largest > limit else float(np.ptp(sample.rows, axis=0).max())
    if largest > limit or 0 < spread < 1 / limit:
        raise ValueError(
            f"{name} has numbers of up to {largest:.3g} and differences of up to {spread:.3g}. Their costs are no "
            f"floats unless both are between {1 / limit:.3g} and {limit:.3g}: divide source and target by one number."
        )


def normal_points(source, rng):
    """Points of N(0, I): as many as a source has different rows, and at most as many as are kept of a sample."""
    n_rows = min(max(len(source.rows), 2), MAX_REFERENCE_ROWS)
    return Sample.of(rng.standard_normal((n_rows, source.rows.shape[1])).astype(source.rows.dtype))


def rows_of(source, device):
    """The rows of a weighted sample as a source on a device."""
    weight = None if source.weight is None else to_tensor(source.weight, device=device)
    is_whole = bool(np.all(source.count == np.rint(source.count)))
    return rows(to_tensor(source.rows, device=device), weight, round(source.size) if is_whole else None)

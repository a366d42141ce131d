"""SemiDiscreteTransport: the optimal map from what one can sample to finitely many points."""

import inspect
import math
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import (
    FLOAT_DTYPES,
    MAX_REFERENCE_ROWS,
    BaseTransport,
    all_or_nothing,
    random_source,
    warn_user,
)
from sklearn_ot.checks import check_n_samples, check_weight
from sklearn_ot.nets import resolve_device, torch_seed
from sklearn_ot.solvers.semidiscrete import (
    assign,
    assignment_gap,
    cost_power,
    named_source,
    primal_dual_interval,
    semidiscrete_dual,
    soft_assign,
)

GAP_ROWS = 1024


class SemiDiscreteTransport(BaseTransport):
    r"""The optimal map from a source one can sample to finitely many weighted points.

    It sends each x to the point of the cell that x lies in, and the potential ψ makes the cells as heavy as the points:

    .. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i c(x, y_i) - \psi_i, \qquad P(i(x) = i) = \nu_i

    For the squared cost the cells are convex polyhedra (Laguerre or power cells). ψ maximises
    :math:`E_x \min_i (c(x, y_i) - \psi_i) + \sum_i \nu_i \psi_i`, a concave problem without local optima, without a
    network, and without a regularisation [Genevay16]_, [Kitagawa19]_.

    Parameters
    ----------
    source : {"normal", "uniform"}, callable, object with a ``sample`` method or None, default=None
        What is transported. None is the sample given to ``fit``, as in every transport; its rows are drawn with
        replacement. Else ``fit`` takes the target points alone:

        * "normal" is N(0, I), "uniform" the uniform distribution on the unit cube;
        * a callable takes a number n and a `numpy.random.Generator` and returns n rows;
        * of an object ``sample(n, random_state=...)`` is called, so that a fitted generator can be the source.
          (`sklearn.base.clone` makes an estimator unfitted: wrap it in `sklearn.frozen.FrozenEstimator` for a search.)
    cost : {"sqeuclidean", "euclidean", "cityblock"} or float, default="sqeuclidean"
        c(x, y). A number p, 1 or more, is :math:`|x - y|^p` with the Euclidean norm.
    tol : float, default=0.05
        The fit ends as soon as the cells' masses are off by at most this: root mean square of
        :math:`P(\text{cell}_i) / \nu_i - 1`, measured on fresh rows. A sample of n rows as the source does not tell
        masses better than :math:`\frac12 \sqrt{N / n}` for N points, and is not asked to.
    max_samples : int, default=None
        Source rows after which the fit ends, wherever it is; see `mass_error_floor_` for what they can achieve. The
        first phase, of some ten thousand rows, and a pool that was begun are not cut short. If None,
        :math:`2^{20} + 8 N / \mathrm{tol}^2`.
    smoothing : float, default=0
        0 maps to the points themselves. A positive number maps to their barycentre with weights that are a softmax of
        :math:`\psi_i - c(x, y_i)`, at a temperature of this many times `gap_`; 1 mixes neighbouring cells.
    confidence : float or None, default=0.95
        Level of ``distance_interval_``; None leaves the interval out, which saves as much as a minute with very many
        points.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the potential of the last fit, if there are as many points.
    device : {"auto", "cpu", "cuda", ...} or torch.device, default="auto"
        Where to compute. "auto" is CUDA where there is one.
    random_state : int, RandomState instance or None, default=None
        Determines the source rows.

    Attributes
    ----------
    points_ : ndarray of shape (n_points, n_features_in_)
        The target points; those of weight 0 are gone.
    target_weight_ : ndarray of shape (n_points,)
        Their weights, with sum 1.
    potential_ : ndarray of shape (n_points,)
        ψ, in units of the cost, with a weighted mean of 0.
    distance_ : float
        The Wasserstein-p distance that the potential certifies: the p-th root of its dual value on fresh rows, in the
        units of the data, without a factor ½. p is 2 for "sqeuclidean" and 1 for "euclidean" and "cityblock".
    distance_interval_ : ndarray of shape (2,) or None
        A confidence interval for the true distance, from a lower and an upper bound of it, so that an inaccurate
        potential makes it wide, not wrong; see `sklearn_ot.solvers.semidiscrete.primal_dual_interval`.
    mass_error_ : float
        The error of the masses, as in ``tol``; 0 if the fresh rows could not tell it from 0. Points so light that their
        masses are beyond a test of a million rows (or of eight times as many as equal weights would take) are left out
        of it and of the next two numbers.
    mass_error_floor_ : float
        :math:`\sqrt{N / n}`, the error of the best that counting the ``n_samples_`` rows of the fit can do, where N
        is the mean of :math:`1 / \nu_i` if weights are unequal. Below it is what quantiles, quasi-random rows and
        kernel estimates have gained.
    empty_cells_ : int
        Points that no fresh row was sent to, though 20 or more were to be expected.
    n_samples_ : int
        Source rows used for the fit.
    gap_ : float
        Mean of what a source row would lose at its second best point: the unit of ``smoothing``.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows that `score` compares with when it is given none.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if ``X`` was a DataFrame.

    See Also
    --------
    W2Transport : A smooth map, with an inverse, between two samples.
    sklearn_ot.plotting.CellsDisplay : Picture of the cells in the plane.

    Notes
    -----
    On a line the potential is exact, from quantiles. In two and three dimensions Newton's method on quasi-random rows
    of "normal" and "uniform" goes far below the error of independent rows; in more, averaged stochastic steps come to
    it. Multiplying the data by a number changes nothing but units.

    Some problems are beyond it and end with a warning: p of about 5 or more, points on two very different scales or
    with very heavy tails, and points in a subspace of fewer dimensions.

    Points that are exactly equal are one point with the sum of their weights: rows are sent to one of them only.

    The masses of "cityblock", and of "euclidean" on a line, may stay wrong: there, sets of rows are equally near to
    two points up to a constant, and no potential divides them. The distance is not affected.

    References
    ----------
    .. [Genevay16] A. Genevay, M. Cuturi, G. Peyré and F. Bach, "Stochastic optimization for large-scale optimal
       transport", NeurIPS 2016.
    .. [Kitagawa19] J. Kitagawa, Q. Mérigot and B. Thibert, "Convergence of a Newton algorithm for semi-discrete
       optimal transport", Journal of the European Mathematical Society, 2019.

    Examples
    --------
    N(0, 1) to three points on the line. The cells end where it has a third of its mass, at ±0.43.

    >>> import numpy as np
    >>> from sklearn_ot.transport import SemiDiscreteTransport
    >>> transport = SemiDiscreteTransport("normal", random_state=0).fit([[-1.0], [0.0], [5.0]])
    >>> transport.transform([[-0.44], [-0.42], [0.42], [0.44]]).ravel()
    array([-1.,  0.,  0.,  5.])
    >>> transport.empty_cells_
    0
    """

    __metadata_request__fit = {"X_target": True, "target_weight": True}  # noqa: RUF012 (scikit-learn's protocol)
    _parameter_constraints: dict = {  # noqa: RUF012
        "source": [StrOptions({"normal", "uniform"}), callable, HasMethods("sample"), None],
        "cost": [StrOptions({"sqeuclidean", "euclidean", "cityblock"}), Interval(Real, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_samples": [Interval(Integral, 1, None, closed="left"), None],
        "smoothing": [Interval(Real, 0, np.inf, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="neither"), None],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        source=None,
        *,
        cost="sqeuclidean",
        tol=0.05,
        max_samples=None,
        smoothing=0.0,
        confidence=0.95,
        warm_start=False,
        device="auto",
        random_state=None,
    ):
        self.source = source
        self.cost = cost
        self.tol = tol
        self.max_samples = max_samples
        self.smoothing = smoothing
        self.confidence = confidence
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, *, X_target=None, target_weight=None):
        """Find the potential.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            With ``source=None`` the source sample, else the target points.
        y : array-like, default=None
            With ``source=None`` and two dimensions, the target points (the short form ``fit(Xs, Xt)``); else ignored.
        X_target : array-like of shape (n_points, n_features), default=None
            With ``source=None`` the target points. Without them the target is the standard normal, represented by as
            many rows of it as ``X`` has (at most 4096).
        target_weight : array-like of shape (n_points,), default=None
            Weights of the target points, 0 or more; they are divided by their sum. All equal if None.

        Returns
        -------
        self : object
            The fitted transport.

        Raises
        ------
        ValueError
            If an array or a parameter is unusable; the estimator is then left as it was.
        """
        with all_or_nothing(self):
            X = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_min_samples=2 if self.source is None else 1)
            rng = random_source(self.random_state)
            if self.source is None:
                points = self._validate_target(X, y, X_target)
                if points is None:
                    if target_weight is not None:
                        raise ValueError("target_weight is given without target points: pass X_target=...")
                    points = rng.standard_normal((min(len(X), MAX_REFERENCE_ROWS), X.shape[1])).astype(X.dtype)
            elif self._read_target(X, y, X_target) is not None:
                raise ValueError(
                    f"With source={self.source!r} the target points are the first argument: fit(points). X_target "
                    "and a 2-d y are for source=None, where the first argument is the source sample."
                )
            else:
                points = X
            self._fit(X, points, rng, target_weight)
        return self

    def _fit(self, X, target, rng, target_weight=None):
        weight = np.full(len(target), 1 / len(target))
        if target_weight is not None:
            weight = check_weight(target_weight, len(target), "target_weight", "the target")
            target, weight = target[weight > 0], weight[weight > 0]
        start = getattr(self, "potential_", None) if self.warm_start else None
        if start is not None and len(start) != len(target):
            start = None
        self._source_rows = X if self.source is None else None
        self.points_, self.target_weight_ = target.copy(), weight

        device = resolve_device(self.device)
        points, weights = torch.as_tensor(self.points_, device=device), torch.as_tensor(weight, device=device)
        n_points, tol, max_samples = len(points), self.tol, self.max_samples
        if self.source is None:
            tol = max(tol, 0.5 * math.sqrt(n_points / len(X)))
            # A small sample has told all that it can after its rows have been seen often.
            max_samples = max_samples or min(2**20 + math.ceil(8 * n_points / tol**2), 2**17 + 100 * len(X))
        with torch_seed(rng.randint(2**31), device):
            sampler, quasi_sampler = self._samplers(device, rng)
            solution = semidiscrete_dual(
                # Of a source with a name the solver knows more than rows.
                self.source if isinstance(self.source, str) else sampler,
                points,
                weights,
                cost=self.cost,
                tol=tol,
                max_samples=max_samples,
                start=None if start is None else torch.as_tensor(start, device=device),
                quasi_sampler=quasi_sampler,
            )
            self.potential_ = solution.potential.cpu().numpy()
            self.mass_error_, self.mass_error_floor_ = solution.mass_error, solution.mass_error_floor
            self.empty_cells_, self.n_samples_ = solution.n_empty, solution.n_samples
            self._measure(sampler, points, solution.potential, weights)
        # A sample with few rows for each point cannot fill all cells.
        if not solution.converged and (self.source is not None or self.mass_error_ > tol):
            warn_user(
                f"The masses of the cells are off by {self.mass_error_:.2g} (root mean square, wanted: tol={tol:.2g}) "
                f"and {self.empty_cells_} of {n_points} cells are empty after {self.n_samples_} source rows. Raise "
                "max_samples or tol.",
                ConvergenceWarning,
            )
        draws = rng.choice(n_points, MAX_REFERENCE_ROWS, p=weight) if target_weight is not None else None
        if draws is None:
            draws = rng.permutation(n_points)[:MAX_REFERENCE_ROWS]
        self.target_reference_ = self.points_[draws]

    def _measure(self, sampler, points, potential, weights):
        """The distance, its interval and the gap, on fresh rows."""
        self.gap_ = assignment_gap(sampler(GAP_ROWS), points, potential, self.cost)
        interval = primal_dual_interval(
            sampler,
            points,
            potential,
            weights,
            cost=self.cost,
            confidence=self.confidence or 0.95,
            n_batches=0 if self.confidence is None else 6,
        )
        root = 1 / cost_power(self.cost)
        self.distance_ = max(interval.dual_value, 0.0) ** root
        self.distance_interval_ = None
        if self.confidence is not None:
            self.distance_interval_ = np.array([interval.low, interval.high]) ** root

    def _samplers(self, device, rng):
        """Functions of a number of rows: independent ones, and better ones or None; of a name, the solver has them."""
        dtype = torch.float64 if self.points_.dtype == np.float64 else torch.float32
        if isinstance(self.source, str):
            return named_source(self.source, self.n_features_in_, dtype, device).sample, None
        if self.source is None:
            rows = _to_tensor(self._source_rows, device)
            return (
                lambda n: rows[torch.randint(len(rows), (n,), device=device)],
                lambda n: rows[torch.randperm(len(rows), device=device)[:n]],
            )
        if hasattr(self.source, "sample"):
            try:
                inspect.signature(self.source.sample).bind(1, random_state=rng)
            except TypeError as error:
                raise ValueError(
                    f"source={self.source!r} cannot be seeded: its method must be sample(n, random_state=...). Give a "
                    "function of n and a numpy.random.Generator."
                ) from error
            return lambda n: self._check_rows(self.source.sample(n, random_state=rng), n, dtype, device), None
        generator = np.random.default_rng(rng.randint(2**31))
        return lambda n: self._check_rows(self.source(n, generator), n, dtype, device), None

    def _check_rows(self, rows, n, dtype, device):
        rows = check_array(rows, dtype=FLOAT_DTYPES, input_name="The rows of source")
        if rows.shape != (n, self.n_features_in_):
            raise ValueError(
                f"source returned rows of shape {rows.shape} where ({n}, {self.n_features_in_}) was asked for: n rows "
                "with as many features as the target points have."
            )
        return torch.as_tensor(rows, dtype=dtype, device=device)

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
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        return assign(*self._tensors(X), self.cost).cpu().numpy()

    def _transform(self, X):
        if self.smoothing * self.gap_ == 0:
            return self.points_[assign(*self._tensors(X), self.cost).cpu().numpy()].astype(X.dtype, copy=False)
        images = soft_assign(*self._tensors(X), self.smoothing * self.gap_, self.cost)
        return images.cpu().numpy().astype(X.dtype, copy=False)

    def _tensors(self, X):
        device = resolve_device(self.device)
        return tuple(_to_tensor(array, device) for array in (X, self.points_, self.potential_))

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
            Target points, each as often as it weighs, but for the error of the masses; with ``smoothing``, barycentres.
        """
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng = random_source(random_state)
        device = resolve_device(self.device)
        with torch_seed(rng.randint(2**31), device):
            sampler, _ = self._samplers(device, rng)
            return self._transform(sampler(n_samples).cpu().numpy().astype(self.points_.dtype, copy=False))


def _to_tensor(array, device):
    # Torch takes no read-only memory.
    return torch.as_tensor(np.require(array, requirements="W"), device=device)

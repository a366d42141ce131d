"""W1Transport: the Kantorovich potential, the distance and the optimal map of Wasserstein-1."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import FLOAT_DTYPES, InvertibleTransport, warn_user
from sklearn_ot.solvers.axes import find_axes
from sklearn_ot.solvers.costs import COSTS
from sklearn_ot.solvers.gap import cost_bounds
from sklearn_ot.solvers.grid import MAX_AXES, solve_on_grid
from sklearn_ot.solvers.samples import Sample

# Solvers by their names; each takes two samples, their axes and a RandomState.
SOLVERS = {"grid": solve_on_grid}
# Number of rows of N(0, I) that represent a missing target.
NORMAL_ROWS = 2**15
# The distance is doubtful if the values in the sample and held out differ by more than this share of it.
LARGEST_DIFFERENCE = 0.3
# Largest number of rows of a sample in the exact plan of the upper bound, which takes a second.
PLAN_ROWS = 2000


@dataclass(eq=False, repr=False)
class W1Transport(InvertibleTransport):
    r"""The Kantorovich potential, the distance and the optimal map of Wasserstein-1, for few features.

    The cost is the distance :math:`\|x - y\|`, and not its square. The potential u has slope 1 at most, and decreases
    with slope 1 on the lines along which mass is moved, the *rays*:

    .. math:: W_1(P, Q) = \max_{\|\nabla u\| \le 1} E_P\, u(x) - E_Q\, u(y), \qquad u(x) - u(T(x)) = \|x - T(x)\| .

    u gives the direction of the map, :math:`x - T(x) = \|x - T(x)\|\, \nabla u(x)`, but not the distance.
    There are many optimal maps. This one follows the flux of mass on the grid, as [Dacorogna90]_ and [Evans99]_ do, so
    that rows on a ray keep their order; its inverse is the flow backwards.

    Parameters
    ----------
    solver : {"auto", "grid"}, default="auto"
        How the potential is found. "grid" solves the dual on a regular grid with up to a million cells, from coarse to
        fine, see `sklearn_ot.solvers.grid.solve`. "auto" takes it.
    n_axes : int, default=None
        Number of principal axes of the grid, at most 6. The potential does not depend on the directions beside them,
        in which no row is moved, and ``distance_`` is that of the projections, which is smaller. If None, the axes are
        all features; more than 6 features must then vary along 6 axes or less.
    confidence : float or None, default=0.95
        Confidence level of ``distance_interval_``. With None the interval is not computed, which saves a second.

    Attributes
    ----------
    distance_ : float
        Estimate of the Wasserstein-1 distance between the distributions of the rows, in the units of the data. It is
        extrapolated to cells of size 0, and the noise of the rows is removed to first order, see
        `sklearn_ot.solvers.grid.solve_on_grid`. It is not a bound. With one axis it is that between the samples.
    distance_interval_ : ndarray of shape (2,) or None
        Lower and upper bound of the distance between the distributions, each with half of the error probability
        (asymptotic). The lower bound is the dual value, on held-out rows, of a function with slope 1. The upper bound
        is an exact plan between held-out rows, which costs too much on average, more so in more dimensions. See
        `sklearn_ot.solvers.gap.cost_bounds`.
    dual_values_ : ndarray of shape (2,)
        The dual value of one half of the rows, which is too large on average, and the value of its potential on the
        other half, which is too small. NaN if a sample has fewer than 8 rows.
    ray_efficiency_ : float
        :math:`\sum u(x) - u(T(x))` divided by :math:`\sum \|x - T(x)\|`, on rows of the source. 1 is best. It tests
        whether rows are moved in the right directions. It does not test how far they are moved: wrong distances on the
        right rays have the efficiency 1. 1 if no row is moved.
    transport_ : AxesTransport
        The potential and the map as a frozen value.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    W2Transport : The map of the squared cost, for many features too.
    sklearn_ot.metrics.wasserstein_distance : The exact distance between two samples, from a plan.

    Notes
    -----
    The result is deterministic. With one axis everything is in closed form, from quantiles. If the data are multiplied
    by a number, only the units change.

    The grid covers all rows except those far beyond the middle of both samples. There the potential is that of the
    nearest place of the grid, and a row has its velocity.

    If the two numbers of ``dual_values_`` differ by more than 30 % of the distance, the rows do not determine the
    potential well, and a warning says so.

    References
    ----------
    .. [Dacorogna90] B. Dacorogna and J. Moser, "On a partial differential equation involving the Jacobian determinant",
       Annales de l'Institut Henri Poincaré C, 1990.
    .. [Evans99] L. C. Evans and W. Gangbo, "Differential equations methods for the Monge-Kantorovich mass transfer
       problem", Memoirs of the American Mathematical Society, 1999.

    Examples
    --------
    A shift by (3, 4) has the distance 5.

    >>> import numpy as np
    >>> from sklearn_ot.transport import W1Transport
    >>> rng = np.random.RandomState(0)
    >>> X, Y = rng.randn(2000, 2), rng.randn(2000, 2) + [3, 4]
    >>> transport = W1Transport().fit(X, Y)
    >>> round(transport.distance_, 1)
    5.0
    >>> u = transport.potential([[0.0, 0.0], [3.0, 4.0]])
    >>> print((u[0] - u[1]).round(1))
    5.0
    >>> print((transport.transform(X).mean(axis=0) - X.mean(axis=0)).round())
    [3. 4.]
    """

    solver: str = "auto"
    n_axes: int | None = None
    confidence: float | None = 0.95

    _parameter_constraints: ClassVar[dict] = {
        "solver": [StrOptions({"auto", *SOLVERS})],
        "n_axes": [Interval(Integral, 1, MAX_AXES, closed="both"), None],
        "confidence": [Interval(Real, 0, 1, closed="neither"), None],
    }

    def _fit(self, source, target, rng):
        if target is None:
            target = Sample.of(rng.standard_normal((NORMAL_ROWS, source.rows.shape[1])))
        # The rows are sorted and merged, so that nothing depends on their order, or on copies instead of weights.
        source, target = (sample._replace(rows=sample.rows.astype(np.float64)).merged() for sample in (source, target))
        solution = SOLVERS["grid" if self.solver == "auto" else self.solver](
            source, target, find_axes(source, target, self.n_axes), rng
        )
        self.transport_, self.distance_ = solution.transport, solution.distance
        self.dual_values_ = np.array([solution.in_sample, solution.held_out], dtype=float)
        self.distance_interval_ = None if self.confidence is None else self._interval(solution.sides)
        self.ray_efficiency_ = self.transport_.ray_efficiency(source.draw(min(len(source.rows), PLAN_ROWS), rng))
        if abs(np.ptp(self.dual_values_)) > LARGEST_DIFFERENCE * self.distance_:
            high, low = self.dual_values_
            warn_user(
                f"distance_={self.distance_:.3g} is doubtful: the dual value is {high:.3g} on the rows of the "
                f"potential, and {low:.3g} on held-out rows. Give more rows, or fewer features."
            )

    def _interval(self, sides):
        """Bounds of the distance from held-out rows; no bounds without such rows."""
        if sides is None:
            return np.array([0.0, np.inf])
        bounds = cost_bounds(*sides, 1 - (1 - self.confidence) / 2, PLAN_ROWS, COSTS["euclidean"])
        return np.array([bounds.low, bounds.high])

    def _transform(self, X):
        return self.transport_.transport(X)

    def _inverse_transform(self, X):
        return self.transport_.inverse(X)

    def potential(self, X, *, return_gradient=False):
        r"""The Kantorovich potential u, which has slope 1 on rays and a smaller slope elsewhere.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the source, of the target, or others.
        return_gradient : bool, default=False
            Whether to return the gradient of u as well.

        Returns
        -------
        potential : ndarray of shape (n_samples,)
            Values of u, in the units of the data and in the dtype of ``X`` if it is a float dtype, else float64. u is
            determined up to a constant. Mass moves from large values to small ones. On the grid slopes are 1 up to a
            few per cent at most rows.
        gradient : ndarray of shape (n_samples, n_features)
            The gradient of u, against which mass moves. Only returned with ``return_gradient``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        values = self.transport_.potential(X).astype(X.dtype)
        return (values, self.transport_.gradient(X).astype(X.dtype)) if return_gradient else values

"""W1Transport: the Kantorovich potential, the distance and the optimal map of Wasserstein-1."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import CHECKPOINT, InvertibleTransport, documented, validated, warn_user
from sklearn_ot.solvers.axes import find_axes
from sklearn_ot.solvers.costs import COSTS
from sklearn_ot.solvers.gap import cost_bounds
from sklearn_ot.solvers.grid import solve_on_grid
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport._critic import Training, solve_by_critic


class Solver(NamedTuple):
    """A row of `SOLVERS`.

    Attributes
    ----------
    solve : callable
        ``solve(source, target, axes, rng, training) -> Solution``, for two samples and a `Training`.
    largest_difference : float
        The distance is doubtful if the values in the sample and held out differ by more than this share of it.
    is_random : bool
        Whether the solution depends on the random state of the user.
    """

    solve: Callable
    largest_difference: float
    is_random: bool


def _solve_on_grid(source, target, axes, rng, training):
    return solve_on_grid(source, target, axes, rng)


# Solvers by their names.
SOLVERS = {
    "grid": Solver(_solve_on_grid, largest_difference=0.3, is_random=False),
    "critic": Solver(solve_by_critic, largest_difference=0.1, is_random=True),
}
# Largest number of axes for which "auto" is "grid".
FEW_AXES = 5
# Number of rows of N(0, I) that represent a missing target.
NORMAL_ROWS = 2**15
# Largest number of rows of a sample in the exact plan of the upper bound, which takes a second.
PLAN_ROWS = 2000


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class W1Transport(InvertibleTransport):
    r"""The Kantorovich potential, the distance and the optimal map of Wasserstein-1.

    The cost is the distance :math:`\|x - y\|`, and not its square. The potential u has slope 1 at most, and decreases
    with slope 1 on the lines along which mass is moved, the *rays*:

    .. math:: W_1(P, Q) = \max_{\|\nabla u\| \le 1} E_P\, u(x) - E_Q\, u(y), \qquad u(x) - u(T(x)) = \|x - T(x)\| .

    u gives the direction of the map, :math:`x - T(x) = \|x - T(x)\|\, \nabla u(x)`, but not the distance.
    There are many optimal maps. This one keeps the order of rows on a ray. With few features it follows the flux of
    mass on a grid, as [Dacorogna90]_ and [Evans99]_ do, and its inverse is the flow backwards. With more features, the
    map along each ray is that of the quantiles of the rows near it, see `sklearn_ot.solvers.rays.RayTransport`.

    Parameters
    ----------
    solver : {"auto", "grid", "critic"}, default="auto"
        How the potential is found. "grid" solves the dual on a regular grid with up to a million cells, from coarse to
        fine, see `sklearn_ot.solvers.grid.solve`. "critic" trains a network with a penalty on slopes above 1, as a
        critic of a Wasserstein generative network, but on pairs of matched rows, and a second one for the map. "auto"
        is the grid for at most five axes.
    n_axes : int, default=None
        Number of principal axes of the potential, at most 6 on a grid. The potential does not depend on the directions
        beside them, in which no row is moved, and ``distance_`` is that of the projections, which is smaller. If None,
        the axes are all features; of more than six, those with a deviation above 1 % of the largest one.
    confidence : float or None, default=0.95
        Confidence level of ``distance_interval_``. With None the interval is not computed, which saves a second.
    network : specification or nn.Module class, default=None
        The network of the potential, ``Dense((128, 128, 128), "silu")`` if None, see `sklearn_ot.networks`. This and
        the following parameters are for the critic only.
    learning_rate : float, default=1.5e-2
        Step size of AdamW for the potential after a short warm-up; it falls to 0 in the end.
    batch_size : int, default=256
        Number of pairs of rows in a step.
    max_iter : int, default=3000
        Number of steps of the potential, and largest number of those of the map.
    device : str or torch.device, default="auto"
        Device of the training: "auto" (CUDA if there is a device, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
        With "accelerate", several processes train together, see :ref:`together`.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the nets, or pairs (name, callback), for which an epoch is a block of 100 steps. They are
        cloned, once for both trainings. With
        ``sklearn_ot.nets.TimeBudget(seconds, n_stages=2)`` the step sizes fall to 0 at the end of the time.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds held-out rows, matched rows, initial weights and batches of the critic. With None each fit has a new seed.
        The grid needs no seed.
    verbose : int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    distance_ : float
        Estimate of the Wasserstein-1 distance between the distributions of the rows, in the units of the data. The
        noise of the rows is removed to first order. On a grid the estimate is extrapolated to cells of size 0, see
        `sklearn_ot.solvers.grid.solve_on_grid`. That of the critic is the mean of ``dual_values_``, divided by the mean
        slope between matched rows. It is not a bound. With one axis it is the distance between the samples.
    distance_interval_ : ndarray of shape (2,) or None
        Lower and upper bound of the distance between the distributions, each with half of the error probability
        (asymptotic). The lower bound is the dual value, on held-out rows, of a function with slope 1 that is near the
        potential at some rows. The upper bound is an exact plan between held-out rows, which costs too much on average.
        Both are far from the distance in many dimensions. See `sklearn_ot.solvers.gap.cost_bounds`.
    dual_values_ : ndarray of shape (2,)
        The dual value of the potential on the rows from which it was found, which is too large on average, and on
        held-out rows, which is too small. On a grid each half of the rows is held out once; for the critic it is a
        tenth. NaN if a sample has too few rows, fewer than 8 for the grid and 20 for the critic.
    ray_efficiency_ : float
        :math:`\sum u(x) - u(T(x))` divided by :math:`\sum \|x - T(x)\|`, on rows of the source. 1 is best. It tests
        whether rows are moved in the right directions. It does not test how far they are moved: wrong distances on the
        right rays have the efficiency 1. 1 if no row is moved.
    transport_ : AxesTransport
        The potential and the map as a frozen value.
    n_iter_ : int
        Number of steps of the potential; 1 for the grid, which has its own numbers of steps.
    history_ : list of dict
        For the critic, one row for each block of 100 steps: ``stage``, "potential", then "rays"; ``n_iter``; ``dur``,
        in seconds; ``train_loss``. For the potential also ``dual_value`` and ``excess``, the mean squared slope above
        1; lengths are in coordinates with mean variance 1. For the rays also ``valid_loss``, the cross-entropy of
        held-out rows. Empty for the grid.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    W2Transport : The map of the squared cost.
    sklearn_ot.metrics.wasserstein_distance : The exact distance between two samples, from a plan.

    Notes
    -----
    The result of the grid is deterministic. With one axis everything is in closed form, from quantiles. If the data are
    multiplied by a number, only the units change.

    A grid covers all rows except those far beyond the middle of both samples, and so do the inputs of the critic. There
    the potential is that of the nearest place of this box, and a row has the step of that place.

    If the two numbers of ``dual_values_`` differ by more than 30 % of the distance on a grid, or 10 % with the critic,
    the rows do not determine the potential well, and a warning says so.

    The critic is that of [Petzka18]_ with other settings: see `sklearn_ot.nets.CriticNet`.

    References
    ----------
    .. [Dacorogna90] B. Dacorogna and J. Moser, "On a partial differential equation involving the Jacobian determinant",
       Annales de l'Institut Henri Poincaré C, 1990.
    .. [Evans99] L. C. Evans and W. Gangbo, "Differential equations methods for the Monge-Kantorovich mass transfer
       problem", Memoirs of the American Mathematical Society, 1999.
    .. [Petzka18] H. Petzka, A. Fischer, D. Lukovnikov, "On the regularization of Wasserstein GANs", ICLR 2018.

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
    _: KW_ONLY
    network: object = None
    learning_rate: float = 1.5e-2
    batch_size: int = 256
    max_iter: int = 3_000
    device: str | torch.device = "auto"
    callbacks: list | None = None
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "solver": [StrOptions({"auto", *SOLVERS})],
        "n_axes": [Interval(Integral, 1, None, closed="left"), None],
        "confidence": [Interval(Real, 0, 1, closed="neither"), None],
        "network": "no_validation",  # module_of validates it, with a better message
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _fit(self, source, target, rng):
        if target is None:
            normal = np.random.RandomState(0).standard_normal((NORMAL_ROWS, source.rows.shape[1]))
            target = Sample.of(normal)
        # The rows are sorted and merged, so that nothing depends on their order, or on copies instead of weights.
        source, target = (sample._replace(rows=sample.rows.astype(np.float64)).merged() for sample in (source, target))
        axes = find_axes(source, target, self.n_axes)
        name = self.solver if self.solver != "auto" else "grid" if axes.n_axes <= FEW_AXES else "critic"
        solver, training = SOLVERS[name], Training.of(self)
        if not solver.is_random:
            rng = np.random.RandomState(0)
        solution = solver.solve(source, target, axes, rng, training)
        self.history_, self.n_iter_ = list(solution.history), solution.n_iter
        self.transport_, self.distance_ = solution.transport, solution.distance
        self.dual_values_ = np.array([solution.in_sample, solution.held_out], dtype=float)
        self.distance_interval_ = None if self.confidence is None else self._interval(solution.sides)
        self.ray_efficiency_ = self.transport_.ray_efficiency(source.draw(min(len(source.rows), PLAN_ROWS), rng))
        if abs(np.ptp(self.dual_values_)) > solver.largest_difference * self.distance_:
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

    def _module(self, inverse):
        return self.transport_.to_torch(inverse)

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
        X = validated(self, X)
        values = self.transport_.potential(X).astype(X.dtype)
        return (values, self.transport_.gradient(X).astype(X.dtype)) if return_gradient else values

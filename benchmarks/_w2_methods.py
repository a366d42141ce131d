"""The methods that benchmarks/w2.py compares, each as one small function.

``fit(Xs, Xt, budget_s, seed)`` returns the map, its inverse (None if the method has none) and a dict with ``steps``,
and ``compile_s``, the CPU-seconds of compilation. Iterative methods stop after ``budget_s`` CPU-seconds of training,
without compilation. With an infinite budget our methods have their default settings and stop by themselves.
"""

import math
import time
from functools import partial

import numpy as np
import ot
from _w2_ott import OTT, OTT_PLANS
from _w2_torch import FIXED_POINTS, FLOWS
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor

from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport import GaussianTransport, LSOTTransport, QCTransport, W2Transport

MAX_PLAN_ROWS = 5000  # an exact plan of this number of rows takes 15 seconds and 200 MB


def plan_rows(rows, rng):
    return rows[rng.permutation(len(rows))[:MAX_PLAN_ROWS]]


# Methods without a budget.


def fit_bures(Xs, Xt, budget_s, seed):
    transport = GaussianTransport(shrinkage="auto").fit(Xs, Xt)
    return transport.transform, transport.inverse_transform, {}


def fit_emd(Xs, Xt, budget_s, seed):
    """POT's plan and its extension to new rows: the image of the nearest row of the sample, shifted."""
    rng = np.random.RandomState(seed)
    transport = ot.da.EMDTransport(max_iter=10**9).fit(Xs=plan_rows(Xs, rng), Xt=plan_rows(Xt, rng))
    # In one batch, because POT computes all barycentres again for each batch.
    return (
        lambda X: transport.transform(Xs=X, batch_size=len(X)),
        lambda Y: transport.inverse_transform(Xt=Y, batch_size=len(Y)),
        {},
    )


def fit_emd_regression(Xs, Xt, budget_s, seed):
    """An exact plan, and a regression on its barycentric images in balanced coordinates."""
    rng = np.random.RandomState(seed)
    coordinates = BalancedCoordinates.balance(sample_gaussian_map(Sample.of(Xs), Sample.of(Xt), "auto"))
    u, v = coordinates.of_source(plan_rows(Xs, rng)), coordinates.of_target(plan_rows(Xt, rng))
    plan = ot.emd([], [], ot.dist(u, v), numItermax=10**9)
    forward = regress(u, plan @ v / plan.sum(axis=1)[:, None], seed)
    inverse = regress(v, plan.T @ u / plan.sum(axis=0)[:, None], seed)
    return (
        lambda X: coordinates.to_target(forward(coordinates.of_source(X))),
        lambda Y: coordinates.to_source(inverse(coordinates.of_target(Y))),
        {},
    )


def regress(u, v, seed):
    n_features = u.shape[1]
    if n_features <= 3:
        return KNeighborsRegressor(10).fit(u, v).predict
    # A regression on the residual of the Bures map, which is the identity in balanced coordinates.
    grid = {"gamma": [0.1 / n_features, 0.3 / n_features, 1 / n_features], "alpha": [0.1, 1.0]}
    one_split = ShuffleSplit(1, test_size=0.2, random_state=seed)
    ridge = GridSearchCV(KernelRidge(kernel="rbf"), grid, cv=one_split, scoring="neg_mean_squared_error").fit(u, v - u)
    return lambda w: w + ridge.predict(w)


# Our methods.


def fit_ours(estimator, Xs, Xt, budget_s, seed, n_stages=1):
    estimator.set_params(random_state=seed, device="cpu")
    if math.isfinite(budget_s):
        budget = TimeBudget(budget_s, n_stages=n_stages, clock=time.process_time)
        # A fit waits for smaller gains than with the defaults. If it has converged, it ends before its budget is spent.
        estimator.set_params(callbacks=[budget], max_iter=10**7, tol=1e-4, n_iter_no_change=12)
    estimator.fit(Xs, Xt)
    return estimator.transform, getattr(estimator, "inverse_transform", None), {"steps": estimator.n_iter_}


def fit_w2(solver, Xs, Xt, budget_s, seed):
    return fit_ours(W2Transport(solver=solver), Xs, Xt, budget_s, seed)


def w2gn_settings(n_features):
    """The published settings of W2GN for toys (D = 2) and Gaussians (other D).

    They are those of [Korotin21]_. Five things differ: our estimator has other momenta of Adam, its step size decays,
    it starts at the Bures map and not near the identity, it keeps the best average of the weights and not those of the
    last step, and the sharpness of the activations is learned.
    """
    if n_features == 2:
        return {
            "network": Convex((128, 128, 64), "celu", rank=3),
            "plan_size": 0,
            "reg": 1.0,
            "learning_rate": 1e-3,
            "batch_size": 1024,
            "max_iter": 30_000,
        }
    width = max(128, n_features)
    return {
        "network": Convex((width, width, max(64, n_features)), "celu", rank=1, strong_convexity=5e-2),
        "plan_size": 0,
        "reg": float(min(n_features, 50)),
        "learning_rate": 3e-4,
        "batch_size": 256,
        "max_iter": 5000,
    }


def fit_w2gn_paper(Xs, Xt, budget_s, seed):
    return fit_ours(W2Transport(solver="w2gn", **w2gn_settings(Xs.shape[1])), Xs, Xt, budget_s, seed)


def fit_lsot(regularization, Xs, Xt, budget_s, seed):
    return fit_ours(LSOTTransport(regularization), Xs, Xt, budget_s, seed, n_stages=2)


def fit_qc(Xs, Xt, budget_s, seed):
    return fit_ours(QCTransport(), Xs, Xt, budget_s, seed)


WITHOUT_BUDGET = {
    "Bures": fit_bures,
    "POT EMD": fit_emd,
    "EMD + regression": fit_emd_regression,
    **OTT_PLANS,
}
# Methods of others with a budget, and the modules that methods need.
OTHERS = {**OTT, **FLOWS, **FIXED_POINTS}
NEEDS = {**dict.fromkeys([*OTT, *OTT_PLANS], "ott"), **dict.fromkeys(FLOWS, "torchcfm")}
OURS = {
    "dual": partial(fit_w2, "dual"),
    "w2gn": partial(fit_w2, "w2gn"),
    "w2gn-paper": fit_w2gn_paper,
    "minimax": partial(fit_w2, "minimax"),
    "minimax-v1": partial(fit_w2, "minimax-v1"),
    "expectile": partial(fit_w2, "expectile"),
    "lsot-entropic": partial(fit_lsot, "entropic"),
    "lsot-l2": partial(fit_lsot, "l2"),
    "qc": fit_qc,
}
METHODS = {**WITHOUT_BUDGET, **OTHERS, **OURS}

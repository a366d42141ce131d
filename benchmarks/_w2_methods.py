"""The methods that benchmarks/w2.py compares, each as one small function.

``fit(Xs, Xt, budget_s, seed)`` returns the map, its inverse (None if the method has none) and a dict with ``steps``,
and ``compile_s``, the CPU-seconds of compilation. Iterative methods stop after ``budget_s`` CPU-seconds of training,
without compilation. With an infinite budget our methods have their default settings and stop by themselves.
"""

import contextlib
import math
import os
import time
from functools import partial

import numpy as np
import ot
from _common import BudgetSpentError
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
# In 4096 dimensions, all rows in balanced coordinates would not fit in memory. The Gaussian map is fitted to all rows.
MAX_OTT_ROWS = 100_000


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


# Methods of ott-jax. Both solvers start at the Bures map: their networks start near the identity, which is the Bures
# map in balanced coordinates. The step size decays like a cosine over the budget.


def import_jax():
    # jax reads these settings when it is first imported, so it is only imported here.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import optax
    import ott.neural

    return jax, optax, ott


def fit_ott(build_solver, coordinates, Xs, Xt, budget_s, batch_size, learning_rate, seed):
    """Build a solver of ott-jax and train it until the budget is spent."""
    jax, _, _ = import_jax()
    rng = np.random.RandomState(seed)

    def batches(rows):
        rows = rows.astype(np.float32, copy=False)
        while True:
            yield rows[rng.randint(len(rows), size=batch_size)]

    clock = []  # CPU time after each of the first steps

    def anneal_and_stop(step, _):
        jax.block_until_ready((solver.state_f.params, solver.state_g.params))
        now = time.process_time()
        if step < 4:
            clock.append(now)
            return
        facts["steps"] = step + 1
        # The solver is compiled when it is built, and in its first two steps, one for each direction. The next two
        # steps have the time of steps without compilation.
        facts["compile_s"] = max(0.0, (clock[1] - start) - (clock[3] - clock[1]))
        spent = (now - start - facts["compile_s"]) / budget_s
        if spent > 1:
            raise BudgetSpentError
        rate = learning_rate * (1 + math.cos(math.pi * spent)) / 2
        for state in (solver.state_f, solver.state_g):
            state.opt_state.hyperparams["learning_rate"] = jax.numpy.float32(rate)

    facts = {}
    source = batches(coordinates.of_source(Xs[:MAX_OTT_ROWS]))
    target = batches(coordinates.of_target(Xt[:MAX_OTT_ROWS]))
    start = time.process_time()
    solver = build_solver(num_train_iters=10**9, valid_freq=10**9, rng=jax.random.PRNGKey(seed))
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # without its progress bar
            solver(source, target, source, target, callback=anneal_and_stop)
    except BudgetSpentError:
        return *ott_maps(solver, coordinates), facts
    raise RuntimeError("ott-jax ended before the budget was spent")


def ott_maps(solver, coordinates):
    jax, _, _ = import_jax()
    potentials = solver.to_dual_potentials()
    forward, inverse = (jax.jit(partial(potentials.transport, forward=direction)) for direction in (True, False))

    def mapped(transport, rows):
        return np.asarray(transport(rows.astype(np.float32)), dtype=np.float64)

    return (
        lambda X: coordinates.to_target(mapped(forward, coordinates.of_source(X))),
        lambda Y: coordinates.to_source(mapped(inverse, coordinates.of_target(Y))),
    )


# Settings chosen on seed 0 for D = 2 and 16, after 10 s. W2NeuralDual diverges without its conjugate solver, and with
# its default one (20 steps, each with a line search of up to 20) a step of training takes half a second. A larger step
# size than the default improves both methods more than any other setting, and does not diverge with a start at the
# Bures map and a decay. From D = 32 on, W2NeuralDual diverges with such a step size; there it was chosen from 5e-4,
# 1e-3 and 2e-3 on seed 0 for D = 32 and 64.
NEURAL_DUAL = {"batch_size": 64}
NEURAL_DUAL_RATES = {"below 32": 5e-3, "from 32": 2e-3}
EXPECTILE = {"batch_size": 256, "learning_rate": 1e-2}


def fit_ott_neural_dual(Xs, Xt, budget_s, seed):
    """W2NeuralDual of ott-jax, with potentials that are not constrained to be convex."""
    jax, optax, ott = import_jax()
    PotentialMLP = ott.neural.networks.potentials.PotentialMLP
    rate = NEURAL_DUAL_RATES["below 32" if Xs.shape[1] < 32 else "from 32"]
    adam = optax.inject_hyperparams(optax.adam)(rate, b1=0.5, b2=0.9)
    conjugate_solver = ott.neural.networks.layers.conjugate.FenchelConjugateLBFGS(
        gtol=1e-3, max_iter=3, max_linesearch_iter=3
    )
    build = partial(
        ott.neural.methods.neuraldual.W2NeuralDual,
        Xs.shape[1],
        *(PotentialMLP([128, 128, 128], act_fn=jax.nn.elu) for _ in "fg"),
        adam,
        adam,
        conjugate_solver=conjugate_solver,
    )
    coordinates = BalancedCoordinates.balance(sample_gaussian_map(Sample.of(Xs), Sample.of(Xt), "auto"))
    return fit_ott(build, coordinates, Xs, Xt, budget_s, learning_rate=rate, seed=seed, **NEURAL_DUAL)


def fit_ott_expectile(Xs, Xt, budget_s, seed):
    """ExpectileNeuralDual of ott-jax."""
    jax, optax, ott = import_jax()
    MLP = ott.neural.networks.potentials.MLP
    adam = optax.inject_hyperparams(optax.adam)(EXPECTILE["learning_rate"], b1=0.9, b2=0.9)
    build = partial(
        ott.neural.methods.expectile_neural_dual.ExpectileNeuralDual,
        Xs.shape[1],
        *(MLP([128, 128, 128, 1], act_fn=jax.nn.elu) for _ in "fg"),
        adam,
        adam,
    )
    # The expectile loss is the square of a squared distance, so its default weight needs distances of a fixed size.
    coordinates = BalancedCoordinates.balance(sample_gaussian_map(Sample.of(Xs), Sample.of(Xt), "auto"))
    coordinates = coordinates._replace(scale=coordinates.scale * math.sqrt(Xs.shape[1]) / 2)
    return fit_ott(build, coordinates, Xs, Xt, budget_s, seed=seed, **EXPECTILE)


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

    They are those of [Korotin21]_. Four things differ: our estimator has other momenta of Adam, its step size decays,
    it starts at the Bures map and not near the identity, and it keeps the best average of the weights and not those of
    the last step.
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
}
OTT = {
    "ott W2NeuralDual": fit_ott_neural_dual,
    "ott Expectile": fit_ott_expectile,
}
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
METHODS = {**WITHOUT_BUDGET, **OTT, **OURS}

"""The methods of ott-jax that benchmarks/w2.py compares.

Each method runs in coordinates in which the Bures map is the identity, and again, with "raw" in its name, in the
features as they are. The step size of the methods with a budget decays like a cosine over the budget.
"""

import contextlib
import math
import os
import time
from functools import partial

import numpy as np
from _common import BudgetSpentError
from _w2_coordinates import MAX_ROWS, balanced, in_both


def import_jax():
    # jax reads these settings when it is first imported, so it is only imported here.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import optax
    import ott.neural

    return jax, optax, ott


def on_rows(function, coordinates):
    """Two maps of rows from a map and its inverse between coordinates."""

    def mapped(transport, rows):
        return np.asarray(transport(rows.astype(np.float32)), dtype=np.float64)

    forward, inverse = function
    return (
        lambda X: coordinates.to_target(mapped(forward, coordinates.of_source(X))),
        None if inverse is None else lambda Y: coordinates.to_source(mapped(inverse, coordinates.of_target(Y))),
    )


def batches(rows, batch_size, seed):
    rng, rows = np.random.RandomState(seed), rows[:MAX_ROWS].astype(np.float32, copy=False)
    while True:
        yield rows[rng.randint(len(rows), size=batch_size)]


class Budget:
    """The CPU-seconds of the training of a solver without compilation, which sets its step size and ends it."""

    # Steps in which a solver may be compiled, and as many without compilation, which have the same time otherwise.
    N_COMPILED = 2

    def __init__(self, budget_s, learning_rate):
        self.budget_s, self.learning_rate = budget_s, learning_rate
        self.clock, self.facts, self.start = [], {}, time.process_time()

    def after_step(self, arrays, states):
        """Count a step, and end the training or change the step size."""
        jax, _, _ = import_jax()
        jax.block_until_ready(arrays)
        now, step = time.process_time(), self.facts.get("steps", 0) + 1
        self.facts["steps"] = step
        if step <= 2 * self.N_COMPILED:
            self.clock.append(now)
            return
        compiled, measured = self.clock[self.N_COMPILED - 1], self.clock[-1]
        self.facts["compile_s"] = max(0.0, (compiled - self.start) - (measured - compiled))
        spent = (now - self.start - self.facts["compile_s"]) / self.budget_s
        if spent > 1:
            raise BudgetSpentError
        rate = self.learning_rate * (1 + math.cos(math.pi * spent)) / 2
        for state in states:
            state.opt_state.hyperparams["learning_rate"] = jax.numpy.float32(rate)

    def run(self, train):
        """Call a function until the budget is spent."""
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # without a progress bar
                train()
        except BudgetSpentError:
            return
        raise RuntimeError("ott-jax ended before the budget was spent")


def fit_dual(build_solver, coordinates, Xs, Xt, budget_s, batch_size, learning_rate, seed):
    """Train a solver of ott-jax for both potentials until the budget is spent."""
    jax, _, _ = import_jax()
    source = batches(coordinates.of_source(Xs), batch_size, seed)
    target = batches(coordinates.of_target(Xt), batch_size, seed + 1)
    budget = Budget(budget_s, learning_rate)
    solver = build_solver(num_train_iters=10**9, valid_freq=10**9, rng=jax.random.PRNGKey(seed))

    def after_step(step, _):
        states = solver.state_f, solver.state_g
        budget.after_step([state.params for state in states], states)

    budget.run(lambda: solver(source, target, source, target, callback=after_step))
    potentials = solver.to_dual_potentials()
    maps = [jax.jit(partial(potentials.transport, forward=direction)) for direction in (True, False)]
    return *on_rows(maps, coordinates), budget.facts


# Settings chosen on seed 0 for D = 2 and 16, after 10 s. W2NeuralDual diverges without its conjugate solver, and with
# its default one (20 steps, each with a line search of up to 20) a step of training takes half a second. A larger step
# size than the default improves both methods more than any other setting, and does not diverge with a start at the
# Bures map and a decay. From D = 32 on, W2NeuralDual diverges with such a step size; there it was chosen from 5e-4,
# 1e-3 and 2e-3 on seed 0 for D = 32 and 64.
NEURAL_DUAL = {"batch_size": 64}
NEURAL_DUAL_RATES = {"below 32": 5e-3, "from 32": 2e-3}
EXPECTILE = {"batch_size": 256, "learning_rate": 1e-2}
# Chosen on seed 0 of the families "icnn" and "ridge" in 16 dimensions, after 15 s. ε is relative to the mean cost.
MONGE_GAP = {"batch_size": 256, "learning_rate": 1e-2, "strength": 1.0, "epsilon": 0.05}
ENTROPIC = {"epsilon": 0.03, "n_rows": 4096}
PROGRESSIVE = {"num_steps": 4, "scales": [0.1, 0.3, 1.0], "n_rows": 2048}


def fit_neural_dual(make_coordinates, Xs, Xt, budget_s, seed):
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
    return fit_dual(build, make_coordinates(Xs, Xt), Xs, Xt, budget_s, learning_rate=rate, seed=seed, **NEURAL_DUAL)


def fit_expectile(make_coordinates, Xs, Xt, budget_s, seed):
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
    coordinates = make_coordinates(Xs, Xt)
    if make_coordinates is balanced:
        # The expectile loss is the square of a squared distance: its default weight needs distances of a fixed size.
        coordinates = coordinates._replace(scale=coordinates.scale * math.sqrt(Xs.shape[1]) / 2)
    return fit_dual(build, coordinates, Xs, Xt, budget_s, seed=seed, **EXPECTILE)


def fit_monge_gap(make_coordinates, Xs, Xt, budget_s, seed):
    """MongeGapEstimator of ott-jax: a Sinkhorn divergence to the target, and the Monge gap of the map as a penalty."""
    jax, optax, ott = import_jax()
    from ott.tools.sinkhorn_divergence import sinkdiv

    relative = {"relative_epsilon": "mean", "epsilon": MONGE_GAP["epsilon"]}

    def divergence(mapped, target):
        return sinkdiv(mapped, target, **relative)[0], None

    def gap(source, mapped):
        return ott.neural.methods.monge_gap.monge_gap_from_samples(source, mapped, **relative), None

    coordinates = make_coordinates(Xs, Xt)
    rate, size = MONGE_GAP["learning_rate"], MONGE_GAP["batch_size"]
    budget = Budget(budget_s, rate)
    solver = ott.neural.methods.monge_gap.MongeGapEstimator(
        Xs.shape[1],
        ott.neural.networks.potentials.PotentialMLP([128, 128, 128], is_potential=False, act_fn=jax.nn.elu),
        optimizer=optax.inject_hyperparams(optax.adam)(rate),
        fitting_loss=divergence,
        regularizer=gap,
        regularizer_strength=MONGE_GAP["strength"],
        num_train_iters=10**6,
        rng=jax.random.PRNGKey(seed),
    )

    def counted(rows):
        yield next(rows)
        for batch in rows:
            budget.after_step(solver.state_neural_net.params, [solver.state_neural_net])
            yield batch

    source = counted(batches(coordinates.of_source(Xs), size, seed))
    target = batches(coordinates.of_target(Xt), size, seed + 1)
    budget.run(lambda: solver.train_map_estimator(source, target, source, target))
    state = solver.state_neural_net
    forward = jax.jit(lambda rows: state.apply_fn({"params": state.params}, rows))
    return *on_rows((forward, None), coordinates), budget.facts


def drawn(rows, n_rows, seed):
    return rows[np.random.RandomState(seed).permutation(len(rows))[:n_rows]].astype(np.float32)


def fit_entropic(make_coordinates, Xs, Xt, budget_s, seed):
    """The entropic map: the barycentric projection of Sinkhorn's plan, extended by its potentials."""
    jax, _, _ = import_jax()
    from ott.geometry.pointcloud import PointCloud
    from ott.solvers.linear import solve

    coordinates = make_coordinates(Xs, Xt)
    n_rows = ENTROPIC["n_rows"]
    u, v = drawn(coordinates.of_source(Xs), n_rows, seed), drawn(coordinates.of_target(Xt), n_rows, seed)
    cloud = PointCloud(u, v, epsilon=ENTROPIC["epsilon"], relative_epsilon="mean")
    potentials = solve(cloud, threshold=1e-3, max_iterations=5000).to_dual_potentials()
    maps = [jax.jit(partial(potentials.transport, forward=direction)) for direction in (True, False)]
    return *on_rows(maps, coordinates), {}


def fit_progressive(make_coordinates, Xs, Xt, budget_s, seed):
    """ProgOT: entropic maps along the displacement, each from where the last one ended."""
    import_jax()
    import jax.numpy as jnp
    from ott.geometry.pointcloud import PointCloud
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.tools import progot

    coordinates = make_coordinates(Xs, Xt)
    n_rows = PROGRESSIVE["n_rows"]
    u, v = drawn(coordinates.of_source(Xs), n_rows, seed), drawn(coordinates.of_target(Xt), n_rows, seed)

    def one_way(source, target):
        cloud = PointCloud(source, target)
        alphas = progot.get_alpha_schedule("lin", num_steps=PROGRESSIVE["num_steps"])
        epsilons = progot.get_epsilon_schedule(
            cloud,
            alphas=alphas,
            epsilon_scales=jnp.asarray(PROGRESSIVE["scales"]),
            y_eval=target[:500],
            max_iterations=500,
        )
        output = progot.ProgOT(alphas, epsilons=epsilons)(LinearProblem(cloud), max_iterations=500)
        return lambda rows: output.transport(rows)[1]

    return *on_rows((one_way(u, v), one_way(v, u)), coordinates), {}


OTT = {
    **in_both("ott W2NeuralDual", fit_neural_dual),
    **in_both("ott Expectile", fit_expectile),
    **in_both("ott Monge gap", fit_monge_gap),
}
OTT_PLANS = {**in_both("ott entropic map", fit_entropic), **in_both("ott ProgOT", fit_progressive)}

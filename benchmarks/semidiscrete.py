"""Semi-discrete transport by our solver and those of other packages: error of the masses of the cells against CPU time.

    python benchmarks/semidiscrete.py                                       # everything: about three hours
    python benchmarks/semidiscrete.py --points 1000 --dims 2 --budget 20 --methods ours ott-jax
    python benchmarks/semidiscrete.py --report                              # the table of the results so far

The source is N(0, I), the N points are drawn from N(0, I), and the cost is the squared one. The error is the root mean
square of P(cell) N - 1, in %. Two independent samples of fresh rows give an unbiased estimate of its square. The
samples grow until the standard error of the square is 5 % of it, or to a largest size; an error of 10 % has a standard
error of at most 7 % of it.

All methods run in turn, on one thread, for each seed and size. Each row is written to results/semidiscrete.csv at once,
and replaces an older one of the same cell. Times are CPU-seconds of this process, without the measurement of errors and
without compilation, which has its own column. All methods first solve a small problem, so that imports are not part of
their times.

Each method runs once for the budget. Its error is measured during the run, at times that grow by a factor of 1.3.
``to_10`` and ``to_5`` are the times at which the error fell below 10 and 5 %, interpolated between two measurements;
they are empty if it never did.

ours
    `semidiscrete_dual` with its default settings but tol=0.02, so that it continues after an error of 10 and 5 %.
ours, stopping
    The same with tol=0.1, until it stops by itself. ``cpu_s`` is the time of the whole call, with its own tests.
POT
    `ot.semidiscrete.solve_semidiscrete` in float32 with torch, which is several times as fast as numpy in float64. Its
    step size and epsilon are in absolute units of the cost, so the data are scaled to a mean cost of 1; lr0, batch size
    and initial epsilon were then chosen on seed 0 (``POT_SETTINGS``). It has no callback: the sampler that it calls in
    every step reads the average from the local variables of its caller.
ott-jax
    `SemidiscreteSolver` without regularisation, with SGD. Its ``potential_ema`` is the weight of the *new* iterate, so
    that the default of 0.99 hardly averages, and a small value does. Step size, its decay, batch size and average were
    chosen on seed 0 (``OTT_SETTINGS``). Their unit is the natural step size, N times the gap between the two best
    scores of a row at the solution. A user cannot compute this gap in advance: our solver computes it for POT and
    ott-jax, and this time is not counted. The `step` of the solver is compiled in blocks, as in its own loop.
"""

import contextlib
import math
import sys
import time
from itertools import product

import torch
from _common import SEEDS, BudgetSpentError, Results, argument_parser, guarded, run, without_missing

from sklearn_ot.solvers.semidiscrete import assign, assignment_gap, semidiscrete_dual

RESULTS = Results(
    "semidiscrete.csv",
    key=("points", "features", "seed", "method"),
    columns=(
        "budget_s",
        "rms",
        "empty",
        "rows",
        "floor",
        "to_10",
        "to_5",
        "cpu_s",
        "compile_s",
        "curve",
        "diverged",
        "note",
    ),
    packages=("torch", "POT", "ott-jax", "jax"),
)
SMALLEST = [
    *("--points", "20", "--dims", "2", "--budget", "0.1", "--seeds", "0", "--methods", "ours", "ours, stopping", "POT")
]
CHECK_RATIO = 1.3


class Judge:
    """Measures the errors of potentials during a run; the time of a measurement is not counted."""

    def __init__(self, points, budget_s):
        self.points, self.budget_s = points, budget_s
        self.paused, self.next, self.compile_s, self.curve = 0.0, 0.0, 0.0, []
        self.restart()

    def restart(self):
        """Start the clock again."""
        self.start = time.process_time()

    def elapsed(self):
        return time.process_time() - self.start - self.paused - self.compile_s

    def is_due(self):
        return self.elapsed() >= self.next

    def __call__(self, potential, n_rows):
        """Measure the error if a measurement is due; return whether the budget is spent."""
        now = self.elapsed()
        if now >= self.next:
            pause = time.process_time()
            rms, n_empty = self.measure(potential)
            self.curve.append((now, rms, n_empty, n_rows))
            self.next = max(now, 0.05) * CHECK_RATIO
            self.paused += time.process_time() - pause
        return now >= self.budget_s

    def measure(self, potential):
        n_points, n_features = self.points.shape
        generator = torch.Generator().manual_seed(10**6)
        n_most = max(700 * math.sqrt(n_points), min(5000 * math.sqrt(n_points), 4e10 / (n_points * n_features)))
        counts = torch.zeros(2, n_points, dtype=torch.float64)
        while True:
            for half in counts:
                x = torch.randn(4096, n_features, generator=generator)
                half += torch.bincount(assign(x, self.points, potential), minlength=n_points)
            n_rows = float(counts[0].sum())
            ratio = counts / n_rows * n_points - 1
            square = float((ratio[0] * ratio[1]).mean())
            # The standard error of the square is √N over the rows of a half.
            if n_rows >= n_most or math.sqrt(n_points) / n_rows <= 0.05 * square:
                return math.sqrt(max(0.0, square)), int((counts.sum(0) == 0).sum())

    def to(self, error):
        """The time at which the error was reached, interpolated in logarithms, as text; empty if it never was."""
        before = None
        for now, rms, _, _ in self.curve:
            if rms <= error:
                if before is not None and before[0] > 0 and rms > 0:
                    share = math.log(before[1] / error) / math.log(before[1] / rms)
                    now = before[0] * (now / before[0]) ** share
                return f"{now:.2f}"
            before = (now, rms)
        return ""


def natural_gap(points, seed):
    """Mean gap of the two best scores at the solution, the unit of the step sizes of the other solvers."""
    potential = semidiscrete_dual("normal", points, tol=0.3).potential
    # With the seed of the points, the rows would be the points themselves.
    x = torch.randn(1024, points.shape[1], generator=torch.Generator().manual_seed(seed + 250))
    return assignment_gap(x, points, potential)


def batch_size_of(n_points):
    """About one row for each point: with fewer rows steps are noisy, with more rows there are fewer steps."""
    return min(4096, 2 ** math.ceil(math.log2(n_points)))


def run_ours(points, seed, judge):
    solution = semidiscrete_dual("normal", points, tol=0.02, callback=judge)
    judge.next = 0.0
    judge(solution.potential, solution.n_samples)


def run_ours_stopping(points, seed, judge):
    solution = semidiscrete_dual("normal", points, tol=0.1)
    judge(solution.potential, solution.n_samples)


# First step size in units of N times the gap, its decay, and the initial epsilon in units of the gap: the best for each
# dimension.
POT_SETTINGS = {"rate": 1.0, "lr_exponent": {2: 0.33}, "epsilon": {2: 1.0}}


def run_pot(points, seed, judge):
    from ot.semidiscrete import solve_semidiscrete

    n_points, n_features = points.shape
    scale = 1 / math.sqrt(2 * n_features)
    gap = natural_gap(points, seed) * scale**2
    judge.restart()
    batch_size, used = batch_size_of(n_points), 0

    def sampler(n_rows):
        nonlocal used
        average = sys._getframe(1).f_locals["g_avg"]
        if used and (judge.is_due() or judge.elapsed() > judge.budget_s) and judge(average / scale**2, used):
            raise BudgetSpentError
        used += n_rows
        return scale * torch.randn(n_rows, n_features)

    with contextlib.suppress(BudgetSpentError):
        solve_semidiscrete(
            scale * points,
            sampler,
            max_iter=10**9,
            batch_size=batch_size,
            lr0=POT_SETTINGS["rate"] * n_points * gap,
            lr_exponent=POT_SETTINGS["lr_exponent"].get(n_features, 0.5),
            decreasing_reg_initial_eps=POT_SETTINGS["epsilon"].get(n_features, 3.0) * gap,
        )


# Number of steps with a falling temperature; the first step size after them in units of N times the gap, and its decay
# after ``decay_steps`` to the power ``decay``; and the weight of the new iterate in the average: the best for each
# dimension.
OTT_SETTINGS = {
    "n_soft": 0,
    "rate": 0.5,
    "decay_steps": 50,
    "decay": 0.7,
    "potential_ema": {2: 0.003, 64: 0.01, 784: 0.015},
}


def run_ott(points, seed, judge):
    import jax
    import numpy as np
    import optax
    from ott.geometry import semidiscrete_pointcloud
    from ott.problems.linear import semidiscrete_linear_problem
    from ott.solvers.linear import semidiscrete

    n_points, n_features = points.shape
    y = jax.numpy.asarray(points.numpy())
    geometry = semidiscrete_pointcloud.SemidiscretePointCloud(
        lambda rng, shape, dtype: jax.random.normal(rng, shape, dtype), y, epsilon=0.0
    )
    problem = semidiscrete_linear_problem.SemidiscreteLinearProblem(geometry)
    gap, n_soft = natural_gap(points, seed), OTT_SETTINGS["n_soft"]
    batch_size = batch_size_of(n_points)
    spread = 2 * math.sqrt(n_features)

    def epsilon(step, target):
        """The temperature, which falls from the spread of the costs to the gap, and is then 0."""
        soft = spread * (gap / spread) ** (step / max(n_soft, 1))
        return jax.numpy.where(step < n_soft, soft, 0.0).astype(y.dtype)

    def schedule(step):
        hard = (
            OTT_SETTINGS["rate"]
            * gap
            * (1 + (step - n_soft).clip(0) / OTT_SETTINGS["decay_steps"]) ** -OTT_SETTINGS["decay"]
        )
        return n_points * jax.numpy.where(step < n_soft, 0.5 * epsilon(step, None), hard)

    solver = semidiscrete.SemidiscreteSolver(
        num_iterations=10**6,
        batch_size=batch_size,
        optimizer=optax.sgd(schedule),
        potential_ema=OTT_SETTINGS["potential_ema"].get(n_features, 0.01),
        epsilon_scheduler=epsilon,
        error_eval_every=10**6,
    )
    # All solvers start at 0, because the map between the moments is the identity here.
    start = jax.numpy.zeros(n_points)
    zeros = jax.numpy.zeros(1)
    state = semidiscrete.SemidiscreteState(
        it=jax.numpy.array(0),
        epsilon=jax.numpy.array(0.0),
        g=start,
        g_ema=start,
        opt_state=solver.optimizer.init(start),
        losses=zeros,
        grad_norms=zeros,
        errors=zeros,
    )
    block = 10

    @jax.jit
    def steps(state, key):
        def one(i, state):
            return solver.step(jax.random.fold_in(key, i), state, problem, compute_error=False, rng_error=key)

        return jax.lax.fori_loop(0, block, one, state)

    key = jax.random.key(seed)
    judge.restart()
    before = time.process_time()
    compiled = steps.lower(state, key).compile()
    judge.compile_s = time.process_time() - before
    n_rows = 0
    while True:
        key, now = jax.random.split(key)
        state = jax.block_until_ready(compiled(state, now))
        n_rows += block * batch_size
        if (judge.is_due() or judge.elapsed() > judge.budget_s) and judge(
            torch.from_numpy(np.array(state.g_ema)), n_rows
        ):
            return


METHODS = {"ours": run_ours, "ours, stopping": run_ours_stopping, "POT": run_pot, "ott-jax": run_ott}


def run_cell(n_points, n_features, seed, method, budget_s):
    """Solve a problem, measure the errors, and return the cells of the row."""
    points = torch.randn(n_points, n_features, generator=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng():
        torch.manual_seed(seed + 500)
        judge = Judge(points, budget_s)
        METHODS[method](points, seed, judge)
    now, rms, n_empty, n_rows = judge.curve[-1]
    return {
        "rms": f"{100 * rms:.2f}",
        "empty": n_empty,
        "rows": n_rows,
        "floor": f"{100 * math.sqrt(n_points / n_rows):.2f}",
        "to_10": "" if method == "ours, stopping" else judge.to(0.1),
        "to_5": "" if method == "ours, stopping" else judge.to(0.05),
        "cpu_s": f"{now:.2f}",
        "compile_s": f"{judge.compile_s:.2f}",
        "curve": " ".join(f"{seconds:.2f}:{100 * error:.2f}" for seconds, error, _, _ in judge.curve),
    }


def measure(arguments, results):
    """Measure each cell, and store its row."""
    methods = without_missing(arguments.methods or METHODS, {"ott-jax": "ott"}, asked=arguments.methods)
    for method in methods:
        guarded(run_cell, 50, 4, 0, method, 0.1)
    for seed, n_points, n_features, method in product(arguments.seeds, arguments.points, arguments.dims, methods):
        budget_s = arguments.budget or (60.0 if n_points <= 1000 else 120.0)
        key = dict(zip(RESULTS.key, (n_points, n_features, seed, method), strict=True))
        cell = guarded(run_cell, n_points, n_features, seed, method, budget_s)
        results.store({**key, "budget_s": f"{budget_s:g}", **cell})


def report(results):
    """The table of the guide."""
    columns = {
        "to_10": "s to 10 %",
        "to_5": "s to 5 %",
        "rms": "error, %",
        "cpu_s": "after, s",
        "floor": "√(N/n), %",
        "empty": "empty cells",
        "compile_s": "compilation, s",
    }
    results.summarise("semidiscrete_table.csv", {"points": "N", "features": "D", "method": "method"}, columns)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--points", nargs="+", type=int, default=(1000, 5000))
    parser.add_argument("--dims", nargs="+", type=int, default=(2, 64, 784))
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="all that are installed, if not given")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--budget", type=float, help="CPU-s; 60 for 1000 points and less, else 120, if not given")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

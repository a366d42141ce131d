"""Large problems: CPU time of fits and maps against rows, columns, points and workers, and memory of a large file.

    python benchmarks/scaling.py                                       # everything: about an hour
    python benchmarks/scaling.py --quantities rows --estimators GaussianTransport --sizes 1000 10000
    python benchmarks/scaling.py --report                              # the tables of the results so far

Source rows are N(0, I), target rows are ``3 tanh(x) + 1`` of others. Each quantity has one size that changes:

rows
    Source and as many target rows, with 8 columns. Networks take 300 steps.
columns
    2000 rows, with so many columns. Networks take 300 steps.
points
    `SemiDiscreteTransport("normal", tol=0.2, confidence=None)` with 16 columns.
workers
    ``n_jobs`` of `SemiDiscreteTransport("normal", confidence=None, max_samples=30_000)` with 60 000 points and 784
    columns. A fit to its own end takes more rows, and the part that one processor computes is the same. ``wall_s`` are
    the seconds of the fit, which need a computer with nothing else to do and as many processors as workers.
    ``worker_s`` is the CPU time of the workers.
file
    A file of so many float32 rows with 64 columns is the source and 10 000 rows are the target of `GaussianTransport`;
    `map_rows` then writes the images of all rows into another file. ``peak_mib`` is the largest memory of the process,
    with the pages of files. The files are deleted.

``fit_s`` and ``map_s`` are CPU-seconds of this process, on one thread, for ``fit`` and for ``transform`` of 1000 rows
(of all rows of the file).
"""

import multiprocessing
import resource
import tempfile
import warnings

import numpy as np
from _common import Clock, Results, argument_parser, guarded, run
from joblib.externals.loky import get_reusable_executor

from sklearn_ot import GaussianTransport, SemiDiscreteTransport, W2Transport
from sklearn_ot.streams import map_rows

RESULTS = Results(
    "scaling.csv",
    key=("quantity", "estimator", "size", "seed"),
    columns=("fit_s", "map_s", "worker_s", "wall_s", "peak_mib", "rows_read", "diverged", "note"),
    packages=("torch", "scikit-learn", "joblib"),
)
SMALLEST = ["--sizes", "2", "--seeds", "0", "--trial"]

SIZES = {
    "rows": {"GaussianTransport": (1000, 10_000, 100_000, 1_000_000), "W2Transport": (1000, 10_000, 100_000)},
    "columns": {"GaussianTransport": (2, 16, 128, 784), "W2Transport": (2, 16, 128)},
    "points": {"SemiDiscreteTransport": (1000, 4000, 16_000)},
    "workers": {"SemiDiscreteTransport": (1, 2)},
    "file": {"GaussianTransport": (10_000_000,)},
}
N_COLUMNS, N_ROWS, N_MAPPED, FILE_COLUMNS, FILE_TARGETS = 8, 2000, 1000, 64, 10_000
MIB = 2**20


def pair(n_rows, n_columns, seed):
    """Source and target rows."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, n_rows, n_columns), dtype=np.float32)
    return x, 3 * np.tanh(y) + 1


def map_between(estimator, n_rows, n_columns, seed, steps):
    """Times of a map between two samples."""
    x, y = pair(n_rows, n_columns, seed)
    transport = GaussianTransport()
    if estimator == "W2Transport":
        transport = W2Transport(max_iter=steps, n_iter_no_change=steps, random_state=seed)
    return timed(transport, (x, y), x[:N_MAPPED])


def timed(transport, arguments, rows):
    """CPU-seconds of the fit and of the map of some rows, and seconds of the fit."""
    clock = Clock()
    transport.fit(*arguments)
    times, clock = clock.seconds(), Clock()
    transport.transform(rows)
    return {"fit_s": times["cpu_s"], "wall_s": times["wall_s"], "map_s": clock()}


def rows(estimator, size, seed, trial):
    return map_between(estimator, size if not trial else 50, N_COLUMNS, seed, 2 if trial else 300)


def columns(estimator, size, seed, trial):
    return map_between(estimator, N_ROWS if not trial else 50, size, seed, 2 if trial else 300)


def points(estimator, size, seed, trial):
    x, _ = pair(size, 16, seed)
    transport = SemiDiscreteTransport("normal", tol=0.2, confidence=None, random_state=seed)
    return timed(transport, (x,), pair(N_MAPPED, 16, seed + 1)[0])


def workers(estimator, size, seed, trial):
    x, _ = pair(*((2000, 16) if trial else (60_000, 784)), seed)
    options = {"confidence": None, "max_samples": 30_000, "random_state": seed}
    before = time_of_children()
    times = timed(SemiDiscreteTransport("normal", n_jobs=size, **options), (x,), x[:100])
    get_reusable_executor().shutdown()
    return {**times, "worker_s": time_of_children() - before}


def time_of_children():
    """CPU-seconds of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def file(estimator, size, seed, trial):
    with tempfile.TemporaryDirectory() as folder:
        # A new process, whose memory is that of the two calls and of the imports.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(write_file, (folder, size, seed))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(use_file, (folder, size, seed))


def write_file(folder, size, seed):
    """Write random rows to a file, in parts."""
    rng = np.random.default_rng(seed)
    shape = (size, FILE_COLUMNS)
    x = np.lib.format.open_memmap(f"{folder}/rows.npy", "w+", dtype=np.float32, shape=shape)
    map_rows(lambda part: rng.standard_normal(part.shape, dtype=np.float32), x, x)


def use_file(folder, size, seed):
    """Times and memory of a fit and a map of all rows of the file."""
    warnings.simplefilter("ignore")
    x = np.load(f"{folder}/rows.npy", mmap_mode="r")
    _, y = pair(FILE_TARGETS, FILE_COLUMNS, seed)
    clock = Clock()
    transport = GaussianTransport().fit(x, y)
    times, clock = clock.seconds(), Clock()
    images = np.lib.format.open_memmap(f"{folder}/images.npy", "w+", dtype=np.float32, shape=x.shape)
    map_rows(transport.transform, x, images)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    fit = {"fit_s": times["cpu_s"], "wall_s": times["wall_s"], "rows_read": transport.n_samples_seen_}
    return {**fit, "map_s": clock(), "peak_mib": peak}


QUANTITIES = {"rows": rows, "columns": columns, "points": points, "workers": workers, "file": file}


def measure(arguments, results):
    """Measure all cells that are asked for."""
    for quantity in arguments.quantities:
        for estimator, sizes in SIZES[quantity].items():
            if arguments.estimators and estimator not in arguments.estimators:
                continue
            for size in arguments.sizes or sizes:
                for seed in arguments.seeds:
                    cell = guarded(QUANTITIES[quantity], estimator, size, seed, arguments.trial)
                    results.store({"quantity": quantity, "estimator": estimator, "size": size, "seed": seed, **cell})


def report(results):
    """The table of each quantity: medians over the seeds."""
    times = {"fit_s": "fit, CPU-s", "map_s": "map, CPU-s"}
    own = {
        "workers": {"wall_s": "fit, s", "fit_s": "first process, CPU-s", "worker_s": "workers, CPU-s"},
        "file": {**times, "rows_read": "rows that fit reads", "peak_mib": "memory, MiB"},
    }
    for quantity in QUANTITIES:
        results.summarise(
            f"scaling_{quantity}.csv",
            {"estimator": "estimator", "size": quantity},
            own.get(quantity, times),
            lambda row, quantity=quantity: row["quantity"] == quantity and row["diverged"] == "0",
        )


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--quantities", nargs="+", choices=QUANTITIES, default=tuple(QUANTITIES))
    parser.add_argument("--estimators", nargs="+", help="all of a quantity if none")
    parser.add_argument("--sizes", nargs="+", type=int, help="each quantity has its own if none")
    parser.add_argument("--seeds", nargs="+", type=int, default=(1000,))
    parser.add_argument("--trial", action="store_true", help="small problems, to try the script")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

"""Certificates on pairs with known maps: how often the intervals contain the truth, and how wide they are.

    python benchmarks/certificates.py                     # everything: about an hour
    python benchmarks/certificates.py --problems gaussian --features 2
    python benchmarks/certificates.py --report            # the tables of the results so far

Problems: `make_gaussian_pair` with `GaussianTransport`, two families of `make_potential_pair` with `W2Transport`, and
N(0, I) with the corners of a cube in at most six columns as points (`SemiDiscreteTransport`), where W2 has a closed
form. Each seed is a fit on 10 000 rows of each sample, with 10 CPU-seconds for W2Transport. ``covered`` counts the
repetitions, with 300 fresh rows of each sample, in which the interval of W2 contains it, and ``error_covered`` those in
which the bound of the map's error holds. ``width`` is the width of the interval, in % of W2, with ``rows`` fresh rows.
``error`` is the error of the map on 100 000 fresh rows and ``cpu_s`` the CPU time of the certificate. The columns
``estimate``, ``cautious`` and ``bound`` are those of the error in the certificate, all in % of the standard deviation
of the target.
"""

import itertools
import math
import time

import numpy as np
from _common import SEEDS, Clock, Results, argument_parser, run

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair
from sklearn_ot.nets import TimeBudget
from sklearn_ot.transport import GaussianTransport, SemiDiscreteTransport, W2Transport

ERRORS = ("error", "estimate", "cautious", "bound")
RESULTS = Results(
    "certificates.csv",
    key=("problem", "features", "seed"),
    columns=("repetitions", "covered", "error_covered", "distance", "width", *ERRORS, "rows", "cpu_s"),
    packages=("torch", "POT"),
)
SMALLEST = ["--problems", "semidiscrete", "gaussian", "--features", "2", "--seeds", "0"]
SMALLEST += ["--fit-rows", "200", "--rows", "150", "--repetitions", "2"]
PROBLEMS = ("gaussian", "logsumexp", "ridge", "semidiscrete")
REPETITION_ROWS, TRUTH_ROWS = 300, 100_000
# With more features the width is measured with fewer rows, to save time.
MANY_FEATURES, FEW_ROWS = 8, 2000
# Half the side of the cube, and the largest number of its columns.
CORNER, CUBE_FEATURES = 1.0, 6


class Problem:
    """A fitted transport, draws of fresh rows, and the truth."""

    def __init__(self, name, n_features, seed, arguments):
        self.is_discrete = name == "semidiscrete"
        if self.is_discrete:
            self._fit_corners(n_features, seed)
            return
        n_rows = arguments.fit_rows
        if name == "gaussian":
            self.pair = make_gaussian_pair(n_features, n_rows, random_state=seed)
            transport = GaussianTransport()
        else:
            self.pair = make_potential_pair(n_features, n_rows, family=name, random_state=seed)
            transport = W2Transport(
                callbacks=[TimeBudget(arguments.seconds, clock=time.process_time)], random_state=seed
            )
        self.transport = transport.fit(self.pair.source, self.pair.target)
        X = self.pair.sample_source(TRUTH_ROWS, seed + 7)
        images = self.pair.transport(X)
        self.distance = rms(X - images)
        self.error = rms(self.transport.transform(X) - images)
        self.spread = math.sqrt(images.var(axis=0).sum())

    def _fit_corners(self, n_features, seed):
        n_cube = min(n_features, CUBE_FEATURES)
        points = np.zeros((2**n_cube, n_features))
        points[:, :n_cube] = CORNER * np.array(list(itertools.product([-1, 1], repeat=n_cube)))
        self.n_features = n_features
        self.transport = SemiDiscreteTransport("normal", random_state=seed).fit(points)
        # Each column of the cube sends a normal variable to the corner of its sign.
        squared = n_cube * (1 + CORNER**2 - 2 * CORNER * math.sqrt(2 / math.pi)) + n_features - n_cube
        self.distance, self.error = math.sqrt(squared), None

    def certificate(self, n_rows, seed):
        """The certificate of fresh rows."""
        if self.is_discrete:
            return self.transport.certificate(np.random.RandomState(seed).standard_normal((n_rows, self.n_features)))
        rows = self.pair.sample_source(n_rows, seed), self.pair.sample_target(n_rows, seed + 1)
        return self.transport.certificate(*rows)


def rms(rows):
    return float(np.sqrt(np.mean(np.sum(rows**2, axis=1))))


def measure(arguments, results):
    """Fit each map, repeat its certificate, and store its row."""
    for seed, name, n_features in itertools.product(arguments.seeds, arguments.problems, arguments.features):
        problem = Problem(name, n_features, seed, arguments)
        covered = error_covered = 0
        for repetition in range(arguments.repetitions):
            certificate = problem.certificate(REPETITION_ROWS, 10_000 + 1000 * seed + 2 * repetition)
            distance = certificate["distance"]
            covered += distance.low <= problem.distance <= distance.high
            error_covered += problem.error is not None and problem.error <= certificate["map_error"].high
        clock = Clock()
        n_rows = arguments.rows if n_features <= MANY_FEATURES else min(arguments.rows, FEW_ROWS)
        certificate = problem.certificate(n_rows, 5000 + seed)
        row = {"problem": name, "features": n_features, "seed": seed, "repetitions": arguments.repetitions}
        row |= {"covered": covered, "rows": n_rows, "cpu_s": round(clock(), 1)}
        distance = certificate["distance"]
        row |= {"distance": f"{problem.distance:.4g}"}
        row |= {"width": f"{100 * (distance.high - distance.low) / problem.distance:.3g}"}
        if problem.error is not None:
            sizes = problem.error, certificate["map_error"].estimate
            sizes += certificate["cautious_error"].estimate, certificate["map_error"].high
            row |= {column: f"{100 * size / problem.spread:.3g}" for column, size in zip(ERRORS, sizes, strict=True)}
            row |= {"error_covered": error_covered}
        results.store(row)


def report(results):
    """Print the coverage over all seeds, and the median (range) of the widths and errors."""
    groups = {}
    for row in results.rows():
        groups.setdefault((row["problem"], row["features"]), []).append(row)
    table = [["problem", "features", "W2 in the interval, %", "error below its bound, %", "repetitions"]]
    for (problem, features), rows in groups.items():
        total = sum(int(row["repetitions"]) for row in rows)
        shares = [
            f"{100 * sum(int(row[column]) for row in rows) / total:.3g}" if rows[0][column] else ""
            for column in ("covered", "error_covered")
        ]
        table.append([problem, features, *shares, str(total)])
    results.write_table("certificates_coverage.csv", table)
    columns = {"width": "width, % of W2", "error": "error, %", "estimate": "estimate", "cautious": "M from rows"}
    columns |= {"bound": "bound", "cpu_s": "CPU-seconds"}
    results.summarise("certificates_width.csv", {"problem": "problem", "features": "features"}, columns)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=PROBLEMS)
    parser.add_argument("--features", nargs="+", type=int, default=(2, 8, 32))
    parser.add_argument("--repetitions", type=int, default=67, help="certificates of each fit")
    parser.add_argument("--fit-rows", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=10_000, help="of the certificate whose width is measured")
    parser.add_argument("--seconds", type=float, default=10.0, help="budget of a W2Transport")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

"""What the benchmarks share: timing in turn, and results as a table with the command that made it."""

import csv
import platform
import statistics
import sys
import time
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def time_in_turn(steps, n_rounds, n_calls):
    """Seconds per call of several functions, timed in turn in each of ``n_rounds`` rounds.

    Parameters
    ----------
    steps : dict of str to callable
        What to time.
    n_rounds, n_calls : int
        Rounds, and calls of each function in a round.

    Returns
    -------
    seconds : dict of str to list of float
        One mean per round.
    """
    seconds = {name: [] for name in steps}
    for round_number in range(n_rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(n_calls):
                step()
            if round_number:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / n_calls)
    return seconds


def spread(values, digits=3):
    """Median and range, as text."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def write_results(rows):
    """Print rows (dicts with the same keys) and write them to results/, named after the running benchmark."""
    script = Path(sys.argv[0])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{script.stem}.csv"
    with path.open("w", newline="") as file:
        file.write(f"# python benchmarks/{script.name} {' '.join(sys.argv[1:])}".rstrip() + "\n")
        file.write(f"# torch {torch.__version__}, Python {platform.python_version()}, {platform.machine()}\n")
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    widths = {key: max(len(str(row[key])) for row in [*rows, {key: key}]) for key in rows[0]}
    for row in [{key: key for key in widths}, *rows]:
        print("  ".join(str(row[key]).ljust(width) for key, width in widths.items()))
    print(f"written to {path}")

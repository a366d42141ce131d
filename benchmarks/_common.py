"""What the benchmarks share: timing in turn, and results as a table with the command that made it."""

import csv
import platform
import shlex
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
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


class Results:
    """A table in results/, written row by row: a row takes the place of an older one with the same key.

    The commands that made the rows are at its top; the column ``setup`` says on what each was measured.

    Parameters
    ----------
    name : str
        Name of the file.
    key, columns : tuple of str
        Columns that tell rows apart, and all others.
    packages : tuple of str
        Distributions whose versions matter.
    """

    def __init__(self, name, key, columns, packages):
        self.path, self.key, self.columns = RESULTS / name, key, (*key, *columns, "setup")
        self.packages = packages

    def load(self):
        """Rows by their keys, and commands."""
        if not self.path.exists():
            return {}, []
        lines = self.path.read_text().splitlines()
        commands = [line[2:] for line in lines if line.startswith("#")]
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        return {tuple(row[name] for name in self.key): row for row in rows}, commands

    def store(self, row):
        """Write one row, and print it."""
        rows, commands = self.load()
        row = {name: str(row.get(name, "")) for name in self.columns} | {"setup": setup(self.packages)}
        rows[tuple(row[name] for name in self.key)] = row
        command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
        self.path.parent.mkdir(exist_ok=True)
        partial_path = self.path.with_suffix(".partial")
        with partial_path.open("w", newline="") as file:
            file.writelines(f"# {line}\n" for line in [*commands, *({command} - set(commands))])
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
        partial_path.replace(self.path)
        print(*(f"{name}={value}" for name, value in row.items() if value), flush=True)

    def summarise(self, name, by, columns, is_in=lambda row: True):
        """Print, and write to results/, medians (ranges) of the rows that agree in some columns.

        Parameters
        ----------
        name : str
            Name of the file.
        by, columns : dict of str to str
            The columns to group by and those to summarise, and their titles. Seeds that have no value in one of the
            latter are counted.
        is_in : callable, default=all rows
            Whether a row takes part.
        """
        groups = {}
        for row in filter(is_in, self.load()[0].values()):
            groups.setdefault(tuple(row[column] for column in by), []).append(row)
        table = [[*by.values(), *columns.values()]]
        for key, rows in sorted(groups.items(), key=lambda item: [as_number(text) for text in item[0]]):
            texts = []
            for column in columns:
                values = [float(row[column]) for row in rows if row[column]]
                texts.append(median_range(values))
                if 0 < len(values) < len(rows):
                    texts[-1] += f"; {len(values)} of {len(rows)} seeds"
            table.append([*key, *texts])
        with (RESULTS / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
        for row in table:
            print(*row, sep=" | ")


def as_number(text):
    """A key that sorts numbers by their size, before all else."""
    try:
        return (float(text), "")
    except ValueError:
        return (float("inf"), text)


def median_range(values):
    """Three digits of the median and, if there are several values, of their range, as text."""
    if not values:
        return ""
    low, middle, high = (f"{value:.3g}" for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def setup(packages):
    """Processor and versions, as text."""
    software = []
    for name in packages:
        try:
            software.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"{processor()}, Python {platform.python_version()}, {', '.join(software)}"


def processor():
    """The processor's name, which Python's platform does not know on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

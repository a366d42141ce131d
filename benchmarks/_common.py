"""Code that the benchmarks share: arguments, results as tables with their commands, failures, and times.

Every script has the same shape: ``RESULTS``, the table that it fills; ``SMALLEST``, the arguments of a run that takes
seconds; ``measure(arguments, results)``, which stores each row as soon as it is there; ``report(results)``, which
prints the tables; and ``main(argv=None)``, which does both.
"""

import argparse
import contextlib
import csv
import importlib.util
import platform
import shlex
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

HERE = Path(__file__).parent
SEEDS = (1000, 1001, 1002)  # settings were chosen on seeds below 1000


def argument_parser(description):
    """A parser whose help is the docstring of the script."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def run(parser, results, smallest, measure, report, argv=None):
    """Run a script: measure on one thread, then report.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The script's own arguments; those that all scripts have are added.
    results : Results
        The table that the script fills.
    smallest : list of str
        The arguments that ``--smallest`` stands for.
    measure, report : callable
        ``measure(arguments, results)`` and ``report(results)``.
    argv : list of str, default=None
        The arguments; those of the command line if None.
    """
    parser.add_argument("--report", action="store_true", help="measure nothing: the report of the results so far")
    parser.add_argument("--smallest", action="store_true", help=f"a trial, in a new folder: {shlex.join(smallest)}")
    parser.add_argument("--output", type=Path, help="folder of results and pictures, instead of those of the project")
    argv = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_args(argv)
    if arguments.smallest:
        folder = arguments.output or Path(tempfile.mkdtemp(prefix="sklearn_ot_benchmark_"))
        argv = [*smallest, "--output", str(folder)]
        arguments = parser.parse_args(argv)
    command = shlex.join(["python", f"benchmarks/{results.path.stem}.py", *argv])
    folders = {"folder": arguments.output, "images": arguments.output} if arguments.output else {}
    results = replace(results, command=command, **folders)
    if not arguments.report:
        with one_thread(), warnings.catch_warnings():
            # A fit that ends with its budget, or after a number of steps, need not have converged.
            warnings.simplefilter("ignore", ConvergenceWarning)
            measure(arguments, results)
    report(results)


@contextlib.contextmanager
def one_thread():
    """Run a block on one thread, after slow imports that a process does only once."""
    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first optimiser imports the compiler of torch
    with threadpool_limits(1):
        yield


@dataclass(frozen=True)
class Results:
    """The table of a script, written row by row; a row replaces an older one with the same key.

    The commands that made the rows are at the top of the file. The column ``setup`` names the processor and the
    versions with which each row was measured.

    Parameters
    ----------
    name : str
        Name of the file, which is that of the script with the suffix csv.
    key, columns : tuple of str
        The columns that identify a row, and all others.
    packages : tuple of str
        Distributions whose versions ``setup`` lists.
    folder : Path
        Folder of the table and of its summaries.
    images : Path
        Folder of the pictures.
    command : str
        The command that measures.
    """

    name: str
    key: tuple
    columns: tuple
    packages: tuple
    folder: Path = HERE / "results"
    images: Path = HERE.parent / "doc" / "images"
    command: str = ""

    @property
    def path(self):
        """The file."""
        return self.folder / self.name

    @property
    def header(self):
        """All columns, in the order of the file."""
        return (*self.key, *self.columns, "setup")

    def load(self):
        """Rows by their keys, and commands."""
        if not self.path.exists():
            return {}, []
        lines = self.path.read_text().splitlines()
        commands = [line[2:] for line in lines if line.startswith("#")]
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        return {tuple(row[name] for name in self.key): row for row in rows}, commands

    def rows(self):
        """The rows, each a dict of texts."""
        return list(self.load()[0].values())

    def store(self, row):
        """Write one row, and print it."""
        if unknown := row.keys() - set(self.header):
            raise ValueError(f"{self.name} has no column {', '.join(sorted(unknown))}.")
        rows, commands = self.load()
        row = {name: str(row.get(name, "")) for name in self.header} | {"setup": setup(self.packages)}
        rows[tuple(row[name] for name in self.key)] = row
        self.folder.mkdir(parents=True, exist_ok=True)
        partial_path = self.path.with_suffix(".partial")
        with partial_path.open("w", newline="") as file:
            file.writelines(f"# {line}\n" for line in [*commands, *({self.command} - set(commands))])
            writer = csv.DictWriter(file, self.header, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
        partial_path.replace(self.path)
        print(*(f"{name}={value}" for name, value in row.items() if value), flush=True)

    def write_table(self, name, table):
        """Write rows of text as they are to a file beside the results, and print them in columns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
        print_table(table)

    def summarise(self, name, by, columns, is_in=lambda row: True):
        """Write, and print, the median (range) of the rows that agree in some columns.

        Parameters
        ----------
        name : str
            Name of the file.
        by, columns : dict of str to str
            The columns to group by and those to summarise, and their titles. If some seeds have no value in a column,
            the number of the others is added.
        is_in : callable, default=all rows
            Whether a row is included.
        """
        groups = {}
        for row in filter(is_in, self.rows()):
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
        if groups:
            self.write_table(name, table)

    def save_figure(self, figure, name, dpi=110):
        """Save a figure of matplotlib among the pictures, and close it."""
        from matplotlib import pyplot as plt

        self.images.mkdir(parents=True, exist_ok=True)
        figure.savefig(self.images / name, dpi=dpi)
        plt.close(figure)
        print(f"written to {self.images / name}")


def print_table(table):
    """Print rows of text in columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def as_number(text):
    """A key for sorting: numbers come first, by their size."""
    try:
        return (float(text), "")
    except ValueError:
        return (float("inf"), text)


def median_range(values):
    """The median with three digits as text, and the range if there are several values."""
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
    """The name of the processor, which Python's module ``platform`` does not return on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def guarded(run, *args):
    """The cells that a run returns, rounded, with ``diverged`` = 0; if it fails, ``diverged`` = 1 and a ``note``.

    A failure is stored as a result, and the other cells are still measured.
    """
    try:
        cell = {"diverged": 0, **run(*args)}
    except Exception as error:
        cell = {"diverged": 1, "note": f"{type(error).__name__}: {error}".replace("\n", " ")[:200]}
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in cell.items()}


def without_missing(methods, needs, asked):
    """The methods that can run here.

    Parameters
    ----------
    methods : iterable of str
        Names of methods.
    needs : dict of str to str
        The module that a method needs beyond the core dependencies, by the name of the method.
    asked : bool
        Whether the user has named the methods. A method that cannot run then ends the script; otherwise it is left out.
        In both cases a message has the command that installs it.
    """
    missing = [name for name in methods if name in needs and importlib.util.find_spec(needs[name]) is None]
    if missing:
        modules = sorted({needs[name] for name in missing})
        message = (
            f"{', '.join(missing)}: {', '.join(modules)} is not installed. Install it with: pip install '.[bench]'"
        )
        if asked:
            sys.exit(message)
        print(f"{message}. These methods are left out.")
    return [name for name in methods if name not in missing]


def time_in_turn(steps, n_rounds):
    """Call several functions in turn in each round, after a first round that is not timed.

    Parameters
    ----------
    steps : dict of str to callable
        Functions that return the time that they took.
    n_rounds : int
        Number of rounds.

    Returns
    -------
    times : dict of str to list of float
        One time for each round.
    """
    times = {name: [] for name in steps}
    for round_number in range(n_rounds + 1):
        for name, step in steps.items():
            took = step()
            if round_number:
                times[name].append(took)
    return times


def timed(function, n_calls):
    """A function that calls ``function`` several times, and returns the milliseconds of CPU time of a call."""

    def calls():
        begin = time.process_time()
        for _ in range(n_calls):
            function()
        return 1e3 * (time.process_time() - begin) / n_calls

    return calls


class BudgetSpentError(Exception):
    """Ends a loop of another library that cannot be ended in another way."""


class Clock:
    """CPU-seconds of this process since the clock was made, and whether they exceed a budget."""

    def __init__(self, budget_s=float("inf")):
        self.budget_s, self.start, self.start_wall = budget_s, time.process_time(), time.perf_counter()

    def __call__(self):
        return time.process_time() - self.start

    def is_over(self):
        return self() >= self.budget_s

    def seconds(self):
        """CPU-seconds and seconds of wall time so far, as cells of a row."""
        return {"cpu_s": self(), "wall_s": time.perf_counter() - self.start_wall}

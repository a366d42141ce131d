"""Tables and pictures of benchmarks/results/w2.csv: median and range over the seeds."""

import math
import statistics

from _common import median_range
from _w2_methods import METHODS, OURS, WITHOUT_BUDGET

TABLES = {
    "potential": "potential",
    "families": "family ",
    "gaussian": "gaussian",
    "toys": "toy ",
}  # the prefix of the problems of each table
PICTURE_BUDGET, LONG_BUDGET = 60.0, 300.0
PICTURE_DIMS = (2, 16, 64, 256)

RAW = ", raw"
GREYS_AND_BROWNS = (
    "#555555",
    "#999999",
    "#111111",
    "#8c6d31",
    "#bd9e39",
    "#e7cb94",
    "#637939",
    "#b5cf6b",
    "#7b4173",
    "#ce6dbd",
)
OTHERS = [name for name in METHODS if name not in OURS]
BASE = [name for name in OTHERS if not name.endswith(RAW)]
MARKERS = dict(zip(BASE, "XPDvs^<>*h", strict=True))
COLOURS = {
    **dict(zip(BASE, GREYS_AND_BROWNS, strict=True)),
    **dict(zip(OURS, [f"C{k}" for k in (3, 0, 9, 2, 1, 4, 6, 5, 8)], strict=True)),
}


class Cells:
    """The results by (problem, features, method, budget), each a list of rows: one for each seed."""

    def __init__(self, rows):
        self.rows = {}
        for row in rows:
            budget = float(row["budget_s"]) if row["budget_s"] else None
            key = (row["problem"], int(row["features"]), row["method"], budget)
            self.rows.setdefault(key, []).append(row)

    def values(self, key, column):
        """One number for each seed; a fit that diverged counts as infinite."""
        values = []
        for row in self.rows.get(key, []):
            if row["diverged"] == "1":
                values.append(math.inf)
            elif row[column]:
                values.append(float(row[column]))
        return values

    def budgets(self, problem):
        return sorted({key[3] for key in self.rows if key[0].startswith(problem) and key[3] is not None})


def write_table(results, cells, table, begins):
    """Write one table, and print it: a row for each map, budget and method, a column for each problem."""
    columns = sorted({(key[1], key[0]) for key in cells.rows if key[0].startswith(begins)})
    if not columns:
        return
    labels = [problem.removeprefix("toy ") if table == "toys" else str(n) for n, problem in columns]
    lines = []
    for column, title in (("forward", "forward"), ("inverse", "inverse"), ("cpu_s", "CPU s")):
        for budget in (None, *cells.budgets(begins)):
            for method in METHODS:
                texts = [median_range(cells.values((problem, n, method, budget), column)) for n, problem in columns]
                if any(texts):
                    lines.append([title, "" if budget is None else f"{budget:g}", method, *texts])
    print(f"\n{table}: {'W2 to fresh rows ÷ floor' if table == 'toys' else 'L2-UVP, %'}; median (range) over seeds")
    results.write_table(f"w2_{table}.csv", [["", "budget, s", "method", *labels], *lines])


def families(cells):
    return sorted({key[0] for key in cells.rows if key[0].startswith("family ")})


def write_families(results, cells):
    """Write a table of the families: the error of the default and of the best other method, and their ratio.

    All have the budget of the pictures. The best other method has the smallest median over the seeds, in either
    coordinates.
    """
    default, budget, lines = next(iter(OURS)), PICTURE_BUDGET, []
    for direction in ("forward", "inverse"):
        for n in sorted({key[1] for key in cells.rows if key[0].startswith("family ")}):
            ratios = []
            for problem in families(cells):
                ours = cells.values((problem, n, default, budget), direction)
                best = best_other(cells, problem, n, budget, direction)
                if not ours or best is None:
                    continue
                values = cells.values(best, direction)
                ratios.append(statistics.median(values) / statistics.median(ours))
                name = problem.removeprefix("family ")
                texts = [median_range(ours), best[2], median_range(values), f"{ratios[-1]:.1f}"]
                lines.append([direction, str(n), name, *texts])
            if ratios:
                ends = [f"{statistics.median(ratios):.1f} in the median, {min(ratios):.1f} on the worst family"]
                lines.append([direction, str(n), "all", "", "", "", *ends])
    if lines:
        head = ["", "D", "family", default, "best other", "its error", "ratio"]
        results.write_table("w2_families.csv", [head, *lines])


def write_own_stop(results, cells):
    """Write a table of the default's own stop: its time, and its errors beside those with a budget of 300 seconds."""
    default, lines = next(iter(OURS)), []
    pairs = {(key[1], key[0]) for key in cells.rows if key[0].startswith("family ")}
    for n, problem in sorted(pairs):
        own, longest = ((problem, n, default, budget) for budget in (math.inf, LONG_BUDGET))
        if not (own in cells.rows and longest in cells.rows):
            continue
        line = [str(n), problem.removeprefix("family "), median_range(cells.values(own, "cpu_s"))]
        for direction in ("forward", "inverse"):
            errors = [cells.values(key, direction) for key in (own, longest)]
            ratio = statistics.median(errors[0]) / statistics.median(errors[1])
            line += [*map(median_range, errors), f"{ratio:.2f}"]
        lines.append(line)
    if lines:
        texts = ("own stop", f"{LONG_BUDGET:g} s", "ratio")
        head = [f"{direction}, {text}" for direction in ("forward", "inverse") for text in texts]
        results.write_table("w2_own_stop.csv", [["D", "family", "CPU s", *head], *lines])


def best_other(cells, problem, n, budget, direction):
    """The key of the other method with the smallest median, among those without a budget and those with this one."""
    medians = {}
    for method in OTHERS:
        key = (problem, n, method, None if method in WITHOUT_BUDGET else budget)
        if values := cells.values(key, direction):
            medians[key] = statistics.median(values)
    return min(medians, key=medians.get) if medians else None


def print_advantage(cells):
    """Print the error of the best other method in the same time, divided by that of the default solver."""
    default = next(iter(OURS))
    for budget in cells.budgets("potential"):
        for n in sorted({key[1] for key in cells.rows if key[0] == "potential"}):
            ours = cells.values(("potential", n, default, budget), "forward")
            medians = {}
            for method in OTHERS:
                values = cells.values(("potential", n, method, budget), "forward")
                values = values or cells.values(("potential", n, method, None), "forward")
                if values:
                    medians[method] = statistics.median(values)
            if ours and medians:
                best = min(medians, key=medians.get)
                ratio = medians[best] / statistics.median(ours)
                print(f"{budget:g} s, D = {n}: {default} has {ratio:.1f} times less error than {best}")


def new_figure(n_panels, titles):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, n_panels, figsize=(4.2 * n_panels, 4.8), layout="constrained", squeeze=False)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set(xscale="log", yscale="log", title=title)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(which="major", alpha=0.3)
    return figure, axes[0]


def draw_line(axis, method, points):
    """Medians with their range; ``points`` is a list of (x, values)."""
    points = [(x, [value for value in values if math.isfinite(value)]) for x, values in points]
    points = sorted((x, values) for x, values in points if values)
    if not points:
        return
    x, medians = [x for x, _ in points], [statistics.median(values) for _, values in points]
    ranges = [
        [middle - min(values) for middle, (_, values) in zip(medians, points, strict=True)],
        [max(values) - middle for middle, (_, values) in zip(medians, points, strict=True)],
    ]
    axis.errorbar(
        x,
        medians,
        yerr=ranges,
        label=method,
        color=COLOURS[method.removesuffix(RAW)],
        linestyle="-" if method in OURS else ":" if method.endswith(RAW) else "--",
        linewidth=2.5 if method == next(iter(OURS)) else 1.3,
        marker=MARKERS.get(method.removesuffix(RAW), "o"),
        markersize=5,
        elinewidth=0.8,
        capsize=2,
    )


def finish(results, figure, axes, name, ncols=None):
    handles = {}
    for axis in axes:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    order = [method for method in METHODS if method in handles]
    figure.legend(
        [handles[method] for method in order],
        order,
        loc="outside lower center",
        ncols=ncols or 2 * len(axes),
        fontsize=9,
    )
    results.save_figure(figure, name)


def draw_error_against_time(results, cells):
    # A line needs results of two budgets.
    timed = {key[1:3] for key in cells.rows if key[0] == "potential" and key[3] is not None}
    budgets = cells.budgets("potential")
    lines = [pair for pair in timed if sum(("potential", *pair, budget) in cells.rows for budget in budgets) > 1]
    dims = [n for n in PICTURE_DIMS if sum(pair[0] == n for pair in lines) > 1]
    if not dims:
        return
    figure, axes = new_figure(len(dims), [f"potential pair, D = {n}" for n in dims])
    for axis, n in zip(axes, dims, strict=True):
        for method in METHODS:
            keys = [("potential", n, method, budget) for budget in (None, *cells.budgets("potential"))]
            points = [
                (statistics.median(seconds), cells.values(key, "forward"))
                for key in keys
                if (key[3] is None or math.isfinite(key[3])) and (seconds := cells.values(key, "cpu_s"))
            ]
            draw_line(axis, method, [(max(x, 1e-2), values) for x, values in points if math.isfinite(x)])
        axis.set_xlabel("CPU-seconds of one thread, without compilation")
    axes[0].set_ylabel("error of the forward map, L2-UVP in %")
    finish(results, figure, axes, "w2_error_against_time.png")


def draw_error_against_dimension(results, cells):
    panels = [
        (problem, column)
        for problem, column in (("potential", "forward"), ("potential", "inverse"), ("gaussian", "forward"))
        if any(key[0] == problem for key in cells.rows)
    ]
    if not panels:
        return
    # On Gaussian pairs the defaults stop by themselves.
    budgets = {"potential": PICTURE_BUDGET, "gaussian": math.inf}
    titles = [
        f"{problem} pair, {column} map" + (f", {budgets[problem]:g} CPU-s" if math.isfinite(budgets[problem]) else "")
        for problem, column in panels
    ]
    figure, axes = new_figure(len(panels), titles)
    for axis, (problem, column) in zip(axes, panels, strict=True):
        dims = sorted({key[1] for key in cells.rows if key[0] == problem})
        for method in METHODS:
            budget = None if method in WITHOUT_BUDGET else budgets[problem]
            draw_line(axis, method, [(n, cells.values((problem, n, method, budget), column)) for n in dims])
        axis.set_xlabel("dimension D")
        axis.set_xscale("log", base=2)
        axis.set_xticks(dims, [str(n) for n in dims], rotation=45)
        axis.set_xlim(dims[0] / 1.5, dims[-1] * 1.5)
    axes[0].set_ylabel("error, L2-UVP in %")
    finish(results, figure, axes, "w2_error_against_dimension.png")


def draw_families(results, cells):
    """Draw the errors of both maps against the dimension, with a column of panels for each family."""
    names = families(cells)
    if not names:
        return
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        2, len(names), figsize=(3.4 * len(names), 7.6), layout="constrained", squeeze=False, sharex=True, sharey="row"
    )
    # The panels share their axes.
    dims = sorted({key[1] for key in cells.rows if key[0] in names and key[3] == PICTURE_BUDGET})
    for column, problem in enumerate(names):
        for row, direction in enumerate(("forward", "inverse")):
            axis = axes[row, column]
            axis.set(xscale="log", yscale="log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.grid(which="major", alpha=0.3)
            for method in METHODS:
                budget = None if method in WITHOUT_BUDGET else PICTURE_BUDGET
                draw_line(axis, method, [(n, cells.values((problem, n, method, budget), direction)) for n in dims])
            axis.set_xscale("log", base=2)
            axis.set_xticks(dims, [str(n) for n in dims])
        axes[0, column].set_title(problem.removeprefix("family "))
        axes[1, column].set_xlabel("dimension D")
    for row, direction in enumerate(("forward", "inverse")):
        axes[row, 0].set_ylabel(f"error of the {direction} map, L2-UVP in %")
    finish(results, figure, axes.flat, "w2_families.png", ncols=6)


def report(results):
    """Print and write all tables, and draw the pictures of the documentation."""
    cells = Cells(results.rows())
    for table, begins in TABLES.items():
        write_families(results, cells) if table == "families" else write_table(results, cells, table, begins)
    write_own_stop(results, cells)
    print_advantage(cells)
    draw_error_against_time(results, cells)
    draw_error_against_dimension(results, cells)
    draw_families(results, cells)

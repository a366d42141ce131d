"""From coarse to fine grids, on two halves of the rows, and then on all of them."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sklearn_ot.solvers.axes import Axes, AxesTransport, Solution, middle_box
from sklearn_ot.solvers.grid._flow import GridPotential, GridTransport
from sklearn_ot.solvers.grid._flux import solve
from sklearn_ot.solvers.grid._lattice import Lattice
from sklearn_ot.solvers.grid._line import LineTransport
from sklearn_ot.solvers.lipschitz import held_out_sides
from sklearn_ot.solvers.samples import Sample

# Largest number of axes: a grid of 2²⁰ cells has 10 of them on each of six axes.
MAX_AXES = 6
# Largest number of cells of a grid: for each row, for few rows, and for all.
CELLS_PER_ROW, FEW_CELLS, MAX_CELLS = 64, 2**12, 2**20
# Ratio of the spacings of two levels, with two or three axes and with more; number of levels of the halves.
RATIOS, N_LEVELS = {2: 2.0, 3: 2.0}, 5
RATIO = 1.5
# The coarsest level has more cells than this.
FEWEST_CELLS = 200
# Steps of the levels of the halves, and of the last one.
N_STEPS, N_LAST_STEPS = 60, 40
# From so many axes on, which have few cells, there is a second grid, moved by half a cell along all axes.
AXES_OF_CORNERS = 4
# Order of the error of a grid in its spacing.
ORDER = 1.25
# Smallest number of rows of a sample that is divided into halves.
LEAST_ROWS = 8


class Level(NamedTuple):
    """The solutions of one grid, for one or more differences of masses."""

    lattice: Lattice
    fields: list[tuple[np.ndarray, np.ndarray]]
    in_sample: float = 0.0
    held_out: float = 0.0

    @property
    def middle(self):
        """The mean of the value in the sample and of that of held-out rows."""
        return (self.in_sample + self.held_out) / 2


def solve_on_grid(source: Sample, target: Sample, axes: Axes, rng: np.random.RandomState) -> Solution:
    r"""The potential, the distance and the map of Wasserstein-1 between two samples.

    The rows are divided into two halves. The dual of each half is solved from coarse to fine grids, see
    `sklearn_ot.solvers.grid.solve`. The value of a half is too large on average, by its noise, and the value of its
    potential on the other half is too small by as much. The grids end before the one on which the
    second value falls and the first one rises. With the spacing
    h and the means m of both values on the last two grids, the distance is extrapolated to h = 0,

    .. math:: \hat W = m_2 + \frac{m_2 - m_1}{(h_1 / h_2)^{5/4} - 1} .

    The exponent is the order of the error of a grid, which was measured on pairs with a known distance: kinks of u have
    errors of the order 1, smooth parts of the order 2.

    The potential and the flux are those of all rows, with one more level. With four axes or more, the potential is the
    mean of those of two grids. With one axis all is in closed form, see
    `LineTransport`.

    Parameters
    ----------
    source, target : Sample
        The samples, in float64.
    axes : Axes
        The axes of the grid, at most six, see `sklearn_ot.solvers.axes.find_axes`.
    rng : RandomState
        Divides the rows.

    Returns
    -------
    solution : Solution
        The solution.

    Raises
    ------
    ValueError
        If there are more than six axes.
    """
    if axes.n_axes > MAX_AXES:
        raise ValueError(
            f"The grid has at most {MAX_AXES} axes, but X and X_target have {len(axes.directions)} features and vary "
            f"along {axes.n_axes} principal axes. Set n_axes={MAX_AXES} or less, for a potential and a map on the "
            "first principal axes, or take another solver."
        )
    halves = None
    if min(source.size, target.size) >= LEAST_ROWS:
        halves = list(zip(source.halves(rng), target.halves(rng), strict=True))
    fit = _fit_line if axes.n_axes == 1 else _fit_grid
    inner, distance, values, half = fit(*(axes.of_samples(pair) for pair in ((source, target), *(halves or ()))))
    transport, unit = AxesTransport(axes, inner), axes.length
    if halves is None:
        return Solution(transport, unit * distance)
    sides = held_out_sides(AxesTransport(axes, half), *halves, rng)
    return Solution(transport, unit * distance, unit * values[0], unit * values[1], sides)


def _fit_line(pair, *halves):
    """The map, the distance, values of halves in the sample and held out, and the map of the first half."""
    line = LineTransport.of(*pair)
    parts = [LineTransport.of(*half) for half in halves]
    values = (
        [
            np.mean([_dual_value(part, *half) for part, half in zip(parts, order, strict=True)])
            for order in (halves, halves[::-1])
        ]
        if halves
        else None
    )
    return line, line.distance, values, parts[0] if parts else None


def _dual_value(transport, source, target):
    return source.mass @ transport.potential(source.rows) - target.mass @ transport.potential(target.rows)


def _fit_grid(pair, *halves):
    """The same as `_fit_line` on grids."""
    lattices = _lattices(pair)
    levels: list[Level] = []
    # All rows have one more level than their halves.
    for lattice in lattices[:-1] or lattices:
        level = _next_level(lattice, halves or [pair], levels[-1] if levels else None)
        # A finer grid lowers both values if its slopes are truer, but only the second one if it follows noise.
        if levels and level.held_out < levels[-1].held_out and level.in_sample > levels[-1].in_sample:
            break
        levels.append(level)
    before = levels[-1]
    lattice = lattices[-1] if len(levels) == len(lattices) - 1 else before.lattice
    mean = tuple(sum(parts) / len(parts) for parts in zip(*before.fields, strict=True))
    last = _next_level(lattice, [pair], before._replace(fields=[mean]), N_LAST_STEPS)
    n_rows = min(sample.size for sample in pair)
    inner = _potential(last)
    if len(lattice.shape) >= AXES_OF_CORNERS:
        corners = lattice._replace(low=lattice.low + lattice.spacing / 2)
        inner = replace(inner, at_corners=_potential(_next_level(corners, [pair], last, N_LAST_STEPS)).values)
    masses = [lattice.masses(part.rows, part.mass) for part in pair]
    inner = GridTransport.of(inner, last.fields[0][1], masses, n_rows)
    if not halves:
        return inner, last.in_sample, None, None
    return inner, _extrapolated(levels[-2:]), (before.in_sample, before.held_out), _potential(before)


def _potential(level):
    """The potential of the first difference of masses of a level."""
    return GridPotential(level.lattice, np.float32(level.lattice.spacing) * level.fields[0][0])


def _lattices(pair):
    """Grids over the box of a pair of samples, from coarse to fine."""
    low, high = middle_box([sample.rows for sample in pair])
    n_rows = sum(len(sample.rows) for sample in pair)
    finest = Lattice.over(low, high, min(max(CELLS_PER_ROW * n_rows, FEW_CELLS), MAX_CELLS))
    ratio = RATIOS.get(len(low), RATIO)
    grids = [Lattice.of_spacing(low, high, finest.spacing * ratio**level) for level in range(N_LEVELS, 0, -1)]
    return [*(grid for grid in grids if grid.n_cells > FEWEST_CELLS), finest]


def _next_level(lattice, pairs, before, n_steps=N_STEPS):
    """The solutions on a grid for each pair of samples, which start at those of a coarser grid."""
    differences = [np.subtract(*(lattice.masses(part.rows, part.mass) for part in pair)) for pair in pairs]
    fields = []
    for k, difference in enumerate(differences):
        start = (None, None)
        if before is not None:
            ratio = np.float32(before.lattice.spacing / lattice.spacing)
            f, m = before.fields[k]
            f = ratio * lattice.resampled(f, before.lattice)
            m = ratio ** (1 - f.ndim) * np.stack([lattice.resampled(part, before.lattice) for part in m])
            start = f, m
        fields.append(solve(difference, n_steps, *start))
    values = [
        lattice.spacing * np.mean([np.sum(f * other) for (f, _), other in zip(fields, order, strict=True)])
        for order in (differences, differences[::-1])
    ]
    return Level(lattice, fields, *map(float, values))


def _extrapolated(levels):
    """The distance at the spacing 0, from one or two levels."""
    last = levels[-1]
    if len(levels) == 1:
        return max(last.middle, 0.0)
    ratio = levels[0].lattice.spacing / last.lattice.spacing
    return max(last.middle + (last.middle - levels[0].middle) / (ratio**ORDER - 1), 0.0)

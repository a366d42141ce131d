"""Stochastic ascent on the semi-discrete dual, in the units of `Scores`."""

import math

import torch

from sklearn_ot.solvers.semidiscrete._scores import FRAME_ROWS, MIN_ROWS, best_gaps

MIN_BATCH, MAX_BATCH, GAP_ROWS = 256, 4096, 8
# Steps of the soft phase, and of them for each halving of the temperature.
MIN_SOFT_STEPS, MAX_SOFT_STEPS, STEPS_PER_HALVING = 4, 40, 3
# Exponentials cost as much as the scores of 100 dimensions: from here on they pay for the rows that they save, but
# not for rows that are turned, which cost less.
SMOOTH_FEATURES = 256


def top_gap(scores, x, h):
    """Mean difference between the largest and the second largest score of a few rows, a tensor."""
    if scores.n_points < 2:
        return torch.ones((), dtype=torch.float64, device=x.device)
    return best_gaps(scores, x[:GAP_ROWS], h).mean().double()


def soft_masses(scores, x, h, epsilons):
    """Mean over rows of the softmax of their scores divided by each epsilon, shape (len(epsilons), N)."""
    masses = torch.zeros(len(epsilons), scores.n_points, dtype=torch.float64, device=x.device)
    n_rows = 0
    for tile, scale in scores.turned_tiles(x, h):
        n_rows += len(tile)
        for mass, epsilon in zip(masses, epsilons, strict=True):
            exponents = torch.mul(tile, scale / epsilon, out=scores.workspace(len(tile), 3))
            mass += torch.softmax(exponents, 1, out=exponents).sum(0)
    return masses / n_rows


def draw_batch(scores, draw, size):
    """Rows of which `Scores.turned_tiles` makes what is worth ``size`` independent ones."""
    n_rows = math.ceil(size / scores.rows_worth)
    return draw(math.ceil(n_rows / FRAME_ROWS) * FRAME_ROWS if scores.is_normal else n_rows)


def soft_ascent(scores, draw, weights, h):
    r"""Ascent on the dual whose minimum is softened by ε, which falls from the spread of the scores to their gap.

    .. math:: h_i \leftarrow h_i + \varepsilon \log(\nu_i / m_i), \qquad
        m_i = E_x\, \mathrm{softmax}_i(s(x) / \varepsilon)

    is the step of Sinkhorn's algorithm: it knows no units and needs no step size. At a large ε few rows tell all
    masses; at the gap it takes about one row for each point. For the squared cost, where h is near the solution already
    if the laws are nearly normal, the farther ε has to fall, the more steps there are.

    Returns
    -------
    h, gap, used : Tensor of shape (N,), Tensor, int
        The offsets, the mean gap between the two best scores of a row, and the number of rows drawn.
    """
    n_points = len(weights)
    last_batch = max(MIN_BATCH, min(n_points, MAX_BATCH))
    x = draw(MIN_ROWS)
    spread = torch.cat([scores.tile(x[rows], h) for rows in scores.tiles(len(x))])
    spread = spread.std(1).mean().double() / 2
    used, gap = len(x), top_gap(scores, x, h)
    n_steps = MAX_SOFT_STEPS
    if scores.cost.is_squared:
        halvings = math.log2(float(spread / gap.clamp_min(1e-9)) + 1e-9)
        n_steps = min(n_steps, max(MIN_SOFT_STEPS, math.ceil(STEPS_PER_HALVING * halvings)))
    for step in range(n_steps):
        done = step / n_steps
        x = draw_batch(scores, draw, int(MIN_BATCH * (last_batch / MIN_BATCH) ** done))
        used += len(x)
        gap = 0.9 * gap + 0.1 * top_gap(scores, x, h)
        epsilon = spread ** (1 - done) * gap**done + 1e-9
        (mass,) = soft_masses(scores, x, h, [epsilon])
        h = h + epsilon * torch.log(weights / mass.clamp_min(1e-3 * weights.min())).clamp(-1, 1)
    return h, gap, used


def natural_ascent(scores, draw, weights, h, gap, rms):
    r"""Averages of natural steps on the dual itself; yields (average, rows drawn so far) after each.

    .. math:: h_i \leftarrow h_i + \eta_n \, \frac{\gamma}{\nu_i} (\nu_i - m_i)

    The gap γ of the scores over the mass is about what a cell's offset must change to change its mass by all of it,
    so η is a number near 1 in any units. It starts where the noise of a step is the error ``rms`` there already is,
    and falls as :math:`n^{-0.7}` (a little faster for p = 1); the average [Polyak92]_ weighs an iterate by the root
    of the rows drawn until then (their square for p = 1). A mass counts as 2 ν and three rows at most, which it rarely
    is at the solution; before, a light cell would fall far below it in one step, and take many to come back.

    In many dimensions, if rows are not turned, the masses m are not counts but kernel estimates with much less
    variance: softmax at two widths, combined so that the leading term of the bias cancels,

    .. math:: m = \tfrac43 m_\varepsilon - \tfrac13 m_{2 \varepsilon}, \qquad
        \varepsilon = \gamma \min(1, (50 N / n)^{1/4})

    References
    ----------
    .. [Polyak92] B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
       Journal on Control and Optimization, 1992.
    """
    n_points = len(weights)
    smooth = is_smooth(scores)
    batch = min(MAX_BATCH, max(2048, 4 * n_points))
    rate = min(0.5, 2 * rms**2 * batch / n_points)
    # Where the cost is the distance, cells are thin rays: large steps leave a bias that no average removes, and small
    # ones take long, so that an average should forget.
    decay, recency = (0.7, 0.5) if scores.cost.power > 1 else (0.85, 2)
    before = max(4 * n_points / rate ** (1 / decay), 20 * batch)
    average, total, used, seen = h.clone(), 0.0, 0, 0
    while True:
        x = draw_batch(scores, draw, min(MAX_BATCH, max(batch, seen // 20)))
        size = len(x) * scores.rows_worth
        used, seen = used + len(x), seen + size
        gap = 0.9 * gap + 0.1 * top_gap(scores, x, h)
        step = gap * rate * (before / (before + seen)) ** decay
        if smooth:
            width = min(1.0, (50 * n_points / (before + seen)) ** 0.25)
            epsilon = width * gap + 1e-12
            near, far = soft_masses(scores, x, h, [epsilon, 2 * epsilon])
            mass, step = (4 * near - far) / 3, step * (1 + 2 * width)
        else:
            mass = scores.masses(x, h)
        h = h + step * (1 - mass.clamp_max(2 * weights + 3 / size) / weights)
        weight = size * seen**recency
        total += weight
        average = average + (h - average) * (weight / total)
        yield average, used


def is_smooth(scores):
    """Whether `natural_ascent` takes kernel estimates of the masses."""
    return scores.points.shape[1] >= SMOOTH_FEATURES and not scores.is_normal

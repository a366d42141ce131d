"""Wasserstein-1 in many dimensions: a penalised critic on matched rows, and distributions along its rays."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.helper import predefined_split

from sklearn_ot.base import warn_user
from sklearn_ot.nets import (
    CriticNet,
    JointNet,
    TensorPairs,
    TensorRows,
    processes_of,
    started_callbacks,
    torch_seed,
    training_device,
)
from sklearn_ot.networks import Dense, module_of
from sklearn_ot.nn import LiftedPotential, RayDistributions
from sklearn_ot.objectives.rays import ray_cross_entropy
from sklearn_ot.objectives.w1 import dual_and_excess
from sklearn_ot.solvers.axes import Axes, AxesTransport, Solution, middle_box
from sklearn_ot.solvers.lipschitz import held_out_sides
from sklearn_ot.solvers.matching import match_samples
from sklearn_ot.solvers.potentials import FrozenModule
from sklearn_ot.solvers.rays import RayTransport
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.units import UnitCoordinates

# Smallest number of rows of a sample of which some are held out, their share, and their largest number.
LEAST_ROWS, HELD_OUT, MAX_HELD_OUT = 20, 0.1, 16_384
# Largest number of pairs, and largest size (pairs × features) of them: half a gigabyte of float32.
MAX_PAIRS, MAX_NUMBERS = 2**20, 2**26
# Decay of the weights of the potential, times the step size: where rows are few, it follows their noise less.
WEIGHT_DECAY = 0.03
# Number of rows of which slopes are measured, and of those that determine the function of the lower bound.
SLOPE_ROWS, N_ANCHORS = 4096, 8192
# The distance of a row from the point at which its ray is found, as a share of the distance of the samples.
REACH = 0.25
# Bins of the distributions along rays: their largest number, and the smallest number of rows of each sample in a bin.
N_BINS, ROWS_PER_BIN = 64, 8
# The distributions: steps for each step of the critic, step size, share of the steps in which it falls, and patience.
RAY_STEPS, RAY_LEARNING_RATE, RAY_COOLING, RAY_PATIENCE = 1, 1e-2, 0.5, 10
# The estimator, in progress bars and messages.
TITLE = "W1Transport"
HISTORY_KEYS = ("n_iter", "dur", "train_loss", "dual_value", "excess", "valid_loss")


class Training(NamedTuple):
    """How networks are trained: parameters of `W1Transport` with the same names."""

    network: Any
    learning_rate: float
    batch_size: int
    max_iter: int
    device: str | torch.device
    callbacks: Sequence
    verbose: int

    @classmethod
    def of(cls, estimator):
        """The parameters of an estimator."""
        return cls(*(getattr(estimator, name) for name in cls._fields))

    def net_parameters(self):
        """The arguments of a net that do not depend on the stage."""
        device, processes = training_device(self.device), processes_of(self.device)
        return {
            "optimizer": torch.optim.AdamW,
            "optimizer__fused": device.type != "mps",
            "batch_size": self.batch_size,
            "callbacks": list(self.callbacks),
            "device": device,
            "processes": processes,
            "verbose": int(self.verbose and processes.is_first),
            "title": TITLE,
        }

    def started(self):
        """The same training with copies of the callbacks, whose time begins now."""
        return self._replace(callbacks=started_callbacks(self.callbacks, TITLE, CriticNet, JointNet))


def solve_by_critic(
    source: Sample, target: Sample, axes: Axes, rng: np.random.RandomState, training: Training
) -> Solution:
    r"""The potential, the distance and the map of Wasserstein-1 between two samples, by networks.

    A tenth of the rows is held out. The potential is that of `sklearn_ot.nets.CriticNet` on matched pairs of the other
    rows. Its value on them is too large on average, by their noise, and its value on held-out rows is too small by
    about as much. The distance is the mean of both, divided by the mean slope of the potential on the segments of
    the pairs. The map is that of `sklearn_ot.solvers.rays.RayTransport`.

    Parameters
    ----------
    source, target : Sample
        The samples, in float64.
    axes : Axes
        The axes, see `sklearn_ot.solvers.axes.find_axes`.
    rng : RandomState
        Divides and matches the rows, and seeds the networks.
    training : Training
        How networks are trained.

    Returns
    -------
    solution : Solution
        The solution.
    """
    training = training.started()
    held_out, fitted = _divided((source, target), rng)
    valid, train = (None if pair is None else axes.of_samples(pair) for pair in (held_out, fitted))
    n_pairs = int(min(max(max(len(part.rows), part.size) for part in train), MAX_PAIRS))
    matched = match_samples(*train, max(1, min(n_pairs, MAX_NUMBERS // axes.n_axes)), rng)
    with torch_seed(rng.randint(2**31), training_device(training.device)):
        potential, first = _fit_potential(matched, training)
        # Without training, the distributions are the same on all rays.
        rest = training._replace(max_iter=0) if first.interrupted_ else training
        rays, second = _fit_rays(potential, matched, valid or train, rest)
    slope, history = _mean_slope(potential, matched), _history(potential=first, rays=second)
    transport, unit = AxesTransport(axes, replace(potential, rays=rays)), axes.length
    in_sample = _dual_value(potential, train)
    if held_out is None:
        return Solution(transport, unit * max(in_sample / slope, 0.0), history=history, n_iter=first.n_iter_)
    on_others = _dual_value(potential, valid)
    distance = max((in_sample + on_others) / 2 / slope, 0.0)
    sides = held_out_sides(transport, fitted, held_out, rng, N_ANCHORS)
    return Solution(transport, unit * distance, unit * in_sample, unit * on_others, sides, history, first.n_iter_)


def _divided(pair, rng):
    """Held-out rows of both samples, or None if there are too few rows, and the other rows."""
    if min(min(sample.size, len(sample.rows)) for sample in pair) < LEAST_ROWS:
        return None, pair
    return zip(*(sample.split(min(HELD_OUT, MAX_HELD_OUT / sample.size), rng) for sample in pair), strict=True)


def _dual_value(potential, pair):
    # Values in float32, whose sums are not.
    values = [sample.mass @ potential.potential(sample.rows.astype(np.float32)) for sample in pair]
    return float(values[0] - values[1])


def _fit_potential(matched, training):
    """The potential from matched rows of coordinates, and its net."""
    limits = np.stack(middle_box(matched))
    units = UnitCoordinates.standard(np.clip(np.concatenate(matched), *limits), _even(2 * len(matched[0])))
    start = RayTransport(units.center, units.scale, (limits - units.center) / units.scale, 0.0, 0.0, None)
    x, y = (torch.as_tensor(start.inputs(rows), dtype=torch.float32) for rows in matched)
    n_axes = x.shape[1]
    network = Dense((128,) * 3, "silu") if training.network is None else training.network
    net = CriticNet(
        LiftedPotential,
        dual_and_excess,
        max_iter=training.max_iter,
        lr=training.learning_rate,
        optimizer__betas=(0.95, 0.99),
        optimizer__weight_decay=WEIGHT_DECAY,
        module__n_features=n_axes,
        module__network=module_of(network, "function", n_features=n_axes + 1, n_outputs=None),
        remedy=f"Lower learning_rate (now {training.learning_rate:g}).",
        **training.net_parameters(),
    ).initialize()
    net.partial_fit(TensorRows(torch.cat([x, y], 1).to(net.device)))
    potential = replace(start, network=_frozen(net))
    means = [float(potential.potential(rows[:SLOPE_ROWS]).mean() / start.scale) for rows in matched]
    return replace(potential, level=sum(means) / 2, reach=REACH * max(means[0] - means[1], 0.0)), net


def _mean_slope(potential, matched):
    """The mean slope on segments between matched rows."""
    x, y = (rows[:SLOPE_ROWS] for rows in matched)
    share = (np.arange(len(x))[:, None] + 0.5) / len(x)
    return float(np.linalg.norm(potential.gradient(x + share * (y - x)), axis=1).mean()) or 1.0


def _fit_rays(potential, matched, others, training):
    """The distributions along the rays of a potential, and their net."""
    rows = (*matched, *(part.rows for part in others))
    parts = [potential.places(part.astype(np.float32), k % 2 == 0) for k, part in enumerate(rows)]
    values = [part[:, -1] for part in parts[:2]]
    n_bins = max(1, min(N_BINS, len(values[0]) // ROWS_PER_BIN))
    edges = _edges(np.concatenate(values), n_bins)
    if len(edges) == 1:
        edges = edges + np.array([-0.5, 0.5])
    counts = [np.histogram(part, edges)[0] + 0.5 for part in values]
    n_labels = parts[0].shape[1] - 1
    net = JointNet(
        RayDistributions,
        ray_cross_entropy,
        evaluation=ray_cross_entropy,
        stage="rays",
        max_iter=RAY_STEPS * training.max_iter,
        lr=RAY_LEARNING_RATE,
        tol=1e-3,
        n_iter_no_change=RAY_PATIENCE,
        cooling=RAY_COOLING,
        optimizer__betas=(0.9, 0.99),
        optimizer__weight_decay=0.0,
        module__network=module_of(
            Dense((128, 128), "silu"), "function", n_features=n_labels, n_outputs=2 * (len(edges) - 1)
        ),
        module__edges=tuple(map(float, edges)),
        module__probabilities=[tuple(map(float, count / count.sum())) for count in counts],
        remedy="",
        **training.net_parameters(),
    ).initialize()
    rows = [torch.from_numpy(part).to(net.device) for part in parts]
    weights = [None if part.weight is None else torch.from_numpy(part.weight) for part in others]
    net.set_params(train_split=predefined_split(TensorPairs(*rows[2:], *weights)))
    net.partial_fit(TensorPairs(*rows[:2]))
    return _frozen(net), net


def _frozen(net):
    arguments = net.get_params_for("module")
    # A class of the user may be one that can only be built with weights.
    is_own = arguments["network"][0].__module__.startswith("sklearn_ot.nn.")
    return FrozenModule(net.module_, (net.module, arguments) if is_own else None)


def _history(**nets):
    """The rows of the histories of nets, with a warning if one was interrupted."""
    for stage, net in nets.items():
        if net.interrupted_:
            warn_user(f"Training was interrupted after {net.n_fitted_} steps of the stage {stage!r}.")
    return [
        {"stage": stage, **{key: row[key] for key in HISTORY_KEYS if key in row}}
        for stage, net in nets.items()
        for row in net.history
    ]


def _even(n_rows):
    return np.full(n_rows, 1 / n_rows)


def _edges(values, n_bins):
    """The ends of bins: half of the bins have as many values as each other, and half are as wide as each other.

    Rows far up on their rays are few, and have the longest moves. One bin for all of them would make these moves equal.
    """
    levels = np.linspace(0, 1, max(1, n_bins // 2) + 1)
    return np.unique([np.quantile(values, levels), values.min() + np.ptp(values) * levels])

"""Methods of other authors in PyTorch that benchmarks/w2.py compares, in balanced coordinates and in raw ones."""

import itertools
import math
import time
from functools import partial

import torch
from _w2_coordinates import MAX_ROWS, balanced, in_both, raw
from torch import nn

WIDTHS = (128, 128, 128)
# Step sizes were chosen from 1e-3, 3e-3 and 1e-2 on seed 0 of "icnn" and "ridge" in 16 dimensions after 15 s, and those
# of the fixed point on seed 0 of "envelope" and "ridge" after 6 s: without damping it diverges.
FLOW = {"batch_size": 256, "learning_rate": {balanced: 3e-3, raw: 1e-2}, "n_steps": 20}
FIXED_POINT = {"batch_size": 256, "learning_rate": 3e-3, "n_steps": 20, "damping": 0.15}


def network(n_inputs, n_outputs, activation):
    """A fully connected network whose output is 0 at first."""
    sizes = (n_inputs, *WIDTHS)
    layers = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), activation())]
    last = nn.Linear(WIDTHS[-1], n_outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def train(module, loss_of, Xs, Xt, budget_s, batch_size, learning_rate):
    """Minimise ``loss_of(x, y)`` with Adam, whose step size decays like a cosine over the budget, and count steps."""
    optimizer = torch.optim.Adam(module.parameters(), lr=learning_rate)
    x, y = (torch.from_numpy(rows[:MAX_ROWS]).float() for rows in (Xs, Xt))
    start, n_steps = time.process_time(), 0
    while (spent := (time.process_time() - start) / budget_s) < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 + math.cos(math.pi * spent)) / 2
        optimizer.zero_grad()
        loss_of(*(rows[torch.randint(len(rows), (batch_size,))] for rows in (x, y))).backward()
        optimizer.step()
        n_steps += 1
    return {"steps": n_steps}


def on_rows(forward, inverse, coordinates):
    """Two maps of rows from a map and its inverse between tensors of coordinates."""

    def mapped(transport, rows):
        return transport(torch.from_numpy(rows).float()).double().numpy()

    return (
        lambda X: coordinates.to_target(mapped(forward, coordinates.of_source(X))),
        lambda Y: coordinates.to_source(mapped(inverse, coordinates.of_target(Y))),
    )


def fit_flow(make_coordinates, Xs, Xt, budget_s, seed):
    """OT-CFM of torchcfm: the velocity of straight paths between rows that an exact plan of each batch couples."""
    from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher

    torch.manual_seed(seed)
    coordinates, n_features = make_coordinates(Xs, Xt), Xs.shape[1]
    velocity = network(n_features + 1, n_features, nn.SELU)
    matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)

    def loss_of(x, y):
        t, middle, speed = matcher.sample_location_and_conditional_flow(x, y)
        return (velocity(torch.cat([middle, t[:, None]], 1)) - speed).square().mean()

    facts = train(
        velocity,
        loss_of,
        coordinates.of_source(Xs),
        coordinates.of_target(Xt),
        budget_s,
        FLOW["batch_size"],
        FLOW["learning_rate"][make_coordinates],
    )

    @torch.no_grad()
    def flow(x, direction):
        """Integrate from 0 to 1, or back, by the classical method of Runge and Kutta."""
        step = direction / FLOW["n_steps"]
        time_of = 0.0 if direction > 0 else 1.0

        def at(x, t):
            return velocity(torch.cat([x, torch.full((len(x), 1), t)], 1))

        for _ in range(FLOW["n_steps"]):
            first = at(x, time_of)
            second = at(x + step / 2 * first, time_of + step / 2)
            third = at(x + step / 2 * second, time_of + step / 2)
            fourth = at(x + step * third, time_of + step)
            x = x + step / 6 * (first + 2 * second + 2 * third + fourth)
            time_of += step
        return x

    return *on_rows(partial(flow, direction=1), partial(flow, direction=-1), coordinates), facts


def fit_fixed_point(make_coordinates, Xs, Xt, budget_s, seed):
    """One potential φ of the target, whose c-transform is a fixed point (arXiv:2605.10792).

    The dual is E φᶜ(x) + E φ(y) with φᶜ(x) = min_y ½‖x - y‖² - φ(y). The minimiser solves y = x + ∇φ(y), and no
    gradient goes through it. The inverse map is y - ∇φ(y).
    """
    torch.manual_seed(seed)
    coordinates, n_features = make_coordinates(Xs, Xt), Xs.shape[1]
    potential = network(n_features, 1, nn.ELU)

    def gradient(y):
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            return torch.autograd.grad(potential(y).sum(), y)[0]

    def images(x):
        y = x
        for _ in range(FIXED_POINT["n_steps"]):
            y = y + FIXED_POINT["damping"] * (x + gradient(y) - y)
        return y

    def loss_of(x, y):
        return potential(images(x)).mean() - potential(y).mean()

    facts = train(
        potential,
        loss_of,
        coordinates.of_source(Xs),
        coordinates.of_target(Xt),
        budget_s,
        FIXED_POINT["batch_size"],
        FIXED_POINT["learning_rate"],
    )
    return *on_rows(images, lambda y: y - gradient(y), coordinates), facts


FLOWS = in_both("OT-CFM", fit_flow)
FIXED_POINTS = in_both("fixed point", fit_fixed_point)

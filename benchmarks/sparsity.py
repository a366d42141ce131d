"""How many weights of W2GN vanish, as a talk on it claims for up to 90 % of them, and what pruning them saves.

    python benchmarks/sparsity.py                        # everything: about ten minutes
    python benchmarks/sparsity.py --problems 8gaussians --steps 1000
    python benchmarks/sparsity.py --report               # the tables of the results so far

The networks, λ, step size, batch and clamp are those of [Korotin21]_, and so is the loop: Adam with momenta of 0.8 and
0.99, weights that must not be negative are clamped after each step, no average. Each problem is trained four times: the
non-negative weights start as in the package (uniform and positive), or as the authors' code has them (uniform around 0,
so that the first clamp sets half of them to 0); the objective has an L1 term of 1e-10 for all weights, or none.
``zeros`` and ``below_1e_6`` are shares of the non-negative weights of both potentials, for each layer and for all. The
problems are N(0, I) to eight Gaussians in the plane, and the digits of `load_digits_pair` in the 32 features of a
network that is trained on the labels of the source.

The last rows are of pruning: milliseconds of the gradient of ψ on 4000 rows and the number of its weights, before and
after units without effect are removed.
"""

import time

import numpy as np
import torch
from _common import Results, argument_parser, run
from sklearn.neural_network import MLPClassifier

from sklearn_ot.datasets import load_digits_pair, make_toy
from sklearn_ot.nn import DenseICNN, PotentialPair
from sklearn_ot.objectives.w2 import w2gn

RESULTS = Results(
    "sparsity.csv",
    key=("problem", "seed", "start", "l1", "step", "layer"),
    columns=("zeros", "below_1e_6", "weights", "ms", "ms_pruned", "size", "size_pruned", "sizes_pruned"),
    packages=("torch",),
)
SMALLEST = ["--seeds", "0", "--steps", "20", "--problems", "8gaussians"]
STEPS = (0, 100, 300, 1000, 3000, 10_000, 30_000)
N_TIMED_ROWS, N_TIMES = 4000, 5
L1 = 1e-10


def eight_gaussians(seed):
    rng = np.random.RandomState(seed)
    return rng.standard_normal((20_000, 2)), make_toy("8gaussians", 20_000, random_state=rng)


def digits(seed):
    """Both sets of digits in the features of a classifier, which are divided by their common deviation."""
    pair = load_digits_pair(random_state=seed)
    source, target = (part.images_train.reshape(len(part.images_train), -1) for part in (pair.source, pair.target))
    classifier = MLPClassifier((32,), max_iter=300, random_state=seed).fit(source, pair.source.y_train)
    weight, shift = classifier.coefs_[0], classifier.intercepts_[0]
    source, target = (np.maximum(rows @ weight + shift, 0) for rows in (source, target))
    return tuple((rows - source.mean(axis=0)) / source.std() for rows in (source, target))


# Published settings for toys, and for features of digits.
PROBLEMS = {
    "8gaussians": (eight_gaussians, {"sizes": (128, 128, 64), "rank": 3, "reg": 1.0, "rate": 1e-3, "batch": 1024}),
    "digits": (digits, {"sizes": (128, 128, 64), "rank": 2, "reg": 100.0, "rate": 1e-4, "batch": 128}),
}


def new_pair(n_features, settings, start):
    """Two convex networks; with the start "around 0", half of the non-negative weights are 0 after the first clamp."""
    networks = [
        DenseICNN(n_features, settings["sizes"], rank=settings["rank"], strong_convexity=1e-2) for _ in range(2)
    ]
    if start == "around 0":
        with torch.no_grad():
            for weight in (weight for network in networks for weight in network.inner):
                bound = weight.shape[1] ** -0.5
                weight.uniform_(-bound, bound)
    for network in networks:
        network.log_sharpness.requires_grad_(False)
    pair = PotentialPair(*networks)
    pair.project_()
    return pair


def train(problem, settings, start, l1, max_steps, seed):
    """Train by the authors' loop, and yield the step and the pair at each of `STEPS`."""
    x, y = (torch.from_numpy(rows).float() for rows in problem)
    torch.manual_seed(seed)
    pair = new_pair(x.shape[1], settings, start)
    optimizer = torch.optim.Adam(pair.parameters(), lr=settings["rate"], betas=(0.8, 0.99))
    for step in range(max_steps + 1):
        if step in STEPS or step == max_steps:
            yield step, pair
        batch = (rows[torch.randint(len(rows), (settings["batch"],))] for rows in (x, y))
        loss = w2gn(pair, *batch, reg=settings["reg"])
        if l1:
            loss = loss + l1 * sum(weight.abs().sum() for weight in pair.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        pair.project_()


def layers(pair):
    """The non-negative weights of both potentials by layer, and of all layers."""
    inner = [[weight.detach().flatten() for weight in network.inner] for network in (pair.potential, pair.inverse)]
    parts = {f"{k + 1}": torch.cat(weights) for k, weights in enumerate(zip(*inner, strict=True))}
    return {**parts, "all": torch.cat(list(parts.values()))}


def pruning(network, rows):
    """Time and size of a network before and after pruning."""
    pruned = network.pruned()
    return {
        "ms": milliseconds(network, rows),
        "ms_pruned": milliseconds(pruned, rows),
        "size": sum(weight.numel() for weight in network.parameters()),
        "size_pruned": sum(weight.numel() for weight in pruned.parameters()),
        "sizes_pruned": " ".join(map(str, pruned.hidden_layer_sizes)),
    }


@torch.no_grad()
def milliseconds(network, rows):
    """Median CPU-time of a gradient."""
    times = []
    for _ in range(N_TIMES):
        start = time.process_time()
        network.gradient(rows)
        times.append(1e3 * (time.process_time() - start))
    return round(float(np.median(times)), 2)


def measure(arguments, results):
    """Train each problem four times, and store the zeros and the effect of pruning."""
    for seed in arguments.seeds:
        for name in arguments.problems:
            make, settings = PROBLEMS[name]
            problem = make(seed)
            rng = np.random.RandomState(seed)
            rows = torch.from_numpy(problem[0][rng.randint(len(problem[0]), size=N_TIMED_ROWS)]).float()
            for start in ("positive", "around 0"):
                for l1 in (0.0, L1):
                    for step, pair in train(problem, settings, start, l1, arguments.steps, seed):
                        key = {"problem": name, "seed": seed, "start": start, "l1": f"{l1:g}", "step": step}
                        for layer, weights in layers(pair).items():
                            last = pruning(pair.potential, rows) if layer == "all" else {}
                            row = {
                                "zeros": round(float((weights == 0).float().mean()), 4),
                                "below_1e_6": round(float((weights < 1e-6).float().mean()), 4),
                                "weights": len(weights),
                            }
                            results.store({**key, "layer": layer, **row, **last})


def report(results):
    """Print the shares by step and layer, and the effect of pruning."""
    columns = {"zeros": "exact zeros", "below_1e_6": "below 1e-6"}
    by = {"problem": "problem", "start": "start", "l1": "L1", "step": "step", "layer": "layer"}
    results.summarise("sparsity_table.csv", by, columns)
    columns = {"ms": "ms", "ms_pruned": "ms pruned", "size": "weights", "size_pruned": "weights pruned"}
    by = {name: title for name, title in by.items() if name != "layer"}
    results.summarise("sparsity_pruned.csv", by, columns, lambda row: row["layer"] == "all")


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=(1000,))
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=tuple(PROBLEMS))
    parser.add_argument("--steps", type=int, default=3000)
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

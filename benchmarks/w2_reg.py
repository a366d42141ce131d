"""W2Transport on few rows: the error with a pull towards the Gaussian map, and the pull that W2TransportCV chooses.

    python benchmarks/w2_reg.py                    # everything: about half an hour
    python benchmarks/w2_reg.py --seeds 1000 --pairs multimodal
    python benchmarks/w2_reg.py --report           # the table of the results so far

200 rows of each sample of `make_potential_pair` in 8 dimensions: strongly multimodal (α = 0.3) and nearly linear
(α = 3). Small networks, batches of 64, at most 600 steps. Error: L2-UVP in % on 10 000 fresh rows, forward and inverse,
of the Gaussian map and of `W2Transport` with each λ. ``chosen`` is 1 for the λ that `W2TransportCV` chooses with three
folds.
"""

from _common import SEEDS, Results, argument_parser, run
from sklearn.base import clone

from sklearn_ot.datasets import make_potential_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, W2Transport, W2TransportCV

RESULTS = Results(
    "w2_reg.csv", key=("pair", "seed", "method"), columns=("forward", "inverse", "chosen"), packages=("torch", "POT")
)
SMALLEST = ["--seeds", "0", "--pairs", "multimodal", "--regs", "0", "1", "--steps", "10", "--test-rows", "200"]
PAIRS = {"multimodal": 0.3, "nearly linear": 3.0}


def fitted_maps(pair, regs, n_steps, seed):
    """Names, fitted maps, and whether `W2TransportCV` has chosen them."""
    yield "Gaussian map", GaussianTransport().fit(pair.source, pair.target), False
    free = W2Transport(batch_size=64, max_iter=n_steps, random_state=seed, network=Convex((64, 64)))
    search = W2TransportCV(free, regs, cv=3, random_state=seed).fit(pair.source, pair.target)
    for reg in regs:
        chosen = reg == search.reg_
        transport = search.transport_ if chosen else clone(free).set_params(reg=reg).fit(pair.source, pair.target)
        yield f"reg={reg:g}", transport, chosen


def measure(arguments, results):
    """Fit each map, measure its errors, and store its row."""
    for seed in arguments.seeds:
        for name in arguments.pairs:
            pair = make_potential_pair(8, 200, strong_convexity=PAIRS[name], random_state=seed)
            X = pair.sample_source(arguments.test_rows, random_state=seed + 500)
            Y = pair.transport(X)
            for method, transport, chosen in fitted_maps(pair, arguments.regs, arguments.steps, seed):
                errors = {
                    "forward": round(l2_uvp(transport.transform(X), Y), 2),
                    "inverse": round(l2_uvp(transport.inverse_transform(Y), X), 2),
                }
                results.store({"pair": name, "seed": seed, "method": method, **errors, "chosen": int(chosen)})


def report(results):
    """Print the median (range) of the errors and of ``chosen``."""
    columns = {"forward": "forward, %", "inverse": "inverse, %", "chosen": "chosen"}
    results.summarise("w2_reg_table.csv", {"pair": "pair", "method": "method"}, columns)


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=tuple(PAIRS))
    parser.add_argument("--regs", nargs="+", type=float, default=(0.0, 0.1, 1.0, 10.0), help="λ")
    parser.add_argument("--steps", type=int, default=600, help="at most, of a fit")
    parser.add_argument("--test-rows", type=int, default=10_000)
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

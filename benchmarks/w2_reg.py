"""Where a pull towards the Gaussian map helps, and whether W2TransportCV finds it.

    python benchmarks/w2_reg.py [--seeds 1000 1001 1002]

200 rows a side of `make_potential_pair` in 8 dimensions: strongly multimodal (α = 0.3) and nearly linear (α = 3). Small
networks, batches of 64, at most 600 steps. Error: L2-UVP in % on 10 000 fresh rows, forward and inverse, of each λ and
of the one that W2TransportCV chooses by three folds.
"""

import argparse
import warnings

import torch
from _common import write_results
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_ot.datasets import make_potential_pair
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.transport import GaussianTransport, W2Transport, W2TransportCV

REGS = (0.0, 0.1, 1.0, 10.0)
PAIRS = {"multimodal": 0.3, "nearly linear": 3.0}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=(1000, 1001, 1002))
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = []
    for seed in seeds:
        for name, strong_convexity in PAIRS.items():
            pair = make_potential_pair(8, 200, strong_convexity=strong_convexity, random_state=seed)
            X = pair.sample_source(10_000, random_state=seed + 500)
            Y = pair.transport(X)
            free = W2Transport(hidden_layer_sizes=(64, 64), batch_size=64, max_iter=600, random_state=seed)
            search = W2TransportCV(free, REGS, cv=3, random_state=seed).fit(pair.source, pair.target)
            transports = {"Gaussian map": GaussianTransport().fit(pair.source, pair.target)}
            transports |= {f"reg={reg:g}": clone(free).set_params(reg=reg) for reg in REGS if reg != search.reg_}
            transports[f"reg={search.reg_:g}"] = search.transport_
            for method, transport in sorted(transports.items()):
                if not hasattr(transport, "target_reference_"):
                    transport.fit(pair.source, pair.target)
                rows.append(
                    {
                        "pair": name,
                        "seed": seed,
                        "method": method,
                        "forward": round(l2_uvp(transport.transform(X), Y), 2),
                        "inverse": round(l2_uvp(transport.inverse_transform(Y), X), 2),
                        "chosen": int(transport is search.transport_),
                    }
                )
                print(*rows[-1].values(), flush=True)
    write_results(rows)


if __name__ == "__main__":
    main()

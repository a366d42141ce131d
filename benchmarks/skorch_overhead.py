"""The W2GN step through skorch, with every default callback, against the same step in a bare torch loop.

Both draw batches, evaluate the objective, step Adam, project, average the weights and follow the same schedule.
Bar: at most 15 % more at batch 256.
"""

from functools import partial

import torch
from _common import spread, time_in_turn, write_results
from skorch.helper import predefined_split
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sklearn_ot.nets import BLOCK_SIZE, JointNet, PairLoader, TensorPairs
from sklearn_ot.nets._joint import learning_rate_schedule
from sklearn_ot.objectives.w2 import w2gn
from sklearn_ot.transport._w2 import ConvexPair

OBJECTIVE = partial(w2gn, reg=3.0)


def no_evaluation(module, x, y):
    return torch.zeros(())


def bare_loop(data, n_features, batch_size):
    module = ConvexPair(n_features, hidden_layer_sizes=(128, 128), plain_inverse=False)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2, betas=(0.9, 0.95), fused=True)
    scheduler = LambdaLR(optimizer, learning_rate_schedule)
    weights = [weight.detach() for weight in module.parameters()]
    average = [weight.clone() for weight in weights]

    def block():
        losses = []
        for x, y in PairLoader(data, batch_size, BLOCK_SIZE, BLOCK_SIZE):
            optimizer.zero_grad()
            loss = OBJECTIVE(module, x, y)
            loss.backward()
            optimizer.step()
            module.project_()
            get_ema_multi_avg_fn(0.998)(average, weights, None)
            scheduler.step()
            losses.append(loss.detach())
        return torch.stack(losses).mean().item()

    return block


def skorch_loop(data, n_features, batch_size):
    net = JointNet(
        ConvexPair,
        OBJECTIVE,
        evaluation=no_evaluation,
        max_iter=BLOCK_SIZE,
        tol=0.0,
        n_iter_no_change=10**9,
        remedy="",
        module__n_features=n_features,
        module__hidden_layer_sizes=(128, 128),
        module__plain_inverse=False,
        optimizer=torch.optim.Adam,
        optimizer__betas=(0.9, 0.95),
        optimizer__fused=True,
        lr=1e-2,
        batch_size=batch_size,
        train_split=predefined_split(data),
        verbose=0,
    ).initialize()
    return lambda: net.partial_fit(data)


def main():
    torch.set_num_threads(1)
    rows = []
    for n_features in (2, 16, 64):
        data = TensorPairs(torch.randn(20_000, n_features), torch.randn(20_000, n_features))
        for batch_size in (64, 256, 1024):
            loops = {"bare": bare_loop, "skorch": skorch_loop}
            blocks = {name: loop(data, n_features, batch_size) for name, loop in loops.items()}
            seconds = time_in_turn(blocks, n_rounds=7, n_calls=1)
            bare, skorch = ([1e3 * second / BLOCK_SIZE for second in seconds[name]] for name in ("bare", "skorch"))
            rows.append(
                {
                    "features": n_features,
                    "batch": batch_size,
                    "bare, ms a step": spread(bare, 2),
                    "skorch, ms a step": spread(skorch, 2),
                    "skorch / bare": spread([s / b for s, b in zip(skorch, bare, strict=True)], 3),
                }
            )
    write_results(rows)


if __name__ == "__main__":
    main()

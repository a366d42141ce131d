"""Steps of training, compared with the same steps in plain PyTorch, in milliseconds of CPU time on one thread.

    python benchmarks/steps.py                                  # everything: about ten minutes
    python benchmarks/steps.py --comparisons FIT --features 2
    python benchmarks/steps.py --report                         # the table of the results so far

Both sides of a comparison run in turn, block by block. Each row has the median and range over the blocks of our time,
of the other time, and of the ratio ours / other. ``load`` is the mean number of processes that wanted a core in the
last minute. Comparisons:

gradient
    Value and gradient of a `DenseICNN` on 256 rows and the backward pass to its weights: the gradient in closed form,
    against the same function in torch's own operations with ``create_graph=True``. Expected: a ratio of about 0.8.
W2
    A step of `W2Transport` with ``solver="w2gn"``: through skorch, with stratified batches, a schedule and the average
    of the weights, against a bare loop with random batches, Adam, projection and a running average. Expected: at most
    1.15.
WGAN
    A whole round of `WGANGenerator` with the gradient penalty, with even noise, tests for divergence and a score in
    each block, against a bare loop with random batches and normal noise. Expected: at most 1.15.
FIT
    A step of the regression of `SemiDiscreteOTGenerator`, without the transport between rounds, against a bare loop
    with random batches of an assignment. Expected: 1.2 to 1.4. A step is short, and ours takes 0.2 to 0.6 ms more.
"""

import os
import time

import numpy as np
import torch
from _common import Results, argument_parser, median_range, print_table, run, time_in_turn, timed
from skorch.callbacks import Callback
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.networks import Convex
from sklearn_ot.nn import DenseICNN, MLPCritic, MLPGenerator, PotentialPair
from sklearn_ot.objectives.w2 import w2gn
from sklearn_ot.transport import W2Transport

RESULTS = Results(
    "steps.csv",
    key=("comparison", "features", "batch", "setting"),
    columns=("ours_ms", "other_ms", "ratio", "load"),
    packages=("torch", "skorch"),
)
SMALLEST = ["--features", "2", "--batches", "64", "--rounds", "1", "--calls", "2"]
HIDDEN_LAYER_SIZES = {2: (64, 64), 16: (128, 128), 64: (192, 192), 256: (256, 256)}  # for the comparison "gradient"
N_CRITIC, PENALTY = 5, 0.1


class PlainICNN(DenseICNN):
    """The same function in torch's own operations, whose gradient is computed by autograd."""

    def forward(self, x):
        skips = self.skip(x)
        if self.rank:
            skips = skips + sum((x @ self.squares.T).square().chunk(self.rank, dim=1))
        first, *rest = skips.split(self.hidden_layer_sizes, dim=1)
        z = self.activate(first)
        for weight, skip in zip(self.inner, rest, strict=False):
            z = self.activate(skip + z @ weight.T)
        squares = self.strong_convexity * x.square() + (x @ self.quadratic.T).square()
        return squares.sum(1) / 2 + x @ self.shift + z @ self.inner[-1][0]

    def activate(self, v):
        if self.activation == "logsumexp":
            return v.unflatten(1, (self.pool_size, -1)).logsumexp(1)
        return {"celu": F.celu, "softplus": F.softplus}[self.activation](v)

    def value_and_gradient(self, x):
        x = x.detach().requires_grad_()
        value = self(x)
        (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        return value, gradient


def compare_gradients(features, batches, n_calls):
    for n_features in features or HIDDEN_LAYER_SIZES:
        for rank in (0, 1):
            for activation in ("logsumexp", "celu", "softplus"):
                sizes = HIDDEN_LAYER_SIZES[n_features]
                torch.manual_seed(0)
                settings = {"rank": rank, "activation": activation}
                ours, plain = (kind(n_features, sizes, **settings) for kind in (DenseICNN, PlainICNN))
                torch.nn.init.uniform_(ours.inner[-1], 0, 0.1)
                plain.load_state_dict(ours.state_dict())
                x = torch.randn(256, n_features)
                pairs = zip(ours.value_and_gradient(x), plain.value_and_gradient(x), strict=True)
                if not all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in pairs):
                    raise RuntimeError("The two networks of the comparison are not the same function.")
                cell = {"features": n_features, "batch": len(x)}
                cell["setting"] = f"{'-'.join(map(str, sizes))}, rank {rank}, {activation}"
                yield cell, *(timed(gradient_step(network, x), min(n_calls, 20)) for network in (ours, plain))


def gradient_step(network, x):
    def step():
        network.zero_grad()
        value, gradient = network.value_and_gradient(x)
        (value.mean() + gradient.square().mean()).backward()

    return step


class Times(Callback):
    """Call a function with the time when a block begins, after each of its steps, and when it ends."""

    def __init__(self, record):
        self.record = record

    def on_epoch_begin(self, net, **kwargs):
        self.record(time.process_time())

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.record(time.process_time())

    def on_epoch_end(self, net, **kwargs):
        self.record(time.process_time())


def fitted(estimator, *samples, whole_block=False):
    """A function that continues a fit by one block, and returns the milliseconds of a step.

    The time is taken from the end of the first step to the end of the last step, or over the whole block.
    """
    times = []
    # A function is not copied when an estimator clones its callbacks.
    estimator.set_params(callbacks=[Times(lambda now: times.append(now))], warm_start=True)
    estimator.set_params(random_state=0, device="cpu")

    def block():
        times.clear()
        estimator.fit(*samples)
        n_steps = len(times) - 2
        if whole_block:
            return 1e3 * (times[-1] - times[0]) / n_steps
        return 1e3 * (times[-2] - times[1]) / (n_steps - 1)

    return block


class Average:
    """A running average of the weights of a module."""

    def __init__(self, module, decay):
        self.weights = [weight.detach() for weight in module.parameters()]
        self.average = [weight.clone() for weight in self.weights]
        self.update = get_ema_multi_avg_fn(decay)

    def __call__(self):
        self.update(self.average, self.weights, None)


def descend(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def draw(rows, batch_size):
    return rows[torch.randint(len(rows), (batch_size,))]


def compare_w2(features, batches, n_calls):
    for n_features in features or (2, 16, 64):
        rng = np.random.RandomState(0)
        Xs, Xt = rng.standard_normal((2, 20_000, n_features)).astype(np.float32)
        for batch_size in batches:
            # Two rows for validation, which takes no time.
            transport = W2Transport("w2gn", plan_size=0, validation_fraction=1e-4, tol=1e-9, n_iter_no_change=10**9)
            transport.set_params(network=Convex((128, 128), "logsumexp", rank=0))
            transport.set_params(batch_size=batch_size, max_iter=n_calls)
            cell = {"features": n_features, "batch": batch_size, "setting": "w2gn"}
            yield cell, fitted(transport, Xs, Xt), timed(bare_w2(Xs, Xt, batch_size), n_calls)


def bare_w2(Xs, Xt, batch_size):
    x, y, n_features = torch.from_numpy(Xs), torch.from_numpy(Xt), Xs.shape[1]
    pair = PotentialPair(*(DenseICNN(n_features, (128, 128), rank=0, activation="logsumexp") for _ in range(2)))
    optimizer = torch.optim.Adam(pair.parameters(), lr=1e-2, betas=(0.9, 0.95), fused=True)
    update_average, losses = Average(pair, 0.998), []

    def step():
        losses.append(descend(optimizer, w2gn(pair, draw(x, batch_size), draw(y, batch_size), reg=3.0)))
        pair.project_()
        update_average()

    return step


def compare_wgan(features, batches, n_calls):
    for n_features in features or (2, 64):
        X = np.random.RandomState(0).standard_normal((20_000, n_features)).astype(np.float32)
        for batch_size in batches:
            generator = WGANGenerator(reg=PENALTY, n_critic=N_CRITIC, batch_size=batch_size, max_iter=n_calls)
            cell = {"features": n_features, "batch": batch_size, "setting": f"{N_CRITIC} steps of the critic"}
            yield cell, fitted(generator, X, whole_block=True), timed(bare_wgan(X, batch_size), n_calls)


def bare_wgan(X, batch_size):
    rows, n_features = torch.from_numpy(X), X.shape[1]
    generator, critic = MLPGenerator(n_features, n_features), MLPCritic(n_features)
    critic_optimizer, optimizer = (
        torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.5, 0.9), fused=True) for part in (critic, generator)
    )
    update_average, losses = Average(generator, 0.99), []

    def game_round():
        for _ in range(N_CRITIC):
            real = draw(rows, batch_size)
            with torch.no_grad():
                fake = generator(torch.randn(batch_size, n_features))
            between = torch.lerp(fake, real, torch.rand(batch_size, 1)).requires_grad_()
            (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = (gradient.norm(dim=1) - 1).square().mean()
            loss = descend(critic_optimizer, critic(fake).mean() - critic(real).mean() + PENALTY * penalty)
        critic.requires_grad_(False)
        descend(optimizer, -critic(generator(torch.randn(batch_size, n_features))).mean())
        critic.requires_grad_(True)
        update_average()
        losses.append(loss)

    return game_round


def compare_fit(features, batches, n_calls):
    for n_features in features or (2, 64):
        X = np.random.RandomState(0).standard_normal((500, n_features)).astype(np.float32)
        for batch_size in batches:
            generator = SemiDiscreteOTGenerator(max_iter=1, n_fit_steps=4 * n_calls, batch_size=batch_size)
            generator.set_params(n_fit_samples=20_000, max_samples=20_000)
            cell = {"features": n_features, "batch": batch_size, "setting": "without transport"}
            yield cell, fitted(generator, X), timed(bare_fit(X, batch_size), 4 * n_calls)


def bare_fit(X, batch_size):
    points, n_features = torch.from_numpy(X), X.shape[1]
    noise, index = torch.randn(20_000, n_features), torch.randint(len(X), (20_000,))
    generator = MLPGenerator(n_features, n_features)
    optimizer, losses = torch.optim.Adam(generator.parameters(), lr=1e-3, fused=True), []

    def step():
        rows = torch.randint(len(noise), (batch_size,))
        loss = (generator(noise[rows]) - points[index[rows]]).square().sum(1).mean()
        losses.append(descend(optimizer, loss))

    return step


COMPARISONS = {"gradient": compare_gradients, "W2": compare_w2, "WGAN": compare_wgan, "FIT": compare_fit}


def measure(arguments, results):
    """Time each cell, and store its row."""
    for name in arguments.comparisons:
        for cell, ours, other in COMPARISONS[name](arguments.features, arguments.batches, arguments.calls):
            times = time_in_turn({"ours": ours, "other": other}, arguments.rounds)
            ratio = [a / b for a, b in zip(times["ours"], times["other"], strict=True)]
            times = {f"{side}_ms": median_range(values) for side, values in times.items()}
            load = f"{os.getloadavg()[0]:.1f}"
            results.store({"comparison": name, **cell, **times, "ratio": median_range(ratio), "load": load})


def report(results):
    """Print the table: a row for each cell."""
    columns = (*results.key, *results.columns)
    print_table([columns, *([row[name] for name in columns] for row in results.rows())])


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--comparisons", nargs="+", choices=COMPARISONS, default=tuple(COMPARISONS))
    parser.add_argument("--features", nargs="+", type=int, choices=HIDDEN_LAYER_SIZES, help="each has its own if none")
    parser.add_argument("--batches", nargs="+", type=int, default=(64, 256), help="rows in a step, but for gradient")
    parser.add_argument("--rounds", type=int, default=7, help="blocks that are timed")
    parser.add_argument("--calls", type=int, default=100, help="steps of a block")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

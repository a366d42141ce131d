"""A potential that is the mean of two convex networks, trained to carry a mixture near another."""

import numpy as np
import torch
from torch import nn

from sklearn_ot.datasets._newton import StronglyConvex
from sklearn_ot.datasets._sources import Mixture
from sklearn_ot.nn import DenseICNN, ResidualMap
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.conjugate import convex_conjugate

N_STEPS, BATCH, N_ROWS = 400, 128, 40_000
STEP_SIZE, GUESS_STEP_SIZE, WARM_UP, DECAY = 2e-2, 3e-3, 50, 300
N_COMPONENTS = 10
STRONG_CONVEXITY = 1e-2


class MeanOfNetworks(nn.Module):
    """The mean of two input-convex networks of different shapes, with CELU and squares in their skip connections."""

    def __init__(self, n_features):
        super().__init__()
        self.first = DenseICNN(n_features, (96, 64, 48), rank=2, strong_convexity=STRONG_CONVEXITY)
        self.second = DenseICNN(n_features, (72, 72, 40), rank=1, strong_convexity=STRONG_CONVEXITY)
        # The networks of published benchmarks have no sharpness that is learned.
        for network in (self.first, self.second):
            network.log_sharpness.requires_grad_(False)

    def forward(self, x):
        """The values."""
        return (self.first(x) + self.second(x)) / 2

    def value_and_gradient(self, x):
        """The values and the gradients."""
        parts = zip(self.first.value_and_gradient(x), self.second.value_and_gradient(x), strict=True)
        return tuple((one + other) / 2 for one, other in parts)


class TrainedNetworks(StronglyConvex):
    """The potential of `MeanOfNetworks` after a short training by the dual, from the source to a mixture of ten."""

    strong_convexity = STRONG_CONVEXITY

    def __init__(self, source, rng):
        self.n_features = source.n_features
        target = Mixture(source.n_features, N_COMPONENTS, rng)
        x, y = (torch.from_numpy(part.draw(N_ROWS, rng)).float() for part in (source, target))
        # The global random state of PyTorch is neither read nor changed.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.randint(2**31))
            self.network = trained(x, y).double().requires_grad_(False)

    def value(self, X):
        """The values."""
        return self._on_rows(lambda x: self.network(x), X)

    def gradient(self, X):
        """The gradients."""
        return self._on_rows(lambda x: self.network.value_and_gradient(x)[1], X)

    def _size_of_terms(self):
        return 1.0

    def _n_unknowns(self):
        return self.n_features

    def _newton_step(self, X, gradient):
        return -np.linalg.solve(self._hessian(X), gradient[:, :, None])[:, :, 0]

    def _hessian(self, X):
        """The Hessians, shape (n, d, d), a row of each from one backward pass."""
        x = torch.from_numpy(X).requires_grad_()
        columns = self.network.value_and_gradient(x)[1].sum(0)
        rows = [torch.autograd.grad(column, x, retain_graph=True)[0] for column in columns]
        return torch.stack(rows, 1).numpy()

    @staticmethod
    def _on_rows(function, X):
        return in_chunks(lambda x: function(torch.from_numpy(x)).numpy(), X)


def trained(x, y):
    """Train the networks by the dual with exact conjugates, whose searches start at the output of a third network.

    The loop does not use `sklearn_ot.nets`, so that the schedules and averages of the package do not change a pair. The
    networks and the search are those of the package.
    """
    n_features = x.shape[1]
    potential, guess = MeanOfNetworks(n_features), ResidualMap(n_features)
    optimizer = torch.optim.Adam(
        [{"params": potential.parameters(), "lr": STEP_SIZE}, {"params": guess.parameters(), "lr": GUESS_STEP_SIZE}]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARM_UP) / (1 + step / DECAY)
    )
    for _ in range(N_STEPS):
        x_batch, y_batch = (rows[torch.randint(len(rows), (BATCH,))] for rows in (x, y))
        guessed = guess.gradient(y_batch)
        found = convex_conjugate(
            potential.value_and_gradient, y_batch, guessed.detach(), tol=3e-2 * np.sqrt(n_features), max_iter=8
        )
        error = (guessed - found.argmax).square().sum(1).mean() / 2
        optimizer.zero_grad()
        (potential(x_batch).mean() - potential(found.argmax).mean() + error).backward()
        optimizer.step()
        schedule.step()
        potential.first.project_()
        potential.second.project_()
    return potential

"""The batches of the rounds of a game."""

import torch
from torch.utils.data import Dataset

from sklearn_ot.nets._pairs import MassOrder, spatial_order
from sklearn_ot.processes import ALONE

BLOCK_ROUNDS = 100


class LabelledRows(Dataset):
    """Rows, their one-hot labels, and an order in which rows that are close together are neighbours.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        The rows.
    labels : Tensor of shape (n, n_classes), default=None
        Labels of the rows; None is a label without columns.
    weights : Tensor of shape (n,), default=None
        Weights of the rows, positive and in float64; None for equal weights.
    """

    def __init__(self, x, labels=None, weights=None):
        self.x = x
        self.labels = x.new_empty(len(x), 0) if labels is None else labels
        order = spatial_order(x, min(len(x), 512))
        numbers = torch.arange(self.labels.shape[1], dtype=self.labels.dtype, device=x.device)
        # Stable, so that the rows of a class keep their order.
        self.order = order[(self.labels[order] @ numbers).argsort(stable=True)]
        self.masses = MassOrder(self.order, weights)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        return self.x[rows], self.labels[rows]

    def rows_at(self, places):
        """The rows at positions in the order, from 0 to n, in which a row of mean weight has length 1.

        Positions have the dtype of `MassOrder`, ``masses.dtype``.
        """
        return self[self.masses.at(places)]


class RoundLoader:
    """The batches of one round after another, in independent and stratified halves.

    The order of `LabelledRows` is divided into strata of equal mass, and half a batch has one row of each. So even a
    small batch has the classes, and in few dimensions the modes, in their proportions. A row is drawn with a
    probability proportional to its weight, independently of all other draws of its stratum. The two halves are
    independent.

    Parameters
    ----------
    dataset : LabelledRows
        The data.
    batch_size : int
        Number of rows in a batch.
    n_batches : int
        Number of batches in a round.
    n_rounds : int
        Number of rounds in all epochs; an epoch is a block of 100 rounds.
    processes : Processes, default=ALONE
        The processes that train together. ``batch_size`` is the number of rows in each of them.
    """

    def __init__(self, dataset, batch_size, n_batches, n_rounds, processes=ALONE):
        self.dataset, self.n_batches, self.remaining = dataset, n_batches, n_rounds
        self.sizes, self.processes = halves(batch_size), processes

    def state(self):
        """The number of rounds that are left, as a dict."""
        return {"remaining": self.remaining}

    def load_state(self, state):
        """Go on where another loader was."""
        self.remaining = state["remaining"]

    def __len__(self):
        return min(BLOCK_ROUNDS, self.remaining)

    def __iter__(self):
        n_rows, options = len(self.dataset), {"dtype": self.dataset.masses.dtype, "device": self.dataset.x.device}
        sizes = [self.processes.count * size for size in self.sizes]
        strata = torch.cat([torch.arange(size, **options) for size in sizes])
        lengths = torch.cat([torch.full((size,), n_rows / size, **options) for size in sizes])
        for _ in range(len(self)):
            self.remaining -= 1
            places = (strata + torch.rand(self.n_batches, len(strata), **options)) * lengths
            own = [self.processes.own(half, dim=1) for half in places.split(sizes, dim=1)]
            yield self.dataset.rows_at(torch.cat(own, dim=1))


def halves(n_rows):
    """Numbers of rows of the two halves of a batch, equal to those of ``torch.chunk``."""
    return n_rows - n_rows // 2, n_rows // 2

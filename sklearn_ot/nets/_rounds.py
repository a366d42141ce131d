"""Feeding the rounds of a game."""

import torch
from torch.utils.data import Dataset

from sklearn_ot.nets._pairs import spatial_order

BLOCK_ROUNDS = 100


class LabelledRows(Dataset):
    """Rows, their one-hot labels, and an order in which rows that are close together are neighbours.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        The rows.
    labels : Tensor of shape (n, n_classes), default=None
        Labels of the rows.
    """

    def __init__(self, x, labels=None):
        self.x = x
        self.labels = labels
        order = spatial_order(x, min(len(x), 512))
        # Stable, so that the rows of a class keep their order.
        self.order = order if labels is None else order[labels[order].argmax(1).argsort(stable=True)]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, rows):
        return self.x[rows], None if self.labels is None else self.labels[rows]


class RoundLoader:
    """The batches of one round after another, each half of them with a row from each of as many strata of the data.

    Strata are equal stretches of the order of `LabelledRows`. A batch of few rows then has the classes, and in few
    dimensions the modes, in their proportions. Each row is as likely as any other, and what is drawn does not depend on
    what was drawn before; the two halves are independent.

    Parameters
    ----------
    dataset : LabelledRows
        The data.
    batch_size : int
        Rows in a batch.
    n_batches : int
        Batches in a round.
    n_rounds : int
        Rounds altogether; an epoch is a block of 100 of them.
    """

    def __init__(self, dataset, batch_size, n_batches, n_rounds):
        self.dataset, self.n_batches, self.remaining = dataset, n_batches, n_rounds
        self.sizes = halves(batch_size)

    def __len__(self):
        return min(BLOCK_ROUNDS, self.remaining)

    def __iter__(self):
        n_rows, order = len(self.dataset), self.dataset.order
        strata = torch.cat([torch.arange(size, device=order.device) for size in self.sizes])
        lengths = torch.cat([torch.full((size,), n_rows / size, device=order.device) for size in self.sizes])
        for _ in range(len(self)):
            self.remaining -= 1
            places = (strata + torch.rand(self.n_batches, len(strata), device=order.device)) * lengths
            # Rounding may reach the end of the last stratum.
            yield self.dataset[order[places.long().clamp(max=n_rows - 1)]]


def halves(n_rows):
    """Numbers of rows of the two halves of a batch, as ``torch.chunk`` makes them."""
    return n_rows - n_rows // 2, n_rows // 2

"""Feeding two samples of different sizes to a net, without Python work per row."""

import torch
from torch.utils.data import Dataset


class TensorPairs(Dataset):
    """A source and a target sample as two tensors; their numbers of rows may differ.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Source rows.
    y : Tensor of shape (m, d)
        Target rows.
    """

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __len__(self):
        return max(len(self.x), len(self.y))

    def __getitem__(self, index):
        return self.x[index % len(self.x)], self.y[index % len(self.y)]


class PairLoader:
    """Independent random batches of both samples: each runs through its own permutations, at its own pace.

    An epoch is a block of ``block_size`` batches, whatever the sizes of the samples, and the loader is used up after
    ``n_batches`` batches. A sample smaller than the batch is given whole.

    Parameters
    ----------
    dataset : TensorPairs
        The samples.
    batch_size : int
        Rows of each sample in a batch.
    n_batches : int
        Batches altogether.
    block_size : int
        Batches in an epoch.
    """

    def __init__(self, dataset, batch_size, n_batches, block_size):
        self.remaining = n_batches
        self.block_size = block_size
        self.batches = zip(_batches(dataset.x, batch_size), _batches(dataset.y, batch_size), strict=True)

    def __len__(self):
        return min(self.block_size, self.remaining)

    def __iter__(self):
        for _ in range(len(self)):
            self.remaining -= 1
            yield next(self.batches)


def _batches(sample, batch_size):
    """Batches of one sample without end; a fresh permutation whenever the last one is used up."""
    while True:
        if batch_size >= len(sample):
            yield sample
            continue
        order = torch.randperm(len(sample), device=sample.device)
        for start in range(0, len(sample) - batch_size + 1, batch_size):
            yield sample[order[start : start + batch_size]]


class WholeLoader:
    """The dataset as one batch, for evaluation."""

    def __init__(self, dataset, batch_size=None):
        self.dataset = dataset

    def __len__(self):
        return 1

    def __iter__(self):
        yield self.dataset.x, self.dataset.y

"""Batches of two samples of different sizes, without Python code for each row."""

import torch
from sklearn.neighbors import KDTree
from torch.utils.data import Dataset

MAX_TREE_FEATURES = 8


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
    """Independent stratified batches of two samples, without end.

    A sample is divided into strata of equal size, the cells of a k-d tree, and a batch has one row of each. Means over
    such a batch vary less than means over rows drawn at random: in two dimensions, 256 stratified rows have as many
    effective rows as some thousands of random ones. All rows of a sample, except a remainder that changes each time,
    are used before any row is used again.

    An epoch has ``block_size`` batches for samples of any size, and the loader ends after ``n_batches`` batches. If a
    sample is smaller than the batch, each batch has the whole sample.

    Parameters
    ----------
    dataset : TensorPairs
        The samples.
    batch_size : int
        Rows of each sample in a batch.
    n_batches : int
        Number of batches in all epochs.
    block_size : int
        Number of batches in an epoch.
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
    """Yield batches of one sample, without end."""
    while batch_size >= len(sample):
        yield sample
    order = spatial_order(sample, batch_size)
    n_batches, n_spare = divmod(len(sample), batch_size)
    while True:
        kept = torch.randperm(len(sample), device=sample.device)[n_spare:]
        strata = order[kept.sort().values].view(batch_size, n_batches)
        shuffled = strata.gather(1, torch.rand(strata.shape, device=sample.device).argsort(1))
        for rows in shuffled.T:
            yield sample[rows]


def spatial_order(sample, n_strata):
    """Sort the indices of the rows into ``n_strata`` parts of equal size whose rows lie close together.

    The order is that of a k-d tree. Only the columns with the largest variances are split, because no sample has enough
    rows to split many columns.
    """
    columns = sample.var(dim=0, correction=0).topk(min(sample.shape[1], MAX_TREE_FEATURES)).indices
    leaf_size = max(1, len(sample) // (2 * n_strata))
    _, order, _, _ = KDTree(sample[:, columns].cpu().numpy(), leaf_size=leaf_size).get_arrays()
    return torch.as_tensor(order, device=sample.device)


class WholeLoader:
    """The dataset as one batch, for evaluation."""

    def __init__(self, dataset, batch_size=None):
        self.dataset = dataset

    def __len__(self):
        return 1

    def __iter__(self):
        yield self.dataset.x, self.dataset.y

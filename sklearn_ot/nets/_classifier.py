"""A skorch net that trains a classifier."""

import torch
from torch.utils.data import Dataset

from sklearn_ot.nets._autoencoder import one_cycle
from sklearn_ot.nets._block import BlockNet
from sklearn_ot.processes import ALONE


class LabelledSamples(Dataset):
    """Samples of rows with labels, of which each batch has equally many rows.

    Parameters
    ----------
    *samples : pair of Tensors of shape (n, d) and (n,)
        Rows and labels.
    """

    def __init__(self, *samples):
        self.samples = samples

    def __len__(self):
        return sum(len(y) for _, y in self.samples)


class SampleLoader:
    """Random batches of `LabelledSamples`, through one permutation of each sample after another.

    Parameters
    ----------
    dataset : LabelledSamples
        The samples.
    batch_size : int
        Rows of each sample in a batch.
    n_batches : int
        Number of batches.
    processes : Processes, default=ALONE
        The processes that train together. ``batch_size`` is the number of rows in each of them.
    """

    def __init__(self, dataset, batch_size, n_batches, processes=ALONE):
        self.dataset, self.batch_size, self.n_batches, self.processes = dataset, batch_size, n_batches, processes

    def __iter__(self):
        batches = [self._batches(*sample) for sample in self.dataset.samples]
        for _ in range(self.n_batches):
            yield tuple(torch.cat(parts) for parts in zip(*(next(batch) for batch in batches), strict=True))

    def _batches(self, x, y):
        while True:
            order = torch.randperm(len(y), device="cpu").to(y.device)
            for rows in self.processes.batches(order, self.batch_size):
                yield x[rows], y[rows]


class ClassifierNet(BlockNet):
    """Minimise ``criterion(module, x, y)``; the step size has one cycle, like that of an `AutoencoderNet`.

    Parameters
    ----------
    module : nn.Module class
        The classifier.
    criterion : callable
        The objective.
    max_iter : int
        Number of steps, which are one block.
    **kwargs
        As in `BlockNet`. The data are `LabelledSamples`.
    """

    IN_ONE_BLOCK = True

    def __init__(self, module, criterion, *, max_iter, **kwargs):
        super().__init__(
            module,
            criterion,
            max_iter=max_iter,
            block_size=max(max_iter, 1),
            iterator_train=SampleLoader,
            iterator_train__n_batches=max_iter,
            train_split=None,
            **kwargs,
        )

    def step_factor(self):
        """The rise and the fall."""
        return one_cycle(self.n_fitted_ / self.max_iter)

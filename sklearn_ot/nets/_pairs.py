"""Batches of weighted samples of different sizes, without Python code for each row."""

import torch
from sklearn.neighbors import KDTree
from torch.utils.data import Dataset

from sklearn_ot.nets._device import random_stream, set_random_stream
from sklearn_ot.processes import ALONE
from sklearn_ot.solvers.tensors import calibrated_weights, weighted_mean

MAX_TREE_FEATURES = 8


class TensorPairs(Dataset):
    """A source and a target sample as tensors; their numbers of rows may differ.

    Parameters
    ----------
    x, y : Tensor of shape (n, d), (m, d)
        Source rows and target rows.
    x_weight, y_weight : Tensor of shape (n,), (m,), default=None
        Positive weights, in float64 and on the CPU; None for equal weights.
    """

    def __init__(self, x, y, x_weight=None, y_weight=None):
        self.x, self.y = x, y
        self.x_weight, self.y_weight = x_weight, y_weight

    @property
    def samples(self):
        """Pairs of the rows of a sample and their weights."""
        return (self.x, self.x_weight), (self.y, self.y_weight)

    def __len__(self):
        return max(len(self.x), len(self.y))

    def __getitem__(self, index):
        return self.x[index % len(self.x)], self.y[index % len(self.y)]

    def whole(self):
        """The samples and their weights, which have sum 1 or are None, in the dtype and on the device of the rows."""
        return self.x, self.y, *(None if w is None else (w / w.sum()).to(rows) for rows, w in self.samples)


class TensorRows(Dataset):
    """One sample as a tensor.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        The rows.
    weight : Tensor of shape (n,), default=None
        Positive weights, in float64 and on the CPU; None for equal weights.
    """

    def __init__(self, x, weight=None):
        self.x, self.weight = x, weight

    @property
    def samples(self):
        """The pair of the rows and their weights."""
        return ((self.x, self.weight),)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return (self.x[index],)

    def whole(self):
        """The rows and their weights, which have sum 1 or are None, in the dtype and on the device of the rows."""
        return self.x, None if self.weight is None else (self.weight / self.weight.sum()).to(self.x)


class PairLoader:
    """Independent stratified batches of one or two samples, without end.

    A sample is divided into strata of equal mass, runs of the cells of a k-d tree, and a batch has one row of each.
    Means over such a batch vary less than means over rows drawn at random: in two dimensions, 256 stratified rows have
    as many effective rows as some thousands of random ones. With equal weights all rows of a sample, except a remainder
    that changes each time, are used before any row is used again. Otherwise a row is drawn with a probability
    proportional to its weight.

    An epoch has ``block_size`` batches for samples of any size, and the loader ends after ``n_batches`` batches. If a
    sample with equal weights is smaller than the batch, each batch has the whole sample.

    Parameters
    ----------
    dataset : TensorPairs or TensorRows
        The samples.
    batch_size : int
        Rows of each sample in a batch.
    n_batches : int
        Number of batches in all epochs.
    block_size : int
        Number of batches in an epoch.
    source_ratio : int, default=1
        Number of rows of the first sample in a batch for each row of the second one.
    is_calibrated : bool, default=False
        Whether a batch also has weights of its rows, see `sklearn_ot.solvers.tensors.calibrated_weights`, after the
        rows of all samples.
    processes : Processes, default=ALONE
        The processes that train together. ``batch_size`` is the number of rows in each of them.
    """

    def __init__(
        self, dataset, batch_size, n_batches, block_size, source_ratio=1, is_calibrated=False, processes=ALONE
    ):
        self.remaining = n_batches
        self.block_size = block_size
        sizes = [source_ratio * batch_size, batch_size][-len(dataset.samples) :]
        parts = zip(dataset.samples, sizes, strict=True)
        self.parts = [_batches(*sample, size, processes) for sample, size in parts]
        self.device = dataset.samples[0][0].device
        self.means = [_mean(*sample) for sample in dataset.samples] if is_calibrated else []

    def state(self):
        """Where the loader is, as a nested dict."""
        return {"remaining": self.remaining, "parts": [part.state() for part in self.parts]}

    def load_state(self, state):
        """Go on where another loader of the same samples was; torch's random stream does not change."""
        self.remaining, stream = state["remaining"], random_stream(self.device)
        for part, place in zip(self.parts, state["parts"], strict=True):
            part.load_state(place)
        set_random_stream(stream, self.device)

    def __len__(self):
        return min(self.block_size, self.remaining)

    def __iter__(self):
        for _ in range(len(self)):
            self.remaining -= 1
            batch = [part.draw() for part in self.parts]
            # Without means there are no weights. Those of the joint batch leave less noise than those of its parts.
            weights = [calibrated_weights(*part) for part in zip(batch, self.means, strict=False)]
            shares = [part.processes for part in self.parts]
            yield (
                *(share.own(rows) for share, rows in zip(shares, batch, strict=True)),
                *(share.count * share.own(weight) for share, weight in zip(shares, weights, strict=False)),
            )


def _mean(sample, weight):
    return weighted_mean(sample, None if weight is None else (weight / weight.sum()).to(sample))


def _batches(sample, weight, batch_size, processes):
    """Joint batches of a sample, without end."""
    if weight is not None:
        return _WeightedBatches(sample, weight, processes.count * batch_size, processes)
    size = processes.joint_size(batch_size, len(sample))
    if size in (0, len(sample)):
        return _WholeBatches(sample, processes if size else ALONE)
    return _EqualBatches(sample, size, processes)


class _WholeBatches:
    """The whole sample as each batch."""

    def __init__(self, sample, processes):
        self.sample, self.processes = sample, processes

    def draw(self):
        return self.sample

    def state(self):
        return {}

    def load_state(self, state):
        pass


class _WeightedBatches(_WholeBatches):
    """Independent batches of a weighted sample."""

    def __init__(self, sample, weight, size, processes):
        super().__init__(sample, processes)
        self.size = size
        self.order = MassOrder(spatial_order(sample, min(size, len(sample))), weight)

    def draw(self):
        return self.sample[self.order.draw(self.size)]


class _EqualBatches(_WholeBatches):
    """Batches through one permutation after another of a sample with equal weights."""

    def __init__(self, sample, size, processes):
        super().__init__(sample, processes)
        self.size = size
        self.order = spatial_order(sample, size)
        self.n_batches, self.n_spare = divmod(len(sample), size)
        self.n_drawn = self.n_batches

    def draw(self):
        if self.n_drawn == self.n_batches:
            self._shuffle()
        self.n_drawn += 1
        return self.sample[self.shuffled[:, self.n_drawn - 1]]

    def _shuffle(self):
        device = self.sample.device
        # The permutation can be drawn again, so that a state needs no memory for it.
        self.stream, self.n_drawn = random_stream(device), 0
        kept = torch.randperm(len(self.sample), device=device)[self.n_spare :]
        strata = self.order[kept.sort().values].view(self.size, self.n_batches)
        self.shuffled = strata.gather(1, torch.rand(strata.shape, device=device).argsort(1))

    def state(self):
        return {"n_drawn": self.n_drawn, "stream": self.stream}

    def load_state(self, state):
        set_random_stream(state["stream"], self.sample.device)
        self._shuffle()
        self.n_drawn = state["n_drawn"]


class MassOrder:
    """Rows in an order, in which a row has a length proportional to its weight; a row of mean weight has length 1.

    Parameters
    ----------
    order : Tensor of shape (n,)
        Indices of the rows.
    weight : Tensor of shape (n,), default=None
        Weights of the rows, positive and in float64; None for equal weights.

    Attributes
    ----------
    dtype : torch.dtype
        The dtype of places.
    """

    def __init__(self, order, weight=None):
        self.order, self.ends, self.dtype = order, None, torch.float32
        if weight is not None:
            # In float32, small rows among many would have length 0; MPS has no float64.
            self.dtype = torch.float32 if order.device.type == "mps" else torch.float64
            ends = weight[order.cpu()].cumsum(0)
            self.ends = (ends * (len(order) / ends[-1])).to(order.device, self.dtype)

    def at(self, places):
        """Indices of the rows at places from 0 to n, a tensor in ``dtype``."""
        index = places.long() if self.ends is None else torch.searchsorted(self.ends, places, right=True)
        # By rounding, a place may be at the end of the last row.
        return self.order[index.clamp(max=len(self.order) - 1)]

    def draw(self, n_strata):
        """Indices of one row of each of ``n_strata`` strata of equal mass."""
        options = {"dtype": self.dtype, "device": self.order.device}
        places = torch.arange(n_strata, **options) + torch.rand(n_strata, **options)
        return self.at(places * (len(self.order) / n_strata))


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
    """The dataset with its weights as one batch, for evaluation."""

    def __init__(self, dataset, batch_size=None):
        self.batch = dataset.whole()

    def __len__(self):
        return 1

    def __iter__(self):
        yield self.batch

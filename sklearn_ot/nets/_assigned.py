"""Noise assigned to points, and its batches."""

import zlib
from itertools import islice

import torch
from torch.utils.data import Dataset

from sklearn_ot.processes import ALONE


class AssignedNoise(Dataset):
    """Points, and rows of noise with the index of the point to which each row is assigned.

    Parameters
    ----------
    points : Tensor of shape (n, d)
        The points.
    weights : Tensor of shape (n,)
        Weights of the points, positive and with sum 1, in float64 so that very small ones are not 0.
    """

    def __init__(self, points, weights):
        self.points = points
        self.weights = weights

    def __len__(self):
        return len(self.points)

    def __getitem__(self, rows):
        return self.noise[rows], self.points[self.index[rows]], self.noise_weights[rows]

    def digest(self):
        """A number that differs for other points or weights."""
        return zlib.crc32(self.weights.cpu().numpy(), zlib.crc32(self.points.cpu().numpy()))


class AssignedLoader:
    """Random batches of an `AssignedNoise`, through one permutation of its noise after another."""

    def __init__(self, dataset, batch_size, n_batches, processes=ALONE):
        self.dataset, self.batch_size, self.n_batches, self.processes = dataset, batch_size, n_batches, processes

    def __len__(self):
        return self.n_batches

    def __iter__(self):
        return (self.dataset[rows] for rows in islice(self._batches(), self.n_batches))

    def _batches(self):
        noise = self.dataset.noise
        while True:
            order = torch.randperm(len(noise), device=noise.device)
            yield from self.processes.batches(order, self.batch_size)

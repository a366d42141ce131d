"""Fixtures of the semi-discrete solver: one thread, a source, costs and masses by hand."""

import numpy as np
import pytest
import torch

from sklearn_ot.solvers.semidiscrete import assign
from sklearn_ot.solvers.sources import Source


@pytest.fixture(autouse=True)
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def normal():
    """A function that makes normal sources without quantiles and quasi-random rows."""

    def make(n_features, scale=1.0, shift=0.0, dtype=torch.float32):
        return Source(lambda n: scale * torch.randn(n, n_features, dtype=dtype) + shift)

    return make


@pytest.fixture
def costs_by_hand():
    """All costs between two samples."""

    def costs(x, y, cost):
        difference = np.abs(x.numpy()[:, None] - y.numpy()[None])
        if cost == "cityblock":
            return difference.sum(-1)
        return np.sqrt((difference**2).sum(-1)) ** {"sqeuclidean": 2, "euclidean": 1}.get(cost, cost)

    return costs


@pytest.fixture
def masses():
    """Masses of the cells of a potential, counted on fresh rows."""

    def count(source, points, potential, cost="sqeuclidean", n_samples=100_000):
        index = assign(source.sample(n_samples), points, potential, cost)
        return torch.bincount(index, minlength=len(points)).double() / n_samples

    return count

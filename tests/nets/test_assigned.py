"""Batches of noise that is assigned to points."""

import torch

from sklearn_ot.nets import AssignedNoise
from sklearn_ot.nets._assigned import AssignedLoader


def test_batches_run_through_all_noise():
    points = torch.tensor([[-2.0, 0.0], [0.5, 1.0], [2.0, -1.0]])
    dataset = AssignedNoise(points, torch.ones(3) / 3)
    dataset.noise, dataset.noise_weights = torch.arange(10.0)[:, None], torch.arange(10.0)
    dataset.index = torch.arange(10) % 3
    torch.manual_seed(0)
    batches = list(AssignedLoader(dataset, 5, n_batches=4))
    assert len(batches) == 4
    for start in (0, 2):
        noise = torch.cat([batch[0][:, 0] for batch in batches[start : start + 2]])
        assert sorted(noise.tolist()) == list(range(10))
    for noise, y, weight in batches:
        assert torch.equal(y, points[noise[:, 0].long() % 3])
        assert torch.equal(weight, noise[:, 0])
    (batch,) = AssignedLoader(dataset, 64, n_batches=1)
    assert len(batch[0]) == 10

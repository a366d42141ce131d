"""The loader of two samples."""

import pytest
import torch

from sklearn_ot.nets import PairLoader, TensorPairs


def pairs(n, m):
    return TensorPairs(torch.arange(n)[:, None], torch.arange(m)[:, None])


def test_number_of_batches_is_a_budget_over_blocks():
    loader = PairLoader(pairs(50, 30), batch_size=8, n_batches=25, block_size=10)
    assert [len(list(loader)) for _ in range(4)] == [10, 10, 5, 0]


def test_batches_of_both_samples_have_the_batch_size():
    for x, y in PairLoader(pairs(50, 30), batch_size=8, n_batches=40, block_size=40):
        assert x.shape == y.shape == (8, 1)


@pytest.mark.parametrize("n", [8, 5])
def test_a_sample_no_larger_than_the_batch_is_given_whole(n):
    for x, y in PairLoader(pairs(n, 100), batch_size=8, n_batches=3, block_size=3):
        assert x.flatten().tolist() == list(range(n))
        assert len(y) == 8


def test_every_row_is_used_once_before_any_is_used_again():
    torch.manual_seed(0)
    loader = PairLoader(pairs(40, 24), batch_size=8, n_batches=15, block_size=15)
    xs, ys = (torch.cat(batches).flatten() for batches in zip(*loader, strict=True))
    assert sorted(xs[:40].tolist()) == list(range(40))
    assert xs[:40].tolist() != xs[40:80].tolist()
    assert all(sorted(ys[start : start + 24].tolist()) == list(range(24)) for start in range(0, 120, 24))


def test_dataset_has_the_length_of_the_longer_sample():
    assert len(pairs(3, 7)) == 7
    assert [int(part) for part in pairs(3, 7)[5]] == [2, 5]

"""The loader of two samples."""

import pytest
import torch

from sklearn_ot.nets import PairLoader, TensorPairs, spatial_order
from sklearn_ot.solvers.tensors import calibrated_weights


def pairs(n, m):
    return TensorPairs(*(torch.arange(float(size))[:, None] for size in (n, m)))


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


def test_a_remainder_is_left_out_another_one_each_time():
    torch.manual_seed(0)
    loader = PairLoader(pairs(43, 43), batch_size=8, n_batches=100, block_size=100)
    batches = [x.flatten() for x, _ in loader]
    passes = [torch.cat(batches[start : start + 5]) for start in range(0, 100, 5)]
    assert all(len(rows.unique()) == 40 for rows in passes)
    # The probability that a row is left out of all of 20 passes is (3/43)^20.
    assert len(torch.cat(passes).unique()) == 43


def test_a_batch_has_a_row_from_each_stratum():
    torch.manual_seed(0)
    for x, _ in PairLoader(pairs(40, 40), batch_size=8, n_batches=10, block_size=10):
        assert sorted((x.flatten() // 5).long().tolist()) == list(range(8))


@pytest.mark.parametrize(("n_features", "factor"), [(1, 50), (2, 10), (4, 3)])
def test_means_over_batches_vary_less_than_those_of_random_rows(n_features, factor):
    """Strata of size h reduce the variance to h² of it; with h = 256^(-1/d) the factors are 65536, 256, 16."""
    torch.manual_seed(0)
    sample = torch.rand(2560, n_features)
    loader = PairLoader(TensorPairs(sample, sample), batch_size=256, n_batches=200, block_size=200)
    means = torch.stack([x.mean(0) for x, _ in loader])
    assert means.var(0).max() < sample.var(0).max() / 256 / factor


def test_every_row_is_as_likely_as_any_other():
    torch.manual_seed(0)
    loader = PairLoader(pairs(21, 21), batch_size=8, n_batches=4000, block_size=4000)
    counts = torch.bincount(torch.cat([x.flatten() for x, _ in loader]).long())
    # 32 000 draws are 1524 for each row. Draws without replacement vary less than binomial ones, with a standard
    # deviation of 38; the tolerance is 5 of them.
    assert (counts - 32_000 / 21).abs().max() < 190


@pytest.mark.parametrize("batch_size", [8, 60])
def test_a_weight_is_a_repetition(batch_size):
    """Rows are drawn as often as their weights say, and each batch has a row of each stratum of equal mass."""
    torch.manual_seed(0)
    data, weight = pairs(40, 40), torch.arange(40).double() % 4 + 1
    loader = PairLoader(
        TensorPairs(data.x, data.y, weight, None), batch_size=batch_size, n_batches=2000, block_size=2000
    )
    ends = torch.repeat_interleave(torch.arange(40), weight.long())
    edges = torch.arange(batch_size + 1) * len(ends) / batch_size
    counts = torch.zeros(40)
    for x, y in loader:
        assert len(x) == batch_size
        assert len(y) == min(batch_size, 40)
        rows = x.flatten().long()
        assert (rows >= ends[edges[:-1].floor().long()]).all()
        assert (rows <= ends[edges[1:].ceil().long() - 1]).all()
        counts += torch.bincount(rows, minlength=40)
    expected = 2000 * batch_size * weight / weight.sum()
    # 5 standard errors of independent draws.
    assert ((counts - expected).abs() < 5 * expected.sqrt()).all()


@pytest.mark.parametrize("n_features", [1, 3, 40])
def test_spatial_order_is_a_permutation(n_features):
    sample = torch.randn(101, n_features, generator=torch.Generator().manual_seed(0))
    assert sorted(spatial_order(sample, 7).tolist()) == list(range(101))
    # Rows that are all equal may have any order.
    assert sorted(spatial_order(torch.zeros(101, n_features), 7).tolist()) == list(range(101))


def test_the_whole_dataset_has_weights_with_sum_one():
    x, _, x_weight, y_weight = TensorPairs(
        torch.zeros(3, 1), torch.zeros(2, 1), torch.tensor([1.0, 2, 1], dtype=torch.float64)
    ).whole()
    assert x_weight.tolist() == [0.25, 0.5, 0.25]
    assert x_weight.dtype == x.dtype
    assert y_weight is None


def test_dataset_has_the_length_of_the_longer_sample():
    assert len(pairs(3, 7)) == 7
    assert [int(part) for part in pairs(3, 7)[5]] == [2, 5]


def test_more_source_rows_than_target_rows():
    for x, y in PairLoader(pairs(50, 30), batch_size=4, n_batches=5, block_size=5, source_ratio=3):
        assert (len(x), len(y)) == (12, 4)


@pytest.mark.parametrize("weighted", [False, True])
def test_calibrated_means_are_those_of_the_sample(weighted):
    """The error of the mean of a batch falls by a factor near that of the ridge, d / n."""
    torch.manual_seed(0)
    samples = torch.randn(2, 5000, 12) + 3
    weight = torch.rand(5000, dtype=torch.float64) + 0.1 if weighted else None
    data = TensorPairs(*samples, weight, weight)
    loader = PairLoader(data, batch_size=256, n_batches=50, block_size=50, is_calibrated=True)
    mean = samples[0].mean(0) if weight is None else (weight.float() @ samples[0]) / weight.sum()
    plain, calibrated = [], []
    for x, _, x_weight, y_weight in loader:
        assert x_weight.sum().item() == pytest.approx(1, abs=1e-5)
        assert y_weight.shape == (256,)
        plain.append(x.mean(0) - mean)
        calibrated.append(x_weight @ x - mean)
    errors = [torch.stack(rows).square().sum() for rows in (plain, calibrated)]
    assert errors[1] < 0.01 * errors[0]


@pytest.mark.parametrize("n_rows", [1, 2, 10, 64])
def test_calibrated_weights_of_few_rows_are_near_equal_ones(n_rows):
    torch.manual_seed(0)
    rows = torch.randn(n_rows, 64)
    weights = calibrated_weights(rows, torch.zeros(64))
    assert weights.sum().item() == pytest.approx(1, abs=1e-5)
    # No row stands for more than a few.
    assert weights.abs().max() < 3 / n_rows
    torch.testing.assert_close(calibrated_weights(rows, rows.mean(0)), torch.full((n_rows,), 1 / n_rows))


def test_calibrated_weights_of_wide_rows_are_those_of_the_formula():
    torch.manual_seed(0)
    rows, mean = torch.randn(10, 64).double() * torch.arange(64), torch.ones(64).double()
    centre = rows.mean(0)
    centred = rows - centre
    covariance = centred.T @ centred / 10
    ridge = 64 / 10 * covariance.diagonal().mean() * torch.eye(64)
    expected = (1 + centred @ torch.linalg.solve(covariance + ridge, mean - centre)) / 10
    torch.testing.assert_close(calibrated_weights(rows, mean), expected)

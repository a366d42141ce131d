"""Training rows and validation rows: no row in both unless it must be, and both have the distribution of the sample."""

import numpy as np
import pytest
import torch

from sklearn_ot.nets import WeightedRows, far_and_near, hold_out, validation_size


def normal(n_rows, n_features=2, seed=0):
    return torch.randn(n_rows, n_features, generator=torch.Generator().manual_seed(seed))


def indices(part, rows):
    """The index of each row of a part among all rows."""
    equal = (part.rows[:, None] == rows).all(2)
    assert equal.any(1).all()
    return equal.int().argmax(1)


@pytest.mark.parametrize(("n_rows", "n_valid"), [(300, 30), (2, 1), (7, 3), (2003, 200)])
def test_equal_rows_are_in_one_part(n_rows, n_valid):
    rows = normal(n_rows)
    train, valid = hold_out(WeightedRows(rows), n_valid, np.random.RandomState(0))
    assert (len(train.rows), len(valid.rows)) == (n_rows - n_valid, n_valid)
    assert train.weight is valid.weight is None
    parts = torch.cat([indices(part, rows) for part in (train, valid)])
    assert sorted(parts.tolist()) == list(range(n_rows))


def test_validation_rows_may_stay_training_rows():
    rows = normal(50)
    train, valid = hold_out(WeightedRows(rows), 10, np.random.RandomState(0), is_separate=False)
    assert torch.equal(train.rows, rows)
    assert len(valid.rows) == 10


def test_a_single_row_is_in_both_parts():
    train, valid = hold_out(WeightedRows(torch.ones(1, 3)), 1, np.random.RandomState(0))
    assert len(train.rows) == len(valid.rows) == 1


def mean_masses(sample, n_valid, n_repeats=500):
    """Means over many splits of the masses of the rows in both parts, and whether a row was ever in both."""
    rng, rows = np.random.RandomState(0), sample.rows
    masses, is_in_both = torch.zeros(2, len(rows), dtype=torch.float64), torch.zeros(len(rows), dtype=torch.bool)
    for _ in range(n_repeats):
        parts = hold_out(sample, n_valid, rng)
        counts = []
        for total, part in zip(masses, parts, strict=True):
            weight = torch.ones(len(part.rows), dtype=torch.float64) if part.weight is None else part.weight
            mass = torch.zeros(len(rows), dtype=torch.float64).index_add(0, indices(part, rows), weight)
            total += mass / n_repeats
            counts.append(mass > 0)
        is_in_both |= counts[0] & counts[1]
    return *(mass / mass.sum() for mass in masses), is_in_both


def test_weighted_parts_have_the_distribution_of_the_sample():
    """Row 0 has a fifth of the mass and stays in both parts; the others have weights as in a bootstrap sample."""
    weight = torch.tensor([1.0, 1, 2, 1, 3, 1, 1, 2] * 5, dtype=torch.float64)
    weight[0] = 15
    mass = weight / weight.sum()
    train, valid, is_in_both = mean_masses(WeightedRows(normal(40), weight), n_valid=4)
    assert is_in_both.tolist() == [True] + [False] * 39
    # A row of mass m is drawn with a probability of 4 m: five standard errors of the means over 500 splits.
    error = 5 * (mass * 4 / 500).sqrt() / 4
    assert ((valid - mass).abs() < error).all()
    assert ((train - mass).abs() < error).all()


def test_far_rows_are_always_in_both_parts():
    rows = normal(400, 3)
    rows[[7, 99]] *= 300
    sample = WeightedRows(rows)
    train, valid = hold_out(sample, 40, np.random.RandomState(0))
    assert (len(train.rows), len(valid.rows)) == (360, 42)
    mass = torch.zeros(400, dtype=torch.float64).index_add(0, indices(valid, rows), valid.weight)
    assert mass[[7, 99]].tolist() == pytest.approx([1 / 400] * 2)
    assert mass.sum().item() == pytest.approx(1)
    assert {7, 99} <= set(indices(train, rows).tolist())


def test_many_equal_rows_make_heavy_rows():
    """Two different rows, each of which stands for 300: both are needed on both sides."""
    sample = WeightedRows(torch.tensor([[-1.0], [1.0]]), torch.tensor([0.5, 0.5], dtype=torch.float64))
    n_valid = validation_size(sample, 600, 0.1)
    assert n_valid == 60
    train, valid = hold_out(sample, n_valid, np.random.RandomState(0))
    assert sorted(train.rows.flatten().tolist()) == [-1, 1]
    assert train.weight is None
    assert valid.rows.mean().item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("weight", [None, torch.full((200,), 1 / 200, dtype=torch.float64)])
def test_the_number_of_validation_rows(weight):
    assert validation_size(WeightedRows(normal(200), weight), 200.0, 0.1) == 20
    # Each row twice: a tenth of the different rows.
    assert validation_size(WeightedRows(normal(200), weight), 400.0, 0.1) == 20


def test_one_validation_row_at_least():
    assert validation_size(WeightedRows(normal(2)), 2.0, 0.1) == 1
    assert validation_size(WeightedRows(normal(1)), 2.0, 0.1) == 1


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("n_rows", [20, 1000])
def test_far_rows_come_first(n_rows, is_weighted):
    rows = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    far = [50, 7]
    rows[far] *= 1000
    weight = torch.linspace(1, 2, 200, dtype=torch.float64) if is_weighted else None
    found, n_far = far_and_near(WeightedRows(rows, weight), 40, n_rows, np.random.RandomState(0))
    assert n_far == 2
    assert len(found.rows) == min(n_rows + 2, 200)
    assert found.rows[:2].norm(dim=1).min() > 100 > found.rows[2:].norm(dim=1).max()
    mass = torch.full((len(found.rows),), 1 / 200) if found.weight is None else found.weight
    assert mass.sum().item() == pytest.approx(1)
    own = torch.full((200,), 1 / 200) if weight is None else weight / weight.sum()
    np.testing.assert_allclose(mass[:2], own[sorted(far)], rtol=1e-6)

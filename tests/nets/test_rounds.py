"""The rows of the rounds of a game."""

from collections import Counter

import pytest
import torch

from sklearn_ot.nets import LabelledRows
from sklearn_ot.nets._rounds import RoundLoader, halves


@pytest.mark.parametrize(("n_rows", "batch_size"), [(40, 10), (10, 40), (37, 9)])
def test_batches_are_stratified_and_fair(n_rows, batch_size):
    data = LabelledRows(torch.arange(float(n_rows))[:, None])
    torch.manual_seed(0)
    counts = Counter()
    for rows, labels in RoundLoader(data, batch_size, n_batches=40, n_rounds=20):
        assert rows.shape == (40, batch_size, 1)
        assert labels.shape == (40, batch_size, 0)
        for half in rows.split(halves(batch_size), dim=1):
            # The strata are intervals: the k-th row of a sorted half must be near the k-th stratum.
            centre = (torch.arange(half.shape[1]) + 0.5) * n_rows / half.shape[1] - 0.5
            assert ((half[..., 0].sort(1).values - centre).abs() <= n_rows / half.shape[1] / 2 + 0.5).all()
        counts.update(rows.flatten().tolist())
    # All rows are drawn equally often, up to 5 standard errors of independent draws.
    expected = 20 * 40 * batch_size / n_rows
    assert len(counts) == n_rows
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


@pytest.mark.parametrize(("n_rows", "batch_size"), [(40, 10), (10, 40), (37, 9)])
def test_a_weight_is_a_repetition(n_rows, batch_size):
    """A row with an integer weight is drawn as often as this number of rows; all strata have the same mass."""
    weights = torch.arange(n_rows).double() % 4 + 1
    torch.manual_seed(0)
    loader = RoundLoader(LabelledRows(torch.arange(float(n_rows))[:, None], weights=weights), batch_size, 40, 20)
    repeated = torch.repeat_interleave(torch.arange(n_rows), weights.long())
    counts = torch.zeros(n_rows)
    for rows, _ in loader:
        for half in rows.split(halves(batch_size), dim=1):
            places = half[..., 0].sort(1).values.long()
            size = half.shape[1]
            # Ends of the strata, as positions among the repeated rows.
            ends = torch.arange(size + 1) * len(repeated) / size
            assert (places >= repeated[ends[:-1].floor().long()]).all()
            assert (places <= repeated[(ends[1:].ceil().long() - 1)]).all()
        counts += torch.bincount(rows.flatten().long(), minlength=n_rows)
    expected = weights / weights.sum() * 20 * 40 * batch_size
    # 5 standard errors of independent draws.
    assert ((counts - expected).abs() < 5 * expected.sqrt()).all()


def test_equal_weights_are_no_weights():
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    batches = []
    for weights in (None, torch.full((64,), 1 / 64, dtype=torch.float64)):
        torch.manual_seed(0)
        batches.append(torch.cat([rows for rows, _ in RoundLoader(LabelledRows(x, weights=weights), 16, 3, 20)]))
    assert torch.equal(*batches)


def test_weights_follow_the_order_of_the_classes():
    """A quarter of the rows has weight 3, and therefore half of the mass."""
    labels = torch.eye(2)[(torch.arange(40) % 4 == 0).long()]
    weights = torch.where(labels[:, 1] > 0, 3.0, 1.0).double()
    data = LabelledRows(torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), labels, weights)
    for _, drawn in RoundLoader(data, 24, n_batches=4, n_rounds=3):
        assert (drawn.sum(1) == 12).all()


def test_batches_have_classes_in_their_proportions():
    generator = torch.Generator().manual_seed(0)
    labels = torch.eye(2)[(torch.arange(60) % 3 == 0).long()]
    data = LabelledRows(torch.randn(60, 2, generator=generator), labels)
    for rows, drawn in RoundLoader(data, 30, n_batches=4, n_rounds=3):
        assert (drawn.sum(1) == torch.tensor([20.0, 10.0])).all()
        # Each row has its own label.
        for row, label in zip(rows.flatten(0, 1), drawn.flatten(0, 1), strict=True):
            assert (labels[(data.x == row).all(1)] == label).all()


def test_the_loader_ends():
    loader = RoundLoader(LabelledRows(torch.randn(8, 1)), 4, n_batches=1, n_rounds=130)
    assert [len(list(loader)) for _ in range(3)] == [100, 30, 0]

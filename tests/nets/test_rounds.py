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
    places = 64 * torch.rand(500, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.full((64,), 1 / 64, dtype=torch.float64)
    assert torch.equal(LabelledRows(x).rows_at(places)[0], LabelledRows(x, weights=weights).rows_at(places)[0])


def test_no_weight_is_too_small_to_be_drawn():
    """The position in the middle of a row gives this row, and positions are finer than float32."""
    n_rows = 20_000
    weights = torch.exp(3 * torch.randn(n_rows, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    data = LabelledRows(torch.arange(float(n_rows))[:, None], weights=weights)
    lengths = (weights * n_rows / weights.sum())[data.order]
    drawn, _ = data.rows_at(lengths.cumsum(0) - lengths / 2)
    assert torch.equal(drawn[:, 0].long(), data.order)

    class Recorder(LabelledRows):
        def rows_at(self, places):
            assert (places != places.float()).any()
            return super().rows_at(places)

    assert len(list(RoundLoader(Recorder(data.x, weights=weights), 8, n_batches=2, n_rounds=2))) == 2


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

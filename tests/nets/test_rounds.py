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
            # The strata are stretches of the line: the k-th row of a sorted half cannot be far from the k-th stratum.
            centre = (torch.arange(half.shape[1]) + 0.5) * n_rows / half.shape[1] - 0.5
            assert ((half[..., 0].sort(1).values - centre).abs() <= n_rows / half.shape[1] / 2 + 0.5).all()
        counts.update(rows.flatten().tolist())
    # Each row as often as any other, with 5 standard errors of independent draws.
    expected = 20 * 40 * batch_size / n_rows
    assert len(counts) == n_rows
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_batches_have_classes_in_their_proportions():
    generator = torch.Generator().manual_seed(0)
    labels = torch.eye(2)[(torch.arange(60) % 3 == 0).long()]
    data = LabelledRows(torch.randn(60, 2, generator=generator), labels)
    for rows, drawn in RoundLoader(data, 30, n_batches=4, n_rounds=3):
        assert (drawn.sum(1) == torch.tensor([20.0, 10.0])).all()
        # A row has its own label.
        for row, label in zip(rows.flatten(0, 1), drawn.flatten(0, 1), strict=True):
            assert (labels[(data.x == row).all(1)] == label).all()


def test_the_loader_ends():
    loader = RoundLoader(LabelledRows(torch.randn(8, 1)), 4, n_batches=1, n_rounds=130)
    assert [len(list(loader)) for _ in range(3)] == [100, 30, 0]

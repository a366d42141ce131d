"""Scores in tiles."""

import pytest
import torch

from sklearn_ot.solvers.semidiscrete import _tiles, assign
from sklearn_ot.solvers.semidiscrete._tiles import Tiles
from sklearn_ot.solvers.semidiscrete._units import Units


def test_tiles_do_not_change_the_assignment(monkeypatch):
    x, y, potential = torch.randn(1000, 4), torch.randn(70, 4), torch.randn(70)
    whole = assign(x, y, potential)
    monkeypatch.setattr(_tiles, "MAX_TILE", 96 * 7)
    assert (assign(x, y, potential) == whole).all()


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_the_two_best_scores_of_a_row(cost):
    points, x, offsets = torch.randn(70, 4), torch.randn(500, 4), torch.randn(70, dtype=torch.float64)
    tiles = Tiles(Units(points, cost))
    best, second = tiles.units.scores(x, offsets).topk(2, dim=1).values.T
    torch.testing.assert_close(tiles.gaps(x, offsets), best - second)
    assert tiles.mean_gap(x, offsets) == pytest.approx(float((best - second)[:8].mean()))


def test_tiles_cover_all_rows_in_multiples():
    slices = list(Tiles(Units(torch.randn(3000, 2), "sqeuclidean"), multiple=12).slices(1000))
    assert [part.start for part in slices[1:]] == [part.stop for part in slices[:-1]]
    assert slices[-1].stop == 1000
    assert all((part.stop - part.start) % 12 == 0 for part in slices[:-1])

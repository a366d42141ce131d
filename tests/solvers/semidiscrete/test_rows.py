"""Rows of a source in the units of the solver, and masses from them."""

import pytest
import torch

from sklearn_ot.solvers.semidiscrete._orthonormal import OrthonormalRows
from sklearn_ot.solvers.semidiscrete._rows import ScoredRows
from sklearn_ot.solvers.semidiscrete._units import Units, normal_location
from sklearn_ot.solvers.sources import Source, normal


@pytest.mark.parametrize("kind", [ScoredRows, OrthonormalRows])
def test_soft_masses_are_means_of_softmax(kind):
    points, x, offsets = torch.randn(3000, 5), torch.randn(24, 5), torch.randn(3000, dtype=torch.float64)
    # Two objects with the same rows, because the lengths change with each call.
    first, second = (kind(normal(5), Units(points, "sqeuclidean", normal_location(points))) for _ in range(2))
    pairs = first.pairs(first.tiles, x, offsets.float(), first.lengths(x))
    tiles = torch.cat([tile.double() * factor for tile, factor in pairs])
    masses = second.soft_masses(x, offsets, torch.tensor([0.3, 0.01]))
    for mass, epsilon in zip(masses, (0.3, 0.01), strict=True):
        torch.testing.assert_close(mass, torch.softmax(tiles / epsilon, 1).mean(0), rtol=2e-4, atol=1e-8)


def test_masses_are_shares_of_the_rows():
    points, offsets = torch.randn(70, 3), torch.randn(70, dtype=torch.float64)
    scored = ScoredRows(normal(3), Units(points, "euclidean"))
    x = scored.sample(1000)
    expected = torch.bincount(scored.units.scores(x, offsets).argmax(1), minlength=70) / 1000
    torch.testing.assert_close(scored.masses(x, offsets), expected.double())
    assert scored.n_for(1000) == 1000


def test_even_rows_are_quasi_random_where_the_source_has_some():
    units = Units(torch.zeros(3, 2), "sqeuclidean")
    source = Source(lambda n: torch.zeros(n, 2), lambda n: torch.ones(n, 2))
    assert (ScoredRows(source, units).even_sample(5) == 1).all()
    assert (ScoredRows(Source(source.sample), units).even_sample(5) == 0).all()
    # Made orthogonal, quasi-random rows would have a bias.
    assert (OrthonormalRows(source, units).even_sample(5) == 0).all()

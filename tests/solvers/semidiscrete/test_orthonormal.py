"""Orthonormal rows: their scores, their distribution and their effective rows."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sklearn_ot.solvers.semidiscrete._orthonormal import N_TURNS, OrthonormalRows, doubly_reflected, orthonormal_rows
from sklearn_ot.solvers.semidiscrete._rows import ScoredRows
from sklearn_ot.solvers.semidiscrete._units import Units, normal_location
from sklearn_ot.solvers.sources import normal


def rows_of(kind, points):
    source = normal(points.shape[1], dtype=points.dtype)
    return kind(source, Units(points, "sqeuclidean", normal_location(points)))


@pytest.mark.parametrize("n", [60, 27, 4])
def test_scores_are_those_of_reflected_rows_of_all_lengths(n):
    points, offsets = torch.randn(40, 6, dtype=torch.float64), torch.randn(40, dtype=torch.float64)
    scored = rows_of(OrthonormalRows, points)
    x = scored.units.rows(torch.randn(n, 6, dtype=torch.float64))
    tiles = [tile * factor for tile, factor in scored.pairs(scored.tiles, x, offsets, scored.lengths(x))]
    rows = [torch.linalg.lstsq(scored.units.points, (tile - offsets).T).solution.T for tile in tiles]
    directions, lengths = orthonormal_rows(x), []
    for i, (row, opposite) in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        if i:
            # Rows beyond a multiple of four are left out.
            fours = -directions[: n // 4 * 4].view(4, -1, 6).transpose(0, 1)
            directions = (2 * fours.mean(1, keepdim=True) - fours).flatten(0, 1)
        for turned, sign in ((row, 1), (opposite, -1)):
            lengths.append(float((turned * directions).sum() / directions.square().sum()) * sign)
            torch.testing.assert_close(turned, sign * lengths[-1] * directions)
    # Rows with the second sign have the length of the next turn; the turns have one length in each part of the
    # distribution.
    np.testing.assert_allclose(lengths[1:-1:2], lengths[2::2])
    level = stats.chi(max(n, 6)).cdf(np.array([lengths[0], *lengths[1::2]]) * math.sqrt(6))
    np.testing.assert_allclose(np.diff(np.sort(level)), 1 / len(level), rtol=1e-6)


@pytest.mark.parametrize("n_points", [1000, 2048])
def test_no_turn_brings_rows_back(n_points):
    n = next(rows_of(OrthonormalRows, torch.randn(n_points, 4)).tiles.slices(10**6)).stop
    turns = [torch.eye(n)]
    for _ in range(N_TURNS):
        turns.append(doubly_reflected(turns[-1], torch.empty(n // 4, n), torch.empty(n, n)) / 2)
    torch.testing.assert_close(turns[-1] @ turns[-1].T, torch.eye(n))
    # Cosines between rows of different turns; after one turn they are at most a half.
    assert all((a @ b.T).abs().max() < 0.5 + 1e-5 for i, a in enumerate(turns) for b in turns[:i])


@pytest.mark.parametrize("shape", [(20, 4), (4, 4), (3, 7), (5, 1)])
def test_rows_are_orthonormal_and_uniform(shape):
    sets = torch.stack([orthonormal_rows(torch.randn(shape, dtype=torch.float64)) for _ in range(3000)])
    square = sets if shape[0] < shape[1] else sets.mT
    torch.testing.assert_close(square @ square.mT, torch.eye(min(shape), dtype=torch.float64).expand(3000, -1, -1))
    # The rows are uniform, so that no entry prefers a sign; the tolerance is five standard errors.
    assert sets.sign().mean(0).abs().max() < 5 / math.sqrt(3000)


@pytest.mark.parametrize("n", [1, 2, 7, 4000])
@pytest.mark.parametrize("n_features", [1, 3, 20])
def test_masses_are_those_of_independent_rows(n_features, n):
    points, potential = 2 * torch.randn(20, n_features), torch.randn(20, dtype=torch.float64)
    n_calls = max(4, 2000 // n)
    masses = []
    for kind in (OrthonormalRows, ScoredRows):
        scored = rows_of(kind, points)
        offsets = scored.units.offsets(potential)
        masses.append(torch.stack([scored.masses(scored.sample(n), offsets) for _ in range(n_calls)]).mean(0))
    # The tolerance is five standard errors of two independent samples; orthonormal rows have smaller ones.
    n_rows = n * n_calls
    assert ((masses[0] - masses[1]).abs() <= 5 * (2 * masses[1].clamp_min(1 / n_rows) / n_rows).sqrt()).all()


@pytest.mark.parametrize(("n_points", "n_features"), [(20, 20), (300, 8)])
def test_a_row_stands_for_as_many_independent_ones_as_it_says(n_points, n_features):
    scored, n = rows_of(OrthonormalRows, torch.randn(n_points, n_features)), 144
    offsets = scored.units.offsets(torch.zeros(n_points))
    masses = torch.stack([scored.masses(scored.sample(n), offsets) for _ in range(200)])
    heavy = masses.mean(0) > 0.3 / n_points
    # A variance of 200 numbers has an error of a tenth, and the mean over many cells a smaller one.
    variance, mean = masses[:, heavy].var(0), masses[:, heavy].mean(0)
    assert (variance / (mean * (1 - mean) / n)).mean() < 1.05 / scored.effective_rows
    assert scored.n_for(1000) % 12 == 0
    assert scored.n_for(1000) * scored.effective_rows >= 1000

"""Workers, which must not change the result."""

import numpy as np
import pytest
import torch
from joblib import parallel_config

from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.semidiscrete import _tiles, primal_dual_interval, semidiscrete_dual
from sklearn_ot.solvers.semidiscrete._orthonormal import OrthonormalRows
from sklearn_ot.solvers.semidiscrete._rows import ScoredRows
from sklearn_ot.solvers.semidiscrete._units import Units, normal_location
from sklearn_ot.solvers.semidiscrete._workers import Workers, _evaluate, one_thread
from sklearn_ot.solvers.sources import normal, rows


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Each tile of 256 rows is a block, so that small problems have many blocks."""
    monkeypatch.setattr(_tiles, "BLOCK_WORK", 1)


def solution(source, points, n_jobs, cost="sqeuclidean"):
    """The potential and the interval of a fit with many blocks in each step."""
    torch.manual_seed(3)
    result = semidiscrete_dual(source, points, cost=cost, tol=0.5, max_samples=20_000, n_jobs=n_jobs)
    interval = primal_dual_interval(source, points, result.potential, n_samples=4000, n_batches=2, n_jobs=n_jobs)
    return result, interval


def assert_equal(first, second):
    assert torch.equal(first[0].potential, second[0].potential)
    assert first[0][1:] == second[0][1:]
    assert first[1] == second[1]


# Orthonormal rows, counted masses of independent rows, and softened masses of rows with many features. With 3000 points
# all of them have several tiles in a step.
@pytest.mark.parametrize(
    ("kind", "backend"),
    [("orthonormal", "loky"), ("orthonormal", "threading"), ("counted", "threading"), ("softened", "threading")],
)
def test_number_of_workers_changes_no_bit(kind, backend):
    points = torch.randn(3000, 256 if kind == "softened" else 5)
    source = "normal" if kind == "orthonormal" else rows(torch.randn(3000, points.shape[1]))
    one = solution(source, points, 1)
    with parallel_config(backend, n_jobs=2):
        assert_equal(solution(source, points, None), one)
        if backend == "threading":
            assert_equal(solution(source, points, 3), one)


def test_threads_of_torch_change_no_bit_and_are_kept():
    points = torch.randn(3000, 5)
    one = solution("normal", points, 1)
    torch.set_num_threads(2)
    assert_equal(solution("normal", points, 1), one)
    assert torch.get_num_threads() == 2


def test_steps_of_blocks_reach_the_tolerance():
    points = torch.randn(3000, 5)
    # A step has twice as many tiles as without blocks; the solution is tested on fresh rows.
    assert semidiscrete_dual("normal", points, tol=0.2, n_jobs=1).converged


def test_any_cost_can_be_sent():
    cost = Cost(lambda difference: difference.abs().amax(-1) ** 2, power=2)
    points, x = torch.randn(600, 4), torch.randn(3000, 4)
    offsets = torch.zeros(600, dtype=torch.float64)
    with Workers(2) as workers:
        cells = [_tiles.Tiles(Units(points, cost), workers=pool).cells(x, offsets) for pool in (None, workers)]
    assert torch.equal(*cells)


@pytest.mark.parametrize("kind", [ScoredRows, OrthonormalRows])
def test_blocks_do_not_change_masses(kind):
    points, x, offsets = torch.randn(3000, 5), torch.randn(2000, 5), torch.randn(3000, dtype=torch.float64)
    masses = []
    for n_jobs in (None, 1):
        with Workers(n_jobs) as workers:
            scored = kind(normal(5), Units(points, "sqeuclidean", normal_location(points)), workers)
            assert scored.tiles.has_blocks == (n_jobs == 1)
            masses.append((scored.masses(x, offsets), scored.soft_masses(x, offsets, torch.tensor([0.1]))))
    assert torch.equal(masses[0][0], masses[1][0])
    # Sums in another order differ by a rounding error of float64.
    torch.testing.assert_close(masses[0][1], masses[1][1], rtol=1e-12, atol=0)


def test_workers_get_the_points_once():
    tiles = _tiles.Tiles(Units(torch.randn(3000, 200), "sqeuclidean"))
    build, arguments = tiles.__reduce__()
    again = tiles.__reduce__()[1]
    assert arguments[1] is again[1]
    first, second = build(*arguments), build(*again)
    assert first is second
    assert first is not build("another", *arguments[1:])


def test_a_device_without_workers_is_refused():
    with pytest.raises(ValueError, match="n_jobs=2 is a number of workers on the CPU, but the device is cuda"):
        Workers(2, torch.device("cuda"))
    with parallel_config("threading", n_jobs=2):
        assert Workers(None).has_blocks
        assert not Workers(None, torch.device("cuda")).has_blocks


def test_a_block_is_computed_by_one_thread():
    """The function that joblib calls in a worker, which may have more."""
    torch.set_num_threads(2)
    assert _evaluate(lambda x: torch.tensor(torch.get_num_threads()), (np.zeros(1),)) == 1
    assert torch.get_num_threads() == 2


def test_number_of_threads_is_that_before_the_first_block():
    torch.set_num_threads(2)
    with one_thread():
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError), one_thread():
        np.asarray(1 // 0)
    assert torch.get_num_threads() == 2

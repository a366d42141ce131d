"""Formulas of the sources that are wrong, and the versions that hold: one test for each entry of doc/errata.rst."""

import math
from itertools import permutations

import numpy as np
import ot
import pytest
import torch

from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.nn import ConvexPair, DenseICNN
from sklearn_ot.objectives.fgan import DIVERGENCES
from sklearn_ot.objectives.w2 import w2gn
from sklearn_ot.transport import GaussianTransport


def f_divergence(name, p, q):
    """∫ f(p/q) q dx between distributions on a few points."""
    return float((q * DIVERGENCES[name].f(p / q)).sum())


def test_the_half_cost_is_half_of_the_square_of_a_distance():
    X = np.random.default_rng(0).normal(size=(50, 2))
    sent = GaussianTransport(shrinkage=None).fit(X, X + np.array([1.0, 0.0])).transform(X)
    half_cost = np.mean(np.sum((X - sent) ** 2, axis=1) / 2)
    assert half_cost == pytest.approx(wasserstein_distance(X, sent, p=2) ** 2 / 2)
    # Without a square on the left it would be a distance: shifts by 1, by 1 again, and by 2.
    one, two = (wasserstein_distance(X, X + np.array([shift, 0.0]), p=2) ** 2 / 2 for shift in (1.0, 2.0))
    assert two == pytest.approx(4 * one)
    assert two > one + one


def test_the_push_forward_theorem_has_a_two_in_the_usual_units():
    """N(0, I) and N(m, I) with the potential ½‖x‖²: M = 1, and the bound without the 2 is wrong."""
    rng, m = np.random.default_rng(0), np.array([3.0, -1.0])
    X = rng.normal(size=(200, 2))
    Y = X + m
    # ε = E ψ(x) + E ψ*(y) − E⟨x, T*(x)⟩ on these rows.
    excess = np.mean(np.sum(X**2 + Y**2, axis=1)) / 2 - np.mean(np.sum(X * Y, axis=1))
    squared = wasserstein_distance(X, Y, p=2) ** 2
    assert squared == pytest.approx(2 * excess)
    assert squared > 1.5 * excess


def test_the_cycle_term_has_the_half_of_the_poster():
    torch.manual_seed(0)
    pair = ConvexPair((DenseICNN, {"n_features": 2}), (DenseICNN, {"n_features": 2}), is_guess=False).double()
    for weight in pair.parameters():
        weight.data += 0.1 * torch.rand_like(weight)
    x, y = torch.randn(2, 30, 2, dtype=torch.float64)
    weight = float((w2gn(pair, x, y, reg=2.0) - w2gn(pair, x, y, reg=1.0)).detach())
    # The mean of both directions.
    squares = [
        (second.gradient(first.gradient(rows)) - rows).square().sum(1).mean()
        for first, second, rows in ((pair.inverse, pair.potential, y), (pair.potential, pair.inverse, x))
    ]
    assert weight == pytest.approx(float(sum(squares).detach()) / 2 / 2)


def test_the_bakeries_deliver_for_64():
    table = """12 10 31 27 10 30   22  7 25 15 11 14   19  7 19 10 15 15
               10  6 21 19 14 24   15 23 14 24 31 34   35 26 16  9 34 15"""
    costs = np.array(table.split(), dtype=float).reshape(6, 6)
    plan = ot.emd([], [], costs)
    assert 6 * (plan * costs).sum() == pytest.approx(64)
    assert (plan.argmax(axis=1) + 1).tolist() == [5, 6, 2, 1, 3, 4]
    assert min(sum(costs[i, j] for i, j in enumerate(order)) for order in permutations(range(6))) == 64


P, Q = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64), torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)


def test_pearson_divides_by_the_second_distribution():
    neyman = float(((Q - P).square() / P).sum())
    assert f_divergence("pearson", P, Q) == pytest.approx(float(((P - Q).square() / Q).sum()))
    assert f_divergence("pearson", P, Q) != pytest.approx(neyman, rel=0.1)
    assert f_divergence("pearson", Q, P) == pytest.approx(neyman)
    u = P / Q
    assert float((Q * (u - 1).square() / u).sum()) == pytest.approx(neyman)


def test_jensen_shannon_is_twice_the_divergence_with_the_half():
    with_half = float((P * (2 * P / (P + Q)).log() + Q * (2 * Q / (P + Q)).log()).sum()) / 2
    assert f_divergence("jensen-shannon", P, Q) == pytest.approx(2 * with_half)


@pytest.mark.parametrize("theta", [0.0, 0.25, -3.0])
def test_parallel_lines(theta):
    """The total variation is 1 if the segments do not meet; the other rows of the lecture are right."""
    heights = np.linspace(0, 1, 11)
    lines = [np.column_stack([np.full(11, x), heights]) for x in (0.0, theta)]
    points = np.unique(np.concatenate(lines), axis=0)
    p, q = (torch.from_numpy(np.array([(line == x).all(1).mean() for x in points])) for line in lines)
    is_apart = theta != 0
    assert float((p - q).abs().sum() / 2) == pytest.approx(float(is_apart))
    half = (p + q) / 2
    shannon = float((torch.xlogy(p, p / half) + torch.xlogy(q, q / half)).sum() / 2)
    assert shannon == pytest.approx(math.log(2) if is_apart else 0, abs=1e-12)
    assert float(torch.xlogy(p, p / q).sum()) == (math.inf if is_apart else 0)
    assert wasserstein_distance(*lines, p=1) == pytest.approx(abs(theta))


def test_no_divergence_without_a_length_bounds_a_distance():
    """Two points at the distance 10, without noise: W1 = 10, and the root of the divergence is below 1."""
    largest = math.sqrt(math.log(2))
    assert wasserstein_distance([[0.0]], [[10.0]], p=1) == 10 > largest

"""The check of images against the Gaussian map at the start: few rows far out, and near rows beside far ones."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_ot.nn import ConvexPair, DenseICNN, HalfSquare, ResidualMap
from sklearn_ot.objectives.dual import preimages
from sklearn_ot.objectives.strata import StartImages, start_check
from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample


def normal(n_rows, seed):
    return torch.randn(n_rows, 3, generator=torch.Generator().manual_seed(seed))


def start_images(x, y, weight=None, n_far=(0, 0)):
    return StartImages.of((x, y), (weight, None), n_far, y, lambda rows: rows)


def test_the_start_is_not_worse_than_itself():
    x = normal(200, 0)
    assert not start_images(x, normal(150, 1)).beat(x)


def test_one_row_must_not_go_farther_out_than_the_start_and_the_other_sample():
    x, y = normal(200, 0), normal(150, 1)
    x[0] *= 100
    start, reach = start_images(x, y), x[0].norm()
    for factor, is_worse in ((0.01, False), (1.0, False), (1.2, True), (-1.2, True)):
        images = x.clone()
        images[0] *= factor
        assert start.beat(images) == is_worse
    images = x.clone()
    images[1] = reach * torch.eye(3)[0]
    assert start.beat(images)  # another row, as far out as the far row at the start


def test_near_rows_count_beside_far_ones():
    """The near rows are one deviation off, which is nothing next to the far rows."""
    x, y = normal(400, 0), normal(400, 1)
    x[:4], y[:4] = 10_000 * x[:4], 10_000 * y[:4]
    images = x.clone()
    images[4:] += 1
    start = start_images(x, y, n_far=(4, 4))
    assert start.beat(images)
    assert not start_images(images, y, n_far=(4, 4)).beat(x)
    # All rows together hide it.
    assert start.distances(images)[0] == pytest.approx(start.distances(x)[0], rel=0.1)


def test_one_image_in_the_range_of_the_target_does_not_decide():
    """Of 2000 rows one goes far out, within the range of the other sample, and all others come to their places."""
    x, y = 1.15 * normal(2000, 0), normal(2000, 1)
    y[0] *= 25 / y[0].norm()
    images = x / 1.15
    images[1] *= 20 / images[1].norm()
    assert not start_images(x, y, n_far=(0, 1)).beat(images)


def test_a_change_within_the_noise_is_not_worse():
    x, y = normal(400, 0), normal(400, 1)
    refused = [start_images(x, y).beat(x + 0.02 * normal(400, seed)) for seed in range(10)]
    assert sum(refused) <= 5


def test_integer_weights_are_repeated_rows():
    x, y = normal(60, 0), normal(80, 1)
    counts = torch.arange(60) % 3 + 1
    repeated = x.repeat_interleave(counts, dim=0)
    weighted = start_images(x, y, counts / counts.sum(), n_far=(10, 5))
    expected = start_images(repeated, y, n_far=(int(counts[:10].sum()), 5)).distances(repeated.square())
    assert weighted.distances(x.square()) == pytest.approx(expected, rel=1e-4)


def test_equal_rows_have_no_unit():
    rows = torch.ones(5, 3)
    assert not start_images(rows, rows).beat(rows)


def coordinates_of(X, Y):
    return BalancedCoordinates.balance(sample_gaussian_map(Sample.of(X), Sample.of(Y))).focus(X, Y)


@pytest.mark.parametrize("is_flat", [False, True])
def test_lengths_are_those_of_the_data(is_flat):
    rng = np.random.RandomState(0)
    X, Y = rng.randn(50, 4) * [1, 10, 100, 1000], rng.randn(60, 4) @ rng.randn(4, 4)
    if is_flat:
        X[:, 1], Y[:, 1] = 3, 5
    coordinates = coordinates_of(X, Y)
    rows = ((X, coordinates.of_source), (Y, coordinates.of_target))
    for (sample, to_coordinates), lengths in zip(rows, coordinates.lengths, strict=True):
        along = coordinates.within(to_coordinates(sample))
        assert along.shape[1] == 3 + (not is_flat)
        differences = lengths(np.diff(along, axis=0))
        ratios = np.linalg.norm(differences, axis=1) / np.linalg.norm(np.diff(sample, axis=0), axis=1)
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


class Scaling(nn.Module):
    """A map that multiplies the rows far out."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def transport(self, x):
        return torch.where(x.norm(dim=1, keepdim=True) > 5, self.factor, 1.0) * x


def test_a_map_and_its_inverse_are_checked():
    X, Y = (normal(100, seed).numpy().astype(float) for seed in (0, 1))
    X[0] *= 30
    coordinates = coordinates_of(X, Y)
    x, y = (
        torch.as_tensor(to(rows), dtype=torch.float32)
        for to, rows in ((coordinates.of_source, X), (coordinates.of_target, Y))
    )
    check = start_check((x, y), (x, y, None, None), (1, 0), coordinates)
    assert check(Scaling(1.0))
    assert check(Scaling(0.5))
    assert not check(Scaling(3.0))
    convex = (DenseICNN, {"n_features": 3, "hidden_layer_sizes": (4,)})
    pair = ConvexPair(convex, (ResidualMap, {"n_features": 3}), is_guess=True)
    assert check(pair)
    inverted = ConvexPair(convex, convex, is_guess=False)
    assert check(inverted)
    with torch.no_grad():
        inverted.inverse.shift += 100
    assert not check(inverted)


class Bent(HalfSquare):
    """½‖x‖² in a ball, with the curvature 0.02 away from 0 beyond it."""

    strong_convexity = 0.02

    def __init__(self, radius):
        super().__init__()
        self.radius = radius

    def value_and_gradient(self, x):
        norm = x.norm(dim=1).clamp_min(self.radius)
        beyond = norm - self.radius
        value = x.square().sum(1) / 2 - 0.98 / 2 * beyond.square()
        return value, (1 - 0.98 * beyond / norm)[:, None] * x


def test_preimages_are_those_of_the_fitted_map_which_has_a_rim():
    """A target row 1.2 times as far out as all source rows: its preimage is 11 times without a rim, and 1.6 with it."""
    x = normal(200, 0)
    radius = x.norm(dim=1).max().item()
    y = 0.5 * normal(200, 1)
    y[0] *= 1.2 * radius / y[0].norm()
    coordinates = coordinates_of(*2 * [x.numpy().astype(float)])
    guess = (ResidualMap, {"n_features": 3})
    pair = ConvexPair((Bent, {"radius": radius}), guess, is_guess=True)
    farthest = preimages(pair, y).norm(dim=1).max()
    assert farthest == pytest.approx(11 * radius, rel=0.01)
    assert start_check((x, y), (x, y, None, None), (0, 1), coordinates)(pair)


def test_one_far_row_among_others_must_not_go_farther_out():
    """The sliced distance hardly changes: the square of one of ten far rows grows by 0.7 of itself."""
    x, y = normal(200, 0), normal(150, 1)
    x[:10] *= 100 / x[:10].norm(dim=1, keepdim=True)
    start, images = start_images(x, y, n_far=(10, 0)), x.clone()
    images[0] *= 1.3
    assert max(after / before for after, before in zip(start.distances(images), start.distances(x), strict=True)) < 1.1
    assert start.beat(images)

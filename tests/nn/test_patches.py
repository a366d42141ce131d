"""PatchPotential and UnitsPotential: gradients, convexity, and what the patches of a picture are."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_ot.nn import DenseICNN, HalfSquare, PatchPotential, UnitsPotential
from sklearn_ot.nn._patches import Tiling

# Shape, size of a patch, stride and reduction: even and odd lengths, lines, patches as large as the picture.
CUTS = [
    ((12, 8, 3), 4, None, 1),
    ((12, 8, 1), 4, 1, 2),
    ((1, 30, 2), 8, None, 1),
    ((7, 5, 2), 8, None, 1),
    ((6, 6, 1), 3, 3, 2),
]


def rows(shape, n_rows=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_rows, int(np.prod(shape)), dtype=torch.float64, generator=generator)


def bent(shape, size, stride, reduction):
    """A potential of patches that is no quadratic function."""
    torch.manual_seed(0)
    d = int(np.prod(PatchPotential(HalfSquare(), shape, size, stride, reduction).patch_shape))
    network = DenseICNN(d, (8, 8))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    network.project_()
    return PatchPotential(network, shape, size, stride, reduction).double()


@pytest.mark.parametrize("cut", CUTS)
def test_patches_of_the_identity_give_the_identity(cut):
    shape, *rest = cut
    potential, x = PatchPotential(HalfSquare(), shape, *rest), rows(shape)
    torch.testing.assert_close(potential.gradient(x), x, rtol=0, atol=1e-13)
    torch.testing.assert_close(potential(x), x.square().sum(1) / 2)


@pytest.mark.parametrize("cut", CUTS)
def test_gradient_is_that_of_autograd(cut):
    potential, x = bent(*cut), rows(cut[0]).requires_grad_()
    value, gradient = potential.value_and_gradient(x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(potential.gradient(x), gradient)


def test_gradient_is_monotone():
    potential = bent((12, 8, 3), 4, 2, 1)
    x, y = rows((12, 8, 3), 64), rows((12, 8, 3), 64, seed=1)
    step = x - y
    product = ((potential.gradient(x) - potential.gradient(y)) * step).sum(1)
    assert (product >= potential.strong_convexity * step.square().sum(1)).all()


def test_patches_are_windows_of_the_mirrored_picture():
    x = torch.arange(24.0).view(1, 24)
    potential = PatchPotential(HalfSquare(), (4, 6, 1), patch_size=2, stride=1)
    mirrored = np.pad(x.numpy().reshape(4, 6), 1, mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, (2, 2)).reshape(-1, 4)
    np.testing.assert_array_equal(potential.patches(x).numpy(), windows)


def test_a_patch_sees_only_what_is_near():
    potential, x = bent((16, 16, 1), 4, 2, 1), rows((16, 16, 1), 1)
    changed = x.clone()
    changed[0, 0] += 1
    moved = (potential.gradient(changed) - potential.gradient(x)).view(16, 16) != 0
    assert moved[:4, :4].any()
    # Patches that contain the first pixel reach no farther.
    assert not moved[4:].any()
    assert not moved[:, 4:].any()


def test_differences_within_a_block_do_not_change():
    potential, x = bent((8, 8, 1), 2, 1, 2), rows((8, 8, 1), 3)
    before, after = (pictures.view(3, 4, 2, 4, 2) for pictures in (x, potential.gradient(x)))
    displacement = after - before
    torch.testing.assert_close(displacement, displacement.mean((2, 4), keepdim=True).expand_as(displacement))
    assert displacement.abs().max() > 0.1


def test_many_pictures_are_worked_on_in_parts(monkeypatch):
    potential, x = bent((12, 8, 3), 4, None, 1), rows((12, 8, 3), 7)
    value, gradient = potential.value_and_gradient(x)
    monkeypatch.setattr("sklearn_ot.nn._patches.PATCH_NUMBERS", 1)
    for together, apart in zip((value, gradient), potential.value_and_gradient(x), strict=True):
        torch.testing.assert_close(together, apart)


@pytest.mark.parametrize(("n_pixels", "size", "stride"), [(12, 8, 3), (10, 4, 4), (9, 6, 2)])
def test_stride_that_does_not_divide(n_pixels, size, stride):
    with pytest.raises(ValueError, match="must divide"):
        Tiling(n_pixels, size, stride)


def test_reduction_that_does_not_divide():
    with pytest.raises(ValueError, match="reduction=2 must divide"):
        PatchPotential(HalfSquare(), (5, 4, 1), reduction=2)


class Quartic(nn.Module):
    """The function Σ x⁴ / 4."""

    strong_convexity = 0.0

    def gradient(self, x):
        return x**3

    def value_and_gradient(self, x):
        return (x**4).sum(1) / 4, x**3


def test_units_potential_has_the_gradient_of_its_formula():
    rng = np.random.RandomState(0)
    matrix, (q, _) = rng.randn(5, 5), np.linalg.qr(rng.randn(5, 2))
    m, n, axes = rng.randn(5), rng.randn(5), q
    potential = UnitsPotential(Quartic(), *map(torch.tensor, (m, n, matrix / 2, axes)), scale=2.0)
    x = torch.tensor(rng.randn(4, 5), requires_grad=True)
    value, gradient = potential.value_and_gradient(x)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), x)[0], gradient)
    u = (x.detach().numpy() - m) @ matrix.T / 2
    along = u @ axes
    image = n + 2 * (u + (along**3 - along) @ axes.T) @ matrix
    np.testing.assert_allclose(potential.gradient(x).detach().numpy(), image)

"""Potentials of pictures that are sums over patches."""

import math

import torch
from torch import Tensor, nn

from sklearn_ot.nn._constants import Constants

# Number of numbers in the patches that are worked on together: they stay in the cache of a processor.
PATCH_NUMBERS = 2**19


class Tiling:
    """Overlapping intervals of one axis that cover every pixel equally often.

    The axis of n pixels is mirrored at its ends, and intervals of p pixels begin at every multiple of a stride q that
    divides n and p. Some of them reach beyond an end. An interval and its mirror image both do, so that each has the
    weight ½. Every pixel of the axis then has the same weight p / q in the sum over all intervals.

    Parameters
    ----------
    n_pixels : int
        n.
    size : int
        p; n if it is larger than n.
    stride : int, default=None
        q; the largest possible number up to p / 2 if None.

    Raises
    ------
    ValueError
        If the stride does not divide n and p.
    """

    def __init__(self, n_pixels: int, size: int, stride: int | None = None):
        self.size = min(size, n_pixels)
        common = math.gcd(n_pixels, self.size)
        if stride is None:
            stride = next((q for q in range(max(1, self.size // 2), 1, -1) if common % q == 0), 1)
        if common % stride:
            raise ValueError(f"stride={stride} must divide {n_pixels} pixels and the {self.size} pixels of a patch.")
        self.stride, beyond = stride, self.size - stride
        places = torch.arange(-beyond, n_pixels + beyond) % (2 * n_pixels)
        # The pixel at each place of the mirrored axis.
        self.pixels = torch.where(places < n_pixels, places, 2 * n_pixels - 1 - places)
        starts = torch.arange(-beyond, n_pixels, stride)
        is_inside = (starts >= 0) & (starts + self.size <= n_pixels)
        # In float64, for potentials of any dtype.
        self.weight = torch.where(is_inside, 1.0, 0.5).double() * stride / self.size


class PatchPotential(Constants):
    r"""A convex function of pictures, the sum of one convex function over all their patches.

    .. math:: \Psi(x) = \sum_j w_j\, \psi(P_j x), \qquad \nabla \Psi(x) = \sum_j w_j P_j^\top \nabla\psi(P_j x)

    The patches :math:`P_j x` overlap, and those at the edges are of the mirrored picture. The weights make
    :math:`\sum_j w_j P_j^\top P_j` the identity, see `Tiling`: the map ∇Ψ moves each pixel by the mean of its
    displacements in all patches. If ψ is a network, Ψ is a convolutional one.

    With a ``reduction`` r, the patches are those of the means of blocks of r × r pixels. The differences within a block
    do not change: :math:`\Psi(R x) + \tfrac12 \|x\|^2 - \tfrac12 \|R x\|^2`, where R has orthonormal rows.

    Pictures are flat rows, with the channels last.

    Parameters
    ----------
    potential : nn.Module
        ψ, with the methods ``value_and_gradient`` and ``gradient`` of rows of ``patch_shape``.
    image_shape : tuple of int
        (height, width, n_channels).
    patch_size : int, default=4
        Height and width of a patch; no larger than those of the picture.
    stride : int, default=None
        Distance of neighbouring patches. It must divide height, width and the size of a patch. None is the largest such
        number up to half of a patch.
    reduction : int, default=1
        r; it must divide height and width.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nn import HalfSquare, PatchPotential
    >>> potential = PatchPotential(HalfSquare(), (12, 8, 3))
    >>> x = torch.randn(5, 12 * 8 * 3)
    >>> bool(torch.allclose(potential.gradient(x), x, atol=1e-5))
    True
    """

    def __init__(
        self,
        potential: nn.Module,
        image_shape: tuple[int, int, int],
        patch_size: int = 4,
        stride: int | None = None,
        reduction: int = 1,
    ):
        super().__init__()
        height, width, self.n_channels = image_shape
        if height % reduction or width % reduction:
            raise ValueError(f"reduction={reduction} must divide the sides of {height} × {width} pixels.")
        self.potential, self.reduction = potential, reduction
        self.shape = (height // reduction, width // reduction)
        self.tilings = [Tiling(n_pixels, patch_size, stride) for n_pixels in self.shape]
        self.patch_shape = (*(tiling.size for tiling in self.tilings), self.n_channels)
        self.register_buffer("row_pixels", self.tilings[0].pixels)
        self.register_buffer("column_pixels", self.tilings[1].pixels)
        self.register_buffer("weight", torch.outer(*(tiling.weight for tiling in self.tilings)))

    @property
    def strong_convexity(self) -> float:
        """The modulus of Ψ."""
        return min(1.0, self.potential.strong_convexity) if self.reduction > 1 else self.potential.strong_convexity

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        return self.value_and_gradient(x)[0]

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients, shape (n, d): pictures, moved."""
        return torch.cat([self._gradient(part) for part in self._parts(x)])

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and gradients."""
        return tuple(map(torch.cat, zip(*map(self._value_and_gradient, self._parts(x)), strict=True)))

    def _gradient(self, x):
        small = self.reduced(x)
        return x + self._enlarged(self._joined(self.potential.gradient(self.patches(small)), x.shape[0]) - small)

    def _value_and_gradient(self, x):
        small = self.reduced(x)
        values, gradients = self.potential.value_and_gradient(self.patches(small))
        value = values.view(x.shape[0], -1) @ self.weight.flatten().to(values.dtype)
        if self.reduction > 1:
            value = value + (x.square().sum(1) - small.square().sum(1)) / 2
        return value, x + self._enlarged(self._joined(gradients, x.shape[0]) - small)

    def _parts(self, x):
        if isinstance(x.shape[0], torch.SymInt):
            # A graph of any number of rows has one part.
            return [x]
        return x.split(max(1, PATCH_NUMBERS // (self.weight.numel() * math.prod(self.patch_shape))))

    def project_(self) -> None:
        """Project the weights of ψ."""
        self.potential.project_()

    def patches(self, small: Tensor) -> Tensor:
        """All patches of reduced pictures, shape (n × n_patches, d_patch); those of the first picture first."""
        pictures = small.view(-1, *self.shape, self.n_channels)
        whole = pictures.index_select(1, self.row_pixels).index_select(2, self.column_pixels)
        for axis, tiling in enumerate(self.tilings):
            whole = whole.unfold(1 + axis, tiling.size, tiling.stride)
        return whole.permute(0, 1, 2, 4, 5, 3).reshape(-1, math.prod(self.patch_shape))

    def _joined(self, patches, n_pictures):
        """The weighted sum of all patches at their places, the adjoint of `patches`."""
        (p, q), (r, s) = ((tiling.size // tiling.stride, tiling.stride) for tiling in self.tilings)
        n, m = self.weight.shape
        parts = patches.view(n_pictures, n, m, -1) * self.weight[..., None].to(patches.dtype)
        parts = parts.view(n_pictures, n, m, p, q, r, s, self.n_channels)
        whole = parts.new_zeros(n_pictures, n + p - 1, q, m + r - 1, s, self.n_channels)
        for i in range(p):
            for j in range(r):
                whole[:, i : i + n, :, j : j + m] += parts[:, :, :, i, :, j].transpose(2, 3)
        whole = whole.view(n_pictures, len(self.row_pixels), len(self.column_pixels), self.n_channels)
        by_rows = whole.new_zeros(n_pictures, self.shape[0], *whole.shape[2:]).index_add(1, self.row_pixels, whole)
        moved = whole.new_zeros(n_pictures, *self.shape, self.n_channels).index_add(2, self.column_pixels, by_rows)
        return moved.flatten(1)

    def reduced(self, x):
        """R x: the means of blocks, times r, as flat rows."""
        if self.reduction == 1:
            return x
        (height, width), r = self.shape, self.reduction
        return x.view(-1, height, r, width, r, self.n_channels).sum((2, 4)).flatten(1) / r

    def _enlarged(self, small):
        """The adjoint of `reduced`."""
        if self.reduction == 1:
            return small
        (height, width), r = self.shape, self.reduction
        blocks = small.view(-1, height, 1, width, 1, self.n_channels) / r
        return blocks.expand(-1, -1, r, -1, r, -1).flatten(1)

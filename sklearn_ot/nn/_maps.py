"""Maps of rows in the units of the data: affine maps, units, and maps of coordinates."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sklearn_ot.nn._constants import Constants


class Affine(Constants):
    r"""An affine map of rows, with a matrix that is a diagonal one or has a low rank in addition.

    .. math:: x \mapsto b + W_2 (I + Q (C - I) Q^\top) W_1 (x - a)

    The matrices :math:`W_1, W_2` are diagonal. Every part may be None, for 0 or the identity.

    Parameters
    ----------
    start, end : Tensor of shape (d,)
        a and b.
    before, after : Tensor of shape (d,)
        The diagonals of :math:`W_1` and :math:`W_2`.
    core : Tensor of shape (n_directions, n_directions)
        C, a symmetric matrix; None for the identity.
    basis : Tensor of shape (d, n_directions)
        Q; None for the identity.
    """

    def __init__(self, start=None, end=None, *, before=None, after=None, core=None, basis=None):
        super().__init__()
        core = core if core is None or core.numel() else None
        self.keep(start=start, end=end, before=before, after=after, core=core, basis=basis)

    def forward(self, x: Tensor) -> Tensor:
        """Images of rows."""
        x = x if self.start is None else x - self.start.to(x.dtype)
        x = self.linear(x)
        return x if self.end is None else x + self.end.to(x.dtype)

    def linear(self, x: Tensor) -> Tensor:
        """The linear part."""
        x = x if self.before is None else x * self.before.to(x.dtype)
        if self.core is not None and self.basis is None:
            x = x @ self.core.to(x.dtype)
        elif self.core is not None:
            basis = self.basis.to(x.dtype)
            along = x @ basis
            x = x + (along @ self.core.to(x.dtype) - along) @ basis.T
        return x if self.after is None else x * self.after.to(x.dtype)


class CosineTransform(Constants):
    """The orthonormal cosine transform of pictures of shape (n, *picture_shape, n_channels), and its inverse.

    Parameters
    ----------
    matrices : list of Tensor of shape (length, length)
        The transform along each axis of a picture.
    """

    def __init__(self, matrices: list[Tensor]):
        super().__init__()
        self.names = [f"matrix_{axis}" for axis in range(len(matrices))]
        self.keep(**dict(zip(self.names, matrices, strict=True)))

    def forward(self, z: Tensor) -> Tensor:
        """Coefficients of pictures."""
        for axis, name in enumerate(self.names, 1):
            z = (z.movedim(axis, -1) @ getattr(self, name).to(z.dtype).T).movedim(-1, axis)
        return z

    def back(self, z: Tensor) -> Tensor:
        """Pictures with given coefficients."""
        for axis, name in enumerate(self.names, 1):
            z = (z.movedim(axis, -1) @ getattr(self, name).to(z.dtype)).movedim(-1, axis)
        return z


class CosineAffine(Constants):
    r"""An affine map of flattened pictures, :math:`x \mapsto b + C^\top A\, C (x - a)` with the cosine transform C.

    Parameters
    ----------
    start, end : Tensor of shape (d,)
        a and b.
    blocks : Tensor of shape (*picture_shape, n_channels)
        A, a symmetric matrix of the channels for each frequency.
    transform : CosineTransform
        C.
    """

    def __init__(self, start: Tensor, end: Tensor, blocks: Tensor, transform: CosineTransform):
        super().__init__()
        self.transform = transform
        self.keep(start=start, end=end, blocks=blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Images of flattened pictures."""
        return self.end.to(x.dtype) + self.linear(x - self.start.to(x.dtype))

    def linear(self, x: Tensor) -> Tensor:
        """The linear part."""
        z = self.transform(x.reshape(-1, *self.blocks.shape[:-1]))
        z = (z[..., None, :] @ self.blocks.to(x.dtype)).squeeze(-2)
        return self.transform.back(z).reshape(x.shape)


class ToUnits(Constants):
    r"""Coordinates of rows in which columns have size 1, see `sklearn_ot.solvers.units.UnitCoordinates`.

    Parameters
    ----------
    places : Tensor of int of shape (n_axes,)
        The columns that have a coordinate.
    center, scale : Tensor of shape (n_axes,)
        Their centres and scales; a column with the scale 0 has the coordinate 0.
    bend : float
        Where coordinates are bent; infinite without a bend.
    """

    def __init__(self, places: Tensor, center: Tensor, scale: Tensor, bend: float):
        super().__init__()
        self.bend = bend
        self.keep(places=places, center=center, divisor=torch.where(scale > 0, scale, torch.inf))

    def forward(self, x: Tensor) -> Tensor:
        """Coordinates, shape (n, n_axes)."""
        u = (x[:, self.places] - self.center.to(x.dtype)) / self.divisor.to(x.dtype)
        if self.bend == torch.inf:
            return u
        size = u.abs().clamp(min=self.bend) / self.bend
        return u.clamp(-self.bend, self.bend) + u.sign() * self.bend * size.log()


class FromUnits(Constants):
    r"""Rows with given coordinates, the inverse of `ToUnits`; a column without a coordinate has its centre.

    Parameters
    ----------
    places, scale, bend
        See `ToUnits`.
    center : Tensor of shape (d,)
        The centres of all columns.
    limits : Tensor of shape (2, n_axes) or None
        Smallest and largest coordinates.
    """

    def __init__(self, places: Tensor, center: Tensor, scale: Tensor, bend: float, limits: Tensor | None):
        super().__init__()
        self.bend = bend
        # The coordinate of each column; columns without one take a column of zeros behind the others.
        sources = torch.full((len(center),), len(places))
        sources[places] = torch.arange(len(places))
        self.keep(sources=None if len(places) == len(center) else sources, center=center, scale=scale, limits=limits)

    def forward(self, u: Tensor) -> Tensor:
        """Rows, shape (n, d)."""
        if self.limits is not None:
            u = torch.clamp(u, *self.limits.to(u.dtype))
        if self.bend != torch.inf:
            size = u.abs().clamp(min=self.bend) / self.bend
            u = u.clamp(-self.bend, self.bend) + u.sign() * self.bend * torch.expm1(size - 1)
        x = u * self.scale.to(u.dtype)
        if self.sources is not None:
            x = F.pad(x, (0, 1))[:, self.sources]
        return x + self.center.to(u.dtype)


class WithinLimits(Constants):
    """A map of rows within limits; beyond them, the displacement is that at the limits.

    Parameters
    ----------
    inner : nn.Module
        The map.
    limits : Tensor of shape (2, d)
        Smallest and largest numbers of each column.
    """

    def __init__(self, inner: nn.Module, limits: Tensor):
        super().__init__()
        self.inner = inner
        self.keep(limits=limits)

    def forward(self, x: Tensor) -> Tensor:
        """Images of rows."""
        near = torch.clamp(x, *self.limits.to(x.dtype))
        return x + (self.inner(near) - near)


class AlongAxes(Constants):
    r"""A map of coordinates that changes those along some axes only: :math:`u + E (m(E^\top u) - E^\top u)`.

    Parameters
    ----------
    inner : nn.Module
        The map m of the coordinates along the axes.
    axes : Tensor of shape (d, n_axes) or None
        E; None for all directions.
    """

    def __init__(self, inner: nn.Module, axes: Tensor | None):
        super().__init__()
        self.inner = inner
        self.keep(axes=axes)

    def forward(self, u: Tensor) -> Tensor:
        """Images of coordinates."""
        along = self.within(u)
        return self.lifted(u, along, self.inner(along))

    def within(self, u: Tensor) -> Tensor:
        """Coordinates along the axes."""
        return u if self.axes is None else u @ self.axes.to(u.dtype)

    def lifted(self, u: Tensor, along: Tensor, image: Tensor) -> Tensor:
        """Coordinates with other ones along the axes."""
        return image if self.axes is None else u + self.outward(image - along)

    def outward(self, along: Tensor) -> Tensor:
        """The vector with these coordinates along the axes."""
        return along if self.axes is None else along @ self.axes.to(along.dtype).T


class Chain(nn.Sequential):
    """Maps one after the other."""

    def linear(self, x: Tensor) -> Tensor:
        """The linear part, if all maps are affine."""
        for module in self:
            x = module.linear(x)
        return x


class Method(nn.Module):
    """A method of a module as a module of its own.

    Parameters
    ----------
    inner : nn.Module
        The module.
    name : str
        The name of the method.
    """

    def __init__(self, inner: nn.Module, name: str):
        super().__init__()
        self.inner, self.name = inner, name

    def forward(self, x: Tensor) -> Tensor:
        """The result of the method."""
        return getattr(self.inner, self.name)(x)


class ScalarFunction(nn.Module):
    """A scalar function of rows, with a gradient that functions of `torch.func` can take.

    Parameters
    ----------
    inner : nn.Module
        The function; its values have shape (n,).
    """

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Values, shape (n,)."""
        return self.inner(x)

    def gradient(self, x: Tensor) -> Tensor:
        """Gradients, shape (n, d)."""
        value, pull_back = torch.func.vjp(self.inner, x)
        return pull_back(torch.ones_like(value))[0]

    def transport(self, x: Tensor) -> Tensor:
        """The rows minus the gradients."""
        return x - self.gradient(x)

"""Fitted maps and generators as modules of rows in the units of the data."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Inversion(NamedTuple):
    """The result of an inverse map that is a search.

    Attributes
    ----------
    rows : Tensor of shape (..., n_features)
        The preimages x of rows y.
    residual : Tensor of shape (...)
        The distances between y and the images of x, in the units of the data. They have no gradient.
    """

    rows: Tensor
    residual: Tensor


class InverseChain(nn.Module):
    """Inverse maps one after the other, some of which may be searches.

    Parameters
    ----------
    parts : list of nn.Module
        The inverse maps.
    image : nn.Module
        The map whose inverse this is.
    """

    def __init__(self, parts: list[nn.Module], image: nn.Module):
        super().__init__()
        self.parts, self.image = nn.ModuleList(parts), image

    def forward(self, y: Tensor) -> Inversion:
        """Preimages of rows."""
        x = y
        for part in self.parts:
            x = part(x)
            x = x.rows if isinstance(x, Inversion) else x
        return Inversion(x, (self.image(x.detach()) - y.detach()).norm(dim=1))


class Frozen(nn.Module):
    """Base class of modules that stay in evaluation mode, and whose weights get no gradient."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Frozen":
        """Do nothing: a fitted map is the same in training and in evaluation."""
        return super().train(False)


class FittedMap(Frozen):
    """A map of rows; all dimensions of a tensor but the last one are those of a batch.

    Parameters
    ----------
    inner : nn.Module
        The map of rows, from shape (n, n_features) to (n, n_outputs), or to an `Inversion`.
    n_features : int
        Number of features of a row.
    """

    def __init__(self, inner: nn.Module, n_features: int):
        super().__init__(inner)
        self.n_features = n_features

    def forward(self, x: Tensor) -> Tensor | Inversion:
        """Map rows, a floating-point tensor of shape (..., n_features)."""
        check_columns(x, self.n_features, "x")
        shape, images = x.shape[:-1], self.inner(x.reshape(-1, self.n_features))
        if isinstance(images, Inversion):
            rows, residual = images
            return Inversion(rows.reshape(*shape, rows.shape[-1]), residual.reshape(shape))
        return images.reshape(*shape, images.shape[-1])


class FittedGenerator(Frozen):
    """A map from noise to rows; all dimensions of a tensor but the last one are those of a batch.

    Parameters
    ----------
    inner : nn.Module
        The map from inputs of shape (n, latent_dim + n_classes), where the last columns are one-hot labels, to rows.
    latent_dim, n_classes : int
        Numbers of columns of the noise, and of classes; 0 for a generator without classes.
    """

    def __init__(self, inner: nn.Module, latent_dim: int, n_classes: int = 0):
        super().__init__(inner)
        self.latent_dim, self.n_classes = latent_dim, n_classes

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise of shape (..., latent_dim) to rows.

        With classes, ``labels`` are their numbers, an integer tensor of shape (...), or one-hot labels of shape
        (..., n_classes).
        """
        check_columns(noise, self.latent_dim, "noise")
        if (labels is None) == (self.n_classes > 0):
            wanted = f"give labels of {self.n_classes} classes" if self.n_classes else "give noise alone"
            raise TypeError(f"The generator was fitted {'with' if self.n_classes else 'without'} classes: {wanted}.")
        if labels is not None:
            if not labels.is_floating_point():
                labels = labels[..., None] == torch.arange(self.n_classes, device=labels.device)
            check_columns(labels, self.n_classes, "labels")
            noise = torch.cat([noise, labels.to(noise.dtype)], -1)
        rows = self.inner(noise.reshape(-1, noise.shape[-1]))
        return rows.reshape(*noise.shape[:-1], rows.shape[-1])


def check_columns(x: Tensor, n_columns: int, name: str) -> None:
    """Raise a ValueError unless the last dimension of a tensor has this size."""
    if x.ndim == 0 or x.shape[-1] != n_columns:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, but its last dimension must have {n_columns} numbers.")

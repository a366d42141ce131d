"""The map of a StatisticsTransport as a torch module."""

import math

import torch
from torch import Tensor, nn

from sklearn_ot.nn import Constants, CosineTransform


class StatisticsMap(Constants):
    """The map that gives pictures other statistics, see `StatisticsTransport`; it is computed in float64.

    Parameters
    ----------
    inner : nn.Module
        The map of statistics.
    transform : CosineTransform
        The cosine transform of pictures.
    shape : tuple of int
        The shape of a picture, with the channels last.
    unit : float
        The unit of coefficients.
    low : Tensor of int
        Places of the lowest coefficients.
    bands : list of Tensor of int
        Places of the coefficients of each band.
    floors, sizes : Tensor of shape (n_bands,)
        Least variances, and typical sizes, of bands.
    """

    def __init__(self, inner: nn.Module, transform: CosineTransform, shape, unit: float, low, bands, floors, sizes):
        super().__init__()
        self.inner, self.transform, self.shape, self.unit, self.n_bands = inner, transform, shape, unit, len(bands)
        upper = torch.triu_indices(shape[-1], shape[-1])
        scale = torch.tensor([1.0 if i == j else math.sqrt(2) for i, j in upper.T.tolist()], dtype=torch.float64)
        # The coefficients are put together in the order of the bands, and sorted.
        order = torch.cat([low, *bands]).argsort()
        self.keep(low=low, floors=floors, sizes=sizes, upper=upper, scale=scale, order=order)
        for k, band in enumerate(bands):
            self.register_buffer(f"band_{k}", band)

    def forward(self, x: Tensor) -> Tensor:
        """Images of flattened pictures, in their dtype."""
        n_channels = self.shape[-1]
        pictures = x.to(self.floors.dtype).reshape(-1, *self.shape) / self.unit
        coefficients = self.transform(pictures).reshape(x.shape[0], -1, n_channels)
        parts = [coefficients[:, getattr(self, f"band_{k}")] for k in range(self.n_bands)]
        before, low = self._log_roots(parts), coefficients[:, self.low]
        (i, j), sizes = self.upper, self.sizes[:, None]
        contrasts = before[..., i, j] * self.scale * sizes
        moved = self.inner(torch.cat([low.flatten(1), contrasts.flatten(1)], 1))
        low, upper = moved.split([low.shape[1] * n_channels, contrasts.shape[1] * contrasts.shape[2]], 1)
        places = torch.zeros(n_channels, n_channels, dtype=torch.int64, device=x.device)
        places[i, j] = places[j, i] = torch.arange(len(self.scale), device=x.device)
        after = (upper.unflatten(1, contrasts.shape[1:]) / self.scale / sizes)[..., places]
        stretches = _gaussian_stretch(before, after)
        parts = [part @ stretches[:, k] for k, part in enumerate(parts)]
        moved = torch.cat([low.unflatten(1, (-1, n_channels)), *parts], 1)[:, self.order]
        return (self.transform.back(moved.reshape(-1, *self.shape)) * self.unit).reshape(x.shape).to(x.dtype)

    def _log_roots(self, parts):
        """½ log of the covariances of bands, shape (n, n_bands, n_channels, n_channels)."""
        covariances = torch.stack([part.mT @ part for part in parts], 1)
        variance, axes = torch.linalg.eigh(covariances)
        return _function_of(torch.maximum(variance, self.floors[:, None]).log() / 2, axes)


def _gaussian_stretch(log_root, new_log_root):
    """The optimal maps between Gaussians with covariances S and S', from ½ log S and ½ log S'."""
    root, inverse_root = torch.linalg.matrix_exp(log_root), torch.linalg.matrix_exp(-log_root)
    variance, axes = torch.linalg.eigh(root @ torch.linalg.matrix_exp(2 * new_log_root) @ root)
    return inverse_root @ _function_of(variance.clamp(min=0).sqrt(), axes) @ inverse_root


def _function_of(values, axes):
    """Symmetric matrices with these eigenvalues and eigenvectors."""
    return (axes * values[..., None, :]) @ axes.mT

"""Hidden layers of input-convex networks: convex activations with their slopes, over pools of units."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Activation(torch.autograd.Function):
    """A convex, non-decreasing activation and its slope, which share their computation.

    The input ``v`` of shape (pool_size, n_pools, n) has one pool of units for each output, and n numbers of each unit,
    one for each row of a sample. So sums over a pool run over whole vectors. The results are the outputs, shape
    (n_pools, n), and the slope of each output in the units of its pool, of the shape of ``v``.
    """

    # All operations of the derivatives are functions of tensors, which `torch.vmap` can take as they are.
    generate_vmap_rule = True

    @classmethod
    def forward(cls, v):
        value, slope = cls.value_and_slope(v)
        return value.squeeze(0), slope

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, slope = output
        ctx.save_for_backward(slope)
        ctx.save_for_forward(slope)
        ctx.set_materialize_grads(False)  # the slope is often not used

    @classmethod
    def backward(cls, ctx, value_grad, slope_grad):
        (slope,) = ctx.saved_tensors
        grad = None if value_grad is None else value_grad * slope
        if slope_grad is None:
            return grad
        curved = cls.curve(slope, slope_grad)
        return curved if grad is None else grad + curved

    @classmethod
    def jvp(cls, ctx, direction):
        (slope,) = ctx.saved_tensors
        return (slope * direction).sum(0), cls.curve(slope, direction)


class CELU(Activation):
    """``max(v, 0) + exp(min(v, 0)) - 1``."""

    @staticmethod
    def value_and_slope(v):
        slope = v.clamp(max=0).exp_()
        return v.relu().add_(slope).sub_(1), slope

    @staticmethod
    def curve(slope, direction):
        # Where the slope is below 1 the curvature is equal to it, elsewhere 0. `torch.where` would take several passes.
        return -F.threshold(-slope, -1, 0) * direction


class Softplus(Activation):
    """``log(1 + exp(v))``."""

    @staticmethod
    def value_and_slope(v):
        return F.softplus(v), v.sigmoid()

    @staticmethod
    def curve(slope, direction):
        return slope * (1 - slope) * direction


class LogSumExp(Activation):
    """``log(sum(exp(v)))`` over each pool of units, a smooth maximum; its slopes are the softmax of ``v``."""

    @staticmethod
    def value_and_slope(v):
        largest = v.amax(0, keepdim=True)
        slope = (v - largest).exp_()
        total = slope.sum(0, keepdim=True)
        slope /= total
        return total.log_().add_(largest), slope

    @staticmethod
    def curve(slope, direction):
        return slope * (direction - (slope * direction).sum(0))


ACTIVATIONS = {"celu": (CELU,), "softplus": (Softplus,), "logsumexp": (LogSumExp,), "mixed": (LogSumExp, CELU)}


class Units(NamedTuple):
    """The units of a layer that have the same activation, in pools of equal size."""

    activation: type[Activation]
    n_units: int
    pool_size: int

    @property
    def n_pools(self) -> int:
        """Number of outputs."""
        return self.n_units // self.pool_size

    def activate(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs, shape (n_pools, n), and the slopes, from units of shape (pool_size, n_pools, n)."""
        if torch.is_grad_enabled():
            return self.activation.apply(v)
        value, slope = self.activation.value_and_slope(v)  # searches call this often, and autograd takes time
        return value.squeeze(0), slope


class ConvexLayer(NamedTuple):
    """A hidden layer with units of one or more kinds, which follow each other.

    Attributes
    ----------
    kinds : tuple of Units
        The units of each kind.
    """

    kinds: tuple[Units, ...]

    @classmethod
    def of(cls, activation: str, size: int | tuple[int, ...], pool_size: int) -> "ConvexLayer":
        """A layer of the given width, or with the given number of units of each kind.

        A ValueError is raised if the units cannot be split into pools.
        """
        activations = ACTIVATIONS[activation]
        if not isinstance(size, int):
            sizes = size
        elif len(activations) == 1:
            sizes = (size,)
        else:
            n_pooled = pool_size * math.ceil(size // pool_size / 2)
            sizes = (n_pooled, size - n_pooled)
        pairs = zip(activations, sizes, strict=True)
        kinds = tuple(Units(kind, n_units, pool_size if kind is LogSumExp else 1) for kind, n_units in pairs)
        if any(units.n_units % units.pool_size for units in kinds):
            raise ValueError(f"A layer of {size} units cannot be split into pools of {pool_size}: choose a multiple.")
        return cls(kinds)

    @property
    def size(self) -> int | tuple[int, ...]:
        """The argument of `of` that makes this layer."""
        sizes = tuple(units.n_units for units in self.kinds)
        return sizes if len(sizes) > 1 else sizes[0]

    @property
    def width(self) -> int:
        """Number of units."""
        return sum(units.n_units for units in self.kinds)

    @property
    def n_pools(self) -> int:
        """Number of outputs."""
        return sum(units.n_pools for units in self.kinds)

    def activate(self, v: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The outputs, shape (n_pools, n), and the slopes of each kind, from units of shape (width, n)."""
        inputs = v.split([units.n_units for units in self.kinds])
        results = [
            units.activate(part.unflatten(0, (units.pool_size, units.n_pools)))
            for units, part in zip(self.kinds, inputs, strict=True)
        ]
        return _joined([value for value, _ in results]), [slope for _, slope in results]

    def spread(self, outputs: Tensor, slopes: list[Tensor]) -> Tensor:
        """Derivatives in the units, shape (width, n), from those in the outputs, shape (n_pools, n) or (n_pools, 1)."""
        parts = outputs.split([units.n_pools for units in self.kinds])
        return _joined([(part * slope).flatten(0, 1) for part, slope in zip(parts, slopes, strict=True)])

    def units_of(self, pools: Tensor) -> tuple["ConvexLayer", Tensor]:
        """The layer of some of the pools, and the mask of their units, from a mask of the pools."""
        parts = zip(self.kinds, pools.split([units.n_pools for units in self.kinds]), strict=True)
        masks = [(units, part.repeat(units.pool_size)) for units, part in parts]
        kinds = tuple(units._replace(n_units=int(mask.sum())) for units, mask in masks)
        return ConvexLayer(kinds), torch.cat([mask for _, mask in masks])


def _joined(parts):
    return torch.cat(parts) if len(parts) > 1 else parts[0]

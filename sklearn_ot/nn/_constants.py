"""Modules with constants that keep all their digits."""

import torch
from torch import Tensor, nn


class Constants(nn.Module):
    """Base class of modules whose buffers stay float64 when the module gets another dtype.

    Such buffers are means, units and matrices of data. They are converted to the dtype of the rows when they are used,
    so that ``module.float().double()`` is as accurate as ``module.double()``. They move to another device as usual. On
    a device without float64 they have the dtype of the module.
    """

    def _apply(self, fn, recurse=True):
        exact = {name: buffer for name, buffer in self._buffers.items() if buffer.dtype == torch.float64}
        super()._apply(fn, recurse)
        for name, buffer in exact.items():
            device = self._buffers[name].device
            if device.type != "mps":
                self._buffers[name] = buffer.to(device)
        return self

    def keep(self, **constants: Tensor | None) -> None:
        """Register buffers; those that are None become attributes."""
        for name, tensor in constants.items():
            if tensor is None:
                setattr(self, name, None)
            else:
                self.register_buffer(name, tensor)

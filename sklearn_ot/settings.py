"""Settings of the caller's program, from which results must not depend: NumPy's errors, torch's modes and devices."""

import functools
import inspect
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

# NumPy's defaults. Underflow is part of ordinary numerics: the weight of a far row is 0.
ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
# Types of devices whose automatic mixed precision is switched off.
AUTOCAST_TYPES = tuple(filter(torch.amp.is_autocast_available, ("cpu", "cuda", "mps")))


@contextmanager
def own_settings():
    """Run a block with the default settings of NumPy and torch, in this thread only, whatever those of the caller.

    Errors of NumPy are those of a new process, gradients can be computed, new tensors are normal ones on the CPU, and
    mixed precision is off. The default dtype and the random stream of torch belong to the whole process: code in the
    block names the dtype of each new tensor and draws from a generator, or uses `sklearn_ot.nets.torch_seed`.
    """
    with ExitStack() as stack:
        stack.enter_context(np.errstate(**ERRORS))
        # Tensors from inference mode can never be trained. Without this mode, gradients are on.
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        # A mode for the device slows down each call of torch, so there is none if it changes nothing.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device_type in filter(torch.is_autocast_enabled, AUTOCAST_TYPES):
            stack.enter_context(torch.autocast(device_type, enabled=False))
        yield


def in_own_settings(function):
    """Decorate a function so that it runs in `own_settings`."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        with own_settings():
            return function(*args, **kwargs)

    return run


class OwnSettings:
    """Mixin of classes whose public methods and properties run in `own_settings`, also those of subclasses."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, member in vars(cls).copy().items():
            if name.startswith("_"):
                continue
            if inspect.isfunction(member):
                setattr(cls, name, in_own_settings(member))
            elif isinstance(member, classmethod):
                setattr(cls, name, classmethod(in_own_settings(member.__func__)))
            elif isinstance(member, property):
                setattr(cls, name, property(in_own_settings(member.fget), member.fset, member.fdel, member.__doc__))

"""Trainings of several processes: their device, a check that all start alike, and the end from the keyboard."""

import signal
import threading
import zlib
from contextlib import contextmanager

import numpy as np
import torch

from sklearn_ot.nets._device import random_stream, resolve_device
from sklearn_ot.processes import TOGETHER, has_accelerator

# Largest number of entries of a tensor that are compared between processes.
N_COMPARED = 256
# Relative and absolute difference up to which entries are equal: other processors round differently.
TOLERANCES = {"rtol": 1e-3, "atol": 1e-3}


def check_alike(processes, settings, rows, weights):
    """Raise a ValueError in every process if one of them would train in another way than the others.

    Parameters
    ----------
    processes : Processes
        The processes.
    settings : dict
        Plain values.
    rows, weights : list of Tensor
        The data and the networks, of which some entries are compared.
    """
    if processes.count == 1:
        return
    from accelerate.utils import gather_object

    stream = tuple(zlib.crc32(part.numpy()) for part in random_stream(processes.device).values())
    facts = {"rows": _entries(rows), "settings": settings, "random streams": stream, "weights": _entries(weights)}
    first, *others = gather_object([facts])
    for i, other in enumerate(others, start=1):
        if different := [name for name in facts if not _is_equal(first[name], other[name])]:
            raise ValueError(
                f"Processes that train together must start alike, but the {' and '.join(different)} of process {i} "
                "differ from those of process 0. Give each process all rows, in the same order, the same parameters, "
                "and the same integer as random_state. No process trained."
            )


def training_device(device):
    """Find the device on which this process trains, as `resolve_device` does.

    With "accelerate" it is the device of the ``accelerate.Accelerator`` of this process. An ImportError is raised if
    accelerate is not installed, and a ValueError if there is no accelerator or it trains in a way that has no meaning
    here.
    """
    if device != TOGETHER:
        return resolve_device(device)
    try:
        from accelerate.state import AcceleratorState
        from accelerate.utils import DistributedType
    except ImportError as error:
        raise ImportError(
            'device="accelerate" needs the package accelerate: pip install "sklearn-ot[accelerate]".'
        ) from error
    if not has_accelerator():
        # Made here, it would wait for ever in a process that a search has started.
        raise ValueError(
            'device="accelerate" needs an accelerator in this process: call accelerate.Accelerator() once, before fit. '
            'Processes of a search (n_jobs) have none: there use n_jobs=None, or device="auto".'
        )
    state = AcceleratorState()
    if state.mixed_precision != "no":
        raise ValueError(
            f"Networks train in float32, but the accelerator has mixed_precision={state.mixed_precision!r}: set it to "
            '"no".'
        )
    kind = DistributedType(state.distributed_type).value
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(
            f"Each process has whole networks, but accelerate is set to {kind}: start the processes without it, as "
            "with `accelerate launch --multi_gpu`."
        )
    return torch.device(state.device)


@contextmanager
def late_interrupt(processes):
    """Note an interruption from the keyboard in a list, without ending the block, if other processes train as well.

    Otherwise the others would wait for this process, which has left. After each block all of them ask whether one was
    interrupted. A second interruption ends the block at once.
    """
    asked = []
    # Python lets no other thread handle signals.
    if processes.count == 1 or threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def note(number, _):
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def tensors_in(value):
    """The tensors of a dataset, or of nested tuples and lists."""
    if torch.is_tensor(value):
        return [value]
    parts = value if isinstance(value, tuple | list) else getattr(value, "__dict__", {}).values()
    return [tensor for part in parts for tensor in tensors_in(part)]


def _entries(tensors):
    """The shape and some entries of each tensor."""
    entries = []
    for tensor in tensors:
        flat = tensor.detach().flatten()
        places = torch.linspace(0, max(len(flat) - 1, 0), min(len(flat), N_COMPARED), dtype=torch.float64).long()
        entries.append((tuple(tensor.shape), flat[places.to(flat.device)].cpu().double().numpy()))
    return entries


def _is_equal(first, other):
    if not isinstance(first, list):
        return first == other
    return len(first) == len(other) and all(
        shape == shape_too and np.allclose(part, part_too, **TOLERANCES, equal_nan=True)
        for (shape, part), (shape_too, part_too) in zip(first, other, strict=True)
    )

"""Processes that train the same networks together, started by accelerate."""

import signal
import sys
import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from sklearn_ot.nets._device import random_stream, resolve_device

# The value of the parameter ``device`` of estimators whose processes train together.
TOGETHER = "accelerate"
# Largest number of entries of a tensor that are compared between processes.
N_COMPARED = 256
# Relative and absolute difference up to which entries are equal: other processors round differently.
TOLERANCES = {"rtol": 1e-3, "atol": 1e-3}


@dataclass(frozen=True)
class Processes:
    """The processes that train a net together, as one of them sees them; by default it is alone.

    Each process has all rows and the same random stream. It draws the same joint batch as the others, and computes the
    gradient on its own rows of the batch. Then all take the same step, down the mean of the gradients. So their
    networks are the same, bit for bit.

    Parameters
    ----------
    count : int, default=1
        Number of processes.
    index : int, default=0
        Index of this process, from 0.
    device : torch.device or str, default="cpu"
        The device on which this process exchanges numbers.

    Examples
    --------
    >>> import torch
    >>> from sklearn_ot.nets import Processes
    >>> Processes(count=2, index=1).own(torch.arange(6))
    tensor([1, 3, 5])
    """

    count: int = 1
    index: int = 0
    device: torch.device | str = "cpu"

    @property
    def is_first(self):
        """Whether this process is the one that shows progress and writes files."""
        return self.index == 0

    def joint_size(self, batch_size, n_rows):
        """Number of rows of a joint batch: those of a process times their number, as far as there are rows.

        It is 0 if there are fewer rows than processes. Each of them then takes all rows.
        """
        return self.count * min(batch_size, n_rows // self.count)

    def own(self, rows, dim=0):
        """The rows of this process in a joint batch, along a dimension."""
        return rows if self.count == 1 else rows[(slice(None),) * dim + (slice(self.index, None, self.count),)]

    def batches(self, order, batch_size):
        """The rows of this process in successive joint batches of rows in some order, without the remainder."""
        size = self.joint_size(batch_size, len(order))
        return [self.own(rows) for rows in order.split(size)[: len(order) // size]] if size else [order]

    def mean(self, tensor):
        """The mean of a tensor over the processes."""
        if self.count == 1:
            return tensor
        from accelerate.utils import reduce

        return reduce(tensor, "mean")

    @torch.no_grad()
    def average_(self, tensors):
        """Replace tensors of one dtype by their means over the processes, in place."""
        if self.count > 1 and tensors:
            # One exchange of all numbers takes less time than one for each tensor.
            means = self.mean(torch.cat([tensor.flatten() for tensor in tensors]))
            parts = means.split([tensor.numel() for tensor in tensors])
            torch._foreach_copy_(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    @torch.no_grad()
    def copy_first_(self, tensors):
        """Replace tensors by those of the first process, in place."""
        if self.count > 1:
            from accelerate.utils import broadcast

            for tensor in tensors:
                broadcast(tensor)

    def first(self, *values):
        """Numbers of the first process, so that all processes decide alike, as a tuple if there are several."""
        if self.count > 1:
            numbers = torch.tensor(values, dtype=torch.float64, device=self.device)
            self.copy_first_([numbers])
            values = numbers.tolist()
        return values[0] if len(values) == 1 else values

    def any(self, fact):
        """Whether a fact is true in at least one process."""
        if self.count == 1:
            return fact
        return self.mean(torch.tensor(float(fact), device=self.device)).item() > 0

    def check(self, settings, rows, weights):
        """Raise a ValueError in every process if one of them would train in another way than the others.

        Parameters
        ----------
        settings : dict
            Plain values.
        rows, weights : list of Tensor
            The data and the networks, of which some entries are compared.
        """
        if self.count == 1:
            return
        from accelerate.utils import gather_object

        stream = tuple(zlib.crc32(part.numpy()) for part in random_stream(self.device).values())
        facts = {"rows": _entries(rows), "settings": settings, "random streams": stream, "weights": _entries(weights)}
        first, *others = gather_object([facts])
        for i, other in enumerate(others, start=1):
            if different := [name for name in facts if not _is_equal(first[name], other[name])]:
                raise ValueError(
                    f"Processes that train together must start alike, but the {' and '.join(different)} of process {i} "
                    "differ from those of process 0. Give each process all rows, in the same order, the same "
                    "parameters, and the same integer as random_state. No process trained."
                )


ALONE = Processes()


def processes_of(device):
    """The processes that train together if this is the parameter ``device`` of an estimator."""
    # Without an accelerator no process can train, but one can build a net for the weights in a file.
    if device != TOGETHER or "accelerate" not in sys.modules or not _has_accelerator():
        return ALONE
    from accelerate.state import AcceleratorState

    state = AcceleratorState()
    return Processes(state.num_processes, state.process_index, state.device)


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
    if not _has_accelerator():
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


def _has_accelerator():
    from accelerate.state import is_initialized

    return is_initialized()


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

"""The processes that work together, started by accelerate, and what they exchange."""

import sys
from dataclasses import dataclass

import torch

# The value of the parameter ``device`` of estimators whose processes train together.
TOGETHER = "accelerate"


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

    def from_first(self, function):
        """The result of a function in the first process, or its ValueError, in all processes."""
        if self.count == 1:
            return function()
        from accelerate.utils import broadcast_object_list

        outcome = [None, None]
        if self.is_first:
            try:
                outcome[0] = function()
            except ValueError as error:
                outcome[1] = error
        result, error = broadcast_object_list(outcome)
        if error is not None:
            raise error
        return result

    def any(self, fact):
        """Whether a fact is true in at least one process."""
        if self.count == 1:
            return fact
        return self.mean(torch.tensor(float(fact), device=self.device)).item() > 0


ALONE = Processes()


def processes_of(device):
    """The processes that train together if this is the parameter ``device`` of an estimator."""
    # Without an accelerator no process can train, but one can build a net for the weights in a file.
    if device != TOGETHER or sys.modules.get("accelerate.state") is None or not has_accelerator():
        return ALONE
    from accelerate.state import AcceleratorState

    state = AcceleratorState()
    return Processes(state.num_processes, state.process_index, state.device)


def has_accelerator():
    """Whether this process has made an ``accelerate.Accelerator``; accelerate must be installed."""
    from accelerate.state import is_initialized

    return is_initialized()

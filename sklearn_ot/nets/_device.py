"""Devices, torch's random state and threads."""

import os
from contextlib import contextmanager
from threading import RLock, Thread

import torch

from sklearn_ot.settings import own_settings

# Number of multiply-adds of a matrix product from which a second thread saves time.
SMALL_PRODUCT = 256**3


def resolve_device(device):
    """Find the ``torch.device`` of the parameter ``device`` of an estimator.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps", "cuda:1", ...} or torch.device
        "auto" is CUDA if there is a device, else the CPU.

    Returns
    -------
    device : torch.device
        A device that exists.

    Raises
    ------
    ValueError
        If the device does not exist.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]  # CUDA adds advice for kernels
        raise ValueError(
            f"device={device!r} is not available here ({reason}). Use 'auto', 'cpu' or one of this machine's "
            f"{torch.cuda.device_count()} CUDA devices."
        ) from error
    return resolved


class Turn:
    """A lock that one fit of the process holds at a time, and that a forked process gets anew."""

    def __init__(self):
        self._renew()
        if hasattr(os, "register_at_fork"):
            # The fit that holds the lock goes on in the parent, and would never release it in the child.
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        self.lock = RLock()


TURN = Turn()


@contextmanager
def torch_seed(seed, device):
    """Run a block that trains or builds networks, with its own random stream and settings, whatever the caller's.

    Networks of users draw from torch's random stream and make tensors of its default dtype. Both belong to the whole
    process, so that threads take turns: a block waits until that of another thread has ended, and must not itself wait
    for a thread with such a block. The default dtype of the block is float32. The stream, the dtype and all other
    settings of the caller are restored in the end.

    Parameters
    ----------
    seed : int
        Seed of the random stream.
    device : torch.device
        Device on which random numbers are drawn, besides the CPU.
    """
    with TURN.lock, own_settings(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        set_seed(seed, device)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def set_seed(seed, device):
    """Seed the random streams on the CPU and on a device; `torch.manual_seed` would seed all devices."""
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def random_stream(device):
    """The state of torch's random stream on the CPU and on a device, for `set_random_stream`."""
    stream = {"cpu": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        stream["cuda"] = torch.cuda.get_rng_state(device)
    return stream


def set_random_stream(stream, device):
    """Set torch's random stream to a stored state; only that of the CPU if the state has none for the device."""
    torch.set_rng_state(stream["cpu"])
    if "cuda" in stream and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(stream["cuda"], device)


@contextmanager
def limited_threads(batch_size, width):
    """Run a block on one CPU thread if its matrices of ``batch_size`` rows and ``width`` columns are small.

    For small matrices, threads wait for each other longer than they compute. If the cores are busy with another
    program, such as another fold of a search, each of thousands of waits takes a time slice. The number changes only in
    the thread of the caller, and is restored.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1 or batch_size * width**2 >= SMALL_PRODUCT:
        yield
        return
    torch.set_num_threads(1)
    try:
        # Torch sets the number of this thread and that of threads that have not used it yet. The latter is put back.
        helper = Thread(target=torch.set_num_threads, args=(n_threads,))
        helper.start()
        helper.join()
        yield
    finally:
        torch.set_num_threads(n_threads)

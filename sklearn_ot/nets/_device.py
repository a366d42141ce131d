"""Devices, torch's random state and threads."""

from contextlib import contextmanager

import torch

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


@contextmanager
def torch_seed(seed, device):
    """Run a block with its own torch random stream; the streams of the caller do not change."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        # torch.manual_seed would also seed devices that are not forked.
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


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
    program, such as another fold of a search, each of thousands of waits takes a time slice.
    """
    n_threads = torch.get_num_threads()
    if batch_size * width**2 < SMALL_PRODUCT:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)

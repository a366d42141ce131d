"""The one place for devices and for torch's random state."""

from contextlib import contextmanager

import torch

# Multiply-adds of a matrix product from which a second thread pays.
SMALL_PRODUCT = 256**3


def resolve_device(device):
    """The ``torch.device`` that the parameter ``device`` of an estimator names.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps", "cuda:1", ...} or torch.device
        "auto" is CUDA where there is one, else the CPU.

    Returns
    -------
    device : torch.device
        A device that exists.

    Raises
    ------
    ValueError
        If there is no such device here.
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
    """Run a block on its own torch random stream; the caller's streams stay where they were."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        # torch.manual_seed would seed the devices that are not forked as well.
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
    """Go on with a random stream where it was; on a device that it does not know, with that of the CPU alone."""
    torch.set_rng_state(stream["cpu"])
    if "cuda" in stream and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(stream["cuda"], device)


@contextmanager
def threads_worth_it(batch_size, width):
    """Run a block on one CPU thread if its matrices of ``batch_size`` rows and ``width`` columns are small.

    Threads then wait for each other longer than they compute, and where the cores are busy with something else
    (another fold of a search, say) each of the thousands of meetings costs a time slice.
    """
    n_threads = torch.get_num_threads()
    if batch_size * width**2 < SMALL_PRODUCT:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)

"""The one place for devices and for torch's random state."""

from contextlib import contextmanager

import torch


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
        raise ValueError(
            f"device={device!r} is not available here ({error}). Use 'auto', 'cpu' or one of this machine's "
            f"{torch.cuda.device_count()} CUDA devices."
        ) from error
    return resolved


@contextmanager
def torch_seed(seed, device):
    """Run a block on its own torch random stream; the caller's streams stay where they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield

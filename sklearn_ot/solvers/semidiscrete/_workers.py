"""Workers of joblib, which compute blocks of rows at the same time, and one thread for each of them."""

import threading
from contextlib import contextmanager

import torch
from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed
from torch import Tensor

from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.tensors import to_tensor


class Workers:
    """The workers of one computation, on the backend of joblib that is active; a context manager.

    With a number of workers the computation is divided into blocks of rows, each of which one thread computes, and so
    is everything between the blocks. Therefore the number of workers changes no result.

    Parameters
    ----------
    n_jobs : int, default=None
        Number of workers, with scikit-learn's meaning; -1 is one for each processor. With None there are no blocks
        and no workers, and torch's threads are used, unless `joblib.parallel_config` sets a number above 1.
    device : torch.device, default=None
        Device of the computation, the CPU if None. Only a CPU has workers.

    Attributes
    ----------
    has_blocks : bool
        Whether the computation is divided into blocks.

    Raises
    ------
    ValueError
        If ``n_jobs`` is given and the device is no CPU.
    """

    def __init__(self, n_jobs: int | None = None, device: torch.device | None = None):
        on_cpu = device is None or device.type == "cpu"
        if n_jobs is not None and not on_cpu:
            raise ValueError(f"n_jobs={n_jobs!r} is a number of workers on the CPU, but the device is {device}.")
        n_workers = effective_n_jobs(n_jobs) if on_cpu else 1
        self.has_blocks = n_jobs is not None or n_workers > 1
        # With the mode "c" arrays from files can be tensors without a copy; torch takes no arrays that are read-only.
        self._parallel = Parallel(n_jobs, mmap_mode="c") if n_workers > 1 else None
        self._is_open, self._thread = False, one_thread()

    def __enter__(self):
        if self.has_blocks:
            self._thread.__enter__()
        return self

    def __exit__(self, *error):
        if self._is_open:
            self._parallel.__exit__(*error)
        if self.has_blocks:
            self._thread.__exit__(*error)

    def map(self, function, tasks: list[tuple]) -> list[Tensor]:
        """Evaluate a function that returns a tensor for each task, a tuple of its arguments; results in this order."""
        if self._parallel is None or len(tasks) == 1:
            return [function(*task) for task in tasks]
        # Small problems have one block in each call, and need no processes.
        if not self._is_open:
            self._parallel.__enter__()
            self._is_open = True
        # joblib sends arrays, and large ones only once, but not tensors.
        arrays = ([part.numpy() if isinstance(part, Tensor) else part for part in task] for task in tasks)
        results = self._parallel(delayed(_evaluate)(function, task) for task in arrays)
        return [torch.from_numpy(part) for part in results]


@in_own_settings
@torch.no_grad()
def _evaluate(function, task):
    """Evaluate a function of one task in a worker; tensors of the task and the result are arrays."""
    with one_thread():
        tensors = (to_tensor(part) if hasattr(part, "__array__") else part for part in task)
        return function(*tensors).numpy()


# Number of blocks that run `one_thread` in this process, and torch's number of threads before the first of them.
_LOCK, _RUNNING, _BEFORE = threading.Lock(), [0], [1]


@contextmanager
def one_thread():
    """Run a block on one thread of torch; the last one that ends in a process restores the number of threads."""
    with _LOCK:
        if _RUNNING[0] == 0:
            _BEFORE[0] = torch.get_num_threads()
        _RUNNING[0] += 1
        # This number is one of each thread for some operations, and one of the process for others.
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _RUNNING[0] -= 1
            if _RUNNING[0] == 0:
                torch.set_num_threads(_BEFORE[0])

"""Files from which a fit that was ended goes on.

A fit is a function of the estimator, its parameters, the data and a seed. It consists of *parts* in a fixed order: each
training of a network is one. A `Checkpoint` is a file with a description of the fit, the results of the finished parts
and the state of the part that runs. A fit that begins again computes everything between the parts again, takes finished
parts from the file, and goes on with the part that ran.
"""

import copy
import io
import math
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from pickle import PicklingError
from types import FunctionType

import numpy as np
import torch
from joblib.hashing import NumpyHasher

from sklearn_ot.files import remove_parts, write_whole
from sklearn_ot.processes import ALONE

FORMAT = 1
# Largest share of the time of a fit that is used for writing.
LARGEST_SHARE = 0.02
ADVICE = "Give another path, or delete the file to train anew."

_CURRENT = ContextVar("checkpoint", default=None)


def current_checkpoint():
    """The checkpoint of the fit that runs in this thread, or None."""
    return _CURRENT.get()


def begin_part():
    """Begin a part of the fit that runs in this thread, and return it; None without a checkpoint."""
    checkpoint = current_checkpoint()
    return None if checkpoint is None else checkpoint.begin()


@contextmanager
def using(checkpoint):
    """Run a block whose trainings go on from a checkpoint and are stored there; none are with None."""
    token = _CURRENT.set(checkpoint)
    try:
        yield checkpoint
    finally:
        _CURRENT.reset(token)


class Checkpoint:
    """The parts of a fit, in their order.

    Parameters
    ----------
    file : CheckpointFile
        The file.
    places : list of dict
        The stored parts, which this class and `Part` change in place.
    """

    def __init__(self, file, places):
        self.file, self._places, self._n_begun = file, places, 0

    def begin(self):
        """Begin the next part of the fit, and return it as a `Part`."""
        if self._n_begun == len(self._places):
            self._places.append({})
        self._n_begun += 1
        return Part(self.file, self._places[self._n_begun - 1])


class Part:
    """A part of a fit.

    Parameters
    ----------
    file : CheckpointFile
        The file of the fit.
    place : dict
        The stored part.

    Attributes
    ----------
    content : dict or None
        The stored state or, if the part is done, its result; None if nothing is stored.
    is_done : bool
        Whether the part has been finished.
    """

    def __init__(self, file, place):
        self._file, self._place = file, place
        # A copy, because a training changes tensors in place.
        self.content, self.is_done = copy.deepcopy(place.get("content")), place.get("is_done", False)

    def save(self, state):
        """Store the nested dict that ``state()`` returns, if it is time to write."""
        if self._file.is_due():
            with self._file.timed():
                self._place["content"] = detached(state())
                self._file.write()

    def finish(self, result):
        """Store the result of the part, a nested dict, and write it at once."""
        self._place.clear()
        self._place.update(content=detached(result), is_done=True)
        self._file.write()

    def inner(self):
        """The parts within this part, as a `Checkpoint`; they are forgotten when this part is finished."""
        return Checkpoint(self._file, self._place.setdefault("parts", []))

    def stop(self):
        """Write nothing any more, after an interruption: the file keeps what it has."""
        self._file.is_stopped = True


class CheckpointFile:
    """A file with the parts of a fit, which is written anew as a whole.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    fit : dict of str
        A description of the fit. A file with another description is refused.
    warn : callable
        ``warn(message)`` warns the user.
    processes : Processes, default=ALONE
        The processes that train together. The first one reads and writes the file, and all go on from what it has read.

    Attributes
    ----------
    places : list of dict
        The stored parts.
    is_stopped : bool
        Whether nothing is written any more.

    Raises
    ------
    ValueError
        If the file belongs to another fit or cannot be read.
    """

    def __init__(self, path, fit, warn, processes=ALONE):
        self.path, self.fit, self.warn, self.processes = Path(path), fit, warn, processes
        self._is_new, self.is_stopped = not os.path.lexists(self.path), not processes.is_first
        self.places = processes.from_first(lambda: [] if self._is_new else self._read())
        self._first, self._is_failing = True, False
        self._end, self._seconds = -math.inf, 0.0

    def _read(self):
        if not self.path.is_file():
            raise ValueError(f"{self._name} is no file. Give the path of a file, which need not exist.")
        try:
            data = io.BytesIO(self.path.read_bytes())
        except OSError as error:
            raise ValueError(f"{self._name} cannot be read ({error.strerror}). {ADVICE}") from error
        try:
            stored = torch.load(data, map_location="cpu", weights_only=True)
            version, fit, places = (stored[key] for key in ("format", "fit", "parts"))
        # Errors of torch for other files and damaged ones are of many classes.
        except Exception as error:
            raise ValueError(f"{self._name} is no checkpoint of this package, or is damaged. {ADVICE}") from error
        if version != FORMAT:
            raise ValueError(f"{self._name} has format {version}, and this version reads {FORMAT}. {ADVICE}")
        if fit != self.fit:
            names = [name for name in {**fit, **self.fit} if fit.get(name) != self.fit.get(name)]
            raise ValueError(f"{self._name} belongs to a fit with another {', another '.join(names)}. {ADVICE}")
        return places

    @property
    def _name(self):
        return f"checkpoint={str(self.path)!r}"

    def is_due(self):
        """Whether writing again leaves the share of the time for it small."""
        return not self.is_stopped and time.monotonic() - self._end >= self._seconds / LARGEST_SHARE

    @contextmanager
    def timed(self):
        """Measure the time that a block needs to make a state and write it."""
        start = time.monotonic()
        yield
        self._end = time.monotonic()
        self._seconds = self._end - start

    def write(self):
        """Write the file; the first time a failure is an error, in all processes, and later a warning."""
        if self._first:
            self.processes.from_first(self._write_first)
            self._first = False
        elif not self.is_stopped:
            self._write_again()

    def _write_first(self):
        try:
            remove_parts(self.path)
            write_whole(self.path, self._content(), is_new=self._is_new)
        except FileExistsError as error:
            raise ValueError(f"{self._name} has just been made by another fit. {ADVICE}") from error
        except OSError as error:
            raise ValueError(
                f"{self._name} cannot be written ({error.strerror}). Give a path in a folder that exists, that you may "
                "write to, and that has space."
            ) from error

    def _write_again(self):
        try:
            write_whole(self.path, self._content())
            self._is_failing = False
        except OSError as error:
            if not self._is_failing:
                self.warn(
                    f"{self._name} cannot be written any more ({error.strerror}). The fit goes on, and writes again "
                    "as soon as it can; until then the file has an older state."
                )
            self._is_failing = True

    def _content(self):
        data = io.BytesIO()
        torch.save({"format": FORMAT, "fit": self.fit, "parts": self.places}, data)
        return data.getbuffer()


def detached(value):
    """A copy of nested dicts, lists and tuples with plain values and tensors on the CPU.

    Raises
    ------
    TypeError
        If a value is of another kind.
    """
    if torch.is_tensor(value):
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray | np.generic):
        # Old versions of torch have few unsigned integers.
        copied = value.astype(np.int64 if value.dtype.kind == "u" else value.dtype)
        return copied.item() if isinstance(value, np.generic) else torch.from_numpy(copied)
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, dict):
        return {detached(key): detached(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [detached(item) for item in value] if isinstance(value, list) else tuple(map(detached, value))
    raise TypeError(f"A checkpoint stores no {type(value).__name__}.")


class _Hasher(NumpyHasher):
    """joblib's hash of objects, also of tensors, functions without a name and local classes, but of no times."""

    def save(self, obj):
        if torch.is_tensor(obj):
            obj = ("tensor", obj.detach().cpu().numpy())
        elif isinstance(obj, FunctionType) and "<" in obj.__qualname__:
            cells = [cell.cell_contents for cell in obj.__closure__ or ()]
            obj = (obj.__module__, obj.__qualname__, obj.__code__.co_code, repr(obj.__code__.co_consts), cells)
        elif isinstance(obj, type) and "<" in obj.__qualname__:
            obj = (obj.__module__, obj.__qualname__)
        elif isinstance(obj, dict) and "dur" in obj:  # a row of a history
            obj = {key: value for key, value in obj.items() if key != "dur"}
        super().save(obj)


def digest(value):
    """A text that differs for other values, and is the same in another process.

    Raises
    ------
    ValueError
        If a value cannot be read, such as an open file.
    """
    try:
        return _Hasher("sha256", coerce_mmap=True).hash(value)
    except (PicklingError, TypeError, AttributeError) as error:
        raise ValueError(f"A {type(value).__name__} cannot be recognised in a later fit ({error}).") from error

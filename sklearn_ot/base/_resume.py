"""The checkpoint of a fit: its file, and the description by which the file is recognised."""

from contextlib import contextmanager
from pathlib import Path

from sklearn_ot import __version__
from sklearn_ot.base._fitting import warn_user
from sklearn_ot.checkpoints import Checkpoint, CheckpointFile, current_checkpoint, digest, using
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.processes import ALONE, processes_of

# Parameters that have no effect on the result, or on its rounding errors only.
WITHOUT_EFFECT = {"checkpoint", "verbose", "n_jobs"}
# The parameter in a docstring, a part for `documented`.
CHECKPOINT = """checkpoint : str, os.PathLike or None, default=None
    A file in which the state of the training is stored after each block, or after several blocks if writing would take
    more than 2 % of the time. If the process ends before the fit does, the same call of ``fit`` goes on from the file,
    and on a CPU its result is that of an uninterrupted fit, bit for bit, also with ``random_state=None``. The file then
    stays, and the same call takes the result from it; delete it to train anew. The file of a fit with other data or
    other parameters is refused before the training."""


@contextmanager
def resumable(estimator, rng, *data):
    """Run a fit whose trainings are stored in the file ``estimator.checkpoint``, and go on from it.

    A fit within another one is a part of it, unless it has a file of its own.

    Parameters
    ----------
    estimator : estimator
        The estimator, before its fit has changed anything on which the fit depends.
    rng : RandomState
        The random numbers of the fit. It is set to the state at which the fit in the file began.
    *data : object
        Validated arrays, and other arguments of ``fit``.

    Raises
    ------
    ValueError
        If the file cannot be written or read, or belongs to another fit, or not all processes have one.
    """
    path, checkpoint = getattr(estimator, "checkpoint", None), current_checkpoint()
    processes = _processes(estimator)
    # Otherwise some processes would wait for what the others do not send.
    if processes.any(path is not None) and processes.any(path is None):
        raise ValueError("Some of the processes that train together have a checkpoint: give it to all or to none.")
    if path is not None:
        # Other processes have other shares of the batches.
        fit = {**description(estimator, data), "number of processes": str(processes.count)}
        file = CheckpointFile(path, fit, warn_user, processes)
        checkpoint = Checkpoint(file, file.places)
    if checkpoint is None:
        yield
        return
    part = checkpoint.begin()
    if part.is_done:
        numbers = {
            name: value.numpy() if hasattr(value, "numpy") else value for name, value in part.content["state"].items()
        }
        rng.set_state({**part.content, "state": numbers})
    if path is not None or not part.is_done:  # a file is written at once, so that an error is seen before the training
        part.finish(rng.get_state(legacy=False))
    try:
        with using(checkpoint):
            yield
    except DivergenceError:
        if path is not None:  # the same call would diverge again
            Path(path).unlink(missing_ok=True)
        raise


def _processes(estimator):
    """The processes that train an estimator, or one within it, together."""
    devices = (value for name, value in estimator.get_params().items() if name.rpartition("__")[2] == "device")
    return next((processes for processes in map(processes_of, devices) if processes is not ALONE), ALONE)


def description(estimator, data):
    """The facts on which a fit depends, as texts by their names."""
    parameters = estimator.get_params()
    facts = {"class": type(estimator).__name__, "version of sklearn-ot": __version__, "data": digest(data)}
    for name, value in parameters.items():
        if name.rpartition("__")[2] not in WITHOUT_EFFECT:
            try:
                facts[name] = digest(_fitted_part(value) if hasattr(value, "get_params") else value)
            except ValueError as error:
                raise ValueError(f"A fit with this {name} can have no checkpoint: {error}") from error
    goes_on = any(value is True for name, value in parameters.items() if name.rpartition("__")[2] == "warm_start")
    if goes_on and estimator.__sklearn_is_fitted__():
        facts["start"] = digest(_fitted_part(estimator))
    return facts


def _fitted_part(estimator):
    """The class of an estimator and its attributes besides its parameters."""
    if isinstance(estimator, type):
        return estimator
    state = estimator.__getstate__() or {}
    return type(estimator), {key: value for key, value in state.items() if key not in estimator.get_params(deep=False)}

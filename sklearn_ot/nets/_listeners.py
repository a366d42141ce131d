"""The callbacks of a user: copies that suit the nets of this package, and which of them a net refuses."""

from functools import partial

from sklearn.base import clone
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    ParamMapper,
    ProgressBar,
    TrainEndCheckpoint,
)
from skorch.callbacks.scoring import ScoringBase

# Keys of the rows of a history of which the first is in each, and the others if there are validation rows.
ALWAYS, WITH_VALIDATION = ("epoch", "dur", "train_loss", "train_batch_count"), ("valid_loss", "valid_loss_best")
OWN_BEST = "the result of a fit is the best one already, and weights that are loaded afterwards would replace it"


def own_callbacks(callbacks):
    """Copies of the callbacks of an estimator, for one fit.

    An epoch is a block of this fit, or of this stage of it. Copies of callbacks that count epochs by the length of the
    history, which also has the rows of other fits and stages, are set to count the blocks instead.

    Parameters
    ----------
    callbacks : list or None
        Callbacks of skorch, or of the user: instances, classes or pairs (name, callback).

    Returns
    -------
    callbacks : list
        Copies, and pairs of names and copies.

    Raises
    ------
    TypeError
        If an entry is none of these.
    """
    return [_own(item) for item in callbacks or []]


def _own(item):
    is_pair = isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str)
    callback = item[1] if is_pair else item
    if isinstance(callback, type) and issubclass(callback, Callback):
        callback = callback()
    if not isinstance(callback, Callback):
        raise TypeError(
            f"callbacks must be a list of callbacks of skorch, or of pairs (name, callback), got the entry {item!r}."
        )
    callback = clone(callback)
    if isinstance(callback, Checkpoint | TrainEndCheckpoint):
        callback.f_criterion = None  # an objective has no state
    if isinstance(callback, LRScheduler) and not _is_plateau(callback):
        # Otherwise it would begin at the number of rows of the history.
        vars(callback).setdefault("last_epoch", -1)
    if isinstance(callback, ParamMapper) and isinstance(callback.at, int) and callback.at > 0:
        callback.at = partial(_is_block, number=callback.at)
    if isinstance(callback, ProgressBar) and callback.batches_per_epoch == "auto":
        # A batch is drawn from all rows, so their number says nothing.
        callback.batches_per_epoch = "count"
    return (item[0], callback) if is_pair else callback


def started_callbacks(callbacks, title, *kinds):
    """Copies of the callbacks of an estimator that trains several nets with them; a budget of time begins now.

    Parameters
    ----------
    callbacks : list or None
        As in `own_callbacks`.
    title : str
        Name of the estimator, for messages.
    *kinds : class of BlockNet
        The nets. A callback that one of them refuses is refused before the first of them trains.

    Returns
    -------
    callbacks : list
        Initialised copies.
    """
    callbacks = own_callbacks(callbacks)
    initialised = [callback_of(item) for item in callbacks]
    for callback in initialised:
        callback.initialize()
    for kind in kinds:
        check_callbacks(initialised, kind, title=title, validates=kind.VALIDATES)
    return callbacks


def callback_of(item):
    """The callback of an entry of a list that may have pairs (name, callback)."""
    return item[1] if isinstance(item, tuple) else item


def _is_plateau(callback):
    return getattr(callback.policy, "__name__", callback.policy) == "ReduceLROnPlateau"


def _is_block(net, number):
    return net.n_blocks_ == number


def check_callbacks(callbacks, net, *, title, validates):
    """Raise a ValueError if a callback cannot work with a net, before it trains.

    Parameters
    ----------
    callbacks : list of Callback
        Initialised callbacks, in the order in which they are called.
    net : BlockNet, or a class of it
        The net; its ``RECORDS`` are the keys of each row of its history.
    title : str
        Name of the training, for the message.
    validates : bool
        Whether there are validation rows.
    """
    keys = {*ALWAYS, *net.RECORDS, *(WITH_VALIDATION if validates else ())}
    # Callbacks of the user may record anything.
    is_known = all(type(callback).__module__.partition(".")[0] in ("skorch", "sklearn_ot") for callback in callbacks)
    for callback in callbacks:
        for kind, reasons in REASONS.items():
            if not isinstance(callback, kind):
                continue
            for reason in filter(None, reasons(callback, net, validates)):
                raise ValueError(f"{title} cannot train with the callback {type(callback).__name__}: {reason}.")
        monitor = getattr(callback, "monitor", None) if _uses_monitor(callback) else None
        if is_known and isinstance(monitor, str) and monitor not in keys:
            raise ValueError(
                f"{title} cannot train with the callback {type(callback).__name__}: it monitors {monitor!r}, but the "
                f"keys of the history are {sorted(keys)}. Monitor one of these, or put the callback after one that "
                "records the key, such as EpochScoring."
            )
        keys.update(_keys_of(callback))


def _uses_monitor(callback):
    return not isinstance(callback, LRScheduler) or _is_plateau(callback)


def _keys_of(callback):
    """Keys that a callback adds to each row of the history."""
    if isinstance(callback, ScoringBase):
        return [callback.name_, *([] if callback.lower_is_better is None else [f"{callback.name_}_best"])]
    return [event] if isinstance(event := getattr(callback, "event_name", None), str) else []


def _of_stop(callback, net, validates):
    yield net.IN_ONE_BLOCK and "all its steps are one block, so that there is none to stop after"
    yield callback.load_best and f"load_best=True is not possible, {OWN_BEST}"


def _of_files(callback, net, validates):
    yield getattr(callback, "load_best", False) and f"load_best=True is not possible, {OWN_BEST}"
    files = {name: value for name, value in vars(callback).items() if name.startswith("f_") and value is not None}
    yield files.get("f_pickle") is not None and "f_pickle is not possible, pickle the fitted estimator instead"
    wrong = [name for name, value in files.items() if not isinstance(value, str)]
    yield wrong and f"{wrong[0]} must be the name of a file, because estimators copy their callbacks"


def _of_schedule(callback, net, validates):
    by_batch = callback.step_every == "batch"
    yield net.IN_ONE_BLOCK and not by_batch and "all its steps are one block; use step_every='batch'"
    by_loss = by_batch and _is_plateau(callback) and not callable(callback.monitor)
    yield by_loss and "a loss is only known for a whole block; use step_every='epoch', or a function as monitor"


def _of_scoring(callback, net, validates):
    is_function = callable(callback.scoring_) and not hasattr(callback.scoring_, "_score_func")
    yield not is_function and (
        f"scoring={callback.scoring!r} scores predictions, which there are none of; give a function (net, X, y)"
    )
    is_idle = not callback.on_train and not validates
    yield is_idle and "there are no validation rows to score; use on_train=True"


def _of_loading(callback, net, validates):
    yield "a fit continues another one by warm_start=True, and would replace what this callback loads"


def _of_shapes(callback, net, validates):
    yield "the estimator itself gives the networks the shapes of the data"


# By kinds of callbacks, functions of a callback, a net and whether it validates, which yield reasons for a refusal.
REASONS = {
    EarlyStopping: _of_stop,
    Checkpoint: _of_files,
    TrainEndCheckpoint: _of_files,
    LRScheduler: _of_schedule,
    ScoringBase: _of_scoring,
    LoadInitState: _of_loading,
    InputShapeSetter: _of_shapes,
}

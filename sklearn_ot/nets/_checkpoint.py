"""A training as a part of the checkpoint of a fit."""

from sklearn_ot.checkpoints import begin_part, detached, using
from sklearn_ot.nets._device import random_stream, set_random_stream


class TrainingLog:
    """The log of one training of a net, which does nothing if the fit has no checkpoint.

    The attribute ``TRAINING`` of a net names its attributes on which the next block depends, without their last
    underscore, besides its ``state()``. A loader of batches that depend on earlier ones has the methods ``state`` and
    ``load_state``, and so may a callback. The state of other callbacks is that of their attributes: those that a file
    can store, and the ``state_dict`` of those that have one, such as a scheduler of torch.

    Parameters
    ----------
    net : BlockNet
        The net.
    """

    def __init__(self, net):
        self.net, self.part = net, begin_part()
        self.loader, self.n_blocks = None, 0
        self.stored = self.part.content if self.part else None

    def run(self, train):
        """Train, unless the result is stored."""
        if self.part is None:
            train()
        elif self.part.is_done:
            self.load()
        else:
            if self.stored:  # what the net computes before the first block may take long without it
                self.net.load_state(self.stored["net"])
            # Trainings and solvers within this one are no parts of the fit.
            with using(None):
                train()
            if self.net.interrupted_:
                self.part.stop()
            else:
                self.part.finish(self.state())

    def begin(self):
        """Go back to the stored state, or store the start; call it before the first block."""
        if self.stored:
            self.load()
            self.n_blocks = self.stored["n_blocks"]
        elif self.part:
            self.part.save(self.state)

    def begin_epoch(self, loader):
        """Let the loader of the batches go on where it was; call it at the begin of each block."""
        if self.loader is None and self.stored and self.stored["loader"]:
            loader.load_state(self.stored["loader"])
        self.loader = loader

    def end_block(self):
        """Count a block, and store the state if it is time to."""
        self.n_blocks += 1
        if self.part:
            self.part.save(self.state)

    def state(self):
        """The state of the training, as nested dicts of tensors and plain values."""
        net = self.net
        names = ("n_fitted_", "n_blocks_", "ended_", "kept_", *(f"{name}_" for name in net.TRAINING))
        return {
            "n_blocks": self.n_blocks,
            "net": net.state(),
            "step_sizes": [group["lr"] for group in _groups(net)],
            "training": {name: getattr(net, name) for name in names if hasattr(net, name)},
            "callbacks": [_callback_state(callback) for _, callback in net.callbacks_],
            "history": [_plain_items({**row, "batches": []}) for row in net.history],
            "loader": self.loader.state() if hasattr(self.loader, "state") else None,
            "stream": random_stream(net.device),
        }

    def load(self):
        """Load the stored state, except that of the loader."""
        net, stored = self.net, self.stored
        net.load_state(stored["net"])
        for group, step_size in zip(_groups(net), stored["step_sizes"], strict=True):
            group |= {"lr": step_size}
        for name, value in stored["training"].items():
            setattr(net, name, _on(net.device, value))
        for (_, callback), state in zip(net.callbacks_, stored["callbacks"], strict=True):
            _load_callback(callback, _on(net.device, state))
        net.history[:] = stored["history"]
        set_random_stream(stored["stream"], net.device)


def _groups(net):
    return [group for name in net._optimizers for group in getattr(net, f"{name}_").param_groups]


def _callback_state(callback):
    if hasattr(callback, "state"):
        return callback.state()
    parameters = callback.get_params(deep=False)
    values = {name: value for name, value in vars(callback).items() if name not in parameters}
    return _plain_items({name: v.state_dict() if _has_state(v) else v for name, v in values.items()})


def _has_state(value):
    return hasattr(value, "state_dict") and not isinstance(value, type)


def _load_callback(callback, state):
    if hasattr(callback, "load_state"):
        callback.load_state(state)
        return
    for name, value in state.items():
        if _has_state(getattr(callback, name, None)):
            getattr(callback, name).load_state_dict(value)
        else:
            setattr(callback, name, value)


def _plain_items(values):
    """The items of a dict that a file can store."""
    items = {}
    for name, value in values.items():
        try:
            items[name] = detached(value)
        except TypeError:
            continue
    return items


def _on(device, value):
    """Copies of nested tensors on a device."""
    if isinstance(value, dict):
        return {key: _on(device, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on(device, item) for item in value)
    return value.to(device, copy=True) if hasattr(value, "untyped_storage") else value

"""Mixin of estimators that own a net."""

import numpy as np
import torch

from sklearn_ot.nets._device import torch_seed
from sklearn_ot.nets._listeners import own_callbacks
from sklearn_ot.nets._processes import training_device
from sklearn_ot.plain import from_plain, to_plain
from sklearn_ot.processes import processes_of
from sklearn_ot.settings import in_own_settings


class NetOwner:
    """Mixin of estimators with a skorch net as ``net_``, which pickles it without tensors.

    A subclass has the parameters ``learning_rate``, ``batch_size``, ``max_iter``, ``callbacks``, ``device`` and
    ``verbose``, and writes ``_build_net(device, **architecture)``, which returns an initialised `BlockNet`. If this
    method needs more arguments than the module, the subclass also writes ``_architecture_of(net)``. A pickle stores
    these arguments and the state and history of the net, as plain values and arrays.
    """

    @in_own_settings
    def __getstate__(self):
        state = dict(super().__getstate__())
        if "net_" in state:
            state["net_"] = to_plain(self._net_state(state["net_"]))
        return state

    @in_own_settings
    def __setstate__(self, state):
        super().__setstate__(state)
        if "net_" in state:
            self.net_ = self._restore_net(**from_plain(state["net_"]))

    def _net_parameters(self, device):
        """The arguments of a net that depend neither on the method nor on the data."""
        processes = processes_of(self.device)
        return {
            "optimizer": torch.optim.Adam,
            "optimizer__fused": device.type != "mps",
            "lr": self.learning_rate,
            "batch_size": self.batch_size,
            "max_iter": self.max_iter,
            "callbacks": own_callbacks(self.callbacks),
            "device": device,
            "processes": processes,
            "verbose": int(self.verbose and processes.is_first),
            "title": type(self).__name__,
        }

    def _architecture_of(self, net):
        """The arguments with which ``_build_net`` makes such a net, as plain values."""
        return net.get_params_for("module")

    def _net_state(self, net):
        """The net as plain values and arrays, the arguments of `_restore_net`."""
        history = [{**row, "batches": []} for row in net.history]
        return {"architecture": self._architecture_of(net), "state": to_arrays(net.state()), "history": history}

    def _restore_net(self, architecture, state, history):
        net = self._untrained_net(architecture)
        net.load_state(to_tensors(state))
        net.history.extend(history)
        return net

    def _untrained_net(self, architecture):
        """Build a net of this architecture, on the CPU if the device of the fit does not exist here."""
        try:
            device = training_device(self.device)
        except (ImportError, ValueError):
            device = torch.device("cpu")
        with torch_seed(0, device):
            return self._build_net(device, **architecture)


def refuse_changes(before, after):
    """Raise a ValueError if parameters of an estimator that continues its training have changed.

    Parameters
    ----------
    before, after : dict
        The parameters of the previous fit and of this one, by their names in the estimator. The number of features of
        any network has the name ``n_features`` in the message.
    """
    changes = {
        "n_features" if name.endswith("__n_features") else name: f"from {_text(before.get(name))} to {_text(value)}"
        for name, value in {**dict.fromkeys(before), **after}.items()
        if before.get(name) != value
    }
    if changes:
        raise ValueError(
            "warm_start=True continues with the previous networks, but these parameters changed: "
            f"{', '.join(f'{name} {change}' for name, change in changes.items())}. "
            "Change them back, or set warm_start=False."
        )


def _text(value):
    return getattr(value, "__name__", repr(value))


def to_arrays(state):
    """Replace tensors by arrays in the nested dicts of a ``state_dict``."""
    if isinstance(state, dict):
        return {key: to_arrays(value) for key, value in state.items()}
    return state.cpu().numpy() if torch.is_tensor(state) else state


def to_tensors(state):
    """Replace arrays by tensors in the nested dicts of a ``state_dict``."""
    if isinstance(state, dict):
        return {key: to_tensors(value) for key, value in state.items()}
    # A copy: an array from a pickle may be read-only.
    return torch.as_tensor(np.array(state)) if isinstance(state, np.ndarray | np.generic) else state

"""Plain values: the fitted state of an estimator as numbers, words, arrays, lists and dicts of them.

Pickles, skops and `sklearn_ot.io` store estimators as plain values. So a file needs no class of the package but its
public estimators, does not depend on where the other classes are, and loads without the device of the training. A value
of another type is a dict with the key `MARK`, whose entry names a decoder from a closed list: that of a class which is
decorated with `stored`, or one of `KINDS`. Objects that are not in the list, such as estimators, stay as they are.
"""

import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_ot import nn
from sklearn_ot.settings import in_own_settings

MARK = "sklearn_ot kind"
STORED: dict[str, type] = {}


def stored(cls):
    """Decorate a class whose objects are stored under its name, by their fields or by what ``__getstate__`` returns."""
    if STORED.setdefault(cls.__name__, cls) is not cls:
        raise TypeError(f"{cls!r} cannot be stored: {STORED[cls.__name__]!r} has the same name.")
    return cls


class Kind(NamedTuple):
    """How objects of a type become plain values, and back.

    Attributes
    ----------
    is_kind : callable
        ``is_kind(value)``, whether a value is of this kind.
    encode, decode : callable
        From a value to one that may be encoded further, and back.
    """

    is_kind: Callable[[Any], bool]
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _public_module(name):
    if name not in nn.__all__:
        raise ValueError(f"sklearn_ot.nn has no {name!r}")
    return getattr(nn, name)


def _requests(value):
    """The requests of metadata of an estimator, by the methods, and the name of the estimator."""
    owner = value.owner if isinstance(value.owner, str) else type(value.owner).__name__
    methods = {name: dict(part.requests) for name, part in vars(value).items() if getattr(part, "requests", None)}
    return {"owner": owner, "methods": methods}


def _metadata_request(plain):
    request = MetadataRequest(owner=plain["owner"])
    for method, requests in plain["methods"].items():
        for name, alias in requests.items():
            getattr(request, method).add_request(param=name, alias=alias)
    return request


CLOCKS = {"monotonic": time.monotonic, "process_time": time.process_time, "perf_counter": time.perf_counter}

KINDS: dict[str, Kind] = {
    "items": Kind(
        lambda value: type(value) is dict and not _has_plain_keys(value),
        lambda value: [*map(list, value.items())],
        dict,
    ),
    "requests": Kind(lambda value: isinstance(value, MetadataRequest), _requests, _metadata_request),
    "clock": Kind(
        lambda value: any(value is clock for clock in CLOCKS.values()), lambda value: value.__name__, CLOCKS.get
    ),
    "dtype": Kind(lambda value: isinstance(value, np.dtype) and value.names is None, lambda value: value.str, np.dtype),
    "path": Kind(lambda value: isinstance(value, PurePath), str, Path),
    "device": Kind(lambda value: isinstance(value, torch.device), str, torch.device),
    "nn": Kind(
        lambda value: callable(value) and getattr(nn, getattr(value, "__name__", ""), None) is value,
        lambda value: value.__name__,
        _public_module,
    ),
}


def _has_plain_keys(value):
    return MARK not in value and all(type(key) is str for key in value)


def _fields(value):
    return value._asdict() if isinstance(value, tuple) else value.__getstate__()


def _restored(cls, state):
    """An object of a class from its fields; those that its file does not have get their defaults."""
    if issubclass(cls, tuple):
        return cls(**state)
    value = cls.__new__(cls)
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
    else:
        value.__dict__.update(state)
    return value


def to_plain(value: Any) -> Any:
    """Replace objects of stored classes and of `KINDS` in nested dicts, lists and tuples by plain values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.plain import from_plain, to_plain
    >>> to_plain({"dtype": np.dtype("float32")})
    {'dtype': {'sklearn_ot kind': 'dtype', 'value': '<f4'}}
    >>> from_plain(_)
    {'dtype': dtype('float32')}
    """
    return _walk(value, _encode, {})


def from_plain(value: Any) -> Any:
    """The values of which `to_plain` made plain ones.

    Raises
    ------
    ValueError
        If the name of a class or of a kind is not known.
    """
    return _walk(value, _decode, {})


def _walk(value, function, seen):
    """Call a function once for each object, so that an object in two places remains one."""
    if id(value) not in seen:
        # The value is kept as well: another object could get the identity of one that is gone.
        seen[id(value)] = value, function(value, lambda inner: _walk(inner, function, seen))
    return seen[id(value)][1]


def _encode(value, walk):
    name = type(value).__name__
    if STORED.get(name) is type(value):
        return {MARK: name, "value": walk(_fields(value))}
    for kind, row in KINDS.items():
        if row.is_kind(value):
            return {MARK: kind, "value": walk(row.encode(value))}
    return _inside(value, walk)


def _decode(value, walk):
    if type(value) is not dict or MARK not in value:
        return _inside(value, walk)
    kind, inner = value[MARK], walk(value["value"])
    if kind in KINDS:
        return KINDS[kind].decode(inner)
    if kind not in STORED:
        raise ValueError(f"a {kind!r} is not known")
    return _restored(STORED[kind], inner)


def _inside(value, walk):
    if type(value) is dict:
        return {key: walk(inner) for key, inner in value.items()}
    return type(value)(map(walk, value)) if type(value) in (list, tuple) else value


class PlainState:
    """Mixin of estimators whose state, in a pickle or another file, has plain values."""

    @in_own_settings
    def __getstate__(self):
        return to_plain(dict(super().__getstate__()))

    @in_own_settings
    def __setstate__(self, state):
        super().__setstate__(from_plain(state))

"""Nested plain values, arrays and estimators as a tree for JSON, beside a dict of arrays and a dict of other parts.

JSON has words, numbers, lists and None. Any other value is an object with one entry, ``{kind: content}``; its kind
is a key of `KINDS`. A kind that is not in the table is an error.
"""

import json
import math
from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_ot.io._names import class_of, name_of, shown
from sklearn_ot.io._parts import dump_part, load_part
from sklearn_ot.plain import MARK, from_plain

# Kinds of the dtypes that safetensors has.
TENSOR_DTYPES = {np.dtype(name) for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")}
ADVICE = (
    "A file runs no code, so that it holds only plain values, arrays, and estimators of sklearn_ot and scikit-learn. "
    "Give such a value (callbacks=None, a specification of sklearn_ot.networks, the name of a source), or pickle the "
    "estimator"
)


class Contents:
    """The arrays and the other parts of a file, by their names.

    Attributes
    ----------
    arrays : dict of ndarray
        The arrays.
    parts : dict of bytes
        Estimators of scikit-learn.
    is_older : bool
        Whether an older version of this package wrote the file.
    """

    def __init__(self, arrays=None, parts=None, is_older=False):
        self.arrays, self.parts, self.is_older = arrays or {}, parts or {}, is_older
        # Names by the identities of objects, with the objects, so that no other object gets such an identity.
        self._names: dict[int, tuple[str, Any]] = {}
        self._made: dict[str, Any] = {}

    def name(self, value, store, make):
        """The name of a value in a store; one that comes again has the same name."""
        if id(value) not in self._names:
            name = f"{len(store)}"
            store[name] = make(value)
            self._names[id(value)] = name, value
        return self._names[id(value)][0]

    def made(self, kind, content, make):
        """A loaded value, which is made once: what was one object is one again."""
        key = json.dumps([kind, content])
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


class Kind(NamedTuple):
    """How values of a type become JSON, and back.

    Attributes
    ----------
    is_kind : callable
        ``is_kind(value)``, whether a value is of this kind.
    encode : callable
        ``encode(value, contents, where)``, the content for JSON.
    decode : callable
        ``decode(content, contents)``, the value.
    """

    is_kind: Callable[[Any], bool]
    encode: Callable[..., Any]
    decode: Callable[..., Any]


def encode(value: Any, contents: Contents, where: str) -> Any:
    """The tree of a value, whose arrays and parts are added to the contents.

    Parameters
    ----------
    value : object
        The value.
    contents : Contents
        Receives the arrays and parts.
    where : str
        The place of the value, for the message.

    Raises
    ------
    ValueError
        If a value cannot be stored; the message names its place.
    """
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is list:
        return _encode_all(value, contents, where)
    for kind, row in KINDS.items():
        if row.is_kind(value):
            return {kind: row.encode(value, contents, where)}
    raise ValueError(f"{where} is {shown(value)}, which a file cannot hold. {ADVICE}.")


def decode(tree: Any, contents: Contents) -> Any:
    """The value of a tree."""
    if isinstance(tree, list):
        return [decode(inner, contents) for inner in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind not in KINDS:
        raise ValueError(f"a {kind!r} is not known")
    return KINDS[kind].decode(content, contents)


def _encode_all(values, contents, where):
    return [encode(value, contents, f"{where}[{number}]") for number, value in enumerate(values)]


def _encode_dict(value, contents, where):
    # The marks of plain values are not places that a user knows.
    names = {key: where if MARK in value else f"{where}.{key}" for key in value}
    return {key: encode(inner, contents, names[key]) for key, inner in value.items()}


def _decode_dict(content, contents):
    return {key: decode(inner, contents) for key, inner in content.items()}


def _encode_array(value, contents, where):
    content = {}
    if value.dtype not in TENSOR_DTYPES:
        content = {"dtype": value.dtype.str, "shape": list(value.shape)}
        make = _bytes_of
    elif value.flags.f_contiguous and not value.flags.c_contiguous:
        # Sums of products depend on the order of the numbers in memory, by rounding errors.
        content, make = {"order": "F"}, np.transpose
    else:
        make = np.asarray
    return {"name": contents.name(value, contents.arrays, lambda array: np.asarray(make(array), order="C")), **content}


def _bytes_of(array):
    return np.frombuffer(array.tobytes(), np.uint8)


def _decode_array(content, contents):
    def make():
        array = contents.arrays[content["name"]]
        if "dtype" in content:
            return np.frombuffer(array.tobytes(), np.dtype(content["dtype"])).reshape(content["shape"]).copy()
        return array.T if content.get("order") == "F" else array

    return contents.made("array", content, make)


def _decode_objects(content, contents):
    items = decode(content["items"], contents)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(content["shape"])


def _encode_estimator(value, contents, where):
    name = name_of(value)
    value._validate_params()
    return {"name": name, "state": _encode_dict(value.__getstate__(), contents, where)}


def _decode_estimator(content, contents):
    cls, state = class_of(content["name"]), _decode_dict(content["state"], contents)
    if contents.is_older:
        # Parameters that are newer than the file have their defaults.
        state = {name: p.default for name, p in signature(cls).parameters.items() if p.default is not p.empty} | state
    missing = [name for name in cls._get_param_names() if name not in state]
    if missing:
        raise ValueError(f"{cls.__name__} has no {', '.join(missing)}")
    # The parameters first: networks are built with them.
    unfitted = cls.__new__(cls)
    vars(unfitted).update(from_plain({name: state[name] for name in cls._get_param_names()}))
    unfitted._validate_params()
    estimator = cls.__new__(cls)
    estimator.__setstate__(state)
    return estimator


def _is_plain_array(value):
    return type(value) is np.ndarray and not value.dtype.hasobject


def _generator(state):
    """A NumPy generator in a state; only bit generators of NumPy have a name that is known."""
    name = state["bit_generator"]
    if name not in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
        raise ValueError(f"no bit generator has the name {name!r}")
    generator = np.random.Generator(getattr(np.random, name)(0))
    generator.bit_generator.state = state
    return generator


def _random_state(state):
    rng = np.random.RandomState(0)
    rng.set_state(state)
    return rng


def _of(cls, to_value, from_value):
    """A kind for objects of a class that are made from one other value."""
    return Kind(
        lambda value: type(value) is cls,
        lambda value, contents, where: encode(to_value(value), contents, where),
        lambda content, contents: from_value(decode(content, contents)),
    )


KINDS: dict[str, Kind] = {
    "dict": Kind(
        lambda value: type(value) is dict and all(type(key) is str for key in value), _encode_dict, _decode_dict
    ),
    "tuple": _of(tuple, list, tuple),
    "float": _of(float, str, float),
    "array": Kind(_is_plain_array, _encode_array, _decode_array),
    "estimator": Kind(name_of, _encode_estimator, _decode_estimator),
    "scikit-learn": Kind(
        lambda value: isinstance(value, BaseEstimator) and type(value).__module__.startswith("sklearn."),
        lambda value, contents, where: contents.name(value, contents.parts, lambda part: dump_part(part, where)),
        lambda content, contents: contents.made("part", content, lambda: load_part(contents.parts[content])),
    ),
    "objects": Kind(
        lambda value: type(value) is np.ndarray and value.dtype == object,
        lambda value, contents, where: {
            "shape": list(value.shape),
            "items": _encode_all(value.ravel().tolist(), contents, where),
        },
        _decode_objects,
    ),
    "scalar": Kind(
        lambda value: isinstance(value, np.generic) and not value.dtype.hasobject,
        lambda value, contents, where: encode(np.array(value), contents, where),
        lambda content, contents: decode(content, contents)[()],
    ),
    "masked": _of(np.ma.MaskedArray, lambda value: [value.data, value.mask], lambda pair: np.ma.MaskedArray(*pair)),
    "bytes": _of(bytes, lambda value: np.frombuffer(value, np.uint8), lambda array: array.tobytes()),
    "slice": _of(slice, lambda value: [value.start, value.stop, value.step], lambda ends: slice(*ends)),
    "random state": _of(np.random.RandomState, lambda rng: rng.get_state(legacy=False), _random_state),
    "random generator": _of(np.random.Generator, lambda rng: rng.bit_generator.state, _generator),
}

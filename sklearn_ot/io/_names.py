"""Public names of the classes whose objects a file may hold."""

import inspect
from importlib import import_module

from sklearn.base import BaseEstimator

from sklearn_ot import ESTIMATORS, networks

NETWORKS = tuple(
    name
    for name, thing in vars(networks).items()
    if inspect.isclass(thing) and issubclass(thing, BaseEstimator) and thing.__module__ == networks.__name__
)
# Rooms of the classes by their names. The adapter for skada is not in the list of those that the package itself has.
ROOMS = {**ESTIMATORS, "TransportAdapter": "adaptation.skada", **dict.fromkeys(NETWORKS, "networks")}

#: Names of the types of this package for ``skops.io.load(file, trusted=TRUSTED)``: all public estimators, and the
#: specifications of networks. Their states have plain values only.
TRUSTED = [f"sklearn_ot.{room}.{name}" for name, room in ROOMS.items()]


def class_of(name: str) -> type:
    """The public estimator or specification of a network with this name; a ValueError if there is none."""
    if name not in ROOMS:
        raise ValueError(f"no estimator has the name {name!r}")
    return getattr(import_module(f"sklearn_ot.{ROOMS[name]}"), name)


def name_of(value: object) -> str | None:
    """The name of the class of a public estimator or specification, or None for any other object."""
    name = type(value).__name__
    return name if name in ROOMS and class_of(name) is type(value) else None


def shown(value: object) -> str:
    """A value for a message, in one line."""
    return " ".join(repr(value).split())[:100]

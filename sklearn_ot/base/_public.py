"""The public module of an estimator, under which files name it."""

import sys

from sklearn.base import BaseEstimator


def publish(room: str) -> None:
    """Let the public estimators of a folder name this folder as their module, and not the file with their code.

    Pickles and files of skops name classes by their modules. They then load wherever the code is in a later version.
    """
    module = sys.modules[room]
    for name in module.__all__:
        public = getattr(module, name)
        if isinstance(public, type) and issubclass(public, BaseEstimator):
            public.__module__ = room

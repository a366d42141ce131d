"""Helpers of every fit: all-or-nothing changes of attributes, random states, warnings, shared parts of docstrings."""

import inspect
import os
import re
import sys
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._set_output import ADAPTERS_MANAGER

from sklearn_ot.solvers.far import far_numbers

FLOAT_DTYPES = (np.float64, np.float32)
MAX_REFERENCE_ROWS = 4096
MAX_REFERENCE_NUMBERS = 2**24
# A warning is shown at the innermost line outside these folders, which is the user's.
INNER_FOLDERS = tuple(
    f"{folder}{os.sep}"
    for folder in (Path(__file__).parents[1], Path(sklearn.__file__).parent, Path(joblib.__file__).parent)
)


# Whether the samples of the fit that runs in this thread have been looked at by `warn_far`.
_IS_CHECKED = ContextVar("is_checked", default=False)


@contextmanager
def all_or_nothing(estimator):
    """Restore the attributes of ``estimator`` if the block raises an error, so that it is never half-fitted."""
    state = estimator.__dict__.copy()
    token = _IS_CHECKED.set(_IS_CHECKED.get())
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(state)
        raise
    finally:
        _IS_CHECKED.reset(token)


def random_source(random_state):
    """The RandomState of `sklearn.utils.check_random_state`; None gives a new one instead of NumPy's global one."""
    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def seeded(estimator, seed):
    """A copy of an estimator that another one fits, with a seed if its ``random_state`` is None."""
    estimator = clone(estimator)
    if getattr(estimator, "random_state", 0) is None:
        estimator.set_params(random_state=int(seed))
    return estimator


def frame_library(X):
    """scikit-learn's adapter for DataFrames of pandas or polars, or None if ``X`` is no DataFrame of theirs."""
    if len(getattr(X, "shape", ())) != 2 or not hasattr(X, "columns"):
        return None
    # A subclass is in a module of its own.
    libraries = (cls.__module__.split(".")[0] for cls in type(X).__mro__)
    return next((ADAPTERS_MANAGER.adapters[name] for name in libraries if name in ADAPTERS_MANAGER.adapters), None)


def draw_reference(X, target, rng):
    """At most ``MAX_REFERENCE_ROWS`` rows of a target sample; rows of N(0, I) like those of ``X`` if it is None.

    Wide rows, such as pictures, are fewer, so that they are no more than ``MAX_REFERENCE_NUMBERS`` numbers.
    """
    n_features = (X if target is None else target.rows).shape[1]
    n_rows = min(MAX_REFERENCE_ROWS, max(2, MAX_REFERENCE_NUMBERS // n_features))
    if target is None:
        return rng.standard_normal((n_rows, n_features)).astype(X.dtype)
    if target.weight is None and len(target.rows) <= n_rows:
        return target.rows.copy()
    return target.draw(n_rows, rng)


def warn_user(message, category=UserWarning):
    """Warn at the line of the user, which is the innermost line outside this package, scikit-learn and joblib.

    Parameters
    ----------
    message : str
        The text.
    category : type, default=UserWarning
        The class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(INNER_FOLDERS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def names_of(estimator, columns, kind="column"):
    """The first five of some columns by their names, or by their numbers, for a message.

    Parameters
    ----------
    estimator : estimator
        One with the attribute ``feature_names_in_``, if the columns have names; None for numbers.
    columns : sequence of int
        Numbers of the columns.
    kind : str, default="column"
        The word for one of them.

    Returns
    -------
    names : str
        Such as "columns 'height' and 'weight'" or "columns 0, 1, 2, 3, 4 and 7 more".
    """
    names = getattr(estimator, "feature_names_in_", None)
    words = [repr(str(names[column])) if names is not None else str(column) for column in columns[:5]]
    if len(columns) > 5:
        words.append(f"{len(columns) - 5} more")
    listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    return f"{kind}{'s' if len(columns) > 1 else ''} {listed}"


def warn_far(estimator, **samples):
    """Warn once in a fit if numbers of its samples are so far out that a few of them set the scale of their column.

    Fits within a fit do not warn again.

    Parameters
    ----------
    estimator : estimator
        One with the attribute ``feature_names_in_``, if the columns have names.
    **samples : pair of the rows of a sample and their weights
        Samples by the name of the argument of the user, with weights that have been checked. Both may be None.
    """
    if _IS_CHECKED.get():
        return
    _IS_CHECKED.set(True)
    places = []
    for name, (X, weight) in samples.items():
        if X is None:
            continue
        is_same = weight is None or isinstance(weight, Real)
        used = np.arange(len(X)) if is_same else np.flatnonzero(np.asarray(weight))
        far = far_numbers(X if len(used) == len(X) else X[used])
        if far.columns.size:
            rows = names_of(None, used[far.rows], "row")
            places.append(f"{names_of(estimator, far.columns)} of {name} ({rows})")
    if places:
        warn_user(
            f"Numbers are far out in {' and in '.join(places)}. A few such numbers set the scale of their column. "
            "Correct or clip them, or leave the rows out."
        )


def documented(**parts):
    """Make a class decorator that inserts shared parts into the docstring of the class.

    Parameters
    ----------
    **parts : str
        Texts by name. Each text replaces the line ``<name>`` of the docstring; ``{parameter}`` in the text stands for
        the default of this parameter of the class.

    Returns
    -------
    decorate : callable
        The decorator.
    """

    def decorate(cls):
        if cls.__doc__:  # python -OO has none
            defaults = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
            # Without indentation, which Python removes itself from 3.13 on.
            lines = inspect.cleandoc(cls.__doc__).splitlines()
            shared = {f"<{name}>": text.format_map(defaults) for name, text in parts.items()}
            cls.__doc__ = "\n".join(shared.get(line, line) for line in lines)
        return cls

    return decorate


def sections(cls):
    """The sections of the numpydoc docstring of a class by their titles in small letters: parts for `documented`."""
    parts = re.split(r"\n\n(\w[\w ]*)\n-+\n", inspect.cleandoc(cls.__doc__ or ""))
    return dict(zip((title.lower() for title in parts[1::2]), parts[2::2], strict=True))

"""What every fit needs: attributes that change together or not at all, a random state, warnings at the user's line."""

import inspect
import os
import sys
import textwrap
import warnings
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import sklearn
from sklearn.utils import check_random_state

FLOAT_DTYPES = (np.float64, np.float32)
MAX_REFERENCE_ROWS = 4096
# Code in these folders stands between the user's line and the one that warns.
INNER_FOLDERS = tuple(
    f"{folder}{os.sep}"
    for folder in (Path(__file__).parents[1], Path(sklearn.__file__).parent, Path(joblib.__file__).parent)
)


@contextmanager
def all_or_nothing(estimator):
    """Give ``estimator`` its former attributes back if the block fails: no half-fitted estimator is left behind."""
    state = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(state)
        raise


def random_source(random_state):
    """A RandomState as `sklearn.utils.check_random_state` makes it, but None never touches numpy's global state."""
    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def draw_reference(X, target, rng):
    """At most ``MAX_REFERENCE_ROWS`` rows of the target, or of N(0, I) in the dimension of ``X`` if it is None."""
    if target is None:
        return rng.standard_normal((MAX_REFERENCE_ROWS, X.shape[1])).astype(X.dtype)
    if len(target) <= MAX_REFERENCE_ROWS:
        return target.copy()
    return target[rng.permutation(len(target))[:MAX_REFERENCE_ROWS]]


def warn_user(message, category=UserWarning):
    """Warn at the line of the user: the innermost one outside this package, scikit-learn and joblib.

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


def documented(**parts):
    """A class decorator that fills shared parts of a docstring in.

    Parameters
    ----------
    **parts : str
        A line ``<name>`` of the docstring becomes the text of this name, in which ``{parameter}`` stands for the
        default of a parameter of the class.

    Returns
    -------
    decorate : callable
        The decorator.
    """

    def decorate(cls):
        if cls.__doc__:  # python -OO has none
            defaults = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
            for name, text in parts.items():
                text = textwrap.indent(text.format_map(defaults), "    ")
                cls.__doc__ = cls.__doc__.replace(f"    <{name}>", text)
        return cls

    return decorate

"""Saving and loading estimators."""

import io
import json
import os
import platform
import re
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from sklearn_ot import __version__
from sklearn_ot.files import write_whole
from sklearn_ot.io._names import shown
from sklearn_ot.io._parts import MISSING, check_stored
from sklearn_ot.io._values import Contents, decode, encode
from sklearn_ot.nets import networks_of_at_most
from sklearn_ot.settings import in_own_settings

FORMAT = 1
TREE, ARRAYS, PART = "estimator.json", "arrays.safetensors", ".skops"
PACKAGES = ("numpy", "scikit-learn", "scipy", "torch", "skorch", "POT")


@in_own_settings
def save(estimator: BaseEstimator, path: str | os.PathLike) -> None:
    """Save an estimator, fitted or not, in a file that runs no code when it is loaded.

    The file is a zip archive with ``estimator.json`` (parameters, fitted attributes, and versions of packages),
    ``arrays.safetensors`` (arrays and weights of networks), and a file of skops for each estimator of scikit-learn
    within the estimator. An interrupted call leaves the file that was there before.

    Parameters
    ----------
    estimator : estimator
        An estimator of this package, or one of scikit-learn that may contain such.
    path : str or os.PathLike
        The file, which is replaced if it exists.

    Raises
    ------
    ValueError
        If a parameter or an attribute cannot be stored, such as a function, a callback of skorch or a class of
        networks of the user; the message names it. Nothing is written then.
    OSError
        If the file cannot be written.
    ImportError
        If safetensors or skops is not installed.

    See Also
    --------
    load : Load such a file.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from sklearn_ot.io import load, save
    >>> from sklearn_ot.transport import GaussianTransport
    >>> X = np.random.RandomState(0).normal(size=(50, 2))
    >>> transport = GaussianTransport().fit(X, 2 * X + 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "map.zip")
    ...     save(transport, path)
    ...     loaded = load(path)
    >>> bool(np.all(loaded.transform(X) == transport.transform(X)))
    True
    """
    safetensors = _safetensors()
    if not isinstance(estimator, BaseEstimator):
        raise ValueError(f"An estimator can be saved, got {shown(estimator)}.")
    contents = Contents()
    tree = encode(estimator, contents, type(estimator).__name__)
    packages = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    head = {"format": FORMAT, "sklearn_ot": __version__, "packages": packages, "estimator": tree}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        members = {TREE: json.dumps(head, allow_nan=False), ARRAYS: safetensors.save(contents.arrays)}
        for name, member in {**members, **{name + PART: part for name, part in contents.parts.items()}}.items():
            # Without the time of the call, so that equal estimators have equal files.
            archive.writestr(zipfile.ZipInfo(name), member)
    write_whole(Path(path), data.getbuffer())


@in_own_settings
def load(path: str | os.PathLike) -> Any:
    """Load an estimator from a file of `save`. No code of the file runs.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    estimator : estimator
        The estimator. It gives the same results as the one that was saved; with the same versions of the packages, on
        the same kind of machine, the same bits. It can be fitted again, also with ``warm_start``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file was not written by `save` or is damaged, was written by a newer version of this package, or holds a
        parameter out of its range.
    ImportError
        If safetensors or skops is not installed.
    """
    safetensors = _safetensors()
    data = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            head, members = _read(archive)
    # Damaged zip files and JSON raise errors of many classes.
    except Exception as error:
        raise ValueError(f"{path} is not a file of sklearn_ot.io.save, or is damaged ({error}).") from error
    if head["format"] > FORMAT or _release(head["sklearn_ot"]) > _release(__version__):
        raise ValueError(
            f"{path} was written by sklearn_ot {head['sklearn_ot']}, and this is sklearn_ot {__version__}, which reads "
            "files of its own and of older versions. Install that version or a newer one."
        )
    try:
        arrays = {name: array.copy() for name, array in safetensors.load(members.pop(ARRAYS)).items()}
        parts = {name.removesuffix(PART): member for name, member in members.items()}
        is_older = _release(head["sklearn_ot"]) < _release(__version__)
        # Each number has a byte or more, in the file or in one of scikit-learn's parts.
        with networks_of_at_most(len(data)):
            estimator = decode(head["estimator"], Contents(arrays, parts, is_older))
        if not isinstance(estimator, BaseEstimator):
            raise ValueError("it holds no estimator")
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} of sklearn_ot {head['sklearn_ot']} cannot be loaded by sklearn_ot {__version__}: {error}"
        ) from error
    return estimator


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(MISSING) from error
    return safetensors.numpy


def _read(archive):
    """The head of a file, and the bytes of its other members by their names."""
    names = archive.namelist()
    others = [name for name in names if name not in (TREE, ARRAYS) and not re.fullmatch(r"\d+\.skops", name)]
    if len({*names}) != len(names) or others or not {TREE, ARRAYS} <= {*names}:
        raise ValueError(f"it has the members {', '.join(names)[:100]}")
    check_stored(archive)
    members = {name: archive.read(name) for name in names}
    head = json.loads(members.pop(TREE))
    if not isinstance(head["format"], int) or not {"sklearn_ot", "estimator"} <= head.keys():
        raise ValueError(f"{TREE} has other entries")
    return head, members


def _release(name):
    """The first two numbers of a version; files of versions that differ in the rest can be exchanged."""
    return tuple(map(int, re.findall(r"\d+", name)[:2]))

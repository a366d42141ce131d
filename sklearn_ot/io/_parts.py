"""Estimators of scikit-learn as files of skops, which hold only types that skops or this package trusts."""

import copy
import io
import zipfile

from sklearn.base import BaseEstimator
from sklearn.neighbors import BallTree, KDTree
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_ot.io._names import TRUSTED, shown
from sklearn_ot.plain import from_plain, to_plain

MISSING = 'Files need safetensors and skops: pip install "sklearn-ot[files]".'
TREES = {"kd_tree": KDTree, "ball_tree": BallTree}


def skops_io():
    """The module ``skops.io``; an ImportError that names the extra if it is not installed."""
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(MISSING) from error
    return skops.io


def dump_part(estimator, where):
    """An estimator as the bytes of a file of skops; a ValueError if the file would have types that skops refuses."""
    skops = skops_io()
    estimator = copy.deepcopy(estimator)
    for inner in _estimators(estimator):
        _simplify(inner)
    try:
        data = skops.dumps(estimator)
        refused = sorted({*skops.get_untrusted_types(data=data)}.difference(TRUSTED))
    except Exception as error:
        raise ValueError(f"{where} is {shown(estimator)}, which skops cannot store: {error}") from error
    if refused:
        raise ValueError(
            f"{where} is {shown(estimator)}, which holds types that skops does not load by default, because they could "
            f"run code or crash: {', '.join(refused)}. Take another estimator, or pickle this one."
        )
    return data


def load_part(data):
    """The estimator that `dump_part` made to bytes."""
    skops = skops_io()
    check_stored(zipfile.ZipFile(io.BytesIO(data)))
    estimator = skops.loads(data, trusted=TRUSTED)
    for inner in _estimators(estimator):
        _restore(inner)
    return estimator


def check_stored(archive):
    """Raise a ValueError if members of a zip file are compressed: a small file could fill the memory."""
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise ValueError("members are compressed")


def _estimators(value, seen=None):
    """All estimators of scikit-learn within a value, in lists, tuples, dicts and attributes, each once."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    if isinstance(value, BaseEstimator):
        seen.add(id(value))
        yield value
        value = vars(value)
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _estimators(inner, seen)


def _simplify(estimator):
    """Replace attributes that skops does not trust by plain values, in place."""
    attributes = vars(estimator)
    if isinstance(attributes.get("_metadata_request"), MetadataRequest):
        estimator._metadata_request = to_plain(estimator._metadata_request)
    if type(attributes.get("_tree")) in TREES.values():
        # The tree of the neighbours is a function of the rows: it is built again.
        estimator._tree = None


def _restore(estimator):
    """Undo `_simplify`."""
    attributes = vars(estimator)
    if "_metadata_request" in attributes:
        estimator._metadata_request = from_plain(estimator._metadata_request)
    if attributes.get("_fit_method") in TREES and attributes.get("_tree", 0) is None:
        options = {"metric": estimator.effective_metric_, **estimator.effective_metric_params_}
        estimator._tree = TREES[estimator._fit_method](estimator._fit_X, estimator.leaf_size, **options)

"""No fitted estimator keeps memory of the caller, whose later changes would change it."""

import types
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from sklearn_ot.adaptation import ClassifierFeatures
from sklearn_ot.base import BaseTransport
from tests.test_common import INSTANCES

# Types of objects that do not belong to an estimator.
NOT_ITS_OWN = (type, types.ModuleType, types.FrameType)


def arrays_of(thing):
    """All arrays and tensors that an object refers to, also through closures."""
    seen, stack = {}, [thing]
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, NOT_ITS_OWN):
            continue
        seen[id(thing)] = thing
        if isinstance(thing, torch.Tensor):
            yield thing.detach().cpu().numpy()
        elif isinstance(thing, np.ndarray):
            yield thing
        elif isinstance(thing, types.FunctionType):
            stack += [cell.cell_contents for cell in thing.__closure__ or ()]
            stack += thing.__defaults__ or ()
        elif isinstance(thing, types.MethodType):
            stack += [thing.__self__, thing.__func__]
        elif isinstance(thing, dict):
            stack += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)):
            stack += thing
        if hasattr(thing, "__dict__"):
            stack += vars(thing).values()


def test_the_search_finds_arrays_in_closures_and_objects():
    inner = np.zeros(2), torch.ones(3)
    found = list(arrays_of({"a": [types.SimpleNamespace(f=lambda: inner)]}))
    assert [len(array) for array in found] == [3, 2]
    assert np.shares_memory(found[1], inner[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("estimator", INSTANCES, ids=lambda estimator: type(estimator).__name__)
def test_no_estimator_keeps_memory_of_the_caller(estimator, dtype):
    rng = np.random.RandomState(0)
    X, y, target = rng.standard_normal((40, 3)).astype(dtype), np.arange(40) % 2, rng.standard_normal((30, 3))
    weight, target = np.linspace(1, 2, 40), target.astype(dtype)
    weights = {} if isinstance(estimator, Pipeline) else {"sample_weight": weight}
    estimator = clone(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(estimator, ClassifierFeatures):
            estimator.fit(X, y)
        elif not hasattr(estimator, "predict") and not isinstance(estimator, BaseTransport):
            estimator.fit(X, **weights)
        elif hasattr(estimator, "predict"):
            estimator.fit(X, y, X_target=target)
        elif getattr(estimator, "source", None) is not None:
            estimator.fit(X, sample_weight=weight)
        else:
            estimator.fit(X, y, X_target=target, sample_weight=weight)
    for given in (X, y, target, weight):
        assert not any(np.may_share_memory(array, given) for array in arrays_of(vars(estimator)))

"""Estimators in other people's programs: equal bits under all settings of the caller, which stay as they are."""

import pickle
import random
import warnings
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from tests.test_common import INSTANCES

RNG = np.random.RandomState(0)
X, TARGET, LABELS = RNG.randn(60, 3), RNG.rand(50, 3) ** 2, RNG.randint(2, size=60)


def setting(change, restore):
    """A context manager of two functions; ``restore`` gets the result of ``change``."""

    @contextmanager
    def set_and_restore():
        before = change()
        try:
            yield
        finally:
            restore(before)

    return set_and_restore


def set_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    return before


CALLERS = {
    "float64": setting(lambda: set_dtype(torch.float64), set_dtype),
    "bfloat16": setting(lambda: set_dtype(torch.bfloat16), set_dtype),
    "default device": setting(lambda: torch.set_default_device("meta"), torch.set_default_device),
    "device block": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": setting(
        lambda: torch.use_deterministic_algorithms(True), lambda _: torch.use_deterministic_algorithms(False)
    ),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "seterr": lambda: np.errstate(all="raise"),
}


@contextmanager
def everything():
    """All settings at once."""
    with ExitStack() as stack:
        for name, caller in CALLERS.items():
            if name not in ("bfloat16", "device block"):  # there is one default dtype, and one device
                stack.enter_context(caller())
        yield


def state_of_program():
    """Everything that a fit must leave alone, as plain values."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "errors": np.geterr(),
        "random": [torch.get_rng_state().tolist(), pickle.dumps(check_random_state(None)), random.getstate()],
    }


def seeded(estimator):
    """A clone with an integer ``random_state`` wherever there is one."""
    seeds = {name: 0 for name in estimator.get_params() if name.split("__")[-1] == "random_state"}
    return clone(estimator).set_params(**seeds)


ON_ROWS = ("transform", "inverse_transform", "potential", "assign", "predict", "predict_proba", "critic_function")
FACTS = ("wasserstein_distance_", "sparsity_", "distance_")


def fit(estimator):
    """Fit a seeded clone to the arguments that suit it."""
    estimator = seeded(estimator)
    if hasattr(estimator, "predict"):
        return estimator.fit(X, LABELS, X_target=TARGET)
    has_target = hasattr(estimator, "transform") and getattr(estimator, "source", None) is None
    return estimator.fit(X, TARGET) if has_target else estimator.fit(X)


def results(estimator):
    """Fit an estimator, and return what it computes as one dict of arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = fit(estimator)
        found = {name: getattr(fitted, name)(X) for name in ON_ROWS if hasattr(fitted, name)}
        found |= {name: getattr(fitted, name) for name in FACTS if hasattr(fitted, name)}
        found["score"] = fitted.score(X, LABELS)
        found["rows"] = rows_of(fitted)
        found["pickled rows"], found["copied rows"] = map(
            rows_of, (pickle.loads(pickle.dumps(fitted)), deepcopy(fitted))
        )
        if hasattr(fitted, "dual_value"):
            found["dual value"] = fitted.dual_value(X, TARGET)
        if hasattr(fitted, "prune"):
            found["pruned rows"] = rows_of(fitted.prune())
    return {name: np.asarray(value) for name, value in found.items()}


def rows_of(fitted):
    """Rows that the estimator draws, or maps, or predictions."""
    if hasattr(fitted, "sample"):
        return fitted.sample(20, random_state=1)
    return fitted.transform(X) if hasattr(fitted, "transform") else fitted.predict(X)


def assert_equal_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


IDS = [f"{type(instance).__name__}{number}" for number, instance in enumerate(INSTANCES)]
over_instances = pytest.mark.parametrize("number", range(len(INSTANCES)), ids=IDS)


@cache
def plain_results(number):
    return results(INSTANCES[number])


@over_instances
def test_all_settings_at_once_change_nothing(number):
    expected = plain_results(number)
    with everything():
        before = state_of_program()
        found = results(INSTANCES[number])
        assert state_of_program() == before
    assert_equal_bits(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("caller", CALLERS.values(), ids=CALLERS)
@over_instances
def test_each_setting_changes_nothing(number, caller):
    expected = plain_results(number)
    with caller():
        before = state_of_program()
        found = results(INSTANCES[number])
        assert state_of_program() == before
    assert_equal_bits(found, expected)


@pytest.mark.parametrize("instance", [INSTANCES[6], INSTANCES[18]], ids=lambda instance: type(instance).__name__)
def test_a_fit_in_inference_mode_can_be_continued_outside(instance):
    """Tensors from inference mode could not be trained."""
    settings = {"random_state": 0, "warm_start": True}
    expected = clone(instance).set_params(**settings)
    fitted = clone(instance).set_params(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with torch.inference_mode():
            fitted.fit(X)
            fitted = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(rows_of(fitted.fit(X)), rows_of(expected.fit(X).fit(X)))

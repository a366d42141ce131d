"""Estimators in other people's programs: equal bits under all settings of the caller, which stay as they are."""

import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import cache
from threading import Event, Thread

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state
from torch import nn

from sklearn_ot import metrics
from sklearn_ot.adaptation import ClassifierFeatures
from sklearn_ot.base import uses_labels
from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair, make_w1_pair, make_wp_pair
from sklearn_ot.generation import SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.nets import torch_seed
from sklearn_ot.networks import Dense
from sklearn_ot.nn import MLP
from sklearn_ot.representation import Autoencoder
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.solvers.costs import read_cost
from sklearn_ot.solvers.plan import exact_plan
from sklearn_ot.solvers.semidiscrete import (
    assign,
    assignment_gap,
    primal_dual_interval,
    semidiscrete_dual,
    soft_assign,
)
from sklearn_ot.solvers.sources import even_noise, normal
from sklearn_ot.transport import SemiDiscreteTransport, W2Transport, W2TransportCV
from tests.test_common import INSTANCES

# Filters of warnings belong to the process: a block in one thread would change those of others.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

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


def set_threads(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
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
    "threads": setting(lambda: set_threads(2), set_threads),
    "seterr": lambda: np.errstate(all="raise"),
}


@contextmanager
def everything():
    """All settings at once but the number of threads; there is only one default dtype, and one default device."""
    with ExitStack() as stack:
        for name, caller in CALLERS.items():
            if name not in ("bfloat16", "device block", "threads"):
                stack.enter_context(caller())
        yield


def state_of_program():
    """Everything that a fit must leave alone, as plain values."""
    return {
        "dtype": torch.get_default_dtype(),
        # torch.get_default_device of torch 2.6 fails once a default device was set and taken back.
        "device": torch.empty(0).device,
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
    if isinstance(estimator, ClassifierFeatures):
        return estimator.fit(X, LABELS)
    if hasattr(estimator, "predict") or uses_labels(estimator):
        return estimator.fit(X, LABELS, X_target=TARGET)
    has_target = hasattr(estimator, "transform") and getattr(estimator, "source", None) is None
    return estimator.fit(X, TARGET) if has_target else estimator.fit(X)


def results(estimator):
    """Fit an estimator, and return what it computes as one dict of arrays."""
    fitted = fit(estimator)
    found = outputs(fitted)
    found["pickled rows"] = rows_of(pickle.loads(pickle.dumps(fitted)))
    found["copied rows"] = rows_of(deepcopy(fitted))
    if hasattr(fitted, "prune"):
        found["pruned rows"] = rows_of(fitted.prune())
    return found


def outputs(fitted):
    """The results of a fitted estimator, as one dict of arrays."""
    rows = {"inverse_transform": fitted.transform(X)} if isinstance(fitted, Autoencoder) else {}
    found = {name: getattr(fitted, name)(rows.get(name, X)) for name in ON_ROWS if hasattr(fitted, name)}
    found |= {name: getattr(fitted, name) for name in FACTS if hasattr(fitted, name)}
    if hasattr(fitted, "score"):
        found["score"] = fitted.score(X, LABELS)
    found["rows"] = rows_of(fitted)
    if hasattr(fitted, "dual_value"):
        found["dual value"] = fitted.dual_value(X, TARGET)
    return {name: np.asarray(value) for name, value in found.items()}


def rows_of(fitted):
    """Rows that the estimator draws, or maps, or predictions."""
    if hasattr(fitted, "sample"):
        return fitted.sample(20, random_state=1)
    return fitted.transform(X) if hasattr(fitted, "transform") else fitted.predict(X)


def assert_equal(found, expected, rtol=0):
    """Equal bits of all numbers; with ``rtol``, equal up to rounding."""
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype, name
        np.testing.assert_allclose(value, expected[name], rtol=rtol, err_msg=name)


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
    assert_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("caller", CALLERS)
@over_instances
def test_each_setting_changes_nothing(number, caller):
    expected = plain_results(number)
    with CALLERS[caller]():
        before = state_of_program()
        found = results(INSTANCES[number])
        assert state_of_program() == before
    # Two threads add the rows of a source in another order.
    is_rounded = caller == "threads" and isinstance(INSTANCES[number], SemiDiscreteTransport)
    assert_equal(found, expected, rtol=1e-6 if is_rounded else 0)


def first_of(estimator):
    """The number of the first instance of a class."""
    return [type(instance) for instance in INSTANCES].index(estimator)


@pytest.mark.parametrize("estimator", [W2Transport, WGANGenerator, SemiDiscreteOTGenerator, Autoencoder])
def test_a_fit_in_inference_mode_can_be_continued_outside(estimator):
    """Tensors from inference mode could not be trained."""
    instance = clone(INSTANCES[first_of(estimator)]).set_params(random_state=0, warm_start=True)
    expected, fitted = clone(instance), clone(instance)
    with torch.inference_mode():
        fitted.fit(X)
        fitted = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(rows_of(fitted.fit(X)), rows_of(expected.fit(X).fit(X)))


def test_threads_change_nothing():
    """Two threads fit the same estimators at the same time; torch's random stream and default dtype are shared."""
    expected = [plain_results(number) for number in range(len(INSTANCES))]
    with CALLERS["float64"]():
        before = state_of_program()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(results, [instance for instance in INSTANCES for _ in range(2)]))
        assert state_of_program() == before
    for number, pair in enumerate(zip(found[::2], found[1::2], strict=True)):
        for one in pair:
            assert_equal(one, expected[number])


def test_a_search_in_threads_does_not_wait_for_itself():
    number = first_of(W2TransportCV)
    with joblib.parallel_config("threading", n_jobs=2):
        found = results(clone(INSTANCES[number]).set_params(n_jobs=2))
    assert_equal(found, plain_results(number))


@contextmanager
def other_thread_in(block):
    """Another thread stays in a block meanwhile."""
    entered, ended = Event(), Event()

    def stay():
        with block:
            entered.set()
            ended.wait()

    thread = Thread(target=stay)
    thread.start()
    try:
        assert entered.wait(60)
        yield
    finally:
        ended.set()
        thread.join()


@over_instances
def test_results_are_computed_while_another_thread_fits(number):
    """They do not wait for the fit, and its default dtype does not reach them."""
    expected = plain_results(number)
    with CALLERS["float64"]():
        fitted = fit(INSTANCES[number])
        with ThreadPoolExecutor(1) as pool, other_thread_in(torch_seed(0, torch.device("cpu"))):
            assert torch.get_default_dtype() == torch.float32
            found = pool.submit(outputs, fitted).result(timeout=60)
    assert_equal(found, {name: expected[name] for name in found})


@pytest.mark.slow
def test_processes_change_nothing():
    """Each new process has the same results."""
    expected = [plain_results(number) for number in range(len(INSTANCES))]
    with joblib.parallel_config(backend="loky"):
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(results)(instance) for instance in INSTANCES)
    for pair in zip(found, expected, strict=True):
        assert_equal(*pair)


class Noisy(nn.Module):
    """A network that draws numbers and makes tensors when it is built and when it is called."""

    def __init__(self, n_features, n_classes=0, n_outputs=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_features + n_classes))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return torch.addmv(torch.zeros(len(x)), self.dropout(x), self.weight) + torch.rand(len(x)) / 100


def test_networks_of_the_user_draw_from_the_stream_of_the_fit():
    generator = WGANGenerator(generator=Dense((4,)), critic=Noisy, max_iter=3, batch_size=8, random_state=0)
    expected = rows_of(clone(generator).fit(X))
    with everything():
        before = state_of_program()
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda _: rows_of(clone(generator).fit(X)), range(4)))
        assert state_of_program() == before
    np.testing.assert_array_equal(found, [expected] * 4)


POINTS, ROWS = (torch.from_numpy(sample).float() for sample in (TARGET, X))
POTENTIAL = torch.linspace(-0.1, 0.1, len(POINTS), dtype=torch.float64)


def own_generator():
    return torch.Generator().manual_seed(0)


def dual(source, points, **options):
    return semidiscrete_dual(source, points, tol=0.2, max_samples=20_000, generator=own_generator(), **options)


def interval(points, potential):
    return primal_dual_interval("normal", points, potential, generator=own_generator(), n_samples=2000)[:2]


def half_squares(x):
    return x.square().sum(1) / 2, x


def gradients(module, x):
    return [part.detach() for part in module.value_and_gradient(x)]


MLP_OF_ROWS = MLP(3)
# Functions of arrays and tensors, which have the dtype and device of their arguments.
FUNCTIONS = {
    "wasserstein": lambda: metrics.wasserstein_distance(1e-200 * X, 1e-200 * TARGET),
    "sliced": lambda: metrics.sliced_wasserstein_distance(1e-200 * X, 1e-200 * TARGET, random_state=0),
    "energy": lambda: metrics.energy_distance(1e-200 * X, 1e-200 * TARGET),
    "l2_uvp": lambda: metrics.l2_uvp(1e-155 * X, 1e-155 * (X + 1)),
    "cosine": lambda: metrics.map_cosine(1e-170 * X, 1e-170 * X[::-1], 1e-170 * (X + 1)),
    "coverage": lambda: metrics.mode_coverage(1e-170 * X, 1e-170 * TARGET, 1e-170),
    "quality": lambda: metrics.sample_quality(1e-170 * X, 1e-170 * TARGET),
    "frechet": lambda: metrics.frechet_distance(1e-170 * X, 1e-170 * TARGET),
    "gaussian pair": lambda: make_gaussian_pair(2, 5, random_state=0).inverse(1e-200 * X[:, :2]),
    "potential pair": lambda: make_potential_pair(2, 5, random_state=0).inverse(1e3 * X[:, :2]),
    "w1 pair": lambda: make_w1_pair(2, 5, target="student", random_state=0).inverse(1e-160 * X[:, :2]),
    "wp pair": lambda: make_wp_pair(2, 5, p=1.5, random_state=0).transport(1e-160 * X[:, :2]),
    "plan": lambda: exact_plan(1e-170 * X, 1e-170 * TARGET).coupling,
    "plan of tensors": lambda: exact_plan(ROWS, POINTS).potential,
    "dual, normal": lambda: dual("normal", POINTS).potential,
    "dual, uniform": lambda: dual("uniform", POINTS[:, :2]).potential,
    "dual, other cost": lambda: dual("uniform", POINTS, cost=1.5).potential,
    "dual, equal points": lambda: dual("normal", POINTS[[0, 0, 1, 2]]).potential,
    "dual, a line": lambda: dual("normal", POINTS[:, :1].double()).potential,
    "interval": lambda: interval(POINTS, POTENTIAL),
    "interval, many points": lambda: interval(ROWS.repeat(4, 4), POTENTIAL.repeat(5)[:240]),
    "assign": lambda: assign(ROWS, POINTS, POTENTIAL),
    "soft assign": lambda: soft_assign(ROWS, POINTS, POTENTIAL, 0.1),
    "gap": lambda: assignment_gap(ROWS, POINTS[[0, 0, 1]], POTENTIAL[:3]),
    "conjugate": lambda: (
        convex_conjugate(lambda x: (2 * x.square().sum(1), 4 * x), ROWS, torch.zeros_like(ROWS)).argmax
    ),
    "even noise": lambda: even_noise(2, 30, 3, generator=own_generator()),
    "independent noise": lambda: even_noise(2, 3, 30, generator=own_generator()),
    "normal": lambda: normal(3, generator=own_generator()).quasi_sample(4),
    "cost": lambda: read_cost(1.5).inverse_gradient(read_cost(1.5).gradient(ROWS)),
    "value and gradient": lambda: gradients(MLP_OF_ROWS, ROWS)[1],
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_do_not_depend_on_the_settings(function):
    expected = np.asarray(function())
    with everything():
        before = state_of_program()
        found = function()
        assert state_of_program() == before
    assert_equal({"value": np.asarray(found)}, {"value": expected})

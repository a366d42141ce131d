"""Fits that go on from a file: the same result, nothing done twice but the last block, and clear errors."""

import errno
import itertools
import math
import multiprocessing
import os
import pickle
import signal
import time
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from skorch.callbacks import Callback, EarlyStopping, Freezer, LRScheduler

from sklearn_ot import checkpoints
from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport
from sklearn_ot.base import _resume
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.generation import TableGenerator, W2Generator, WGANGenerator
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.processes import Processes
from sklearn_ot.solvers.semidiscrete import _average
from sklearn_ot.transport import LSOTTransport, W2Transport, W2TransportCV
from tests.ended_fits import (
    CASES,
    X,
    Y,
    estimator_of,
    fit_in_process,
    fitted,
    result,
    with_steps_of_the_solver,
)


class PowerCut(BaseException):
    """Nothing catches it, like the end of the process."""


class Ends(Callback):
    """Ends the process, or calls an action, after some steps, counted over all fits."""

    left = math.inf

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            type(self).left -= 1
            if self.left == 0:
                raise PowerCut


@pytest.fixture
def every_block(monkeypatch):
    """Write after each block, however long it takes."""
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", math.inf)


@pytest.fixture
def ends(monkeypatch):
    """Set the number of steps until the end."""
    return lambda n_steps: monkeypatch.setattr(Ends, "left", n_steps)


def fit_with_ends(estimator, ends, n_steps):
    """Fit as often as the fit is ended, each time after some steps; return the number of fits."""
    for n_fits in range(1, 30):
        ends(n_steps)
        try:
            fitted(estimator)
        except PowerCut:
            continue
        ends(math.inf)
        return n_fits
    raise AssertionError("The fit does not go on.")


def test_a_solver_that_was_ended_has_the_result_of_one_that_was_not(tmp_path, every_block, ends, monkeypatch):
    """The rows of the source are drawn again, in the same order."""

    def count(used):
        Ends.left -= 1
        if Ends.left == 0:
            raise PowerCut

    expected = fitted(estimator_of("to points"))
    monkeypatch.setattr(_average, "averages", with_steps_of_the_solver(count))
    estimator = estimator_of("to points", checkpoint=tmp_path / "fit")
    assert fit_with_ends(estimator, ends, 10) >= 3
    np.testing.assert_array_equal(result(estimator), result(expected))
    ends(1)
    np.testing.assert_array_equal(result(fitted(clone(estimator))), result(expected))


SHORT_GAME = {"max_iter": 120, "batch_size": 16, "generator": Dense((8,)), "critic": Dense((8,))}
INNER = W2Transport("w2gn", network=Convex((8,)), batch_size=16, max_iter=120, callbacks=[Ends()])
# Estimators that train by others, which have no seed and no checkpoint of their own; the arguments of `fit`.
OUTER = {
    "generator": (W2Generator(transport=INNER, random_state=0), (Y,)),
    "search": (W2TransportCV(INNER, regs=[1, 3], cv=2, random_state=0), (X, Y)),
    "adapter": (DomainAdapter(clone(INNER).set_params(random_state=0), KNeighborsClassifier(1)), (X, X[:, 0] > 0)),
    "labels": (LabelAwareTransport(clone(INNER).set_params(random_state=0), n_rounds=2), (X, X[:, 0] > 0)),
    "table": (TableGenerator(WGANGenerator(callbacks=[Ends()], **SHORT_GAME), random_state=0), (Y,)),
}


@pytest.mark.parametrize("name", [n if n == "search" else pytest.param(n, marks=pytest.mark.slow) for n in OUTER])
def test_fits_within_a_fit_are_parts_of_it(name, tmp_path, every_block, ends):
    estimator, arguments = OUTER[name]
    target = {"X_target": Y} if name in ("adapter", "labels") else {}

    def numbers(fitted):
        if name == "adapter":
            return fitted.transport_.transform(X)
        return fitted.transform(X) if hasattr(fitted, "transform") else fitted.sample(20, random_state=0)

    def fit(estimator):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return estimator.fit(*arguments, **target)

    expected = numbers(fit(clone(estimator)))
    ended = clone(estimator).set_params(checkpoint=tmp_path / "fit")
    n_ends = 0
    while True:
        ends(110)
        try:
            fit(ended)
            break
        except PowerCut:
            n_ends += 1
            assert n_ends < 20
    assert n_ends >= (4 if name == "search" else 1)  # the search has five fits of more than 110 steps
    np.testing.assert_array_equal(numbers(ended), expected)
    ends(1)
    np.testing.assert_array_equal(numbers(fit(clone(ended))), expected)


@pytest.mark.slow
def test_a_search_in_several_processes_repeats_no_finished_fit(tmp_path):
    search = W2TransportCV(W2Transport(max_iter=0, network=Convex((4,))), regs=[0, 1], cv=2, n_jobs=2, random_state=0)
    search.set_params(checkpoint=tmp_path / "fit").fit(X, Y)
    again = clone(search).set_params(n_jobs=None).fit(X, Y)
    # The measured times are those of the first search.
    np.testing.assert_array_equal(again.cv_results_["mean_fit_time"], search.cv_results_["mean_fit_time"])
    assert again.best_score_ == search.best_score_


OFTEN = ("w2gn", "lsot", "best of a game", "autoencoder", "semi-discrete")


@pytest.mark.parametrize("name", [n if n in OFTEN else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_a_fit_that_was_ended_has_the_result_of_one_that_was_not(name, tmp_path, every_block, ends):
    expected = fitted(estimator_of(name))
    estimator = estimator_of(name, checkpoint=tmp_path / "fit", callbacks=[Ends()])
    assert fit_with_ends(estimator, ends, 130) >= 2
    np.testing.assert_array_equal(result(estimator), result(expected))
    assert estimator.n_iter_ == expected.n_iter_
    assert [row["n_iter"] for row in estimator.history_] == [row["n_iter"] for row in expected.history_]
    # A further fit trains no more: it would end at the first step.
    ends(1)
    np.testing.assert_array_equal(result(fitted(clone(estimator))), result(expected))
    assert os.listdir(tmp_path) == ["fit"]


def test_schedules_of_torch_go_on(tmp_path, every_block, ends):
    callbacks = [LRScheduler("StepLR", step_size=1, gamma=0.5), EarlyStopping("train_loss", patience=3)]
    parameters = {"early_stopping": False, "max_iter": 420, "callbacks": callbacks}
    expected = fitted(estimator_of("autoencoder", **parameters))
    estimator = estimator_of(
        "autoencoder", **{**parameters, "callbacks": [*callbacks, Ends()]}, checkpoint=tmp_path / "fit"
    )
    fit_with_ends(estimator, ends, 130)
    np.testing.assert_array_equal(result(estimator), result(expected))
    # The step sizes of the scheduler, which halve after each block.
    assert [row["event_lr"] for row in estimator.net_.history] == [row["event_lr"] for row in expected.net_.history]


class Pair(Processes):
    """Two processes, of which this is the first one; it exchanges nothing."""

    def from_first(self, function):
        return function()


def test_another_number_of_processes_is_another_fit(tmp_path, monkeypatch):
    transport = clone(SHORT).set_params(checkpoint=tmp_path / "fit").fit(X, Y)
    monkeypatch.setattr(_resume, "_processes", lambda estimator: Pair(2))
    with pytest.raises(ValueError, match="belongs to a fit with another number of processes"):
        transport.fit(X, Y)


def test_a_fit_goes_on_with_the_random_numbers_of_its_begin(tmp_path):
    """Those of a fit without a seed are others each time; they draw held-out rows and seed the networks."""
    estimator, numbers = clone(SHORT).set_params(checkpoint=tmp_path / "fit"), []
    for seed in range(2):
        rng = np.random.RandomState(seed)
        with _resume.resumable(estimator, rng, X):
            numbers.append([rng.standard_normal(3).tolist(), rng.randint(2**31)])
    assert numbers[0] == numbers[1]


def test_what_is_read_may_be_changed(tmp_path):
    file = checkpoints.CheckpointFile(tmp_path / "fit", {}, print)
    places = [{"content": {"weights": torch.zeros(2)}}]
    for _ in range(2):
        content = checkpoints.Checkpoint(file, places).begin().content
        assert not content["weights"].any()
        content["weights"] += 1


def test_fits_of_a_callback_are_no_parts_of_the_fit(tmp_path):
    class Fits(Callback):
        def on_epoch_end(self, net, **kwargs):
            if net.n_blocks_ == self.number:
                clone(SHORT).fit(X, Y)

    n_parts = {}
    for Fits.number in (0, 1):
        path = tmp_path / f"fit {Fits.number}"
        fitted(estimator_of("lsot", max_iter=150, checkpoint=path, callbacks=[Fits()]))
        n_parts[Fits.number] = len(torch.load(path, weights_only=True)["parts"])
    # The seed, and the trainings.
    assert n_parts[1] == n_parts[0] > 1


def test_what_an_ended_process_has_left_is_removed(tmp_path):
    (tmp_path / f".fit.{'0' * 32}.part").touch()
    checkpoints.CheckpointFile(tmp_path / "fit", {}, print).write()
    assert os.listdir(tmp_path) == ["fit"]


def test_two_fits_that_begin_at_once_do_not_share_a_file(tmp_path):
    path = tmp_path / "fit"
    files = [checkpoints.CheckpointFile(path, {"reg": str(k)}, print) for k in range(2)]
    files[0].write()
    with pytest.raises(ValueError, match="has just been made by another fit"):
        files[1].write()
    assert os.listdir(tmp_path) == ["fit"]


def test_a_fit_without_a_seed_goes_on_with_its_own(tmp_path, every_block, ends):
    estimator = estimator_of("game", checkpoint=tmp_path / "fit", callbacks=[Ends()], random_state=None)
    fit_with_ends(estimator, ends, 130)
    again = fitted(clone(estimator))
    np.testing.assert_array_equal(result(again), result(estimator))
    # Another file has another seed.
    other = fitted(clone(estimator).set_params(checkpoint=tmp_path / "other"))
    assert not np.array_equal(result(other), result(estimator))


def test_a_fit_that_the_keyboard_ends_goes_on_later(tmp_path, every_block):
    class Keyboard(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if net.n_iter_ == self.n_steps:
                signal.raise_signal(signal.SIGINT)

    Keyboard.n_steps = 150
    estimator = estimator_of("w2gn", plan_size=0, checkpoint=tmp_path / "fit", callbacks=[Keyboard()])
    fitted(estimator)
    assert estimator.n_iter_ == 150
    Keyboard.n_steps = -1
    fitted(estimator)
    expected = fitted(estimator_of("w2gn", plan_size=0))
    assert estimator.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(result(estimator), result(expected))


def test_callbacks_of_skorch_go_on_where_they_were(tmp_path, every_block, ends):
    calls = [LRScheduler("StepLR", step_size=1, gamma=0.5), Freezer("*bias*", at=2), Ends()]
    expected = fitted(estimator_of("game", callbacks=calls))
    # The step size and the frozen weights make a difference.
    assert not np.array_equal(result(expected), result(fitted(estimator_of("game"))))
    estimator = estimator_of("game", checkpoint=tmp_path / "fit", callbacks=calls)
    assert fit_with_ends(estimator, ends, 130) >= 2
    np.testing.assert_array_equal(result(estimator), result(expected))


def test_a_budget_of_time_goes_on_where_it_was(tmp_path, every_block, ends):
    """The clock counts steps, so that the budget of 170 steps ends in the second block of the second fit."""

    class Clock:
        now = 0

    def clock():
        return Clock.now

    class Ticks(Callback):
        def on_batch_begin(self, net, **kwargs):
            Clock.now += 1

    callbacks = [Ticks(), Ends(), TimeBudget(170, clock=clock)]
    estimator = estimator_of("game", max_iter=400, checkpoint=tmp_path / "fit", callbacks=callbacks)
    ends(130)
    with pytest.raises(PowerCut):
        fitted(estimator)
    Clock.now += 10_000  # the time between the fits
    ends(math.inf)
    # The first block counts, and the interrupted one is done again.
    assert fitted(estimator).n_iter_ == 170


def test_a_warm_start_goes_on_from_its_own_start(tmp_path, every_block, ends):
    first = fitted(estimator_of("autoencoder", warm_start=True))
    expected = fitted(pickle.loads(pickle.dumps(first)))
    ended = pickle.loads(pickle.dumps(first)).set_params(checkpoint=tmp_path / "fit", callbacks=[Ends()])
    fit_with_ends(ended, ends, 130)
    np.testing.assert_array_equal(result(ended), result(expected))
    # The next fit is another one, with another start.
    with pytest.raises(ValueError, match="another start"):
        fitted(ended)


SHORT = W2Transport(network=Convex((4,)), max_iter=0, random_state=0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda e, X: (e.set_params(reg=0.5), X), "another reg"),
        (lambda e, X: (e.set_params(network=Convex((5,))), X), "another network__hidden_layer_sizes"),
        (lambda e, X: (e.set_params(random_state=np.random.RandomState(1)), X), "another random_state"),
        (lambda e, X: (e.set_params(callbacks=[TimeBudget(5)]), X), "another callbacks"),
        (lambda e, X: (e, np.r_[X[:-1], [[0, 0]]]), "another data"),
        (lambda e, X: (LSOTTransport(network=Dense((4,), "silu"), max_iter=0, random_state=0), X), "another class"),
    ],
)
def test_the_file_of_another_fit_is_refused(change, text, tmp_path):
    path = tmp_path / "fit"
    clone(SHORT).set_params(checkpoint=path).fit(X, Y)
    before = path.read_bytes()
    other, rows = change(clone(SHORT), X)
    with pytest.raises(ValueError, match=f"belongs to a fit with.* {text}"):
        other.set_params(checkpoint=path).fit(rows, Y)
    assert path.read_bytes() == before
    # Parameters without an effect on the result may change.
    clone(SHORT).set_params(checkpoint=path, verbose=1).fit(X, Y)


def spoilt(path):
    """A truncated checkpoint."""
    clone(SHORT).set_params(checkpoint=path).fit(X, Y)
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("prepare", "text"),
    [
        (spoilt, "is damaged"),
        (lambda path: path.write_bytes(pickle.dumps(print)), "is no checkpoint"),
        (lambda path: path.write_text("notes"), "is no checkpoint"),
        (lambda path: path.mkdir(), "is no file"),
        (lambda path: path.parent.rmdir(), "cannot be written"),
    ],
)
def test_a_path_of_no_use_is_refused_before_the_training(prepare, text, tmp_path, ends):
    path = tmp_path / "folder" / "fit"
    path.parent.mkdir()
    prepare(path)
    ends(1)
    with pytest.raises(ValueError, match=text):
        fitted(estimator_of("w2gn", checkpoint=path, callbacks=[Ends()]))


def full_disk(monkeypatch, n_writes):
    """A disk that is full after some writes."""
    fsync, left = os.fsync, [2 * n_writes]

    def write(number):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", write)


def test_a_full_disk_is_seen_before_the_training(tmp_path, monkeypatch, ends):
    full_disk(monkeypatch, 0)
    ends(1)
    with pytest.raises(ValueError, match="cannot be written"):
        fitted(estimator_of("w2gn", checkpoint=tmp_path / "fit", callbacks=[Ends()]))
    assert os.listdir(tmp_path) == []


def test_a_disk_that_becomes_full_does_not_end_the_fit(tmp_path, monkeypatch, every_block):
    full_disk(monkeypatch, 2)
    estimator = estimator_of("autoencoder", checkpoint=tmp_path / "fit")
    with pytest.warns(UserWarning, match="cannot be written any more") as caught:
        estimator.fit(Y)
    assert len(caught) == 1  # for many blocks
    np.testing.assert_array_equal(result(estimator), result(fitted(estimator_of("autoencoder"))))
    assert os.listdir(tmp_path) == ["fit"]  # an older state, and no part of a file


def test_a_fit_that_diverges_leaves_no_file(tmp_path, every_block):
    estimator = estimator_of("autoencoder", learning_rate=1e30, checkpoint=tmp_path / "fit")
    with pytest.raises(DivergenceError):
        fitted(estimator)
    assert os.listdir(tmp_path) == []


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    """The disk needs 100 ms for each write."""
    fsync, n_writes = os.fsync, []

    def write(number):
        time.sleep(0.05)
        fsync(number)
        n_writes.append(0.5)  # one for the file, one for its folder

    monkeypatch.setattr(os, "fsync", write)
    start = time.monotonic()
    fitted(estimator_of("autoencoder", max_iter=3000, checkpoint=tmp_path / "fit"))
    # Those of the start, of the first block and of the result, and as many more as fit into 2 % of the time.
    assert 3 <= sum(n_writes) <= 4 + 0.02 * (time.monotonic() - start) / 0.1


def kill_and_fit(name, folder, n_kills, rng, parameters, n_blocks):
    """Fit in processes that are ended at random moments, then to the end; return the steps of all of them."""
    context, steps = multiprocessing.get_context("forkserver"), []
    context.set_forkserver_preload(["tests.ended_fits"])
    file = folder / "steps"
    for number in range(n_kills + 1):
        process = context.Process(target=fit_in_process, args=(name, folder, parameters))
        process.start()
        if number < n_kills:
            limit = time.monotonic() + 120
            while not file.exists() and time.monotonic() < limit:
                time.sleep(0.01)
            n_steps = rng.randint(2 * n_blocks * 100 // n_kills)
            while len(file.read_bytes().split()) <= n_steps and process.is_alive() and time.monotonic() < limit:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        process.join(600)
        if file.exists():
            steps.append([int(line) for line in file.read_text().split()])
            file.unlink()
    return steps


def check_kills(name, folder, n_kills, **parameters):
    n_blocks = n_kills
    steps = kill_and_fit(name, folder, n_kills, np.random.RandomState(0), parameters, n_blocks)
    assert len(steps) == n_kills + 1
    expected = fitted(estimator_of(name, **parameters))
    np.testing.assert_array_equal(np.load(folder / "result.npy"), result(expected))
    for before, after in itertools.pairwise(steps):
        if name == "to points":  # the numbers of rows; a step is a block
            assert after[0] >= before[-1]
        else:  # a block has 100 steps, and the fit goes on with the first one after a block
            assert after[0] - 1 <= before[-1] < after[0] + 100
            assert after[0] % 100 == 1


def test_a_killed_fit_goes_on(tmp_path):
    check_kills("w2gn", tmp_path, 2, plan_size=0, max_iter=400, n_iter_no_change=100)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("dual", {"max_iter": 2500, "n_iter_no_change": 100}),
        ("game", {"max_iter": 2500}),
        ("autoencoder", {"max_iter": 2500, "early_stopping": False}),
        ("semi-discrete", {"max_iter": 25}),
        ("to points", {"tol": 0.002, "max_samples": 2**21}),
    ],
)
def test_a_fit_that_is_killed_twenty_times_goes_on(name, parameters, tmp_path):
    check_kills(name, tmp_path, 20, **parameters)

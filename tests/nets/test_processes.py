"""Processes that train together: shares of a batch, and fits of two of them, which accelerate connects by gloo."""

import itertools
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from sklearn_ot import GAN, Autoencoder, SemiDiscreteTransport, W1Transport, W2Transport
from sklearn_ot.nets import AssignedNoise, LabelledRows, LabelledSamples, Processes, TensorPairs, TensorRows
from sklearn_ot.nets._assigned import AssignedLoader
from sklearn_ot.nets._classifier import SampleLoader
from sklearn_ot.nets._pairs import PairLoader
from sklearn_ot.nets._rounds import RoundLoader
from tests.nets import together

ROOT = Path(__file__).parents[2]
N_PROCESSES = together.N_PROCESSES


def run(module, folder, *args):
    """Run a module in two processes, and return what each stored in the folder."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(N_PROCESSES), "-m", module]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launch, str(folder), *args]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [pickle.loads((folder / f"{index}.pickle").read_bytes()) for index in range(N_PROCESSES)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The outcomes of the fits of `together` in each of two processes."""
    return run("tests.nets.together", tmp_path_factory.mktemp("together"))


def numbers(history):
    return [value for row in history for name, value in row.items() if isinstance(value, float) and name != "dur"]


@pytest.mark.parametrize(
    "name", [*together.LINEAR, *together.OTHERS, *together.ENDS, *together.WHOLE, *together.RESUMED]
)
def test_both_processes_have_the_same_networks_bit_for_bit(outcomes, name):
    first, second = (outcome[name] for outcome in outcomes)
    assert first["n_iter"] == second["n_iter"] > 0
    assert first["history"] == second["history"]
    assert len(first["arrays"]) > 0
    for one, other in zip(first["arrays"], second["arrays"], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", together.LINEAR)
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(outcomes, name):
    both = outcomes[0][name]["history"]
    twice, once = (
        together.outcome(together.LINEAR[name], device="cpu", batch_size=factor * together.BATCH_SIZE)["history"]
        for factor in (2, 1)
    )
    # Rounding, which Adam enlarges; the size of samples is a mean of roots, not the root of a mean.
    assert numbers(both) == pytest.approx(numbers(twice), rel=2e-3)
    # The same steps with other batches are not that near.
    assert numbers(both) != pytest.approx(numbers(once), rel=2e-3)


def test_an_interruption_of_one_process_ends_all_after_the_block(outcomes):
    for outcome in outcomes:
        assert outcome["interrupted"]["n_iter"] == 200
        assert any("interrupted after 200 steps" in message for message in outcome["interrupted"]["warnings"])


def test_all_processes_follow_the_clock_of_the_first_one(outcomes):
    assert [outcome["in time"]["warnings"] for outcome in outcomes] == [[], []]
    # The clock of the other process does not run, so alone it would take all 300 steps.
    assert 0 < outcomes[1]["in time"]["n_iter"] < 100
    # The budget counts what was used before the end of the process.
    assert 200 < outcomes[1]["resumed in time"]["n_iter"] < 250


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("diverged", "DivergenceError: Training diverged"),
        ("other rows", "rows"),
        ("other seed", "random streams"),
        ("other steps", "settings"),
        ("one file", "Some of the processes that train together have a checkpoint"),
        ("no folder", "checkpoint='no folder/fit' cannot be written"),
    ],
)
def test_an_error_is_raised_in_all_processes(outcomes, name, message):
    first, second = (outcome[name]["error"] for outcome in outcomes)
    assert first == second
    assert message in first


@pytest.mark.parametrize("name", together.WHOLE)
def test_a_fit_that_was_ended_goes_on_in_both_processes(outcomes, name):
    expected, resumed = (outcomes[0][key]["arrays"] for key in (name, f"{name}, resumed"))
    for one, other in zip(expected, resumed, strict=True):
        np.testing.assert_array_equal(one, other)


def kill_and_fit(folder, n_steps):
    """Fit in two processes that are killed after some of their steps in the file, or not at all if it is None."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.nets.together"])
    arguments = [(index, port, folder) for index in range(N_PROCESSES)]
    processes = [context.Process(target=together.fit_with_checkpoint, args=args) for args in arguments]
    for process in processes:
        process.start()
    steps, limit = folder / "steps 1", time.monotonic() + 300
    while n_steps is not None and time.monotonic() < limit:
        if steps.exists() and len(steps.read_text().split()) >= n_steps:
            for process in processes:
                os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    for process in processes:
        process.join(300)
        assert process.exitcode == (0 if n_steps is None else -signal.SIGKILL)


@pytest.mark.slow
def test_two_processes_that_are_killed_go_on(tmp_path):
    """The first process stores each block of 100 steps; the other has its images of the uninterrupted fit, too."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    whole.mkdir()
    kill_and_fit(whole, None)
    moments = np.sort(np.random.RandomState(0).choice(np.arange(150, 1300), 4, replace=False))
    for moment in moments:
        kill_and_fit(killed, moment)
    kill_and_fit(killed, None)
    for index in range(N_PROCESSES):
        np.testing.assert_array_equal(np.load(killed / f"{index}.npy"), np.load(whole / f"{index}.npy"))
    numbers = [int(line) for line in (killed / "steps 0").read_text().split()]
    starts = [after for before, after in itertools.pairwise(numbers) if after != before + 1]
    # Each fit went on with the first step after a block, and lost no block but the last one.
    assert 1 <= len(starts) <= len(moments)
    assert all(start % 100 == 1 for start in starts)
    assert len(numbers) <= 1500 + 200 * len(moments)


def test_only_the_first_process_shows_a_bar(outcomes):
    assert outcomes[0]["transport"]["screen"]
    assert all(outcome["screen"] == "" for outcome in outcomes[1].values() if "screen" in outcome)


LOADERS = {
    "pairs": lambda size, p: PairLoader(
        TensorPairs(torch.arange(50.0)[:, None], torch.arange(37.0)[:, None]), size, 20, 20, processes=p
    ),
    "weighted": lambda size, p: PairLoader(
        TensorRows(torch.arange(50.0)[:, None], torch.arange(1.0, 51).double()), size, 20, 20, processes=p
    ),
    "rounds": lambda size, p: RoundLoader(LabelledRows(torch.arange(50.0)[:, None]), size, 3, 5, processes=p),
    "samples": lambda size, p: SampleLoader(LabelledSamples((torch.arange(50.0), torch.arange(50))), size, 20, p),
    "assigned": lambda size, p: AssignedLoader(assigned(50), size, 20, p),
}


def assigned(n_rows):
    """Points to each of which one row of noise is assigned."""
    data = AssignedNoise(torch.arange(float(n_rows))[:, None], torch.full((n_rows,), 1 / n_rows))
    data.noise, data.index, data.noise_weights = data.points, torch.arange(n_rows), data.weights
    return data


def batches(name, size, processes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [part for batch in LOADERS[name](size, processes) for part in batch]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", LOADERS)
def test_processes_share_the_rows_of_a_joint_batch(name, count):
    # An even number, because the halves of a round are rounded in each process.
    joint = batches(name, 4 * count, Processes())
    shares = zip(*(batches(name, 4, Processes(count, index)) for index in range(count)), strict=True)
    for whole, parts in zip(joint, shares, strict=True):
        dim = 1 if name == "rounds" else 0
        assert {part.shape[dim] for part in parts} == {4}
        torch.testing.assert_close(torch.cat(parts, dim).sort(dim).values, whole.sort(dim).values, rtol=0, atol=0)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize("name", ["pairs", "assigned"])
def test_shares_of_few_rows_have_equal_sizes(name, n_rows):
    rows = torch.arange(float(n_rows))[:, None]
    for _ in range(2):
        shares = []
        for index in range(3):
            torch.manual_seed(0)
            if name == "pairs":
                loader = PairLoader(TensorRows(rows), 100, 1, 1, processes=Processes(3, index))
            else:
                loader = AssignedLoader(assigned(n_rows), 100, 1, Processes(3, index))
            shares.append(next(iter(loader))[0].flatten())
        # With fewer rows than processes each has all rows, else they have equal parts, and no row twice.
        assert {len(share) for share in shares} == {max(n_rows // 3, 0) or n_rows}
        if n_rows >= 3:
            assert len(set(torch.cat(shares).tolist())) == n_rows - n_rows % 3


def test_a_process_without_an_accelerator_does_not_train():
    with pytest.raises(ValueError, match=r"call accelerate.Accelerator\(\) once, before fit"):
        W2Transport(device="accelerate").fit(together.X, together.Y)


def test_without_accelerate_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate.state", None)
    with pytest.raises(ImportError, match=r'pip install "sklearn-ot\[accelerate\]"'):
        W2Transport(device="accelerate").fit(together.X, together.Y)


@pytest.fixture
def accelerator():
    """A function that makes the accelerator of this process, which is alone; it is removed in the end."""
    yield lambda **settings: Accelerator(cpu=True, **settings)
    remove_accelerator()


def remove_accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_a_process_that_is_alone_trains_as_without_accelerate(accelerator):
    def fitted(device):
        return together.transport(device=device, random_state=0, tol=1e6, n_iter_no_change=1, max_iter=100)

    accelerator()
    one, other = fitted("accelerate"), fitted("cpu")
    for left, right in zip(together.arrays_of(one), together.arrays_of(other), strict=True):
        np.testing.assert_array_equal(left, right)
    assert numbers(one.history_) == pytest.approx(numbers(other.history_), nan_ok=True)


def test_a_pickle_is_loaded_where_there_is_no_accelerator(accelerator):
    accelerator()
    transport = together.transport(device="accelerate", random_state=0, max_iter=0)
    pickled, images = pickle.dumps(transport), transport.transform(together.X)
    remove_accelerator()
    np.testing.assert_array_equal(pickle.loads(pickled).transform(together.X), images)


@pytest.mark.parametrize("estimator", [W2Transport(), W1Transport(solver="critic"), Autoencoder(1), GAN()])
def test_mixed_precision_is_refused(accelerator, estimator):
    accelerator(mixed_precision="bf16")
    with pytest.raises(ValueError, match="mixed_precision='bf16'"):
        estimator.set_params(device="accelerate").fit(together.X)


def test_transport_to_points_has_no_steps_to_share(accelerator):
    accelerator()
    with pytest.raises(ValueError, match="device='accelerate' is not available here"):
        SemiDiscreteTransport(device="accelerate").fit(together.X)


@pytest.mark.slow
def test_the_error_of_a_map_of_two_processes_is_that_of_one(tmp_path):
    """The bar of the package: within 10 %, on 16 features, in the median over seeds."""
    both = np.array(run("tests.nets.together", tmp_path, "maps"))
    assert (both[0] == both[1]).all()
    alone = np.array([together.map_errors(seed, device="cpu", batch_size=128) for seed in together.SEEDS])
    print(f"L2-UVP in %, for seeds and directions: two processes {both[0].tolist()}, one {alone.tolist()}")
    assert np.median(both[0], axis=0) == pytest.approx(np.median(alone, axis=0), rel=0.1)

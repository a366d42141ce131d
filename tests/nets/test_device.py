"""Devices, seeds, threads, and the turns that threads take."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
import torch

from sklearn_ot.nets import limited_threads, resolve_device, torch_seed

CPU = torch.device("cpu")


def test_auto_is_a_device_that_exists():
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match=rf"device='{device}' is not available here.*Use 'auto', 'cpu'"):
        resolve_device(device)


def test_torch_seed_leaves_the_callers_stream_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with torch_seed(0, torch.device("cpu")):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with torch_seed(0, torch.device("cpu")):
        assert torch.equal(torch.rand(3), first)


def in_new_thread(function):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(timeout=60)


def numbers(seed):
    with torch_seed(seed, CPU):
        first = torch.rand(1000)
        time.sleep(0.01)  # other threads run meanwhile
        return torch.cat([first, torch.rand(1000)])


def test_threads_take_turns():
    """Each block has its own stream, and the caller's stream and dtype are untouched."""
    expected = [numbers(seed) for seed in range(8)]
    torch.set_default_dtype(torch.float64)
    before = torch.get_rng_state()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(numbers, range(8)))
        with pytest.raises(RuntimeError), torch_seed(0, CPU):
            raise RuntimeError
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_error_ends_the_turn(error):
    with pytest.raises(error), torch_seed(0, CPU):
        raise error
    assert in_new_thread(lambda: numbers(0)).shape == (2000,)


def test_a_turn_within_a_turn_has_its_own_stream():
    expected = numbers(0)
    with torch_seed(0, CPU):
        first = torch.rand(1000)
        numbers(1)
        assert torch.equal(torch.cat([first, torch.rand(1000)]), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_does_not_have():
    entered, ended = Event(), Event()

    def stay():
        with torch_seed(0, CPU):
            entered.set()
            ended.wait()

    thread = Thread(target=stay)
    thread.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        with torch_seed(0, CPU):
            os._exit(7)
    try:
        deadline = time.monotonic() + 30
        while not (status := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        if not status[0]:
            os.kill(child, 9)
            os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status[1]) == 7
    finally:
        ended.set()
        thread.join()


def test_small_products_run_on_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with limited_threads(256, 128):
            assert torch.get_num_threads() == 1
            assert in_new_thread(torch.get_num_threads) == 2
        assert in_new_thread(torch.get_num_threads) == 2
        with limited_threads(256, 1024):
            assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError), limited_threads(1, 1):
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

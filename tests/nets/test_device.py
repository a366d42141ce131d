"""Devices and seeds."""

import pytest
import torch

from sklearn_ot.nets import limited_threads, resolve_device, torch_seed


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


def test_small_products_run_on_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with limited_threads(256, 128):
            assert torch.get_num_threads() == 1
        with limited_threads(256, 1024):
            assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError), limited_threads(1, 1):
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

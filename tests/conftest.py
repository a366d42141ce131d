"""Settings of all tests."""

import signal

# It replaces scikit-learn's class of metadata requests, and requests that were set before its import are lost.
import imblearn  # noqa: F401
import numpy as np
import pytest
import torch

# A shell lets a process that it starts in the background ignore the keyboard, which some tests imitate.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Give each test, and the fixtures that are made for it, the same random numbers in any order of the tests."""
    np.random.seed(0)  # noqa: NPY002 (the global generator)
    torch.manual_seed(0)

"""Fixture for the peak memory of a piece of code."""

import subprocess
import sys
from pathlib import Path

import pytest

PEAK = """
import re, sys, warnings
from pathlib import Path
import numpy as np
from sklearn_ot.transport import SemiDiscreteTransport, W2Transport
warnings.simplefilter("ignore")
# In MiB. The peak of the module resource is at least that of the parent process, so it is not used.
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10
normal = lambda *shape: np.random.default_rng(0).standard_normal(shape, np.float32)
"""


@pytest.fixture
def measured():
    """A function that runs code in a new process, where ``peak`` and ``normal`` exist, and returns printed numbers."""
    if not Path("/proc/self/status").exists():
        pytest.skip("The peak of a process is read from /proc.")

    def run(code, *args):
        done = subprocess.run([sys.executable, "-c", PEAK + code, *args], capture_output=True, text=True, check=True)
        return map(float, done.stdout.split())

    return run

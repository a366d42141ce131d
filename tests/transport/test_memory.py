"""Memory of every transport: `transform` works in chunks."""

import pytest

from sklearn_ot import transport

# Each transport with its parameters, and the memory that its `transform` takes beside the rows and the result, in MiB.
CODE = """
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.transport import *

# The kernel sets the peak to the present memory.
reset_peak = lambda: Path("/proc/self/clear_refs").write_text("5")
rng = np.random.default_rng(0)
n_samples, layout = int(sys.argv[1]), sys.argv[2]
X, Y = rng.standard_normal((500, 64)), 2 * rng.standard_normal((300, 64))
small = {"max_iter": 0, "early_stopping": False}
transports = [
    GaussianTransport(),
    StationaryGaussianTransport((8, 8)),
    PatchTransport((8, 8), GaussianTransport()),
    SemiDiscreteTransport(tol=1.0, confidence=None, random_state=0),
    SemiDiscreteTransport(tol=1.0, confidence=None, smoothing=1.0, random_state=0),
    W1Transport(n_axes=2, confidence=None),
    W1Transport(network=Dense((8,), "silu"), max_iter=2, confidence=None),
    W2Transport(network=Convex((8,)), plan_size=0, **small),
    WpTransport(network=Convex((8,)), **small),
    LSOTTransport(network=Dense((8,), "silu"), **small),
    QCTransport(network=Dense((8,), "silu"), **small),
    W2TransportCV(W2Transport(network=Convex((8,)), plan_size=0, max_iter=0), regs=(0, 1), cv=2),
]
transports = [transport.fit(X, Y) for transport in transports]
assert {type(transport).__name__ for transport in transports} == set(sys.argv[3:])
many = rng.standard_normal((n_samples, 64))
if layout == "columns":
    many = np.asfortranarray(many)
elif layout == "single":
    many = many.astype(np.float32)
for transport in transports:
    transport.transform(many[:100])
    result = None
    reset_peak()
    before = peak()
    result = transport.transform(many)
    print(peak() - before - result.nbytes / 2**20)
"""
NAMES = [name for name in transport.__all__ if isinstance(getattr(transport, name), type)]


@pytest.fixture(autouse=True)
def freed_memory_is_returned(monkeypatch):
    """Large arrays are allocated by the kernel, so that none is hidden in memory that was freed before."""
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")


@pytest.mark.parametrize("layout", ["rows", "columns", "single"])
def test_memory_of_transform_is_that_of_the_rows_and_the_result(measured, layout):
    # One copy of the rows, of 98 MiB (49 in float32), would be too much.
    assert max(measured(CODE, str(200_000), layout, *NAMES)) < (32 if layout == "single" else 64)


@pytest.mark.slow
def test_memory_of_transform_of_a_million_rows(measured):
    assert max(measured(CODE, str(1_000_000), "rows", *NAMES)) < 64

"""Tables of any kind: the cases of the property-based tests.

``FUZZ_CASES=10000 pytest tests/fuzz -m slow --hypothesis-seed=1`` tries as many cases with a seed of one's own.
"""

import math
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

SIZES, WIDTHS = (2, 3, 7, 20, 60), (1, 2, 3, 8, 40)
# Both samples are multiplied by the first number; the second one is added, in units of the first.
SCALES, SHIFTS = (1.0, 1e-3, 1e3, 1e-20, 1e20, 1e-100, 1e100, 1e-130, 1e130), (0.0, 1.0, -1e3, 1e6)
# The square of a number beyond these scales is infinite, or 0, in float64.
FAR_SCALES = (1e200, 1e300, 1e-200, 1e-300)
# The same in float32, whose numbers end at 3e38 and 1e-38.
SINGLE_SCALES, FAR_SINGLE_SCALES = (1.0, 1e-3, 1e3, 1e-18, 1e18), (1e28, 1e30, 1e-28, 1e-36)
# CPU-seconds that a case may take.
MAX_SECONDS = 5
WHOLE_DTYPES = ("int64", "int8", "uint8", "bool")
DTYPES = ("float64", "float32", "float16", ">f8", "longdouble", "object", *WHOLE_DTYPES)


def few_values(rng, x):
    return x[rng.randint(max(1, len(x) // 4), size=len(x))]


def with_constant_columns(rng, x):
    x[:, rng.randint(x.shape[1], size=max(1, x.shape[1] // 3))] = 2.5
    return x


def with_far_row(rng, x):
    x[rng.randint(len(x))] *= 10.0 ** rng.randint(1, 7)
    return x


def with_far_cell(rng, x):
    x[rng.randint(len(x)), rng.randint(x.shape[1])] = 10.0 ** rng.randint(1, 7)
    return x


# Changes of normal rows, by name.
KINDS = {
    "normal": lambda rng, x: x,
    "integers": lambda rng, x: np.round(3 * x),
    "ties": lambda rng, x: np.round(x),
    "repeated rows": few_values,
    "equal rows": lambda rng, x: np.broadcast_to(x[:1], x.shape).copy(),
    "zeros": lambda rng, x: np.zeros_like(x),
    "constant columns": with_constant_columns,
    "equal columns": lambda rng, x: np.broadcast_to(x[:, :1], x.shape).copy(),
    "a line": lambda rng, x: x[:, :1] * rng.standard_normal(x.shape[1]),
    "one-hot": lambda rng, x: np.eye(x.shape[1])[rng.randint(x.shape[1], size=len(x))],
    "units": lambda rng, x: x * 10.0 ** np.linspace(-3, 3, x.shape[1]),
    "far row": with_far_row,
    "far cell": with_far_cell,
    "heavy tails": lambda rng, x: x / (0.01 + np.abs(rng.standard_normal((len(x), 1)))),
    "nearly a line": lambda rng, x: x[:, :1] + 1e-9 * x,
}

LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "reversed columns": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "every second": lambda x: np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)[::2, ::2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape) if x.dtype != object else x,
    "list": lambda x: x.tolist(),
    "DataFrame": lambda x: pd.DataFrame(x.astype(x.dtype.newbyteorder("="))).add_prefix("c"),
}


@dataclass(frozen=True)
class Case:
    """Two samples of rows, with a label and a weight for each."""

    kind: str
    target_kind: str
    n_samples: int
    n_target_samples: int
    n_features: int
    scale: float
    shift: float
    dtype: str
    layout: str
    seed: int

    def arrays(self):
        """Both samples as float64, float32 or integer arrays."""
        rng = np.random.RandomState(self.seed)
        sizes = (self.kind, self.n_samples), (self.target_kind, self.n_target_samples)
        samples = []
        for kind, n_rows in sizes:
            x = KINDS[kind](rng, rng.standard_normal((n_rows, self.n_features)))
            if self.dtype in WHOLE_DTYPES:
                lowest = 0 if self.dtype in ("uint8", "bool") else -128
                x = np.clip(np.round(3 * x), lowest, 127)
            elif self.dtype == "float16":
                x = np.clip(x, -1e4, 1e4)
            else:
                x = (x + self.shift) * self.scale
            with np.errstate(over="ignore"):
                samples.append(x.astype(self.dtype))
        return samples

    def is_in_range(self):
        """Whether all squares of the numbers are floats of their dtype."""
        sizes = [np.abs(sample.astype("float64")).max() for sample in self.arrays()]
        limit = 1e18 if self.dtype == "float32" else 1e150
        return all(size < limit and (size == 0 or size > 1 / limit) for size in sizes)

    def samples(self):
        """Both samples in their layout."""
        return map(LAYOUTS[self.layout], self.arrays())


def cases_of(scales, single_scales, dtypes=DTYPES):
    """Cases with these scales."""
    kinds = st.sampled_from(list(KINDS))
    cases = st.builds(
        Case,
        kinds,
        kinds,
        st.sampled_from(SIZES),
        st.sampled_from(SIZES),
        st.sampled_from(WIDTHS),
        st.sampled_from(scales),
        st.sampled_from(SHIFTS),
        st.sampled_from(dtypes),
        st.sampled_from(list(LAYOUTS)),
        st.integers(0, 2**31 - 1),
    )

    def in_range(case):
        if case.dtype != "float32":
            return case
        return replace(case, scale=single_scales[scales.index(case.scale) % len(single_scales)])

    return cases.map(in_range)


def tries(n_examples, **options):
    """Settings for a number of cases, each of which may take long."""
    return settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        **options,
    )


# A failure is shown as it is: a smaller case may have another cause, and is found by hand in less time.
PHASES = Phase.explicit, Phase.generate
N_CASES = int(os.environ.get("FUZZ_CASES", 2000))


def quick(n_examples):
    """Settings of a test that always runs, on the same few cases."""
    return tries(n_examples, derandomize=True, phases=PHASES)


def long(share):
    """Settings of a test with the marker ``slow``, which has this share of the cases of a long run, by their seed."""
    return tries(math.ceil(N_CASES * share), phases=PHASES, print_blob=True)


@contextmanager
def in_time():
    """Assert that a case takes no more than 5 CPU-seconds."""
    before = time.process_time()
    yield
    seconds = time.process_time() - before
    assert seconds < MAX_SECONDS, f"A case took {seconds:.1f} CPU-seconds."

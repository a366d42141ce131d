"""Images do not depend on the layout of the table, and those of float32 rows are near those of the rows in float64."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from tests.fuzz.cases import LAYOUTS, SINGLE_SCALES, cases_of, in_time, long, quick
from tests.fuzz.estimators import GAUSSIAN, NEURAL, TRANSPORTS

pytestmark = pytest.mark.filterwarnings("ignore")

# Parts of the range of the images. A Gaussian map is computed in float64, and the image is rounded. Networks compute in
# float32, in coordinates that magnify rounding errors up to 1000 times. (A cell of points is left by any small step.)
LIMITS = dict.fromkeys(GAUSSIAN, 1e-6) | dict.fromkeys(NEURAL, 1e-2)


def check(name, case):
    # Numbers that are large against their differences have no digits to lose in float32.
    X, Y = (sample.astype(np.float32).astype(np.float64) for sample in replace(case, shift=0.0).arrays())
    estimator = clone(TRANSPORTS[name]).fit(X, X_target=Y)
    with in_time():
        expected = estimator.transform(X)
    for layout, change in LAYOUTS.items():
        np.testing.assert_array_equal(estimator.transform(change(X)), expected, err_msg=layout)
    if name in LIMITS:
        found = estimator.transform(X.astype(np.float32))
        assert found.dtype == np.float32
        size = np.ptp(expected) + np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=LIMITS[name] * size)


NAMES, CASES = st.sampled_from(list(TRANSPORTS)), cases_of(SINGLE_SCALES, SINGLE_SCALES)


@quick(10)
@given(NAMES, CASES)
def test_layouts_and_precision(name, case):
    check(name, case)


@pytest.mark.slow
@long(0.15)
@given(NAMES, CASES)
def test_layouts_and_precision_long(name, case):
    check(name, case)

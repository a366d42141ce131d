"""Files of older versions and of this one are read, and give the results that they gave when they were written."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import InconsistentVersionWarning

from sklearn_ot.io import load
from tests.io.cases import outputs
from tests.io.make_golden import CASES, GOLDEN

# The dtype of columns of words has another name before pandas 3, which wrote the files.
DTYPE_OF_WORDS = str(pd.Series(["word"]).dtype)
# Largest mean size of a file, in bytes: the files of all versions stay in the repository.
MEAN_SIZE = 15_500
FILES = sorted(path.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*/*.zip"))


def test_there_are_files_and_they_are_small():
    assert {f"0.1/{name}.zip" for name in CASES} <= {*FILES}
    sizes = [path.stat().st_size for path in GOLDEN.glob("0.1/*")]
    assert sum(sizes) < MEAN_SIZE * len(sizes)


@pytest.mark.parametrize("file", FILES)
def test_a_file_gives_the_results_that_it_gave(file):
    folder, _, name = file.removesuffix(".zip").partition("/")
    with warnings.catch_warnings():
        # The classifier of another version of scikit-learn; its attributes have not changed for years.
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        estimator = load(GOLDEN / file)
    expected = np.load(GOLDEN / folder / "outputs.npz")
    found = outputs(estimator, CASES[name][2])
    assert found
    for method, values in found.items():
        before = expected[f"{name}/{method}"]
        if method == "dtypes":
            before = np.where(before == "str", DTYPE_OF_WORDS, before)
        if values.dtype.kind != "f":
            assert values.tolist() == before.tolist()
            continue
        # Other processors and libraries add numbers in another order: networks in float32 have errors of 1e-6 of the
        # largest numbers, and searches for preimages end at a residual of 1e-4.
        tolerance = 1e-3 if method == "inverse_transform" else 1e-4
        np.testing.assert_allclose(values, before, rtol=0, atol=tolerance * np.abs(before).max())

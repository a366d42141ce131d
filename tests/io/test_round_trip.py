"""Every estimator is the same after it was saved and loaded, in this process and in a new one."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from sklearn.base import clone

import sklearn_ot
from sklearn_ot.io import load, save
from tests.io.cases import CASES, assert_same, described, fitted, outputs

IDS = [f"{number} {type(case.estimator).__name__}" for number, case in enumerate(CASES)]
NUMBERS = pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
IN_A_NEW_PROCESS = """
import pickle, sys
from sklearn_ot.io import load
from tests.io.cases import CASES, outputs
folder = sys.argv[1]
found = [outputs(load(f"{folder}/{number}.zip"), case.rows) for number, case in enumerate(CASES)]
pickle.dump(found, open(f"{folder}/outputs", "wb"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a file of each case."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(len(CASES)):
        save(fitted(number), folder / f"{number}.zip")
    return folder


def test_every_public_estimator_takes_part():
    assert {type(case.estimator).__name__ for case in CASES} == {*sklearn_ot.ESTIMATORS, "TransportAdapter"}


@NUMBERS
def test_a_loaded_estimator_is_the_saved_one(folder, number):
    estimator, rows = fitted(number), CASES[number].rows
    loaded = load(folder / f"{number}.zip")
    assert type(loaded) is type(estimator)
    assert described(loaded) == described(estimator)
    assert vars(loaded).keys() == vars(estimator).keys()
    assert_same(outputs(loaded, rows), outputs(estimator, rows))


@NUMBERS
def test_a_loaded_estimator_can_be_pickled_cloned_saved_and_fitted_again(folder, number, tmp_path):
    case, loaded = CASES[number], load(folder / f"{number}.zip")
    save(pickle.loads(pickle.dumps(loaded)), tmp_path / "again.zip")
    assert_same(outputs(load(tmp_path / "again.zip"), case.rows), outputs(loaded, case.rows))
    assert described(clone(loaded)) == described(clone(case.estimator))
    if type(loaded) not in [type(before.estimator) for before in CASES[:number]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded.fit(**case.fit)
        assert outputs(loaded, case.rows).keys() == outputs(fitted(number), case.rows).keys()


def test_files_load_in_a_new_process(folder):
    root = Path(sklearn_ot.__file__).parents[1]
    subprocess.run([sys.executable, "-W", "ignore", "-c", IN_A_NEW_PROCESS, folder], cwd=root, check=True)
    found = pickle.loads((folder / "outputs").read_bytes())
    for number, case in enumerate(CASES):
        assert_same(found[number], outputs(fitted(number), case.rows))

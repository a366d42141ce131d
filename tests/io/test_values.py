"""Values as a tree and arrays, and back."""

import json
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from sklearn_ot.io import save
from sklearn_ot.io._values import Contents, decode, encode
from sklearn_ot.transport import GaussianTransport


def there_and_back(value, change=lambda tree: None):
    """A value by way of the text and the bytes of a file."""
    contents = Contents()
    tree = json.loads(json.dumps(encode(value, contents, "value")))
    change(tree)
    return decode(tree, Contents(safetensors.numpy.load(safetensors.numpy.save(contents.arrays))))


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u8", "f2", "f4", "f8", ">f8", ">i2", "g", "c8", "c16", "S3", "U2", ">U2", "M8[ns]", "m8[D]"]
)
def test_arrays_of_any_dtype(dtype):
    array = np.arange(6).astype(dtype).reshape(2, 3)
    array[0, 0] = array[1, 2]
    found = there_and_back(array)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    # It can be changed, unlike an array in the bytes of a file.
    found[0, 0] = found[0, 1]


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_generators(name):
    rng = np.random.Generator(getattr(np.random, name)(3))
    rng.standard_normal(5)
    found = there_and_back(rng)
    np.testing.assert_array_equal(found.standard_normal(5), rng.standard_normal(5))


@pytest.mark.parametrize("name", ["seed", "Generator", "BitGenerator", "__doc__"])
def test_other_names_are_no_bit_generators(name):
    """A file chooses none of the functions of a module."""

    def change(tree):
        tree["random generator"]["dict"]["bit_generator"] = name

    with pytest.raises(ValueError, match=f"no bit generator has the name '{name}'"):
        there_and_back(np.random.default_rng(0), change)


def test_a_file_has_no_time(tmp_path):
    """Equal estimators have equal files, whenever they are saved."""
    save(GaussianTransport(), tmp_path / "file.zip")
    with zipfile.ZipFile(tmp_path / "file.zip") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}

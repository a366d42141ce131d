"""The content of files, and errors of files that are damaged, foreign or newer."""

import io
import json
import os
import pickle
import re
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import EarlyStopping

import sklearn_ot.io._file
from sklearn_ot.adaptation import ClassifierFeatures, DomainAdapter
from sklearn_ot.generation import WGANGenerator
from sklearn_ot.io import load, save
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.solvers.costs import Cost
from sklearn_ot.transport import GaussianTransport, SemiDiscreteTransport, W2Transport
from tests.io.cases import XT, X, Y, described
from tests.test_common import TINY


@pytest.fixture(scope="module")
def transport():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three steps are few
        return W2Transport(max_iter=3, network=Convex((8,)), plan_size=0, random_state=0).fit(X, XT)


@pytest.fixture
def path(tmp_path, transport):
    """The file of a transport."""
    save(transport, tmp_path / "map.zip")
    return tmp_path / "map.zip"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(name, member)


def changed(path, change):
    """Change the tree of a file in place."""
    content = members(path)
    head = json.loads(content["estimator.json"])
    change(head)
    write(path, {**content, "estimator.json": json.dumps(head)})


def test_a_file_has_json_and_safetensors_only(path):
    content = members(path)
    assert content.keys() == {"estimator.json", "arrays.safetensors"}
    head = json.loads(content["estimator.json"])
    assert head["format"] == 1
    assert head["sklearn_ot"] == sklearn_ot.__version__
    # The version of the installed package; that of the module may have the name of a build behind a plus.
    assert head["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert b"pickle" not in path.read_bytes()


def test_estimators_of_scikit_learn_are_files_of_skops(tmp_path):
    adapter = DomainAdapter(GaussianTransport(), make_pipeline(StandardScaler(), KNeighborsClassifier())).fit(
        X, Y, X_target=XT
    )
    save(adapter, tmp_path / "adapter.zip")
    names = members(tmp_path / "adapter.zip").keys() - {"estimator.json", "arrays.safetensors"}
    assert names
    assert all(re.fullmatch(r"\d+\.skops", name) for name in names)


def test_equal_estimators_have_equal_files(path, transport, tmp_path):
    save(pickle.loads(pickle.dumps(transport)), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_an_array_in_two_places_is_stored_once_and_remains_one(tmp_path):
    fitted = GaussianTransport().fit(X, XT)
    assert fitted.source_mean_ is fitted.map_.source_mean
    save(fitted, tmp_path / "map.zip")
    loaded = load(tmp_path / "map.zip")
    assert loaded.source_mean_ is loaded.map_.source_mean
    fitted = WGANGenerator(**TINY).fit(X, Y)
    assert fitted.classes_ is fitted._classes.names
    save(fitted, tmp_path / "generator.zip")
    loaded = load(tmp_path / "generator.zip")
    assert loaded.classes_ is loaded._classes.names  # words, which are made of bytes


def test_estimators_without_a_fit_and_those_of_scikit_learn_around_ours(tmp_path):
    networks = make_pipeline(StandardScaler(), ClassifierFeatures(Dense((8,)), max_iter=2, batch_size=8)).fit(X, Y)
    for estimator in (WGANGenerator(**TINY), networks):
        save(estimator, tmp_path / "file.zip")
        assert described(load(tmp_path / "file.zip")) == described(estimator)
    np.testing.assert_array_equal(load(tmp_path / "file.zip").transform(X), networks.transform(X))


def test_values_of_parameters_of_all_kinds(tmp_path):
    rng = np.random.default_rng(5)
    transport = W2Transport(
        device=torch.device("cpu"), random_state=np.random.RandomState(3), callbacks=[TimeBudget(np.float64(2.0))]
    ).set_params(checkpoint=tmp_path / "state")
    transport.extra_ = {
        "floats": [np.inf, -np.inf, -0.0, 1e-320],
        "keys": {1: "a", None: "b", (1, "c"): (), np.dtype("f4"): slice(1, None)},
        "big": 2**80,
        "bytes": b"\x00\xff",
        "rng": rng,
        "words": np.array([["é", ""], ["long word", "x"]]),
        "objects": np.array([None, "a", 1.5, (2,)], dtype=object),
        "dates": np.array(["2024-01-01", "NaT"], dtype="M8[D]"),
        "complex": np.array([1 + 2j], dtype=np.complex64),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.empty((0, 3), np.float32),
        "scalars": [np.float32(0.1), np.datetime64("2024-01-01"), np.str_("w"), np.bool_(True)],
        "masked": np.ma.MaskedArray([1, 2], [True, False]),
        "\ud800": "a lone surrogate",
    }
    save(transport, tmp_path / "file.zip")
    loaded = load(tmp_path / "file.zip")
    assert described(loaded) == described(transport)
    assert loaded.random_state.randint(2**31) == transport.random_state.randint(2**31)
    before, after = transport.extra_, loaded.extra_
    assert after["rng"].integers(2**62) == before["rng"].integers(2**62)
    before.pop("rng"), after.pop("rng")
    assert repr(after) == repr(before)
    for name in ("words", "dates", "complex", "fortran", "empty"):
        assert after[name].dtype == before[name].dtype
        assert after[name].flags.f_contiguous == before[name].flags.f_contiguous


class OfTheUser(torch.nn.Linear):
    """A network that is not in the package."""

    def __init__(self, latent_dim, n_features):
        super().__init__(latent_dim, n_features)


@pytest.mark.parametrize(
    ("estimator", "place"),
    [
        (W2Transport(network=OfTheUser), "W2Transport.network"),
        (WGANGenerator(generator=OfTheUser), "WGANGenerator.generator"),
        (W2Transport(callbacks=[EarlyStopping()]), r"W2Transport.callbacks\[0\]"),
        (SemiDiscreteTransport(source=np.random.standard_normal), "SemiDiscreteTransport.source"),
        (SemiDiscreteTransport(cost=Cost(torch.abs, power=1)), "SemiDiscreteTransport.cost"),
        (DomainAdapter(W2Transport(network=OfTheUser), LogisticRegression()), "DomainAdapter.transport.network"),
        (DomainAdapter(None, RandomForestClassifier(2).fit(X, Y)), "DomainAdapter.estimator"),
        (DomainAdapter(None, FunctionTransformer(np.load)), "DomainAdapter.estimator"),
        (make_pipeline(FunctionTransformer(os.system)), "Pipeline"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_code_of_the_user_is_refused_by_its_place_and_nothing_is_written(estimator, place, tmp_path):
    path = tmp_path / "file.zip"
    path.write_text("before")
    with pytest.raises(ValueError, match=f"{place} is .*pickle"):
        save(estimator, path)
    assert path.read_text() == "before"
    assert [*tmp_path.iterdir()] == [path]


def test_a_parameter_out_of_range_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="'tol' parameter of W2Transport must be a float"):
        save(W2Transport(tol=-1), tmp_path / "file.zip")


def test_only_estimators_are_saved(tmp_path):
    with pytest.raises(ValueError, match="An estimator can be saved, got 3"):
        save(3, tmp_path / "file.zip")


def test_an_interrupted_save_leaves_the_former_file(path, monkeypatch):
    before = path.read_bytes()

    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(sklearn_ot.io._file.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(GaussianTransport(), path)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_errors_of_the_file_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "no.zip")
    with pytest.raises(FileNotFoundError):
        save(GaussianTransport(), tmp_path / "no folder" / "file.zip")


DAMAGED = "is not a file of sklearn_ot.io.save, or is damaged"
FOREIGN = {
    "empty": b"",
    "pickle": pickle.dumps(GaussianTransport()),
    "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "text": b"estimator.json",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_kind_is_an_error(name, tmp_path):
    (tmp_path / "map.zip").write_bytes(FOREIGN[name])
    with pytest.raises(ValueError, match=f"map.zip {DAMAGED}"):
        load(tmp_path / "map.zip")


@pytest.mark.parametrize("change", ["other", "extra", "missing", "compressed"])
def test_another_zip_file_is_an_error(change, path):
    content = members(path)
    if change == "other":
        content = {"hello.txt": b"hello"}
    elif change == "extra":
        content["run.py"] = b"import os"
    elif change == "missing":
        del content["arrays.safetensors"]
    write(path, content, zipfile.ZIP_DEFLATED if change == "compressed" else zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match=DAMAGED):
        load(path)


@pytest.mark.parametrize("change", [{"format": 2}, {"sklearn_ot": "99.0"}])
def test_a_newer_file_is_an_error_that_says_so(change, path):
    changed(path, lambda head: head.update(change))
    with pytest.raises(ValueError, match=r"was written by sklearn_ot .* Install that version or a newer one"):
        load(path)


def test_a_file_of_a_bug_fix_release_is_read(path):
    number = ".".join(sklearn_ot.__version__.split(".")[:2])
    changed(path, lambda head: head.update(sklearn_ot=f"{number}.99"))
    load(path)


def state_of(head):
    return head["estimator"]["estimator"]["state"]


CHANGES = {
    "a parameter out of range": (lambda state: state.update(tol=-1.0), "'tol' parameter of W2Transport must be"),
    "a parameter of another type": (lambda state: state.update(solver={"dict": {}}), "'solver' parameter"),
    "a missing parameter": (lambda state: state.pop("tol"), "W2Transport has no tol"),
    "an unknown kind": (lambda state: state.update(tol={"code": "print()"}), "'code' is not known"),
    "an unknown class": (
        lambda state: state["network"]["estimator"].update(name="BaseEstimator"),
        "no estimator has the name 'BaseEstimator'",
    ),
    "an unknown value": (
        lambda state: state["coordinates_"]["dict"].update({"sklearn_ot kind": "Popen"}),
        "'Popen' is not known",
    ),
    "a missing array": (lambda state: state.update(tol={"array": {"name": "999"}}), "999"),
    "an array of another shape": (
        lambda state: state["net_"]["dict"]["architecture"]["dict"].update(n_features=5),
        "size mismatch|unexpected keyword|n_features",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_tree_with_other_values_is_an_error(name, path):
    change, message = CHANGES[name]
    changed(path, lambda head: change(state_of(head)))
    with pytest.raises(ValueError, match=f"cannot be loaded.*({message})"):
        load(path)


def test_a_parameter_that_is_newer_than_the_file_has_its_default(path):
    def older(head):
        head["sklearn_ot"] = "0.0.9"
        del state_of(head)["tol"]

    changed(path, older)
    assert load(path).tol == W2Transport().tol


def test_an_estimator_of_another_name_is_an_error(path):
    changed(path, lambda head: head["estimator"]["estimator"].update(name="WGANGenerator"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_an_error(share, path):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=DAMAGED):
        load(path)


def test_a_file_with_any_wrong_byte_is_an_error_or_the_same_estimator(path, transport):
    rng, data, n_errors = np.random.RandomState(0), path.read_bytes(), 0
    for _ in range(300):
        wrong = bytearray(data)
        wrong[rng.randint(len(data))] ^= 1 << rng.randint(8)
        path.write_bytes(wrong)
        try:
            loaded = load(path)
        except ValueError:
            n_errors += 1
        else:
            np.testing.assert_array_equal(loaded.transform(X), transport.transform(X))
    # Nearly all bytes are in members, which have check sums.
    assert n_errors > 250


def test_sizes_are_those_of_the_arrays(path):
    """Networks of a trillion weights are refused before they take memory."""

    def change(head):
        for network in state_of(head)["net_"]["dict"]["architecture"]["dict"].values():
            if isinstance(network, dict) and "tuple" in network:
                network["tuple"][1]["dict"]["hidden_layer_sizes"] = {"tuple": [10**6, 10**6]}

    changed(path, change)
    with pytest.raises(ValueError, match=r"a network has [\d.]+e\+12 numbers, and at most \d+ can be stored"):
        load(path)


def test_a_skops_member_with_other_types_is_refused(tmp_path):
    import skops.io

    adapter = DomainAdapter(None, LogisticRegression()).fit(X, Y, X_target=XT)
    save(adapter, tmp_path / "file.zip")
    content = members(tmp_path / "file.zip")
    content["0.skops"] = skops.io.dumps(Path("x"))
    write(tmp_path / "file.zip", content)
    with pytest.raises(ValueError, match=r"cannot be loaded.*Untrusted types"):
        load(tmp_path / "file.zip")


def test_compressed_members_of_skops_are_refused(tmp_path):
    save(DomainAdapter(None, LogisticRegression()).fit(X, Y, X_target=XT), tmp_path / "file.zip")
    content = members(tmp_path / "file.zip")
    inner = io.BytesIO()
    write(inner, members(io.BytesIO(content["0.skops"])), zipfile.ZIP_DEFLATED)
    write(tmp_path / "file.zip", {**content, "0.skops": inner.getvalue()})
    with pytest.raises(ValueError, match="members are compressed"):
        load(tmp_path / "file.zip")


@pytest.mark.parametrize("missing", ["safetensors", "skops"])
def test_a_missing_package_is_an_error_that_names_the_extra(missing, tmp_path, monkeypatch):
    adapter = DomainAdapter(None, LogisticRegression())
    save(adapter, tmp_path / "file.zip")
    for name in (missing, f"{missing}.numpy", f"{missing}.io"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (lambda: save(adapter, tmp_path / "file.zip"), lambda: load(tmp_path / "file.zip")):
        with pytest.raises(ImportError, match=r'pip install "sklearn-ot\[files\]"'):
            call()


def test_specifications_are_plain(tmp_path):
    save(Dense((3,)), tmp_path / "file.zip")
    assert load(tmp_path / "file.zip").hidden_layer_sizes == (3,)

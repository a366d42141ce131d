"""Files that are written as a whole."""

import os

import pytest

from sklearn_ot.files import remove_parts, write_whole


@pytest.fixture
def path(tmp_path):
    """A file with a name that is also a pattern of names."""
    path = tmp_path / "map[1]*.zip"
    path.write_bytes(b"before")
    return path


def test_a_file_takes_the_place_of_the_former_one_and_leaves_no_other(path):
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"
    assert [*path.parent.iterdir()] == [path]


def test_a_new_file_replaces_none(path):
    with pytest.raises(FileExistsError):
        write_whole(path, b"after", is_new=True)
    assert path.read_bytes() == b"before"
    other = path.with_name("other")
    write_whole(other, b"after", is_new=True)
    assert other.read_bytes() == b"after"
    assert {*path.parent.iterdir()} == {path, other}


def no_links(*args):
    raise PermissionError("no links")


def test_a_new_file_needs_no_links(path, monkeypatch):
    monkeypatch.setattr(os, "link", no_links)
    other = path.with_name("other")
    write_whole(other, b"after", is_new=True)
    assert other.read_bytes() == b"after"
    assert {*path.parent.iterdir()} == {path, other}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_former_file_and_no_other(step, error, path, monkeypatch):
    def fail(*args):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(error):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"
    assert [*path.parent.iterdir()] == [path]


def test_the_disk_has_a_file_before_its_name(path, monkeypatch):
    steps, (fsync, replace) = [], (os.fsync, os.replace)
    monkeypatch.setattr(os, "fsync", lambda number: (steps.append("content"), fsync(number)))
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("name"), replace(*names)))
    write_whole(path, b"after")
    # The last one is that of the folder.
    assert steps == ["content", "name", *(["content"] if os.name == "posix" else [])]


def test_a_folder_that_cannot_be_opened_is_no_error(path, monkeypatch):
    monkeypatch.setattr(os, "open", no_links)
    write_whole(path, b"after")
    assert path.read_bytes() == b"after"


def test_parts_of_ended_processes_are_removed(path, monkeypatch):
    class PowerCut(BaseException):
        """Nothing is removed."""

    def fail(*args):
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        patch.setattr(type(path), "unlink", lambda *args, **kwargs: None)
        with pytest.raises(PowerCut):
            write_whole(path, b"after")
    others = {
        path.with_name(name) for name in ("map.zip", ".map[1]*.zip.notes.part", ".map1x.zip." + 32 * "0" + ".part")
    }
    for other in others:
        other.touch()
    assert len([*path.parent.iterdir()]) == len(others) + 2
    remove_parts(path)
    assert {*path.parent.iterdir()} == {path, *others}

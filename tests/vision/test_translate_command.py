"""The command ``translate``: folders in, a folder out, and one line and no file for what cannot be used."""

import numpy as np
import pytest

from sklearn_ot.vision.__main__ import main

Image = pytest.importorskip("PIL.Image")

SIZE = 8


def write(folder, n, light, seed):
    folder.mkdir()
    pictures = np.random.RandomState(seed).randint(light, light + 60, (n, 12, 10, 3)).astype(np.uint8)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:02d}.png")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "dark", 24, 20, 0)
    write(tmp_path / "light", 21, 150, 1)
    return tmp_path


def run(folder, *options, source="dark", target="light", result="result"):
    files = (str(folder / name) for name in (source, target, result))
    return main(["translate", *files, "--size", str(SIZE), "--network", "none", "--quiet", *map(str, options)])


def read(folder):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def test_a_picture_for_each_of_the_source(folder, capsys):
    assert run(folder, "--mirror") == 0
    pictures = read(folder / "result")
    assert sorted(path.name for path in (folder / "result").iterdir()) == [f"{i:02d}.png" for i in range(24)]
    assert pictures.shape == (24, SIZE, SIZE, 3)
    # The means of 24 × 192 levels with a deviation of 17.
    assert pictures.mean() == pytest.approx(read(folder / "light").mean(), abs=2)
    assert capsys.readouterr() == ("", "")


def test_inverse_amount_grid_and_report(folder, capsys):
    assert run(folder, "--inverse", "--compare", folder / "grid.png", "--report") == 0
    assert read(folder / "result").shape[0] == 21
    assert read(folder / "result").mean() == pytest.approx(read(folder / "dark").mean(), abs=4)
    grid = np.asarray(Image.open(folder / "grid.png"))
    # Two rows of eight pictures with gaps of 8 pixels.
    assert grid.shape == (2 * SIZE + 8, 8 * SIZE + 7 * 8, 3)
    assert "source to target" in capsys.readouterr().out
    assert run(folder, "--amount", "0", result="same") == 0
    # Only the middle square was cut out and resized.
    assert read(folder / "same").mean() == pytest.approx(read(folder / "dark").mean(), abs=2)


def test_grey_and_alpha_become_rgb(folder):
    Image.fromarray(np.full((20, 20), 40, np.uint8)).save(folder / "dark" / "grey.png")
    Image.fromarray(np.full((20, 20, 4), 40, np.uint8)).save(folder / "dark" / "alpha.png")
    (folder / "dark" / "notes.txt").write_text("no picture")
    assert run(folder) == 0
    assert read(folder / "result").shape == (26, SIZE, SIZE, 3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"source": "nowhere"}, "is no folder"),
        ({"source": "empty"}, "has 0 pictures; at least 2"),
        ({"target": "broken"}, "cannot be read as a picture"),
        ({"result": "file"}, "cannot be made as a folder"),
        ({"result": "a/b"}, "cannot be made as a folder"),
        (("--size", 0), "must be at least 1"),
        (("--amount", 2), "between 0 and 1"),
        (("--amount", 0.5, "--inverse"), "goes the whole way"),
        (("--report",), "needs 20 pictures"),
        (("--max-pixels", 10), "more than --max-pixels 10"),
        (("--compare", "grid.xyz"), "ends with '.xyz'"),
    ],
)
def test_one_line_and_no_file(folder, capsys, options, line):
    (folder / "empty").mkdir()
    (folder / "file").write_text("")
    write(folder / "broken", 3, 20, 2)
    (folder / "broken" / "02.png").write_bytes((folder / "broken" / "02.png").read_bytes()[:200])
    if options == ("--report",):
        write(folder / "few", 5, 20, 3)
        status = run(folder, *options, source="few")
    else:
        status = run(folder, **options) if isinstance(options, dict) else run(folder, *options)
    assert status == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert line in error
    assert error.count("\n") == 1
    assert not (folder / "result").exists()


def test_files_are_replaced_only_by_force(folder, capsys):
    assert run(folder) == 0
    before = (folder / "result" / "00.png").read_bytes()
    assert run(folder, "--amount", "0") == 1
    assert "exists; use --force" in capsys.readouterr().err
    assert (folder / "result" / "00.png").read_bytes() == before
    assert run(folder, "--amount", "0", "--force") == 0
    assert (folder / "result" / "00.png").read_bytes() != before


def test_two_sources_of_one_name(folder, capsys):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "dark" / "00.jpg")
    assert run(folder) == 1
    assert "same file" in capsys.readouterr().err

"""The command line: what is kept of a file, and one line and no file for everything that cannot be used."""

import io
import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from sklearn_ot.vision import _color_transfer
from sklearn_ot.vision.__main__ import main
from sklearn_ot.vision._files import read_picture, written_together

Image = pytest.importorskip("PIL.Image")
ImageCms = pytest.importorskip("PIL.ImageCms")

RNG = np.random.RandomState(0)
SOURCE = RNG.randint(20, 120, (24, 30, 3)).astype(np.uint8)
TARGET = RNG.randint(60, 250, (20, 26, 3)).astype(np.uint8)
ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def _short_training(monkeypatch):
    """Training of two steps: these tests are about files."""
    monkeypatch.setattr(_color_transfer, "MAX_ITER", 2)


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(SOURCE).save(tmp_path / "source.png")
    Image.fromarray(TARGET).save(tmp_path / "target.png")
    return tmp_path


def run(folder, *options, source="source.png", target="target.png", result="result.png"):
    """The status of the command with files of a folder."""
    paths = [option if option.startswith("-") or "." not in option else str(folder / option) for option in options]
    files = (str(folder / name) for name in (source, target, result))
    return main(["color-transfer", *files, "--quiet", *paths])


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


def test_a_picture_is_written_and_nothing_else(folder, capsys):
    assert run(folder) == 0
    result = np.asarray(opened(folder / "result.png")).astype(float)
    assert sorted(path.name for path in folder.iterdir()) == ["result.png", "source.png", "target.png"]
    # The mean of 720 pixels with a standard deviation of 55 has an error of 2 levels.
    assert np.abs(result.mean(axis=(0, 1)) - TARGET.mean(axis=(0, 1))).max() < 8
    assert capsys.readouterr() == ("", "")


def test_all_results_are_written(folder, capsys):
    assert run(folder, "--cube", "look.cube", "--compare", "panel.png", "--report", "--amount", "0") == 0
    assert np.array_equal(np.asarray(opened(folder / "result.png")), SOURCE)
    assert opened(folder / "panel.png").height == 480 + 48 + 8 + 480
    assert (folder / "look.cube").read_text().startswith("LUT_3D_SIZE 65\n")
    numbers = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()[1:]]
    # With the amount 0 the result is the source, and both are far from the target.
    assert numbers[0] == numbers[1] > 3 * numbers[2]


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGB", ".png"), ("RGBA", ".png"), ("RGB", ".tif"), ("RGB", ".jpg"), ("RGBA", ".webp"), ("P", ".png")],
)
def test_colours_are_written_in_the_mode_that_was_read(folder, mode, ending):
    image = Image.fromarray(SOURCE).convert(mode)
    if mode == "RGBA":
        image.putalpha(100)
    image.save(folder / "other.png")
    assert run(folder, source="other.png", result=f"result{ending}") == 0
    assert opened(folder / f"result{ending}").mode == ("RGB" if mode == "P" else mode)


@pytest.mark.parametrize(("mode", "dtype"), [("L", np.uint8), ("LA", np.uint8), ("I;16", np.uint16), ("F", np.float32)])
def test_grey_pictures_keep_their_depth(folder, mode, dtype):
    scale = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    for name, picture in (("a", SOURCE), ("b", TARGET)):
        grey = (picture[..., 0].astype(float) * scale).astype(dtype)
        grey = np.dstack([grey, np.full_like(grey, 200)]) if mode == "LA" else grey
        Image.fromarray(grey).save(folder / f"{name}.tif")
    assert run(folder, source="a.tif", target="b.tif", result="c.tif") == 0
    result = read_picture(str(folder / "c.tif"))
    assert (result.mode, result.pixels.dtype) == (mode, dtype)
    if mode == "I;16":
        assert np.any(result.pixels % 257 != 0)
    if mode == "LA":
        assert np.all(result.pixels[..., 1] == 200)


def test_the_orientation_is_applied_once(folder):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(SOURCE).save(folder / "turned.png", exif=exif)
    assert run(folder, "--amount", "0", source="turned.png") == 0
    result = opened(folder / "result.png")
    assert ORIENTATION not in result.getexif()
    # Orientation 6: the first row of the file is the right side of the picture.
    assert np.array_equal(np.asarray(result), np.rot90(SOURCE, -1))


@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
def test_how_a_tiff_stores_its_pixels_is_not_copied(folder, ending):
    exif = Image.Exif()
    exif[315], exif[ORIENTATION] = "an artist", 3
    Image.fromarray(SOURCE).save(folder / "other.tif", compression="tiff_lzw", exif=exif)
    assert run(folder, "--amount", "0", source="other.tif", result=f"result{ending}") == 0
    result = opened(folder / f"result{ending}")
    # The noise of the picture, in a JPEG of quality 95.
    assert np.abs(np.asarray(result).astype(int) - SOURCE[::-1, ::-1]).mean() < (5 if ending == ".jpg" else 1e-9)
    kept = result.getexif()
    assert kept[315] == "an artist"
    assert kept.get(259, 1) == 1
    if ending != ".tif":
        assert set(kept) <= {315, 34665}


def profile_bytes(name):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def with_gamma():
    """An sRGB profile that says gamma 1 for its curves: bytes of a `curv` of one value for each of them."""
    data = bytearray(profile_bytes("sRGB"))
    place = data.find(b"para")
    assert place > 0
    # Function 0 of parametric curves is y = x^g; g = 1.0 in fixed point.
    data[place : place + 16] = b"para" + bytes(4) + b"\0\0\0\0" + b"\0\1\0\0"
    return bytes(data)


def test_the_profile_is_kept_and_the_target_converted_to_it(folder):
    linear = with_gamma()
    Image.fromarray(SOURCE).save(folder / "linear.png", icc_profile=linear)
    assert run(folder, source="linear.png") == 0
    assert opened(folder / "result.png").info["icc_profile"] == linear
    plain = read_picture(str(folder / "target.png"))
    converted = read_picture(str(folder / "target.png"), profile=linear)
    # sRGB levels in the middle are darker as linear light: 188 becomes about 128.
    value = TARGET.mean() / 255
    wanted = 255 * ((value + 0.055) / 1.055) ** 2.4
    assert np.array_equal(plain.pixels, TARGET)
    assert abs(converted.pixels.mean() - wanted) < 25
    assert converted.pixels.mean() < TARGET.mean() - 20


def test_alpha_stays_when_the_target_is_converted(folder):
    alpha = np.full(TARGET.shape[:2], 77, np.uint8)
    Image.fromarray(np.dstack([TARGET, alpha])).save(folder / "alpha.png")
    assert np.all(read_picture(str(folder / "alpha.png"), profile=with_gamma()).pixels[..., 3] == 77)


def test_masks_are_pictures(folder):
    mask = np.zeros(SOURCE.shape[:2], np.uint8)
    mask[:12] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    assert run(folder, "--mask", "mask.png") == 0
    Image.fromarray(mask[:5]).save(folder / "mask.png")
    assert run(folder, "--mask", "mask.png", "--force") == 1


def save(folder, array, name="bad.png", **options):
    Image.fromarray(array).save(folder / name, **options)
    return name


def truncated(folder):
    data = io.BytesIO()
    Image.fromarray(SOURCE).save(data, "JPEG")
    (folder / "bad.jpg").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    return "bad.jpg"


def in_mode(mode, name):
    def make(folder):
        Image.fromarray(SOURCE).convert(mode).save(folder / name)
        return name

    return make


def animated(folder):
    pictures = [Image.fromarray(RNG.randint(0, 255, (9, 9), np.uint8)) for _ in range(3)]
    pictures[0].save(folder / "bad.gif", save_all=True, append_images=pictures[1:])
    return "bad.gif"


def sixteen_bit_rgb(folder):
    """A PNG of RGB with 16 bits, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in SOURCE.astype(np.uint16) * 257)
    header = struct.pack(">IIBBBBB", SOURCE.shape[1], SOURCE.shape[0], 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return "bad.png"


def text(folder):
    (folder / "bad.png").write_text("no picture")
    return "bad.png"


def floats(value):
    def make(folder):
        grey = np.full((9, 9), 0.5, np.float32)
        grey[2, 3] = value
        return save(folder, grey, "bad.tif")

    return make


BAD = [
    (in_mode("CMYK", "bad.jpg"), "is in mode CMYK; convert it to RGB"),
    (in_mode("LAB", "bad.tif"), "is in mode LAB"),
    # Older versions of Pillow write such a TIFF, and do not read it.
    (in_mode("YCbCr", "bad.tif"), "is in mode YCbCr|cannot be read as a picture"),
    (sixteen_bit_rgb, "has 16 bits in RGB, which Pillow would cut to 8"),
    (lambda folder: save(folder, SOURCE[:1, :1]), "have one colour"),
    (lambda folder: save(folder, np.full((9, 9, 3), 4, np.uint8)), "have one colour"),
    (truncated, "cannot be read as a picture .*[Tt]runcated"),
    (animated, "is animated, 3 pictures"),
    (text, "cannot be read as a picture"),
    (lambda folder: "missing.png", "cannot be read as a picture .*No such file"),
    (floats(1.5), r"1 values that are outside 0 to 1, the first at \(2, 3\)"),
    (floats(np.nan), r"1 values that are NaN, the first at \(2, 3\)"),
    (lambda folder: save(folder, SOURCE[..., 0]), "is grey and .* is colour"),
    (lambda folder: save(folder, np.zeros((40, 50, 3), np.uint8)), "has 2000 pixels, more than --max-pixels 1999"),
    (lambda folder: save(folder, np.dstack([SOURCE, 0 * SOURCE[..., :1]])), "no pixel that is in its mask"),
]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("make", "message"), BAD)
def test_a_bad_picture_is_one_line_and_no_file(folder, capsys, make, message, side):
    name = make(folder)
    before = sorted(folder.iterdir())
    other = {"result": "result.tif"} if name.endswith("tif") else {}
    assert run(folder, "--max-pixels", "1999", "--compare", "panel.png", **{side: name}, **other) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    # Which of two pictures of different kinds is named first depends on the side.
    swapped = message.replace("is grey and .* is colour", "is colour and .* is grey") if side == "target" else message
    assert re.search(swapped, error)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "files", "message"),
    [
        ([], {"result": "source.png"}, "exists; use --force"),
        ([], {"result": "no/folder/x.png"}, "cannot be written"),
        ([], {"result": "x.xyz"}, "ends with '.xyz'; use one of .png"),
        (["--compare", "target.png"], {}, "exists; use --force"),
        (["--compare", "x.txt"], {}, "ends with '.txt'"),
        (["--cube", "result.png"], {}, "Two results have the same file"),
        (["--amount", "2"], {}, "'amount' parameter"),
    ],
)
def test_unusable_arguments_are_one_line_and_no_file(folder, capsys, options, files, message):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run(folder, *options, **files) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_file_that_cannot_hold_alpha_is_refused_before_the_fit(folder, capsys, monkeypatch):
    monkeypatch.setattr(_color_transfer.ColorTransfer, "fit", None)
    Image.fromarray(SOURCE).convert("RGBA").save(folder / "alpha.png")
    assert run(folder, source="alpha.png", result="result.jpg") == 1
    assert "cannot hold a picture in mode RGBA; use .png or .tif or .tiff or .webp" in capsys.readouterr().err


def test_existing_files_are_replaced_on_request_only(folder):
    assert run(folder) == 0
    assert run(folder) == 1
    assert run(folder, "--force", "--amount", "0") == 0
    assert np.array_equal(np.asarray(opened(folder / "result.png")), SOURCE)


def test_a_failure_leaves_every_file_as_it_was(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.png", "b.png")]
    (tmp_path / "a.png").write_text("before")

    def fail_late():
        with written_together(paths, force=True) as parts:
            for part in parts.values():
                Path(part).write_text("after")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_late()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "before"


def test_the_package_needs_no_pillow(monkeypatch, capsys, folder):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert run(folder) == 1
    assert "PIL" in capsys.readouterr().err

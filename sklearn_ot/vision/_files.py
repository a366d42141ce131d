"""Files of pictures, read and written with Pillow: depth, orientation and colour profile are kept, or it is refused."""

import io
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sklearn_ot.vision._pictures import check_picture

MAX_PIXELS = 200_000_000
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF")
MODES = ("L", "LA", "RGB", "RGBA", "I;16", "F")
# Modes that become others without a loss.
CONVERTED = {"1": "L", "I;16B": "I;16", "I;16L": "I;16"}
ORIENTATION = 274
# Description, make, model, software, date, artist, copyright, and the parts of cameras and positions. The other tags
# of a TIFF file say how its pixels are stored, which is not how those of the result are.
DESCRIPTIVE_TAGS = {270, 271, 272, 305, 306, 315, 33432, 34665, 34853}
# Modes that a file can hold, by its ending.
ENDINGS = {
    ".png": ("L", "LA", "RGB", "RGBA", "I;16"),
    ".tif": MODES,
    ".tiff": MODES,
    ".jpg": ("L", "RGB"),
    ".jpeg": ("L", "RGB"),
    ".webp": ("RGB", "RGBA"),
}


class PictureFile(NamedTuple):
    """A picture, and what its file says about it.

    Attributes
    ----------
    pixels : ndarray
        The picture, upright.
    mode : str
        The mode in Pillow.
    kept : dict
        Arguments for Pillow when a result is saved: ``icc_profile``, ``exif`` and ``dpi``, as far as there are any.
    """

    pixels: np.ndarray
    mode: str
    kept: dict


def read_picture(path: str, max_pixels: int = MAX_PIXELS, profile: bytes | bool | None = False) -> PictureFile:
    """Read a picture.

    Parameters
    ----------
    path : str
        The file.
    max_pixels : int, default=200_000_000
        Larger pictures are refused before they are decoded.
    profile : bytes, None or False, default=False
        The colour profile to which the picture is converted; None stands for sRGB, and with False there is no
        conversion.

    Returns
    -------
    picture : PictureFile
        The picture.

    Raises
    ------
    ValueError
        If the file cannot be used; the message is one line that begins with the path.
    """
    from PIL import Image, ImageOps

    try:
        with _no_limit(Image), Image.open(path, formats=FORMATS) as image:
            _check_header(image, path, max_pixels)
            image.load()
            exif, is_tiff = image.getexif(), image.format == "TIFF"
            image = ImageOps.exif_transpose(image)
            if image.mode == "P":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            elif image.mode in CONVERTED:
                image = image.convert(CONVERTED[image.mode])
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path}: cannot be read as a picture ({error}).") from error
    if profile is not False:
        image = _converted(image, path, profile)
    kept = {key: image.info[key] for key in ("icc_profile", "dpi") if image.info.get(key)}
    for tag in set(exif) - DESCRIPTIVE_TAGS if is_tiff else {ORIENTATION} & set(exif):
        del exif[tag]
    if exif:
        kept["exif"] = exif.tobytes()
    return PictureFile(check_picture(np.asarray(image), path), image.mode, kept)


@contextmanager
def _no_limit(image_module):
    """Pillow without its own limit of pixels, which `_check_header` replaces."""
    limit, image_module.MAX_IMAGE_PIXELS = image_module.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        image_module.MAX_IMAGE_PIXELS = limit


def _check_header(image, path, max_pixels):
    """Refuse a picture by what is known before it is decoded."""
    n_pixels = image.width * image.height
    if n_pixels > max_pixels:
        raise ValueError(f"{path}: has {n_pixels} pixels, more than --max-pixels {max_pixels}.")
    # The second picture of an MPO file is a preview, or the other view of a stereo pair.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise ValueError(f"{path}: is animated, {image.n_frames} pictures; save one of them as a file.")
    if image.mode not in (*MODES, *CONVERTED, "P"):
        raise ValueError(f"{path}: is in mode {image.mode}; convert it to RGB, with its colour profile.")
    if "16" in str([tile[3] for tile in image.tile]) and image.mode in ("L", "LA", "RGB", "RGBA"):
        raise ValueError(
            f"{path}: has 16 bits in {image.mode}, which Pillow would cut to 8. Read it with another library, and give "
            "the array of uint16 to sklearn_ot.vision.ColorTransfer."
        )


def _converted(image, path, profile):
    """The picture in another colour profile."""
    from PIL import ImageCms

    own = image.info.get("icc_profile")
    if own == profile or image.mode not in ("RGB", "RGBA", "L"):
        return image
    ends = [
        ImageCms.ImageCmsProfile(io.BytesIO(data)) if data else ImageCms.createProfile("sRGB")
        for data in (own, profile)
    ]
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        moved = ImageCms.profileToProfile(image.convert("RGB") if alpha else image, *ends)
    except ImageCms.PyCMSError as error:
        raise ValueError(f"{path}: its colour profile cannot be converted to that of the source ({error}).") from error
    if alpha:
        moved.putalpha(alpha)
    return moved


def check_ending(path: str, mode: str) -> None:
    """Raise a ValueError if a file with this ending cannot hold a picture in this mode."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path}: ends with {ending!r}; use one of {', '.join(ENDINGS)}.")
    if mode not in ENDINGS[ending]:
        able = [other for other, modes in ENDINGS.items() if mode in modes]
        raise ValueError(f"{path}: a {ending} file cannot hold a picture in mode {mode}; use {' or '.join(able)}.")


def write_picture(path: str, pixels: np.ndarray, kept: dict) -> None:
    """Write a picture with its profile, in the format of the ending of the file."""
    from PIL import Image

    options = {"quality": 95, "subsampling": 0} if Path(path).suffix.lower() in (".jpg", ".jpeg") else {}
    if Path(path).suffix.lower() == ".webp":
        options = {"lossless": True}
    Image.fromarray(pixels).save(path, **kept, **options)


@contextmanager
def new_folder(path: str):
    """A folder for a block; if it did not exist and the block raises an error, there is none afterwards."""
    place = Path(path)
    is_new = not place.exists()
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path}: cannot be made as a folder ({error.strerror}).") from error
    try:
        yield
    except BaseException:
        if is_new:
            place.rmdir()
        raise


@contextmanager
def written_together(paths: list[str], force: bool):
    """Write files all or none: a block writes to the files that it gets, which then take the places of others.

    Parameters
    ----------
    paths : list of str
        The files.
    force : bool
        Whether existing files are replaced.

    Yields
    ------
    written : dict
        For each path, an empty file in the same folder with the same ending.

    Raises
    ------
    ValueError
        Before the block runs, if a file exists and ``force`` is False, or a folder cannot be written to.
    """
    if len({Path(path).absolute() for path in paths}) < len(paths):
        raise ValueError(f"Two results have the same file: {', '.join(paths)}.")
    for path in paths:
        if Path(path).exists() and not force:
            raise ValueError(f"{path}: exists; use --force to replace it.")
    written = {}
    try:
        for path in paths:
            place = Path(path)
            part = place.with_name(f".{place.stem}.{os.getpid()}{place.suffix}")
            try:
                part.touch(exist_ok=False)
            except OSError as error:
                raise ValueError(f"{path}: cannot be written ({error.strerror}).") from error
            written[path] = str(part)
        yield written
        for path, part in written.items():
            os.replace(part, path)
    finally:
        for part in written.values():
            Path(part).unlink(missing_ok=True)

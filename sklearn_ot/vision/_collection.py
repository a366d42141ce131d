"""Collections of pictures: folders of files as arrays of one size, and grids that show pictures side by side."""

from pathlib import Path

import numpy as np

from sklearn_ot.vision._files import read_picture
from sklearn_ot.vision._panel import GAP, as_rgb

# Endings of the files that are read as pictures.
PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif"}
# Largest number of pictures in a row of a grid.
N_SHOWN = 8
FEWEST = 2


def picture_files(folder: str) -> list[Path]:
    """The files of pictures in a folder, by name, or a ValueError if there are fewer than two."""
    place = Path(folder)
    if not place.is_dir():
        raise ValueError(f"{folder}: is no folder.")
    files = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
    if len(files) < FEWEST:
        raise ValueError(f"{folder}: has {len(files)} pictures; at least {FEWEST} are needed.")
    return files


def read_pictures(files: list[Path], size: int, max_pixels: int) -> np.ndarray:
    """Files as RGB pictures of one size: their largest square in the middle, resized.

    Parameters
    ----------
    files : list of Path
        The files.
    size : int
        Height and width of the results.
    max_pixels : int
        Larger pictures are refused before they are decoded.

    Returns
    -------
    pictures : ndarray of shape (n, size, size, 3)
        The pictures, uint8. Grey ones have three equal channels, and alpha channels are left out.

    Raises
    ------
    ValueError
        If a file cannot be used; the message is one line that begins with its path.
    """
    from PIL import Image, ImageOps

    pictures = np.empty((len(files), size, size, 3), np.uint8)
    for picture, path in zip(pictures, files, strict=True):
        # In sRGB, so that numbers of different files have the same meaning.
        pixels = as_rgb(read_picture(str(path), max_pixels, None).pixels)
        picture[:] = ImageOps.fit(Image.fromarray(np.ascontiguousarray(pixels)), (size, size), Image.Resampling.BOX)
    return pictures


def grid(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of the first pictures of several arrays, with white gaps.

    Parameters
    ----------
    rows : list of ndarray of shape (n, height, width, 3)
        RGB pictures of uint8; those of one column belong together.

    Returns
    -------
    grid : ndarray of shape (grid_height, grid_width, 3)
        RGB, uint8.
    """
    n_columns = min(N_SHOWN, *map(len, rows))
    padded = [np.pad(row[:n_columns], ((0, 0), (0, GAP), (0, GAP), (0, 0)), constant_values=255) for row in rows]
    return np.vstack([np.hstack(list(row)) for row in padded])[:-GAP, :-GAP]

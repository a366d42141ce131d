"""Files with tables of colours in the .cube format of Adobe."""

from pathlib import Path

import numpy as np


def write_cube(path, colors: np.ndarray) -> None:
    """Write the images of a regular grid of colours.

    Parameters
    ----------
    path : str or path-like
        The file.
    colors : ndarray of shape (n_nodes ** 3, 3)
        Colours between 0 and 1; blue runs first in the order of the rows, as in
        `sklearn_ot.vision._color_map.grid_of_colors`. In the file red runs first.
    """
    n_nodes = round(len(colors) ** (1 / 3))
    ordered = colors.reshape(n_nodes, n_nodes, n_nodes, 3).transpose(2, 1, 0, 3).reshape(-1, 3)
    lines = [f"LUT_3D_SIZE {n_nodes}", "DOMAIN_MIN 0 0 0", "DOMAIN_MAX 1 1 1"]
    lines += [" ".join(f"{value:.6f}" for value in color) for color in ordered]
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")

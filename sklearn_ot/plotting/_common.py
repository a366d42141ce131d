"""Colours and the choice of rows, shared by the displays."""

import numpy as np

# From Okabe & Ito's palette: light blue for points before the move, dark blue after it, and orange for the target.
COLORS = {"source": "#56B4E9", "target": "#E69F00", "transported": "#0072B2", "arrows": "0.3"}


def draw_rows(n_rows, subsample, rng):
    """Draw sorted indices of at most ``subsample`` rows; all rows if it is None."""
    if subsample is None or n_rows <= subsample:
        return np.arange(n_rows)
    return np.sort(rng.permutation(n_rows)[:subsample])

"""What the pictures share."""

import numpy as np

# Okabe & Ito's palette: one hue for the points that move, light before and dark after, and its opposite for the target.
COLORS = {"source": "#56B4E9", "target": "#E69F00", "transported": "#0072B2", "arrows": "0.3"}


def draw_rows(n_rows, subsample, rng):
    """Sorted indices of at most ``subsample`` rows."""
    if subsample is None or n_rows <= subsample:
        return np.arange(n_rows)
    return np.sort(rng.permutation(n_rows)[:subsample])

"""Draw the pictures of the home page: python doc/draw_home.py (about a minute)

Normal rows, coloured by their direction, and their images in three toys. Near rows stay together, so that the colours
show the map.
"""

import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot import W2Transport
from sklearn_ot.datasets import make_toy
from sklearn_ot.nets import TimeBudget

IMAGES = Path(__file__).parent / "images"


def draw(name, rows, colours):
    """Write a square picture of coloured rows on a transparent ground."""
    figure, ax = plt.subplots(figsize=(3, 3))
    ax.scatter(*rows.T, c=colours, s=3, linewidths=0)
    ax.set(aspect="equal")
    ax.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    figure.savefig(IMAGES / f"home_{name}.png", dpi=140, transparent=True)
    plt.close(figure)


def main():
    rng = np.random.default_rng(0)
    source, shown = rng.normal(size=(5000, 2)), rng.normal(size=(4000, 2))
    colours = plt.get_cmap("hsv")((np.arctan2(*shown.T) / (2 * np.pi)) % 1)
    draw("source", shown, colours)
    for name in ("moons", "rings", "swiss_roll"):
        budget = TimeBudget(20, clock=time.process_time)
        transport = W2Transport(max_iter=10**6, callbacks=[budget], random_state=0)
        draw(name, transport.fit(source, make_toy(name, 5000, random_state=0)).transform(shown), colours)


if __name__ == "__main__":
    main()

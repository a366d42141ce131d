r"""
=====================================
Toys in the plane, in both directions
=====================================

Seven toy distributions of :func:`~sklearn_ot.datasets.make_toy`, and the optimal map from N(0, I) to each. One fit of
:class:`~sklearn_ot.transport.W2Transport` gives the map and its inverse: the images of normal rows should look like the
target, and the preimages of target rows like normal rows.
"""

# %%
# A row keeps the colour of the direction of its normal row, seen from the centre. The optimal map is monotone: near
# rows with similar colours stay together, also where it jumps from one cluster to the next. Within a cluster the map
# stretches by a few hundredths. There the inverse is hard, because it stretches by as much as the map shrinks. For
# many clusters 20 CPU-seconds are few: some images lie between them, and the preimages show gaps.

import time

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_toy
from sklearn_ot.nets import TimeBudget
from sklearn_ot.transport import W2Transport

names = ["8gaussians", "25gaussians", "49gaussians", "100gaussians", "moons", "rings", "swiss_roll"]
rng = np.random.default_rng(0)
Xs = rng.normal(size=(5000, 2))
shown = rng.normal(size=(2000, 2))


def colours(rows):
    """Directions of rows from the centre, as colours of a wheel."""
    return plt.get_cmap("hsv")((np.arctan2(*rows.T) / (2 * np.pi)) % 1)


figure, axes = plt.subplots(3, len(names), figsize=(2 * len(names), 6.2), layout="constrained")
for name, column in zip(names, axes.T, strict=True):
    Xt = make_toy(name, 5000, random_state=0)
    fresh = make_toy(name, 2000, random_state=1)
    budget = TimeBudget(20, clock=time.process_time)
    transport = W2Transport(max_iter=10**6, callbacks=[budget], random_state=0).fit(Xs, Xt)
    images, preimages = transport.transform(shown), transport.inverse_transform(fresh)
    column[0].scatter(*fresh.T, c="0.5", s=2, linewidths=0)
    column[1].scatter(*images.T, c=colours(shown), s=2, linewidths=0)
    column[2].scatter(*preimages.T, c=colours(preimages), s=2, linewidths=0)
    column[0].set_title(name)
    for ax in column[:2]:
        ax.set(xlim=(fresh.min() * 1.1, fresh.max() * 1.1), ylim=(fresh.min() * 1.1, fresh.max() * 1.1))
    column[2].set(xlim=(-4, 4), ylim=(-4, 4))
for ax, label in zip(axes[:, 0], ["target", "images of normal rows", "preimages of target rows"], strict=True):
    ax.set_ylabel(label)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[], aspect="equal")
plt.show()

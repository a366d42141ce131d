r"""
==============================
The colours of another picture
==============================

The colours of the pixels of a picture are a sample of three columns. :class:`~sklearn_ot.vision.ColorTransfer` fits the
optimal map between the colours of two pictures, and applies it to every pixel: the new picture has the colours of the
other one, and each colour moves as little as possible.
"""

# %%
# Two pictures
# ------------
# Both are those that scikit-learn ships. One fit gives the map and its inverse, so that each picture gets the colours
# of the other.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from sklearn_ot.vision import ColorTransfer

temple, flower = load_sample_image("china.jpg"), load_sample_image("flower.jpg")
transfer = ColorTransfer(random_state=0).fit(temple, flower)


def show(pictures, titles, n_columns=2):
    """Pictures in a grid, each with its palette: its colours in the order of their brightness."""
    n_rows = -(-len(pictures) // n_columns)
    _, axes = plt.subplots(
        2 * n_rows,
        n_columns,
        figsize=(5 * n_columns, 3.8 * n_rows),
        height_ratios=[8, 1] * n_rows,
        squeeze=False,
        layout="constrained",
    )
    for place, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        row, column = divmod(place, n_columns)
        axes[2 * row, column].imshow(picture)
        axes[2 * row, column].set_title(title)
        pixels = picture.reshape(-1, 3)[::50]
        ordered = pixels[np.argsort(pixels.sum(axis=1, dtype=int))]
        axes[2 * row + 1, column].imshow(ordered[None], aspect="auto")
    for ax in axes.flat:
        ax.axis("off")
    plt.show()


show(
    [temple, flower, transfer.transform(temple), transfer.inverse_transform(flower)],
    ["temple", "flower", "temple, colours of the flower", "flower, colours of the temple"],
)

# %%
# Clouds of colours
# -----------------
# Each pixel is a point in the cube of red, green and blue. The map moves the cloud of the temple onto that of the
# flower. It is the gradient of a convex function: it stretches the cloud, and does not turn it. The bright colours of
# the sky are torn apart, because the flower has two groups of colours.

pictures = [temple, flower, transfer.transform(temple)]
figure, axes = plt.subplots(1, 3, figsize=(11, 4), subplot_kw={"projection": "3d"}, layout="constrained")
for ax, picture, title in zip(axes, pictures, ["temple", "flower", "temple, colours of the flower"], strict=True):
    colors = picture.reshape(-1, 3)[::97] / 255
    ax.scatter(*colors.T, c=colors, s=3, alpha=0.8, linewidths=0)
    ax.set(title=title, xlabel="red", ylabel="green", xlim=(0, 1), ylim=(0, 1), zlim=(0, 1))
    ax.set(xticks=[0, 1], yticks=[0, 1], zticks=[0, 1])
    ax.set_zlabel("blue", labelpad=-10)
    ax.set_box_aspect(None, zoom=0.85)
    ax.view_init(elev=20, azim=-60)
plt.show()

# %%
# Part of the way
# ---------------
# Colours can go a part of the way to their images. This is the geodesic between the two distributions of colours. The
# parameters of the look can be changed after the fit.

amounts = [0, 1 / 3, 2 / 3, 1]
show([transfer.set_params(amount=amount).transform(temple) for amount in amounts], [f"{a:.2f}" for a in amounts])

# %%
# Flat regions and luminance
# --------------------------
# A map of colours alone must send near colours to different ones where the other picture has two groups of colours, and
# the noise of a flat region then becomes blotches. By default a guided filter makes the displacement of colours
# constant in such regions. ``smooth=None`` switches it off. With ``keep_luminance=True`` only hue and saturation
# change. The pictures show the blurred leaves behind the flower at full size.

crop = (slice(50, 210), slice(0, 240))
transfer.set_params(amount=1.0, smooth=None)
strict = transfer.inverse_transform(flower)
smooth = transfer.set_params(smooth=12).inverse_transform(flower)
same_light = transfer.set_params(keep_luminance=True).inverse_transform(flower)
show(
    [picture[crop] for picture in (flower, strict, smooth, same_light)],
    ["flower, a part", "smooth=None", "smooth=12", "smooth=12, keep_luminance=True"],
)

# %%
# One look for a series
# ---------------------
# ``fit`` also takes lists of pictures, as one sample of colours. Here both halves of a photograph stand for a series.
# With a fit for each of them, one colour becomes two: the sky and the lake have a seam. With one fit for the series,
# each colour has the same image in all pictures. Pictures that come later get it too, without another fit.

series = [temple[:, :320], temple[:, 320:]]
alone = [ColorTransfer(random_state=0).fit(half, flower).transform(half) for half in series]
together = ColorTransfer(random_state=0).fit(series, flower).transform(series)
show([np.hstack(alone), np.hstack(together)], ["a fit for each half", "one fit for both halves"])

# %%
# The map grades a picture. It moves no edge, and it knows nothing of what a picture shows: the sky gets colours of the
# other picture, whatever they are there. Files are transferred from a command line, which keeps the orientation, the
# colour profile and the depth::
#
#     python -m sklearn_ot.vision color-transfer SOURCE.jpg TARGET.jpg RESULT.jpg

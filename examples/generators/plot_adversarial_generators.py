r"""
=================================
Generators with critics
=================================

A critic learns to distinguish data from samples, and the generator learns to make them indistinguishable. The kind of
critic decides which distance the generator makes smaller. :class:`~sklearn_ot.generation.GAN` has a classifier, and the
distance is a divergence [1]_. :class:`~sklearn_ot.generation.WGANGenerator` has a function of slope 1, and the distance
is the Wasserstein-1 distance [2]_. :class:`~sklearn_ot.generation.CramerGAN` has an embedding, and the distance is the
energy distance of embedded rows [3]_.
"""

# %%
# Three generators on eight Gaussians
# -----------------------------------
# To keep this example short, the networks are small and the training takes a tenth of the default rounds. With the
# defaults there are far fewer samples between the modes.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_gaussian_ring, ring_modes
from sklearn_ot.generation import GAN, CramerGAN, WGANGenerator
from sklearn_ot.metrics import mode_coverage
from sklearn_ot.networks import Dense
from sklearn_ot.plotting import CriticDisplay, GeneratorDisplay

X, y = make_gaussian_ring(1000, std=0.05, return_labels=True, random_state=0)
network = Dense((64, 64, 64))
settings = {"generator": network, "critic": network, "max_iter": 800, "random_state": 0}
generators = [method(**settings).fit(X) for method in (GAN, WGANGenerator, CramerGAN)]

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for generator, ax in zip(generators, axes, strict=True):
    GeneratorDisplay.from_estimator(generator, X, n_samples=1000, random_state=0, ax=ax)
    coverage = mode_coverage(generator.sample(2500, random_state=0), ring_modes(), std=0.05)
    ax.set_title(f"{type(generator).__name__}: {coverage.n_modes} modes, {coverage.high_quality:.0%} within 3σ")
plt.show()

# %%
# Values of a critic
# ------------------
# The critic of ``WGANGenerator`` is high on the data and falls with slope 1 around them. So every sample, wherever it
# is, gets a gradient that points to the data.

_, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
CriticDisplay.from_estimator(generators[1], X, random_state=0, ax=ax)
ax.set_title("critic of WGANGenerator")
plt.show()

# %%
# The losses of a generator and its critic do not measure the quality of the samples. The score does: it is minus the
# squared sliced Wasserstein distance between samples and data, which searches and early stopping use. Here it shows a
# difference that the pictures above do not show: ``GAN`` is near all modes, but their shares of its samples drift
# apart.

_, ax = plt.subplots(figsize=(5, 4), layout="constrained")
for generator in generators:
    rounds, scores = zip(*((row["n_iter"], row["score"]) for row in generator.history_), strict=True)
    ax.semilogy(rounds, -np.array(scores), marker=".", label=type(generator).__name__)
ax.set(xlabel="round", ylabel="squared sliced Wasserstein-2 distance")
ax.legend()
plt.show()

# %%
# Rows of a class
# ---------------
# If ``fit`` gets the classes of the rows, they are inputs of both networks, and ``sample`` draws rows of a given class.
# Each class is one mode here, so that the network need not map nearby noise to different modes.

generator = WGANGenerator(**settings).fit(X, y)
_, ax = plt.subplots(figsize=(5, 5), layout="constrained")
for label in generator.classes_:
    samples = generator.sample(100, random_state=0, y=label)
    ax.scatter(*samples.T, s=5, label=f"class {label}")
ax.set(title="Samples of each class", aspect="equal")
ax.legend(loc="center")
plt.show()

# %%
# .. [1] I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
# .. [2] I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville, "Improved training of Wasserstein GANs",
#    NeurIPS 2017.
# .. [3] M. G. Bellemare et al., "The Cramer distance as a solution to biased Wasserstein gradients", arXiv:1705.10743,
#    2017.

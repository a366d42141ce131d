r"""
=================================
Generators that play with critics
=================================

A critic learns to tell data from samples, the generator to deceive it. What kind of function the critic is decides what
distance the generator descends on: :class:`~sklearn_ot.generation.GAN` has a classifier, and descends on a divergence
[1]_; :class:`~sklearn_ot.generation.WGANGenerator` a function of slope 1, and the Wasserstein-1 distance [2]_;
:class:`~sklearn_ot.generation.CramerGAN` an embedding, and the energy distance of embedded rows [3]_.
"""

# %%
# Three games on eight Gaussians
# ------------------------------
# Small networks and a short training keep this example short: a tenth of the defaults, which leave far fewer samples
# between the modes.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_gaussian_ring, ring_modes
from sklearn_ot.generation import GAN, CramerGAN, WGANGenerator
from sklearn_ot.metrics import mode_coverage
from sklearn_ot.plotting import CriticDisplay, GeneratorDisplay

X, y = make_gaussian_ring(1000, std=0.05, return_labels=True, random_state=0)
settings = {"hidden_layer_sizes": (64, 64, 64), "max_iter": 800, "random_state": 0}
generators = [method(**settings).fit(X) for method in (GAN, WGANGenerator, CramerGAN)]

figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for generator, ax in zip(generators, axes, strict=True):
    GeneratorDisplay.from_estimator(generator, X, n_samples=1000, random_state=0, ax=ax)
    coverage = mode_coverage(generator.sample(2500, random_state=0), ring_modes(), std=0.05)
    ax.set_title(f"{type(generator).__name__}: {coverage.n_modes} modes, {coverage.high_quality:.0%} within 3σ")
plt.show()

# %%
# What a critic sees
# ------------------
# The critic of the Wasserstein game is high on the data and falls off with slope 1 all around: wherever a sample is, it
# is shown a way.

_, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
CriticDisplay.from_estimator(generators[1], X, random_state=0, ax=ax)
ax.set_title("critic of WGANGenerator")
plt.show()

# %%
# The losses of a game do not say how good the samples are. The score does: minus the squared sliced Wasserstein
# distance between samples and data. It is what searches and early stopping go by. Here it shows what the pictures above
# hide: ``GAN`` is near all modes, but the shares that they have of its samples drift apart.

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
# Given classes, both networks are told the class of each row, and `sample` draws rows of it. No sample needs to cross
# from one mode to another any more: each class is a piece of its own.

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

r"""
===================
Rows of a new table
===================

Six generators that play with critics draw new patients after the 569 of a table with 30 measurements. Given the
diagnoses, they draw rows of each, so that a classifier can be trained on generated rows alone: how well it does on real
ones says how much of the table a generator has learned.
"""

# %%
# The table
# ---------
# Measurements are sizes, and skewed; their logarithms are not. Generators work in units of their own, so that one scale
# for all columns is left to a pipeline, as usual.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, WGANGenerator
from sklearn_ot.metrics import energy_distance, sample_quality

X, y = load_breast_cancer(return_X_y=True)
X, X_test, y, y_test = train_test_split(np.log1p(X), y, stratify=y, random_state=0)
scaler = StandardScaler().fit(X)
X, X_test = scaler.transform(X), scaler.transform(X_test)

# %%
# Six games
# ---------
# A tenth of the default rounds keeps this example short.

settings = {"hidden_layer_sizes": (64, 64, 64), "max_iter": 1000, "random_state": 0}
generators = {
    "GAN": GAN(**settings),
    "FGAN, KL": FGAN("kl", **settings),
    "WGANGenerator": WGANGenerator(**settings),
    "CramerGAN": CramerGAN(**settings),
    "MMDGAN": MMDGAN(**settings),
    "WGANQC": WGANQC(**settings),
}
for generator in generators.values():
    generator.fit(X, y)


def accuracy(rows, labels):
    """Of a classifier that is trained on these rows, on the real test rows."""
    return LogisticRegression(max_iter=1000).fit(rows, labels).score(X_test, y_test)


print(f"{'trained on':16} accuracy  energy distance  precision  recall")
print(f"{'real rows':16} {accuracy(X, y):8.1%}  {energy_distance(X, X_test):15.2f}")
for name, generator in generators.items():
    labels = np.repeat([0, 1], 300)
    rows = generator.sample(600, random_state=0, y=labels)
    anything = generator.sample(600, random_state=1)  # classes as often as in the table
    quality = sample_quality(anything, X_test)
    print(
        f"{name:16} {accuracy(rows, labels):8.1%}  {energy_distance(anything, X_test):15.2f}  "
        f"{quality.precision:9.2f}  {quality.recall:6.2f}"
    )

# %%
# The cloud
# ---------
# Real rows and generated ones in the plane of the first two principal components of the real ones.

plane = PCA(2).fit(X)
figure, axes = plt.subplots(2, 3, figsize=(11, 7), sharex=True, sharey=True, layout="constrained")
for (name, generator), ax in zip(generators.items(), axes.flat, strict=True):
    for label, colour in ((0, "C3"), (1, "C0")):
        ax.scatter(*plane.transform(X_test[y_test == label]).T, s=12, facecolors="none", edgecolors=colour)
        ax.scatter(*plane.transform(generator.sample(150, random_state=0, y=label)).T, s=4, color=colour)
    ax.set(title=name, aspect="equal")
figure.suptitle("Circles: real rows of the two diagnoses; dots: generated ones")
plt.show()

# %%
# Which rows does a critic take for real?
# ---------------------------------------
# The best critic of an f-divergence knows the ratio of the densities of data and samples, so that it can classify rows.
# The better the samples, the nearer it is to guessing, which is right half of the time; with no overlap it would always
# be right, and its estimate of the divergence would have no bound.

fgan = generators["FGAN, KL"]
samples = fgan.sample(len(X), random_state=2, y=y)
print(f"real rows taken for real:    {fgan.classify(X, y).mean():.0%}")
print(f"samples taken for real:      {fgan.classify(samples, y).mean():.0%}")
print(f"estimate of the divergence:  {fgan.divergence_:.2f}")

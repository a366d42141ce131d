r"""
===================
Rows of a new table
===================

Six generators with critics learn a table of 569 patients with 30 measurements, and draw new rows. They are fitted with
the diagnoses, and draw rows of each diagnosis, so that a classifier can be trained on generated rows alone. Its
accuracy on real rows measures the quality of the generated table.
"""

# %%
# The table
# ---------
# The measurements are sizes with skewed distributions; their logarithms are less skewed. A generator does not depend on
# the units of the data as a whole, but it does not scale each column: the example does this with a scaler.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, WGANGenerator
from sklearn_ot.metrics import energy_distance, sample_quality
from sklearn_ot.networks import Dense

X, y = load_breast_cancer(return_X_y=True)
X, X_test, y, y_test = train_test_split(np.log1p(X), y, stratify=y, random_state=0)
scaler = StandardScaler().fit(X)
X, X_test = scaler.transform(X), scaler.transform(X_test)

# %%
# Six generators
# --------------
# Training takes a tenth of the default rounds, to keep this example short.

network = Dense((64, 64, 64))
settings = {"generator": network, "critic": network, "max_iter": 1000, "random_state": 0}
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
    """Accuracy on the real test rows of a classifier trained on these rows."""
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
# A picture
# ---------
# Real rows and generated rows, on the first two principal components of the real rows.

plane = PCA(2).fit(X)
figure, axes = plt.subplots(2, 3, figsize=(11, 7), sharex=True, sharey=True, layout="constrained")
for (name, generator), ax in zip(generators.items(), axes.flat, strict=True):
    for label, colour in ((0, "C3"), (1, "C0")):
        ax.scatter(*plane.transform(X_test[y_test == label]).T, s=12, facecolors="none", edgecolors=colour)
        ax.scatter(*plane.transform(generator.sample(150, random_state=0, y=label)).T, s=4, color=colour)
    ax.set(title=name, aspect="equal")
figure.suptitle("Circles: real rows of the two diagnoses; dots: generated rows")
plt.show()

# %%
# Classification of real rows and samples
# ---------------------------------------
# The best critic of an f-divergence depends only on the ratio of the densities of data and samples, so it can classify
# rows as data or samples. The better the samples, the nearer its accuracy is to one half. If data and samples did not
# overlap, it would always be right, and its estimate of the divergence would have no bound.

fgan = generators["FGAN, KL"]
samples = fgan.sample(len(X), random_state=2, y=y)
print(f"real rows classified as data:  {fgan.classify(X, y).mean():.0%}")
print(f"samples classified as data:    {fgan.classify(samples, y).mean():.0%}")
print(f"estimate of the divergence:    {fgan.divergence_:.2f}")

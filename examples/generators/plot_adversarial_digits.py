r"""
==================================
Generate digits of a given class
==================================

Two generators with critics learn handwritten digits: :class:`~sklearn_ot.generation.WGANGenerator`, whose critic has
slope 1, and :class:`~sklearn_ot.generation.CramerGAN`, whose critic embeds the rows. Both are fitted with the classes
of the rows, so that they can draw samples of one class.
"""

# %%
# Training
# --------
# The data are scikit-learn's digits, 8 × 8 pixels with values between 0 and 1. A tanh at the end of the generator keeps
# its pixels in the range of the data. The networks are small and the training is short, to keep this example short.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.generation import CramerGAN, WGANGenerator
from sklearn_ot.metrics import sample_quality
from sklearn_ot.networks import Dense
from sklearn_ot.plotting import GeneratorDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=500, stratify=y, random_state=0)

settings = {
    "generator": Dense((256, 256), output_activation="tanh"),
    "critic": Dense((256, 256)),
    "max_iter": 1500,
    "random_state": 0,
}
generators = {
    "WGANGenerator": WGANGenerator(**settings).fit(X_train, y_train),
    "CramerGAN": CramerGAN(**settings).fit(X_train, y_train),
}

# %%
# Samples
# -------
# Each line shows one class, for both generators and for the data.

lines = np.repeat(np.arange(10), 10)
figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for (name, generator), ax in zip(generators.items(), axes, strict=False):
    display = GeneratorDisplay.from_estimator(
        generator, n_samples=100, y=lines, image_shape=(8, 8), random_state=0, ax=ax, n_columns=10
    )
    ax.set_title(name)
data = np.concatenate([X_train[y_train == label][:10] for label in range(10)])
GeneratorDisplay(data.reshape(-1, 8, 8)).plot(axes[2], n_columns=10)
axes[2].set_title("data")
plt.show()

# %%
# Quality of the samples
# ----------------------
# A classifier is trained on 100 samples of each class, and its accuracy is measured on test digits, which were not used
# to train the generator. The last line is for a classifier trained on the training digits. Precision is the share of
# samples near to data, recall the share of data near to samples: see :func:`~sklearn_ot.metrics.sample_quality`.

labels = np.repeat(np.arange(10), 100)
print(f"{'':14} {'accuracy':>9} {'precision':>9} {'recall':>7}")
for name, generator in generators.items():
    samples = generator.sample(len(labels), random_state=1, y=labels)
    accuracy = KNeighborsClassifier(1).fit(samples, labels).score(X_test, y_test)
    quality = sample_quality(samples, X_test)
    print(f"{name:14} {accuracy:9.1%} {quality.precision:9.2f} {quality.recall:7.2f}")
accuracy = KNeighborsClassifier(1).fit(X_train, y_train).score(X_test, y_test)
quality = sample_quality(X_train, X_test)
print(f"{'data':14} {accuracy:9.1%} {quality.precision:9.2f} {quality.recall:7.2f}")

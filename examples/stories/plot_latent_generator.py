r"""
=========================
Digits from a short code
=========================

A picture of 64 pixels is a long row, and most of such rows are no digits. An autoencoder finds a short code of each
picture, a generator learns the codes, and new codes become new pictures.
"""

# %%
# A pipeline
# ----------
# The data are the 1797 pictures of scikit-learn, of 8 × 8 pixels.
# :class:`~sklearn_ot.representation.GenerativePipeline` is a pipeline whose last step is a generator. Ten kinds of
# digits are at least ten clusters: the noise is a mixture, and the optimal map corrects its shape. The trainings are
# short, to keep this example short.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split

from sklearn_ot import Autoencoder, GenerativePipeline, W2Generator, W2Transport
from sklearn_ot.metrics import copying, sliced_wasserstein_distance
from sklearn_ot.networks import Dense
from sklearn_ot.plotting import GeneratorDisplay

X, X_test = train_test_split(load_digits().data / 16, test_size=500, random_state=0)
pipeline = GenerativePipeline(
    [
        ("code", Autoencoder(12, network=Dense((128,), "silu", "tanh"), max_iter=600, random_state=0)),
        (
            "generator",
            W2Generator(
                source=GaussianMixture(30, covariance_type="diag", random_state=0),
                transport=W2Transport(max_iter=300),
                random_state=0,
            ),
        ),
    ],
    scaling="common",
)
with warnings.catch_warnings(action="ignore"):  # 300 steps are few
    pipeline.fit(X)

# %%
# New pictures
# ------------

figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
GeneratorDisplay.from_estimator(pipeline, n_samples=100, image_shape=(8, 8), random_state=0, ax=axes[0], n_columns=10)
GeneratorDisplay(X_test[:100].reshape(-1, 8, 8)).plot(axes[1], n_columns=10)
axes[0].set_title("generated")
axes[1].set_title("data")
plt.show()

# %%
# Are they good?
# --------------
# ``score`` is minus the squared sliced Wasserstein distance to rows that the fit has not seen, in units of pixels. That
# of the training rows shows how near a sample of the right distribution comes.

print(f"score {pipeline.score(X_test):.4f}, of training rows {-(sliced_wasserstein_distance(X, X_test) ** 2):.4f}")

# %%
# A generator may also repeat its training rows. ``nearer`` is ½ for new pictures, and 1 for copies.

print(copying(pipeline.sample(1000, random_state=0), X, X_test, scale_columns=False).nearer)

# %%
# Between two pictures
# --------------------
# The codes on the segment between the codes of two pictures are those of pictures in between.

pairs = [(0, 1), (2, 3), (4, 5)]
rows = np.concatenate([pipeline.interpolate(X_test[a], X_test[b], 9) for a, b in pairs])
_, ax = plt.subplots(figsize=(8, 3), layout="constrained")
GeneratorDisplay(rows.reshape(-1, 8, 8)).plot(ax, n_columns=9)
plt.show()

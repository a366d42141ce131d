r"""
================
Two laboratories
================

A laboratory has measured cells and knows the diagnosis of each patient. A second laboratory measures the same
quantities with other devices and has no diagnoses. Its numbers have other units, other gains, and devices that
influence each other. Can the classifier of the first laboratory be used in the second one?
"""

# %%
# The data
# --------
# The patients are those of scikit-learn's table of breast cancer, with ten means of measurements. Each laboratory has
# other patients. The devices of the second one are made up: a gain and an offset for each quantity, a saturation, and
# 20 % of another quantity in each. Its diagnoses, ``yt``, are only used to check the result.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ot import DomainAdapterCV, GaussianTransport, LabelAwareTransport

X, y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(np.log1p(X[:, :10]))
Xs, Xt, ys, yt = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)

rng = np.random.default_rng(0)
Xt = Xt + 0.2 * np.roll(Xt, 1, axis=1)
Xt = rng.uniform(0.5, 2, 10) * np.arcsinh(Xt) + rng.normal(size=10)

# %%
# The classifier as it is
# -----------------------

classifier = make_pipeline(StandardScaler(), LogisticRegression())
alone = classifier.fit(Xs, ys).score(Xt, yt)
ceiling = classifier.fit(Xt, yt).score(Xt, yt)
print(f"classifier of the first laboratory: {alone:.1%}, with the labels of the second one: {ceiling:.1%}")

# %%
# Which map?
# ----------
# Nobody knows the devices, and without diagnoses nobody can measure an accuracy in the second laboratory.
# :class:`~sklearn_ot.adaptation.DomainAdapterCV` compares candidates, and no map at all, by what can be known: whether
# neighbours agree about their predictions, and whether the candidates agree with each other.

adapter = DomainAdapterCV([None, GaussianTransport(), LabelAwareTransport()], classifier).fit(Xs, ys, X_target=Xt)
adapted = (adapter.predict(Xt) == yt).mean()
print(f"chosen: {adapter.best_transport_}, accuracy {adapted:.1%}")

# %%
# Before and after
# ----------------
# Two of the ten quantities. The classifier is fitted on the moved patients of the first laboratory, and predicts those
# of the second one as they are.

moved = adapter.transport_.transform(Xs)
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), sharex=True, sharey=True, layout="constrained")
for ax, rows, title in zip(axes, (Xs, moved), ("as measured", "moved"), strict=True):
    ax.scatter(*Xt[:, :2].T, c="0.8", s=14, label="second laboratory")
    for label, name in enumerate(("malignant", "benign")):
        ax.scatter(*rows[ys == label, :2].T, s=10, c=f"C{1 - label}", label=f"first laboratory, {name}")
    ax.set(title=title, xlabel="mean radius", ylabel="mean texture")
axes[0].legend(loc="lower right")
plt.show()

# %%
# The map can be taken out and used for itself: it turns rows of one laboratory into rows as the other one would have
# measured them, also for patients who come later.

print(np.round(adapter.transport_.transform(Xs[:2]), 2))

"""
=======================================
Use a classifier in another domain
=======================================

Labels are known only in the source domain, and the target has another distribution, because of another camera or
another laboratory. In this example the target is sheared and shifted. :class:`~sklearn_ot.adaptation.DomainAdapter`
moves the labelled source rows onto the target with a transport, fits the classifier on the moved rows, and predicts
target rows.
"""

# %%
# Two domains
# -----------
# The labels of the target, ``yt``, are only used to measure the accuracy.

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sklearn_ot.adaptation import DomainAdapter, transport_match, transported_source_accuracy
from sklearn_ot.transport import GaussianTransport

Xs, ys = make_moons(600, noise=0.08, random_state=0)
Xt, yt = make_moons(500, noise=0.08, random_state=1)
Xt = Xt @ [[0.6, 0.5], [0.5, 1.6]] + [0.5, -0.6]

# %%
# Before and after
# ----------------
# Crosses are the training rows of the classifier, discs are target rows. The background shows the predictions, the
# colours of the points are the true classes.

plain = SVC().fit(Xs, ys)
adapter = DomainAdapter(GaussianTransport(), SVC()).fit(Xs, ys, X_target=Xt)

panels = {
    "fitted on the source": (plain, Xs),
    "fitted on the transported source": (adapter, adapter.transport_.transform(Xs)),
}
colors = {"cmap": "PuOr", "vmin": -0.4, "vmax": 1.4}
figure, axes = plt.subplots(1, 2, figsize=(10, 4.8), sharex=True, sharey=True, layout="constrained")
for ax, (title, (classifier, training)) in zip(axes, panels.items(), strict=True):
    accuracy = classifier.score(Xt, yt)
    print(f"{title + ':':34} accuracy on the target {accuracy:.3f}")
    DecisionBoundaryDisplay.from_estimator(
        classifier, Xt, eps=1.2, response_method="predict", alpha=0.35, grid_resolution=200, ax=ax, **colors
    )
    ax.scatter(*training.T, c=ys, marker="x", s=16, linewidths=0.8, alpha=0.7, label="fitted on", **colors)
    ax.scatter(*Xt.T, c=yt, s=18, edgecolors="k", linewidths=0.4, label="target", **colors)
    ax.set(title=f"{title}: {accuracy:.1%}", aspect="equal")
axes[0].legend()
plt.show()

# %%
# Two traps
# ---------
# **A plain pipeline of a transport and a classifier is wrong.** Its ``predict`` transports every row, so it moves
# target rows as if they came from the source. It raises no warning:

trap = make_pipeline(GaussianTransport(), SVC()).fit(Xs, ys, gaussiantransport__X_target=Xt)
print(f"plain pipeline: {trap.score(Xt, yt):.3f}, no adaptation: {plain.score(Xt, yt):.3f}")

# %%
# **The default score of a grid search is wrong too.** It predicts held-out *source* rows as if they were target rows,
# and so prefers transports that move little. The adapter sees this: in each fold a
# :class:`~sklearn_ot.exceptions.SourceRowsWarning` says that the rows resemble the source. Use the match of the domains
# as the score, which raises no warning, and shuffle the folds:

grid = {"transport__shrinkage": [0.0, 0.25, 0.5, 0.75, 1.0]}
cv = KFold(5, shuffle=True, random_state=0)
by_default = GridSearchCV(adapter, grid, cv=cv).fit(Xs, ys, X_target=Xt)
by_match = GridSearchCV(
    adapter, grid, cv=cv, refit="match", scoring={"match": transport_match, "accuracy": transported_source_accuracy}
).fit(Xs, ys, X_target=Xt)

for name, search in {"default score": by_default, "transport_match": by_match}.items():
    chosen = search.best_params_["transport__shrinkage"]
    print(f"{name:15} chooses shrinkage {chosen:.2f}: {search.best_estimator_.score(Xt, yt):.3f} on the target")

r"""
==========================================
A Wasserstein-2 map by convex potentials
==========================================

The optimal map of the squared cost is the gradient of a convex potential, and its inverse is the gradient of the convex
conjugate. :class:`~sklearn_ot.transport.W2Transport` trains an input-convex network [1]_ as the potential and computes
the conjugate: one fit gives a map, its inverse and the distance.
"""

# %%
# From one Gaussian to eight
# --------------------------
# Small networks are enough in the plane; the defaults are for more features.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_gaussian_ring
from sklearn_ot.networks import Convex
from sklearn_ot.plotting import TransportDisplay
from sklearn_ot.transport import GaussianTransport, W2Transport

rng = np.random.default_rng(0)
Xs = rng.normal(size=(2000, 2))
Xt = make_gaussian_ring(2000, radius=3.0, std=0.3, random_state=0)

transport = W2Transport(network=Convex((64, 64)), random_state=0).fit(Xs, Xt)
print(f"Wasserstein-2 distance: {transport.wasserstein_distance_:.3f} after {transport.n_iter_} steps")

# %%
# The affine map of :class:`~sklearn_ot.transport.GaussianTransport` only uses means and covariances. Training starts at
# this map, and the network learns the difference. A few points lie between the modes: the map is continuous, so it can
# be steep there, but it cannot split one cloud into eight.

baseline = GaussianTransport().fit(Xs, Xt)
figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharex=True, sharey=True, layout="constrained")
for ax, estimator in zip(axes, [baseline, transport], strict=True):
    TransportDisplay.from_estimator(estimator, Xs, Xt, ax=ax, random_state=0)
    ax.set_title(f"{type(estimator).__name__}: score {estimator.score(Xs, X_target=Xt):.3f}")
plt.show()

# %%
# The inverse
# -----------
# The same fit maps the target to the source. This picture is drawn by the constructor of the display, which takes any
# points and their images.

back = transport.inverse_transform(Xt)
round_trip = transport.inverse_transform(transport.transform(Xs))
print(f"mean error of the round trip: {np.linalg.norm(round_trip - Xs, axis=1).mean():.3f}")

_, ax = plt.subplots(layout="constrained")
TransportDisplay(Xt[:500], Xs[:500], back[:500], xlabel="x0", ylabel="x1").plot(ax)
ax.set_title("Eight Gaussians mapped back to one")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %%
# Interpolation
# -------------
# :meth:`~sklearn_ot.base.BaseTransport.interpolate` moves every point a part of the straight line to its image. For the
# optimal map this displacement interpolation is the shortest path between the two distributions. A point keeps the
# colour of its first coordinate at the start.

times = [0, 0.25, 0.5, 0.75, 1]
figure, axes = plt.subplots(1, 5, figsize=(13, 3), sharex=True, sharey=True, layout="constrained")
for ax, t, points in zip(axes, times, transport.interpolate(Xs, times), strict=True):
    ax.scatter(*points.T, c=Xs[:, 0], cmap="viridis", s=5, linewidths=0)
    ax.set(title=f"t = {t}", aspect="equal")
plt.show()

# %%
# .. [1] B. Amos, L. Xu and J. Z. Kolter, "Input convex neural networks", ICML 2017.

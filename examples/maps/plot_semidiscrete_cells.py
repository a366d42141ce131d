r"""
=======================================
Cells of a semi-discrete transport
=======================================

Optimal transport from a distribution, such as :math:`\mathcal N(0, I)`, to finitely many points divides space into
cells. The map sends all of a cell to one point:

.. math:: T(x) = y_{i(x)}, \qquad i(x) = \arg\min_i |x - y_i|^2 - \psi_i .

:class:`~sklearn_ot.transport.SemiDiscreteTransport` computes the numbers :math:`\psi_i` for which the mass of every
cell is equal to the weight of its point. It needs no network and no tuning, and ends when the masses are right up to a
tolerance.
"""

# %%
# Two moons from a normal distribution
# ------------------------------------
# With ``source="normal"`` the rows of ``fit`` are the points. Every cell below has the mass 1/200 under the normal
# distribution: cells are small where the density is high, and large where it is low. A cell has the colour of its
# point.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_toy
from sklearn_ot.plotting import CellsDisplay
from sklearn_ot.transport import SemiDiscreteTransport

points = make_toy("moons", 200, random_state=0)
transport = SemiDiscreteTransport("normal", random_state=0).fit(points)

rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 2))
display = CellsDisplay.from_estimator(transport, X)
display.ax_.set_title("Laguerre cells of 200 points")

# %%
# Quality of the map
# ------------------
# The error of the masses is measured on fresh rows. The distance has a confidence interval: the lower end is the dual
# value, and the upper end the cost of a plan, each with its sampling error.

low, high = transport.distance_interval_
print(f"error of the masses {100 * transport.mass_error_:.1f} %, {transport.empty_cells_} empty cells")
print(f"Wasserstein-2 distance {transport.distance_:.3f}, between {low:.3f} and {high:.3f} at 95 %")

# %%
# Other costs and weights
# -----------------------
# With ``cost="euclidean"`` the boundaries are arcs of hyperbolas, and the cells are star-shaped around the points.
# Below, the points on the right have four times the weight of those on the left.

points = rng.uniform(-1.5, 1.5, size=(40, 2))
weight = np.where(points[:, 0] > 0, 4.0, 1.0)
figure, axes = plt.subplots(1, 2, figsize=(9, 4.5), layout="constrained")
for cost, ax in zip(("sqeuclidean", "euclidean"), axes, strict=True):
    transport = SemiDiscreteTransport("normal", cost=cost, tol=0.1, random_state=0).fit(points, target_weight=weight)
    CellsDisplay.from_estimator(transport, X, ax=ax)
    ax.set_title(cost)

# %%
# New points
# ----------
# With ``smoothing`` the images are barycentres of neighbouring points instead of the points themselves, so that the
# samples are new rows, which are not in the data.

points = make_toy("moons", 200, random_state=0)
smooth = SemiDiscreteTransport("normal", smoothing=3.0, confidence=None, random_state=0).fit(points)
new = smooth.sample(1000, random_state=0)
plt.figure()
plt.scatter(*new.T, s=4, color="#0072B2", label="samples")
plt.scatter(*points.T, s=8, color="#E69F00", label="points")
plt.gca().set_aspect("equal")
plt.legend()
plt.show()

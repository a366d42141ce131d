r"""
=============================
The optimal map of Gaussians
=============================

The optimal map between two Gaussians for the squared cost is affine and known in closed form:

.. math:: T(x) = m_t + A (x - m_s), \qquad
    A = \Sigma_s^{-1/2} (\Sigma_s^{1/2} \Sigma_t \Sigma_s^{1/2})^{1/2} \Sigma_s^{-1/2}.

:class:`~sklearn_ot.transport.GaussianTransport` estimates the means and covariances and evaluates this formula. It
needs no training. Try it first, and compare every other map with it.
"""

# %%
# A map and its inverse
# ---------------------
# The two samples have 600 and 900 rows: the rows need not be paired.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from sklearn_ot.plotting import TransportDisplay
from sklearn_ot.transport import GaussianTransport

rng = np.random.default_rng(0)
Xs = rng.multivariate_normal([0, 0], [[1.0, 0.8], [0.8, 1.0]], size=600)
Xt = rng.multivariate_normal([6, 1], [[2.0, -1.2], [-1.2, 1.5]], size=900)

transport = GaussianTransport().fit(Xs, Xt)
Z = transport.transform(Xs)

print("mean of the target      ", Xt.mean(axis=0).round(3))
print("mean of the transported ", Z.mean(axis=0).round(3))
print("error of the round trip ", np.abs(transport.inverse_transform(Z) - Xs).max())
print("Wasserstein-2 distance  ", round(transport.wasserstein_distance_, 3))

display = TransportDisplay.from_estimator(transport, Xs, Xt, random_state=0)
display.ax_.set_title("A map and its displacements")
plt.show()

# %%
# Limits of means and covariances
# -------------------------------
# An affine map sends a Gaussian to a Gaussian. If the target is not Gaussian, the image has its mean and its
# covariance, but not its shape: here the image has the position, the size and the tilt of the two moons.

moons, _ = make_moons(900, noise=0.06, random_state=0)
moons = 2 * moons + [4, 1]
to_moons = GaussianTransport().fit(Xs, moons)

display = TransportDisplay.from_estimator(to_moons, Xs, moons, random_state=0)
display.ax_.set_title("The right moments, the wrong shape")
plt.show()

# %%
# More than two features
# ----------------------
# The display projects all points on the two principal axes of both samples. The labels of the axes have the share of
# the variance along each axis.

scales = np.linspace(1, 3, 10)
Xs10 = rng.normal(size=(400, 10))
Xt10 = rng.normal(size=(400, 10)) * scales + 2

display = TransportDisplay.from_estimator(GaussianTransport().fit(Xs10, Xt10), Xs10, Xt10, random_state=0)
display.ax_.set_title("Ten features")
plt.show()

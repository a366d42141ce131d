r"""
====================
How wrong is my map?
====================

A certificate compares a fitted map with the optimal one without knowing it: from rows of both samples that the fit has
not seen, it bounds the distance between the samples and the error of the map. Here the optimal map is known, and the
bounds can be checked.
"""

# %%
# A table of bounds and estimates
# -------------------------------
# All bounds are true at once with the probability in the first line. Estimates err to both sides.

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_potential_pair
from sklearn_ot.plotting import CertificateDisplay
from sklearn_ot.transport import W2Transport

pair = make_potential_pair(2, 5000, random_state=0)
with warnings.catch_warnings(action="ignore"):  # 1000 steps are few
    transport = W2Transport(max_iter=1000, random_state=0).fit(pair.source, pair.target)
certificate = transport.certificate(pair.sample_source(5000, 1), pair.sample_target(5000, 2))
print(certificate)

# %%
# The truth
# ---------

X = pair.sample_source(100_000, 3)
T = pair.transport(X)
print("W2(P, Q)       ", np.sqrt(np.mean(np.sum((X - T) ** 2, axis=1))).round(3))
print("error of the map", np.sqrt(np.mean(np.sum((transport.transform(X) - T) ** 2, axis=1))).round(3))

# %%
# The picture
# -----------
# A bar runs from bound to bound, or from 0 if there is only an upper one. A bound of the error beyond the dotted line
# says nothing: the best constant map has that error.

CertificateDisplay(certificate).plot()
plt.tight_layout()
plt.show()

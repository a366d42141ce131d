r"""
=====================================
A generator without a critic
=====================================

In each round, :class:`~sklearn_ot.generation.SemiDiscreteOTGenerator` computes the optimal transport from the samples
of its network to the data and fits the network to it [1]_. Its training curve is the Wasserstein distance.
"""

# %%
# Eight Gaussians
# ---------------
# The data are the ring of the mode-coverage protocol, with narrow modes of standard deviation 0.01. The network is
# small and the rounds are short, to keep this example short; the defaults train several times as long.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_ot.datasets import make_gaussian_ring, ring_modes
from sklearn_ot.generation import SemiDiscreteOTGenerator
from sklearn_ot.metrics import mode_coverage
from sklearn_ot.networks import Dense

X = make_gaussian_ring(500, random_state=0)
settings = {"generator": Dense((64, 64, 64)), "n_fit_samples": 20_000, "n_fit_steps": 1500, "max_samples": 50_000}
generator = SemiDiscreteOTGenerator(**settings, max_iter=5, random_state=0).fit(X)
samples = generator.sample(2500, random_state=0)
print(mode_coverage(samples, ring_modes(), std=0.01))

# %%
# The curve falls steeply in the first round, in which the network learns the positions of the modes. The remaining
# distance comes from samples between the modes. A continuous map of noise must cross from one mode to the next, and
# becomes steeper there in each round.

distances = [row["distance"] for row in generator.history_]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
left.semilogy(distances, marker="o")
left.set(xlabel="round", ylabel="Wasserstein-2 distance", title="Training")
left.xaxis.get_major_locator().set_params(integer=True)
right.scatter(*X.T, s=60, color="0.85", label="data")
right.scatter(*samples.T, s=4, color="C0", label="samples")
right.set(title=f"{len(samples)} samples after {generator.n_iter_} rounds", aspect="equal")
right.legend(loc="center")
plt.show()

# %%
# From noise to modes
# -------------------
# The network maps the plane of noise to the plane of data. The colours show the mode to which each point of noise is
# sent. The transport has divided the noise into eight cells of equal mass, and each goes to the mode in its direction.

side = np.linspace(-2.5, 2.5, 300)
noise = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
images = generator.net_.predict(noise.astype(np.float32))  # in the units of training
modes = generator.coordinates_.to_coordinates(ring_modes())
nearest = np.linalg.norm(images[:, None] - modes, axis=2).argmin(axis=1)

_, ax = plt.subplots(figsize=(5, 5), layout="constrained")
ax.pcolormesh(side, side, nearest.reshape(300, 300), cmap="tab10", vmax=9)
ax.set(title="Mode of each point of noise", aspect="equal", xlabel="$z_0$", ylabel="$z_1$")
plt.show()

# %%
# .. [1] Y. Chen, M. Telgarsky, C. Zhang, B. Bailey, D. Hsu and J. Peng, "A gradual, semi-discrete approach to
#    generative network training via explicit Wasserstein minimization", ICML 2019.

"""Published critics of Wasserstein generative networks, as potentials of Wasserstein-1 between two samples."""

import time

import numpy as np
import torch

from sklearn_ot.nn import MLP, MLPCritic
from sklearn_ot.objectives.wgan import penalised_critic_loss, slope_penalty
from sklearn_ot.solvers.potentials import on_arrays

# The settings of WGAN-GP (Gulrajani et al., 2017) for points in the plane, which WGAN-LP (Petzka et al., 2018) shares.
HIDDEN, BATCH, REG, LEARNING_RATE, BETAS = (512, 512, 512), 256, 10.0, 1e-4, (0.5, 0.9)


class PublishedCritic:
    """A critic with a penalty on slopes between random pairs of rows, trained for a time.

    Parameters
    ----------
    one_sided : bool
        Whether the penalty is on slopes above 1 (WGAN-LP), or on all slopes other than 1 (WGAN-GP).
    seconds : float
        CPU-seconds of the training.
    """

    def __init__(self, one_sided, seconds):
        self.one_sided, self.seconds = one_sided, seconds

    def fit(self, X, Y):
        """Train the critic on rows of both samples; ``distance_`` is the difference of its means."""
        begin = time.process_time()
        torch.manual_seed(0)
        self.critic = critic = MLPCritic(X.shape[1], hidden_layer_sizes=HIDDEN)
        optimiser = torch.optim.Adam(critic.parameters(), LEARNING_RATE, BETAS)
        x, y = (torch.as_tensor(rows, dtype=torch.float32) for rows in (X, Y))
        while time.process_time() - begin < self.seconds:
            batch = (rows[torch.randint(len(rows), (BATCH,))] for rows in (x, y))
            loss = penalised_critic_loss(
                critic, *batch, reg=REG, penalty=lambda *args: slope_penalty(*args, one_sided=self.one_sided)
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        values = on_arrays(critic, critic)
        self.distance_ = float(values(x.numpy()).mean() - values(y.numpy()).mean())
        return self

    def potential(self, X, *, return_gradient=True):
        """Values and gradients, as those of `W1Transport`."""
        value, gradient = MLP.value_and_gradient(self.critic, torch.as_tensor(X, dtype=torch.float32))
        return value.detach().numpy(), gradient.detach().numpy().astype(np.float64)

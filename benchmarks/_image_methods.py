"""The methods on images that benchmarks/generators.py compares, each as one small function.

``fit(images, clock, seed)`` takes rows of pixels in [-1, 1], and a `Clock` whose budget ends the fit. It returns a
function that draws n images, the number of images that the fit has used, and the history of its rounds (None if it has
no rounds).
"""

import time
from functools import partial

import torch
from sklearn.base import clone
from torch import nn

from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convolutional, Dense

LATENT_DIM, WIDTH = 100, 512


def budget(clock):
    """A callback that ends the fit of one of our estimators; an interrupted round does not count."""
    return TimeBudget(clock.budget_s, clock=time.process_time)


def fit_ours(rows, clock, seed, output_activation="identity"):
    generator = SemiDiscreteOTGenerator(
        Dense((WIDTH,) * 3, output_activation=output_activation),
        latent_dim=LATENT_DIM,
        scaling="common",
        max_iter=10**6,
        callbacks=[budget(clock)],
        device="cpu",
        random_state=seed,
        **OURS,
    )
    return generator.fit(rows)


def ours(images, clock, seed):
    generator = fit_ours(images, clock, seed, output_activation="tanh")
    n_images = generator.n_iter_ * generator.n_fit_steps * generator.batch_size
    return partial(generator.sample, random_state=seed), n_images, generator.history_


OURS = {
    "max_samples": 60_000,
    "n_fit_samples": 40_000,
    "n_fit_steps": 2000,
    "batch_size": 128,
    "learning_rate": 1e-3,
}


def released_network(n_outputs):
    return nn.Sequential(
        nn.Linear(LATENT_DIM, WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, n_outputs), nn.Tanh(),
    )  # fmt: skip


def sampler(network):
    def sample(n):
        with torch.no_grad():
            return network(torch.randn(n, LATENT_DIM)).numpy()

    return sample


def released_loop(images, clock, seed, batch_size=64, n_ots_steps=20_000, n_stored=4000):
    """The published loop: the potential by Adam on small batches, then one pass over the last assigned batches."""
    torch.manual_seed(seed)
    points = torch.from_numpy(images)
    network, potential = released_network(points.shape[1]), torch.zeros(len(points), requires_grad=True)
    ots, fit = torch.optim.Adam([potential], lr=0.1), torch.optim.Adam(network.parameters(), lr=1e-4)
    n_images = 0
    while not clock.is_over():
        stored = []
        # The second half of a round needs a part of the time too.
        round_start, round_budget = clock(), 0.8 * (clock.budget_s - clock())
        for _ in range(n_ots_steps):
            z = torch.randn(batch_size, LATENT_DIM)
            with torch.no_grad():
                index = (torch.cdist(network(z), points) - potential).argmin(1)
            # Minus the gradient of the dual: the mass of each cell minus the weight of its point.
            potential.grad = torch.bincount(index, minlength=len(points)) / batch_size - 1 / len(points)
            ots.step()
            stored = [*stored[1 - n_stored :], (z, index)]
            if clock() - round_start > round_budget:
                break
        for z, index in stored:
            loss = (network(z) - points[index]).square().sum(1).mean()
            fit.zero_grad()
            loss.backward()
            fit.step()
            n_images += batch_size
            if clock.is_over():
                break
    return sampler(network), n_images, None


def wgan_gp(images, clock, seed, batch_size=64, n_critic=5, reg=10.0):
    """The gradient penalty with its usual settings, and critic and generator of the same size."""
    torch.manual_seed(seed)
    points = torch.from_numpy(images)
    network = released_network(points.shape[1])
    critic = nn.Sequential(
        nn.Linear(points.shape[1], WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, WIDTH), nn.ReLU(),
        nn.Linear(WIDTH, 1),
    )  # fmt: skip
    optimizers = [torch.optim.Adam(part.parameters(), lr=1e-4, betas=(0.5, 0.9)) for part in (critic, network)]

    def step(optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    n_images = 0
    while not clock.is_over():
        for _ in range(n_critic):
            real = points[torch.randint(len(points), (batch_size,))]
            with torch.no_grad():
                fake = network(torch.randn(batch_size, LATENT_DIM))
            t = torch.rand(batch_size, 1)
            between = (t * real + (1 - t) * fake).requires_grad_()
            (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = (gradient.norm(dim=1) - 1).square().mean()
            step(optimizers[0], critic(fake).mean() - critic(real).mean() + reg * penalty)
            n_images += batch_size
        step(optimizers[1], -critic(network(torch.randn(batch_size, LATENT_DIM))).mean())
    return sampler(network), n_images, None


# Convolutions that are narrow enough for some thousand rounds in ten minutes; reg is the value of [Gulrajani17]_ for
# images.
CONVOLUTIONS = {
    "generator": Convolutional(16),
    "critic": Convolutional(16),
    "latent_dim": LATENT_DIM,
    "batch_size": 64,
    "learning_rate": 3e-3,
}
MEMBERS = {
    "WGANGenerator": WGANGenerator(reg=10),
    "CramerGAN": CramerGAN(reg=10),
    "MMDGAN": MMDGAN(),
    "WGANQC": WGANQC(),
    "GAN": GAN(),
    "FGAN": FGAN(),
}


def member(name, images, clock, seed):
    generator = clone(MEMBERS[name]).set_params(
        max_iter=10**7, callbacks=[budget(clock)], device="cpu", random_state=seed, **CONVOLUTIONS
    )
    generator.fit(images)
    n_images = generator.n_iter_ * generator.n_critic * generator.batch_size
    return partial(generator.sample, random_state=seed), n_images, None


METHODS = {
    "SemiDiscreteOTGenerator": ours,
    "OTS/FIT as released": released_loop,
    "WGAN-GP": wgan_gp,
    **{name: partial(member, name) for name in MEMBERS},
}

"""Generators without an adversary and with one: coverage of known modes, and exact distances on digits.

    python benchmarks/generators.py                                    # modes and mnist
    python benchmarks/generators.py --tables modes --seeds 1000
    SKLEARN_OT_DATA=folder python benchmarks/generators.py --tables mnist faces --budgets 600

All fits run in turn, on one thread; each result is written to results/generators.csv at once, in the place of an older
one of the same problem, seed, method and budget. Times are CPU-seconds of this process. Tables:

modes
    The ring of 8 and the grid of 25 Gaussians of PacGAN's protocol: 2500 training rows, 2500 samples, `mode_coverage`;
    each estimator with its default settings (``--estimators`` for a part).
    ``spread`` is the standard deviation of the samples of high quality around their centres, divided by the true one.
mnist
    Networks of 100-512-512-512-784 with tanh on 10 000 digits, each method with the same CPU-seconds: exact W1 and W2
    between 5000 samples and 5000 test images, with pixels from 0 to 1, and images seen. The floor, the same between
    5000 training and the test images, is no lower bound: means of images are nearer to other images than images are.
faces
    `SemiDiscreteOTGenerator` in the space of 200 principal components of 3500 colour faces of 64 x 64 pixels, where its
    cost is: exact W1 and W2 in it between 2000 samples and 500 test faces; pixels are from 0 to 1.

Images need the files of `load_usps_mnist`, or of LFWcrop, in the folder that the environment variable SKLEARN_OT_DATA
names. Grids of samples and curves of the distance go to doc/images.
"""

import argparse
import csv
import math
import os
import platform
import shlex
import sys
import time
import warnings
from importlib.metadata import version
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _common import RESULTS
from sklearn.decomposition import PCA
from skorch.callbacks import Callback
from threadpoolctl import threadpool_limits
from torch import nn

from sklearn_ot.datasets import grid_modes, make_gaussian_grid, make_gaussian_ring, ring_modes
from sklearn_ot.generation import FGAN, GAN, MMDGAN, WGANQC, CramerGAN, SemiDiscreteOTGenerator, WGANGenerator
from sklearn_ot.metrics import mode_coverage, wasserstein_distance
from sklearn_ot.objectives.fgan import DIVERGENCES

PATH = RESULTS / "generators.csv"
IMAGES = Path(__file__).parents[1] / "doc" / "images"
KEY = ("problem", "seed", "method", "budget_s")
MEASURES = ("modes", "high_quality", "reverse_kl", "spread", "w1", "w2", "w1_floor", "w2_floor")
COLUMNS = (*KEY, *MEASURES, "images", "cpu_s", "wall_s", "diverged", "note")
SEEDS = (1000, 1001, 1002)  # settings were chosen on seeds below 1000
TOYS = {
    "ring of 8": (make_gaussian_ring, ring_modes(), 0.01),
    "grid of 25": (make_gaussian_grid, grid_modes(), 0.05),
}
LATENT_DIM, WIDTH = 100, 512
N_TRAIN, N_TEST = 10_000, 5000


class Clock:
    """CPU-seconds of this process, and whether they are spent."""

    def __init__(self, budget_s):
        self.budget_s, self.start = budget_s, time.process_time()

    def __call__(self):
        return time.process_time() - self.start

    def is_over(self):
        return self() >= self.budget_s


# The methods on digits: a function of images in [-1, 1], a Clock and a seed; gives a function that draws images and the
# number of images it has made or been shown for it.


class RoundsInBudget(Callback):
    """Stop before the round that would not end in time."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_begin(self, net, **kwargs):
        self.last_ = self.clock()

    def on_epoch_end(self, net, **kwargs):
        now = self.clock()
        if now + (now - self.last_) > self.clock.budget_s:
            raise KeyboardInterrupt
        self.last_ = now


def fit_ours(rows, clock, seed, **parameters):
    generator = SemiDiscreteOTGenerator(
        latent_dim=LATENT_DIM,
        hidden_layer_sizes=(WIDTH,) * 3,
        max_iter=10**6,
        callbacks=[RoundsInBudget(clock)],
        device="cpu",
        random_state=seed,
        **{**OURS, **parameters},
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Training was interrupted")
        return generator.fit(rows)


def ours(images, clock, seed):
    generator = fit_ours(images, clock, seed, output_activation="tanh")
    save_rounds(generator.history_, "generators_rounds.png")
    steps = generator.n_iter_ * generator.n_fit_steps
    return lambda n: generator.sample(n, random_state=seed), steps * generator.batch_size


OURS = {"max_samples": 200_000, "n_fit_samples": 40_000, "n_fit_steps": 3000, "learning_rate": 1e-3}


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
    """The published loop: potential by Adam on small batches, then one pass over the batches it has assigned last."""
    torch.manual_seed(seed)
    points = torch.from_numpy(images)
    network, potential = released_network(points.shape[1]), torch.zeros(len(points), requires_grad=True)
    ots, fit = torch.optim.Adam([potential], lr=0.1), torch.optim.Adam(network.parameters(), lr=1e-4)
    n_images = 0
    while not clock.is_over():
        stored = []
        # The half of a round that comes second needs a share of the time too.
        round_start, round_budget = clock(), 0.8 * (clock.budget_s - clock())
        for _ in range(n_ots_steps):
            z = torch.randn(batch_size, LATENT_DIM)
            with torch.no_grad():
                index = (torch.cdist(network(z), points) - potential).argmin(1)
            # Minus the gradient of the dual: found less wanted mass.
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
    return sampler(network), n_images


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
    return sampler(network), n_images


ESTIMATORS = {
    "SemiDiscreteOTGenerator": SemiDiscreteOTGenerator(),
    "WGANGenerator": WGANGenerator(),
    "CramerGAN": CramerGAN(),
    "MMDGAN": MMDGAN(),
    "WGANQC": WGANQC(),
    "GAN": GAN(),
    **{f"FGAN {name}": FGAN(name) for name in DIVERGENCES if name != "gan"},
    **{f"WGANGenerator {name}": WGANGenerator(name) for name in ("one-sided-penalty", "spectral-norm", "clip")},
}
METHODS = {"SemiDiscreteOTGenerator": ours, "OTS/FIT as released": released_loop, "WGAN-GP": wgan_gp}
FILES = dict(zip(METHODS, ("ours", "released", "wgan_gp"), strict=True))


def run_modes(method, problem, seed):
    """The default settings of an estimator on a toy: what the row says of them."""
    make, modes, std = TOYS[problem]
    clock, start = Clock(math.inf), time.perf_counter()
    generator = ESTIMATORS[method].set_params(device="cpu", random_state=seed).fit(make(2500, random_state=seed))
    seconds = {"cpu_s": clock(), "wall_s": time.perf_counter() - start}
    samples = generator.sample(2500, random_state=seed + 500)
    coverage = mode_coverage(samples, modes, std)
    distances = np.linalg.norm(samples[:, None] - modes, axis=2).min(axis=1)
    spread = np.sqrt(np.mean(distances[distances <= 3 * std] ** 2) / 2) / std
    names = dict(zip(MEASURES, (*coverage, spread), strict=False))
    return {**names, **seconds}


def data_folder():
    folder = os.environ.get("SKLEARN_OT_DATA")
    if not folder:
        sys.exit("Images need the environment variable SKLEARN_OT_DATA, the folder of their files.")
    return Path(folder)


def load_images():
    files = [("mnist_train_0of4.npz", N_TRAIN), ("mnist_test.npz", N_TEST)]
    return (np.load(data_folder() / name)["x"][:n].reshape(n, -1).astype(np.float32) / 127.5 - 1 for name, n in files)


def load_faces():
    from matplotlib import image

    faces = []
    for k in range(2):
        pack = np.load(data_folder() / f"lfwcrop_jpeg_{k}of2.npz")
        for start, end in zip(pack["offsets"], pack["offsets"][1:], strict=False):
            faces.append(image.imread(BytesIO(pack["jpeg"][start:end].tobytes()), format="jpeg"))
    return np.stack(faces).reshape(len(faces), -1).astype(np.float32) / 255


def run_faces(budget_s, seed):
    faces = np.random.RandomState(seed).permutation(load_faces())
    train, test = faces[:-500], faces[-500:]
    pca = PCA(200, svd_solver="randomized", random_state=0).fit(train)
    clock, start = Clock(budget_s), time.perf_counter()
    generator = fit_ours(pca.transform(train), clock, seed)
    seconds = {"cpu_s": clock(), "wall_s": time.perf_counter() - start}
    save_rounds(generator.history_, "generators_rounds_faces.png")
    samples = generator.sample(2000, random_state=seed)
    save_grid(pca.inverse_transform(samples[:100]).clip(0, 1).reshape(-1, 64, 64, 3), IMAGES, "generators_faces.png")
    test, real = pca.transform(test), pca.transform(train[:2000])
    steps = generator.n_iter_ * generator.n_fit_steps
    distances = {f"w{p}": wasserstein_distance(samples, test, p=p) for p in (1, 2)}
    floor = {f"w{p}_floor": wasserstein_distance(real, test, p=p) for p in (1, 2)}
    return {**distances, **floor, "images": steps * generator.batch_size, **seconds}


def run_mnist(method, budget_s, seed, images, test, n_test):
    clock, start = Clock(budget_s), time.perf_counter()
    draw, n_images = METHODS[method](images, clock, seed)
    seconds = {"cpu_s": clock(), "wall_s": time.perf_counter() - start}
    torch.manual_seed(seed)
    samples = draw(n_test)
    save_grid((samples[:100].reshape(-1, 28, 28) + 1) / 2, IMAGES, f"generators_mnist_{FILES[method]}.png")
    return {**distances_between(samples, test[:n_test], ""), "images": n_images, **seconds}


def distances_between(samples, test, suffix):
    """Exact distances; half of those in [-1, 1] are those of pixels in [0, 1]."""
    return {f"w{p}{suffix}": wasserstein_distance(samples, test, p=p) / 2 for p in (1, 2)}


def save_grid(images, folder, name):
    """100 images, of values from 0 to 1, as 10 rows of 10."""
    from matplotlib import image

    side = images.shape[1]
    grid = images.reshape(10, 10, *images.shape[1:]).swapaxes(1, 2).reshape(10 * side, 10 * side, *images.shape[3:])
    image.imsave(folder / name, grid, cmap="gray", vmin=0, vmax=1)


def save_rounds(history, name):
    """The distance after each round."""
    from matplotlib import pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
    ax.semilogy([row["distance"] for row in history], marker=".")
    ax.set(xlabel="round", ylabel="Wasserstein-2 distance to the training rows")
    figure.savefig(IMAGES / name, dpi=100)
    plt.close(figure)


def guarded(run, *args):
    """A failure is a result."""
    try:
        cell = {"diverged": 0, **run(*args)}
    except Exception as error:
        cell = {"diverged": 1, "note": f"{type(error).__name__}: {error}".replace("\n", " ")[:200]}
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in cell.items()}


def store(row):
    """Write one row, in the place of an older one."""
    row, rows, commands = {key: str(row.get(key, "")) for key in COLUMNS}, {}, []
    if PATH.exists():
        lines = PATH.read_text().splitlines()
        commands = [line[2:] for line in lines if line.startswith("# python ")]
        old = csv.DictReader(line for line in lines if not line.startswith("#"))
        rows = {tuple(line[key] for key in KEY): line for line in old}
    rows[tuple(row[key] for key in KEY)] = row
    command = shlex.join(["python", "benchmarks/generators.py", *sys.argv[1:]])
    PATH.parent.mkdir(exist_ok=True)
    partial_path = PATH.with_suffix(".partial")
    with partial_path.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in [*commands, *({command} - set(commands))])
        software = ", ".join(f"{name} {version(name)}" for name in ("torch", "POT"))
        file.write(f"# {software}, Python {platform.python_version()}, {platform.machine()}, one thread\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
    partial_path.replace(PATH)
    print(*(f"{name}={value}" for name, value in row.items() if value), flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=("modes", "mnist", "faces"), default=("modes", "mnist"))
    parser.add_argument("--budgets", nargs="+", type=float, default=(1200.0,), help="CPU-s of each method on images")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=tuple(METHODS), metavar="METHOD")
    parser.add_argument("--problems", nargs="+", choices=TOYS, default=tuple(TOYS), help="of modes", metavar="PROBLEM")
    parser.add_argument(
        "--estimators", nargs="+", choices=ESTIMATORS, default=tuple(ESTIMATORS), help="of modes", metavar="ESTIMATOR"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="mnist: only the first of them")
    parser.add_argument("--test-images", type=int, default=N_TEST, help="fewer for a trial")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        if "modes" in arguments.tables:
            for seed in arguments.seeds:
                for problem, method in product(arguments.problems, arguments.estimators):
                    key = {"problem": problem, "seed": seed, "method": method}
                    store({**key, **guarded(run_modes, method, problem, seed)})
        if "faces" in arguments.tables:
            for budget_s in arguments.budgets:
                seed = arguments.seeds[0]
                key = {
                    "problem": "faces",
                    "seed": seed,
                    "method": "SemiDiscreteOTGenerator",
                    "budget_s": f"{budget_s:g}",
                }
                store({**key, **guarded(run_faces, budget_s, seed)})
        if "mnist" in arguments.tables:
            images, test = load_images()
            n_test, seed = arguments.test_images, arguments.seeds[0]
            floor = distances_between(images[-n_test:], test[:n_test], "_floor")
            for budget_s in arguments.budgets:
                for method in arguments.methods:
                    key = {"problem": "mnist", "seed": seed, "method": method, "budget_s": f"{budget_s:g}"}
                    cell = guarded(run_mnist, method, budget_s, seed, images, test, n_test)
                    store({**key, **guarded(lambda: floor), **cell})


if __name__ == "__main__":
    main()

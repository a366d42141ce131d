"""Generators of codes: digits and faces by an autoencoder, a generator in the space of codes, and the decoder.

    SKLEARN_OT_DATA=folder python benchmarks/latent.py                       # digits, three seeds
    SKLEARN_OT_DATA=folder python benchmarks/latent.py --tables faces --seeds 1000
    python benchmarks/latent.py --report

All fits run in turn, on one thread. Each result is written to results/latent.csv at once, and replaces an older one of
the same problem, seed and method. Times are CPU-seconds of this process. A seed draws the rows, the initial weights and
the samples. Tables:

mnist
    20 000 of the first 30 000 training images of MNIST, pixels from 0 to 1; an `Autoencoder` of 784-400-200-16 with
    SiLU and tanh. Each generator learns the codes. 5000 samples are compared with 5000 random test images, in 64
    features of a judge: by the Fréchet distance, and by ``precision`` and ``recall`` of `sample_quality`. The numbers
    cannot be compared with those of other tables. ``nearest`` is the mean distance of a code to the nearest training
    code, and ``held_out_ratio`` divides it by that of codes of test images: samples with a ratio far below 1 are
    copies, samples with a ratio above 1 are between the codes.
faces
    2500 colour faces of 64 x 64 pixels and their mirror images; an `Autoencoder` with convolutions and 64 columns of
    codes. 1400 samples are compared with 700 other faces and their mirror images, in 64 features of another judge. Most
    of the distance is the blur of decoded codes. W2Generator has half of the budget here. Pictures of the data are not
    saved.

The judge of mnist is a classifier of digits with two convolutions of 5 x 5, each before a maximum over 2 x 2 pixels, 64
features and ten logits. It is trained by Adam with its default settings, in batches of 128, on the other 30 000
training images, which no generator sees. It was chosen before any generator was judged by it: the architecture is the
usual one for these images, and four epochs are the first number whose accuracy on test images, with seed 0, is above
98.4 % (95.6, 97.8, 97.9 and 98.5 % after one to four). It was not changed afterwards. Each seed trains its own judge.

The judge of faces, `_faces.FaceCNN`, is trained on the 800 faces that are left. Which person a face shows is not known.
The judge learns to distinguish these faces, whatever their place, scale, direction and colours are, and to estimate how
blurred they are. Its settings were fixed before a generator was judged by it, on seed 0: there it finds 85 % of five
blurs, and for 47 % of 1000 faces that it has not seen the other picture of the same one. Each seed trains its own
judge, and these shares are printed.

The first rows are no generators: training images, and two floors of all methods with this autoencoder: held-out images
and training images that are encoded and decoded. *raw decode* decodes N(0, I).
"""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from _common import SEEDS, Clock, Results, argument_parser, guarded, run
from _faces import abilities, mirrored, train_face_judge
from generators import data_folder, load_faces, save_grid
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torch import nn

from sklearn_ot.generation import SemiDiscreteOTGenerator, W2Generator, WGANGenerator
from sklearn_ot.metrics import frechet_distance, sample_quality
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convolutional, Dense
from sklearn_ot.representation import Autoencoder, GenerativePipeline
from sklearn_ot.transport import W2Transport

QUALITY, TIMES = ("precision", "recall"), ("cpu_s", "wall_s")
RESULTS = Results(
    "latent.csv",
    key=("problem", "seed", "method"),
    columns=("error", "frechet", "floor_ratio", *QUALITY, "nearest", "held_out_ratio", *TIMES, "diverged", "note"),
    packages=("torch", "POT", "scikit-learn"),
)
SMALLEST = [
    *("--tables", "mnist", "faces", "--seeds", "0", "--random-images", "240", "--n-test", "100", "--budget", "0.2"),
    *("--methods", "raw decode", "one Gaussian", "W2Generator"),
]
JUDGE_EPOCHS, JUDGE_BATCH = 4, 128
FLOOR, TRAINING, RECONSTRUCTION = "training codes decoded", "training images", "reconstruction"
N_PICTURES, N_BETWEEN = 10, 10


class RawNoise(GaussianMixture):
    """N(0, I), a generator that learns nothing."""

    def fit(self, X, y=None):
        super().fit(X)
        self.means_, self.covariances_ = np.zeros_like(self.means_), np.eye(X.shape[1])[None]
        return self


def budgeted(seconds):
    return [TimeBudget(seconds, clock=time.process_time)]


def w2(seconds):
    return W2Transport(max_iter=10**6, tol=1e-5, n_iter_no_change=15, callbacks=budgeted(seconds))


def wgan_of_codes(seconds):
    """Settings for codes: a smooth critic with a stronger penalty, and moments that are matched after the training.

    A larger step size than the default, because the budget ends the training after some 1500 rounds.
    """
    return WGANGenerator(
        reg=1.0,
        learning_rate=5e-3,
        critic=Dense((128, 128, 128), "silu"),
        match_moments=True,
        max_iter=10**6,
        callbacks=budgeted(seconds),
    )


def semidiscrete_of_codes(_):
    """Settings for codes: wider layers, because the map from noise to codes has many cells, and few rounds.

    With five rows of noise for each code, FIT learns the assigned codes less by heart.
    """
    return SemiDiscreteOTGenerator(
        Dense((256, 256, 256)), n_fit_samples=100_000, n_fit_steps=2400, max_iter=3, max_samples=10_000
    )


# Generators by their names: functions of the CPU-seconds of a fit.
METHODS = {
    "raw decode": lambda _: RawNoise(),
    "one Gaussian": lambda _: GaussianMixture(),
    "GaussianMixture(50)": lambda _: GaussianMixture(50),
    "GaussianMixture(200)": lambda _: GaussianMixture(200, max_iter=30),
    "W2Generator": lambda seconds: W2Generator(transport=w2(0.9 * seconds)),
    "W2Generator, mixture of 50": lambda seconds: W2Generator(GaussianMixture(50), transport=w2(0.6 * seconds)),
    "WGANGenerator, defaults": lambda seconds: WGANGenerator(max_iter=10**6, callbacks=budgeted(seconds / 3)),
    "WGANGenerator": lambda seconds: wgan_of_codes(0.32 * seconds),
    "SemiDiscreteOTGenerator": semidiscrete_of_codes,
}


@dataclass
class Problem:
    """Training and test images, the shape of an image, features to compare images in, an autoencoder, and more.

    ``budget`` is the part of the CPU-seconds of a fit that the problem gets, ``suffix`` that of pictures, and
    ``is_shown`` says whether pictures of the data may be saved.
    """

    train: np.ndarray
    test: np.ndarray
    shape: tuple
    features: Any
    autoencoder: Autoencoder
    budget: float = 1.0
    suffix: str = "png"
    is_shown: bool = True


class DigitCNN(nn.Module):
    """Two convolutions with pooling, 64 features, and the logits."""

    def __init__(self):
        super().__init__()
        first = (nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
        second = (nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.features = nn.Sequential(*first, *second, nn.Linear(32 * 49, 64), nn.ReLU())
        self.logits = nn.Linear(64, 10)

    def forward(self, images):
        return self.logits(self.features(as_images(images)))

    @torch.no_grad()
    def features_of(self, images):
        return np.concatenate([self.features(as_images(part)).numpy() for part in np.array_split(images, 10)])


def as_images(rows):
    return torch.from_numpy(np.ascontiguousarray(rows)).float().view(-1, 1, 28, 28)


def train_judge(images, digits, seed):
    torch.manual_seed(seed)
    judge, rng = DigitCNN(), np.random.RandomState(seed)
    optimizer = torch.optim.Adam(judge.parameters())
    for _ in range(JUDGE_EPOCHS):
        for drawn in np.array_split(rng.permutation(len(images)), max(1, len(images) // JUDGE_BATCH)):
            loss = nn.functional.cross_entropy(judge(images[drawn]), torch.from_numpy(digits[drawn]).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return judge.eval()


def mnist(arguments, seed):
    rng = np.random.RandomState(seed)
    if arguments.random_images:
        train, test, others = (rng.uniform(size=(arguments.random_images, 784)).astype(np.float32) for _ in range(3))
        digits = np.arange(len(others)) % 10
    else:
        files = [np.load(data_folder() / f"mnist_train_{k}of4.npz") for k in range(4)]
        images, digits = (np.concatenate([file[key] for file in files]) for key in ("x", "y"))
        test = np.load(data_folder() / "mnist_test.npz")["x"]
        images, test = (pixels.reshape(len(pixels), -1).astype(np.float32) / 255 for pixels in (images, test))
        train, others, digits = images[:30_000][rng.permutation(30_000)[:20_000]], images[30_000:], digits[30_000:]
    judge = train_judge(others, digits, seed)
    test = test[rng.permutation(len(test))[: arguments.n_test]]
    # In 20 CPU-s, 750 steps of 256 rows come nearer to the images than 1500 steps of 128 rows.
    steps = {"batch_size": 256, "learning_rate": 7e-3, "max_iter": 750}
    autoencoder = Autoencoder(16, network=Dense((400, 200), "silu", "tanh"), **steps)
    return Problem(train, test, (28, 28), judge.features_of, autoencoder)


def faces(arguments, seed):
    images = np.random.RandomState(seed).permutation(load_faces(arguments.random_images))
    n_others, n_test = (min(n, len(images) // 4) for n in (800, min(700, arguments.n_test)))
    others, train, test = images[:n_others], mirrored(images[n_others:-n_test]), mirrored(images[-n_test:])
    judge = train_face_judge(others, seed)
    print("judge: {:.1%} of blurs, {:.1%} of faces".format(*abilities(judge, test[:n_test], seed)))
    n_columns = min(64, len(train) // 2)
    autoencoder = Autoencoder(n_columns, network=Convolutional(16), max_iter=400)
    return Problem(train, test, (64, 64, 3), judge.features_of, autoencoder, 0.5, "jpg", is_shown=False)


PROBLEMS = {"mnist": mnist, "faces": faces}


def measure(arguments, results):
    """Measure each cell, and store its row."""
    for name in arguments.tables:
        for seed in arguments.seeds:
            Table(results, arguments, name, seed).measure()


class Table:
    """The rows of a problem and a seed."""

    def __init__(self, results, arguments, name, seed):
        self.results, self.arguments, self.name, self.seed = results, arguments, name, seed
        self.problem = PROBLEMS[name](arguments, seed)
        clock = Clock()
        parameters = {"max_iter": 5} if arguments.random_images else {}
        self.autoencoder = clone(self.problem.autoencoder).set_params(random_state=seed, **parameters)
        self.autoencoder.fit(self.problem.train)
        self.seconds = clock.seconds()
        self.codes = self.autoencoder.transform(self.problem.train)
        self.neighbours = NearestNeighbors(n_neighbors=1).fit(self.codes)
        self.test_codes = self.autoencoder.transform(self.problem.test)
        self.held_out = self.nearest(self.test_codes)
        self.test_features = self.problem.features(self.problem.test)

    def measure(self):
        test, decode = self.problem.test, self.autoencoder.inverse_transform
        drawn = np.random.RandomState(self.seed).permutation(len(self.codes))[: len(test)]
        error = {"error": -self.autoencoder.score(test), **self.seconds}
        self.floor = self.compared(decode(self.codes[drawn]))["frechet"]
        self.store(TRAINING, self.compared(self.problem.train[drawn]))
        self.store(RECONSTRUCTION, {**self.compared(decode(self.test_codes)), "nearest": self.held_out, **error})
        self.store(FLOOR, self.compared(decode(self.codes[drawn])))
        if self.seed == self.arguments.seeds[0]:
            self.save_between(decode, self.test_codes)
        for method in self.arguments.methods:
            self.store(method, guarded(self.run, method))

    def store(self, method, cell):
        if "frechet" in cell:
            cell["floor_ratio"] = cell["frechet"] / self.floor
        if "nearest" in cell:
            cell["held_out_ratio"] = cell["nearest"] / self.held_out
        cell = {key: round(value, 4) if isinstance(value, float) else value for key, value in cell.items()}
        self.results.store({"problem": self.name, "seed": self.seed, "method": method, **cell})

    def run(self, method):
        generator = METHODS[method](self.problem.budget * self.arguments.budget).set_params(random_state=self.seed)
        clock = Clock()
        generator.fit(self.codes.astype(np.float64))
        seconds = clock.seconds()
        # The steps are fitted already: this pipeline only draws.
        pipeline = GenerativePipeline([("autoencoder", self.autoencoder), ("generator", generator)])
        rows = pipeline.sample(len(self.problem.test), random_state=self.seed).astype(np.float32)
        if self.seed == self.arguments.seeds[0]:
            self.save_pictures(method, rows)
        codes = pipeline[1:].sample(len(rows), random_state=self.seed)
        return {**self.compared(rows), "nearest": self.nearest(codes), **seconds}

    def compared(self, rows):
        """Distance to the test images, precision and recall, all in features."""
        features = self.problem.features(rows)
        quality = sample_quality(features, self.test_features)
        distance = frechet_distance(features, self.test_features)
        return {"frechet": float(distance), **{name: float(getattr(quality, name)) for name in QUALITY}}

    def nearest(self, codes):
        return float(self.neighbours.kneighbors(codes)[0].mean())

    def save_pictures(self, method, rows):
        """A grid of 100 samples, and 50 samples above the training images with the nearest codes."""
        slug = "".join(letter if letter.isalnum() else "_" for letter in method.lower())
        self.save(rows[: N_PICTURES**2], slug)
        if not self.problem.is_shown:
            return
        nearest = self.neighbours.kneighbors(self.autoencoder.transform(rows[:50]))[1][:, 0]
        pairs = np.stack([rows[:50].reshape(5, 10, -1), self.problem.train[nearest].reshape(5, 10, -1)], axis=1)
        self.save(pairs.reshape(100, -1), f"{slug}_nearest")

    def save_between(self, decode, codes):
        """Ten rows of pictures, each on the segment between the codes of two test images."""
        first, last = codes[:N_BETWEEN, None], codes[N_BETWEEN : 2 * N_BETWEEN, None]
        t = np.linspace(0, 1, N_PICTURES, dtype=codes.dtype)[:, None]
        self.save(decode(((1 - t) * first + t * last).reshape(-1, codes.shape[1])), "between")

    def save(self, rows, name):
        name = f"latent_{self.name}_{name}.{self.problem.suffix}"
        save_grid(self.results, rows.reshape(-1, *self.problem.shape).clip(0, 1), name)


def report(results):
    """The tables of the guide."""
    columns = {
        "error": "squared error",
        "frechet": "Fréchet",
        "floor_ratio": "÷ floor",
        "precision": "precision",
        "recall": "recall",
        "nearest": "nearest code",
        "held_out_ratio": "÷ held-out",
        "cpu_s": "CPU s",
    }
    for name in PROBLEMS:
        rows = [row for row in results.rows() if row["problem"] == name]
        measured = {column: title for column, title in columns.items() if any(row[column] for row in rows)}
        results.summarise(
            f"latent_{name}.csv", {"method": "method"}, measured, lambda row, name=name: row["problem"] == name
        )


def main(argv=None):
    parser = argument_parser(__doc__)
    parser.add_argument("--tables", nargs="+", choices=PROBLEMS, default=("mnist",))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=tuple(METHODS), metavar="METHOD")
    parser.add_argument("--budget", type=float, default=60.0, help="CPU-s of W2Generator; a third for WGANGenerator")
    parser.add_argument("--n-test", type=int, default=5000, help="number of samples and of test images")
    parser.add_argument("--random-images", type=int, help="number of images of noise to train on, for a trial")
    run(parser, RESULTS, SMALLEST, measure, report, argv)


if __name__ == "__main__":
    main()

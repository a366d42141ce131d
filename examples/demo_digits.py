"""Classify the digits of one data set with the labels of another.

A small network learns to classify the source digits. The outputs of its last hidden layer are 84 features of an image.
A nearest neighbour classifier on the labelled source features predicts the target digits, with errors because other
people wrote them. A transport then moves the source features onto the target features, without labels of the target,
and `DomainAdapterCV` chooses among transports and none. This is the digits experiment of "Wasserstein-2 generative
networks" (Korotin et al., ICLR 2021).

The transport works on features, because squared distances between pixels depend little on the digit, and maps of pixels
lower these accuracies.

    python examples/demo_digits.py               # load_digits and MNIST, both from Python packages
    python examples/demo_digits.py --data PATH   # USPS and MNIST, from files that load_usps_mnist describes
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import ot
import torch
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_ot.adaptation import DomainAdapter, DomainAdapterCV, LabelAwareTransport
from sklearn_ot.datasets import load_digits_pair, load_usps_mnist
from sklearn_ot.transport import GaussianTransport, W2Transport

MAX_ROWS = 5000  # training rows of a domain; POT's exact plan needs the memory of a square matrix of this size


class LeNet(nn.Module):
    """A small network similar to LeNet-5; its last hidden layer has 84 features between -1 and 1."""

    def __init__(self, image_size):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.Tanh(),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * (image_size // 2) ** 2, 120),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(120, 84),
            nn.Tanh(),
        )
        self.output = nn.Sequential(nn.Dropout(0.5), nn.Linear(84, 10))

    def forward(self, images):
        return self.output(self.features(images))


class EMDTransport(BaseEstimator):
    """POT's exact plan between two samples, with the two methods that `DomainAdapter` needs."""

    def fit(self, X, y=None, *, X_target=None):
        self.plan_ = ot.da.EMDTransport(max_iter=1_000_000).fit(Xs=X, Xt=X_target)
        return self

    def transform(self, X):
        return self.plan_.transform(Xs=X)


NO_ADAPTATION = "no adaptation"
TRANSPORTS = {
    "EMDTransport (POT)": EMDTransport(),
    "GaussianTransport": GaussianTransport(),
    # This takes a few seconds. The dual value would rise for thousands of further steps, but not the accuracy.
    "W2Transport": W2Transport(max_iter=300, random_state=0),
    "LabelAwareTransport": LabelAwareTransport(),
}
CHOSEN = "chosen by DomainAdapterCV"
CEILING = "ceiling (target labels)"


@dataclass
class Domain:
    """Features of one data set from a network: training rows and test rows."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@dataclass
class Result:
    """Predictions of a classifier for the target's test rows, and the time to fit it and to predict."""

    classifier: BaseEstimator
    predicted: np.ndarray
    accuracy: float
    seconds: float


def train_network(data, seed):
    torch.manual_seed(seed)
    network = NeuralNetClassifier(
        LeNet,
        module__image_size=data.images_train.shape[-1],
        criterion=nn.CrossEntropyLoss,
        criterion__label_smoothing=0.1,  # together with dropout, this gathers the features of a digit in one cluster
        optimizer=torch.optim.Adam,
        lr=3e-3,
        batch_size=64,
        max_epochs=round(100_000 / len(data.y_train)),
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return network.fit(data.images_train[:, np.newaxis], data.y_train)


def extract_features(network, images):
    module = network.module_.eval()
    with torch.no_grad():
        return module.features(torch.from_numpy(images[:, np.newaxis])).double().numpy()


def make_domain(network, data):
    X, X_test = (extract_features(network, images) for images in (data.images_train, data.images_test))
    return Domain(X, data.y_train, X_test, data.y_test)


def evaluate(classifier, X, y, test, **fit_params):
    start = time.perf_counter()
    predicted = classifier.fit(X, y, **fit_params).predict(test.X_test)
    seconds = time.perf_counter() - start
    return Result(classifier, predicted, np.mean(predicted == test.y_test), seconds)


def compare_methods(source, target):
    """Yield the name and the result of each method; only the last one uses labels of the target."""
    yield NO_ADAPTATION, evaluate(KNeighborsClassifier(1), source.X, source.y, target)
    for name, transport in TRANSPORTS.items():
        # align="target", as in the paper, moves the target's features instead, which gains less here.
        adapter = DomainAdapter(transport, KNeighborsClassifier(1), align="source")
        yield name, evaluate(adapter, source.X, source.y, target, X_target=target.X)
    adapter = DomainAdapterCV(
        [TRANSPORTS["GaussianTransport"], TRANSPORTS["LabelAwareTransport"]], KNeighborsClassifier(1)
    )
    yield CHOSEN, evaluate(adapter, source.X, source.y, target, X_target=target.X)
    yield CEILING, evaluate(KNeighborsClassifier(1), target.X, target.y, target)


def run_network(source_data, target_data, seed):
    """Train a network on the source, and compare the methods on its features."""
    print(f"  network {seed + 1}: training", end="", flush=True)
    start = time.perf_counter()
    network = train_network(source_data, seed)
    print(f" took {time.perf_counter() - start:.0f} s", end="", flush=True)
    source, target = make_domain(network, source_data), make_domain(network, target_data)
    results = {}
    for name, result in compare_methods(source, target):
        results[name] = result
        print(f"; {name} {result.accuracy:.1%}", end="", flush=True)
    print()
    return source, target, results


def run_direction(source_data, target_data, n_networks):
    """Run one direction with several networks; return the result of the first one, for the picture."""
    n_test = len(target_data.y_test)
    print(
        f"\n{source_data.name} -> {target_data.name}: {len(source_data.y_train)} source rows with labels, "
        f"{len(target_data.y_train)} target rows without labels, accuracy on {n_test} other target rows"
    )
    runs = [run_network(source_data, target_data, seed) for seed in range(n_networks)]
    print_table([results for *_, results in runs], n_test)
    return runs[0]


def print_table(runs, n_test):
    """Print the means over the networks, and the gain over no adaptation with each network."""
    print(f"\n  {'method':<25}{'accuracy':>8}{'seconds':>9}    gain in points, by network")
    for name in runs[0]:
        accuracies = np.array([results[name].accuracy for results in runs])
        gains = 100 * (accuracies - [results[NO_ADAPTATION].accuracy for results in runs])
        seconds = np.mean([results[name].seconds for results in runs])
        shown = "" if name == NO_ADAPTATION else "".join(f"{gain:>+7.1f}" for gain in gains)
        print(f"  {name:<25}{accuracies.mean():>8.1%}{seconds:>9.1f}  {shown}")
    share = runs[0][NO_ADAPTATION].accuracy
    error = 100 * np.sqrt(share * (1 - share) / n_test)
    print(f"  The standard error of an accuracy from {n_test} rows is {error:.1f} points.")


def draw_clouds(figure, source, target, transport):
    """Draw the features of both domains on two principal axes of the target, before and after the transport."""
    pca = PCA(2, random_state=0).fit(target.X)
    colors = {"cmap": "tab10", "vmin": -0.5, "vmax": 9.5}
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    clouds = {"source and target": source.X, "transported source and target": transport.transform(source.X)}
    for ax, (title, X) in zip(axes, clouds.items(), strict=True):
        ax.scatter(*pca.transform(target.X_test).T, c=target.y_test, marker="x", s=14, linewidths=0.7, **colors)
        dots = ax.scatter(*pca.transform(X).T, c=source.y, s=5, linewidths=0, alpha=0.8, **colors)
        ax.set(title=title, xticks=[], yticks=[])
    figure.colorbar(dots, ax=axes, ticks=range(10), label="digit (dots: source, crosses: target)")


def draw_digits(figure, title, rows, images, y, before, after):
    """Draw images with their predictions without and with adaptation; the title is red if the second is wrong."""
    figure.suptitle(title, fontsize="medium")
    for ax in figure.subplots(3, 8).flat:
        ax.axis("off")
    for ax, i in zip(figure.axes, rows, strict=False):
        ax.imshow(images[i], cmap="gray_r")
        ax.set_title(f"{before[i]} → {after[i]}", color="k" if after[i] == y[i] else "r", fontsize=9, pad=2)


def draw_predictions(figure, images, y, before, after):
    changed = np.flatnonzero(before != after)
    n_repaired, n_broken = np.sum(after[changed] == y[changed]), np.sum(before[changed] == y[changed])
    top, bottom = figure.subfigures(2, 1)
    title = "first test rows: no adaptation → adaptation (red: wrong)"
    draw_digits(top, title, range(len(y)), images, y, before, after)
    title = f"rows with another prediction: {n_repaired} of {len(y)} become right, {n_broken} wrong"
    draw_digits(bottom, title, changed, images, y, before, after)


def draw(directions, path):
    figure = plt.figure(figsize=(15, 10), layout="constrained")
    rows = figure.subfigures(len(directions), 1)
    for row, (source_data, target_data, source, target, results) in zip(rows, directions, strict=True):
        row.suptitle(f"{source_data.name} → {target_data.name}", fontsize="x-large")
        left, right = row.subfigures(1, 2, width_ratios=[3, 2])
        draw_clouds(left, source, target, results[CHOSEN].classifier.transport_)
        before, after = results[NO_ADAPTATION].predicted, results[CHOSEN].predicted
        draw_predictions(right, target_data.images_test, target.y_test, before, after)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def load_pair(path):
    pair = load_digits_pair() if path is None else load_usps_mnist(path)
    for domain in (pair.source, pair.target):
        # The files have the images in the order in which they were collected.
        rows = np.random.RandomState(0).permutation(len(domain.y_train))[:MAX_ROWS]
        domain.images_train, domain.y_train = domain.images_train[rows], domain.y_train[rows]
    return pair


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="PATH", help="folder of USPS and MNIST, see load_usps_mnist")
    parser.add_argument("--networks", metavar="N", type=int, default=2, help="how many networks to average over")
    parser.add_argument("--output", metavar="PATH", type=Path, default=Path("demo_output/digits.png"))
    args = parser.parse_args()
    # W2Transport warns that more steps could improve the map: see TRANSPORTS. DomainAdapterCV warns if it chooses none.
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", "No transport is chosen")
    # Tensors are so small that a second thread gains nothing, and it takes time if other programs are running.
    torch.set_num_threads(1)

    start = time.perf_counter()
    print("Loading the images ...", flush=True)
    pair = load_pair(args.data)
    print(f"Preprocessing, which changes accuracies more than any map: {pair.preprocessing}")
    directions = [
        (source, target, *run_direction(source, target, args.networks))
        for source, target in [(pair.source, pair.target), (pair.target, pair.source)]
    ]
    draw(directions, args.output)
    print(f"\nPicture: {args.output}. {time.perf_counter() - start:.0f} s in all.")


if __name__ == "__main__":
    main()

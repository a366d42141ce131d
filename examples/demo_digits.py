"""Read the digits of one data set with the labels of another.

A small network learns to read the source digits. Its last hidden layer turns an image into 84 features, and the
nearest neighbour among the labelled source features reads the target digits: not too well, for other people wrote and
scanned them. A transport moves the target's features onto the source's, without a single target label. That is the
digits experiment of "Wasserstein-2 generative networks" (Korotin et al., ICLR 2021).

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

from sklearn_ot.adaptation import DomainAdapter
from sklearn_ot.datasets import load_digits_pair, load_usps_mnist
from sklearn_ot.transport import GaussianTransport, W2Transport

N_NETWORKS = 2  # the network's initial weights alone move an accuracy by points
MAX_ROWS = 5000  # training rows of a domain; the memory of POT's exact plan is their product


class LeNet(nn.Module):
    """A small network in the manner of LeNet-5; its last hidden layer gives 84 features between -1 and 1."""

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
    """POT's exact plan between the samples, with the two methods that `DomainAdapter` needs."""

    def fit(self, X, y=None, *, X_target=None):
        self.plan_ = ot.da.EMDTransport(max_iter=1_000_000).fit(Xs=X, Xt=X_target)
        return self

    def transform(self, X):
        return self.plan_.transform(Xs=X)


TRANSPORTS = {
    "EMDTransport (POT)": EMDTransport(),
    "GaussianTransport": GaussianTransport(),
    # 600 steps, about 15 seconds: more changes no accuracy here.
    "W2Transport": W2Transport(solver="w2gn", max_iter=600, random_state=0),
}
NO_ADAPTATION = "no adaptation"
CEILING = "target labels (ceiling)"


@dataclass
class Domain:
    """One data set as features: rows to fit on, rows to score, and the images of the latter for the picture."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    images_test: np.ndarray


@dataclass
class Result:
    """What one method predicts of the target's test rows."""

    predicted: np.ndarray
    accuracy: float
    seconds: float
    classifier: object


def train_network(data, seed):
    images = data.images_train[:MAX_ROWS, np.newaxis]
    torch.manual_seed(seed)
    network = NeuralNetClassifier(
        LeNet,
        module__image_size=images.shape[-1],
        criterion=nn.CrossEntropyLoss,
        criterion__label_smoothing=0.1,  # with dropout, it gathers the features of a digit in one cluster
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=128,
        max_epochs=round(200_000 / len(images)),
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return network.fit(images, data.y_train[:MAX_ROWS])


def extract_features(network, images):
    module = network.module_.eval()
    with torch.no_grad():
        return module.features(torch.from_numpy(images[:, np.newaxis])).double().numpy()


def make_domain(network, data):
    return Domain(
        X=extract_features(network, data.images_train[:MAX_ROWS]),
        y=data.y_train[:MAX_ROWS],
        X_test=extract_features(network, data.images_test),
        y_test=data.y_test,
        images_test=data.images_test,
    )


def evaluate(classifier, X, y, test, **fit_params):
    start = time.perf_counter()
    predicted = classifier.fit(X, y, **fit_params).predict(test.X_test)
    return Result(predicted, np.mean(predicted == test.y_test), time.perf_counter() - start, classifier)


def compare(source, target):
    """The methods, of which only the last one sees labels of the target."""
    results = {NO_ADAPTATION: evaluate(KNeighborsClassifier(1), source.X, source.y, target)}
    for name, transport in TRANSPORTS.items():
        adapter = DomainAdapter(transport, KNeighborsClassifier(1), align="target")
        results[name] = evaluate(adapter, source.X, source.y, target, X_target=target.X)
    results[CEILING] = evaluate(KNeighborsClassifier(1), target.X, target.y, target)
    return results


def run_direction(source_data, target_data):
    """The experiment in one direction; returns the domains of the first network, and the results of each."""
    n_target = len(target_data.y_train[:MAX_ROWS])
    print(
        f"\n{source_data.name} -> {target_data.name}: {len(source_data.y_train[:MAX_ROWS])} labelled source rows, "
        f"{n_target} target rows without labels, scored on {len(target_data.y_test)} further target rows"
    )
    domains, runs = [], []
    for seed in range(N_NETWORKS):
        start = time.perf_counter()
        network = train_network(source_data, seed)
        print(f"  network {seed + 1} of {N_NETWORKS} trained on {source_data.name} in ", end="")
        print(f"{time.perf_counter() - start:.1f} s; transporting its features ...", flush=True)
        domains.append((make_domain(network, source_data), make_domain(network, target_data)))
        runs.append(compare(*domains[-1]))
    print_table(runs, len(target_data.y_test))
    return domains[0], runs[0]


def print_table(runs, n_rows):
    """Accuracies and seconds: the mean over the networks, the accuracy of each of them, and the gain of each."""
    print(f"\n  {'method':<25}{'accuracy':>8}  {'gain':>6}{'seconds':>9}   accuracy by network")
    for name in runs[0]:
        accuracies = np.array([run[name].accuracy for run in runs])
        gain = np.mean(accuracies - [run[NO_ADAPTATION].accuracy for run in runs])
        seconds = np.mean([run[name].seconds for run in runs])
        each = "  ".join(f"{accuracy:.1%}" for accuracy in accuracies)
        print(f"  {name:<25}{accuracies.mean():>8.1%}  {100 * gain:>+6.1f}{seconds:>9.1f}   {each}")

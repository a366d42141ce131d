"""Features of pictures, and the network of the seasons, with which benchmarks/translation.py compares pictures.

They were fixed before any method was scored by them, and each seed has its own ones.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from sklearn_ot.metrics import frechet_distance

N_COMPONENTS = 32
N_STEPS, BATCH, LARGEST_STEP, LARGEST_SHIFT = 800, 64, 4e-3, 4
# Rows of the matrix from linear sRGB to XYZ, each divided by its sum, the white point D65.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
XYZ = XYZ / XYZ.sum(axis=1, keepdims=True)


class Scores:
    """Distances between translated pictures and held-out pictures of the other side.

    Parameters
    ----------
    pictures : Pictures
        The pair; the features are fitted on its training pictures.
    seed : int
        Draws the network and its training.
    n_steps : int, default=800
        Number of training steps of the network.
    """

    def __init__(self, pictures, seed, n_steps=N_STEPS):
        self.pictures = pictures
        both, features = np.concatenate(pictures.train), {"hand": hand_made}
        if pictures.has_network:
            self.judge = season_network(pictures.train, seed, n_steps)
            features["network"] = self.judge.features_of
        else:
            sides = np.repeat([0, 1], [len(part) for part in pictures.train])
            self.judge = make_pipeline(FunctionTransformer(flat), KNeighborsClassifier(1)).fit(both, sides)
        self.maps = {}
        for name, function in features.items():
            values = function(both)
            n = min(N_COMPONENTS, *values.shape)
            reduced = make_pipeline(StandardScaler(), PCA(n, svd_solver="full")).fit(values)
            self.maps[name] = make_pipeline(FunctionTransformer(function), reduced)
        self.targets = [self.all_features(part) for part in pictures.held_out]
        rng = np.random.RandomState(seed)
        # Training pictures against held-out ones, as many as are translated: the other side's.
        parts = [part[rng.permutation(len(part))] for part in pictures.train]
        self.floors = [self.distances(parts[k][: len(pictures.held_out[1 - k])], k) for k in (0, 1)]
        self.nothing = [self.distances(pictures.held_out[1 - k], k) for k in (0, 1)]

    def all_features(self, pictures):
        return {name: function.transform(pictures) for name, function in self.maps.items()}

    def distances(self, pictures, side):
        """Fréchet distances to the held-out pictures of a side."""
        features = self.all_features(pictures)
        return {name: frechet_distance(rows, self.targets[side][name]) for name, rows in features.items()}

    def compared(self, pictures, side):
        """The cells of pictures that were translated to a side, uint8; the labels are those of the other side."""
        cells = {}
        for name, distance in self.distances(pictures, side).items():
            cells |= {name: distance, f"{name}_ratio": distance / self.nothing[side][name]}
            cells[f"{name}_floor"] = self.floors[side][name]
        for name, part in {"taken": pictures, "taken_real": self.pictures.held_out[side]}.items():
            cells[name] = np.mean(self.judge.predict(part) == side)
        if self.pictures.labels is not None:
            classifier = KNeighborsClassifier(1).fit(flat(self.pictures.train[side]), self.pictures.labels[side][0])
            cells["accuracy"] = classifier.score(flat(pictures), self.pictures.labels[1 - side][1])
        return {name: float(value) for name, value in cells.items()}


def flat(pictures):
    return pictures.reshape(len(pictures), -1).astype(np.float64)


def lab(pictures):
    """The colours of CIELAB from sRGB, uint8; a single channel is only scaled to the range of L, 0 to 100."""
    values = pictures / 255
    if values.shape[-1] == 1:
        return 100 * values
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    relative = linear @ XYZ.T
    step = 6 / 29
    x, y, z = np.moveaxis(np.where(relative > step**3, np.cbrt(relative), relative / (3 * step**2) + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def hand_made(pictures):
    """Means and deviations of Lab in a 4 x 4 grid, and mean sizes of three levels of Haar coefficients of L.

    There are 105 numbers for a picture with three channels, and 41 for one channel.
    """
    colors = lab(pictures)
    n, height, width, n_channels = colors.shape
    cells = colors.reshape(n, 4, height // 4, 4, width // 4, n_channels)
    features = [part.reshape(n, -1) for part in (cells.mean(axis=(2, 4)), cells.std(axis=(2, 4)))]
    light = colors[..., 0]
    for _ in range(3):
        # Sums and differences of neighbouring rows, and of both in neighbouring columns.
        rows = light[:, ::2] + light[:, 1::2], light[:, ::2] - light[:, 1::2]
        (mean, across), (along, both) = (
            (part[:, :, ::2] + part[:, :, 1::2], part[:, :, ::2] - part[:, :, 1::2]) for part in rows
        )
        features.append(np.stack([np.abs(part).mean(axis=(1, 2)) / 2 for part in (across, along, both)], axis=1))
        light = mean / 4
    return np.concatenate(features, axis=1)


class SeasonNetwork(nn.Module):
    """Four convolutions with pooling, the mean and the maximum of 64 channels, and the logit of the second season."""

    def __init__(self, n_channels):
        super().__init__()
        layers, n_in = [], n_channels
        for n_out in (16, 32, 48, 64):
            convolution = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(n_out), nn.LeakyReLU(0.1), nn.MaxPool2d(2)]
            n_in = n_out
        self.layers = nn.Sequential(*layers)
        self.logit = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * n_in, 1))

    def features(self, images):
        out = self.layers(4 * images - 2)
        return torch.cat([out.mean(dim=(2, 3)), out.amax(dim=(2, 3))], dim=1)

    def forward(self, images):
        return self.logit(self.features(images))[:, 0]

    def features_of(self, pictures):
        return self.in_parts(self.features, pictures)

    def predict(self, pictures):
        """The sides, 0 or 1."""
        return (self.in_parts(self, pictures) > 0).astype(int)

    @torch.no_grad()
    def in_parts(self, function, pictures):
        parts = np.array_split(pictures, -(-len(pictures) // 200))
        return np.concatenate([function(as_images(part)).numpy() for part in parts]).astype(np.float64)


def as_images(pictures):
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


def season_network(sides, seed, n_steps):
    """A network trained to distinguish both sides; kept in the temporary folder, for the next run with this seed."""
    name = f"seasons_{'x'.join(map(str, sides[0].shape))}_{seed}_{n_steps}.pt"
    path = Path(tempfile.gettempdir()) / "sklearn_ot_translation" / name
    network = SeasonNetwork(sides[0].shape[-1])
    if path.exists():
        network.load_state_dict(torch.load(path))
    else:
        train_season_network(network, sides, seed, n_steps)
        path.parent.mkdir(exist_ok=True)
        torch.save(network.state_dict(), path)
    return network.eval()


def train_season_network(network, sides, seed, n_steps):
    """Train on batches with as many pictures of each side, mirrored and shifted at random."""
    torch.manual_seed(seed)
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    sides = [as_images(part) for part in sides]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_STEP, total_steps=n_steps)
    labels = torch.arange(2.0).repeat_interleave(BATCH // 2)
    height, width = sides[0].shape[2:]
    for step in range(n_steps):
        images = torch.cat([part[torch.randint(len(part), (BATCH // 2,))] for part in sides])
        images = images.flip(3) if step % 2 else images
        images = nn.functional.pad(images, (LARGEST_SHIFT,) * 4, mode="reflect")
        row, column = torch.randint(2 * LARGEST_SHIFT + 1, (2,)).tolist()
        logits = network(images[:, :, row : row + height, column : column + width])
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

"""The judge of faces: a network that knows which face it sees, and how blurred the face is."""

import numpy as np
import torch
from torch import nn

N_EPOCHS, BATCH, LARGEST_STEP, N_FEATURES = 40, 100, 4e-3, 64
BLURS = (0.0, 0.7, 1.2, 2.0, 3.0)  # standard deviations in pixels


class FaceCNN(nn.Module):
    """Four strided convolutions, 64 features, and logits of which face an image shows and of how blurred it is."""

    def __init__(self, n_faces):
        super().__init__()
        layers = []
        for n_in, n_out, size in ((3, 16, 5), (16, 32, 3), (32, 64, 3), (64, 64, 3)):
            convolution = nn.Conv2d(n_in, n_out, size, stride=2, padding=size // 2)
            layers += [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, N_FEATURES), nn.ReLU())
        self.face, self.blur = nn.Linear(N_FEATURES, n_faces), nn.Linear(N_FEATURES, len(BLURS))

    @torch.no_grad()
    def features_of(self, rows):
        """Features of rows of pixels from 0 to 1."""
        parts = np.array_split(rows, max(1, len(rows) // 200))
        return np.concatenate([self.features(as_images(part)).numpy() for part in parts]).astype(np.float64)


def as_images(rows):
    return torch.from_numpy(np.ascontiguousarray(rows)).float().view(-1, 64, 64, 3).permute(0, 3, 1, 2).contiguous()


def mirrored(rows):
    """Rows of images, followed by those of their mirror images."""
    images = rows.reshape(-1, 64, 64, 3)
    return np.concatenate([images, images[:, :, ::-1]]).reshape(2 * len(images), -1)


def train_face_judge(rows, seed):
    """A judge that is trained on faces, which no generator may see.

    In each step every face is turned, scaled, moved, mirrored and given other colours at random, and blurred by one of
    five Gaussian filters. The judge learns which face it was [1]_, and which filter.

    .. [1] A. Dosovitskiy et al., "Discriminative unsupervised feature learning with exemplar convolutional neural
       networks", 2016.
    """
    torch.manual_seed(seed)
    faces, judge = as_images(rows), FaceCNN(len(rows))
    optimizer = torch.optim.Adam(judge.parameters())
    n_batches = -(-len(faces) // BATCH)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_STEP, total_steps=N_EPOCHS * n_batches)
    for _ in range(N_EPOCHS):
        for drawn in torch.randperm(len(faces)).split(BATCH):
            blur = torch.arange(len(drawn)) % len(BLURS)
            images = blurred(changed(faces[drawn]), blur)
            features = judge.features(images)
            loss = nn.functional.cross_entropy(judge.face(features), drawn)
            loss = loss + nn.functional.cross_entropy(judge.blur(features), blur)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
    return judge.eval()


def changed(images):
    """Images that are turned, scaled, moved, mirrored and given other colours at random."""
    n = len(images)
    angle, scale = uniform(n, -0.2, 0.2), uniform(n, 0.85, 1.1)
    mirror = torch.randint(0, 2, (n,)) * 2.0 - 1
    first = torch.stack([scale * angle.cos() * mirror, -scale * angle.sin(), uniform(n, -0.12, 0.12)], dim=1)
    second = torch.stack([scale * angle.sin() * mirror, scale * angle.cos(), uniform(n, -0.12, 0.12)], dim=1)
    grid = nn.functional.affine_grid(torch.stack([first, second], dim=1), images.shape, align_corners=False)
    images = nn.functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    contrast, light = (uniform(n, *bounds)[:, None, None, None] for bounds in ((0.7, 1.3), (-0.1, 0.1)))
    return (images - 0.5) * contrast + 0.5 + light + 0.03 * torch.randn(n, 3, 1, 1)


def uniform(n, low, high):
    return low + (high - low) * torch.rand(n)


def blurred(images, blur):
    """Images after the Gaussian filters with these numbers."""
    out = images.clone()
    for number, deviation in enumerate(BLURS):
        if deviation:
            out[blur == number] = filtered(images[blur == number], deviation)
    return out


def filtered(images, deviation):
    """Images after a Gaussian filter."""
    weights = torch.exp(-(torch.arange(-6.0, 7) ** 2) / (2 * deviation**2))
    weights = (weights / weights.sum()).repeat(3, 1, 1, 1)
    for shape, padding in (((3, 1, 1, 13), (6, 6, 0, 0)), ((3, 1, 13, 1), (0, 0, 6, 6))):
        images = nn.functional.pad(images, padding, mode="reflect")
        images = nn.functional.conv2d(images, weights.view(shape), groups=3)
    return images


def abilities(judge, rows, seed):
    """The share of blurs that the judge finds, and of faces for which it finds another picture of the same face.

    Both pictures are changed at random, and the other picture is searched for among those of all rows.
    """
    torch.manual_seed(seed)
    images = as_images(rows)
    with torch.no_grad():
        found = [judge.blur(judge.features(filtered(images, s) if s else images)).argmax(1) for s in BLURS]
        one, other = (judge.features(changed(images)) for _ in range(2))
        one, other = (nn.functional.normalize(part - part.mean(0)) for part in (one, other))
        is_same = (one @ other.T).argmax(1) == torch.arange(len(images))
    return float(np.mean([(part == k).float().mean() for k, part in enumerate(found)])), float(is_same.float().mean())

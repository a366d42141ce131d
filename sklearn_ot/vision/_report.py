"""How near translated pictures are to real ones."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from sklearn_ot.metrics import frechet_distance
from sklearn_ot.solvers.stationary import cosine_coefficients, octaves

# Cells of the grid, along each axis, and principal components of the features.
N_CELLS, N_COMPONENTS = 4, 32
# Fewest pictures of a side: two halves of them have covariances.
LEAST_PICTURES = 4
FEATURES = "means and deviations of the channels in a grid of cells, and contrasts in octaves of frequencies"


@dataclass(frozen=True)
class TranslationReport:
    """Fréchet distances of translated pictures from real ones, and the error of a translation there and back.

    Attributes
    ----------
    features : str
        The features in which the distances are computed.
    n_features : int
        Number of their principal components.
    before, after, floor : tuple of float
        Fréchet distances for both directions, source to target and target to source: of the pictures as they are, of
        the translated ones, and between two halves of the real ones. The halves have fewer pictures, so the floor is
        rather too large.
    cycle_error : tuple of float
        Mean squared error of pictures that are translated and translated back, for both directions, as a fraction of
        the variance of the pictures.
    """

    features: str
    n_features: int
    before: tuple[float, float]
    after: tuple[float, float]
    floor: tuple[float, float]
    cycle_error: tuple[float, float]

    def __str__(self):
        lines = [
            f"Fréchet distance in {self.n_features} principal components of {self.features}",
            f"{'':<20}{'before':>9}{'after':>9}{'floor':>9}   error there and back",
        ]
        for i, name in enumerate(("source to target", "target to source")):
            numbers = "".join(f"{values[i]:9.2f}" for values in (self.before, self.after, self.floor))
            lines.append(f"{name:<20}{numbers}   {100 * self.cycle_error[i]:.2g} % of the variance")
        return "\n".join(lines)


def compare(source, target, to_target, to_source, shape) -> TranslationReport:
    """Compare both translations with the real pictures.

    Parameters
    ----------
    source, target : ndarray of shape (n, n_features) and (m, n_features)
        Pictures of both sides as flat rows, with at least 4 of each.
    to_target, to_source : callable
        The translations of rows.
    shape : tuple of int
        The shape of a picture, with the channels last.

    Returns
    -------
    report : TranslationReport
        The report.
    """
    real, forth = (source, target), (to_target(source), to_source(target))
    back = to_source(forth[0]), to_target(forth[1])
    X, Y, images, preimages = _components([*real, *forth], shape)
    before = frechet_distance(X, Y)
    return TranslationReport(
        FEATURES,
        X.shape[1],
        (before, before),
        (frechet_distance(images, Y), frechet_distance(preimages, X)),
        tuple(frechet_distance(rows[::2], rows[1::2]) for rows in (Y, X)),
        tuple(float(np.mean((b - a) ** 2) / np.mean(a.var(axis=0))) for a, b in zip(real, back, strict=True)),
    )


def distances_after(source, target, images, preimages, shape) -> tuple[float, float]:
    """Fréchet distances of images from the target, and of preimages from the source, in the features of a report."""
    X, Y, images, preimages = _components([source, target, images, preimages], shape)
    return frechet_distance(images, Y), frechet_distance(preimages, X)


def _components(parts, shape):
    """Principal components of the features of pictures; the first two parts are real ones, which determine them."""
    features = [picture_features(rows, shape) for rows in parts]
    scaler = StandardScaler().fit(np.concatenate(features[:2]))
    n_components = min(N_COMPONENTS, max(1, min(map(len, parts[:2])) // 4), features[0].shape[1])
    pca = PCA(n_components, svd_solver="full").fit(scaler.transform(np.concatenate(features[:2])))
    return [pca.transform(scaler.transform(part)) for part in features]


def picture_features(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Features of pictures: means and deviations in a grid of 4 by 4 cells, and logarithms of contrasts in octaves.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Flattened pictures.
    shape : tuple of int
        The shape of a picture, with the channels last.

    Returns
    -------
    features : ndarray of shape (n, n_picture_features)
        The features of each picture.
    """
    pictures = rows.reshape(-1, *shape).astype(np.float64)
    cells = [pictures]
    for axis in range(1, pictures.ndim - 1):
        cells = [part for cell in cells for part in np.array_split(cell, min(N_CELLS, cell.shape[axis]), axis)]
    axes = tuple(range(1, pictures.ndim - 1))
    moments = [moment(cell, axis=axes) for cell in cells for moment in (np.mean, np.std)]
    coefficients = cosine_coefficients(rows.astype(np.float64), shape).reshape(len(rows), -1, shape[-1])
    contrasts = [np.sqrt(np.square(coefficients[:, band]).mean(axis=1)) for band in octaves(shape[:-1])]
    return np.hstack([*moments, *contrasts])

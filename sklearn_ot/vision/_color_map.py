"""A map of colours as a frozen value: a transport in a colour space, continued to colours that its sample has not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

# Width of the cells in which a colour of the sample is looked for first: 8 levels of 255.
CELL = 1 / 32
# Distances from the nearest colour of the sample, up to which the transport is used, and from which on its neighbours
# are. A colour in the cell of a colour of the sample is nearer than the first one.
NEAR, FAR = 16 / 255, 32 / 255
N_NEIGHBORS = 8


def smooth_step(t: np.ndarray) -> np.ndarray:
    """A smooth function that is 0 up to 0, and 1 from 1 on."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, eq=False)
class ColorMap:
    """Displacements T(x) − x of colours.

    The transport is an extrapolation for colours that are far from all colours of the sample: one that is 32 levels (of
    255) away has the mean displacement of the 8 nearest colours of the sample, weighted by their distances, and between
    16 and 32 levels one changes into the other. So the displacement is continuous.

    Parameters
    ----------
    images : callable
        The transport of rows, in the colour space.
    to_space, from_space : callable
        Colours between 0 and 1 to the space, and back.
    sample : ndarray of shape (n_pixels, n_colors)
        Colours on which the transport was fitted.
    """

    images: Callable
    to_space: Callable
    from_space: Callable
    sample: np.ndarray

    def displacement(self, colors: np.ndarray) -> np.ndarray:
        """Displacements of colours of shape (n, n_colors), in the same dtype."""
        moved = self._transported(colors)
        is_unseen = ~self._seen_cells()[self._cells(colors)]
        if is_unseen.any():
            moved[is_unseen] = self._continued(colors[is_unseen], moved[is_unseen])
        return moved

    def _transported(self, colors):
        images = np.asarray(self.from_space(self.images(self.to_space(colors))))
        if not np.isfinite(images).all():
            raise ValueError("The colour space gives colours that are not finite for images of the transport.")
        return (images - colors).astype(colors.dtype, copy=False)

    def _continued(self, colors, moved):
        """Displacements of colours that may be far from the sample, given those of the transport."""
        tree = cKDTree(self.sample)
        n_neighbors = min(N_NEIGHBORS, len(self.sample))
        distances, neighbors = tree.query(colors, k=[*range(1, n_neighbors + 1)])
        is_far = distances[:, 0] > NEAR
        if not is_far.any():
            return moved
        distances, neighbors = distances[is_far], neighbors[is_far]
        # Weights that vanish at the last neighbour do not jump when another colour takes its place [Renka88].
        weights = np.square(np.maximum(1 / distances - 1 / distances[:, -1:], 0)) + 1e-12
        weights /= weights.sum(axis=1, keepdims=True)
        used, places = np.unique(neighbors, return_inverse=True)
        seen = self._transported(self.sample[used])[places.reshape(neighbors.shape)]
        mean = np.einsum("nk,nkc->nc", weights, seen)
        share = smooth_step((distances[:, :1] - NEAR) / (FAR - NEAR))
        moved[is_far] += (share * (mean - moved[is_far])).astype(moved.dtype)
        return moved

    def _seen_cells(self):
        seen = np.zeros([round(1 / CELL)] * self.sample.shape[1], dtype=bool)
        seen[self._cells(self.sample)] = True
        return seen

    @staticmethod
    def _cells(colors):
        # The noise of the sample may exceed the range.
        return tuple(np.clip(colors / CELL, 0, 1 / CELL - 1).astype(np.int64).T)


@dataclass(frozen=True, eq=False)
class ColorTable:
    """Displacements on a regular grid of colours, interpolated linearly between its nodes.

    Parameters
    ----------
    values : ndarray of shape (n_colors, *n_nodes)
        Displacements at the nodes.
    error : float
        The mean error of an image, as the largest error of its channels, in levels of 255.
    """

    values: np.ndarray
    error: float

    @classmethod
    def of(cls, color_map: ColorMap, n_nodes: int, colors: np.ndarray) -> "ColorTable":
        """The table of a map, with its error on some colours."""
        n_colors = colors.shape[1]
        nodes = grid_of_colors(n_nodes, n_colors)
        values = color_map.displacement(nodes).T.reshape(n_colors, *[n_nodes] * n_colors)
        table = cls(np.ascontiguousarray(values), np.nan)
        errors = np.abs(table.displacement(colors) - color_map.displacement(colors)).max(axis=1)
        return cls(table.values, 255 * float(errors.mean()))

    def displacement(self, colors: np.ndarray) -> np.ndarray:
        """Displacements of colours of shape (n, n_colors), in the same dtype."""
        places = (colors * (self.values.shape[1] - 1)).T
        moved = np.empty_like(colors)
        for channel, values in enumerate(self.values):
            moved[:, channel] = map_coordinates(values, places, order=1, mode="nearest")
        return moved


def grid_of_colors(n_nodes: int, n_colors: int) -> np.ndarray:
    """The nodes of a regular grid of colours, of shape (n_nodes ** n_colors, n_colors); the last channel runs first."""
    axes = np.meshgrid(*[np.linspace(0, 1, n_nodes)] * n_colors, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, n_colors)

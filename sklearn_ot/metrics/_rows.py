"""Checks and units of rows, and distances between rows that keep all their digits."""

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from sklearn_ot.checks import check_rows
from sklearn_ot.solvers.samples import Sample

FARTHEST = 1e140

SAMPLES = {
    "X": ["array-like"],
    "Y": ["array-like"],
    "sample_weight": ["array-like", None],
    "target_weight": ["array-like", None],
}


def check_samples(
    X, Y, sample_weight=None, target_weight=None, *, names=("X", "Y"), weight_names=("sample_weight", "target_weight")
):
    """Both samples in float64, without their rows of weight 0; the names are those of the arguments of the caller."""
    X, Y = (check_rows(rows, name, dtype=np.float64) for rows, name in zip((X, Y), names, strict=True))
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"{names[0]} has {X.shape[1]} columns, but {names[1]} has {Y.shape[1]}: both samples must have the same "
            "features."
        )
    weights = sample_weight, target_weight
    return tuple(map(Sample.of, (X, Y), weights, weight_names, names))


def check_images(sample_weight, **arrays):
    """Arrays of matching rows in float64, and the weights of these rows, with sum 1."""
    arrays = {name: check_rows(array, name, dtype=np.float64) for name, array in arrays.items()}
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"The arrays must have the same shape: row i of each belongs to the same point; got {shapes}.")
    first, *others = arrays.values()
    sample = Sample.of(first, sample_weight, sample=next(iter(arrays)))
    used = slice(None) if len(sample.rows) == len(first) else np.asarray(sample_weight) > 0
    return sample.rows, *(array[used] for array in others), sample.mass


def row_counts(sample):
    """Weights as numbers of rows, so that the share of all rows is 1 without rounding."""
    if sample.weight is None:
        return np.full(len(sample.rows), sample.size / len(sample.rows))
    count = sample.weight * sample.size
    return np.rint(count) if np.allclose(count, np.rint(count), rtol=1e-9, atol=0) else count


def unit_of(*arrays):
    """A power of two near the largest absolute number: if rows are divided by it, no sum and no square overflows."""
    return _power_of_two(max(np.abs(array).max() for array in arrays))


def in_typical_units(data, *others):
    """Arrays in a unit of most numbers of ``data``, for comparisons of distances, and the unit.

    Distances between most rows keep all their digits. Rows that are farther than 1e140 units are moved to that
    distance, so that their squares are finite.
    """
    numbers = np.abs(data[data != 0])
    unit = _power_of_two(np.median(numbers) if len(numbers) else 0.0)
    with np.errstate(over="ignore"):
        return *((array / unit).clip(-FARTHEST, FARTHEST) for array in (data, *others)), unit


def _power_of_two(number):
    # A division by a power of two is exact. The exponent is bounded so that the inverse is finite too.
    return float(np.ldexp(1.0, np.clip(np.frexp(number)[1], -1000, 1000))) if number > 0 else 1.0


def in_units(value, unit, power=1):
    """A distance in the units of the data, ``value * unit ** power``, or an error if it is no finite float64."""
    with np.errstate(over="ignore"):
        for _ in range(power):
            value = np.float64(value) * unit
    if not np.isfinite(value):
        raise ValueError("The result is too large for float64. Divide all rows by a number, such as the largest.")
    return float(value)


def squared_distances(X, Y):
    """Squared distances between all rows, in chunks of the rows of X.

    They are sums of squared differences. The usual expansion :math:`|x|^2 + |y|^2 - 2 x y` is faster, but it loses the
    digits of rows that are near each other and far from the origin, and equal distances may differ by rounding.
    """
    return pairwise_distances_chunked(X, Y, metric="sqeuclidean")


def nearest_rows(X, Y):
    """Index of the nearest row of Y for each row of X, and the distance from it."""
    parts = [(distances.argmin(axis=1), np.sqrt(distances.min(axis=1))) for distances in squared_distances(X, Y)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

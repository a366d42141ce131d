"""The coordinates in which benchmarks/w2.py fits the maps of other packages."""

from functools import partial

from sklearn_ot.solvers.coordinates import BalancedCoordinates
from sklearn_ot.solvers.gaussian import sample_gaussian_map
from sklearn_ot.solvers.samples import Sample

# In 4096 dimensions, all rows in balanced coordinates would not fit in memory. The Gaussian map is fitted to all rows.
MAX_ROWS = 100_000


class RawCoordinates:
    """The features as they are: what a user of another package has."""

    @staticmethod
    def of_source(X):
        return X

    of_target = to_source = to_target = of_source


def balanced(Xs, Xt):
    """The coordinates in which the Bures map is the identity, with a mean variance of 1."""
    return BalancedCoordinates.balance(sample_gaussian_map(Sample.of(Xs), Sample.of(Xt), "auto"))


def raw(Xs, Xt):
    return RawCoordinates()


def in_both(name, fit):
    """A method in balanced coordinates, and in raw ones, as two methods of benchmarks/w2.py."""
    return {name: partial(fit, balanced), f"{name}, raw": partial(fit, raw)}

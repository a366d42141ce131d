"""A fitted map for a power of the distance as a frozen value."""

from dataclasses import dataclass

import numpy as np
from torch import nn

from sklearn_ot.nn import Chain, InverseChain
from sklearn_ot.settings import OwnSettings
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.costs import EuclideanPower
from sklearn_ot.solvers.metric import StepMetric
from sklearn_ot.solvers.potentials import DualTerms, Potentials, Preimages, on_arrays


@dataclass(frozen=True, eq=False)
class CostPotentials(OwnSettings):
    r"""A fitted map for the cost :math:`\|x - y\|^p`, its inverse, and its Kantorovich potentials.

    It has the methods of `sklearn_ot.solvers.potentials.Potentials` that another cost than the squared one allows.
    Arrays have shape (n_samples, n_features) and the units of the data; results have the dtype of the rows. Potentials
    f and g have the units of the cost, without a factor 1/p:

    .. math:: f(x) + g(y) \le \|x - y\|^p, \quad \text{with equality for } y = T(x) .

    Parameters
    ----------
    potentials : Potentials
        The networks, a `sklearn_ot.nn.CostPair`, in coordinates of the metric: the map of the narrow sample.
    metric : StepMetric
        The coordinates, and the order of source and target.
    """

    potentials: Potentials
    metric: StepMetric

    def transport(self, X: np.ndarray) -> np.ndarray:
        """Map source rows to the target."""
        return self._backward(X).rows if self.metric.is_reversed else self._forward(X)

    def inverse(self, Y: np.ndarray) -> Preimages:
        """Map target rows to the source."""
        if self.metric.is_reversed:
            return Preimages(self._forward(Y), np.ones(len(Y), dtype=bool))
        return self._backward(Y)

    @property
    def cost(self) -> EuclideanPower:
        """The cost."""
        return EuclideanPower(self.metric.power)

    @property
    def conjugate_tol(self) -> float:
        """Residual at which a search ends, see `Potentials`."""
        return self.potentials.conjugate_tol

    def residual(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Distances :math:`\\|T(x) - y\\|` of the images of source rows from as many target rows."""
        return in_chunks(lambda x, y: np.linalg.norm(self.transport(x) - y, axis=1), X, Y)

    def potential(self, X: np.ndarray) -> np.ndarray:
        """Values of f at source rows; f is determined up to a constant."""
        values = self._wide_terms(X)[:, 0] if self.metric.is_reversed else self._narrow_values(X)
        return values.astype(X.dtype)

    def dual_value(
        self, X: np.ndarray, Y: np.ndarray, x_weight: np.ndarray | None = None, y_weight: np.ndarray | None = None
    ) -> float:
        r"""The value E f(x) + E g(y) of the potentials in the dual problem on two samples.

        It is at most :math:`W_p^p` between them if each search for g, or f, ends at a global minimum. The weights of
        the rows have sum 1; None weighs all rows equally.
        """
        terms = self.dual_terms(X, Y)
        return float(np.average(terms.source, weights=x_weight) + np.average(terms.target, weights=y_weight))

    def dual_terms(self, X: np.ndarray, Y: np.ndarray) -> DualTerms:
        """The Kantorovich potentials f and g of rows, whose means have the sum `dual_value`, and preimages of Y."""
        narrow, wide = self.metric.ordered(X, Y)
        values, found = self._narrow_values(narrow), self._wide_terms(wide)
        if self.metric.is_reversed:
            return DualTerms(found[:, 0], values, self._forward(Y.astype(np.float64)))
        return DualTerms(values, found[:, 0], found[:, 1:])

    def to_torch(self, inverse: bool = False) -> nn.Module:
        """The map, or its inverse, as a torch module; the one from the wide sample is a search."""
        start, end = (self.metric.to_torch(name) for name in ("to_coordinates", "from_coordinates"))
        forward = Chain(start, self.potentials.to_torch(), end)
        if inverse == self.metric.is_reversed:
            return forward
        search = self.potentials.to_torch(inverse=True)
        search.start, search.end = Chain(start, search.start), Chain(search.end, end)
        # The excess of the search is a gradient of the cost, and no distance.
        return InverseChain([search], forward)

    def _forward(self, X):
        """Images of narrow rows."""
        metric = self.metric
        return in_chunks(lambda x: metric.from_coordinates(self.potentials.transport(metric.to_coordinates(x))), X)

    def _backward(self, Y):
        """Preimages of wide rows, in chunks as the potentials make them."""
        metric = self.metric
        solved = np.ones(len(Y), dtype=bool)

        def preimages(y, is_solved):
            rows, is_solved[:] = self.potentials.inverse(metric.to_coordinates(y))
            return metric.from_coordinates(rows)

        return Preimages(in_chunks(preimages, Y, solved), solved)

    def _narrow_values(self, X):
        """Values of the potential of the narrow sample, in float64."""
        metric, coordinates, pair = self.metric, self.potentials.coordinates, self.potentials._pair(np.float64)
        values = on_arrays(pair, lambda u: pair.source_part(u) - pair.potential(u))

        def in_units(x):
            u = coordinates.within(coordinates.of_source(metric.to_coordinates(x)))
            return self._cost_unit(pair) * values(u)

        return in_chunks(in_units, X.astype(np.float64, copy=False))

    def _wide_terms(self, Y):
        """Values of the potential of the wide sample, and preimages, in float64."""
        metric, coordinates, pair = self.metric, self.potentials.coordinates, self.potentials._pair(np.float64)
        part = on_arrays(pair, pair.target_part)

        def terms(y):
            v = coordinates.of_target(metric.to_coordinates(y))
            w = coordinates.within(v)
            argmax, conjugate, *_ = self.potentials._search(pair, w)
            rows = metric.from_coordinates(coordinates.to_source(coordinates.lift(lambda _: argmax, v)))
            return np.column_stack([self._cost_unit(pair) * (part(w) - conjugate), rows])

        return in_chunks(terms, Y.astype(np.float64, copy=False))

    def _cost_unit(self, pair):
        return self.metric.unit**self.metric.power / float(pair.unit)

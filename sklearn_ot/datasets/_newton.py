"""Convex potentials, and Newton's method for the inverse of the gradient of one that is strongly convex."""

from abc import ABC, abstractmethod

import numpy as np

# Newton's method solves one linear system for each row.
MAX_SYSTEM_NUMBERS = 2**22


class Potential(ABC):
    """A differentiable convex function of rows with ``n_features`` columns, whose gradient has a known inverse."""

    @abstractmethod
    def value(self, X):
        """The values, shape (n,)."""

    @abstractmethod
    def gradient(self, X):
        """The gradients, shape (n, d)."""

    @abstractmethod
    def inverse(self, Y):
        """The points at which the gradients are the rows of Y."""


class StronglyConvex(Potential):
    """A potential with the modulus ``strong_convexity``, whose gradient is inverted by Newton's method.

    A subclass writes values and gradients, the solution of a Newton step, the number of unknowns of its linear system,
    and the size of the terms of a gradient, which decides its rounding error.
    """

    MAX_NEWTON_STEPS = 1000
    TOLERANCE = 1e-12

    def inverse(self, Y):
        """Minimise ψ(x) - <x, y>, which is strongly convex, by Newton's method with a line search for each row."""
        X = np.zeros_like(Y)
        # Preimages are larger where the modulus is smaller, and so are their rounding errors.
        tolerance = self.TOLERANCE / min(self.strong_convexity, 1)
        tolerance = tolerance * (self._size_of_terms() + np.linalg.norm(Y, axis=1))
        active = np.arange(len(Y))
        for _ in range(self.MAX_NEWTON_STEPS):
            gradient = self.gradient(X[active]) - Y[active]
            unsolved = np.linalg.norm(gradient, axis=1) > tolerance[active]
            active, gradient = active[unsolved], gradient[unsolved]
            if active.size == 0:
                return X
            n_parts = -(-len(active) * self._n_unknowns() ** 2 // MAX_SYSTEM_NUMBERS)
            parts = zip(np.array_split(active, n_parts), np.array_split(gradient, n_parts), strict=True)
            step = np.concatenate([self._newton_step(X[rows], part) for rows, part in parts])
            X[active] = self._line_search(X[active], Y[active], step, np.einsum("ij,ij->i", gradient, step))
        raise RuntimeError(
            f"Newton's method left {active.size} of {len(Y)} rows unsolved after {self.MAX_NEWTON_STEPS} "
            f"steps: a strong_convexity above {self.strong_convexity:g} makes the inverse easier to compute."
        )

    @abstractmethod
    def _size_of_terms(self):
        """The size of the terms that add up to a gradient."""

    @abstractmethod
    def _n_unknowns(self):
        """The number of unknowns of the linear system of a row."""

    @abstractmethod
    def _newton_step(self, X, gradient):
        """Minus the inverse of the Hessian at each row times a vector for each row."""

    def _line_search(self, X, Y, step, slope):
        """Halve the step of each row until the objective of the row falls enough (Armijo's condition)."""

        def objective(X):
            return self.value(X) - np.einsum("ij,ij->i", X, Y)

        start, length = objective(X), np.ones(len(X))
        # Near the minimum even a good step lowers the objective by less than its rounding error.
        slack = 1e-13 * (1 + np.abs(start))
        for _ in range(40):
            too_long = objective(X + length[:, None] * step) > start + 1e-4 * length * slope + slack
            if not too_long.any():
                break
            length[too_long] /= 2
        return X + length[:, None] * step

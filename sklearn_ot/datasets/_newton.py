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
        """Minimise ψ(x) - <x, y>, which is strongly convex."""
        # Preimages are larger where the modulus is smaller, and so are their rounding errors.
        tolerance = self.TOLERANCE / min(self.strong_convexity, 1)
        X, unsolved = newton(
            lambda X, rows: self.value(X) - np.einsum("ij,ij->i", X, Y[rows]),
            lambda X, rows: self.gradient(X) - Y[rows],
            lambda X, rows, gradient: self._newton_step(X, gradient),
            np.zeros_like(Y),
            tolerance=tolerance * (self._size_of_terms() + np.linalg.norm(Y, axis=1)),
            n_unknowns=self._n_unknowns(),
            max_steps=self.MAX_NEWTON_STEPS,
        )
        if unsolved.size == 0:
            return X
        raise RuntimeError(
            f"Newton's method left {unsolved.size} of {len(Y)} rows unsolved after {self.MAX_NEWTON_STEPS} "
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


def newton(value, gradient, step, start, *, tolerance, n_unknowns, max_steps):
    """Minimise a convex function for each row, by Newton's method with a line search for each row.

    Parameters
    ----------
    value, gradient : callable
        ``value(X, rows)`` and ``gradient(X, rows)`` at points X of the problems with the indices ``rows``.
    step : callable
        ``step(X, rows, gradient)``: minus the inverse of the Hessian at each point times its gradient.
    start : ndarray of shape (n, d)
        The first points.
    tolerance : ndarray of shape (n,)
        A problem is solved when the norm of its gradient is at most this.
    n_unknowns : int
        Number of unknowns of the linear system of a row.
    max_steps : int
        Number of steps of each row at most.

    Returns
    -------
    X : ndarray of shape (n, d)
        The last points.
    unsolved : ndarray of shape (n_unsolved,)
        Indices of the problems that are not solved.
    """
    X, active = start.copy(), np.arange(len(start))
    for _ in range(max_steps):
        slope = gradient(X[active], active)
        unsolved = np.linalg.norm(slope, axis=1) > tolerance[active]
        active, slope = active[unsolved], slope[unsolved]
        if active.size == 0:
            break
        n_parts = -(-len(active) * n_unknowns**2 // MAX_SYSTEM_NUMBERS)
        parts = zip(np.array_split(active, n_parts), np.array_split(slope, n_parts), strict=True)
        direction = np.concatenate([step(X[rows], rows, part) for rows, part in parts])
        X[active] = _line_search(value, X[active], active, direction, np.einsum("ij,ij->i", slope, direction))
    return X, active


def _line_search(value, X, rows, direction, slope):
    """Halve the step of each row until the objective of the row falls enough (Armijo's condition)."""
    start, length = value(X, rows), np.ones(len(X))
    # Near the minimum even a good step lowers the objective by less than its rounding error.
    slack = 1e-13 * (1 + np.abs(start))
    for _ in range(40):
        too_long = value(X + length[:, None] * direction, rows) > start + 1e-4 * length * slope + slack
        if not too_long.any():
            break
        length[too_long] /= 2
    return X + length[:, None] * direction

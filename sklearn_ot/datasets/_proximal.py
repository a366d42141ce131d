"""Proximal maps for powers of the distance, whose inverse maps have a closed form."""

import numpy as np
import torch

from sklearn_ot.datasets._families import LogSumExp
from sklearn_ot.datasets._newton import newton
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.costs import EuclideanPower

# Rows of the target from which sizes are measured.
N_ROWS = 10_000


class Proximal:
    r"""The map :math:`T(x) = \operatorname{argmin}_y \|x - y\|^p + g(y)` for a convex function :math:`g = c\,\psi`.

    Where the gradient of the sum is 0, :math:`x = y + \nabla h^*(\nabla g(y))`, where :math:`\nabla h^*` is the inverse
    of the gradient of :math:`h(z) = \|z\|^p`. By its homogeneity the factor is :math:`c = \lambda^{p - 1}` if all steps
    :math:`\nabla h^*(\nabla\psi(y))` are to be multiplied by λ.

    Parameters
    ----------
    psi : LogSumExp
        The convex function ψ.
    power : float
        The power p > 1.
    rows : ndarray of shape (n, d)
        Rows of the target.
    factor : callable
        ``factor(rows, steps)`` is λ, from rows of the target and their steps for λ = 1.
    """

    MAX_NEWTON_STEPS = 500
    TOLERANCE = 1e-12

    def __init__(self, psi, power, rows, factor):
        self.psi, self.power, self.cost = psi, power, EuclideanPower(power)
        self.factor = 1.0
        steps = self._steps(rows)
        self.factor = factor(rows, steps)
        # Where the search for an image starts.
        self.mean_step = self.factor * steps.mean(axis=0)

    def penalty(self, Y):
        """The values of g."""
        return self.factor ** (self.power - 1) * in_chunks(self.psi.value, Y)

    def inverse(self, Y):
        """The preimages."""
        return Y + in_chunks(self._steps, Y)

    def transport(self, X):
        """The images, by Newton's method."""
        # A step z is found and not the image: near 0 the slope of h is infinite for p < 2, and x - y is rounded.
        return X - in_chunks(self._steps_of, X, row_numbers=len(self.psi.slopes) ** 2)

    def value(self, X):
        """The minima: a potential of the source."""
        Y = self.transport(X)
        return np.linalg.norm(X - Y, axis=1) ** self.power + self.penalty(Y)

    def _steps(self, Y):
        return self.factor * self._on_rows(self.cost.inverse_gradient, self.psi.gradient(Y))

    def _steps_of(self, X):
        scale = self.factor ** (1 - self.power)
        largest = np.linalg.norm(self.psi.slopes, axis=1).max()
        Z, unsolved = newton(
            lambda Z, rows: scale * self._on_rows(self.cost.value, Z) + self.psi.value(X[rows] - Z),
            lambda Z, rows: scale * self._on_rows(self.cost.gradient, Z) - self.psi.gradient(X[rows] - Z),
            lambda Z, rows, gradient: self._newton_step(X[rows], Z, scale, gradient),
            np.tile(self.mean_step, (len(X), 1)),
            tolerance=self.TOLERANCE * (largest + self.psi.strong_convexity * np.linalg.norm(X, axis=1)),
            n_unknowns=len(self.psi.slopes) + 1,
            max_steps=self.MAX_NEWTON_STEPS,
        )
        if unsolved.size:
            raise RuntimeError(
                f"Newton's method left {unsolved.size} of {len(X)} rows unsolved after {self.MAX_NEWTON_STEPS} steps: "
                "their images are not known. Take rows nearer to the source."
            )
        return Z

    def _newton_step(self, X, Z, scale, gradient):
        Y = X - Z
        # The Hessian is (α + b) I + Uᵀ W U, where b = scale · p |z|^(p-2), and the rows of U are the slopes of ψ and
        # the direction of z. By Woodbury's identity the unknowns are as many as these rows.
        slopes, n_pieces = self.psi.slopes, len(self.psi.slopes)
        norm = np.maximum(np.linalg.norm(Z, axis=1), np.finfo(float).tiny ** 0.25)
        direction = Z / norm[:, None]
        curvature = scale * self.power * norm ** (self.power - 2)
        base = self.psi.strong_convexity + curvature
        W, gram = np.zeros((2, len(Z), n_pieces + 1, n_pieces + 1))
        W[:, :-1, :-1] = self.psi.outer_hessian(Y @ slopes.T + self.psi.offsets)
        W[:, -1, -1] = curvature * (self.power - 2)
        gram[:, :-1, :-1], gram[:, -1, -1] = slopes @ slopes.T, 1
        gram[:, :-1, -1] = gram[:, -1, :-1] = direction @ slopes.T
        right = np.column_stack([gradient @ slopes.T, np.einsum("ij,ij->i", direction, gradient)])
        system = base[:, None, None] * np.eye(n_pieces + 1) + W @ gram
        solved = np.linalg.solve(system, W @ right[:, :, None])[:, :, 0]
        step = (solved[:, :-1] @ slopes + solved[:, -1:] * direction - gradient) / base[:, None]
        return self._or_contraction(step, Y, Z)

    def _or_contraction(self, step, Y, Z):
        """The step to the fixed-point equation's right side instead, where that is a contraction."""
        # Newton's method goes from z to -z and back near 0 if p = 1.5, and converges slowly for other p < 2.
        found, slopes = self._steps(Y), self.psi.gradient(Y)
        # The trace of the Hessian of ψ without α, but for its factor: the variance of the slopes under the softmax.
        weights = self.psi.outer_gradient(Y @ self.psi.slopes.T + self.psi.offsets)
        variance = weights @ np.square(self.psi.slopes).sum(axis=1) - np.square(weights @ self.psi.slopes).sum(axis=1)
        curvature = self.psi.strong_convexity + self.psi.SHARPNESS * variance
        # The derivative of the inverse gradient at v has the norm |∇h*(v)| / |v| times 1 or 1 / (p - 1).
        rate = curvature * max(1, 1 / (self.power - 1)) * np.linalg.norm(found, axis=1)
        contracts = rate < 0.5 * np.linalg.norm(slopes, axis=1)
        return np.where(contracts[:, None], found - Z, step)

    @staticmethod
    def _on_rows(function, X):
        return function(torch.from_numpy(X)).numpy()


class TurnedPlane:
    r"""A target and pieces of ψ that make the map of the power p turn against that of the squared cost.

    Let the gradient of ψ be nearly :math:`v + u\,w` with a large vector v, and u rising with :math:`\langle w, y
    \rangle`. The step :math:`\nabla h^*` shortens or stretches changes along v by :math:`m = 1 / (p - 1)`, so that
    preimages are displaced along :math:`M w`, where M is diagonal with m along v and 1 across. The map of the squared
    cost would need the direction w. The angle between w and M w is largest if w has the squared cosine 1 / (1 + m) with
    v. The bisector of w and M w is then at 45° from v. The target is stretched across the bisector, by the ratio R that
    makes w and M w orthogonal for its covariance.
    """

    # Largest ratio R, which grows without bound as p approaches 2.
    MAX_RATIO = 8
    # Share of the variance in the plane of v and w; the rest is spread equally.
    SHARE = 0.8
    # Size of the changes u w relative to v. For p < 1.6 they are smaller: lengths of steps vary as their power m.
    CHANGE = 0.6
    # Difference of the offsets of pieces, and slopes in other directions than w, relative to those along w.
    SHARPNESS, SIDE = 4.0, 0.2
    # Strong convexity relative to the curvature along w.
    MODULUS = 0.01
    # Tangent of the angle by which the linear part of the map turns, and the largest step that is taken for it, in
    # units of the standard deviation of the target.
    TURN, MAX_STEP = 0.6, 15.0

    def __init__(self, base, power, rng):
        self.base, self.power = base, power
        n_features = base.n_features
        self.axes, _ = np.linalg.qr(rng.standard_normal((n_features, n_features)))
        root = (power - 1) ** -0.5
        ratio = min((1 + root) / max(abs(1 - root), 1e-9), self.MAX_RATIO)
        in_plane = self.SHARE * n_features if n_features > 2 else 2
        self.std = np.full(n_features, np.sqrt((n_features - in_plane) / max(n_features - 2, 1)))
        self.std[:2] = np.sqrt(in_plane / (1 + ratio**2)) * np.array([ratio, 1])
        along, across = np.array([1, 1]) / np.sqrt(2), np.array([-1, 1]) / np.sqrt(2)
        self.v = self.axes[:, :2] @ along
        self.w = self.axes[:, :2] @ (along + root * across) / np.sqrt(1 + root**2)
        rows = base.draw(N_ROWS, rng)
        self.mean = rows.mean(axis=0)
        root = np.linalg.cholesky(np.cov(rows, rowvar=False))
        self.stretch = np.linalg.solve(root.T, np.diag(self.std)) @ self.axes.T

    def draw(self, n_samples, rng):
        """Draw rows of the stretched target."""
        return (self.base.draw(n_samples, rng) - self.mean) @ self.stretch

    def pieces(self, n_pieces, rng):
        """Draw ψ."""
        size = np.linalg.norm(self.std[:2] * (self.axes[:, :2].T @ self.w))
        slopes = rng.standard_normal(n_pieces)
        slopes = (slopes - slopes.mean()) / slopes.std()
        side = self.SIDE * rng.standard_normal((n_pieces, len(self.v))) / self.std / np.sqrt(len(self.v)) @ self.axes.T
        side -= np.outer(side @ self.w, self.w)
        # The softmax of ψ is that of z with this factor.
        scale = self.SHARPNESS / LogSumExp.SHARPNESS
        v = scale / (size * min(self.CHANGE, self.power - 1)) * self.v
        psi = LogSumExp(len(self.v), n_pieces, self.MODULUS * scale / size**2, rng)
        psi.slopes = v + scale * (np.outer(slopes, self.w) / size + side)
        psi.offsets = -scale * slopes**2 / 2
        return psi

    def factor(self, rows, steps):
        """The factor λ with which the linear part of the inverse map, I + λ A, turns by the angle."""
        plane, std = self.axes[:, :2], self.std[:2]
        # For whitened rows, A becomes Σ^½ A Σ^-½, whose polar decomposition is the comparison with the squared cost.
        covariance = np.cov((steps @ plane).T, (rows @ plane).T)[:2, 2:]
        linear = std[:, None] * covariance / std
        turning = abs(linear[1, 0] - linear[0, 1]) - self.TURN * linear.trace()
        largest = self.MAX_STEP * np.sqrt(len(self.v)) / np.sqrt(np.square(steps).sum(axis=1).mean())
        return min(self.TURN * np.square(std).sum() / max(turning, 1e-9), largest)


def unit_factor(rows, steps):
    """The factor λ with which the root mean square of all steps is that of the rows, 1 in each column."""
    return np.sqrt(rows.shape[1] / np.square(steps).sum(axis=1).mean())

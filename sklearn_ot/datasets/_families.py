"""Families of convex potentials whose gradients and inverse maps are known, none of them shaped like one network."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import logsumexp, softmax

from sklearn_ot.datasets._newton import Potential, StronglyConvex


class Pieces(StronglyConvex):
    r"""A quadratic and a convex function φ of K affine pieces.

    .. math:: \psi(x) = \frac{\alpha}{2} \|x\|^2 + \varphi(z), \qquad z = S x + b

    A subclass writes φ, its gradient and its Hessian, and draws S and b.
    """

    MODULUS: ClassVar[float] = 0.3

    def __init__(self, n_features, n_pieces, strong_convexity, rng):
        self.strong_convexity = self.MODULUS if strong_convexity is None else strong_convexity
        self.draw_pieces(n_features, self.default_pieces(n_features) if n_pieces is None else n_pieces, rng)

    def default_pieces(self, n_features):
        """The number of pieces unless one is given."""
        return 10

    def draw_pieces(self, n_features, n_pieces, rng):
        """Draw the slopes S, whose lengths are about 6, and the offsets b."""
        self.slopes = 6 * rng.standard_normal((n_pieces, n_features)) / np.sqrt(n_features)
        self.offsets = rng.standard_normal(n_pieces)

    @abstractmethod
    def outer(self, Z):
        """The values of φ, shape (n,)."""

    @abstractmethod
    def outer_gradient(self, Z):
        """The gradients of φ, shape (n, K)."""

    @abstractmethod
    def outer_hessian(self, Z):
        """The Hessians of φ, shape (n, K, K)."""

    def value(self, X):
        """The values of ψ."""
        return self.strong_convexity / 2 * np.einsum("ij,ij->i", X, X) + self.outer(self._pieces(X))

    def gradient(self, X):
        """The gradients αx + Sᵀ∇φ(z)."""
        return self.strong_convexity * X + self.outer_gradient(self._pieces(X)) @ self.slopes

    def _pieces(self, X):
        return X @ self.slopes.T + self.offsets

    def _size_of_terms(self):
        return np.abs(self.slopes).max()

    def _n_unknowns(self):
        return len(self.slopes)

    def _newton_step(self, X, gradient):
        # The Hessian is α I + Sᵀ M S. By Woodbury's identity, the linear system to solve has one unknown for each
        # piece, in any dimension.
        hessian = self.outer_hessian(self._pieces(X))
        ridge = self.strong_convexity * np.eye(hessian.shape[1])
        right = hessian @ (gradient @ self.slopes.T)[:, :, None]
        inner = np.linalg.solve(ridge + hessian @ (self.slopes @ self.slopes.T), right)[:, :, 0]
        return (inner @ self.slopes - gradient) / self.strong_convexity


class LogSumExp(Pieces):
    r"""φ is a smooth maximum, :math:`\tau^{-1} \log \sum_k e^{\tau z_k}` with τ = 2."""

    SHARPNESS = 2.0

    def outer(self, Z):
        """The smooth maxima."""
        return logsumexp(self.SHARPNESS * Z, axis=1) / self.SHARPNESS

    def outer_gradient(self, Z):
        """The softmax p of τz."""
        return softmax(self.SHARPNESS * Z, axis=1)

    def outer_hessian(self, Z):
        """τ (diag(p) - p pᵀ)."""
        p = self.outer_gradient(Z)
        return self.SHARPNESS * (p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None, :])


class Envelope(Pieces):
    r"""φ is the Moreau envelope of the maximum, with radius λ = 1: a map with sharp kinks.

    .. math:: \varphi(z) = \min_w \max_k w_k + \tfrac{1}{2 \lambda} \|z - w\|^2
        = \max_{p \in \Delta} \langle p, z \rangle - \tfrac{\lambda}{2} \|p\|^2

    Its gradient p is the projection of z / λ on the simplex Δ.
    """

    RADIUS = 1.0

    def outer(self, Z):
        """The values of the envelope, at the maximiser p."""
        p = self.outer_gradient(Z)
        return np.einsum("ij,ij->i", p, Z - self.RADIUS / 2 * p)

    def outer_gradient(self, Z):
        """The projections on the simplex."""
        Z = Z / self.RADIUS
        descending = -np.sort(-Z, axis=1)
        # The entries above a threshold are in the support; it is the excess of the largest ones over 1, shared equally.
        thresholds = (descending.cumsum(axis=1) - 1) / np.arange(1, Z.shape[1] + 1)
        last = (descending > thresholds).sum(axis=1) - 1
        return np.maximum(Z - np.take_along_axis(thresholds, last[:, None], axis=1), 0)

    def outer_hessian(self, Z):
        """The projection on the directions within the face of p."""
        support = (self.outer_gradient(Z) > 0).astype(float)
        size = support.sum(axis=1)[:, None, None]
        faces = support[:, :, None] * np.eye(Z.shape[1]) - support[:, :, None] * support[:, None, :] / size
        return faces / self.RADIUS


class Ridge(Pieces):
    r"""φ is a sum of functions of single pieces, with slopes of length 1: |t|^1.5, log cosh, Huber and t⁴ in turn."""

    MODULUS = 0.1
    STEEPNESS = 8.0
    WIDTH = 0.15
    # Curvature of |t|^1.5 at 0, which is infinite.
    MAX_CURVATURE = 1e8

    def default_pieces(self, n_features):
        """The number of pieces unless one is given."""
        return max(4, round(0.75 * n_features))

    def draw_pieces(self, n_features, n_pieces, rng):
        """Draw directions, offsets and coefficients."""
        slopes = rng.standard_normal((n_pieces, n_features))
        self.slopes = slopes / np.linalg.norm(slopes, axis=1)[:, None]
        self.offsets = 0.6 * rng.standard_normal(n_pieces)
        self.coefficients = rng.uniform(0.5, 2, n_pieces)

    def outer(self, Z):
        """The sums."""
        size = np.abs(Z)
        steep = self.STEEPNESS * size
        log_cosh = steep + np.log1p(np.exp(-2 * steep)) - np.log(2)
        huber = np.where(size < self.WIDTH, Z**2 / (2 * self.WIDTH), size - self.WIDTH / 2)
        return (self.coefficients * in_turn(size**1.5, log_cosh / self.STEEPNESS, huber, Z**4 / 16)).sum(axis=1)

    def outer_gradient(self, Z):
        """The derivatives of all pieces."""
        root = 1.5 * np.sign(Z) * np.sqrt(np.abs(Z))
        clipped = np.clip(Z / self.WIDTH, -1, 1)
        return self.coefficients * in_turn(root, np.tanh(self.STEEPNESS * Z), clipped, Z**3 / 4)

    def outer_hessian(self, Z):
        """The second derivatives of all pieces, on the diagonal."""
        root = np.minimum(0.75 / np.sqrt(np.abs(Z) + 1e-300), self.MAX_CURVATURE)
        log_cosh = self.STEEPNESS * (1 - np.tanh(self.STEEPNESS * Z) ** 2)
        huber = (np.abs(Z) < self.WIDTH) / self.WIDTH
        second = self.coefficients * in_turn(root, log_cosh, huber, 0.75 * Z**2)
        return second[:, :, None] * np.eye(Z.shape[1])


class Separable(Potential):
    r"""A sum of functions of the coordinates along random orthogonal axes, with a closed form of the inverse map.

    The one-dimensional maps are, in turn: t + t |t|, which makes heavy tails; the bounded map 2t / √(1 + 4t²);
    sign(t) √|t|, which divides the rows at 0; and asinh(8t) / 2, which shortens the tails.
    """

    def __init__(self, n_features, rng):
        self.axes, _ = np.linalg.qr(rng.standard_normal((n_features, n_features)))
        self.offsets = 0.5 * rng.standard_normal(n_features)

    def value(self, X):
        """The sums of the antiderivatives."""
        t = X @ self.axes + self.offsets
        size, bounded = np.abs(t), np.sqrt(1 + 4 * t**2) / 2
        short = (t * np.arcsinh(8 * t) - np.sqrt(1 + 64 * t**2) / 8) / 2
        return in_turn(t**2 / 2 + size**3 / 3, bounded, size**1.5 / 1.5, short).sum(axis=1)

    def gradient(self, X):
        """The one-dimensional maps along the axes."""
        t = X @ self.axes + self.offsets
        size = np.abs(t)
        images = in_turn(t + t * size, 2 * t / np.sqrt(1 + 4 * t**2), np.sign(t) * np.sqrt(size), np.arcsinh(8 * t) / 2)
        return images @ self.axes.T

    def inverse(self, Y):
        """The inverse maps along the axes; the bounded map has none outside of (-1, 1)."""
        v = Y @ self.axes
        if n_outside := int((np.abs(v[:, 1::4]) >= 1).any(axis=1).sum()):
            raise ValueError(
                f"{n_outside} of {len(Y)} rows have no preimage: this target is bounded in some directions."
            )
        size = np.abs(v)
        heavy = np.sign(v) * (np.sqrt(1 + 4 * size) - 1) / 2
        bounded = v / (2 * np.sqrt(1 - np.minimum(size, 1 - 1e-16) ** 2))
        return (in_turn(heavy, bounded, v * size, np.sinh(2 * v) / 8) - self.offsets) @ self.axes.T


def in_turn(*values):
    """The columns of the first array, of the second, and so on, in turn."""
    return np.choose(np.arange(values[0].shape[1]) % len(values), values)

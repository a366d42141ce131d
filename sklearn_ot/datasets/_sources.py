"""Distributions of one side of a pair with a known map, each with mean 0 and a mean variance of 1."""

from abc import ABC, abstractmethod

import numpy as np

# Share of the variance in the first axes of `Correlated`, and the share of the axes that they are.
MAIN_SHARE, MAIN_AXES = 0.9, 0.25
STUDENT_FREEDOM = 5


class Source(ABC):
    """A distribution of rows with ``n_features`` columns, which are between ``-half_width`` and ``half_width``."""

    half_width = np.inf

    def __init__(self, n_features, n_components, rng):
        self.n_features = n_features

    @abstractmethod
    def draw(self, n_samples, rng):
        """Draw rows."""


class Mixture(Source):
    """Equally likely Gaussians of equal variance with random centres; each column has variance 1."""

    STD = 0.4

    def __init__(self, n_features, n_components, rng):
        super().__init__(n_features, n_components, rng)
        centres = rng.standard_normal((n_components, n_features))
        scale = np.sqrt(centres.var(axis=0) + self.STD**2)
        self.centres, self.std = (centres - centres.mean(axis=0)) / scale, self.STD / scale

    def draw(self, n_samples, rng):
        labels = rng.randint(len(self.centres), size=n_samples)
        return self.centres[labels] + self.std * rng.standard_normal((n_samples, self.n_features))


class Uniform(Source):
    """The uniform distribution on a cube of variance 1."""

    half_width = np.sqrt(3)

    def draw(self, n_samples, rng):
        return rng.uniform(-self.half_width, self.half_width, (n_samples, self.n_features))


class Student(Source):
    """Independent columns with Student's t distribution of 5 degrees of freedom, scaled to variance 1."""

    def draw(self, n_samples, rng):
        unit = np.sqrt(STUDENT_FREEDOM / (STUDENT_FREEDOM - 2))
        return rng.standard_t(STUDENT_FREEDOM, (n_samples, self.n_features)) / unit


class Correlated(Mixture):
    """A mixture that is stretched along random axes, so that a quarter of them has 90 % of the variance."""

    def __init__(self, n_features, n_components, rng):
        super().__init__(n_features, n_components, rng)
        covariance = self.centres.T @ self.centres / n_components + np.diag(self.std**2)
        variances, axes = np.linalg.eigh(covariance)
        whiten = axes / np.sqrt(variances)
        n_main = max(1, round(MAIN_AXES * n_features))
        variances = np.ones(n_features)
        if n_main < n_features:
            variances[:n_main] = MAIN_SHARE * n_features / n_main
            variances[n_main:] = (1 - MAIN_SHARE) * n_features / (n_features - n_main)
        axes, _ = np.linalg.qr(rng.standard_normal((n_features, n_features)))
        self.stretch = whiten @ (axes * np.sqrt(variances)).T

    def draw(self, n_samples, rng):
        return super().draw(n_samples, rng) @ self.stretch


SOURCES = {"mixture": Mixture, "uniform": Uniform, "student": Student, "correlated": Correlated}

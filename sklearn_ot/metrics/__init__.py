"""Distances between two samples, errors of a map against the true map, and the quality of a sample.

Distances take two samples of shape ``(n_samples, n_features)``, each with any number of rows. All rows have equal
weights unless weights are given. No distance has a factor ½.
"""

from sklearn_ot.metrics._copying import Copying, copying
from sklearn_ot.metrics._distances import (
    energy_distance,
    frechet_distance,
    sliced_wasserstein_distance,
    wasserstein_distance,
)
from sklearn_ot.metrics._maps import l2_uvp, map_cosine
from sklearn_ot.metrics._quality import ModeCoverage, SampleQuality, mode_coverage, sample_quality

__all__ = [
    "Copying",
    "ModeCoverage",
    "SampleQuality",
    "copying",
    "energy_distance",
    "frechet_distance",
    "l2_uvp",
    "map_cosine",
    "mode_coverage",
    "sample_quality",
    "sliced_wasserstein_distance",
    "wasserstein_distance",
]

"""Toy distributions, pairs of samples with a known optimal map, and pairs of real data sets."""

from sklearn_ot.datasets._digits import load_digits_pair, load_usps_mnist
from sklearn_ot.datasets._gaussian_pair import make_gaussian_pair
from sklearn_ot.datasets._mixed import make_mixed_table
from sklearn_ot.datasets._potential_pair import make_potential_pair
from sklearn_ot.datasets._toy import grid_modes, make_gaussian_grid, make_gaussian_ring, make_toy, ring_modes
from sklearn_ot.datasets._w1_pair import make_w1_pair
from sklearn_ot.datasets._wp_pair import make_wp_pair

__all__ = [
    "grid_modes",
    "load_digits_pair",
    "load_usps_mnist",
    "make_gaussian_grid",
    "make_gaussian_pair",
    "make_gaussian_ring",
    "make_mixed_table",
    "make_potential_pair",
    "make_toy",
    "make_w1_pair",
    "make_wp_pair",
    "ring_modes",
]

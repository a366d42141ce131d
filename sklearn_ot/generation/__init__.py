"""Generators: estimators that draw new rows like those they were fitted to."""

from sklearn_ot.generation._semidiscrete import SemiDiscreteOTGenerator

__all__ = ["SemiDiscreteOTGenerator"]

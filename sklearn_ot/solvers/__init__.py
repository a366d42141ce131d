"""Numerics without networks."""

"""Warnings and errors that users may want to catch by name."""


class MissingTargetWarning(UserWarning):
    """An estimator that maps one sample onto another was fitted without a target sample."""


class SourceRowsWarning(UserWarning):
    """Rows that an adapter predicts as target rows resemble its source, and no part of its target."""


class DivergenceError(FloatingPointError):
    """Training produced NaN or infinity; the message names the likely cause and the parameter to change."""

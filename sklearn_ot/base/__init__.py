"""The contracts of a transport and of a generator, and what every fit needs."""

from sklearn_ot.base._fitting import (
    FLOAT_DTYPES,
    MAX_REFERENCE_ROWS,
    all_or_nothing,
    documented,
    draw_reference,
    random_source,
    warn_user,
)
from sklearn_ot.base._generator import BaseGenerator
from sklearn_ot.base._transport import BaseTransport, InvertibleTransport

__all__ = [
    "FLOAT_DTYPES",
    "MAX_REFERENCE_ROWS",
    "BaseGenerator",
    "BaseTransport",
    "InvertibleTransport",
    "all_or_nothing",
    "documented",
    "draw_reference",
    "random_source",
    "warn_user",
]

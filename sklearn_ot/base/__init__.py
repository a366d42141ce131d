"""Base classes of transports and generators, and helpers of every fit."""

from sklearn_ot.base._documentation import DocumentationLink
from sklearn_ot.base._fitting import (
    FLOAT_DTYPES,
    MAX_REFERENCE_ROWS,
    all_or_nothing,
    documented,
    draw_reference,
    frame_library,
    names_of,
    random_source,
    sections,
    seeded,
    warn_far,
    warn_user,
)
from sklearn_ot.base._generator import BaseGenerator, contained, sliced_score
from sklearn_ot.base._net_transformer import NetTransformer
from sklearn_ot.base._public import publish
from sklearn_ot.base._reading import rows_for_fit
from sklearn_ot.base._resume import CHECKPOINT, resumable
from sklearn_ot.base._rows import rows_of_tensor, validated
from sklearn_ot.base._to_torch import ToTorch, finished, torch_module_of
from sklearn_ot.base._transport import (
    BaseTransport,
    InvertibleTransport,
    finite,
    uses_labels,
    weighted_sample,
)
from sklearn_ot.base._units import fit_units, kept_units

__all__ = [
    "CHECKPOINT",
    "FLOAT_DTYPES",
    "MAX_REFERENCE_ROWS",
    "BaseGenerator",
    "BaseTransport",
    "DocumentationLink",
    "InvertibleTransport",
    "NetTransformer",
    "ToTorch",
    "all_or_nothing",
    "contained",
    "documented",
    "draw_reference",
    "finished",
    "finite",
    "fit_units",
    "frame_library",
    "kept_units",
    "names_of",
    "publish",
    "random_source",
    "resumable",
    "rows_for_fit",
    "rows_of_tensor",
    "sections",
    "seeded",
    "sliced_score",
    "torch_module_of",
    "uses_labels",
    "validated",
    "warn_far",
    "warn_user",
    "weighted_sample",
]

"""Base class of transformers by a net."""

from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from sklearn_ot.base._documentation import DocumentationLink
from sklearn_ot.base._to_torch import ToTorch
from sklearn_ot.plain import PlainState


class NetTransformer(
    DocumentationLink, PlainState, ToTorch, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base class of transformers whose net, ``net_``, gives rows columns with a meaning of their own.

    A subclass is also a `sklearn_ot.nets.NetOwner`.
    """

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

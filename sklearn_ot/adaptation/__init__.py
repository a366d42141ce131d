"""Domain adaptation: an estimator learns from labels in one domain and predicts in another."""

from sklearn_ot.adaptation._domain_adapter import DomainAdapter
from sklearn_ot.adaptation._domain_adapter_cv import DomainAdapterCV
from sklearn_ot.adaptation._features import ClassifierFeatures
from sklearn_ot.adaptation._label_aware import LabelAwareTransport
from sklearn_ot.adaptation._scorers import (
    neighbor_consistency,
    prediction_entropy,
    transport_match,
    transported_source_accuracy,
)
from sklearn_ot.base import publish

__all__ = [
    "ClassifierFeatures",
    "DomainAdapter",
    "DomainAdapterCV",
    "LabelAwareTransport",
    "neighbor_consistency",
    "prediction_entropy",
    "transport_match",
    "transported_source_accuracy",
]

publish(__name__)

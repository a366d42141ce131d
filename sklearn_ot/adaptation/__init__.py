"""Domain adaptation: an estimator learns from labels in one domain and predicts in another."""

from sklearn_ot.adaptation._domain_adapter import DomainAdapter
from sklearn_ot.adaptation._label_aware import LabelAwareTransport
from sklearn_ot.adaptation._scorers import transport_match, transported_source_accuracy

__all__ = ["DomainAdapter", "LabelAwareTransport", "transport_match", "transported_source_accuracy"]

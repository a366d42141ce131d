"""Methods of other packages for the benchmark of adaptation."""

from importlib import import_module

import numpy as np
import ot
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

MAX_ROWS = 2000


def some_rows(*tables):
    """Indices of at most 2000 random rows of each table."""
    rng = np.random.RandomState(0)
    return [rng.permutation(len(table))[:MAX_ROWS] for table in tables]


class Peer(BaseEstimator):
    """A transport of POT, with the methods and tags that `DomainAdapter` needs."""

    def __init__(self, kind, reg=None):
        self.kind = kind
        self.reg = reg

    def fit(self, X, y, *, X_target):
        """Fit it to some of the rows; its own extension moves the others."""
        rows, target = some_rows(X, X_target)
        options = {} if self.reg is None else {"reg_e": self.reg, "reg_cl": self.reg, "norm": "max"}
        self.fitted_ = getattr(ot.da, self.kind)(**options)
        self.fitted_.fit(Xs=X[rows], ys=np.unique(y, return_inverse=True)[1][rows], Xt=X_target[target])
        return self

    def transform(self, X):
        """Images of the rows."""
        return self.fitted_.transform(Xs=X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class Scalers(BaseEstimator):
    """A StandardScaler for each domain: columns of the source get the mean and the deviation of the target."""

    def fit(self, X, y=None, *, X_target):
        """Fit both scalers."""
        self.source_, self.target_ = StandardScaler().fit(X), StandardScaler().fit(X_target)
        return self

    def transform(self, X):
        """Images of the rows."""
        return self.target_.inverse_transform(self.source_.transform(X))


class Skada(BaseEstimator):
    """A method of skada with its own settings, with the methods of a `DomainAdapter`."""

    def __init__(self, kind, estimator):
        self.kind = kind
        self.estimator = estimator

    def fit(self, X, y, *, X_target):
        """Fit it to some of the rows of both domains; labels of the target are masked."""
        rows, target = some_rows(X, X_target)
        self.classes_, codes = np.unique(y[rows], return_inverse=True)
        self.fitted_ = getattr(import_module("skada"), self.kind)(self.estimator)
        # Pipelines of skada pass the domains on by metadata routing. Not all of its methods return themselves.
        with config_context(enable_metadata_routing=True):
            self.fitted_.fit(
                np.vstack([X[rows], X_target[target]]),
                np.concatenate([codes, np.full(len(target), -1)]),
                sample_domain=np.repeat([1, -2], [len(rows), len(target)]),
            )
        return self

    def predict(self, X, *, domain):
        """The classes of target rows."""
        with config_context(enable_metadata_routing=True):
            return self.classes_[self.fitted_.predict(X, sample_domain=np.full(len(X), -2))]


POT_PEERS = {
    "EMDTransport (POT)": Peer("EMDTransport"),
    "SinkhornLpl1Transport (POT)": Peer("SinkhornLpl1Transport", 0.01),
    "scaler per domain": Scalers(),
}
SKADA_KINDS = ("LinearOTMapping", "ClassRegularizerOTMapping", "CORAL", "OTLabelProp", "JDOTClassifier")

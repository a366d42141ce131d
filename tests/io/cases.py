"""Fitted estimators of all kinds, and their outputs, for tests of files."""

import copy
import functools
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import sklearn
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ot.adaptation import ClassifierFeatures, DomainAdapter, DomainAdapterCV, LabelAwareTransport
from sklearn_ot.adaptation.skada import TransportAdapter
from sklearn_ot.generation import TableGenerator, W2Generator, WGANGenerator
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex, ConvexConvolutional, Convolutional, Dense
from sklearn_ot.representation import Autoencoder, GenerativePipeline
from sklearn_ot.transport import (
    GaussianTransport,
    PatchTransport,
    SemiDiscreteTransport,
    StationaryGaussianTransport,
    W1Transport,
    W2Transport,
)
from sklearn_ot.vision import ColorTransfer, ImageTranslator
from tests.test_common import INSTANCES, TINY

_rng = np.random.RandomState(0)
X, XT = _rng.normal(size=(60, 3)), _rng.normal(1, 2, size=(50, 3))
Y = np.where(X[:, 0] > 0, "positive", "other")
PICTURES = _rng.randint(0, 256, (4, 8, 8, 3)).astype(np.uint8)
ROWS = _rng.rand(6, 64)
DIGITS = _rng.rand(6, 784)
TABLE = pd.DataFrame(
    {
        "kind": pd.Categorical(["a", "b", None] * 10, categories=["b", "a", "unused"], ordered=True),
        "word": ["one", "two"] * 15,
        "whole": pd.array([1, None, 3] * 10, dtype="Int64"),
        "day": pd.date_range("2024-01-01", periods=30, tz="Europe/Paris"),
        "range": pd.cut(np.arange(30), 3),
    }
)
with sklearn.config_context(enable_metadata_routing=True):
    # Adapters import skada when they are used, which enables routing in the whole process.
    import skada  # noqa: F401

    SKADA_ADAPTER = TransportAdapter(LabelAwareTransport(n_rounds=2)).set_fit_request(sample_weight=True)
    WITH_REQUESTS = GaussianTransport().set_output(transform="pandas").set_fit_request(sample_weight=True)
SMALL_MAP = W2Transport(max_iter=3, network=Convex((8,)), plan_size=0)


class Case(NamedTuple):
    """An estimator, the arguments of its fit, and the rows for its methods."""

    estimator: Any
    fit: dict
    rows: Any


def _case(estimator):
    if isinstance(estimator, ImageTranslator):
        return Case(estimator, {"X": PICTURES, "X_target": PICTURES[::-1] // 2}, PICTURES)
    if isinstance(estimator, ColorTransfer):
        return Case(estimator, {"source": PICTURES[0], "target": PICTURES[1] // 2}, PICTURES[0])
    if isinstance(estimator, PatchTransport | StationaryGaussianTransport) or isinstance(
        getattr(estimator, "network", None), ConvexConvolutional
    ):
        return Case(estimator, {"X": ROWS, "X_target": ROWS[::-1] ** 2}, ROWS)
    if isinstance(estimator, LabelAwareTransport):
        return Case(estimator, {"X": X, "y": Y, "X_target": XT}, X)
    if isinstance(estimator, ClassifierFeatures):
        return Case(estimator, {"X": X, "y": Y}, X)
    if isinstance(estimator, DomainAdapter | DomainAdapterCV):
        is_regression = type(estimator.estimator).__name__ == "Ridge"
        return Case(estimator, {"X": X, "y": X[:, 0] if is_regression else Y, "X_target": XT}, XT)
    if getattr(estimator, "source", None) == "normal" and isinstance(estimator, SemiDiscreteTransport):
        return Case(estimator, {"X": X}, X)
    if hasattr(estimator, "transform") and not hasattr(estimator, "sample"):
        is_code = isinstance(estimator, Autoencoder)
        return Case(estimator, {"X": X} if is_code else {"X": X, "X_target": XT}, X)
    return Case(estimator, {"X": X}, X)


GAUSSIAN_ADAPTER = DomainAdapter(GaussianTransport(), make_pipeline(StandardScaler(), LogisticRegression()))
CASES = [
    *map(_case, INSTANCES),
    _case(ColorTransfer(GaussianTransport())),
    _case(DomainAdapter(SMALL_MAP, make_pipeline(StandardScaler(), KNeighborsClassifier(1)))),
    _case(DomainAdapterCV([GaussianTransport(), None], LogisticRegression(), by_row=True)),
    Case(GAUSSIAN_ADAPTER, {"X": X, "y": (X[:, 0] > 0) * 2 - 1, "X_target": XT}, XT),
    _case(
        GenerativePipeline(
            [
                ("scale", StandardScaler()),
                ("code", Autoencoder(2, max_iter=2)),
                ("generator", W2Generator(transport=SMALL_MAP)),
            ]
        )
    ),
    _case(GenerativePipeline([("pca", PCA(2)), ("generator", WGANGenerator(**TINY))])),
    _case(W2Transport(max_iter=2, network=ConvexConvolutional((8, 8), (4,)), plan_size=0)),
    Case(
        WGANGenerator(generator=Convolutional(2), critic=Convolutional(2), max_iter=1, batch_size=4),
        {"X": DIGITS},
        DIGITS,
    ),
    Case(WGANGenerator(**TINY, match_moments=True), {"X": X, "y": Y, "sample_weight": np.arange(60)}, X),
    Case(TableGenerator(WGANGenerator(**TINY)), {"X": TABLE, "y": TABLE["word"]}, TABLE),
    Case(
        TableGenerator(WGANGenerator(**TINY)),
        {"X": pl.DataFrame({"word": ["a", "b"] * 9, "day": pl.Series(range(18)).cast(pl.Date)})},
        None,
    ),
    Case(
        W2Transport(
            max_iter=2,
            network=Convex((8,)),
            device=torch.device("cpu"),
            callbacks=[TimeBudget(60)],
            random_state=np.random.RandomState(3),
        ),
        {"X": pd.DataFrame(X, columns=["a", "b", "c"]), "X_target": pd.DataFrame(XT, columns=["a", "b", "c"])},
        pd.DataFrame(X, columns=["a", "b", "c"]),
    ),
    Case(
        WITH_REQUESTS,
        {"X": X, "X_target": XT},
        X,
    ),
    Case(SKADA_ADAPTER, {"X": np.vstack([X, XT]), "y": np.append(X[:, 0] > 0, [-1] * 50)}, XT),
    Case(TransportAdapter(SMALL_MAP, "target"), {"X": np.vstack([X, XT]), "sample_domain": [3] * 60 + [-2] * 50}, XT),
    Case(SemiDiscreteTransport(WGANGenerator(**TINY).fit(X), tol=0.5, max_samples=2000), {"X": X}, X),
    _case(W1Transport(max_iter=3, network=Dense((8,), "silu"), confidence=None)),
]


@functools.cache
def fitted(number):
    """A fitted case, once for all tests, which must not change it."""
    case = CASES[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return copy.deepcopy(case.estimator).fit(**case.fit)


def outputs(estimator, rows):
    """The results of all methods of a fitted estimator, as arrays by the names of the methods."""
    found = {}
    for name in ("transform", "inverse_transform", "predict", "potential", "critic_function", "score_samples"):
        method = getattr(estimator, name, None)
        needs_codes = name == "inverse_transform" and hasattr(estimator, "latent_dim")
        if method is not None and not needs_codes and rows is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found[name] = method(rows)
                except (AttributeError, ValueError) as error:
                    found[name] = str(error)
    if hasattr(estimator, "sample"):
        sample = estimator.sample(7, random_state=0)
        found |= {"sample": sample, "dtypes": getattr(sample, "dtypes", "")}
    # Missing entries of pandas are not equal to themselves.
    return {name: _as_array(values) for name, values in found.items()}


def _as_array(values):
    values = np.asarray(values)
    return values.astype(str) if values.dtype == object else values


def assert_same(first, second):
    """Raise an AssertionError unless both dicts of outputs have the same bits."""
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert values.dtype == second[name].dtype
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def described(estimator):
    """All parameters of an estimator as text, without the addresses of objects."""
    return re.sub(r" at 0x\w+", "", str(sorted(estimator.get_params().items())))

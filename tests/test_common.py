"""scikit-learn's own checks, for every public estimator, with metadata routing off and on, and no expected failures."""

import ast
import inspect
import re

import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_ot import adaptation, generation, representation, transport, vision
from sklearn_ot.adaptation import ClassifierFeatures, DomainAdapter, DomainAdapterCV, LabelAwareTransport
from sklearn_ot.base import sections
from sklearn_ot.generation import (
    FGAN,
    GAN,
    MMDGAN,
    WGANQC,
    CramerGAN,
    SemiDiscreteOTGenerator,
    TableGenerator,
    W2Generator,
    WGANGenerator,
)
from sklearn_ot.networks import Convex, Dense, Distances
from sklearn_ot.representation import Autoencoder, GenerativePipeline
from sklearn_ot.transport import (
    GaussianTransport,
    LSOTTransport,
    PatchTransport,
    QCTransport,
    SemiDiscreteTransport,
    StationaryGaussianTransport,
    W1Transport,
    W2Transport,
    W2TransportCV,
    WpTransport,
)
from sklearn_ot.vision import ColorTransfer, ImageTranslator

SMALL, BOUNDED = Dense((8,)), Dense((8,), output_activation="tanh")
TINY = {"generator": SMALL, "critic": SMALL, "max_iter": 2, "batch_size": 8}
# With routing on, estimators must request weights. The weights of rows and as many equal rows agree to the tolerance of
# the optimiser.
with sklearn.config_context(enable_metadata_routing=True):
    LOGISTIC = LogisticRegression(tol=1e-10, max_iter=1000).set_fit_request(sample_weight=True)
    RIDGE = Ridge().set_fit_request(sample_weight=True)
# One small instance (a few iterations at most) for each code path; a new public estimator is added here.
INSTANCES = [
    GaussianTransport(),
    GaussianTransport(shrinkage=None),
    StationaryGaussianTransport(),
    StationaryGaussianTransport(smoothing=1),
    PatchTransport(transport=GaussianTransport(), n_patches=200),
    PatchTransport(transport=W2Transport(max_iter=3, network=Convex((8,)), plan_size=0), patch_size=2, n_patches=100),
    ImageTranslator(PatchTransport(transport=GaussianTransport(), n_patches=200)),
    ImageTranslator(None),
    ImageTranslator(None, statistics=False),
    DomainAdapter(GaussianTransport(), KNeighborsClassifier()),
    DomainAdapter(None, LOGISTIC),
    LabelAwareTransport(n_rounds=2),
    DomainAdapter(LabelAwareTransport(n_rounds=1), RIDGE),
    DomainAdapter(GaussianTransport(), LOGISTIC, proportions="estimate"),
    DomainAdapterCV([GaussianTransport()], LOGISTIC),
    DomainAdapterCV([GaussianTransport()], LOGISTIC, by_row=True),
    ClassifierFeatures(SMALL, max_iter=2, batch_size=8),
    DomainAdapter(GaussianTransport(), LOGISTIC, align="target"),
    DomainAdapter(GaussianTransport(), RIDGE),
    DomainAdapter(GaussianTransport(), RIDGE, align="target"),
    W2Transport(max_iter=3, network=Convex((8,))),
    W2Transport("w2gn", max_iter=3, network=Convex((8, 8), "softplus"), early_stopping=False),
    W2Transport("expectile", reg=0.5, max_iter=2, network=Convex((8,), rank=1), plan_size=0),
    W2TransportCV(W2Transport(max_iter=1, network=Convex((8,)), plan_size=0), regs=(0, 1), cv=2),
    LSOTTransport(max_iter=3, network=Dense((8,), "silu")),
    LSOTTransport("entropic", reg=0.5, max_iter=3, network=Dense((8, 8)), early_stopping=False),
    QCTransport(max_iter=3, network=Dense((8,), "celu")),
    SemiDiscreteTransport(tol=0.5, max_samples=2000, confidence=None),
    SemiDiscreteTransport("normal", cost=1.5, tol=0.5, max_samples=2000, smoothing=0.5, confidence=None),
    WpTransport(3, max_iter=3, network=Convex((8,))),
    WpTransport(1.5, max_iter=3, network=Convex((8, 8), "softplus"), early_stopping=False),
    W1Transport(n_axes=1),
    W1Transport(n_axes=2, confidence=None),
    W1Transport(max_iter=3, network=Dense((8,), "silu"), confidence=None),
    W1Transport("critic", max_iter=3, network=Dense((8,), "silu")),
    DomainAdapter(W2Transport(max_iter=3, network=Convex((8,))), LOGISTIC),
    SemiDiscreteOTGenerator(SMALL, max_iter=1, tol=1.0, n_fit_samples=100, n_fit_steps=3),
    SemiDiscreteOTGenerator(BOUNDED, max_iter=0, tol=1.0, n_fit_samples=100),
    WGANGenerator(**TINY),
    WGANGenerator("spectral-norm", **TINY, early_stopping=True, validation_fraction=0.5),
    WGANGenerator("spectral-norm", **{**TINY, "critic": Distances(4)}),
    WGANGenerator("clip", **{**TINY, "max_iter": 0}),
    CramerGAN(**TINY, instance_noise=0.1),
    MMDGAN(**TINY),
    WGANQC(**TINY),
    GAN(**TINY),
    FGAN(**{**TINY, "generator": BOUNDED}),
    TableGenerator(WGANGenerator(**TINY)),
    Autoencoder(network=SMALL, max_iter=3, batch_size=8),
    Autoencoder(1, network=BOUNDED, max_iter=1, early_stopping=False),
    W2Generator(transport=W2Transport(max_iter=3, network=Convex((8,)), plan_size=0)),
    W2Generator(GaussianMixture(), transport=W2Transport(max_iter=1, network=Convex((8,)), plan_size=0)),
    GenerativePipeline([("scale", StandardScaler()), ("generator", WGANGenerator(**TINY))]),
]


@pytest.mark.filterwarnings("ignore::sklearn_ot.exceptions.MissingTargetWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("routing", [False, True], ids=["routing off", "routing on"])
@parametrize_with_checks(INSTANCES)
def test_common_checks(estimator, check, routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        check(estimator)


PARTS = (transport, generation, representation, adaptation, vision)


def test_every_public_estimator_has_an_instance():
    public = [getattr(module, name) for module in PARTS for name in module.__all__]
    estimators = {thing for thing in public if isinstance(thing, type) and issubclass(thing, BaseEstimator)}
    # The checks have no pictures, which ColorTransfer needs.
    assert estimators == {*(type(instance) for instance in INSTANCES), ColorTransfer}


@pytest.mark.parametrize(
    "estimator",
    dict.fromkeys([*(type(instance) for instance in INSTANCES), ColorTransfer]),
    ids=lambda cls: cls.__name__,
)
def test_every_parameter_is_documented_with_its_default(estimator):
    text = sections(estimator)["parameters"]
    documented = {
        name: default
        for names, default in re.findall(r"^(\w[\w, ]*) : .*?(?:default=(.*))?$", text, flags=re.MULTILINE)
        for name in names.split(", ")
    }
    parameters = inspect.signature(estimator).parameters
    assert documented.keys() == parameters.keys()
    for name, parameter in parameters.items():
        if parameter.default is not parameter.empty and documented[name]:
            assert ast.literal_eval(documented[name]) == parameter.default

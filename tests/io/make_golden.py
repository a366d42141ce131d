"""Write the golden files of this version that are missing: `python -m tests.io.make_golden`. No file is changed.

Parts of scikit-learn are in files of skops, so write them with the lowest version of skops.
"""

import functools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_ot
from sklearn_ot import (
    FGAN,
    GAN,
    MMDGAN,
    WGANQC,
    Autoencoder,
    ClassifierFeatures,
    ColorTransfer,
    CramerGAN,
    DomainAdapter,
    DomainAdapterCV,
    GaussianTransport,
    GenerativePipeline,
    ImageTranslator,
    LabelAwareTransport,
    LSOTTransport,
    PatchTransport,
    QCTransport,
    SemiDiscreteOTGenerator,
    SemiDiscreteTransport,
    StationaryGaussianTransport,
    TableGenerator,
    W1Transport,
    W2Generator,
    W2Transport,
    W2TransportCV,
    WGANGenerator,
    WpTransport,
)
from sklearn_ot.adaptation.skada import TransportAdapter
from sklearn_ot.io import save
from sklearn_ot.networks import Convex, Dense
from tests.io.cases import outputs

GOLDEN = Path(__file__).parent / "golden"
SMALL = Dense((4,))
TINY = {"generator": SMALL, "critic": SMALL, "max_iter": 2, "batch_size": 8, "random_state": 0}
NEAREST = make_pipeline(StandardScaler(), KNeighborsClassifier(1))
MAP = W2Transport(max_iter=2, network=Convex((4,)), plan_size=0, random_state=0)
_rng = np.random.RandomState(0)
X, XT = _rng.normal(size=(24, 2)), _rng.normal(1, 2, size=(20, 2))
Y = np.where(X[:, 0] > 0, "positive", "other")
PICTURES = _rng.randint(0, 256, (3, 4, 4, 3)).astype(np.uint8)
GREY = [PICTURES[..., k].reshape(3, 16) / 255 for k in range(3)]
TABLE = pd.DataFrame({"kind": pd.Categorical(["a", "b", None] * 8), "word": ["one", "two"] * 12})
NAMED = functools.partial(pd.DataFrame, columns=["a", "b"])
# Estimators whose fit takes labels and a target.
TARGETED = (DomainAdapter, DomainAdapterCV, LabelAwareTransport)
# Estimators by the names of their files, the arguments of fit, and the rows for their methods.
CASES = {
    "gaussian": (GaussianTransport(), (X, XT), X),
    "w2": (MAP, (NAMED(X), NAMED(XT)), NAMED(X)),
    "lsot": (LSOTTransport(max_iter=2, network=SMALL, random_state=0), (X, XT), X),
    "qc": (QCTransport(max_iter=2, network=Dense((4,), "celu"), random_state=0), (X, XT), X),
    "wp": (WpTransport(3, max_iter=2, network=Convex((4,)), random_state=0), (X, XT), X),
    "w1": (W1Transport("critic", max_iter=2, network=Dense((4,), "silu"), confidence=None, random_state=0), (X, XT), X),
    "semi-discrete": (SemiDiscreteTransport(tol=0.5, max_samples=2000, confidence=None, random_state=0), (X, XT), X),
    "w2-cv": (W2TransportCV(MAP, regs=(0, 1), cv=2, random_state=0), (X, XT), X),
    "label-aware": (LabelAwareTransport(n_rounds=1), (X, Y), X),
    "stationary": (StationaryGaussianTransport((4, 4)), (GREY[0], GREY[1]), GREY[2]),
    "patches": (
        PatchTransport(transport=GaussianTransport(), n_patches=50, random_state=0),
        (GREY[0], GREY[1]),
        GREY[2],
    ),
    "pictures": (ImageTranslator(None, random_state=0), (PICTURES, PICTURES[::-1] // 2), PICTURES),
    "colours": (ColorTransfer(GaussianTransport(), random_state=0), (PICTURES[0], PICTURES[1]), PICTURES[0]),
    "wgan": (WGANGenerator(**TINY), (X, Y), X),
    "cramer": (CramerGAN(**TINY, match_moments=True), (X,), X),
    "gan": (GAN(**TINY), (X,), X),
    "fgan": (FGAN(**TINY), (X,), X),
    "mmd": (MMDGAN(**TINY), (X,), X),
    "wgan-qc": (WGANQC(**TINY), (X,), X),
    "w2-generator": (W2Generator(transport=MAP, random_state=0), (X,), X),
    "pipeline": (
        GenerativePipeline([("scale", StandardScaler()), ("sample", W2Generator(transport=MAP, random_state=0))]),
        (X,),
        X,
    ),
    "semi-discrete-generator": (
        SemiDiscreteOTGenerator(SMALL, max_iter=1, tol=1.0, n_fit_samples=100, n_fit_steps=3, random_state=0),
        (X,),
        X,
    ),
    "autoencoder": (Autoencoder(1, network=SMALL, max_iter=2, batch_size=8, random_state=0), (X,), X),
    "features": (ClassifierFeatures(SMALL, max_iter=2, batch_size=8, random_state=0), (X, Y), X),
    "table": (TableGenerator(WGANGenerator(**TINY), random_state=0), (TABLE,), TABLE),
    "adapter": (
        DomainAdapter(GaussianTransport(), make_pipeline(StandardScaler(), KNeighborsClassifier(1))),
        (X, Y),
        X,
    ),
    "adapter-cv": (
        DomainAdapterCV([GaussianTransport(), None], LogisticRegression()),
        (X, Y),
        X,
    ),
    "skada": (TransportAdapter(GaussianTransport()), (np.vstack([X, XT]), np.append(np.arange(24) % 2, [-1] * 20)), XT),
}


def main():
    folder = GOLDEN / ".".join(sklearn_ot.__version__.split(".")[:2])
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "outputs.npz"
    found = dict(np.load(stored)) if stored.exists() else {}
    for name, (estimator, arguments, rows) in CASES.items():
        file = folder / f"{name}.zip"
        if file.exists():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            params = {"X_target": XT} if isinstance(estimator, TARGETED) else {}
            estimator = clone(estimator).fit(*arguments, **params)
        save(estimator, file)
        found |= {f"{name}/{method}": values for method, values in outputs(estimator, rows).items()}
    np.savez_compressed(stored, **found)


if __name__ == "__main__":
    main()

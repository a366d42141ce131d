"""The search over λ of the benchmark of adaptation: does a search without labels of the target choose a good one?"""

import numpy as np
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_ot.adaptation import DomainAdapter, neighbor_consistency, transport_match, transported_source_accuracy
from sklearn_ot.networks import Convex
from sklearn_ot.transport import W2Transport

REGS = (0.0, 0.1, 1.0, 10.0)
SCORES = {"match": transport_match, "consistency": neighbor_consistency}


def load_moons(seed):
    """Two moons, and in the target again, bent and stretched; other numbers of rows, so that no fold splits both."""
    X, y = make_moons(500, noise=0.1, random_state=seed)
    target, labels = make_moons(400, noise=0.1, random_state=seed + 500)
    x, bent = target[:, 0], target[:, 1] + 0.3 * target[:, 0] ** 2
    target = np.column_stack([2 * x + 0.5 * target[:, 1] + 3, bent - 2])
    return X, y, target, target, labels


def search_regs(data, seed):
    """For each λ, the accuracy in the target of the adapter fitted to all rows, and which scores choose it."""
    X, y, X_target, X_test, y_test = data
    # Without held-out rows the map may overfit, so that λ matters.
    transport = W2Transport(
        max_iter=150, batch_size=64, network=Convex((32, 32)), early_stopping=False, random_state=seed
    )
    adapter = DomainAdapter(transport, make_pipeline(StandardScaler(), KNeighborsClassifier(1)))
    search = GridSearchCV(
        adapter,
        {"transport__reg": REGS},
        cv=KFold(3, shuffle=True, random_state=0),
        refit="match",
        scoring={**SCORES, "acc": transported_source_accuracy},
        error_score="raise",
    ).fit(X, y, X_target=X_target)
    cells = {}
    for index, reg in enumerate(REGS):
        fitted = clone(adapter).set_params(transport__reg=reg).fit(X, y, X_target=X_target)
        accuracy = float(np.mean(fitted.predict(X_test, domain="target") == y_test))
        by = [name for name in SCORES if np.argmax(search.cv_results_[f"mean_test_{name}"]) == index]
        cells[f"reg={reg:g}"] = {"accuracy": accuracy, "chosen": ", ".join(by)}
    return cells

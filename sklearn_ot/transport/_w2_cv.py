"""W2TransportCV: a W2Transport whose reg is chosen by the dual value on held-out rows of both samples."""

import math
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import ClassVar

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import draw_reference, warn_user
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.transport._convex import ConvexTransport
from sklearn_ot.transport._w2 import W2Transport, check_reg


@dataclass(eq=False, repr=False)
class W2TransportCV(ConvexTransport):
    r"""A `W2Transport` whose ``reg`` is chosen by cross-validation.

    Each candidate λ is fitted on all folds but one and scored on that one by `W2Transport.dual_value`, a lower bound
    of :math:`\tfrac12 W_2^2` that is highest for the optimal map,

    .. math:: \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2 - E\,\psi_\lambda(x) - E\,\psi_\lambda^*(y) .

    The λ with the best mean is fitted again on all rows; of equal ones, the largest. Source and target are split
    independently of each other, so that the rows of *both* that score a map are new to it. (A search such as
    `sklearn.model_selection.GridSearchCV` splits the source alone; a target of as many rows it cuts at the same
    places, and any other target is seen whole in training.)

    With few rows a pull towards the Gaussian map pays where that map is nearly right; where it is not, the best λ is
    0 or small.

    Parameters
    ----------
    transport : W2Transport, default=None
        The transport to tune, ``W2Transport()`` if None. It is cloned; its own ``reg`` is ignored.
    regs : array-like of shape (n_regs,), default=(0.0, 0.1, 1.0, 10.0)
        The candidates. Their meaning depends on the solver: see `W2Transport`. "w2gn" needs them above 0, and so
        other ones than the default.
    cv : int or cross-validation splitter, default=5
        How to split, each sample for itself: the number of shuffled folds, or a splitter such as
        `sklearn.model_selection.ShuffleSplit`, which sees rows without labels or groups.
    n_jobs : int, default=None
        Fits that run at the same time; None is 1, -1 as many as there are cores. Joblib shares the cores out among
        them: with one fit for each core, each has one thread. (Not for threads of one process: torch has one random
        state for all of them.)
    random_state : int, RandomState instance or None, default=None
        Seeds the folds, and the transport where its own ``random_state`` is None. All candidates see the same folds,
        initial weights and batches.
    verbose : int, default=0
        Verbosity of joblib.

    Attributes
    ----------
    reg_ : float
        The chosen λ.
    transport_ : W2Transport
        The transport with it, fitted on all rows.
    best_score_ : float
        Its mean dual value on held-out rows, in the squared units of the data.
    best_index_ : int
        Its place in ``regs``.
    cv_results_ : dict of ndarrays
        One entry for each candidate, named as in `sklearn.model_selection.GridSearchCV`: ``param_reg``,
        ``split0_test_score``, ..., ``mean_test_score``, ``std_test_score``, ``rank_test_score``, ``mean_fit_time``,
        ``std_fit_time``, ``mean_score_time``, ``std_score_time`` (in seconds). The spread over the folds is for the
        greater part that of the samples, which is the same for all candidates: to compare two, look at the
        differences fold by fold.
    n_splits_ : int
        Number of folds.
    potentials_ : Potentials
        The map of ``transport_`` as a frozen value, see `sklearn_ot.solvers.potentials`.
    wasserstein_distance_ : float
        That of ``transport_``.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Rows of the target that `score` compares with when it is given none.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if the source was given as a DataFrame.

    See Also
    --------
    W2Transport : The transport that is tuned.

    Notes
    -----
    The transport receives plain arrays, DataFrames included. A candidate of which a fit diverges has the score nan,
    with a warning; where all do, ``fit`` raises `~sklearn_ot.exceptions.DivergenceError`. Interrupted from the
    keyboard, the search ends with KeyboardInterrupt; once it has chosen, ``fit`` keeps the best map so far.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.transport import W2Transport, W2TransportCV
    >>> rng = np.random.RandomState(0)
    >>> Xs, Xt = rng.randn(60, 2), 2 * rng.randn(50, 2) + 1
    >>> short = W2Transport(max_iter=0)  # without steps all are the Gaussian map, and the largest reg is chosen
    >>> search = W2TransportCV(short, regs=[0, 1], cv=2, random_state=0).fit(Xs, Xt)
    >>> search.reg_, search.transform(Xs).shape, search.cv_results_["rank_test_score"]
    (1.0, (60, 2), array([1, 1], dtype=int32))
    """

    transport: W2Transport | None = None
    regs: Sequence[float] = (0.0, 0.1, 1.0, 10.0)
    _: KW_ONLY
    cv: object = 5
    n_jobs: int | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "transport": [W2Transport, None],
        "regs": ["array-like"],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split", "get_n_splits"])],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _fit(self, X, target, rng):
        regs = self._validate_regs()
        transport = clone(self.transport) if self.transport is not None else W2Transport()
        if transport.random_state is None:
            transport.set_params(random_state=rng.randint(2**31))
        candidates = [clone(transport).set_params(reg=reg) for reg in regs]
        for reg in regs:
            check_reg(transport.solver, reg)
        folds = self._split(X, rng, "X")
        # Of N(0, I) no rows are held out: every fit draws its own, and these score all of them.
        fresh = draw_reference(X, None, rng) if target is None else None
        target_folds = [(None, None)] * len(folds) if target is None else self._split(target, rng, "X_target")
        if len(target_folds) != len(folds):
            raise ValueError(
                f"cv={self.cv!r} makes {len(folds)} folds of X, but {len(target_folds)} of X_target. Give a splitter "
                "with a fixed number of folds, KFold(5) for example."
            )
        self.n_splits_ = len(folds)
        results = Parallel(n_jobs=self.n_jobs, verbose=self.verbose, prefer="processes")(
            delayed(_fit_and_score)(
                clone(candidate),
                X[train],
                X[test],
                None if target is None else target[target_train],
                fresh if target is None else target[target_test],
            )
            for candidate in candidates
            for (train, test), (target_train, target_test) in zip(folds, target_folds, strict=True)
        )
        self.cv_results_ = _tabulate(regs, np.reshape(results, (len(regs), len(folds), 3)))
        scores = self._finite_scores(regs)
        self.best_index_ = int(max(range(len(regs)), key=lambda index: (scores[index], regs[index])))
        self.best_score_ = float(scores[self.best_index_])
        self.reg_ = float(regs[self.best_index_])
        self.transport_ = transport.set_params(reg=self.reg_).fit(X, X_target=target)
        self.wasserstein_distance_ = self.transport_.wasserstein_distance_

    def _finite_scores(self, regs):
        """The mean scores, minus infinity where a fit diverged."""
        diverged = np.isnan(self.cv_results_["mean_test_score"])
        if diverged.all():
            raise DivergenceError(f"Fits with every one of regs={self.regs!r} diverged. Lower the learning_rate.")
        if diverged.any():
            warn_user(
                f"Fits with reg in {regs[diverged].tolist()} diverged; their scores are nan, and they are not chosen.",
                FitFailedWarning,
            )
        return np.where(diverged, -np.inf, self.cv_results_["mean_test_score"])

    def _validate_regs(self):
        try:
            regs = np.asarray(self.regs, dtype=float)
        except (TypeError, ValueError):
            regs = np.empty(0)
        if regs.ndim != 1 or not len(regs) or not np.all((regs >= 0) & np.isfinite(regs)):
            raise ValueError(
                f"regs must be one or more finite numbers, none negative, got {self.regs!r}. "
                "Give for example (0.0, 0.1, 1.0)."
            )
        return regs

    def _split(self, sample, rng, name):
        cv = self.cv
        if isinstance(cv, Integral):
            cv = KFold(cv, shuffle=True, random_state=rng.randint(2**31))
        try:
            folds = list(cv.split(sample))
        # A TypeError where the splitter cannot do without labels.
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name}, of {len(sample)} rows, cannot be split by cv={self.cv!r}: {str(error).rstrip('.')}. "
                "Give more rows, a smaller cv, or a splitter that needs neither labels nor groups."
            ) from error
        if min(len(train) for train, _ in folds) < 2:
            raise ValueError(
                f"{name} has {len(sample)} rows, and cv={self.cv!r} leaves less than the 2 rows that a fit needs. "
                "Give more rows."
            )
        return folds

    @property
    def potentials_(self):
        """The map of ``transport_`` as a frozen value, see `sklearn_ot.solvers.potentials`."""
        check_is_fitted(self)
        return self.transport_.potentials_


def _fit_and_score(transport, X, X_test, target, target_test):
    """The dual value of a fit on other rows, nan if the fit diverged, and the seconds to fit and to score."""
    start = time.perf_counter()
    try:
        transport.fit(X, X_target=target)
    except DivergenceError:
        return math.nan, time.perf_counter() - start, 0.0
    if transport.net_.interrupted_:
        raise KeyboardInterrupt
    fitted = time.perf_counter()
    return transport.dual_value(X_test, target_test), fitted - start, time.perf_counter() - fitted


def _tabulate(regs, results):
    """``cv_results_`` of an array of shape (n_regs, n_splits, 3): scores, times to fit, times to score."""
    scores, *times = np.moveaxis(results, 2, 0)
    table = {"param_reg": regs, "params": [{"reg": float(reg)} for reg in regs]}
    for name, seconds in zip(("fit_time", "score_time"), times, strict=True):
        table[f"mean_{name}"], table[f"std_{name}"] = seconds.mean(axis=1), seconds.std(axis=1)
    table |= {f"split{i}_test_score": column for i, column in enumerate(scores.T)}
    table["mean_test_score"], table["std_test_score"] = scores.mean(axis=1), scores.std(axis=1)
    ranked = np.nan_to_num(table["mean_test_score"], nan=-np.inf)
    table["rank_test_score"] = rankdata(-ranked, method="min").astype(np.int32)
    return table

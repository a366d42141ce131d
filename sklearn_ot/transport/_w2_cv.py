"""W2TransportCV: a W2Transport with reg chosen by the dual value on held-out rows of both samples."""

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from os import PathLike
from typing import ClassVar

import numpy as np
from joblib import effective_n_jobs
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, check_cv
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import CHECKPOINT, documented, draw_reference, warn_user
from sklearn_ot.checkpoints import current_checkpoint, using
from sklearn_ot.checks import check_weight
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets import progress_bar
from sklearn_ot.objectives.solvers import check_reg
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport._convex import ConvexTransport
from sklearn_ot.transport._w2 import W2Transport

# Warnings of fits that the last fit, on all rows, repeats.
WARNINGS_OF_DATA = "The target varies where|The numbers of .* are tiny|Some rows are far out"


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class W2TransportCV(ConvexTransport):
    r"""A `W2Transport` with ``reg`` chosen by cross-validation.

    Each candidate λ is fitted on all folds but one, and its score on this fold is `W2Transport.dual_value`, a lower
    bound of :math:`\tfrac12 W_2^2` that is highest for the optimal map,

    .. math:: \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2 - E\,\psi_\lambda(x) - E\,\psi_\lambda^*(y) .

    The λ with the best mean score, or the largest of several, is fitted again on all rows. Source and target are split
    independently, so that a map is scored on new rows of *both* samples. (A search such as
    `sklearn.model_selection.GridSearchCV` splits only the source. It also splits a target with the same number of rows,
    at the same indices; with any other number of rows the whole target is used for training.)

    With few rows, a large λ is best if the Gaussian map is nearly right, and a small one or 0 if it is not.

    Parameters
    ----------
    transport : W2Transport, default=None
        The transport, ``W2Transport()`` if None. It is cloned; its own ``reg`` is ignored.
    regs : array-like of shape (n_regs,), default=(0.0, 0.1, 1.0, 10.0)
        The candidates. Their meaning depends on the solver, see `W2Transport`. The solver "w2gn" needs candidates above
        0, unlike the default.
    cv : int, cross-validation splitter or list of splits, default=5
        The number of shuffled folds, or a splitter such as `sklearn.model_selection.ShuffleSplit`, which gets rows
        without labels or groups. It splits each sample separately; rows of weight 0 are left out before. A list of
        pairs of arrays, the indices of training and test rows, splits the source, and needs a fit without a target.
    n_jobs : int, default=None
        Number of fits that run at the same time; None is 1, -1 is the number of cores. Joblib divides the cores among
        the fits: with one fit for each core, each fit has one thread. (Threads of one process save no time, because
        fits in them take turns.)
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds the folds, and the transport if its own ``random_state`` is None. All candidates have the same folds,
        initial weights and batches.
    verbose : int, default=0
        Whether to show a progress bar over the fits of all candidates and folds; above 1 with the messages of joblib.

    Attributes
    ----------
    reg_ : float
        The chosen λ.
    transport_ : W2Transport
        The transport with the chosen λ, fitted on all rows.
    best_score_ : float
        Mean dual value of the chosen λ on held-out rows, in squared units of the data.
    best_index_ : int
        Index of the chosen λ in ``regs``.
    cv_results_ : dict of ndarrays
        One entry for each candidate, named as in `sklearn.model_selection.GridSearchCV`: ``param_reg``,
        ``split0_test_score``, ..., ``mean_test_score``, ``std_test_score``, ``rank_test_score``, ``mean_fit_time``,
        ``std_fit_time``, ``mean_score_time``, ``std_score_time`` (in seconds). Most of the spread over the folds comes
        from the samples and is the same for all candidates: compare two candidates by their differences in each fold.
    n_splits_ : int
        Number of folds.
    potentials_ : Potentials
        The map of ``transport_`` as a frozen value, see `sklearn_ot.solvers.potentials`.
    wasserstein_distance_ : float
        The distance of ``transport_``.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    W2Transport : The transport with a given ``reg``.

    Notes
    -----
    The transport receives plain arrays, also if ``fit`` gets DataFrames. If a fit of a candidate diverges, its score is
    nan, and a warning says so. If fits of all candidates diverge, ``fit`` raises
    `~sklearn_ot.exceptions.DivergenceError`. An interruption from the keyboard ends the search with KeyboardInterrupt;
    during the last fit, with the chosen λ, ``fit`` keeps the best map so far.

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
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "transport": [W2Transport, None],
        "regs": ["array-like"],
        "cv": [Interval(Integral, 2, None, closed="left"), HasMethods(["split", "get_n_splits"]), list],
        "n_jobs": [Integral, None],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _samples(self, X, target, sample_weight, target_weight):
        source, target = super()._samples(X, target, sample_weight, target_weight)
        if _is_list(self.cv) and len(source.rows) < len(X):
            # The splits have the numbers of all rows, also of those without weight.
            source = Sample(X, check_weight(sample_weight, len(X)), source.size)
        return source, target

    def _fit(self, source, target, rng):
        regs = self._validate_regs()
        transport = clone(self.transport) if self.transport is not None else W2Transport()
        if transport.random_state is None:
            transport.set_params(random_state=rng.randint(2**31))
        candidates = [clone(transport).set_params(reg=reg) for reg in regs]
        for reg in regs:
            check_reg(transport.solver, reg)
        source, target = _counted(source), _counted(target)
        folds = self._folds(source, target, rng)
        self.n_splits_ = len(folds)
        results = self._fit_all([(clone(candidate), *fold) for candidate in candidates for fold in folds])
        self.cv_results_ = _tabulate(regs, np.reshape(results, (len(regs), len(folds), 3)))
        scores = self._finite_scores(regs)
        self.best_index_ = int(max(range(len(regs)), key=lambda index: (scores[index], regs[index])))
        self.best_score_ = float(scores[self.best_index_])
        self.reg_ = float(regs[self.best_index_])
        self.transport_ = transport.set_params(reg=self.reg_).fit(**_fit_arguments(source, target))
        self.wasserstein_distance_ = self.transport_.wasserstein_distance_

    def _fit_all(self, tasks):
        """The scores and the times of all fits; those in the checkpoint are not repeated."""
        checkpoint, title = current_checkpoint(), f"{type(self).__name__}, folds"
        options = {"n_jobs": self.n_jobs, "verbose": max(self.verbose - 1, 0), "prefer": "processes"}
        parallel = Parallel(**options, return_as="generator")
        if checkpoint is None:
            runs = parallel(delayed(_fit_and_score)(*task) for task in tasks)
            return list(progress_bar(title, len(tasks), "fit", self.verbose, runs))
        parts = [checkpoint.begin() for _ in tasks]
        left = [(part, task) for part, task in zip(parts, tasks, strict=True) if not part.is_done]
        # Only this process writes the file.
        is_alone = effective_n_jobs(self.n_jobs) == 1
        runs = parallel(delayed(_fit_within)(part.inner() if is_alone else None, task) for part, task in left)
        runs = progress_bar(title, len(left), "fit", self.verbose, runs)
        fresh = {}
        for (part, _), result in zip(left, runs, strict=True):
            part.finish({"result": list(result)})
            fresh[part] = result
        return [fresh[part] if part in fresh else part.content["result"] for part in parts]

    def _folds(self, source, target, rng):
        """Training and test samples of all folds: for each, those of the source and those of the target."""
        folds = [_parts(source, fold) for fold in self._split(source.rows, rng, "X")]
        if target is None:
            # No rows of N(0, I) are held out: every fit draws its own, and all maps are scored on these rows.
            fresh = Sample.of(draw_reference(source.rows, None, rng))
            return [(train, test, None, fresh) for train, test in folds]
        if _is_list(self.cv):
            raise ValueError("cv is a list of splits of X, and cannot split X_target as well: give a splitter.")
        target_folds = [_parts(target, fold) for fold in self._split(target.rows, rng, "X_target")]
        if len(target_folds) != len(folds):
            raise ValueError(
                f"cv={self.cv!r} makes {len(folds)} folds of X, but {len(target_folds)} of X_target. Give a splitter "
                "with a fixed number of folds, KFold(5) for example."
            )
        return [(*fold, *target_fold) for fold, target_fold in zip(folds, target_folds, strict=True)]

    def _finite_scores(self, regs):
        """The mean scores, with minus infinity if a fit diverged."""
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
        cv = check_cv(self.cv)
        if isinstance(self.cv, Integral):
            cv = KFold(self.cv, shuffle=True, random_state=rng.randint(2**31))
        try:
            folds = list(cv.split(sample))
        # A splitter that needs labels raises a TypeError.
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


def _is_list(cv):
    """Whether ``cv`` is a list of splits and no splitter."""
    return not isinstance(cv, Integral) and not hasattr(cv, "split")


def _counted(sample):
    """A sample with the sum of its weights equal to its size, so that numbers of equal rows are integers."""
    if sample is None or (sample.weight is None and sample.size == len(sample.rows)):
        return sample
    return sample._replace(weight=sample.count)


def _parts(sample, fold):
    """The training and the test sample of a fold."""
    rows, weight, _ = sample
    return [Sample(rows[part], None if weight is None else weight[part], len(part)) for part in fold]


def _fit_arguments(source, target):
    """The arguments of ``fit`` for two samples, of which the target may be None."""
    arguments = {"X": source.rows, "sample_weight": source.weight}
    return arguments if target is None else {**arguments, "X_target": target.rows, "target_weight": target.weight}


def _fit_and_score(transport, source, source_test, target, target_test):
    """Fit a transport; return its dual value on other rows (nan if it diverged) and the seconds to fit and to score."""
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", WARNINGS_OF_DATA)
            transport.fit(**_fit_arguments(source, target))
    except DivergenceError:
        return math.nan, time.perf_counter() - start, 0.0
    if transport.net_.interrupted_:
        raise KeyboardInterrupt
    fitted = time.perf_counter()
    weights = {"sample_weight": source_test.weight, "target_weight": target_test.weight}
    value = transport.dual_value(source_test.rows, target_test.rows, **weights)
    return value, fitted - start, time.perf_counter() - fitted


def _fit_within(checkpoint, task):
    """The same as a part of a fit with a checkpoint."""
    with using(checkpoint):
        return _fit_and_score(*task)


def _tabulate(regs, results):
    """Make ``cv_results_`` of an array of shape (n_regs, n_splits, 3) with scores, times to fit and times to score."""
    scores, *times = np.moveaxis(results, 2, 0)
    table = {"param_reg": regs, "params": [{"reg": float(reg)} for reg in regs]}
    for name, seconds in zip(("fit_time", "score_time"), times, strict=True):
        table[f"mean_{name}"], table[f"std_{name}"] = seconds.mean(axis=1), seconds.std(axis=1)
    table |= {f"split{i}_test_score": column for i, column in enumerate(scores.T)}
    table["mean_test_score"], table["std_test_score"] = scores.mean(axis=1), scores.std(axis=1)
    ranked = np.nan_to_num(table["mean_test_score"], nan=-np.inf)
    table["rank_test_score"] = rankdata(-ranked, method="min").astype(np.int32)
    return table

"""TableGenerator: any generator, for tables with columns of any type."""

from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from os import PathLike
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, _fit_context, clone
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, column_or_1d
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import (
    CHECKPOINT,
    MAX_REFERENCE_ROWS,
    DocumentationLink,
    all_or_nothing,
    documented,
    frame_library,
    random_source,
    resumable,
)
from sklearn_ot.checks import check_n_samples, check_weight
from sklearn_ot.generation._classes import Classes
from sklearn_ot.generation._columns import Column
from sklearn_ot.generation._entries import plain_names, restored_names
from sklearn_ot.generation._wgan import WGANGenerator
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.plain import PlainState
from sklearn_ot.settings import OwnSettings
from sklearn_ot.solvers.chunks import CHUNK_ROWS

# Rows of the sample that the columns are calibrated with.
CALIBRATION_ROWS = 16_384
# Rows of a class are drawn from all rows. No more rows are drawn than this multiple of the rows that should be needed.
MAX_EXCESS = 20


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class TableGenerator(DocumentationLink, PlainState, OwnSettings, MetaEstimatorMixin, BaseEstimator):
    r"""A generator of tables: columns of any type, missing entries and values that occur often.

    A generator of this package learns a distribution of numbers with a density. Here each column of the table becomes
    one or more columns of numbers, the generator learns their joint distribution, and each sample becomes a row with
    the columns and types of the training table:

    * A column of numbers or times becomes normal scores of its ranks, so neither its unit nor a few far values matter.
      Samples lie between the smallest and the largest training value. Whole numbers stay whole, days stay days, prices
      keep two decimals: a column stays on the coarsest grid that has all its training values.
    * A number whose mass is at least ``atom_share``, for example the 92 % zeros of a column, is a category beside all
      other numbers of its column.
    * Categories (strings, bool, categories of pandas, all other objects) become points with noise around them. Missing
      entries are a category of their column, so they depend on the other columns as the generator learns it.

    A generator is not exact. So the columns are calibrated after its training, with one large sample: numbers pass
    through a monotone map, categories are those of the optimal transport to the points of the categories. Then the
    masses of categories, atoms and missing entries and the distribution of each column are those of the training rows.
    Only the dependence between columns is left to the generator.

    Parameters
    ----------
    generator : generator, default=None
        The generator of the numbers; the estimator fits a clone of it. None is ``WGANGenerator(max_iter=2000)``. If its
        ``random_state`` is None, it gets a seed from that of the estimator.
    atom_share : float, default=0.05
        The mass from which on a number is a category.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds the noise, the generator and the rows that `fit_resample` adds. With None each fit has a new seed. The
        global random states of NumPy and PyTorch are neither read nor changed.

    Attributes
    ----------
    generator_ : generator
        The fitted generator.
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted, if ``fit`` got classes.
    n_features_in_ : int
        Number of columns of the table.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if the table is a DataFrame.

    See Also
    --------
    WGANGenerator : A generator for the Wasserstein-1 distance.

    Notes
    -----
    Tables are DataFrames of pandas or polars, or arrays. An array of objects may hold numbers in some columns and
    strings in others.

    Nothing bounds how near samples are to training rows. The default is for thousands of rows. With few, train the
    generator for fewer rounds: on 124 rows of wine, 22 % of the samples of the default were nearer to a training row
    than 95 % of new rows are, but 5 % with ``WGANGenerator(max_iter=500)``. `sklearn_ot.metrics.copying` measures this.
    A category is always one of the training rows, so a column of names or numbers of persons must be dropped before.

    Examples
    --------
    >>> from sklearn_ot.datasets import make_mixed_table
    >>> from sklearn_ot.generation import TableGenerator, WGANGenerator
    >>> X = make_mixed_table(500, random_state=0)
    >>> table = TableGenerator(WGANGenerator(max_iter=50), random_state=0).fit(X)
    >>> samples = table.sample(1000, random_state=0)
    >>> bool((samples.dtypes == X.dtypes).all())
    True
    >>> bool(abs((samples["capital_gain"] == 0).mean() - (X["capital_gain"] == 0).mean()) < 0.02)
    True
    """

    generator: object = None
    _: KW_ONLY
    atom_share: float = 0.05
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict] = {
        "generator": [HasMethods(["fit", "sample"]), None],
        "atom_share": [Interval(Real, 0, None, closed="neither")],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
    }

    # The generator validates its own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the distribution of the rows of a table.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Training rows; entries may be missing.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows. If given, they are one more column for the generator, and `sample` draws rows of a
            given class.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a column, the classes, the weights or a parameter are unusable; the message names the column. The
            estimator then keeps its previous state.
        """
        with all_or_nothing(self):
            X = self._validated(X, reset=True)
            y = None if y is None else column_or_1d(y, warn=True)
            check_consistent_length(X, y)
            weight = check_weight(sample_weight, len(X))
            used = np.flatnonzero(weight)
            if len(used) < 2:
                raise ValueError(f"sample_weight is positive on {len(used)} of {len(X)} rows; 2 or more are needed.")
            self._classes, index = Classes.of(y, len(X), weight)
            columns = [_safe_indexing(column, used) for column in _columns(X)]
            labels = [index[used]] if len(self._classes) else []
            rng = random_source(self.random_state)
            weights = {} if sample_weight is None else {"sample_weight": weight[used]}
            with resumable(self, rng, X, y, sample_weight):
                self._fit(columns, labels, weight[used], weights, rng)
            self._seed, self._empty = rng.randint(2**31), X[:0]
            self.__dict__.pop("classes_", None)
            if labels:
                self.classes_ = self._classes.names
        return self

    def _fit(self, columns, labels, weight, weights, rng):
        self._columns = []
        for name, column in zip(self._names(), columns, strict=True):
            with _column_named(name):
                self._columns.append(Column(column, weight, self.atom_share, rng))
        self._columns += [Column(column, weight, 0, rng) for column in labels]
        generator = WGANGenerator(max_iter=2000) if self.generator is None else clone(self.generator)
        if generator.get_params().get("random_state", 0) is None:
            generator.set_params(random_state=rng.randint(2**31))
        Z = self._encode([*columns, *labels], rng)
        # Generators scale each column. Rare categories would be far from all others, so that columns are mixed first.
        self._rotation = np.linalg.qr(rng.standard_normal((Z.shape[1], Z.shape[1])))[0]
        self.generator_ = generator.fit(Z @ self._rotation, **weights)
        drawn = self._draw(CALIBRATION_ROWS, np.random.RandomState(rng.randint(2**31)))
        for column, block in zip(self._columns, self._blocks(drawn), strict=True):
            column.calibrate(block)

    def sample(self, n_samples=1, random_state=None, *, y=None):
        """Draw new rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Draws the rows. With an int, each call gives the same rows. With None, each call gives new rows, and NumPy's
            global random state is neither read nor changed.
        y : label or array-like of shape (n_samples,), default=None
            The class of all rows, or of each row, if ``fit`` got classes. If None, rows of all classes are drawn.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_samples, n_features)
            The rows, with the columns and types of the training table.
        """
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng = random_source(random_state)
        if y is None:
            return self._decode(self._draw(n_samples, rng))
        if not len(self._classes):
            raise ValueError("sample got y, but fit got no classes: fit(X, y) learns them.")
        index = self._classes.index(y, n_samples)
        Z = np.empty((n_samples, self._n_columns().sum()))
        for k in np.unique(index):
            Z[index == k] = self._draw_class(k, np.count_nonzero(index == k), rng)
        return self._decode(Z)

    def fit_resample(self, X, y):
        """Fill all classes up to the size of the largest with new rows.

        The generator is fitted with the classes, all of the same weight. Use ``sample(n, y=...)`` for other numbers of
        rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Training rows; entries may be missing.
        y : array-like of shape (n_samples,)
            Classes of the rows.

        Returns
        -------
        X : DataFrame or ndarray of shape (n_new_samples, n_features)
            The training rows in their order, then the new rows.
        y : Series or ndarray of shape (n_new_samples,)
            Their classes.
        """
        labels = column_or_1d(y)
        self.fit(X, labels, compute_sample_weight("balanced", labels))
        counts = np.bincount(self._classes.index(labels, len(labels)))
        new = np.repeat(self._classes.names, counts.max() - counts)
        X = self._validated(X, reset=False)
        if not len(new):
            return X, y
        return _joined(X, self.sample(len(new), self._seed, y=new)), _joined(
            y if type(y).__name__ == "Series" else labels, new
        )

    def score(self, X, y=None, sample_weight=None):
        """Minus the squared sliced Wasserstein-2 distance between a sample and ``X``, in the units of the generator.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Rows of the data, if possible rows that were not in ``fit``. Values out of the range of the training rows
            count as its ends, and new categories as the mean of all.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows. If ``fit`` got classes, they are one more column.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Minus the squared distance; higher is better. The sample, the noise and the projections are fixed, so equal
            arguments give equal scores.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        check_consistent_length(X, y)
        weight = check_weight(sample_weight, len(X))
        labels = [] if y is None or not len(self._classes) else [self._classes.index(y, len(X))]
        rng = np.random.RandomState(0)
        blocks = self._blocks(self._draw(MAX_REFERENCE_ROWS, rng))[: self.n_features_in_ + len(labels)]
        drawn = [column.decode(block) for column, block in zip(self._columns, blocks, strict=False)]
        rows, drawn = self._encode([*_columns(X), *labels], rng), self._encode(drawn, rng)
        return -(sliced_wasserstein_distance(drawn, rows, target_weight=weight, random_state=0) ** 2)

    def _validated(self, X, reset):
        table = X
        if frame_library(X) is None:
            table = check_array(X, dtype=None, ensure_all_finite=False, estimator=self)
        validate_data(self, X, reset=reset, skip_check_array=True)
        if len(table) < 1 + reset or not self.n_features_in_:
            raise ValueError(
                f"X has {len(table)} rows (n_samples = {len(table)}) and {self.n_features_in_} columns; "
                f"{1 + reset} rows and 1 column or more are needed."
            )
        return table

    def _names(self):
        return getattr(self, "feature_names_in_", range(self.n_features_in_))

    def _n_columns(self):
        return np.array([column.n_columns for column in self._columns])

    def _blocks(self, Z):
        """The numbers of each column of the table."""
        return np.split(Z, np.cumsum(self._n_columns())[:-1], axis=1)

    def _encode(self, columns, rng):
        blocks = []
        for name, column, entries in zip([*self._names(), "y"], self._columns, columns, strict=False):
            with _column_named(name):
                blocks.append(column.encode(entries, rng))
        return np.hstack(blocks)

    def _draw(self, n_rows, rng):
        return np.asarray(self.generator_.sample(n_rows, random_state=rng), dtype=np.float64) @ self._rotation.T

    def _draw_class(self, k, n_rows, rng):
        """Rows of numbers of a class, drawn from all rows."""
        found, n_needed = [], n_rows / self._classes.prior[k]
        for _ in range(MAX_EXCESS * (1 + int(n_needed / CHUNK_ROWS))):
            Z = self._draw(CHUNK_ROWS, rng)
            is_found = self._columns[-1].decode(self._blocks(Z)[-1]) == k
            found.append(Z[is_found])
            if sum(map(len, found)) >= n_rows:
                return np.concatenate(found)[:n_rows]
        raise ValueError(f"The generator hardly gives rows of the class {self._classes.names[k]!r}; train it longer.")

    def _decode(self, Z):
        """Rows with the columns and types of the training table."""
        columns = [column.decode(block) for column, block in zip(self._columns, self._blocks(Z), strict=True)]
        columns = columns[: self.n_features_in_]
        if isinstance(self._empty, np.ndarray):
            return np.stack(columns, axis=1)
        if hasattr(self._empty, "iloc"):
            columns = [column.reset_index(drop=True) for column in columns]
        # Names may be tuples, so that they are set afterwards.
        X = type(self._empty)({str(j): column for j, column in enumerate(columns)})
        X.columns = self._empty.columns
        return X

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "_empty": plain_names(self._empty)} if "_empty" in state else state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "_empty" in state:
            self._empty = restored_names(self._empty)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_empty")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def _columns(X):
    return [_safe_indexing(X, j, axis=1) for j in range(X.shape[1])]


def _joined(first, second):
    """The rows of both, in the type of the first."""
    if isinstance(first, np.ndarray):
        return np.concatenate([first, second])
    if hasattr(first, "iloc"):
        import pandas as pd

        if first.ndim == 1:
            second = pd.Series(second, name=first.name).astype(first.dtype)
        return pd.concat([first, second], ignore_index=True)
    import polars as pl

    if isinstance(first, pl.Series):
        second = pl.Series(first.name, second, dtype=first.dtype)
    return pl.concat([first, second])


@contextmanager
def _column_named(name):
    """Name the column in errors."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"The column {name!r} cannot be used: {error}.") from error

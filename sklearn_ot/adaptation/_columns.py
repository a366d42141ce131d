"""The columns of a table that a transport moves, and those that pass through."""

from importlib import import_module
from typing import NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing, check_array
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils.validation import _get_feature_names, validate_data

from sklearn_ot.base import FLOAT_DTYPES, frame_library, names_of, warn_user

# A few columns are all of a squared distance if they have this share of the variance, and are no more than this share
# of the columns.
LARGE_SHARE, FEW_COLUMNS = 0.99, 0.2


class Table(NamedTuple):
    """Rows of a table: numbers for a transport, and the table around them.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, n_columns)
        The columns that a transport moves, as floats.
    whole : DataFrame or ndarray of shape (n_samples, n_features)
        The table.
    columns : ndarray of shape (n_columns,)
        Positions of the moved columns in the table, in ascending order.
    """

    rows: np.ndarray
    whole: object
    columns: np.ndarray

    def with_rows(self, rows):
        """The table with ``rows`` in the place of the moved columns: a DataFrame if it was one, with its names."""
        rest = np.setdiff1d(np.arange(self.whole.shape[1]), self.columns)
        library = frame_library(self.whole)
        if library is None:
            if not len(rest):
                return rows
            whole = self.whole.astype(np.result_type(self.whole, rows))
            whole[:, self.columns] = rows
            return whole
        names = _safe_indexing(self.whole, self.columns, axis=1).columns
        moved = library.create_container(rows, self.whole, columns=names)
        if not len(rest):
            return moved
        joined = library.hstack([moved, _safe_indexing(self.whole, rest, axis=1)])
        return _safe_indexing(joined, np.argsort(np.concatenate([self.columns, rest])), axis=1)

    @classmethod
    def stack(cls, tables):
        """One table with the rows of several tables, which have the same columns."""
        rows = np.concatenate([table.rows for table in tables])
        wholes = [table.whole for table in tables]
        if len({frame_library(whole) for whole in wholes}) > 1:
            raise ValueError("The sources are DataFrames of different kinds, or some are arrays: give one kind.")
        library = frame_library(wholes[0])
        # Libraries of DataFrames have a function of this name.
        concat = np.concatenate if library is None else import_module(library.container_lib).concat
        return cls(rows, rows if wholes[0] is tables[0].rows else concat(wholes), tables[0].columns)


def read_table(adapter, X, *, reset=False, min_samples=None):
    """Validate rows that are given to a `DomainAdapter`.

    Parameters
    ----------
    adapter : DomainAdapter
        The adapter; its attributes about features are set if ``reset`` is True, and compared with ``X`` if not.
    X : array-like of shape (n_samples, n_features)
        The rows.
    reset : bool, default=False
        Whether these are the rows of the first source of a fit.
    min_samples : int, default=None
        Smallest number of rows; if None, 2 for a fit and else 1.

    Returns
    -------
    table : Table
        The rows.
    """
    checks = {"dtype": FLOAT_DTYPES, "ensure_min_samples": min_samples or (2 if reset else 1)}
    if adapter.columns is None:
        try:
            rows = validate_data(adapter, X, reset=reset, **checks)
        except ValueError as error:
            if frame_library(X) is None or "could not convert" not in str(error):
                raise
            raise ValueError(
                f"{error}. A transport moves numbers: name the columns to move, DomainAdapter(..., columns=[...]); the "
                "other columns pass through to the estimator."
            ) from error
        extractor = getattr(adapter, "feature_extractor_", None)
        if extractor is not None:
            rows = features_of(extractor, rows)
            return Table(rows, rows, np.arange(rows.shape[1]))
        return Table(rows, rows if frame_library(X) is None else X, np.arange(rows.shape[1]))
    validate_data(adapter, X, reset=reset, skip_check_array=True)
    whole = as_table(X)
    if reset:
        adapter.columns_ = select_columns(adapter.columns, whole)
    rows = check_array(
        _safe_indexing(whole, adapter.columns_, axis=1), estimator=adapter, input_name="X[columns]", **checks
    )
    return Table(rows, whole, adapter.columns_)


def features_of(extractor, rows):
    """Features of rows, as an array of floats, in float64 unless the extractor returns float32."""
    features = np.asarray(extractor.transform(rows))
    return features if features.dtype in FLOAT_DTYPES else features.astype(np.float64)


def read_target(adapter, X_target, source):
    """The moved columns of the target rows of a fit, as an array of the dtype of those of the source, a `Table`."""
    checks = {"dtype": source.rows.dtype, "ensure_min_samples": 2}
    try:
        if adapter.columns is None:
            return validate_data(adapter, X_target, reset=False, **checks)
        columns = adapter.columns_
        if frame_library(X_target) is None:
            validate_data(adapter, X_target, reset=False, skip_check_array=True)
        elif (names := _get_feature_names(source.whole)) is not None:
            # The estimator never sees these rows, so other columns may be absent or in another order.
            columns = _positions(X_target, list(names[columns]))
        moved = _safe_indexing(as_table(X_target), columns, axis=1)
        return check_array(moved, estimator=adapter, input_name="X_target", **checks)
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X_target, the unlabelled target rows, cannot be used with this source: {error}") from error


def warn_units(adapter, source):
    """Warn if the transport will move the rows of the source, a `Table`, by a few columns in large units only."""
    # Divided by the largest number, because the squares of huge ones would overflow.
    sizes = np.abs(source.rows).max(axis=0, initial=0)
    variances = np.var(source.rows / (sizes.max() or 1), axis=0, dtype=np.float64)
    varying = np.flatnonzero(variances)
    order = varying[np.argsort(-variances[varying], kind="stable")]
    few = max(1, int(FEW_COLUMNS * len(order)))
    share = variances[order[:few]].sum() / (variances.sum() or 1)
    if len(order) == few or share < LARGE_SHARE:
        return
    n_large = 1 + int(np.searchsorted(np.cumsum(variances[order]), LARGE_SHARE * variances.sum()))
    large = np.sort(source.columns[order[:n_large]])
    verb = "has" if n_large == 1 else "have"
    warn_user(
        f"The transport moves rows by {names_of(adapter, large)} and hardly sees the others, because the former {verb} "
        f"{100 * share:.3g} % of the variance of X. If that is only due to the units, divide the columns of X and "
        "X_target by the same numbers, such as the standard deviations of X."
    )


def as_table(X):
    """``X`` if it is a DataFrame, else an array of numbers or objects."""
    if frame_library(X) is not None:
        return X
    X = check_array(X, dtype=None, ensure_all_finite=False)
    return X if X.dtype.kind in "biuf" else X.astype(object)


def _positions(table, selection):
    """Positions of selected columns. The error names the column that is missing, in scikit-learn before 1.9 too."""
    try:
        return _get_column_indices(table, selection)
    except ValueError as error:
        cause = str(error.__cause__ or "")
        raise ValueError(str(error) if cause in str(error) else f"{error}: {cause}") from error


def select_columns(columns, table):
    """Positions of the selected columns in ascending order; ``columns`` is as in a ColumnTransformer."""
    selection = columns(table) if callable(columns) else columns
    positions = np.unique(_positions(table, selection)).astype(int)
    if not len(positions):
        raise ValueError(f"columns={columns!r} selects no column of X, so there is nothing to move.")
    return positions

"""Columns of pandas and polars as plain values, and back."""

import io

import numpy as np

LIBRARY = "library"


def is_polars(column):
    """Whether a column is a Series of polars, which need not be installed."""
    return hasattr(column, "is_null")


def plain_column(column):
    """A Series as a dict of plain values, which `restored_column` reads; the Series itself if that would change it.

    Arrays stay as they are.
    """
    if isinstance(column, np.ndarray):
        return column
    try:
        plain = _polars_plain(column) if is_polars(column) else _pandas_plain(column)
        restored = restored_column(plain)
    except (TypeError, ValueError):
        return column
    return plain if restored.dtype == column.dtype and restored.equals(_without_index(column)) else column


def restored_column(plain):
    """The Series or array of which `plain_column` made plain values."""
    if not isinstance(plain, dict):
        return plain
    if plain[LIBRARY] == "polars":
        import polars as pl

        return pl.read_ipc(io.BytesIO(plain["ipc"])).to_series()
    import pandas as pd

    if "codes" in plain:
        categories = pd.Index(restored_column(plain["categories"]))
        return pd.Series(pd.Categorical.from_codes(plain["codes"], categories, ordered=plain["ordered"]))
    if "left" in plain:
        ends = (restored_column(plain[name]) for name in ("left", "right"))
        return pd.Series(pd.arrays.IntervalArray.from_arrays(*ends, closed=plain["closed"]))
    values = pd.Series(plain["values"])
    if plain["is_utc"]:
        values = values.dt.tz_localize("UTC")
    return values.astype(plain["dtype"])


def _polars_plain(column):
    buffer = io.BytesIO()
    column.to_frame().write_ipc(buffer)
    return {LIBRARY: "polars", "ipc": buffer.getvalue()}


def _pandas_plain(column):
    import pandas as pd

    dtype, plain = column.dtype, {LIBRARY: "pandas"}
    if isinstance(dtype, pd.CategoricalDtype):
        categories = plain_column(pd.Series(dtype.categories))
        return {**plain, "codes": column.cat.codes.to_numpy(), "categories": categories, "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.IntervalDtype):
        ends = {name: plain_column(pd.Series(getattr(column.array, name))) for name in ("left", "right")}
        return {**plain, **ends, "closed": dtype.closed}
    is_utc = isinstance(dtype, pd.DatetimeTZDtype)
    if is_utc:
        values = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    elif isinstance(dtype, np.dtype):
        values = column.to_numpy()
    else:
        values = np.array([None if pd.isna(entry) else entry for entry in column], dtype=object)
    return {**plain, "dtype": str(dtype), "values": values, "is_utc": is_utc}


def _without_index(column):
    return column if is_polars(column) else column.reset_index(drop=True)


def plain_names(table):
    """The names of the columns of an empty DataFrame, and its library, as plain values; arrays stay as they are."""
    if isinstance(table, np.ndarray):
        return table
    if not hasattr(table, "iloc"):
        return {LIBRARY: "polars", "names": table.columns}
    columns = table.columns
    levels = list(columns.names) if columns.nlevels > 1 else columns.name
    return {LIBRARY: "pandas", "names": columns.tolist(), "n_levels": columns.nlevels, "levels": levels}


def restored_names(plain):
    """An empty DataFrame with the names of `plain_names`."""
    if not isinstance(plain, dict):
        return plain
    if plain[LIBRARY] == "polars":
        import polars as pl

        return pl.DataFrame(schema=plain["names"])
    import pandas as pd

    if plain["n_levels"] > 1:
        return pd.DataFrame(columns=pd.MultiIndex.from_tuples(plain["names"], names=plain["levels"]))
    return pd.DataFrame(columns=pd.Index(plain["names"], name=plain["levels"], tupleize_cols=False))

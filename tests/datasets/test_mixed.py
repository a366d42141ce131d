"""The mixed table has the types, shares and dependences of its documentation."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from sklearn_ot.datasets import make_mixed_table


@pytest.fixture(scope="module")
def table():
    return make_mixed_table(40_000, return_labels=True, random_state=0)


def test_columns_have_their_types():
    types = make_mixed_table(10, random_state=0).dtypes.astype(str).to_dict()
    assert list(types) == [
        "age",
        "income",
        "capital_gain",
        "education",
        "city",
        "is_married",
        "visits",
        "joined",
    ]
    assert list(types.values())[:4] == ["int64", "float64", "int64", "category"]
    assert list(types.values())[5:] == ["bool", "Int64", "datetime64[s]"]


def test_shares_are_those_of_the_documentation(table):
    X, y = table
    # Four standard errors of a share of 40 000 rows are at most 0.01.
    assert (X["capital_gain"] == 0).mean() == pytest.approx(0.92, abs=0.01)
    assert X.isna().mean()[["income", "city", "visits"]].to_list() == pytest.approx([0.11, 0.05, 0.055], abs=0.01)
    assert X["city"].value_counts(normalize=True).iloc[[0, -1]].to_list() == pytest.approx([0.266, 0.011], abs=0.01)
    assert y.mean() == pytest.approx(0.035, abs=0.004)
    assert (X["age"].min(), X["age"].max()) == (17, 89)


def test_dependences_are_those_of_the_documentation(table):
    X, y = table
    assert X["income"][X["visits"].isna()].isna().all()
    assert X.groupby("education", observed=True)["income"].median().is_monotonic_increasing
    assert X["income"].isna()[X["age"] < 30].mean() > 3 * X["income"].isna()[X["age"] > 50].mean()
    known = X["income"].notna() & X["visits"].notna()
    visits, income = X["visits"][known].to_numpy(float), X["income"][known].to_numpy()
    expected = expit(-5 + 0.6 * visits - 1.2 * (np.log(income) - 9.8))
    for part in (expected < 0.02, (expected >= 0.02) & (expected < 0.1), expected >= 0.1):
        # Four standard errors of the share of labels.
        error = 4 * np.sqrt(np.sum(expected[part] * (1 - expected[part]))) / part.sum()
        assert y[known][part].mean() == pytest.approx(expected[part].mean(), abs=error)


def test_an_integer_gives_the_same_rows():
    pd.testing.assert_frame_equal(make_mixed_table(50, random_state=1), make_mixed_table(50, random_state=1))
    assert not make_mixed_table(50, random_state=1).equals(make_mixed_table(50, random_state=2))

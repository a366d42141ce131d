"""A table of mixed columns, whose dependences are known."""

from numbers import Integral

import numpy as np
from scipy.special import expit
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params

LEVELS = ("none", "school", "college", "bachelor", "master", "doctorate")
N_CITIES = 24
LAST_DAY = np.datetime64("2024-12-31", "s")


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "return_labels": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_mixed_table(n_samples=1000, *, return_labels=False, random_state=None):
    r"""Draw a table of customers with columns of many types, atoms and missing entries.

    ================  ==================  ======================================================================
    column            type                values
    ================  ==================  ======================================================================
    ``age``           int64               17 to 89
    ``income``        float64             log-normal, around 24 000; rises with education, differs among cities,
                                          largest at the age of 50; 11 % missing, most of them of young customers
    ``capital_gain``  int64               92 % zeros, else with a heavy tail; both depend on the income
    ``education``     ordered categories  six levels, 3 to 30 %; rises a little with age
    ``city``          str                 24 cities, of 26 to 1 %; 5 % missing, fewer among the married
    ``is_married``    bool                more often with age
    ``visits``        Int64               counts of 0 to about 15, which rise with age; 5 % missing, only where the
                                          income is missing, too
    ``joined``        datetime64[s]       days, since the age of 16 at the earliest
    ================  ==================  ======================================================================

    The label is 1 for 3.5 % of the customers. Its probability rises with the visits :math:`v` and falls with the income
    :math:`m`: :math:`P = 1 / (1 + \exp(5 - 0.6 v + 1.2 (\log m - 9.8)))`, also where they are missing in the table.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows, which are independent.
    return_labels : bool, default=False
        Whether to return the labels as well.
    random_state : int, RandomState instance or None, default=None
        Draws the rows. With an int, each call gives the same rows.

    Returns
    -------
    X : DataFrame of shape (n_samples, 8)
        The table. pandas must be installed.
    labels : Series of shape (n_samples,)
        Labels, 0 or 1. Only returned if ``return_labels`` is True.

    Examples
    --------
    >>> from sklearn_ot.datasets import make_mixed_table
    >>> X, labels = make_mixed_table(2000, return_labels=True, random_state=0)
    >>> X.shape, bool((X["capital_gain"] == 0).mean() > 0.9)
    ((2000, 8), True)
    """
    import pandas as pd

    rng = check_random_state(random_state)
    noise, chance = rng.standard_normal((3, n_samples)), rng.uniform(size=(6, n_samples))
    age = 17 + np.floor(73 * rng.beta(1.6, 2.4, n_samples)).astype(np.int64)
    level = np.digitize(noise[0] + (age - 40) / 60, [-1.5, -0.4, 0.4, 1.1, 1.9])
    sizes = 1 / np.arange(1, N_CITIES + 1)
    city = rng.choice(N_CITIES, n_samples, p=sizes / sizes.sum())
    is_married = chance[0] < 0.75 * expit((age - 28) / 4)
    log_income = 9.6 + 0.25 * level - ((age - 50) / 40) ** 2 + 0.4 * np.cos(2.4 * city) + 0.4 * noise[1]
    gain = np.rint(300 * (1 + rng.pareto(1.5, n_samples)) * np.exp(log_income - 10)).astype(np.int64)
    gain[chance[1] > expit(-3.1 + 1.3 * (log_income - 9.8))] = 0
    visits = rng.poisson(np.exp(-0.6 + age / 40 + 0.3 * noise[2]))
    days = (365 * (age - 16) * rng.beta(1, 2, n_samples)).astype("timedelta64[D]")
    no_income = chance[2] < expit(-2.2 - (age - 40) / 12)
    no_visits = no_income & (chance[3] < 0.5)
    no_city = chance[4] < np.where(is_married, 0.02, 0.1)
    X = pd.DataFrame(
        {
            "age": age,
            "income": pd.Series(np.exp(log_income)).mask(no_income),
            "capital_gain": gain,
            "education": pd.Categorical.from_codes(level, LEVELS, ordered=True),
            "city": pd.Series([f"city {number + 1}" for number in city]).mask(no_city),
            "is_married": is_married,
            "visits": pd.Series(visits, dtype="Int64").mask(no_visits),
            "joined": LAST_DAY - days,
        }
    )
    labels = pd.Series((chance[5] < expit(-5 + 0.6 * visits - 1.2 * (log_income - 9.8))).astype(np.int64), name="label")
    return (X, labels) if return_labels else X

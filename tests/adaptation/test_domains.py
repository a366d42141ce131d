"""Rows of the source are not taken for target rows: known rows are recognised, unknown ones raise a warning."""

import contextlib
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier

from sklearn_ot.adaptation import DomainAdapter, transported_source_accuracy
from sklearn_ot.adaptation._domains import Domains, choose_threshold, keys_of_the_source, row_keys
from sklearn_ot.exceptions import SourceRowsWarning
from sklearn_ot.transport import GaussianTransport

ALIGNS = ["source", "target"]
MAP, SHIFT = np.array([[2.0, 0.5], [0.5, 1.0]]), [6, -3]


def domain(n_rows, rng, *, is_target=False):
    y = rng.randint(3, size=n_rows)
    X = rng.randn(n_rows, 2) * 0.4 + 2 * np.c_[y == 1, y == 2]
    return (X @ MAP + SHIFT if is_target else X), y


rng = np.random.RandomState(0)
XS, YS = domain(200, rng)
XT, YT = domain(150, rng, is_target=True)
HELD_OUT, HELD_OUT_Y = domain(100, rng)
NEW, NEW_Y = domain(300, rng, is_target=True)
FOLDS = KFold(4, shuffle=True, random_state=0)


def adapter(align="source", estimator=None):
    # An ensemble has a length, and so no truth value, before it is fitted.
    return DomainAdapter(GaussianTransport(), LogisticRegression() if estimator is None else estimator, align)


@pytest.fixture(params=ALIGNS)
def fitted(request):
    return adapter(request.param).fit(XS, YS, X_target=XT)


# Rows of the fitted source


@pytest.mark.filterwarnings("error")
def test_rows_of_the_source_are_recognised(fitted):
    expected = fitted.predict_proba(XS, domain="source")
    np.testing.assert_array_equal(fitted.predict_proba(XS), expected)
    assert fitted.score(XS, YS) > 0.95 > 0.5 > fitted.score(XS, YS, domain="target")
    # Also one by one, in other views, and among target rows.
    np.testing.assert_allclose(fitted.predict_proba(XS[5:6]), expected[5:6])
    np.testing.assert_allclose(fitted.predict_proba(np.asfortranarray(XS)[::-2]), expected[::-2])
    np.testing.assert_allclose(fitted.predict_proba(XS.astype(np.float32)), expected, atol=1e-4)
    mixed = np.vstack([XS[:50], NEW])
    np.testing.assert_allclose(fitted.predict_proba(mixed)[:50], expected[:50])
    np.testing.assert_allclose(fitted.predict_proba(mixed)[50:], fitted.predict_proba(NEW, domain="target"))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(XS), expected)


def test_rows_are_known_in_the_lower_precision_of_fit_and_call():
    domains = Domains(XS.astype(np.float32), XT.astype(np.float32))
    assert domains.are_source_rows(XS).all()
    assert not domains.are_source_rows(NEW).any()
    domains = Domains(XS, XT)
    assert domains.are_source_rows(XS.astype(np.float32)).all()
    assert not domains.are_source_rows(XS + 1e-12).any()


def test_rows_of_both_domains_are_target_rows():
    # A dead record occurs many times in both domains.
    dead = np.zeros((5, 2))
    domains = Domains(np.vstack([XS, dead]), np.vstack([XT, -dead]))
    np.testing.assert_array_equal(domains.are_source_rows(np.vstack([XS, dead])), np.arange(205) < 200)


def test_no_row_is_known_if_rows_can_be_equal_by_chance():
    # Three columns of six integers: many new target rows equal source rows.
    source, target, new = np.random.RandomState(0).randint(6, size=(3, 300, 3)).astype(float)
    assert len(keys_of_the_source(source, target)) == 0
    assert np.isin(row_keys(new), row_keys(source)).mean() > 0.5


def test_keys_of_rows():
    grid = np.stack(np.meshgrid(*[np.arange(-20.0, 21.0)] * 3), axis=-1).reshape(-1, 3)
    assert len(np.unique(row_keys(grid))) == 41**3
    # Columns are not exchangeable, the last bit of one value counts, and the two zeros are one.
    assert len(np.unique(row_keys(np.array([[1.0, 2], [2, 1], [1, np.nextafter(2, 3)]])))) == 3
    assert len(np.unique(row_keys(np.array([[0.0, 2], [-0.0, 2]])))) == 1
    np.testing.assert_array_equal(row_keys(grid[7::-1]), row_keys(grid[:8])[::-1])


# Other rows of the source


@pytest.mark.parametrize("align", ALIGNS)
def test_other_source_rows_raise_one_warning_at_the_line_of_the_user(align):
    model = adapter(align).fit(XS, YS, X_target=XT)
    with pytest.warns(SourceRowsWarning, match=r"domain='source'.*put it inside: DomainAdapter\(transport") as caught:
        assert model.score(HELD_OUT, HELD_OUT_Y) < 0.6
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.score(HELD_OUT, HELD_OUT_Y, domain="source") > 0.95
        model.score(HELD_OUT, HELD_OUT_Y, domain="target")


@pytest.mark.filterwarnings("error")
def test_target_rows_raise_no_warning(fitted):
    # All, one class, parts in order of a column, single rows.
    for rows in (
        NEW,
        *(NEW[k == NEW_Y] for k in range(3)),
        *np.array_split(NEW[np.argsort(NEW[:, 0])], 8),
        *NEW[:, None],
    ):
        fitted.predict(rows)


@pytest.mark.filterwarnings("error::sklearn_ot.exceptions.SourceRowsWarning")
def test_rows_of_a_third_domain_resemble_neither(fitted):
    # With align="target" the map warns that these rows are far from the target.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* rows of X are far from the rows to which the map was fitted")
        fitted.predict(NEW + np.array([0, 40]))
        fitted.predict(np.full((50, 2), 100.0))


def shifted(rng, n_rows, n_columns, shift):
    return rng.randn(n_rows, n_columns) + shift * (np.arange(n_columns) < 2)


@pytest.mark.parametrize("shift", [0, 1, 2, 4])
@pytest.mark.parametrize(("n_rows", "n_columns"), [(40, 2), (300, 10)])
def test_the_rate_of_false_alarms_is_small_for_every_shift(n_rows, n_columns, shift):
    rng = np.random.RandomState(n_rows + shift)
    alarms, found = [], []
    for _ in range(5):
        domains = Domains(shifted(rng, n_rows, n_columns, 0), shifted(rng, n_rows, n_columns, shift))
        for size in (1, 20, 200):
            new = shifted(rng, 2000, n_columns, shift)
            # The tenth of the target that lies nearest to the source is a part of it.
            near = new[np.argsort(new[:, :2].sum(axis=1))][:200]
            alarms += [domains.resemble_the_source(rows) for rows in (new[:size], rng.permutation(near)[:size])]
        found.append(domains.resemble_the_source(shifted(rng, 200, n_columns, 0)))
    # The level is 1 % for a fit and its 6 calls.
    assert sum(alarms) == 0
    if shift == 4 and n_rows == 300:
        assert all(found)
    if shift == 0:
        assert not any(found)


def test_a_few_rows_that_look_like_the_source_do_not_make_a_call_one_of_source_rows():
    rng = np.random.RandomState(0)
    domains = Domains(shifted(rng, 300, 3, 0), shifted(rng, 300, 3, 20))
    rows = shifted(rng, 200, 3, 20)
    rows[:5] = shifted(rng, 5, 3, 0)
    assert not domains.resemble_the_source(rows)
    rows[:150] = shifted(rng, 150, 3, 0)
    assert domains.resemble_the_source(rows)


def test_a_threshold_needs_samples_that_can_be_told_apart():
    rng = np.random.RandomState(0)
    assert choose_threshold(rng.randn(100), rng.randn(100)) == (np.inf, 0.0, 1.0)
    threshold, power, chance = choose_threshold(rng.randn(100) + 20, rng.randn(100))
    assert power == 1
    assert 5 < threshold < 15
    assert chance == pytest.approx(10 / 100**2)


TINY = np.random.RandomState(0).randn(40, 3)
DEGENERATE = {
    "two constants": (np.ones((50, 3)), np.zeros((40, 3))),
    "one constant": (np.ones((5, 3)), np.ones((4, 3))),
    "one row, often": (np.ones((9, 3)), TINY),
    "target of one row, often": (TINY, np.ones((9, 3))),
    "two rows": (TINY[:2], TINY[2:4]),
    "nearly all zero": (TINY * (TINY > 2), TINY * (TINY < -2) + 1),
    "huge": (np.sign(TINY) * 1.7e308, TINY * 5e307),
    "huge in float32": (TINY.astype(np.float32) * np.float32(1e38), TINY.astype(np.float32)),
    "tiny": (TINY * 1e-310, TINY * 1e-312 + 1e-309),
    "columns in other units": (TINY * [1e-200, 1, 1e200], TINY * [1e-200, 1, 1e200] + 1),
    "one wild cell": (np.vstack([TINY, [[1e300, 0, 0]]]), TINY + 4),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.filterwarnings("error")
def test_degenerate_samples_raise_neither_errors_nor_alarms(name):
    source, target = DEGENERATE[name]
    domains = Domains(source, target)
    known = domains.are_source_rows(np.vstack([source, target]))
    assert not known[len(source) :].any()
    assert not domains.resemble_the_source(target)
    assert not domains.resemble_the_source(target[:1])
    domains.resemble_the_source(np.full((30, 3), 1e300 if source.dtype == np.float64 else 1e38, source.dtype))


def test_errors_of_numpy_that_the_caller_raises_do_not_matter():
    rows = XS * np.array([1e-170, 1e160])
    expected = Domains(rows, XT).are_source_rows(rows)
    with np.errstate(all="raise"):
        domains = Domains(rows, XT)
        assert (domains.are_source_rows(rows) == expected).all()
        assert domains.are_source_rows(rows.astype(np.float64)).all()
        domains.resemble_the_source(HELD_OUT)


# Tools of scikit-learn around an adapter, and inside


PARAMS = {"X_target": XT}
AROUND_AND_WRONG = {
    "cross_val_score": lambda model: cross_val_score(model, XS, YS, cv=FOLDS, params=PARAMS),
    "cross_val_predict": lambda model: cross_val_predict(model, XS, YS, cv=FOLDS, params=PARAMS),
    "leave one out": lambda model: cross_val_predict(model, XS[:40], YS[:40], cv=LeaveOneOut(), params=PARAMS),
    "learning_curve": lambda model: learning_curve(model, XS, YS, cv=FOLDS, params=PARAMS, train_sizes=[1.0]),
    "search": lambda model: GridSearchCV(model, {"estimator__C": [1.0]}, cv=FOLDS).fit(XS, YS, **PARAMS),
    "calibration": lambda model: CalibratedClassifierCV(model, cv=FOLDS).fit(XS, YS, **PARAMS),
    "calibration of one": lambda model: CalibratedClassifierCV(model, cv=FOLDS, ensemble=False).fit(XS, YS, **PARAMS),
    "threshold": lambda model: TunedThresholdClassifierCV(model, cv=FOLDS).fit(XS, (YS == 1).astype(int), **PARAMS),
    "out of bag": lambda model: BaggingClassifier(model, 40, oob_score=True, random_state=0).fit(XS, YS, **PARAMS),
    "importance": lambda model: permutation_importance(model.fit(XS, YS, **PARAMS), XS, YS, n_repeats=1),
    "dependence": lambda model: partial_dependence(model.fit(XS, YS, **PARAMS), XS, [0], grid_resolution=5),
}


@pytest.mark.parametrize("tool", AROUND_AND_WRONG.values(), ids=AROUND_AND_WRONG)
def test_a_tool_that_predicts_held_out_source_rows_raises_a_warning(tool):
    # The tuning of a threshold also refuses the predictions, which are constant.
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.warns(SourceRowsWarning),
        contextlib.suppress(ValueError),
    ):
        tool(adapter())


AROUND_AND_RIGHT = {
    "voting": lambda model: VotingClassifier([("a", model)]),
    "bagging": lambda model: BaggingClassifier(model, 3, random_state=0),
    "one versus rest": OneVsRestClassifier,
    "search": lambda model: GridSearchCV(
        model, {"estimator__C": [1.0]}, cv=FOLDS, scoring=transported_source_accuracy, error_score="raise"
    ),
}
INSIDE = {
    "calibration": lambda model: CalibratedClassifierCV(model, cv=FOLDS),
    "stacking": lambda model: StackingClassifier([("a", model), ("b", KNeighborsClassifier())], cv=FOLDS),
    "bagging, out of bag": lambda model: BaggingClassifier(model, 40, oob_score=True, random_state=0),
    **AROUND_AND_RIGHT,
    "search": lambda model: GridSearchCV(model, {"C": [1.0]}, cv=FOLDS),
}


@pytest.mark.parametrize("tool", AROUND_AND_RIGHT.values(), ids=AROUND_AND_RIGHT)
@pytest.mark.filterwarnings("error")
def test_a_tool_that_predicts_target_rows_may_stand_around(tool):
    with sklearn.config_context(enable_metadata_routing=True):
        model = tool(adapter()).fit(XS, YS, X_target=XT)
    assert accuracy_score(NEW_Y, model.predict(NEW)) > 0.95


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("tool", INSIDE.values(), ids=INSIDE)
@pytest.mark.filterwarnings("error")
def test_every_tool_is_right_inside(tool, align):
    model = adapter(align, tool(LogisticRegression())).fit(XS, YS, X_target=XT)
    assert model.score(NEW, NEW_Y) > 0.95


@pytest.mark.filterwarnings("error")
def test_tools_on_a_fitted_adapter_and_its_source_are_right(fitted):
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted)).fit(XS, YS)
    assert accuracy_score(NEW_Y, calibrated.predict(NEW)) > 0.95
    stacked = StackingClassifier([("a", fitted)], cv="prefit").fit(XS, YS)
    assert accuracy_score(NEW_Y, stacked.predict(NEW)) > 0.95
    importance = permutation_importance(fitted, NEW, NEW_Y, n_repeats=2, random_state=0).importances_mean
    assert importance.min() > 0.2


def test_a_tool_that_leaves_out_columns_is_refused():
    with sklearn.config_context(enable_metadata_routing=True), pytest.raises(ValueError, match="X_target, the unlabel"):
        SequentialFeatureSelector(adapter(), n_features_to_select=1).fit(XS, YS, X_target=XT)

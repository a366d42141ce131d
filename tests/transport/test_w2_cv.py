"""W2TransportCV: splits, scores, the choice of reg, and a case in which it helps."""

import copy
import pickle
import signal
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.model_selection import GroupKFold, ShuffleSplit, StratifiedKFold
from skorch.callbacks import Callback, EarlyStopping

from sklearn_ot.datasets import make_gaussian_pair
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.metrics import l2_uvp
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, W2Transport, W2TransportCV
from sklearn_ot.transport import _w2_cv as module

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Without early stopping the last weights are kept, even if the start is better.
SHORT = W2Transport(network=Convex((16,)), plan_size=0, max_iter=20, early_stopping=False, random_state=0)


@pytest.fixture(scope="module")
def samples():
    """Two samples with the same number of rows, for which one split of both would not raise an error."""
    rng = np.random.RandomState(0)
    return rng.randn(60, 2), 0.3 * rng.randn(60, 2) + rng.choice([-1, 1], (60, 2)) + [1, 2]


@pytest.fixture(scope="module")
def fitted(samples):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search = W2TransportCV(SHORT, (0.0, 1.0, 30.0), cv=3, random_state=0).fit(*samples)
    assert search.transport_.net_.best_loss_ < 0
    return search


@pytest.fixture
def calls(monkeypatch):
    """Records the arguments of every fit of the search; the score of a candidate is a function of its reg."""
    made = []

    def record(transport, *samples):
        made.append((transport, *(sample and sample.rows for sample in samples)))
        return record.score(transport.reg), 1.0, 2.0

    record.score = lambda reg: 0.0
    made.append(record)
    monkeypatch.setattr(module, "_fit_and_score", record)
    return made


def rows(sample):
    return {tuple(row) for row in sample}


def test_both_samples_are_split_each_on_its_own(samples, calls):
    Xs, Xt = samples
    W2TransportCV(SHORT, (0.0, 1.0), cv=3, random_state=0).fit(Xs, Xt)
    _, *made = calls
    assert len(made) == 6
    for candidate in (made[:3], made[3:]):
        for _, X, X_test, target, target_test in candidate:
            assert rows(X) | rows(X_test) == rows(Xs)
            assert rows(target) | rows(target_test) == rows(Xt)
            assert not rows(X) & rows(X_test)
            assert not rows(target) & rows(target_test)
            # The two samples are split at different indices.
            assert {int(np.flatnonzero((Xs == row).all(1))[0]) for row in X_test} != {
                int(np.flatnonzero((Xt == row).all(1))[0]) for row in target_test
            }
        for sample, tested in ((Xs, 2), (Xt, 4)):
            assert set.union(*(rows(call[tested]) for call in candidate)) == rows(sample)
    # Every candidate has the same folds and seeds.
    for one, other in zip(made[:3], made[3:], strict=True):
        assert (one[0].reg, other[0].reg) == (0.0, 1.0)
        assert one[0].random_state == other[0].random_state
        for a, b in zip(one[1:], other[1:], strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_best_mean_wins_and_the_larger_of_equals(samples, calls):
    calls[0].score = {0.0: 1.0, 0.5: 3.0, 0.1: 3.0, 2.0: 2.0}.get
    search = W2TransportCV(SHORT, (0.0, 0.5, 0.1, 2.0), cv=2).fit(*samples)
    assert search.reg_ == search.transport_.reg == 0.5
    assert (search.best_index_, search.best_score_, search.n_splits_) == (1, 3.0, 2)
    table = search.cv_results_
    np.testing.assert_array_equal(table["param_reg"], [0.0, 0.5, 0.1, 2.0])
    np.testing.assert_array_equal(table["rank_test_score"], [4, 1, 1, 3])
    np.testing.assert_array_equal(table["mean_test_score"], [1, 3, 3, 2])
    np.testing.assert_array_equal(table["mean_fit_time"], np.ones(4))
    np.testing.assert_array_equal(table["mean_score_time"], 2 * np.ones(4))
    assert table["params"][2] == {"reg": 0.1}


def test_scores_are_dual_values_on_held_out_rows(samples, fitted, monkeypatch):
    kept = []
    inner = module._fit_and_score
    monkeypatch.setattr(module, "_fit_and_score", lambda *args: kept.append(args) or inner(*args))
    again = clone(fitted).fit(*samples)
    assert len(kept) == 9
    for i, (transport, *parts) in enumerate(kept):
        X, X_test, target, target_test = (part.rows for part in parts)
        score = again.cv_results_[f"split{i % 3}_test_score"][i // 3]
        # The scores of the search are equal to those of maps that are fitted again.
        assert score == transport.dual_value(X_test, target_test)
        assert score == clone(transport).fit(X, X_target=target).dual_value(X_test, target_test)
    columns = np.array([again.cv_results_[f"split{i}_test_score"] for i in range(3)])
    np.testing.assert_allclose(again.cv_results_["mean_test_score"], columns.mean(axis=0))
    np.testing.assert_allclose(again.cv_results_["std_test_score"], columns.std(axis=0))


def test_is_the_transport_that_it_refits(samples, fitted):
    Xs, Xt = samples
    alone = clone(SHORT).set_params(reg=fitted.reg_).fit(Xs, Xt)
    for transport in (fitted, pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(Xs, X_target=Xt)):
        np.testing.assert_array_equal(transport.transform(Xs), alone.transform(Xs))
        np.testing.assert_array_equal(transport.inverse_transform(Xt), alone.inverse_transform(Xt))
        np.testing.assert_array_equal(transport.interpolate(Xs, 0.3), alone.interpolate(Xs, 0.3))
        np.testing.assert_array_equal(transport.potential(Xs), alone.potential(Xs))
        for one, other in zip(
            transport.inverse_transform(Xt, return_residual=True),
            alone.inverse_transform(Xt, return_residual=True),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
        assert transport.dual_value(Xs, Xt) == alone.dual_value(Xs, Xt)
        assert transport.wasserstein_distance_ == alone.wasserstein_distance_
        np.testing.assert_array_equal(transport.potentials_.transport(Xs), alone.transform(Xs))
    assert fitted.score(Xs, X_target=Xt) == alone.score(Xs, X_target=Xt)
    assert not hasattr(W2TransportCV(), "potentials_")
    assert fitted.n_features_in_ == 2


@pytest.mark.parametrize("method", ["inverse_transform", "potential", "dual_value"])
def test_it_checks_the_rows_that_it_passes_to_its_transport(samples, fitted, method):
    """It checks names, which its transport does not get, numbers of columns, and that it is fitted."""
    arrays = samples if method == "dual_value" else samples[:1]
    named = copy.deepcopy(fitted)
    named.feature_names_in_ = np.array(["a", "b"], dtype=object)
    tables = [pd.DataFrame(X, columns=["a", "b"]) for X in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        passed_on = getattr(named, method)(*tables)
    # The columns of a DataFrame are stored one after another: sums over them, of numbers near 1, round differently.
    np.testing.assert_allclose(passed_on, getattr(fitted, method)(*arrays), rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="1 features, but W2TransportCV is expecting 2"):
        getattr(fitted, method)(*(X[:, :1] for X in arrays))
    with pytest.raises(NotFittedError):
        getattr(W2TransportCV(), method)(*arrays)
    assert not hasattr(W2TransportCV(), "wasserstein_distance_")


def test_jobs_change_nothing(samples, fitted):
    other = clone(fitted).set_params(n_jobs=2).fit(*samples)
    np.testing.assert_array_equal(other.transform(samples[0]), fitted.transform(samples[0]))
    assert other.best_score_ == fitted.best_score_


def test_random_state_seeds_a_transport_without_one(samples):
    search = W2TransportCV(clone(SHORT).set_params(random_state=None), (0.0, 1.0), cv=2, random_state=0)
    one, other = (clone(search).fit(*samples) for _ in range(2))
    np.testing.assert_array_equal(one.transform(samples[0]), other.transform(samples[0]))
    another = clone(search).set_params(random_state=1).fit(*samples)
    assert not np.array_equal(another.transform(samples[0]), one.transform(samples[0]))
    assert search.transport.random_state is None
    assert not hasattr(search.transport, "net_")


def test_without_a_target_the_standard_normal_scores(samples, calls):
    search = W2TransportCV(SHORT, (0.0, 1.0), cv=2, random_state=0).fit(samples[0])
    _, *made = calls
    assert all(target is None for _, _, _, target, _ in made)
    scored = made[0][4]
    assert scored.shape == (4096, 2)
    assert all(call[4] is scored for call in made)
    assert abs(scored.mean()) < 5 / np.sqrt(scored.size)  # five standard errors
    assert search.transform(samples[0]).shape == samples[0].shape


def test_a_splitter_splits_both(samples, calls):
    W2TransportCV(SHORT, (0.0,), cv=ShuffleSplit(4, test_size=0.2, random_state=0)).fit(samples[0], samples[1][:30])
    _, *made = calls
    assert [tuple(map(len, call[1:])) for call in made] == [(48, 12, 24, 6)] * 4


def test_the_pull_helps_where_the_gaussian_map_is_nearly_right():
    """With few rows of two Gaussians a map without a penalty fits noise, and the search chooses a strong penalty."""
    pair = make_gaussian_pair(8, n_samples=60, random_state=0)
    X = pair.sample_source(1000, random_state=1)
    transport = W2Transport(network=Convex((16,)), max_iter=100, early_stopping=False, random_state=0)
    free = clone(transport).fit(pair.source, pair.target)
    search = W2TransportCV(transport, (0.0, 10.0), cv=3, random_state=0).fit(pair.source, pair.target)
    gaussian = GaussianTransport().fit(pair.source, pair.target)
    errors = [l2_uvp(t.transform(X), pair.transport(X)) for t in (free, search, gaussian)]
    assert search.reg_ == 10
    assert errors[1] < 0.7 * errors[0], errors


@pytest.mark.parametrize("regs", [(), (-1.0,), (np.nan,), (np.inf,), ((0, 1), (2, 3)), ("auto",)])
def test_bad_regs(samples, regs):
    with pytest.raises(ValueError, match=r"regs must be one or more finite numbers, none negative, got"):
        W2TransportCV(SHORT, regs).fit(*samples)


def test_w2gn_needs_regs_above_zero(samples, calls):
    """The error is raised before any fit."""
    w2gn = clone(SHORT).set_params(solver="w2gn")
    with pytest.raises(ValueError, match=r"With reg=0.*regs above 0 to W2TransportCV"):
        W2TransportCV(w2gn, (1.0, 0.0)).fit(*samples)
    assert len(calls) == 1  # the recorder itself
    assert W2TransportCV(w2gn, (1.0, 3.0), cv=2).fit(*samples).reg_ == 3


@pytest.mark.parametrize("cv", [StratifiedKFold(3), GroupKFold(3)])
def test_splitters_that_need_labels_or_groups_are_refused(samples, cv):
    with pytest.raises(ValueError, match=r"(?s)X, of 60 rows, cannot be split.*neither labels nor groups"):
        W2TransportCV(SHORT, cv=cv).fit(*samples)


@pytest.mark.parametrize(("source", "target", "name"), [(2, 60, "X"), (60, 2, "X_target")])
@pytest.mark.parametrize("cv", [2, 3])
def test_too_few_rows(samples, source, target, name, cv):
    search = W2TransportCV(SHORT, cv=cv)
    with pytest.raises(ValueError, match=rf"^{name}[ ,].*2 rows.*Give more rows"):
        search.fit(samples[0][:source], samples[1][:target])
    assert not hasattr(search, "n_features_in_")


def test_a_candidate_that_diverges_is_not_chosen(samples, monkeypatch):
    """If all candidates diverge, there is one error."""
    fit = W2Transport.fit

    def fail_above(limit):
        def fit_or_fail(self, *args, **kwargs):
            if self.reg > limit:
                raise DivergenceError("Training diverged.")
            return fit(self, *args, **kwargs)

        monkeypatch.setattr(W2Transport, "fit", fit_or_fail)

    search = W2TransportCV(SHORT, (0.0, 5.0, 50.0), cv=2, random_state=0)
    fail_above(10)
    with pytest.warns(FitFailedWarning, match=r"reg in \[50.0\] diverged"):
        search.fit(*samples)
    assert search.reg_ < 10
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, False, True]
    assert search.cv_results_["rank_test_score"][2] == 3
    fail_above(-1)
    with pytest.raises(DivergenceError, match="every one of regs"):
        search.fit(*samples)


@pytest.mark.filterwarnings("ignore:Training was interrupted")
def test_an_interrupted_fit_ends_the_search(samples):
    """A fit without a search would keep the best map so far."""
    fits = []

    class Interrupt(Callback):
        def on_train_begin(self, net, **kwargs):
            fits.append(net)

        def on_batch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        W2TransportCV(clone(SHORT).set_params(callbacks=[Interrupt()]), cv=2).fit(*samples)
    assert len(fits) == 1


def test_a_search_of_fits_with_a_time_budget_comes_to_its_end(samples):
    transport = clone(SHORT).set_params(callbacks=[TimeBudget(0.1)], max_iter=100_000)
    search = W2TransportCV(transport, regs=[0.0, 1.0], cv=2, random_state=0).fit(*samples)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_search_of_fits_that_a_callback_stops_comes_to_its_end(samples):
    stop = EarlyStopping("valid_loss", patience=1, threshold=10.0, threshold_mode="abs")
    transport = clone(SHORT).set_params(callbacks=[stop], max_iter=100_000, early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = W2TransportCV(transport, regs=[0.0, 1.0], cv=2, random_state=0).fit(*samples)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_weights_are_repeated_rows_in_each_fold(samples):
    """Rows of weight 0 keep their places in a list of splits."""
    rng = np.random.RandomState(0)
    X, weight, folds = samples[0], rng.randint(0, 4, 60), np.arange(60) % 3
    repeated, groups = X.repeat(weight, axis=0), folds.repeat(weight)
    fits = []
    for rows, of, given in ((X, folds, weight), (repeated, groups, None)):
        cv = [(np.flatnonzero(of != i), np.flatnonzero(of == i)) for i in range(3)]
        fits.append(W2TransportCV(SHORT, (0.0, 5.0), cv=cv, random_state=0).fit(rows, sample_weight=given))
    for name in ("mean_test_score", "split2_test_score"):
        np.testing.assert_allclose(fits[0].cv_results_[name], fits[1].cv_results_[name], rtol=1e-6)
    np.testing.assert_allclose(*(fit.transform(X) for fit in fits), rtol=1e-6)
    with pytest.raises(ValueError, match="cv is a list of splits of X, and cannot split X_target"):
        W2TransportCV(SHORT, cv=cv).fit(repeated, samples[1])


def test_a_column_that_the_source_lacks_is_named_once(samples):
    Xs, Xt = samples[0].copy(), samples[1]
    Xs[:, 1] = 2
    with pytest.warns(UserWarning, match="varies where the source does not, in column 1") as caught:
        W2TransportCV(SHORT, (0.0, 1.0), cv=2, random_state=0).fit(Xs, Xt)
    assert len([w for w in caught if "varies where" in str(w.message)]) == 1

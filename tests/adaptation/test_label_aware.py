"""LabelAwareTransport: its map in closed form, its invariances, and what it does with labels."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport
from sklearn_ot.adaptation._neighbors import is_trusted, nearest_mean, neighbor_graph, proportional, reach_of, spread
from sklearn_ot.base import uses_labels
from sklearn_ot.exceptions import MissingTargetWarning
from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, W2Transport

rng = np.random.RandomState(0)
CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
SHIFTS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
Y, YT = np.arange(150) % 3, np.arange(120) % 3
X, XT = 0.3 * rng.randn(150, 2) + CENTRES[Y], 0.3 * rng.randn(120, 2) + (CENTRES + SHIFTS)[YT]


def class_means(rows, y):
    return np.array([rows[y == label].mean(axis=0) for label in np.unique(y)])


def moved(transport=None, X=X, y=Y, X_target=XT, **weights):
    return (transport or LabelAwareTransport()).fit(X, y, X_target=X_target, **weights).transform(X)


# The map


def test_a_large_beta_sends_the_mean_of_each_class_to_the_mean_of_its_class():
    """The labels then decide, and the cost of the features is a correction of the order 1 / β."""
    plain = LabelAwareTransport(GaussianTransport(shrinkage=None))
    errors = [
        np.abs(class_means(moved(plain.set_params(beta=beta)), Y) - class_means(XT, YT)).max()
        for beta in (1, 1e2, 1e4, 1e6)
    ]
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 1e-3
    # The map of the features alone cannot shift each class on its own.
    assert (
        np.abs(class_means(GaussianTransport(shrinkage=None).fit(X, XT).transform(X), Y) - class_means(XT, YT)).max()
        > 0.3
    )


def test_without_weight_of_the_labels_the_map_is_that_of_the_features():
    expected = GaussianTransport().fit(X, XT)
    transport = LabelAwareTransport(beta=0).fit(X, Y, X_target=XT)
    np.testing.assert_allclose(transport.transform(X), expected.transform(X), rtol=1e-12)
    assert transport.score(X) == pytest.approx(expected.score(X), rel=1e-9)


def test_it_repairs_what_the_map_of_features_confuses():
    adapters = [
        DomainAdapter(transport, KNeighborsClassifier(1)).fit(X_rotated, Y_rotated, X_target=XT_rotated)
        for transport in (None, GaussianTransport(), LabelAwareTransport())
    ]
    none, features, labels = (adapter.score(XT_rotated, Y_rotated) for adapter in adapters)
    assert labels > 0.97 > 0.8 > max(none, features)


Y_rotated = np.arange(400) % 2
X_rotated = 0.3 * rng.randn(400, 2) + np.c_[Y_rotated, 0 * Y_rotated]
XT_rotated = 0.3 * rng.randn(400, 2) + np.c_[0.5 * Y_rotated, -1.5 * Y_rotated]


def test_numbers_are_labels_of_a_regression():
    """The values grow along the first column of the source, and along another direction of the target."""
    y, values = rng.uniform(-1, 1, 300), rng.uniform(-1, 1, 300)
    source = np.c_[2 * y, 0 * y] + 0.2 * rng.randn(300, 2)
    target = np.c_[1.0 * values, -1.5 * values] + 0.2 * rng.randn(300, 2)
    scores = [
        DomainAdapter(transport, LinearRegression()).fit(source, y, X_target=target).score(target, values)
        for transport in (GaussianTransport(), LabelAwareTransport(beta=1))
    ]
    assert scores[1] > max(scores[0], 0.9)
    # Their unit and zero do not matter, and in two equal columns they are as well as in one.
    expected = moved(None, source, y, target)
    np.testing.assert_allclose(moved(None, source, 5 - 100 * y, target), expected, atol=1e-9)
    assert not np.allclose(moved(LabelAwareTransport(label_type="numbers"), y=Y), moved())
    one, two = (LabelAwareTransport(GaussianTransport(shrinkage=None), beta=beta) for beta in (10, 5))
    np.testing.assert_allclose(moved(two, source, np.c_[y, y], target), moved(one, source, y, target), atol=1e-6)


def test_any_transport_can_be_inside():
    network = W2Transport(max_iter=20, network=Convex((8,)), random_state=0)
    with pytest.warns(ConvergenceWarning):
        images = moved(LabelAwareTransport(network, n_rounds=1))
    assert np.abs(class_means(images, Y) - class_means(XT, YT)).max() < 0.4
    with pytest.raises(ValueError, match=r"Shift\.fit takes no sample_weight"):
        moved(LabelAwareTransport(Shift()), sample_weight=np.linspace(1, 2, 150))
    weight = np.arange(150) % 3
    repeated = moved(LabelAwareTransport(Shift()), X.repeat(weight, axis=0), Y.repeat(weight))
    np.testing.assert_allclose(
        moved(LabelAwareTransport(Shift()), sample_weight=weight).repeat(weight, axis=0), repeated
    )


class Shift(BaseEstimator):
    """A transport that takes no weights."""

    def fit(self, X, y=None, *, X_target=None):
        self.shift_ = np.mean(X_target, axis=0) - np.mean(X, axis=0)
        return self

    def transform(self, X):
        return X + self.shift_


# Invariances


def test_names_and_order_of_classes_and_rows_do_not_matter():
    expected = moved()
    names = np.array(["c", "a", "b"], dtype=object)
    np.testing.assert_allclose(moved(y=names[Y]), expected, rtol=1e-9)
    np.testing.assert_allclose(moved(y=names[Y].tolist()), expected, rtol=1e-9)
    order, target_order = rng.permutation(150), rng.permutation(120)
    np.testing.assert_array_equal(moved(None, X[order], Y[order], XT[target_order]), expected[order])


def test_integer_weights_equal_repeated_rows():
    weight, target_weight = rng.randint(0, 4, 150), rng.randint(0, 4, 120)
    fitted = LabelAwareTransport().fit(X, Y, X_target=XT, sample_weight=weight, target_weight=target_weight)
    repeated = LabelAwareTransport().fit(
        X.repeat(weight, axis=0), Y.repeat(weight), X_target=XT.repeat(target_weight, axis=0)
    )
    np.testing.assert_array_equal(fitted.transform(X), repeated.transform(X))
    assert not np.allclose(fitted.transform(X), moved(), atol=1e-3)


@pytest.mark.parametrize("unit", [2.0**-600, 0.25, 2.0**600])
def test_the_unit_does_not_matter(unit):
    np.testing.assert_array_equal(moved(None, unit * X, Y, unit * XT) / unit, moved())


def test_rotations_of_the_features_do_not_matter():
    transport = LabelAwareTransport(GaussianTransport(shrinkage=None))
    rotation = np.linalg.qr(rng.randn(2, 2))[0]
    np.testing.assert_allclose(moved(transport, X @ rotation, Y, XT @ rotation), moved(transport) @ rotation, atol=1e-9)


# Labels of rows


def test_rows_of_the_fit_have_their_own_labels_and_new_rows_those_of_their_neighbours():
    transport = LabelAwareTransport().fit(X, Y, X_target=XT)
    wrong = Y.copy()
    wrong[0] = 1
    other = LabelAwareTransport().fit(X, wrong, X_target=XT)
    # The row 0 is among rows of the class 0, but moves with the class 1.
    shift = other.transform(X[:1]) - transport.transform(X[:1])
    assert np.linalg.norm(shift) > 0.3
    # A row beside it moves as its neighbours, one of which has the wrong label.
    beside = X[:1] + 1e-9
    assert np.linalg.norm(other.transform(beside) - transport.transform(beside)) < 0.3 * np.linalg.norm(shift)
    each = np.vstack([transport.transform(row[None]) for row in X])
    np.testing.assert_allclose(transport.transform(X), each, rtol=1e-12)
    # Rows that come back in another dtype are the same rows.
    single = LabelAwareTransport().fit(X.astype(np.float32), wrong, X_target=XT.astype(np.float32))
    images = single.transform(X.astype(np.float32))
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, single.transform(X.astype(np.float32).astype(float)), rtol=1e-5, atol=1e-5)


def test_equal_rows_with_several_labels_have_their_mean():
    doubled, labels = np.vstack([X, X[:1]]), np.r_[Y, 1]
    transport = LabelAwareTransport().fit(doubled, labels, X_target=XT)
    joint = np.hstack([X[:1] / transport.unit_, transport.label_scale_ * np.array([[0.5, 0.5, 0]])])
    expected = transport.transport_.transform(joint)[:, :2] * transport.unit_
    np.testing.assert_allclose(transport.transform(X[:1]), expected, rtol=1e-12)


def test_labels_are_required():
    assert uses_labels(LabelAwareTransport())
    for args in ((X,), (X, XT)):
        with pytest.raises(ValueError, match="LabelAwareTransport requires y to be passed"):
            LabelAwareTransport().fit(*args)
    with pytest.raises(ValueError, match="requires y to be passed"):
        LabelAwareTransport().fit(X, X_target=XT)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LabelAwareTransport().fit(X, Y[1:], X_target=XT)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        LabelAwareTransport().fit(X, np.where(Y == 1, np.nan, Y), X_target=XT)


def test_without_a_target_it_is_the_transport_inside():
    with pytest.warns(MissingTargetWarning):
        transport = LabelAwareTransport().fit(X, Y)
    np.testing.assert_allclose(transport.transform(X), GaussianTransport().fit(X).transform(X), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("y", [np.zeros(150), np.arange(150)], ids=["one class", "as many classes as rows"])
@pytest.mark.filterwarnings("error")
def test_extreme_numbers_of_classes(y):
    images = moved(y=y)
    assert np.isfinite(images).all()
    if not y.any():
        np.testing.assert_allclose(images, GaussianTransport().fit(X, XT).transform(X), atol=1e-6)


def test_target_rows_that_are_all_equal():
    images = moved(X_target=np.ones((5, 2)))
    np.testing.assert_allclose(images, 1, atol=0.1)


# Neighbours


def test_spread_is_the_solution_of_its_equation_and_keeps_constants():
    graph = neighbor_graph(XT, 7).toarray()
    np.testing.assert_array_equal(graph, graph.T)
    assert np.all((graph > 0).sum(axis=1) >= 7)
    assert graph.max() <= 1
    root = np.diag(1 / np.sqrt(graph.sum(axis=1)))
    values = np.hstack([rng.rand(120, 3), np.ones((120, 1))])
    found = np.linalg.solve(np.eye(120) - 0.99 * root @ graph @ root, values)
    # The residual is below 1e-5, and the smallest eigenvalue of the system is 0.01.
    np.testing.assert_allclose(spread(sparse.csr_array(graph), values, 0.99), found / found[:, -1:], atol=1e-3)


def test_spread_corrects_a_label_within_a_cluster_and_leaves_a_row_without_neighbours():
    labels = np.eye(3)[YT]
    wrong = labels.copy()
    wrong[0] = labels[1]
    np.testing.assert_array_equal(spread(neighbor_graph(XT, 10), wrong, 0.8).argmax(axis=1), YT)
    np.testing.assert_array_equal(spread(sparse.csr_array((1, 1)), wrong[:1], 0.8), wrong[:1])


@pytest.mark.parametrize("wrong", [1, 10])
def test_spread_gives_a_cluster_the_prediction_of_most_of_its_rows(wrong):
    """Also if all rows in a neighbourhood are wrong: those at one end of a line of 60 rows."""
    line = np.c_[np.arange(60.0), np.zeros(60)]
    rows = np.vstack([line, line + np.array([0, 1000])])
    labels = np.eye(2).repeat(60, axis=0)
    given = labels.copy()
    given[:wrong] = labels[-1]
    np.testing.assert_array_equal(spread(neighbor_graph(rows, 10), given, 0.99).argmax(axis=1), labels.argmax(axis=1))


def test_labels_spread_over_as_many_neighbourhoods_as_a_class_has():
    assert reach_of(500, 10, 5) == pytest.approx(0.95)
    # Bounds: a table with neighbourhoods as large as its classes, and a large one.
    assert reach_of(30, 10, 3) == 0.8
    assert reach_of(10**6, 10, 2) == 0.99


def test_nearest_mean_is_the_vote_of_the_neighbours_with_weights():
    expected = KNeighborsClassifier(5).fit(X, Y).predict_proba(XT)
    np.testing.assert_allclose(nearest_mean(X, np.eye(3)[Y], np.ones(150), XT, 5), expected)
    values = nearest_mean(np.array([[0.0], [1.0], [9.0]]), np.array([[1.0], [2.0], [5.0]]), np.r_[3, 1, 1], [[0.2]], 2)
    np.testing.assert_allclose(values, [[1.25]])


def test_clones_of_the_transport_inside_are_fitted():
    inside = GaussianTransport()
    transport = LabelAwareTransport(inside)
    np.testing.assert_array_equal(moved(transport), moved(clone(transport)))
    assert not hasattr(inside, "map_")


def test_a_scaled_table_is_moved_as_by_an_adapter():
    """The adapter gives labels and weights of each part in its own order."""
    scaler = StandardScaler().fit(X)
    source, target = scaler.transform(X), scaler.transform(XT)
    weight = rng.randint(1, 4, 150)
    adapter = DomainAdapter(LabelAwareTransport(), KNeighborsClassifier(1))
    adapter.fit(source, Y, X_target=target, sample_weight=weight)
    np.testing.assert_array_equal(
        adapter.transport_.transform(source), moved(None, source, Y, target, sample_weight=weight)
    )


def test_proportional_changes_shares_by_factors_of_rows_and_classes():
    values, mass = rng.dirichlet([1, 1, 1], 50), rng.dirichlet(np.ones(50))
    proportions = np.array([0.6, 0.3, 0.1])
    found = proportional(values, mass, proportions)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    # The steps converge geometrically.
    np.testing.assert_allclose(mass @ found, proportions, atol=1e-4)
    ratio = np.log(found / values)
    np.testing.assert_allclose(ratio - ratio[:1] - ratio[:, :1] + ratio[0, 0], 0, atol=1e-9)
    np.testing.assert_allclose(proportional(found, mass, mass @ found), found, rtol=1e-12)
    # No row can be of a class without shares.
    assert not proportional(np.c_[values[:, :2], 0 * mass], mass, proportions)[:, 2].any()


def test_predictions_are_trusted_if_their_cluster_agrees_whatever_the_proportions():
    clusters = np.vstack([0.3 * rng.randn(60, 2) + centre for centre in 10 * CENTRES])
    truth, mass, equal = np.arange(3).repeat(60), np.full(180, 1 / 180), np.full(3, 1 / 3)
    assert is_trusted(clusters, truth, mass, equal).all()
    wrong = truth.copy()
    wrong[:5] = 1
    np.testing.assert_array_equal(is_trusted(clusters, wrong, mass, equal), np.arange(180) >= 5)
    # Most rows of the last cluster are predicted to be of the class 0, which would then have more than half of all
    # rows; with equal proportions this cluster is of the class 2. No wrong prediction is trusted.
    wrong = truth.copy()
    wrong[120 + rng.permutation(60)[:35]] = 0
    found = is_trusted(clusters, wrong, mass, equal)
    assert found[truth < 2].all()
    assert not found[wrong != truth].any()
    # Proportions that differ a little from the given ones make no row suspicious.
    assert is_trusted(clusters, truth, mass, np.array([0.4, 0.35, 0.25])).mean() > 0.9

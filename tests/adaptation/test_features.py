"""Feature extractors of a DomainAdapter: trained networks, transformers, and their training on both domains."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_ot.adaptation import ClassifierFeatures, DomainAdapter, DomainAdapterCV, LabelAwareTransport
from sklearn_ot.networks import Convex, Convolutional, Dense
from sklearn_ot.nn import LeNet
from sklearn_ot.transport import GaussianTransport

KNN = KNeighborsClassifier(1)
SMALL = ClassifierFeatures(Dense((16, 8)), max_iter=200, random_state=0)
rng = np.random.RandomState(0)


def spirals(n_rows, shift=0.0):
    """Two classes that no line and no map of the plane separates, and 3 columns of noise."""
    y = np.arange(n_rows) % 2
    t = rng.uniform(0.5, 4, n_rows)
    arm = np.c_[t * np.cos(t + np.pi * y), t * np.sin(t + np.pi * y)]
    return np.c_[arm + 0.05 * rng.randn(n_rows, 2) + shift, rng.randn(n_rows, 3)], y


X, Y = spirals(400)
XT, YT = spirals(300, shift=0.6)


def test_features_separate_classes():
    features = ClassifierFeatures(max_iter=600, random_state=0).fit(X, Y)
    Z = features.transform(X)
    assert Z.shape == (400, 84)
    assert np.abs(Z).max() <= 1
    held_out, y = spirals(200)
    linear = LogisticRegression().fit(X, Y).score(held_out, y)
    # The features leave less than two thirds of the errors.
    assert 1 - LogisticRegression().fit(Z, Y).score(features.transform(held_out), y) < 2 / 3 * (1 - linear)
    assert list(features.get_feature_names_out())[:2] == ["classifierfeatures0", "classifierfeatures1"]


def test_units_of_the_columns_do_not_matter():
    """Powers of 2, so that no digit is lost."""
    expected = clone(SMALL).fit(X, Y).transform(X)
    scaled = X * [2.0, 2.0**600, 2.0**-600, 1, 1]
    np.testing.assert_array_equal(clone(SMALL).fit(scaled, Y).transform(scaled), expected)


def test_labels_of_any_kind_give_the_same_features():
    expected = clone(SMALL).fit(X, Y)
    names = clone(SMALL).fit(X, np.array(["no", "yes"])[Y])
    assert list(names.classes_) == ["no", "yes"]
    np.testing.assert_array_equal(names.transform(X), expected.transform(X))


def test_copies_and_dtypes_give_the_same_features():
    fitted = clone(SMALL).fit(X, Y)
    expected = fitted.transform(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), expected)
    single = fitted.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize(("n_features", "shape"), [(64, (1, 8)), (192, (3, 8)), (784, (1, 28))])
def test_images_of_any_square_size(n_features, shape):
    module, arguments = Convolutional(16).classifier(n_features=n_features, n_classes=10)
    network = module(**arguments)
    assert isinstance(network, LeNet)
    assert network.features[0].unflattened_size == (*shape, shape[1])
    assert network.features[1].out_channels == 4
    assert network(torch.rand(5, n_features)).shape == (5, 10)
    with pytest.raises(ValueError, match="n_features=65 is no square image"):
        LeNet(65, 10, 4, "relu")


def test_images_keep_their_brightness():
    """All pixels are divided by one number, so that the images of both domains are treated alike."""
    digits, y = load_digits(return_X_y=True)
    features = ClassifierFeatures(Convolutional(16, "relu"), max_iter=100, random_state=0).fit(digits, y)
    np.testing.assert_array_equal(features.scale_, 16)
    np.testing.assert_array_equal(features.center_, 0)
    np.testing.assert_allclose(
        clone(features).fit(digits / 16, y).transform(digits / 16), features.transform(digits), atol=1e-9
    )


def test_an_adapter_works_in_the_features():
    extractor = clone(SMALL).fit(X, Y)
    source, target = extractor.transform(X), extractor.transform(XT)
    by_hand = DomainAdapter(GaussianTransport(), KNN).fit(source, Y, X_target=target)
    for given in (SMALL, extractor):
        adapter = DomainAdapter(GaussianTransport(), KNN, feature_extractor=given).fit(X, Y, X_target=XT)
        np.testing.assert_array_equal(adapter.predict(XT), by_hand.predict(target))
        # Rows of the source are recognised.
        np.testing.assert_array_equal(adapter.predict(X), by_hand.predict(source))
        assert adapter.n_features_in_ == 5
        assert adapter.target_reference_.shape[1] == 8
    assert not hasattr(SMALL, "net_")


def test_any_transformer_extracts_features():
    pca = PCA(2).fit(X)
    expected = DomainAdapter(GaussianTransport(), KNN).fit(pca.transform(X), Y, X_target=pca.transform(XT))
    for given in (PCA(2), pca):
        adapter = DomainAdapter(GaussianTransport(), KNN, feature_extractor=given).fit(X, Y, X_target=XT)
        np.testing.assert_array_equal(adapter.predict(XT), expected.predict(pca.transform(XT)))
    other = PCA(2).fit(XT)
    fitted = DomainAdapter(GaussianTransport(), KNN, feature_extractor=other).fit(X, Y, X_target=XT)
    np.testing.assert_array_equal(fitted.feature_extractor_.components_, other.components_)


def test_a_network_is_trained_on_the_source():
    adapter = DomainAdapter(None, KNN, feature_extractor=Dense((16, 8))).fit(X, Y, X_target=XT)
    expected = ClassifierFeatures(Dense((16, 8)), random_state=0).fit(X, Y)
    np.testing.assert_array_equal(adapter.feature_extractor_.transform(XT), expected.transform(XT))


def test_fine_tuning_learns_from_the_target():
    """Digits of the target are moved by a pixel, an eighth of their width: frozen features leave 42 % errors."""
    images, y = load_digits(return_X_y=True)
    source, target = images[:900], np.roll(images[900:].reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64)
    extractor = ClassifierFeatures(Convolutional(32, "relu"), max_iter=300, random_state=0).fit(source, y[:900])
    frozen, tuned = (
        DomainAdapter(LabelAwareTransport(), KNN, feature_extractor=extractor, fine_tune=n).fit(
            source, y[:900], X_target=target
        )
        for n in (0, 2)
    )
    errors = [1 - adapter.score(target, y[900:]) for adapter in (frozen, tuned)]
    assert errors[1] < 0.9 * errors[0]
    # The network forgets nothing of the source.
    assert tuned.score(source, y[:900], domain="source") > 0.97


def test_fine_tuning_starts_at_the_trained_network_and_leaves_it_as_it_was():
    extractor = clone(SMALL).fit(X, Y)
    expected = extractor.transform(X)
    DomainAdapter(None, KNN, feature_extractor=extractor, fine_tune=1).fit(X, Y, X_target=XT)
    np.testing.assert_array_equal(extractor.transform(X), expected)
    np.testing.assert_array_equal(extractor.fine_tune(X, Y, XT, YT, max_iter=0).transform(X), expected)
    assert not np.array_equal(extractor.fine_tune(X, Y, XT, YT, max_iter=5).transform(X), expected)
    with pytest.raises(ValueError, match="y_target has a class that fit did not have"):
        extractor.fine_tune(X, Y, XT, YT + 1, max_iter=5)


class Recorder(TransformerMixin, BaseEstimator):
    """Features that are the rows, and records of the target rows from which they are to learn."""

    max_iter = 3

    def fit(self, X, y):
        self.learnt_ = []
        return self

    def transform(self, X):
        return X

    def fine_tune(self, X, y, X_target, y_target, max_iter):
        assert max_iter == 1
        self.learnt_.append((X_target, y_target))


class WrongOnTheLeft(KNeighborsClassifier):
    """A classifier that is wrong for rows with a first column below -0.3."""

    def predict(self, X):
        predicted = super().predict(X)
        return np.where(X[:, 0] < -0.3, "b", predicted)


def test_fine_tuning_leaves_out_predictions_that_their_cluster_contradicts_and_rows_without_weight():
    labels = np.array(["a", "b"]).repeat(100)
    source, target = (0.2 * rng.randn(200, 2) + 5 * (labels == "b")[:, None] for _ in range(2))
    weight = rng.randint(0, 3, 200)
    adapter = DomainAdapter(None, WrongOnTheLeft(1), feature_extractor=Recorder(), fine_tune=2)
    adapter.fit(source, labels, X_target=target, target_weight=weight)
    is_wrong = target[:, 0] < -0.3
    assert is_wrong.sum() > 3
    expected = (weight > 0) & ~is_wrong
    assert len(adapter.feature_extractor_.learnt_) == 2
    for rows, predicted in adapter.feature_extractor_.learnt_:
        np.testing.assert_array_equal(rows, target[expected])
        np.testing.assert_array_equal(predicted, labels[expected])


def test_the_choice_is_made_in_the_features_of_the_source():
    search = DomainAdapterCV([GaussianTransport(), LabelAwareTransport()], KNN, feature_extractor=SMALL, fine_tune=1)
    search.fit(X, Y, X_target=XT)
    best = DomainAdapter(search.best_transport_, KNN, feature_extractor=SMALL, fine_tune=1).fit(X, Y, X_target=XT)
    np.testing.assert_array_equal(search.predict(XT), best.predict(XT))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature_extractor": PCA(2), "fine_tune": 1}, "fine_tune=1 needs a network or a ClassifierFeatures"),
        ({"feature_extractor": SMALL, "columns": [0]}, "needs all columns"),
        ({"feature_extractor": Convex()}, "cannot be the classifier"),
        ({"fine_tune": 1}, "fine_tune=1 needs a network"),
    ],
)
def test_unusable_extractors_are_refused(options, message):
    model = DomainAdapter(GaussianTransport(), KNN, **options)
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, X_target=XT)
    assert not hasattr(model, "transports_")
    with pytest.raises(InvalidParameterError, match="'fine_tune'"):
        model.set_params(fine_tune=-1).fit(X, Y, X_target=XT)

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_ot.adaptation import DomainAdapter, transport_match, transported_source_accuracy
from sklearn_ot.exceptions import MissingTargetWarning, SourceRowsWarning
from sklearn_ot.metrics import sliced_wasserstein_distance
from sklearn_ot.transport import GaussianTransport

ALIGNS = ["source", "target"]
rng = np.random.RandomState(0)


def domain(n_samples, rng):
    """A source with two classes, and the same rows in the target domain, after a positive definite map and a shift."""
    y = np.arange(n_samples) % 2
    X = rng.randn(n_samples, 2) * 0.3 + np.c_[2 * y, y]
    return X, X @ [[2.0, 0.5], [0.5, 1.0]] + [6, -3], y


XS, _, YS = domain(150, rng)
_, XT, YT = domain(120, rng)


class Unmoved(BaseEstimator):
    """A transport that leaves every row where it is."""

    __metadata_request__fit = {"X_target": True}  # noqa: RUF012

    def fit(self, X, y=None, *, X_target=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


class Recorder(BaseEstimator):
    """A transport and an estimator that keeps the metadata that it gets."""

    def __init__(self, fails=False):
        self.fails = fails

    def fit(self, X, y=None, *, X_target=None, mark=None):
        self.X_, self.X_target_, self.fit_mark_ = X, X_target, mark
        if self.fails:
            raise FloatingPointError("diverged")
        return self

    def transform(self, X, mark=None):
        self.transform_mark_ = mark
        return X

    def predict(self, X, mark=None):
        self.predict_mark_ = mark
        return np.zeros(len(X))


def adapter(align="source", estimator=None, transport=None):
    return DomainAdapter(transport or GaussianTransport(), estimator or KNeighborsClassifier(1), align)


@pytest.fixture(params=ALIGNS)
def fitted(request):
    return adapter(request.param).fit(XS, YS, X_target=XT)


def test_adaptation_repairs_a_classifier(fitted):
    assert KNeighborsClassifier(1).fit(XS, YS).score(XT, YT) < 0.6
    assert fitted.score(XT, YT) > 0.97
    assert fitted.score(XS, YS, domain="source") > 0.97
    assert np.array_equal(fitted.classes_, [0, 1])


def test_source_is_moved_onto_the_target():
    fitted = adapter("source").fit(XS, YS, X_target=XT)
    transport = GaussianTransport().fit(XS, XT)
    by_hand = KNeighborsClassifier(1).fit(transport.transform(XS), YS)
    assert np.array_equal(fitted.predict_proba(XT), by_hand.predict_proba(XT))
    assert np.array_equal(fitted.predict(XS, domain="source"), by_hand.predict(transport.transform(XS)))


def test_target_is_moved_onto_the_source():
    fitted = adapter("target").fit(XS, YS, X_target=XT)
    transport = GaussianTransport().fit(XT, XS)
    by_hand = KNeighborsClassifier(1).fit(XS, YS)
    assert np.array_equal(fitted.predict_proba(XT), by_hand.predict_proba(transport.transform(XT)))
    assert np.array_equal(fitted.predict(XS, domain="source"), by_hand.predict(XS))


@pytest.mark.parametrize("align", ALIGNS)
def test_regressor(align):
    values, target_values = XS.sum(axis=1), np.linalg.solve([[2.0, 0.5], [0.5, 1.0]], (XT - [6, -3]).T).sum(axis=0)
    fitted = adapter(align, Ridge(1e-6)).fit(XS, values, X_target=XT)
    assert is_regressor(fitted)
    assert not is_classifier(fitted)
    # The domains are two samples of one population, in different coordinates: covariances agree to a few per cent.
    assert fitted.score(XT, target_values) > 0.97
    assert transported_source_accuracy(fitted, XS, values) == pytest.approx(1, abs=1e-6)
    assert not hasattr(fitted, "classes_")
    assert not hasattr(fitted, "predict_proba")


def test_methods_are_those_of_the_estimator(fitted):
    assert not hasattr(fitted, "decision_function")
    linear = adapter(fitted.align, LogisticRegression()).fit(XS, YS, X_target=XT)
    assert is_classifier(linear)
    assert linear.decision_function(XT).shape == (120,)
    np.testing.assert_array_equal(linear.decision_function(XT) > 0, linear.predict(XT) == 1)
    np.testing.assert_array_equal(
        linear.predict_proba(XS, domain="source")[:, 1] > 0.5, linear.predict(XS, domain="source")
    )


def test_weights_of_a_score(fitted):
    weights = np.arange(120) % 3
    noisy = np.where(np.arange(120) % 9 == 2, 1 - YT, YT)
    expected = accuracy_score(noisy, fitted.predict(XT), sample_weight=weights)
    assert fitted.score(XT, noisy, sample_weight=weights) == expected != fitted.score(XT, noisy)


@pytest.mark.parametrize("align", ALIGNS)
def test_without_a_target_the_estimator_is_fitted_as_it_is(align):
    with pytest.warns(MissingTargetWarning, match="Pass the unlabelled target rows as X_target") as caught:
        fitted = adapter(align).fit(XS, YS)
    assert caught[0].filename == __file__
    assert fitted.transport_ is None
    by_hand = KNeighborsClassifier(1).fit(XS, YS)
    for rows in ALIGNS:
        assert np.array_equal(fitted.predict(XT, domain=rows), by_hand.predict(XT))
    with pytest.raises(ValueError, match="fitted without X_target: it has no map to score"):
        transport_match(fitted, XS)


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.filterwarnings("error")
def test_data_frames_in_both_domains(fitted, align, output):
    source, target = (pd.DataFrame(X, columns=["a", "b"]) for X in (XS, XT))
    with sklearn.config_context(transform_output=output):
        framed = adapter(align).fit(source, YS, X_target=target)
        assert list(framed.feature_names_in_) == ["a", "b"]
        assert framed.n_features_in_ == 2
        assert framed.score(target, YT) == adapter(align).fit(XS, YS, X_target=XT).score(XT, YT)
        assert framed.score(source, YS, domain="source") > 0.97
        assert transport_match(framed, source) > -1
    with pytest.raises(ValueError, match="feature names should match"):
        framed.predict(target[["b", "a"]])


# X, y, X_target, pattern of the message
UNUSABLE = {
    "nan": (np.vstack([XS[1:], [[0, np.nan]]]), YS, XT, "Input X contains NaN"),
    "one row": (XS[:1], YS[:1], XT, "minimum of 2 is required by DomainAdapter"),
    "labels of another length": (XS, YS[1:], XT, "inconsistent numbers of samples"),
    "no labels": (XS, None, XT, "requires y to be passed"),
    "target nan": (XS, YS, np.vstack([XT, [[0, np.nan]]]), "X_target, the unlabelled target rows,.*contains NaN"),
    "target one row": (XS, YS, XT[:1], "X_target, the unlabelled target rows,.*minimum of 2 is required"),
    "target columns": (
        XS,
        YS,
        XT[:, :1],
        "X_target, the unlabelled.*X has 1 features, but DomainAdapter is expecting 2",
    ),
    "target names": (
        pd.DataFrame(XS, columns=["a", "b"]),
        YS,
        pd.DataFrame(XT, columns=["a", "c"]),
        "(?s)X_target, the unlabelled target rows,.*unseen at fit time:\n- c",
    ),
}


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize(("X", "y", "X_target", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_data_are_refused_and_leave_no_trace(align, X, y, X_target, message):
    model = adapter(align)
    parameters = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, X_target=X_target)
    assert vars(model) == parameters
    before = vars(model.fit(XS, YS, X_target=XT)).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, X_target=X_target)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def test_labels_are_counted_before_the_transport_is_trained():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        adapter(transport=Recorder(fails=True)).fit(XS, YS[1:], X_target=XT)


@pytest.mark.parametrize("estimator", [LogisticRegression(), make_pipeline(StandardScaler(), Ridge())])
def test_missing_labels_are_refused_before_the_transport_is_trained(estimator):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        adapter(estimator=estimator, transport=Recorder(fails=True)).fit(XS, None, X_target=XT)


def test_an_estimator_that_needs_no_labels_is_fitted_without():
    assert adapter(estimator=Recorder()).fit(XS, None, X_target=XT).estimator_.X_target_ is None


def test_failure_of_a_part_leaves_no_trace():
    for parts in ({"transport": Recorder(fails=True)}, {"estimator": Recorder(fails=True)}):
        model = adapter(**parts)
        parameters = vars(model).copy()
        with pytest.raises(FloatingPointError):
            model.fit(XS, YS, X_target=XT)
        assert vars(model) == parameters


def test_unusable_parameters_are_refused():
    with pytest.raises(InvalidParameterError, match="'align' parameter of DomainAdapter must be a str among"):
        adapter("both").fit(XS, YS, X_target=XT)
    with pytest.raises(
        InvalidParameterError, match="'transport' parameter of DomainAdapter must be an object implementing"
    ):
        DomainAdapter(KNeighborsClassifier(), KNeighborsClassifier()).fit(XS, YS, X_target=XT)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_use_before_fit_and_an_unknown_domain_are_refused(fitted, method):
    args = (XT, YT) if method == "score" else (XT,)
    with pytest.raises(NotFittedError):
        getattr(clone(fitted), method)(*args)
    with pytest.raises(ValueError, match=r"domain must be 'auto', 'target' or 'source'.*got 'goal'"):
        getattr(fitted, method)(*args, domain="goal")
    with pytest.raises(ValueError, match="X has 1 features, but DomainAdapter is expecting 2"):
        getattr(fitted, method)(XT[:, :1], *args[1:])


def test_the_parameters_are_not_fitted_and_copies_predict_the_same(fitted):
    assert not hasattr(fitted.transport, "linear_")
    assert not hasattr(fitted.estimator, "classes_")
    expected = fitted.predict_proba(XT)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(XT), expected)
    assert np.array_equal(clone(fitted).fit(XS, YS, X_target=XT).predict_proba(XT), expected)


def test_transport_sees_no_labels_and_the_right_direction():
    for align, start, end in [("source", XS, XT), ("target", XT, XS)]:
        part = adapter(align, transport=Recorder()).fit(XS, YS, X_target=XT).transport_
        np.testing.assert_array_equal(part.X_, start)
        np.testing.assert_array_equal(part.X_target_, end)


# Metadata routing


def test_metadata_need_routing(fitted):
    for call in (lambda: fitted.fit(XS, YS, X_target=XT, mark=1), lambda: fitted.predict(XT, mark=1)):
        with pytest.raises(ValueError, match="only supported if enable_metadata_routing=True"):
            call()


@pytest.mark.parametrize("align", ALIGNS)
def test_metadata_reach_the_part_that_requests_them(align):
    with sklearn.config_context(enable_metadata_routing=True):
        transport = Recorder().set_fit_request(mark="to_fit").set_transform_request(mark="to_transform")
        estimator = Recorder().set_fit_request(mark=True).set_predict_request(mark=True)
        model = adapter(align, estimator, transport)
        model.fit(XS, YS, X_target=XT, to_fit=1, to_transform=2, mark=3)
        assert model.transport_.fit_mark_ == 1
        assert model.estimator_.fit_mark_ == 3
        if align == "source":
            assert model.transport_.transform_mark_ == 2
        model.predict(XT, mark=4)
        assert model.estimator_.predict_mark_ == 4
        model.predict(XS, domain=align, to_transform=5, mark=6)
        assert model.transport_.transform_mark_ == 5
        assert model.estimator_.predict_mark_ == 6


@pytest.mark.parametrize("align", ALIGNS)
def test_sample_weights_are_routed_to_the_estimator(align):
    weights = np.where(YS == 1, 1e-6, 1)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model = adapter(align, estimator).fit(XS, YS, X_target=XT, sample_weight=weights)
        # The weights leave one class.
        assert not model.predict(XT).any()
        assert model.score(XT, YT, sample_weight=(YT == 0).astype(float)) == 1
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            adapter(align, LogisticRegression()).fit(XS, YS, X_target=XT, sample_weight=weights)


@pytest.mark.parametrize("align", ALIGNS)
def test_a_pipeline_and_a_search_route_the_metadata(align):
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipe = make_pipeline(StandardScaler(), adapter(align, estimator), transform_input=["X_target"])
        pipe[0].set_fit_request(sample_weight=False)
        pipe.fit(XS, YS, X_target=XT, sample_weight=np.ones(150))
        assert pipe.score(XT, YT) == pipe.score(XT, YT, sample_weight=np.ones(120)) > 0.97
        assert (pipe.predict(XS, domain="source") == YS).mean() > 0.97
        assert transported_source_accuracy(pipe, XS, YS) > 0.97
        assert transport_match(pipe, XS) == transport_match(pipe[-1], pipe[0].transform(XS))
        search = GridSearchCV(
            pipe,
            {"domainadapter__transport__shrinkage": ["auto", 1.0]},
            scoring={"match": transport_match, "acc": transported_source_accuracy},
            refit="match",
            cv=KFold(3, shuffle=True, random_state=0),
            error_score="raise",
        )
        search.fit(XS, YS, X_target=XT, sample_weight=np.ones(150))
        assert search.best_params_ == {"domainadapter__transport__shrinkage": "auto"}


# Scorers


def test_match_is_the_distance_between_moved_rows_and_the_other_domain():
    held_out, target = domain(80, np.random.RandomState(1))[0], XT
    onto_target = adapter("source").fit(XS, YS, X_target=target)
    assert transport_match(onto_target, held_out) == onto_target.transport_.score(held_out)
    assert transport_match(onto_target.transport_, held_out, YS) == onto_target.transport_.score(held_out)
    onto_source = adapter("target").fit(XS, YS, X_target=target)
    moved = onto_source.transport_.transform(target)
    distance = sliced_wasserstein_distance(moved, held_out, random_state=0)
    assert transport_match(onto_source, held_out) == pytest.approx(-(distance**2), rel=1e-12)


@pytest.mark.parametrize("align", ALIGNS)
def test_match_prefers_the_right_map_and_the_default_score_prefers_no_map(align):
    right = adapter(align).fit(XS, YS, X_target=XT)
    none = adapter(align, transport=Unmoved()).fit(XS, YS, X_target=XT)
    assert transport_match(right, XS) > -0.1 > transport_match(none, XS)
    # The default score of GridSearchCV treats held-out source rows as target rows, and says so.
    held_out, _, y = domain(80, np.random.RandomState(1))
    with pytest.warns(SourceRowsWarning, match="resemble the source"):
        assert right.score(held_out, y) < 0.8
    assert none.score(held_out, y, domain="target") == 1


@pytest.mark.parametrize("align", ALIGNS)
def test_transported_source_accuracy_treats_source_rows_as_source_rows(align):
    right = adapter(align).fit(XS, YS, X_target=XT)
    assert transported_source_accuracy(right, XS, YS) == 1
    assert transported_source_accuracy(right, XS, 1 - YS) == 0
    assert right.score(XS, YS, domain="target") < 0.8


def test_scorers_work_on_a_pipeline_of_one_step(fitted):
    pipe = make_pipeline(fitted)
    assert transport_match(pipe, XS) == transport_match(fitted, XS)
    assert transported_source_accuracy(pipe, XS, YS) == 1


def test_columns_in_large_units_are_named():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    source, target = X[::2], X[1::2] + X.std() / 2
    adapter = DomainAdapter(GaussianTransport(), make_pipeline(StandardScaler(), KNeighborsClassifier()))
    with pytest.warns(
        UserWarning, match="moves rows by columns 'mean area' and 'worst area' and hardly sees"
    ) as caught:
        adapter.fit(source, y[::2], X_target=target)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.fit(source / source.std(), y[::2], X_target=target / source.std())
        # Columns that vary little or not at all are usual among pixels.
        digits, labels = load_digits(return_X_y=True)
        DomainAdapter(Unmoved(), KNeighborsClassifier()).fit(digits[::2], labels[::2], X_target=digits[1::2] + 1)


def test_columns_whose_squares_are_no_floats_are_named():
    rng = np.random.RandomState(0)
    source, target = rng.randn(2, 60, 6) * 1e200
    adapter = DomainAdapter(Unmoved(), DummyClassifier())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.fit(source, source[:, 0] > 0, X_target=target)
    source[:, 1] *= 1e50
    with pytest.warns(UserWarning, match="moves rows by column 1 and hardly sees"):
        adapter.fit(source, source[:, 0] > 0, X_target=target)

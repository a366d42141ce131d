"""TransportAdapter: in pipelines of skada, with its scorers and splitters, against DomainAdapter alone."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport
from sklearn_ot.adaptation.skada import TransportAdapter
from sklearn_ot.io import TRUSTED, load, save
from sklearn_ot.networks import Convex
from sklearn_ot.transport import GaussianTransport, SemiDiscreteTransport, W2Transport

SOURCE, TARGET = 1, -2


@pytest.fixture
def skada():
    """The package skada, and metadata routing, which its import enables in the whole process, for this test only."""
    with sklearn.config_context(enable_metadata_routing=True):
        import skada

        yield skada


def make_shift(seed, n_samples=150):
    """Rows of both domains in random order, with masked labels, the domains and all labels.

    There are three classes in two columns. The target is distributed as the source after a linear map and a shift.
    """
    rng = np.random.RandomState(seed)
    labels, domain = rng.randint(3, size=2 * n_samples), rng.choice([SOURCE, TARGET], 2 * n_samples)
    X = rng.randn(2 * n_samples, 2) + np.array([[0, 0], [4, 0], [0, 6]])[labels]
    X[domain < 0] = X[domain < 0] @ [[1.5, 0.4], [0.4, 0.7]] + [6.0, -5.0]
    return X, np.where(domain < 0, -1, labels), domain, labels


TRANSPORTS = {
    "Gaussian": GaussianTransport(),
    "label-aware": LabelAwareTransport(),
    "semi-discrete": SemiDiscreteTransport(random_state=0),
    "none": None,
}


def compare(skada, transport, seed):
    """The accuracy on target rows with no transport and with one, the same in skada's pipeline and in DomainAdapter."""
    X, y, domain, labels = make_shift(seed)
    classifier, is_target = KNeighborsClassifier(5), domain < 0
    pipeline = skada.make_da_pipeline(TransportAdapter(transport), classifier).fit(X, y, sample_domain=domain)
    adapter = DomainAdapter(transport, classifier).fit(X[~is_target], y[~is_target], X_target=X[is_target])
    assert_array_equal(pipeline.predict(X[is_target]), adapter.predict(X[is_target]))
    without = clone(classifier).fit(X[~is_target], y[~is_target]).score(X[is_target], labels[is_target])
    return without, pipeline.score(X[is_target], labels[is_target])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", TRANSPORTS)
def test_predictions_are_those_of_a_domain_adapter(skada, name, seed):
    without, accuracy = compare(skada, TRANSPORTS[name], seed)
    # The classes are 4 standard deviations apart or more, and a symmetric linear map undoes the shift.
    assert without < 0.75
    assert accuracy > 0.9 if name != "none" else accuracy == without


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_predictions_are_those_of_a_domain_adapter_with_a_network(skada):
    without, accuracy = compare(skada, W2Transport(network=Convex((16,)), max_iter=100, random_state=0), 0)
    assert without < 0.75 < 0.9 < accuracy


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_predictions_are_those_of_a_domain_adapter_with_the_default(skada, seed):
    without, accuracy = compare(skada, TransportAdapter().transport.set_params(random_state=0), seed)
    assert without < 0.75 < 0.95 < accuracy


def test_target_rows_are_moved_with_align_target(skada):
    X, y, domain, _ = make_shift(0)
    pipeline = skada.make_da_pipeline(TransportAdapter(GaussianTransport(), "target"), KNeighborsClassifier(5))
    pipeline.fit(X, y, sample_domain=domain)
    adapter = DomainAdapter(GaussianTransport(), KNeighborsClassifier(5), "target")
    adapter.fit(X[domain > 0], y[domain > 0], X_target=X[domain < 0])
    assert_array_equal(pipeline.predict_proba(X[domain < 0]), adapter.predict_proba(X[domain < 0]))
    assert_array_equal(pipeline[0].transform(X[domain > 0], sample_domain=SOURCE, allow_source=True), X[domain > 0])


def test_each_source_has_its_transport(skada):
    X, y, domain, labels = make_shift(0)
    # The second source is the first one, mirrored and far away; one affine map for both could not undo this.
    second = -X[domain > 0] + 30
    X, y, labels = np.vstack([X, second]), np.append(y, y[domain > 0]), np.append(labels, y[domain > 0])
    domain = np.append(domain, np.full(len(second), 5))
    pipeline = skada.make_da_pipeline(TransportAdapter(LabelAwareTransport()), KNeighborsClassifier(5))
    pipeline.fit(X, y, sample_domain=domain)
    is_target = domain < 0
    adapter = DomainAdapter(LabelAwareTransport(), KNeighborsClassifier(5))
    adapter.fit(X[~is_target], y[~is_target], domain=domain[~is_target], X_target=X[is_target])
    fitted = pipeline[0].base_estimator_
    assert_array_equal(fitted.source_names_, [SOURCE, 5])
    assert_array_equal(pipeline.predict(X[is_target]), adapter.predict(X[is_target]))
    moved = fitted.transform(X, sample_domain=domain, allow_source=True)
    assert_array_equal(moved[is_target], X[is_target])
    assert_array_equal(moved[domain == 5], fitted.transports_[1].transform(second))
    with pytest.raises(ValueError, match=r"sample_domain has the sources \[7\], but those of fit are \[1, 5\]"):
        fitted.transform(X[:3], sample_domain=7, allow_source=True)


SCORERS = {
    "supervised": lambda metrics: metrics.SupervisedScorer(),
    "importance": lambda metrics: metrics.ImportanceWeightedScorer(),
    "entropy": lambda metrics: metrics.PredictionEntropyScorer(),
    "density": lambda metrics: metrics.SoftNeighborhoodDensity(),
    "embedded": lambda metrics: metrics.DeepEmbeddedValidation(random_state=0),
    "circular": lambda metrics: metrics.CircularValidation(),
    "mano": lambda metrics: metrics.MaNoScorer(),
    "mix": lambda metrics: metrics.MixValScorer(random_state=0),
}


@pytest.mark.parametrize("name", SCORERS)
def test_scores_are_those_of_the_adapter_written_by_hand(skada, name):
    """The pipeline with the adapter and skada's own adapter, around the same map, have the same scores."""
    from skada import metrics, model_selection

    class ByHand(skada.base.BaseAdapter):
        def fit_transform(self, X, y=None, *, sample_domain=None, **params):
            self.map_ = GaussianTransport().fit(X[sample_domain >= 0], X_target=X[sample_domain < 0])
            return self.transform(X, sample_domain=sample_domain, allow_source=True)

        def transform(self, X, y=None, *, sample_domain=None, allow_source=False, **params):
            moved = X.copy()
            is_source = np.zeros(len(X), bool) if sample_domain is None else sample_domain >= 0
            if is_source.any():
                moved[is_source] = self.map_.transform(X[is_source])
            return moved

    X, y, domain, labels = make_shift(0)
    classifier = LogisticRegression().set_score_request(sample_weight=True)
    scores = [
        cross_validate(
            skada.make_da_pipeline(adapter, classifier),
            X,
            y,
            params={"sample_domain": domain} | ({"target_labels": labels} if name == "supervised" else {}),
            cv=model_selection.SourceTargetShuffleSplit(n_splits=3, random_state=0),
            scoring=SCORERS[name](metrics),
            error_score="raise",
        )["test_score"]
        for adapter in (TransportAdapter(GaussianTransport()), ByHand())
    ]
    assert np.isfinite(scores).all()
    assert_array_equal(*scores)


def test_a_search_over_transports(skada):
    from skada.metrics import SupervisedScorer
    from skada.model_selection import StratifiedDomainShuffleSplit

    X, y, domain, labels = make_shift(1)
    search = GridSearchCV(
        skada.make_da_pipeline(StandardScaler(), TransportAdapter(GaussianTransport()), LogisticRegression()),
        {"transportadapter__transport": [None, GaussianTransport()]},
        cv=StratifiedDomainShuffleSplit(n_splits=3, random_state=0),
        scoring=SupervisedScorer(),
        error_score="raise",
    ).fit(X, y, sample_domain=domain, target_labels=labels)
    without, with_map = search.cv_results_["mean_test_score"]
    # As in the test of predictions.
    assert without < 0.75 < 0.9 < with_map
    assert search.best_estimator_.score(X[domain < 0], labels[domain < 0]) > 0.9


@pytest.mark.parametrize("selector", ["shared", "per_domain"])
@pytest.mark.parametrize("transport", [GaussianTransport(), LabelAwareTransport(), SemiDiscreteTransport()])
def test_a_transport_without_the_adapter_is_refused(skada, transport, selector):
    X, y, domain, _ = make_shift(0)
    pipeline = skada.make_da_pipeline(transport, KNeighborsClassifier(), default_selector=selector)
    with pytest.raises(ValueError, match=rf"TransportAdapter\({type(transport).__name__}"):
        pipeline.fit(X, y, sample_domain=domain)


def test_weights_are_those_of_repeated_rows(skada):
    X, y, domain, _ = make_shift(0)
    weight = np.random.RandomState(0).randint(0, 3, len(X))
    adapter = TransportAdapter(GaussianTransport()).fit(X, y, sample_domain=domain, sample_weight=weight)
    rows = np.repeat(np.arange(len(X)), weight)
    repeated = TransportAdapter(GaussianTransport()).fit(X[rows], y[rows], sample_domain=domain[rows])
    moved = [fitted.transform(X, sample_domain=domain, allow_source=True) for fitted in (adapter, repeated)]
    # Both are the same map but for rounding.
    assert_allclose(*moved, rtol=1e-9)


def test_domains_are_those_of_masked_labels(skada):
    X, y, domain, labels = make_shift(0)
    given = TransportAdapter(GaussianTransport()).fit(X, y, sample_domain=domain.tolist())
    assert_array_equal(given.transform(X, sample_domain=domain.tolist(), allow_source=True)[domain < 0], X[domain < 0])
    for masked in (y, np.where(domain > 0, labels + 0.5, np.nan)):
        found = TransportAdapter(GaussianTransport()).fit(X, masked)
        assert_array_equal(found.source_names_, given.source_names_)
        assert_array_equal(found.transports_[0].transform(X), given.transports_[0].transform(X))


def test_wrong_input_has_one_clear_error_and_changes_nothing(skada):
    X, y, domain, _ = make_shift(0)
    adapter = TransportAdapter(GaussianTransport()).fit(X, y, sample_domain=domain)
    before = adapter.transports_
    with pytest.raises(ValueError, match="two rows or more of the target"):
        adapter.fit(X[:, :1], y, sample_domain=np.ones(len(X)))
    assert adapter.n_features_in_ == X.shape[1]
    with pytest.raises(ValueError, match="two rows or more of the target"):
        adapter.fit(X, y, sample_domain=np.append(domain[:-1], 9))
    with pytest.raises(ValueError, match="pass sample_domain, or y with masked labels"):
        adapter.fit(X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        adapter.fit(X, y, sample_domain=domain[1:])
    with pytest.raises(ValueError, match="'allow_source' is set to False"):
        adapter.transform(X, sample_domain=domain)
    with pytest.raises(ValueError, match="The 'align' parameter"):
        TransportAdapter(None, "both").fit(X, y, sample_domain=domain)
    with pytest.raises(ValueError, match="LabelAwareTransport needs the labels of source rows"):
        TransportAdapter(LabelAwareTransport()).fit(X, sample_domain=domain)
    two_sources = np.where((domain > 0) & (np.arange(len(X)) % 2 == 0), 7, domain)
    with pytest.raises(ValueError, match="align='target' moves target rows onto one source, but there are several"):
        TransportAdapter(GaussianTransport(), "target").fit(X, y, sample_domain=two_sources)
    assert adapter.transports_ is before


def test_the_default_is_a_w2_transport_of_its_own():
    first, second = TransportAdapter(), TransportAdapter()
    assert type(first.transport) is W2Transport
    assert first.transport is not second.transport
    assert type(clone(first).transport) is W2Transport


def test_a_file_is_read_without_skada(tmp_path):
    X, y, domain, _ = make_shift(0)
    with sklearn.config_context():
        adapter = TransportAdapter(GaussianTransport()).fit(X, y, sample_domain=domain)
    save(adapter, tmp_path / "adapter.zip")
    code = """
import sys
from sklearn_ot.io import load
sys.modules["skada"] = None  # as if it were not installed
adapter = load(sys.argv[1])
print(adapter.transports_[0].transform([[1.0, 2.0]]).tolist())
try:
    adapter.transform([[1.0, 2.0]])
except ImportError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, tmp_path / "adapter.zip"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.startswith(f"{adapter.transports_[0].transform([[1.0, 2.0]]).tolist()}\n")
    assert 'pip install "sklearn-ot[skada]"' in printed


def test_a_pipeline_in_a_file_of_skops_and_not_of_save(skada, tmp_path):
    """skada's pipelines have types of skada, which the user names to skops, and which save refuses."""
    X, y, domain, _ = make_shift(0)
    pipeline = skada.make_da_pipeline(TransportAdapter(GaussianTransport()), LogisticRegression())
    pipeline.fit(X, y, sample_domain=domain)
    data = skops.io.dumps(pipeline)
    requests = [f"sklearn.utils._metadata_requests.{name}" for name in ("MetadataRequest", "MethodMetadataRequest")]
    loaded = skops.io.loads(data, trusted=[*TRUSTED, "skada.base.Shared", *requests])
    assert_array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))
    with pytest.raises(ValueError, match=r"Pipeline is .* holds types that skops does not load .*skada\.base\.Shared"):
        save(pipeline, tmp_path / "pipeline.zip")
    # Its adapter alone can be in a file, with its fitted transports.
    save(pipeline[0].base_estimator_, tmp_path / "adapter.zip")
    moved = [each.transform(X) for each in (load(tmp_path / "adapter.zip"), pipeline[0].base_estimator_)]
    assert_array_equal(*moved)


def test_skada_is_imported_only_when_it_is_used():
    code = """
import sys
import sklearn
from sklearn_ot.adaptation.skada import TransportAdapter
print("skada" in sys.modules, sklearn.get_config()["enable_metadata_routing"])
sys.modules["skada"] = None  # as if it were not installed
try:
    TransportAdapter(None).fit([[0.0], [1], [2], [3]], sample_domain=[1, 1, -1, -1])
except ImportError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.startswith("False False\n")
    assert 'pip install "sklearn-ot[skada]"' in printed

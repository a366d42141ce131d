"""W2Transport: start, invariances, reproducibility, stopping, accuracy on known maps, bad input."""

import copy
import functools
import io
import pickle
import signal
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot.datasets import make_gaussian_pair, make_potential_pair, make_toy
from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.metrics import l2_uvp, wasserstein_distance
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.nn import DenseICNN
from sklearn_ot.objectives.dual import negative_dual
from sklearn_ot.objectives.solvers import SOLVERS, solver_for
from sklearn_ot.solvers.conjugate import convex_conjugate
from sklearn_ot.transport import GaussianTransport, W2Transport

SHORT = {"network": Convex((16, 16)), "max_iter": 150, "batch_size": 64, "random_state": 0}


def short_fit(Xs, Xt, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return W2Transport(**{**SHORT, **parameters}).fit(Xs, Xt)


@pytest.fixture(scope="module")
def samples():
    """A normal source and a target of eight clusters in skewed coordinates."""
    rng = np.random.RandomState(0)
    clusters = 0.2 * rng.randn(500, 3) + rng.choice([-1, 1], (500, 3))
    return rng.randn(600, 3), clusters @ rng.randn(3, 3) + [1, 2, 3]


@pytest.fixture(scope="module")
def fitted(samples):
    transport = short_fit(*samples)
    # The other tests need a map that training has changed.
    assert transport.score(samples[0]) > 0.6 * GaussianTransport().fit(*samples).score(samples[0])
    return transport


def test_target_rows_that_are_no_images_have_preimages_near_the_source_rows(samples, fitted):
    """The networks stretch by at least 0.01, so that without a rim preimages may be a hundred times as far out."""
    coordinates = fitted.coordinates_
    radius = np.linalg.norm(coordinates.of_source(samples[0]), axis=1).max()
    directions = coordinates.of_target(samples[1])
    far = 10 * directions / np.linalg.norm(directions, axis=1, keepdims=True) * radius
    preimages = coordinates.of_source(fitted.inverse_transform(coordinates.to_target(far)))
    distances = np.linalg.norm(preimages, axis=1)
    # ⟨T(x), x⟩ ≥ ⟨T(0), x⟩ + 0.3 ‖x‖ (‖x‖ - r), where T(x) has the norm 10 r: ‖x‖ is at most r + (10 r + ‖T(0)‖) / 0.3.
    centre = np.linalg.norm(coordinates.of_target(fitted.transform(coordinates.to_source(np.zeros((1, 3))))))
    assert radius < distances.min()
    assert distances.max() <= radius + (10 * radius + centre) / 0.3
    images = coordinates.of_target(fitted.transform(samples[0]))
    with torch.no_grad():
        of_network = fitted.net_.module_.transport(torch.as_tensor(coordinates.of_source(samples[0])).float())
    # In the ball there is no rim. Training is in float32.
    np.testing.assert_allclose(images, of_network.numpy(), atol=1e-4)


def test_small_samples_with_heavy_tails_have_an_inverse():
    """Fresh rows of t₅ are farther out than those of the fit. Without a rim the error is 70 %, the Gaussian 35 %."""
    pair = make_potential_pair(2, 300, family="envelope", source="student", random_state=1)
    transport = W2Transport(random_state=0, max_iter=1000).fit(pair.source, pair.target)
    X = pair.sample_source(2000, random_state=7)
    assert l2_uvp(transport.inverse_transform(pair.transport(X)), X) < 15


def test_columns_that_do_not_vary_do_no_harm():
    """If the network could bend constant columns, the inverse map would be worse than no map."""
    pair = make_potential_pair(2, 2000, random_state=0)
    X = pair.sample_source(500, random_state=1)
    Y = pair.transport(X)
    rotation = np.linalg.qr(np.random.RandomState(0).randn(10, 10))[0]

    def pad(rows):
        return np.hstack([rows, np.full((len(rows), 8), 3.0)]) @ rotation

    plain = short_fit(pair.source, pair.target, plan_size=0)
    padded = short_fit(pad(pair.source), pad(pair.target), plan_size=0)
    errors = l2_uvp(padded.transform(pad(X)), pad(Y)), l2_uvp(padded.inverse_transform(pad(Y)), pad(X))
    # The same problem in other coordinates, with other initial weights.
    assert errors[0] < 1.5 * l2_uvp(plain.transform(X), Y)
    assert errors[1] < 1.5 * l2_uvp(plain.inverse_transform(Y), X)
    assert padded.wasserstein_distance_ == pytest.approx(plain.wasserstein_distance_, rel=0.02)
    dual = padded.dual_value(pad(pair.source), pad(pair.target))
    assert dual == pytest.approx(padded.wasserstein_distance_**2 / 2, rel=0.02)
    expected = padded.transform(pad(X))
    np.testing.assert_allclose((expected @ rotation.T)[:, 2:], 3.0, atol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(padded)).transform(pad(X)), expected)
    # Shorter steps than those of the first fit, whose noise in batches of 64 rows limits the map.
    further = copy.deepcopy(padded).prune().set_params(warm_start=True, max_iter=300, learning_rate=5e-3)
    np.testing.assert_allclose(further.transform(pad(X)), expected, atol=1e-5)
    with pytest.warns(ConvergenceWarning):
        further.fit(pad(pair.source), pad(pair.target))
    assert l2_uvp(further.transform(pad(X)), pad(Y)) < errors[0]


def test_starts_at_the_gaussian_map(samples):
    Xs, Xt = samples
    start, gaussian = W2Transport(max_iter=0).fit(Xs, Xt), GaussianTransport().fit(Xs, Xt)
    # The quadratic part of the network is stored in float32.
    np.testing.assert_allclose(start.transform(Xs), gaussian.transform(Xs), atol=1e-5)
    np.testing.assert_allclose(start.inverse_transform(Xt), gaussian.inverse_transform(Xt), atol=1e-5)
    np.testing.assert_allclose(start.potential(Xs), gaussian.potential(Xs), atol=1e-4)
    assert start.n_iter_ == 0
    assert start.history_ == []


def test_a_conjugate_that_stops_short_never_looks_better(samples, fitted, monkeypatch):
    """The value that selects the weights is an upper bound for any number of steps of the conjugates."""
    x, y = (torch.as_tensor(sample[:200]) for sample in samples)
    pair = copy.deepcopy(fitted.net_.module_).double().cpu()
    with torch.no_grad():
        exact = negative_dual(pair, x, y)
        for max_iter in (0, 1, 3, 10):
            short = functools.partial(convex_conjugate, max_iter=max_iter)
            monkeypatch.setattr(
                "sklearn_ot.objectives.dual.convex_conjugate", lambda *args, short=short, **_: short(*args)
            )
            assert negative_dual(pair, x, y) >= exact - 1e-6
            assert max_iter or negative_dual(pair, x, y) > exact + 0.01


@pytest.mark.parametrize(("factor", "offset"), [(1e3, 0), (1e-3, 0), (1, 1e4), (1e3, 1e4)])
def test_units_change_nothing_but_units(samples, factor, offset):
    """Balanced coordinates differ only by rounding, in training of float32, which grows with the steps."""
    Xs, Xt = (factor * sample + offset for sample in samples)
    one, other = short_fit(*samples, max_iter=60), short_fit(Xs, Xt, max_iter=60)
    np.testing.assert_allclose(
        other.transform(Xs), factor * one.transform(samples[0]) + offset, atol=1e-3 * factor * samples[1].std()
    )
    np.testing.assert_allclose(
        other.inverse_transform(Xt),
        factor * one.inverse_transform(samples[1]) + offset,
        atol=1e-3 * factor * samples[0].std(),
    )
    assert other.wasserstein_distance_ == pytest.approx(factor * one.wasserstein_distance_, rel=1e-3)


class Quadratic(nn.Module):
    """A network of a user: half the squared norm after a linear map, plus a strongly convex part."""

    strong_convexity = 0.1

    def __init__(self, n_features):
        super().__init__()
        self.linear = nn.Parameter(np.sqrt(0.9) * torch.eye(n_features))
        self.shift = nn.Parameter(torch.zeros(n_features))

    def forward(self, x):
        return self.value_and_gradient(x)[0]

    def gradient(self, x):
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x):
        gradient = x @ self.linear @ self.linear.T + 0.1 * x
        return ((gradient * x).sum(1) / 2 + x @ self.shift), gradient + self.shift

    def project_(self):
        pass


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_network_of_ones_own(samples, solver):
    """Between Gaussian samples, training finds the Gaussian map from a start with a strongly shrunk covariance."""
    rng = np.random.RandomState(0)
    Xs = rng.randn(2000, 2)
    Xt = Xs @ [[2.0, 0.5], [0.5, 1.0]] + 3
    transport = short_fit(Xs, Xt, solver=solver, network=Quadratic, shrinkage=0.5, plan_size=0, max_iter=300)
    start = GaussianTransport(shrinkage=0.5).fit(Xs, Xt)
    assert l2_uvp(transport.transform(Xs), Xt) < 0.2 * l2_uvp(start.transform(Xs), Xt)
    assert l2_uvp(transport.inverse_transform(Xt), Xs) < 0.2 * l2_uvp(start.inverse_transform(Xt), Xs)
    assert isinstance(transport.net_.module_.potential, Quadratic)
    assert transport.sparsity_ == 0
    expected = transport.transform(Xs)
    np.testing.assert_allclose(transport.prune().transform(Xs), expected)


class Renamed(DenseICNN):
    """A convex network whose arguments have other names than those of the package."""

    def __init__(self, dim, width):
        super().__init__(dim, (width,))


class RenamedSpecification:
    def __init__(self, width):
        self.width = width

    def potential(self, n_features):
        return Renamed, {"dim": n_features, "width": self.width}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_specification_of_ones_own_continues_and_is_pruned(samples):
    transport = short_fit(*samples, network=RenamedSpecification(16), warm_start=True, max_iter=50, plan_size=0)
    transport.fit(*samples)
    assert transport.n_iter_ == 100
    expected = transport.transform(samples[0])
    np.testing.assert_allclose(transport.prune().transform(samples[0]), expected)
    with pytest.raises(ValueError, match="network__width from 16 to 8"):
        transport.set_params(network=RenamedSpecification(8)).fit(*samples)
    with pytest.raises(ValueError, match="n_features from 3 to 1"):
        transport.fit(samples[0][:, :1], samples[1][:, :1])


def test_a_network_that_is_not_convex_is_refused(samples):
    with pytest.raises(ValueError, match=r"network must be a convex function .* Linear has no gradient and no value"):
        W2Transport(network=nn.Linear).fit(*samples)


def test_transform_has_the_dtype_of_its_input(samples, fitted):
    double = fitted.transform(samples[0])
    single = fitted.transform(samples[0].astype(np.float32))
    assert (double.dtype, single.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(single, double, atol=1e-4)
    # The net computes in float64, so a row has the same image alone and among others.
    np.testing.assert_allclose(fitted.transform(samples[0][:1]), double[:1], rtol=1e-12)


def test_in_chunks_nothing_changes(samples, fitted, monkeypatch):
    Xs, Xt = samples
    # With other numbers of rows, products of matrices add in another order: some ten times 16 numbers, with an error of
    # 1e-16 each. A search ends after the same steps among any other rows. Where it needs dozens of them, it amplifies
    # errors of the map, by as much as errors of the target rows.
    rounding, error = 2e-14, 1e-11
    search = functools.partial(fitted.inverse_transform, return_residual=True)
    ends = search(Xt)
    moved = [[np.abs(a - b).max() for a, b in zip(search(Xt + error * axis), ends, strict=True)] for axis in np.eye(3)]
    amplified = rounding * np.max(moved, axis=0) / error
    assert amplified.max() < 1e-9  # after other steps an end would differ by the tolerance of a search, 1e-4

    def results():
        return [fitted.transform(Xs), fitted.potential(Xs), fitted.dual_value(Xs, Xt), *search(Xt)]

    whole = results()
    monkeypatch.setattr("sklearn_ot.solvers.chunks.CHUNK_ROWS", 7)
    for one, other, tolerance in zip(results(), whole, [rounding, rounding, rounding, *amplified], strict=True):
        # Numbers near zero are differences of larger ones.
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_transform_is_the_gradient_of_the_potential(samples, fitted):
    X, step = samples[0][:20], 1e-5
    differences = [
        (fitted.potential(X + step * axis) - fitted.potential(X - step * axis)) / (2 * step) for axis in np.eye(3)
    ]
    np.testing.assert_allclose(fitted.transform(X), np.transpose(differences), atol=1e-6)
    assert fitted.potential(samples[0].mean(axis=0)[None]) == pytest.approx(0, abs=1e-12)


def test_maps_are_monotone(samples, fitted):
    """The map is the gradient of a convex function: ⟨T(a) − T(b), a − b⟩ > 0."""
    a, b = samples[0][:150], samples[0][150:300]
    for method in (fitted.transform, fitted.inverse_transform):
        assert np.sum((method(a) - method(b)) * (a - b), axis=1).min() > 0


def test_one_random_state_one_map(samples, fitted):
    again = short_fit(*samples)
    np.testing.assert_array_equal(again.transform(samples[0]), fitted.transform(samples[0]))
    assert again.wasserstein_distance_ == fitted.wasserstein_distance_
    other = short_fit(*samples, random_state=1)
    assert not np.allclose(other.transform(samples[0]), fitted.transform(samples[0]))


@pytest.mark.parametrize("random_state", [None, 0])
def test_the_callers_random_states_are_untouched(samples, random_state):
    before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the state that must not change)
    short_fit(*samples, random_state=random_state, max_iter=2).transform(samples[0])
    after = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    np.testing.assert_equal(after[0], before[0])
    assert torch.equal(after[1], before[1])


def through_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), through_joblib, copy.deepcopy])
def test_copies_are_equal_bit_for_bit(samples, fitted, copied):
    other = copied(fitted)
    for method, X in (("transform", samples[0]), ("inverse_transform", samples[1]), ("potential", samples[0])):
        np.testing.assert_array_equal(getattr(other, method)(X), getattr(fitted, method)(X))
    assert other.history_ == fitted.history_
    assert repr(other) == repr(fitted)
    assert pickle.dumps(other) == pickle.dumps(fitted)


def test_a_pickle_holds_no_tensor(fitted):
    assert b"torch" not in pickle.dumps(fitted)


def test_clone_fits_the_same_map(samples, fitted):
    with pytest.warns(ConvergenceWarning):
        again = clone(fitted).fit(*samples)
    np.testing.assert_array_equal(again.transform(samples[0]), fitted.transform(samples[0]))


def test_a_pickle_of_a_device_that_is_not_here_loads_on_the_cpu(samples, fitted):
    elsewhere = copy.deepcopy(fitted).set_params(device="cuda:99")
    loaded = pickle.loads(pickle.dumps(elsewhere))
    # On two devices if "auto" is not the CPU; the results then differ by rounding in float64.
    np.testing.assert_allclose(loaded.transform(samples[0]), fitted.transform(samples[0]), rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on(samples):
    transport = W2Transport(**{**SHORT, "warm_start": True, "plan_size": 0}).fit(*samples)
    first, weights = transport.net_.best_loss_, transport.net_.module_.state_dict()
    transport.set_params(max_iter=40, learning_rate=1e-3).fit(*samples)
    assert [row["n_iter"] for row in transport.history_] == [100, 150, 190]
    assert transport.n_iter_ == 190
    # With the same random state the same rows are held out, and the map at the start is one of the candidates.
    assert transport.net_.best_loss_ <= first < 0
    # The weights are near the old ones, and not near new initial weights.
    for name, weight in transport.net_.module_.state_dict().items():
        assert (weight - weights[name]).abs().max() < 0.1
    loaded = pickle.loads(pickle.dumps(transport)).fit(*samples)
    assert [row["n_iter"] for row in loaded.history_] == [100, 150, 190, 230]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Numbers are far out")
def test_warm_start_refuses_rows_in_other_units(samples):
    """Units and origins of single columns of one sample, and of all; far rows are no other units."""
    Xs, Xt = samples
    transport = W2Transport(**{**SHORT, "warm_start": True, "max_iter": 2}).fit(*samples)
    expected = transport.transform(Xs)
    for X, Y, message in [
        (1000 * Xs, 1000 * Xt, r"columns 0, 1 and 2 of X have other units.* times .*warm_start=False"),
        (Xs * [1, 1, 0.001], Xt, "column 2 of X has other units"),
        (Xs, Xt + np.array([0, 300, 0]), "column 1 of X_target has other units"),
    ]:
        with pytest.raises(ValueError, match=message):
            transport.fit(X, Y)
        np.testing.assert_array_equal(transport.transform(Xs), expected)
    wild = Xs[:300] * 2
    wild[:3] *= 1000
    transport.fit(wild, Xt)
    # A transport from a pickle of an older version knows no units.
    del transport._units
    transport.fit(*samples)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("n_features", "n_rows", "expected"), [(48, 10_000, (256, 128)), (47, 10_000, (128, 128)), (48, 9999, (128, 128))]
)
def test_the_default_network_is_wide_with_many_features_and_rows(n_features, n_rows, expected):
    """A continued fit has the same network, also with fewer rows."""
    rng = np.random.RandomState(0)
    Xs, Xt = rng.standard_normal((10_000, n_features)), rng.standard_normal((n_rows, n_features))
    transport = W2Transport(max_iter=1, warm_start=True, random_state=0)
    for n_target in (n_rows, 100):
        transport.fit(Xs, Xt[:n_target])
        assert transport.net_.module_.potential.hidden_layer_sizes == expected


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_refuses_another_architecture(samples):
    transport = W2Transport(**{**SHORT, "warm_start": True}).fit(*samples)
    expected = transport.transform(samples[0])
    with pytest.raises(ValueError, match=r"hidden_layer_sizes from \(16, 16\) to \(8,\).*warm_start=False"):
        transport.set_params(network=Convex((8,))).fit(*samples)
    with pytest.raises(ValueError, match="n_features from 3 to 2"):
        transport.set_params(**SHORT).fit(*(sample[:, :2] for sample in samples))
    np.testing.assert_array_equal(transport.transform(samples[0]), expected)
    assert transport.n_features_in_ == 3


def test_a_fit_that_converges_does_not_warn():
    """The Gaussian map is the solution here, so there is no gain and the fit stops after n_iter_no_change blocks."""
    rng = np.random.RandomState(0)
    transport = W2Transport(network=Convex((8,)), n_iter_no_change=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport.fit(rng.randn(2000, 2), 2 * rng.randn(2000, 2))
    assert transport.n_iter_ < transport.max_iter


def test_a_fit_that_stops_short_says_so(samples):
    with pytest.warns(ConvergenceWarning, match=r"max_iter=150 steps.*Increase max_iter"):
        W2Transport(**SHORT).fit(*samples)


class InterruptAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_batch_end(self, net, **kwargs):
        if net.n_iter_ == self.step:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_fit_keeps_its_map(samples):
    with pytest.warns(UserWarning, match="interrupted after 250 steps"):
        transport = W2Transport(**{**SHORT, "max_iter": 400, "plan_size": 0}, callbacks=[InterruptAt(250)]).fit(
            *samples
        )
    assert [row["n_iter"] for row in transport.history_] == [100, 200, 250]
    assert transport.history_[0].keys() - transport.history_[-1].keys() == {"dur", "train_loss"}
    gaussian = GaussianTransport().fit(*samples)
    assert transport.score(samples[0]) > gaussian.score(samples[0])


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_batch_end(self, net, **kwargs):
        if net.n_iter_ >= self.step:
            raise KeyboardInterrupt


def test_a_callback_that_stops_training_ends_the_main_stage_and_not_the_plan(samples):
    """It is no interruption from the keyboard, and there is no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport = W2Transport(**{**SHORT, "max_iter": 200}, callbacks=[StopAt(50)]).fit(*samples)
    n_iter = {row["stage"]: row["n_iter"] for row in transport.history_}
    assert n_iter == {"plan": 200, "dual": 201}


def test_callbacks_are_cloned_and_run(samples):
    class Counter(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("seen", True)

    callback = Counter()
    transport = short_fit(*samples, callbacks=[callback])
    assert transport.net_.history[-1, "seen"]
    assert all(used is not callback for _, used in transport.net_.callbacks_)


def test_progress_is_shown_when_verbose_only(samples, capsys):
    short_fit(*samples)
    assert capsys.readouterr() == ("", "")
    short_fit(*samples, verbose=1)
    assert "150/150" in capsys.readouterr().err


def test_never_ends_worse_than_the_gaussian_map(samples):
    """With far too large steps no weights are better than the start, and the start is kept."""
    wild = short_fit(*samples, learning_rate=30.0)
    gaussian = GaussianTransport().fit(*samples)
    assert min(row["valid_loss"] for row in wild.history_) > 0
    np.testing.assert_allclose(wild.transform(samples[0]), gaussian.transform(samples[0]), atol=1e-5)


def test_a_gain_within_its_error_is_none():
    """Between normal samples the networks only learn noise, and the Gaussian map is kept, bit for bit."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(150, 3), rng.randn(150, 3) @ rng.randn(3, 3) + 5
    transport = short_fit(X, Y, validation_fraction=0.5)
    assert transport.is_gaussian_
    gaussian = GaussianTransport().fit(X, Y)
    np.testing.assert_allclose(transport.transform(X), gaussian.transform(X), atol=1e-5)
    # The potential ½|x|² has the gain 0, so the dual value is that of the Gaussian map.
    assert transport.wasserstein_distance_ == pytest.approx(gaussian.wasserstein_distance_, rel=1e-2)
    # Another fit can still find a better map if there is more to learn.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        transport.set_params(warm_start=True).fit(X, np.sign(Y - 5) * 3 + Y)
    assert not transport.is_gaussian_


def test_without_early_stopping_all_rows_are_trained_on(samples):
    class Sizes(Callback):
        def on_train_begin(self, net, X=None, y=None):
            net.sizes = len(X.x), len(X.y)

    for early_stopping, sizes in ((True, (540, 450)), (False, (600, 500))):
        transport = short_fit(*samples, early_stopping=early_stopping, callbacks=[Sizes()], max_iter=1)
        assert transport.net_.sizes == sizes


def test_standard_normal_target():
    """With fit(X) alone the images are standard normal, and the inverse map generates rows."""
    X = make_toy("moons", 1000, random_state=0)
    transport = short_fit(X, None, network=Convex((64, 64)), max_iter=200, batch_size=256)
    generated = transport.inverse_transform(np.random.RandomState(0).randn(1000, 2))
    floor = wasserstein_distance(X, make_toy("moons", 1000, random_state=1))
    gaussian = GaussianTransport().fit(X).inverse_transform(np.random.RandomState(0).randn(1000, 2))
    assert wasserstein_distance(generated, X) < 0.5 * wasserstein_distance(gaussian, X) + floor


@pytest.mark.parametrize("n_features", [1, 3])
def test_known_potential_map(n_features):
    """On new points, the errors of the map and of its inverse are far smaller than those of the Gaussian map."""
    pair = make_potential_pair(n_features, n_samples=4000, random_state=0)
    transport = short_fit(pair.source, pair.target, network=Convex((64, 64)), max_iter=250, batch_size=256)
    gaussian = GaussianTransport().fit(pair.source, pair.target)
    X = pair.sample_source(2000, random_state=1)
    Y = pair.transport(X)
    assert l2_uvp(transport.transform(X), Y) < 0.4 * l2_uvp(gaussian.transform(X), Y)
    assert l2_uvp(transport.inverse_transform(Y), X) < 0.5 * l2_uvp(gaussian.inverse_transform(Y), X)
    # The error of the dual value is of second order in that of the map; the rest is the noise of the samples.
    assert transport.wasserstein_distance_ == pytest.approx(np.sqrt(((X - Y) ** 2).sum(axis=1).mean()), rel=0.05)


def test_gaussian_pair():
    """A small version of benchmarks/w2.py: errors of 0.5 % forward and inverse."""
    pair = make_gaussian_pair(4, n_samples=5000, random_state=0)
    transport = short_fit(pair.source, pair.target, max_iter=200)
    X = pair.sample_source(2000, random_state=1)
    Y = pair.transport(X)
    assert l2_uvp(transport.transform(X), Y) < 0.5
    assert l2_uvp(transport.inverse_transform(Y), X) < 0.5


def test_eight_gaussians():
    """A small version of benchmarks/w2.py: a small multiple of the distance between two fresh samples, in both ways.

    In the clusters the map stretches by some hundredths. The inverse only fills the source if training sees this: with
    searches to a residual of 0.01 its distance is 1.7 times as large.
    """
    rng = np.random.RandomState(0)
    first, second, third = (make_toy("8gaussians", n, random_state=n) for n in (4000, 1000, 1001))
    transport = short_fit(rng.randn(4000, 2), first, network=Convex((64, 64)), max_iter=200, batch_size=256)
    rows, others = rng.randn(1000, 2), rng.randn(1000, 2)
    assert wasserstein_distance(transport.transform(rows), second) < 2 * wasserstein_distance(second, third[:1000])
    assert wasserstein_distance(transport.inverse_transform(second), rows) < 1.5 * wasserstein_distance(others, rows)


@pytest.mark.parametrize("solver", SOLVERS)
def test_step_sizes(solver):
    """The step size of ω is relative_step times that of ψ; with 64 features both are half of those with up to 16."""
    sizes = {}
    for n_features in (4, 16, 64):
        X = np.random.RandomState(0).randn(100, n_features)
        net = W2Transport(solver, max_iter=0).fit(X, X).net_
        sizes[n_features] = [group["lr"] for group in net.optimizer_.param_groups]
        # Only the two solvers with large steps need shorter ones for hidden weights.
        assert net.short_steps_from == (10_000 if solver in ("dual", "minimax-v1") else None)
    conjugate, potential = sizes[4]
    assert conjugate == pytest.approx(solver_for(solver, 4).relative_step * potential)
    conjugate, potential = sizes[16]
    assert conjugate == pytest.approx(SOLVERS[solver].relative_step * potential)
    assert sizes[64] == pytest.approx([conjugate / 2, potential / 2])


@pytest.mark.parametrize("n_features", [2, 5])
def test_the_default_network_starts_sharper_in_few_features(n_features):
    X = np.random.RandomState(0).randn(100, n_features)
    sharpness = W2Transport(max_iter=0).fit(X, X).net_.module_.potential.sharpness
    assert torch.cat(sharpness).tolist() == pytest.approx([solver_for("dual", n_features).sharpness] * 4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_solver_beats_the_gaussian_map(solver):
    """On new rows of a known pair the error is at most half of that of the Gaussian map."""
    pair = make_potential_pair(2, n_samples=4000, random_state=0)
    transport = short_fit(
        pair.source, pair.target, solver=solver, network=Convex((64, 64)), batch_size=128, max_iter=200, plan_size=0
    )
    gaussian = GaussianTransport().fit(pair.source, pair.target)
    X = pair.sample_source(1000, random_state=1)
    Y = pair.transport(X)
    assert l2_uvp(transport.transform(X), Y) < 0.5 * l2_uvp(gaussian.transform(X), Y)
    assert l2_uvp(transport.inverse_transform(Y), X) < l2_uvp(gaussian.inverse_transform(Y), X)
    assert {row["stage"] for row in transport.history_} == {solver}


def test_the_inverse_of_conjugate_is_exact(samples, fitted):
    """The inverse is exact to a tolerance for each feature, in balanced coordinates, where variances are 1."""
    Xt = samples[1]
    X, residual = fitted.inverse_transform(Xt, return_residual=True)
    np.testing.assert_allclose(residual, np.linalg.norm(fitted.transform(X) - Xt, axis=1))
    assert residual.max() < 10 * fitted.conjugate_tol * np.linalg.norm(Xt, axis=1).max()
    np.testing.assert_array_equal(X, fitted.inverse_transform(Xt))
    coarse = copy.deepcopy(fitted).set_params(conjugate_tol=0.1)
    assert coarse.inverse_transform(Xt, return_residual=True)[1].max() > 10 * residual.max()


def test_an_inverse_that_stops_short_says_so(samples, fitted, monkeypatch):
    monkeypatch.setattr("sklearn_ot.solvers.potentials.MAX_CONJUGATE_STEPS", 1)
    with pytest.warns(ConvergenceWarning, match=r"of 500 rows were not inverted to conjugate_tol=0.0001\."):
        fitted.inverse_transform(samples[1])


def test_dual_value_is_a_lower_bound_and_higher_for_a_better_map(samples, fitted):
    """The dual value is below the cost of the exact plan of the same rows, and above that of the Gaussian map."""
    Xs, Xt = samples
    exact = wasserstein_distance(Xs, Xt) ** 2 / 2
    gaussian = W2Transport(max_iter=0).fit(Xs, Xt)
    assert gaussian.dual_value(Xs, Xt) < fitted.dual_value(Xs, Xt) < exact
    # The Gaussian map is exact for Gaussians, and its dual value has a closed form.
    rng = np.random.RandomState(0)
    X = rng.randn(500, 2)
    Y = 3 * X + [1, 2]
    value = W2Transport(max_iter=0, shrinkage=None).fit(X, Y).dual_value(X, Y)
    assert value == pytest.approx(np.mean(np.sum((X - Y) ** 2, axis=1)) / 2, rel=1e-5)


@pytest.mark.parametrize("plan_size", ["auto", 0, 300])
def test_held_out_rows_decide_the_start(samples, plan_size):
    transport = short_fit(*samples, plan_size=plan_size)
    stages = [row["stage"] for row in transport.history_]
    if plan_size == 0:
        assert set(stages) == {"dual"}
        assert transport.start_ == "gaussian"
    else:
        best = min(row["valid_loss"] for row in transport.history_ if row["stage"] == "plan")
        assert transport.start_ == ("plan" if best < 0 else "gaussian")
    assert transport.net_.best_loss_ <= min(row["valid_loss"] for row in transport.history_) + transport.tol / 10


def test_beyond_four_features_there_is_no_plan_unless_asked_for():
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(100, 5), rng.randn(120, 5) ** 3
    assert short_fit(Xs, Xt, max_iter=1).history_[0]["stage"] == "dual"
    assert short_fit(Xs, Xt, max_iter=1, plan_size=50).history_[0]["stage"] == "plan"


@pytest.mark.parametrize("n_features", [2, 6])
def test_heavy_tails_are_learned(n_features):
    """The map is sinh: if every pool of the network were bent near the origin, training would find nothing.

    A sample of a few thousand rows has single ones far out that no map can fit; this one has none.
    """
    rng = np.random.RandomState(1)
    Xs, Xt = rng.randn(3000, n_features), np.sinh(rng.randn(3000, n_features))
    transport = short_fit(Xs, Xt, network=Convex((64, 64)), max_iter=300, batch_size=256, plan_size=0)
    X = rng.randn(2000, n_features)
    gaussian = GaussianTransport().fit(Xs, Xt)
    assert l2_uvp(transport.transform(X), np.sinh(X)) < 0.6 * l2_uvp(gaussian.transform(X), np.sinh(X))


def test_dual_value_refuses_a_target_of_another_width(samples, fitted):
    with pytest.raises(ValueError, match="1 features, but W2Transport is expecting 3"):
        fitted.dual_value(samples[0], samples[1][:, :1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_failed_warm_start_leaves_the_optimiser_as_it_was(samples):
    transport = W2Transport(**{**SHORT, "warm_start": True, "plan_size": 0, "max_iter": 50}).fit(*samples)
    with pytest.raises(DivergenceError):
        transport.set_params(learning_rate=1e30).fit(*samples)
    transport.set_params(learning_rate="auto").fit(*samples)
    assert np.isfinite(transport.transform(samples[0])).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_refuses_a_solver_of_another_kind(samples):
    transport = W2Transport(**{**SHORT, "warm_start": True, "max_iter": 2}).fit(*samples)
    with pytest.raises(ValueError, match=r"cannot continue with solver='w2gn'.*solver='dual'"):
        transport.set_params(solver="w2gn").fit(*samples)


def test_reg_pulls_towards_the_gaussian_map(samples):
    Xs, Xt = samples
    gaussian = GaussianTransport().fit(Xs, Xt).transform(Xs)
    distances = [
        np.linalg.norm(short_fit(Xs, Xt, reg=reg, plan_size=0).transform(Xs) - gaussian) for reg in (0.0, 1.0, 30.0)
    ]
    assert distances[0] > 1.3 * distances[1] > 1.3**2 * distances[2]


def test_of_many_rows_the_networks_see_a_part(monkeypatch):
    """The Gaussian map is fitted to all rows."""
    monkeypatch.setattr("sklearn_ot.transport._neural.MAX_TRAINING_NUMBERS", 200)
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(300, 2), 2 * rng.randn(90, 2)

    class Sizes(Callback):
        def on_train_begin(self, net, X=None, y=None):
            net.sizes = len(X.x), len(X.y)

    transport = short_fit(Xs, Xt, early_stopping=False, callbacks=[Sizes()], max_iter=1, plan_size=0)
    assert transport.net_.sizes == (100, 90)
    np.testing.assert_allclose(transport.coordinates_.source_mean, Xs.mean(axis=0), atol=1e-12)


@pytest.mark.slow
def test_memory_of_a_fit(measured):
    """A fit takes less than 1 GiB in addition to the data of 100 000 x 64."""
    code = """
Xs, Xt = normal(100_000, 64), normal(100_000, 64) ** 3
start = peak()
W2Transport(max_iter=100, random_state=0).fit(Xs, Xt)
print(peak() - start)
"""
    assert next(measured(code)) < 1024


@pytest.mark.slow
@pytest.mark.parametrize("method", ["transform", "inverse_transform", "potential"])
def test_memory_of_a_map_is_that_of_its_input_and_result(measured, method):
    """Memory of 400 000 more rows, whose coordinates alone would take another 24 MiB."""
    code = """
from sklearn_ot.networks import Convex
transport = W2Transport(network=Convex((16,)), max_iter=0).fit(normal(500, 16), normal(500, 16))
method, peaks = getattr(transport, sys.argv[1]), []
for n_samples in (100_000, 500_000):
    X = result = None
    X = normal(n_samples, 16)
    result = method(X)
    peaks.append(peak())
print(peaks[1] - peaks[0], 0.8 * (X.nbytes + result.nbytes) / 2**20)
"""
    grown, of_input_and_result = measured(code, method)
    # A fifth is for memory that the allocator keeps.
    assert grown < 1.2 * of_input_and_result


@pytest.mark.slow
def test_converges_by_itself_and_beats_the_gaussian_map_tenfold():
    pair = make_potential_pair(2, n_samples=20_000, random_state=0)
    transport = W2Transport(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport.fit(pair.source, pair.target)
    gaussian = GaussianTransport().fit(pair.source, pair.target)
    X = pair.sample_source(4000, random_state=1)
    Y = pair.transport(X)
    assert l2_uvp(transport.transform(X), Y) < 0.1 * l2_uvp(gaussian.transform(X), Y)


@pytest.mark.parametrize("constant", ["source", "target", "both"])
def test_constant_columns_and_few_rows(constant):
    rng = np.random.RandomState(0)
    Xs, Xt = rng.randn(6, 8), rng.randn(5, 8)
    if constant in ("source", "both"):
        Xs[:, 0] = 3
    if constant in ("target", "both"):
        Xt[:, 0] = 4
    transport = short_fit(Xs, Xt, max_iter=20)
    assert np.isfinite(transport.transform(Xs)).all()
    assert np.isfinite(transport.inverse_transform(Xt)).all()
    assert np.isfinite(transport.wasserstein_distance_)


BAD_PARAMETERS = [
    ({"reg": -1}, ValueError, r"'reg' parameter of W2Transport must be .* Got -1 instead"),
    ({"reg": np.nan}, ValueError, "reg"),
    ({"solver": "w2gn", "reg": 0}, ValueError, r'With reg=0, solver="w2gn" has no terms.*give a reg above 0'),
    ({"solver": "magic"}, ValueError, r"'solver' parameter of W2Transport must be a str among .* Got 'magic'"),
    ({"network": Convex((8, 12), "logsumexp")}, ValueError, r"\(8, 12\) cannot be split into pools of pool_size=8"),
    ({"conjugate_tol": 0}, ValueError, "conjugate_tol"),
    ({"network": Convex(())}, ValueError, r"one or more positive integers, got \(\)"),
    ({"network": Convex((8, 0))}, ValueError, r"one or more positive integers, got \(8, 0\)"),
    ({"network": Convex((8.5,))}, ValueError, r"one or more positive integers, got \(8.5,\)"),
    ({"device": "cuda:99"}, ValueError, r"device='cuda:99' is not available here"),
    ({"network": Convex(strong_convexity=1.0)}, ValueError, "strong_convexity"),
    ({"network": Dense()}, ValueError, "cannot be the potential"),
    ({"network": (16, 16)}, ValueError, "cannot be the potential"),
    (
        {"reg": 1e38},
        DivergenceError,
        r"diverged after \d+ steps: .* Lower .* \(now 0.02\) or reg \(now 1e\+38\)",
    ),
]


@pytest.mark.parametrize(("parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters(samples, fitted, parameters, error, message):
    """There is one clear error, and the estimator does not change: it is unfitted, or keeps its map."""
    fresh = W2Transport(**{**SHORT, **parameters})
    with pytest.raises(error, match=message):
        fresh.fit(*samples)
    assert not hasattr(fresh, "n_features_in_")
    with pytest.raises(NotFittedError):
        fresh.transform(samples[0])
    refitted = copy.deepcopy(fitted).set_params(**parameters)
    with pytest.raises(error, match=message):
        refitted.fit(*samples)
    np.testing.assert_array_equal(refitted.set_params(**SHORT).transform(samples[0]), fitted.transform(samples[0]))

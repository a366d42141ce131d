"""Properties of all transports with networks: start, reproducibility, chunks, copies, warnings, held-out rows."""

import copy
import pickle
import signal
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from torch import nn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.networks import Convex, Dense
from sklearn_ot.transport import GaussianTransport, LSOTTransport, QCTransport, W2Transport

SHORT = {"network": Dense((8, 8), "silu"), "max_iter": 120, "batch_size": 32, "random_state": 0}

over_classes = pytest.mark.parametrize("cls", [LSOTTransport, QCTransport])


def short_fit(cls, Xs, Xt, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return cls(**{**SHORT, **parameters}).fit(Xs, Xt)


@pytest.fixture(scope="module")
def samples():
    rng = np.random.RandomState(0)
    clusters = 0.2 * rng.randn(250, 3) + rng.choice([-1, 1], (250, 3))
    return rng.randn(300, 3), clusters @ rng.randn(3, 3) + [1, 2, 3]


@pytest.fixture(scope="module")
def fits(samples):
    fits = {cls: short_fit(cls, *samples) for cls in (LSOTTransport, QCTransport)}
    start = GaussianTransport().fit(*samples).transform(samples[0])
    # The other tests need maps that training has changed.
    assert all(np.abs(fit.transform(samples[0]) - start).max() > 0.1 for fit in fits.values())
    return fits


@over_classes
def test_starts_at_the_gaussian_map(cls, samples):
    start, gaussian = cls(max_iter=0).fit(*samples), GaussianTransport().fit(*samples)
    np.testing.assert_allclose(start.transform(samples[0]), gaussian.transform(samples[0]), atol=1e-12)
    assert start.n_iter_ == 0
    assert start.history_ == []


@over_classes
@pytest.mark.filterwarnings("error:The target varies where")
def test_columns_that_do_not_vary_keep_the_gaussian_map(cls, samples):
    """In any rotation, the networks get the three directions in which the samples vary, and no others."""
    rotation = np.linalg.qr(np.random.RandomState(0).randn(5, 5))[0]
    Xs, Xt = (np.hstack([rows, np.full((len(rows), 2), 3.0)]) @ rotation for rows in samples)
    transport = short_fit(cls, Xs, Xt)
    assert transport.coordinates_.n_axes == 3
    images, gaussian = transport.transform(Xs), GaussianTransport().fit(Xs, Xt).transform(Xs)
    # The images are rows of float32 networks.
    np.testing.assert_allclose((images @ rotation.T)[:, 3:], 3.0, atol=1e-5)
    assert np.abs(images - gaussian).max() > 0.1


class Sine(nn.Module):
    """A network of a user: a linear map of a few sines, zero at first."""

    def __init__(self, n_features, n_outputs=None):
        super().__init__()
        self.inner, self.outer = nn.Linear(n_features, 8), nn.Linear(8, n_outputs or 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)
        self.is_scalar = n_outputs is None

    def forward(self, x):
        values = self.outer(self.inner(x).sin())
        return values.squeeze(1) if self.is_scalar else values


@over_classes
def test_a_network_of_ones_own(cls, samples):
    transport, gaussian = short_fit(cls, *samples, network=Sine), GaussianTransport().fit(*samples)
    assert np.abs(transport.transform(samples[0]) - gaussian.transform(samples[0])).max() > 0.05
    assert any(isinstance(module, Sine) for module in transport.net_.module_.modules())
    loaded = pickle.loads(pickle.dumps(transport))
    np.testing.assert_array_equal(loaded.transform(samples[0]), transport.transform(samples[0]))


@over_classes
def test_the_fitted_map_is_a_value(cls, samples, fits):
    potentials = fits[cls].potentials_
    np.testing.assert_array_equal(potentials.transport(samples[0]), fits[cls].transform(samples[0]))
    assert not hasattr(cls(), "potentials_")


@over_classes
def test_transform_in_chunks_is_transform(cls, samples, fits, monkeypatch):
    whole = fits[cls].transform(samples[0])
    monkeypatch.setattr("sklearn_ot.solvers.chunks.CHUNK_ROWS", 7)
    np.testing.assert_allclose(fits[cls].transform(samples[0]), whole, rtol=1e-12)


@over_classes
def test_transform_has_the_dtype_of_its_input(cls, samples, fits):
    single = fits[cls].transform(samples[0].astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, fits[cls].transform(samples[0]), atol=1e-4)


@over_classes
@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_copies_are_equal_bit_for_bit(cls, samples, fits, copied):
    other = copied(fits[cls])
    np.testing.assert_array_equal(other.transform(samples[0]), fits[cls].transform(samples[0]))
    assert other.history_ == fits[cls].history_
    assert pickle.dumps(other) == pickle.dumps(fits[cls])


@over_classes
def test_a_pickle_holds_no_tensor(cls, fits):
    assert b"torch" not in pickle.dumps(fits[cls])


@over_classes
def test_a_pickle_of_a_device_that_is_not_here_loads_on_the_cpu(cls, samples, fits):
    elsewhere = copy.deepcopy(fits[cls]).set_params(device="cuda:99")
    loaded = pickle.loads(pickle.dumps(elsewhere))
    # On two devices if "auto" is not the CPU; the results then differ by rounding in float64.
    np.testing.assert_allclose(loaded.transform(samples[0]), fits[cls].transform(samples[0]), rtol=1e-12, atol=1e-12)


@over_classes
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_random_state_one_map(cls, samples, fits):
    expected = fits[cls].transform(samples[0])
    before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (the state that must not change)
    np.testing.assert_array_equal(clone(fits[cls]).fit(*samples).transform(samples[0]), expected)
    short_fit(cls, *samples, random_state=None, max_iter=2)
    np.testing.assert_equal(np.random.get_state()[1:], before[0][1:])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert not np.allclose(short_fit(cls, *samples, random_state=1).transform(samples[0]), expected)


@over_classes
def test_a_fit_that_stops_short_says_so(cls, samples):
    with pytest.warns(ConvergenceWarning, match=f"{cls.__name__} .*max_iter=120 steps .*Increase max_iter") as caught:
        cls(**SHORT).fit(*samples)
    assert caught[0].filename == __file__


@over_classes
def test_a_fit_that_converges_does_not_warn(cls, samples):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport = cls(**{**SHORT, "max_iter": 1000}, tol=10, n_iter_no_change=1).fit(*samples)
    assert all(row["n_iter"] % 100 == 0 for row in transport.history_)
    assert transport.n_iter_ <= 200


class InterruptAt(Callback):
    def on_batch_end(self, net, **kwargs):
        if net.n_iter_ == 50:
            signal.raise_signal(signal.SIGINT)


@over_classes
def test_an_interrupted_fit_says_so(cls, samples):
    with pytest.warns(UserWarning, match="interrupted after 50 steps"):
        transport = cls(**SHORT, callbacks=[InterruptAt()]).fit(*samples)
    assert [row["n_iter"] for row in transport.history_] == [50]


class Sizes(Callback):
    def on_train_begin(self, net, X=None, y=None):
        net.sizes = len(X.x), len(X.y)


@over_classes
@pytest.mark.parametrize(("early_stopping", "sizes"), [(True, (270, 225)), (False, (300, 250))])
def test_held_out_rows(cls, samples, early_stopping, sizes):
    transport = short_fit(cls, *samples, early_stopping=early_stopping, callbacks=[Sizes()], max_iter=1)
    assert transport.net_.sizes == sizes
    assert transport.net_.train_split is None


@over_classes
def test_bad_parameters(cls, samples, fits):
    """There is one clear error, and the map does not change."""
    for parameters, message in [
        ({"network": Dense(())}, r"one or more positive integers, got \(\)"),
        ({"network": Dense((8, 0))}, r"one or more positive integers, got \(8, 0\)"),
        ({"network": Convex()}, "cannot be the function"),
        ({"device": "cuda:99"}, "device='cuda:99' is not available here"),
    ]:
        transport = copy.deepcopy(fits[cls]).set_params(**parameters)
        with pytest.raises(ValueError, match=message):
            transport.fit(*samples)
        transport.set_params(**SHORT, device="auto")
        np.testing.assert_array_equal(transport.transform(samples[0]), fits[cls].transform(samples[0]))


@over_classes
def test_divergence_is_an_error(cls, samples):
    with pytest.raises(DivergenceError, match=r"Lower learning_rate \(now 1e\+30\)"):
        short_fit(cls, *samples, learning_rate=1e30)


class CountsSteps(Callback):
    """A callback whose `initialize` returns nothing, which skorch allows."""

    n_steps = 0

    def initialize(self):
        pass

    def on_batch_end(self, net, training=False, **kwargs):
        CountsSteps.n_steps += training


def test_a_callback_of_the_user_is_called():
    CountsSteps.n_steps = 0
    X = np.random.RandomState(0).randn(30, 2)
    with pytest.warns(ConvergenceWarning):
        QCTransport(network=Dense((4,), "silu"), max_iter=3, callbacks=[CountsSteps()], random_state=0).fit(X, 2 * X)
    assert CountsSteps.n_steps == 3


def test_the_map_is_that_of_the_net_also_after_a_change_in_place():
    X = np.random.RandomState(0).randn(30, 2)
    transport = LSOTTransport(network=Dense((4,), "silu"), max_iter=0, random_state=0).fit(X, 2 * X)
    before = transport.transform(X)
    with torch.no_grad():
        transport.net_.module_.displacement.layers[-1].bias += 1
    assert np.abs(transport.transform(X) - before).min() > 0.1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(transport)).transform(X), transport.transform(X))


@over_classes
def test_few_rows_of_many_columns_start_in_their_span(cls):
    rng = np.random.RandomState(0)
    X, Y = rng.randn(30, 3000), rng.randn(40, 3000) * np.geomspace(1, 3, 3000)
    transport = cls(max_iter=0, random_state=0).fit(X, Y)
    assert transport.coordinates_.n_axes < 30
    assert max(part.size for part in transport.coordinates_ if isinstance(part, np.ndarray)) < 70 * 3000
    np.testing.assert_allclose(transport.transform(X), GaussianTransport().fit(X, Y).transform(X), atol=1e-4)


@over_classes
def test_training_on_few_rows_of_many_columns_moves_them_in_their_span(cls):
    """The networks have as many inputs as there are directions, and outside of them the map stays the Gaussian one."""
    rng = np.random.RandomState(0)
    X, Y = rng.randn(20, 60), rng.choice([-1, 1], (25, 1)) + 0.3 * rng.randn(25, 60)
    transport = short_fit(cls, X, Y, early_stopping=False, learning_rate=0.03)
    axes = transport.coordinates_.axes
    assert axes.shape[1] < 25
    # Also of rows that are not in the span.
    rows, start = rng.randn(5, 60), clone(transport).set_params(max_iter=0).fit(X, Y)
    images, before = (transport.coordinates_.of_target(fit.transform(rows)) for fit in (transport, start))
    change = images - before
    assert np.abs(change).max() > 0.05
    np.testing.assert_allclose(change, change @ axes @ axes.T, atol=1e-4)


class EndsAtOnce(Callback):
    def on_train_begin(self, net, **kwargs):
        raise KeyboardInterrupt


@pytest.mark.parametrize("cls", [LSOTTransport, QCTransport, W2Transport])
def test_a_callback_may_end_training_at_its_begin(cls, samples):
    network = Convex((8,)) if cls is W2Transport else SHORT["network"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport = cls(**{**SHORT, "network": network}, callbacks=[EndsAtOnce()])
        if cls is W2Transport:
            transport.set_params(plan_size=0)
        transport.fit(*samples)
    assert transport.n_iter_ == 0
    gaussian = GaussianTransport().fit(*samples)
    # The weights of the convex network are in float32.
    np.testing.assert_allclose(transport.transform(samples[0]), gaussian.transform(samples[0]), atol=1e-6)


@over_classes
def test_a_column_that_the_source_lacks_is_stretched_by_order_one(cls, samples):
    Xs, Xt = (rows.copy() for rows in samples)
    Xs[:, 1] = 2
    with pytest.warns(UserWarning, match="varies where the source does not, in column 1"):
        transport = short_fit(cls, Xs, Xt)
    moved = transport.transform(Xs[:1] + np.eye(3)[1]) - transport.transform(Xs[:1])
    # The other columns of the source have the deviation 1.
    assert np.abs(moved).max() < 3 * Xt.std(axis=0).max()


@over_classes
def test_a_column_that_is_small_next_to_the_others_is_named(cls, samples):
    Xs, Xt = (rows * [1e4, 1, 1e4] for rows in samples)
    with pytest.warns(UserWarning, match="The numbers of column 1 are tiny next to those of other columns"):
        cls(max_iter=0).fit(Xs, Xt)


class Validation(Callback):
    def on_train_begin(self, net, X=None, y=None):
        _, net.valid = net.get_split_datasets(X)


@pytest.mark.parametrize("cls", [LSOTTransport, QCTransport, W2Transport])
@pytest.mark.filterwarnings("ignore:Numbers are far out")
def test_validation_rows_have_the_far_rows(cls, samples):
    """Weights that are wrong on rows far out, which are seldom drawn, would otherwise be the best ones."""
    Xs, Xt = samples[0].copy(), samples[1]
    Xs[:2] *= 1000
    network = Convex((8,)) if cls is W2Transport else SHORT["network"]
    for seed in range(4):
        transport = short_fit(cls, Xs, Xt, network=network, max_iter=1, callbacks=[Validation()], random_state=seed)
        valid = transport.net_.valid
        far = valid.x.norm(dim=1) > 5
        assert far.sum() == 2
        assert valid.x_weight[far].tolist() == pytest.approx([1 / 300] * 2)
        assert valid.x_weight.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("constant_in", ["source", "both"])
@pytest.mark.filterwarnings("ignore:The target varies where the source does not")
def test_images_of_constant_columns_are_constant(constant_in):
    # A scaler after the map would divide rounding errors by their deviation.
    rng = np.random.RandomState(0)
    mixing = rng.randn(12, 12)
    Xs, Xt = rng.randn(300, 12) @ mixing, rng.randn(300, 12) @ mixing + 1
    Xs[:, [2, 7]] = 1 / 3
    if constant_in == "both":
        Xt[:, [2, 7]] = 0.1
    for transport in (
        W2Transport(max_iter=20, network=Convex((8,)), random_state=0, device="cpu"),
        LSOTTransport(max_iter=20, random_state=0, device="cpu"),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            images = transport.fit(Xs, Xt).transform(Xs)
        assert not np.ptp(images[:, [2, 7]], axis=0).any()

"""The net of an autoencoder: step sizes, the choice by validation rows, weights, and standardised codes."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_ot.nets import AutoencoderNet, TensorRows
from sklearn_ot.networks import Convolutional, Dense
from sklearn_ot.nn import StandardCode
from sklearn_ot.objectives.reconstruction import reconstruction

X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))


class Steps(Callback):
    """Notes the step size of each step."""

    def initialize(self):
        self.sizes_ = []
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.sizes_.append(net.optimizer_.param_groups[0]["lr"])


def make(max_iter=200, **params):
    torch.manual_seed(0)
    return AutoencoderNet(
        StandardCode,
        reconstruction,
        max_iter=max_iter,
        n_iter_no_change=100,
        remedy="",
        lr=1e-2,
        batch_size=50,
        optimizer=torch.optim.Adam,
        module__network=Dense((8,), "silu").autoencoder(3, 2),
        module__latent_dim=2,
        verbose=0,
        **params,
    ).initialize()


def test_step_sizes_rise_and_fall_to_zero():
    steps = Steps()
    net = make(callbacks=[steps])
    for _ in range(2):  # another training has its own cycle
        steps.sizes_ = []
        net.train_on(TensorRows(X), TensorRows(X))
        sizes = np.array(steps.sizes_)
        assert len(sizes) == 200
        assert sizes[0] == pytest.approx(0.04e-2, rel=0.01)
        assert sizes.max() == sizes[60] == pytest.approx(1e-2)
        assert (np.diff(sizes[:61]) > 0).all()
        assert (np.diff(sizes[60:]) < 0).all()
        assert sizes[-1] < 2e-6
        assert net.optimizer_.param_groups[0]["lr"] == 1e-2
    assert net.n_iter_ == 400


def test_the_best_networks_are_kept():
    """The training rows and the validation rows are two different points, so that the start is the best."""
    net = make(100)
    train, valid = TensorRows(torch.ones(20, 3) + 0.01 * X[:20]), TensorRows(X[:20])
    start = [weight.clone() for weight in net.module_.network.parameters()]
    net.train_on(train, train, valid)
    assert net.history[-1, "valid_loss"] > net.best_loss_
    for weight, before in zip(net.module_.network.parameters(), start, strict=True):
        assert torch.equal(weight, before)
    assert net.train_split is None


def test_codes_of_all_rows_are_standardised_with_weights():
    net = make(100)
    weight = torch.linspace(0, 1, 200, dtype=torch.float64) ** 4 + 1e-3
    net.train_on(TensorRows(X, weight), TensorRows(X[:150], weight[:150]), TensorRows(X[150:], weight[150:]))
    with torch.no_grad():
        codes, mass = net.module_.eval().encode(X).double(), weight / weight.sum()
    np.testing.assert_allclose(mass @ codes, 0, atol=1e-5)
    np.testing.assert_allclose(mass @ codes.square(), 1, rtol=1e-5)


def test_a_constant_column_of_codes_keeps_its_size():
    module = StandardCode(Dense((8,), "silu").autoencoder(3, 2), 2)
    module.standardise_(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert module.mean.tolist() == [2, 5]
    assert module.scale.tolist() == [1, 1]


def test_weights_of_the_objective():
    module = StandardCode(Dense((8,), "silu").autoencoder(3, 2), 2).eval()
    weight = torch.cat([torch.full((50,), 1 / 50), torch.zeros(150)])
    with torch.no_grad():
        assert reconstruction(module, X, weight).item() == pytest.approx(reconstruction(module, X[:50]).item())
        errors = (module.decode(module.encode(X)) - X).square().sum(1)
        assert reconstruction(module, X).item() == pytest.approx(errors.mean().item())


@pytest.mark.parametrize(
    ("network", "side"),
    [
        (Dense((8,), "silu"), 2),
        (Dense((8,), "silu", "tanh"), 28),
        (Convolutional(2, output_activation="identity"), 28),
        (Convolutional(2), 28),
    ],
)
def test_the_start_at_components_is_principal_component_analysis(network, side):
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(side**2, 3, dtype=torch.float64)).Q
    rows = X.double() @ (torch.tensor([0.03, 0.02, 0.005], dtype=torch.float64) * directions).T + 0.3
    mean = rows.mean(0)
    _, values, components = torch.linalg.svd(rows - mean, full_matrices=False)
    module = StandardCode(network.autoencoder(side**2, 2), 2).double()
    module.network.start_(components[:2], values[:2] / np.sqrt(len(rows)), mean)
    with torch.no_grad():
        mass = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
        module.eval().standardise_(module.network.encode(rows), mass)
        found = module.decode(module.encode(rows))
    expected = mean + (rows - mean) @ components[:2].T @ components[:2]
    # Where tanh is m, its curve leaves its tangent by m d² / (1 - m²); the deviations d from 0.3 are at most 0.02.
    tolerance = 1.4e-4 if network.output_activation == "tanh" else 1e-10
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    assert (expected - mean).abs().max() > 50 * tolerance

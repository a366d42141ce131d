"""The joint net on a problem with a known minimum: the means of two samples."""

import math

import pytest
import torch
from skorch.helper import predefined_split
from torch import nn

from sklearn_ot.exceptions import DivergenceError
from sklearn_ot.nets import JointNet, TensorPairs, TimeBudget


class TwoPoints(nn.Module):
    """Two numbers, of which the second must not be negative."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.tensor(0.0))
        self.second = nn.Parameter(torch.tensor(0.5))

    def project_(self):
        with torch.no_grad():
            self.second.clamp_(min=0)


def squares(module, x, y, *weights):
    return (module.first - x).square().mean() + (module.second - y).square().mean()


class HiddenAndFree(nn.Module):
    """Weights that must not be negative, and as many of which the net does not know it."""

    def __init__(self, start):
        super().__init__()
        self.hidden = nn.Parameter(start.clone())
        self.free = nn.Parameter(start.clone())

    @property
    def hidden_weights(self):
        return [self.hidden]

    def project_(self):
        with torch.no_grad():
            self.hidden.clamp_(min=0)
            self.free.clamp_(min=0)


def make_net(criterion=squares, evaluation=squares, module=TwoPoints, **parameters):
    torch.manual_seed(0)
    data = TensorPairs(3 + torch.randn(500, 1), -2 + torch.randn(300, 1))
    settings = {"max_iter": 400, "tol": 0.0, "n_iter_no_change": 10, "lr": 0.1, "batch_size": 32, **parameters}
    net = JointNet(
        module,
        criterion,
        evaluation=evaluation,
        remedy="Change something.",
        optimizer=torch.optim.Adam,
        train_split=predefined_split(data),
        verbose=0,
        **settings,
    )
    return net.initialize(), data


def test_finds_the_constrained_minimum():
    net, data = make_net()
    net.partial_fit(data)
    assert net.module_.first.item() == pytest.approx(data.x.mean().item(), abs=0.05)
    # The weights are soon zero, and in their average the start has decayed to nothing.
    assert 0 <= net.module_.second.item() < 1e-6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_cuda_graph_trains_as_its_kernels_do():
    """The steps are the same and in the same order, so the difference is the rounding of atomic sums."""
    graph, kernels = (make_net(device="cuda", capturable=capturable) for capturable in (True, False))
    for net, data in (graph, kernels):
        on_device = TensorPairs(data.x.cuda(), data.y.cuda())
        torch.manual_seed(1)
        net.set_params(train_split=predefined_split(on_device)).partial_fit(on_device)
    assert graph[0].history[:, "train_loss"] == pytest.approx(kernels[0].history[:, "train_loss"], rel=1e-4)
    assert graph[0].module_.first.item() == pytest.approx(kernels[0].module_.first.item(), rel=1e-4)


def test_one_row_of_history_a_block():
    net, data = make_net(max_iter=250)
    net.partial_fit(data)
    assert [row["n_iter"] for row in net.history] == [100, 200, 250]
    assert [row["train_batch_count"] for row in net.history] == [100, 100, 50]
    assert net.history[-1, "train_loss"] < net.history[0, "train_loss"]


def test_keeps_the_average_with_the_lowest_evaluation():
    """The evaluation is best at weights in the middle of the training."""
    seen = []

    def prefer_one(module, x, y, *weights):
        seen.append(module.first.item())
        return (module.first - 1).square()

    net, data = make_net(evaluation=prefer_one, lr=0.01)
    net.partial_fit(data)
    assert min(seen) < 1 < max(seen)
    assert net.module_.first.item() == min(seen, key=lambda value: abs(value - 1))


def test_the_evaluation_of_the_average_does_not_disturb_training():
    """Between two steps, also of different blocks, a weight moves by about a step of Adam."""
    path = []

    def record(module, x, y):
        path.append(module.first.item())
        return squares(module, x, y)

    net, data = make_net(criterion=record, max_iter=300, lr=0.01)
    net.partial_fit(data)
    assert torch.tensor(path).diff().abs().max() < 0.012


def test_keeps_the_start_if_nothing_is_better():
    net, data = make_net(evaluation=lambda module, *batch: module.first.abs())
    net.partial_fit(data)
    assert (net.module_.first.item(), net.module_.second.item()) == (0.0, 0.5)
    assert net.converged_ or net.n_iter_ == 400


def test_stops_after_n_iter_no_change_blocks_without_a_gain():
    net, data = make_net(evaluation=lambda *_: torch.zeros(()), max_iter=5000, n_iter_no_change=3)
    net.partial_fit(data)
    assert net.n_iter_ == 300
    assert net.converged_
    net, data = make_net(max_iter=200)
    net.partial_fit(data)
    assert not net.converged_


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_an_error(value):
    net, data = make_net(criterion=lambda module, x, y: squares(module, x, y) * value)
    with pytest.raises(DivergenceError, match=r"after 100 steps: train_loss is (nan|inf).* Change something."):
        net.partial_fit(data)


def test_resume_takes_over_weights_optimiser_and_history():
    first, data = make_net(max_iter=100)
    first.partial_fit(data)
    second, _ = make_net(max_iter=50, lr=0.02)
    second.resume(first)
    assert second.module_.first.item() == first.module_.first.item()
    assert second.optimizer_.param_groups[0]["lr"] == 0.02
    moments = [net.optimizer_.state_dict()["state"][0]["exp_avg_sq"] for net in (first, second)]
    assert moments[0] == moments[1] != 0
    second.partial_fit(data)
    assert [row["n_iter"] for row in second.history] == [100, 150]
    assert len(first.history) == 1


@pytest.mark.parametrize(("start", "part"), [(0.25, 0.5), (1e-4, 0.1), (4.0, 1.0)])
def test_a_hidden_weight_takes_its_root_of_a_step(start, part):
    path = []

    def record(module, x, y):
        path.append([module.hidden.item(), module.free.item()])
        return module.hidden + module.free

    settings = {
        "module": HiddenAndFree,
        "module__start": torch.tensor(start),
        "max_iter": 2,
        "lr": 1e-3,
        "short_steps_from": 300,
    }
    net, data = make_net(record, lambda module, *_: module.free, **settings)
    net.partial_fit(data)
    (hidden, free), (next_hidden, next_free) = path
    assert (hidden - next_hidden) / (free - next_free) == pytest.approx(part, rel=0.01)


def test_noise_alone_lets_hidden_weights_grow_less():
    """Gradients that are only noise: after n steps s, |w| is about s √n for a free weight, and s² n / 4 for v²."""

    def noise(module, x, y):
        return ((module.hidden + module.free) * torch.randn(200)).sum()

    def evaluate(module, *_):
        sizes.append((module.hidden.mean().item(), module.free.mean().item()))
        return torch.zeros(())

    sizes = []
    settings = {
        "module": HiddenAndFree,
        "module__start": torch.full((200,), 1 / 72),
        "lr": 0.05,
        "short_steps_from": 300,
    }
    net, data = make_net(noise, evaluate, **settings)
    net.partial_fit(data)
    hidden, free = sizes[-1]
    assert free > 10 / 72
    assert hidden < free / 2
    few, data = make_net(noise, evaluate, **{**settings, "short_steps_from": 301})
    few.partial_fit(data)
    hidden, free = sizes[-1]
    assert hidden == free


def test_step_size_warms_up_decays_and_is_cut_without_a_gain():
    sizes = []

    def record(module, x, y):
        sizes.append(net.optimizer_.param_groups[0]["lr"])
        return squares(module, x, y)

    net, data = make_net(
        criterion=record, evaluation=lambda *_: torch.zeros(()), max_iter=5000, n_iter_no_change=6, lr=0.1
    )
    net.partial_fit(data)
    assert len(sizes) == 600
    assert sizes[0] == pytest.approx(0.1 / 100)
    for step, cut in ((99, 1), (199, 1), (200, 0.3), (399, 0.3), (400, 0.09)):
        assert sizes[step] == pytest.approx(0.1 * cut / (1 + step / 1500))
    # The net keeps the step size of the user, so that the next fit starts with it.
    assert net.optimizer_.param_groups[0]["lr"] == 0.1


def test_step_size_falls_to_zero_in_the_share_of_the_steps_that_cools():
    sizes = []

    def record(module, x, y):
        sizes.append(net.optimizer_.param_groups[0]["lr"] * (1 + len(sizes) / 1500))
        return squares(module, x, y)

    net, data = make_net(criterion=record, max_iter=400, cooling=0.25, lr=0.1)
    net.partial_fit(data)
    assert sizes[99:301] == pytest.approx([0.1] * 202)
    assert sizes[300:] == pytest.approx([0.1 * (1 - i / 100) for i in range(100)])


def test_step_size_falls_to_zero_at_the_end_of_a_budget():
    sizes, ticks = [], iter(range(10**6))

    def record(module, x, y):
        sizes.append(net.optimizer_.param_groups[0]["lr"])
        return squares(module, x, y)

    net, data = make_net(
        criterion=record, max_iter=10**6, cooling=0.5, callbacks=[TimeBudget(3000, clock=lambda: next(ticks))]
    )
    net.partial_fit(data)
    assert net.ended_
    assert sizes[-1] < 0.01 * max(sizes)


def noisy_rows(module, x, y):
    """Losses of rows around those of the mean, which cancel in the difference of two weights."""
    return (module.first - 3).square() + 100 * (x[:, 0] - x.mean()), torch.zeros(len(y))


def test_training_goes_on_while_the_average_gains_and_ends_with_step_size_zero():
    """Blocks gain less than tol, but for a long time the average is far better than that at half as many steps."""
    sizes = []

    def record(module, x, y):
        sizes.append(net.optimizer_.param_groups[0]["lr"])
        return squares(module, x, y)

    settings = {"max_iter": 20_000, "n_iter_no_change": 3, "lr": 3e-3, "tol": 1.0, "cooling": 0.4}
    net, data = make_net(criterion=record, losses_of_rows=noisy_rows, **settings)
    net.partial_fit(data)
    assert net.converged_
    assert net.module_.first.item() == pytest.approx(3, abs=0.05)
    assert sizes[-1] < 0.01 * max(sizes)
    # Without the losses of rows, the third block without a gain of tol begins the end.
    short, _ = make_net(**settings)
    short.partial_fit(data)
    assert short.n_iter_ < net.n_iter_ / 2
    assert short.converged_


@pytest.mark.parametrize(
    ("gain", "spread", "still_gains"),
    [(0.0012, 0.0, True), (0.0008, 0.0, False), (0.12, 0.1, True), (0.08, 0.1, False), (-0.5, 0.1, False)],
)
def test_a_gain_counts_above_its_standard_error_and_a_thousandth_of_the_whole(gain, spread, still_gains):
    """The loss of each row was 1 at the start, is 0 now, and was the gain and noise at half as many steps."""
    net, data = make_net()
    x, y = data.whole()[:2]
    noise = torch.linspace(-1, 1, len(x))
    # The standard error of the mean over the rows is ``spread``.
    noise *= spread * math.sqrt(len(x)) / noise.std()
    none = torch.zeros(len(y))
    net.row_losses_ = [(torch.ones(len(x)), none), (gain + noise, none), (torch.zeros(len(x)), none)]
    assert net.still_gains(data) == still_gains


def test_training_that_never_gains_ends_after_its_patience():
    settings = {"evaluation": lambda *_: torch.zeros(()), "max_iter": 5000, "n_iter_no_change": 3, "cooling": 0.4}
    net, data = make_net(**settings)
    net.partial_fit(data)
    assert net.n_iter_ == 300
    assert net.converged_


def test_an_interruption_differs_from_the_end_of_training():
    def stop(module, x, y):
        raise KeyboardInterrupt

    net, data = make_net(max_iter=100)
    net.partial_fit(data)
    assert not net.interrupted_
    net, data = make_net(criterion=stop)
    net.partial_fit(data)
    assert net.interrupted_


def test_weights_that_do_not_pass_the_check_are_not_kept():
    net, data = make_net(check=lambda module: module.first.item() < 1, lr=0.01)
    net.partial_fit(data)
    assert 0 < net.module_.first.item() < 1
    rows = [row for row in net.history if row["valid_loss_best"]]
    assert net.best_loss_ == rows[-1]["valid_loss"] > min(net.history[:, "valid_loss"])
    net, data = make_net(check=lambda module: False)
    net.partial_fit(data)
    assert net.best_loss_ == net.start_loss_
    assert net.module_.first.item() == 0

"""Callbacks of skorch in every estimator that trains networks: they work as in skorch, or are refused by name."""

from contextlib import redirect_stderr
from io import BytesIO, StringIO

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    PrintLog,
    ProgressBar,
    TrainEndCheckpoint,
)

from sklearn_ot import (
    Autoencoder,
    ClassifierFeatures,
    LSOTTransport,
    SemiDiscreteOTGenerator,
    W1Transport,
    W2Generator,
    W2Transport,
    WGANGenerator,
)
from sklearn_ot.nets import TimeBudget
from sklearn_ot.networks import Convex, Dense

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = Dense((4,), "silu")
X = np.random.RandomState(0).randn(60, 2)
Y = 0.5 * np.random.RandomState(1).randn(70, 2) + 1
# Two blocks of 100 steps, of which the second has one step.
TRAINING = {"max_iter": 101, "batch_size": 16, "random_state": 0}
STEADY = TRAINING | {"n_iter_no_change": 9}


def w2(calls, **params):
    return W2Transport(network=Convex((4,)), callbacks=calls, **STEADY | {"plan_size": 0} | params)


def semidiscrete(calls):
    rounds = {"tol": 1.0, "n_fit_samples": 64, "n_fit_steps": 5, "max_iter": 2}
    return SemiDiscreteOTGenerator(SMALL, callbacks=calls, **TRAINING | rounds)


# An estimator of each kind, fitted with callbacks.
KINDS = {
    "W2": lambda calls: w2(calls).fit(X, Y),
    "LSOT": lambda calls: LSOTTransport(network=SMALL, callbacks=calls, **STEADY).fit(X, Y),
    "W2Generator": lambda calls: W2Generator(transport=w2(calls)).fit(X),
    "W1": lambda calls: W1Transport("critic", network=SMALL, callbacks=calls, confidence=None, **TRAINING).fit(X, Y),
    "game": lambda calls: WGANGenerator(generator=SMALL, critic=SMALL, n_critic=1, callbacks=calls, **TRAINING).fit(X),
    "semi-discrete": lambda calls: semidiscrete(calls).fit(X),
    "autoencoder": lambda calls: Autoencoder(1, network=SMALL, callbacks=calls, **STEADY).fit(X),
    "classifier": lambda calls: ClassifierFeatures(SMALL, callbacks=calls, **TRAINING).fit(X, np.arange(60) % 2),
}
TWO_STAGES = ("LSOT", "W1")
CLIP = 1e-3


class Ear(Callback):
    """Writes down what the other callbacks do. Estimators clone it, but not its class."""

    def on_train_begin(self, net, **kwargs):
        self.start_ = self.biases(net)

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            groups = [group for name in net._optimizers for group in getattr(net, f"{name}_").param_groups]
            self.heard["steps"].append((net.name_, net.n_blocks_, [group["lr"] / net.lr for group in groups]))

    def on_grad_computed(self, net, named_parameters, **kwargs):
        gradients = [weight.grad for _, weight in named_parameters if weight.grad is not None]
        self.heard["norms"].append(torch.linalg.vector_norm(torch.stack([part.norm() for part in gradients])).item())

    def on_epoch_end(self, net, **kwargs):
        self.heard["rows"].append(net.history[-1])
        self.heard["frozen"].append([torch.equal(*pair) for pair in zip(self.start_, self.biases(net), strict=True)])

    @staticmethod
    def biases(net):
        return [weight.detach().clone() for name, weight in net.get_all_learnable_params() if "bias" in name]


def number_of_blocks(net, rows, y=None):
    """A score: the number of blocks."""
    return net.n_blocks_


def size_of(net, batch, y=None):
    """A score of a batch: the number of its rows."""
    return len(batch)


@pytest.fixture(scope="module", params=KINDS)
def heard(request, tmp_path_factory):
    """Records of a fit with all callbacks at once, of which the first have names of the user."""
    heard = {"kind": request.param, "steps": [], "norms": [], "rows": [], "frozen": [], "printed": []}
    heard["folder"] = tmp_path_factory.mktemp("checkpoint")
    calls = [
        ("blocks", EpochScoring(number_of_blocks, on_train=True, lower_is_better=False)),
        ("sizes", BatchScoring(size_of, on_train=True, name="size")),
        LRScheduler("StepLR", step_size=1, gamma=0.5, step_every="batch" if request.param == "classifier" else "epoch"),
        Checkpoint(monitor="number_of_blocks_best", dirname=str(heard["folder"])),
        TrainEndCheckpoint(dirname=str(heard["folder"])),
        GradientNormClipping(CLIP),
        Freezer("*bias*"),
        PrintLog(sink=heard["printed"].append),
        ProgressBar(detect_notebook=False),
        type("OwnEar", (Ear,), {"heard": heard}),
    ]
    if request.param != "classifier":  # it has no block after which it could stop
        calls.append(EarlyStopping("train_loss", patience=50))
    with redirect_stderr(StringIO()) as stderr:
        KINDS[request.param](calls)
    heard["stderr"] = stderr.getvalue()
    return heard


def test_lr_scheduler_replaces_the_step_sizes_of_all_optimisers(heard):
    # Each stage has its own schedule. Halves are exact.
    stages = {name: [] for name, *_ in heard["steps"]}
    for name, block, factors in heard["steps"]:
        stages[name].append(factors)
        n_halves = len(stages[name]) - 1 if heard["kind"] == "classifier" else block - 1
        assert factors == [0.5**n_halves * factor for factor in stages[name][0]]
        assert len(factors) == 2 or heard["kind"] != "game"
    assert len(stages) == (2 if heard["kind"] in TWO_STAGES else 1)


def test_gradients_are_clipped(heard):
    # Rounding in float32, of a few hundred weights.
    assert 0 < max(heard["norms"]) < CLIP * 1.0001


def test_weights_are_frozen(heard):
    assert len(heard["frozen"][0]) > 0
    assert np.all([all(block) for block in heard["frozen"]])


def test_epoch_scoring_and_batch_scoring_record_their_scores(heard):
    n_blocks = 1 if heard["kind"] == "classifier" else 2
    n_stages = 2 if heard["kind"] in TWO_STAGES else 1
    assert [row["number_of_blocks"] for row in heard["rows"]] == [*range(1, n_blocks + 1)] * n_stages
    for row in heard["rows"]:
        # The batch of a round of a game has those of its two steps.
        assert row["size"] == (2 if heard["kind"] == "game" else row["batches"][0]["train_batch_size"])


def test_checkpoints_are_written(heard):
    names = {path.name for path in heard["folder"].iterdir()}
    files = {"params.pt", "optimizer.pt", "history.json"}
    assert names == files | {f"train_end_{name}" for name in files}


def test_an_objective_has_no_state_to_save(tmp_path, capsys):
    files = Checkpoint(None, dirname=str(tmp_path), sink=print)
    Autoencoder(1, network=SMALL, callbacks=[files], verbose=1, **STEADY).fit(X)
    assert "Unable to save" not in capsys.readouterr().out


def test_the_log_is_printed_and_the_bar_of_skorch_is_shown(heard):
    assert "number_of_blocks" in heard["printed"][0]
    # Two lines of a head, and a line for each block.
    assert len(heard["printed"]) in (2 + len(heard["rows"]), 4 + len(heard["rows"]))
    assert "it/s" in heard["stderr"]


@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_ends_the_fit(kind):
    heard = []
    # No loss falls by half of the largest float.
    stop = EarlyStopping("train_loss", patience=1, threshold=1e308, threshold_mode="abs", sink=print)
    counter = type("Counter", (Callback,), {"on_epoch_end": lambda self, net, **kwargs: heard.append(net.name_)})
    if kind == "classifier":
        with pytest.raises(ValueError, match=r"ClassifierFeatures cannot train with .*: all its steps"):
            KINDS[kind]([stop])
        return
    KINDS[kind]([stop, counter()])
    # The first block sets the threshold, and the second is the last one of each stage in any case.
    assert len(heard) == (1 if heard[-1] == heard[0] else 2)


REFUSED = {
    "an unknown key": ([EarlyStopping("distance_to_mars")], "it monitors 'distance_to_mars'"),
    "a score after its use": (
        [EarlyStopping("blocks"), EpochScoring(number_of_blocks, name="blocks")],
        "put the callback",
    ),
    "weights of an old block": ([EarlyStopping("train_loss", load_best=True)], "load_best=True is not possible"),
    "weights of a checkpoint": ([Checkpoint("train_loss", load_best=True)], "load_best=True is not possible"),
    "a pickled net": ([Checkpoint(None, f_pickle="net.pkl")], "pickle the fitted estimator instead"),
    "a file object": ([TrainEndCheckpoint(f_params=BytesIO())], "f_params must be the name of a file"),
    "a loaded state": ([LoadInitState(Checkpoint())], "warm_start=True"),
    "shapes": ([InputShapeSetter()], "gives the networks the shapes"),
    "a score of predictions": ([EpochScoring("accuracy", on_train=True)], "scoring='accuracy' scores predictions"),
    "a plateau of batches": (
        [LRScheduler("ReduceLROnPlateau", step_every="batch")],
        "a loss is only known for a whole block",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
def test_callbacks_that_cannot_work_are_refused_before_training(kind, name):
    callbacks, reason = REFUSED[name]
    if kind == "classifier" and isinstance(callbacks[0], EarlyStopping):
        reason = "all its steps are one block"
    trained = []
    spy = type("Spy", (Callback,), {"on_batch_begin": lambda self, net, **kwargs: trained.append(net)})
    spy.__module__ = "skorch.spies"  # with a callback of the user any key may come to be recorded
    with pytest.raises(ValueError, match=rf"cannot train with the callback \w+: .*{reason}"):
        KINDS[kind]([*callbacks, spy()])
    assert not trained


@pytest.mark.parametrize("kind", ["W1", "game", "semi-discrete", "classifier"])
@pytest.mark.parametrize("callback", [EpochScoring(number_of_blocks), BatchScoring(size_of), Checkpoint()])
def test_there_are_no_validation_rows_for_some(kind, callback):
    with pytest.raises(ValueError, match=r"use on_train=True|it monitors 'valid_loss_best'"):
        KINDS[kind]([callback])


def test_a_score_can_be_monitored_after_the_callback_that_records_it():
    score = EpochScoring(number_of_blocks, on_train=True, lower_is_better=False, name="blocks")
    files = dict.fromkeys(["f_params", "f_optimizer", "f_history"])
    for callback in (EarlyStopping("blocks", lower_is_better=False), Checkpoint("blocks_best", **files)):
        assert KINDS["autoencoder"]([score, callback])


def test_a_callback_of_the_user_may_record_what_is_monitored():
    class Records(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("of_the_user", net.n_blocks_)

    assert KINDS["autoencoder"]([Records(), EarlyStopping("of_the_user", lower_is_better=False)])


def test_the_bar_of_skorch_counts_the_batches():
    """The number of rows says nothing about the number of batches."""
    given = ProgressBar(detect_notebook=False)
    with redirect_stderr(StringIO()) as stderr:
        KINDS["autoencoder"]([given])
    # The first block has 100 batches and that of the validation, and from then on their number is known.
    assert "/101 " in stderr.getvalue()
    assert given.batches_per_epoch == "auto"


def test_names_and_classes_are_those_of_skorch():
    transport = KINDS["W2"]([("mine", PrintLog()), GradientNormClipping, TimeBudget(1000)])
    names = dict(transport.net_.callbacks_)
    assert type(names["mine"]) is PrintLog
    assert {"GradientNormClipping", "TimeBudget"} <= set(names)
    with pytest.raises(ValueError, match="duplicate user-set callback name 'mine'"):
        KINDS["W2"]([("mine", PrintLog()), ("mine", PrintLog())])
    for wrong in ("PrintLog", ("mine", "PrintLog"), None):
        with pytest.raises(TypeError, match="pairs \\(name, callback\\), got the entry"):
            KINDS["game"]([wrong])


def test_the_callbacks_of_the_user_do_not_change():
    stop, freezer = EarlyStopping("train_loss"), Freezer("*bias*", at=2)
    before = vars(stop).copy(), vars(freezer).copy()
    KINDS["autoencoder"]([stop, ("freeze", freezer)])
    assert (vars(stop), vars(freezer)) == before


def test_blocks_are_counted_from_the_begin_of_the_stage():
    """Rows of the plan, or of an earlier fit, do not count for a callback with a number of blocks."""
    heard = {"steps": [], "norms": [], "rows": [], "frozen": []}
    ear = type("OwnEar", (Ear,), {"heard": heard})
    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5)
    transport = w2([schedule, Freezer("*bias*", at=2), ear()], plan_size=20, warm_start=True).fit(X, Y)
    assert {row["stage"] for row in transport.history_} == {"plan", "dual"}
    transport.fit(X, Y)
    first = heard["steps"][0][2]
    assert [factors for _, _, factors in heard["steps"]] == [first] * 100 + [[f / 2 for f in first]] + [first] * 100 + [
        [f / 2 for f in first]
    ]
    # Biases are trained in the first block of each fit, and rest in the second one, which has one step.
    assert not any(heard["frozen"][0])

"""Training with skorch: nets, loaders, callbacks, devices and seeds."""

from sklearn_ot.nets._adversarial import GAME_MEASURES, AdversarialNet
from sklearn_ot.nets._assigned import AssignedNoise
from sklearn_ot.nets._autoencoder import AutoencoderNet
from sklearn_ot.nets._block import BlockNet, networks_of_at_most
from sklearn_ot.nets._callbacks import TimeBudget, progress_bar, shown_part
from sklearn_ot.nets._classifier import ClassifierNet, LabelledSamples
from sklearn_ot.nets._critic import CriticNet
from sklearn_ot.nets._device import limited_threads, resolve_device, torch_seed
from sklearn_ot.nets._held_out import WeightedRows, far_and_near, far_rows, hold_out, validation_size
from sklearn_ot.nets._joint import BLOCK_SIZE, JointNet
from sklearn_ot.nets._listeners import callback_of, started_callbacks
from sklearn_ot.nets._owner import NetOwner, refuse_changes
from sklearn_ot.nets._pairs import PairLoader, TensorPairs, TensorRows, spatial_order
from sklearn_ot.nets._processes import training_device
from sklearn_ot.nets._rounds import LabelledRows
from sklearn_ot.nets._semidiscrete import SemiDiscreteNet
from sklearn_ot.processes import Processes, processes_of

__all__ = [
    "BLOCK_SIZE",
    "GAME_MEASURES",
    "AdversarialNet",
    "AssignedNoise",
    "AutoencoderNet",
    "BlockNet",
    "ClassifierNet",
    "CriticNet",
    "JointNet",
    "LabelledRows",
    "LabelledSamples",
    "NetOwner",
    "PairLoader",
    "Processes",
    "SemiDiscreteNet",
    "TensorPairs",
    "TensorRows",
    "TimeBudget",
    "WeightedRows",
    "callback_of",
    "far_and_near",
    "far_rows",
    "hold_out",
    "limited_threads",
    "networks_of_at_most",
    "processes_of",
    "progress_bar",
    "refuse_changes",
    "resolve_device",
    "shown_part",
    "spatial_order",
    "started_callbacks",
    "torch_seed",
    "training_device",
    "validation_size",
]

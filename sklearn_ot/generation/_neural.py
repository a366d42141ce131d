"""Base class of generators with networks."""

from abc import abstractmethod
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import CHECKPOINT, BaseGenerator, documented, fit_units, kept_units, warn_user
from sklearn_ot.generation._correction import Correction
from sklearn_ot.nets import NetOwner, refuse_changes
from sklearn_ot.networks import Dense, module_of, named_module
from sklearn_ot.nn import Chain
from sklearn_ot.solvers.chunks import CHUNK_ROWS

MAX_LATENT_DIM = 100


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class NeuralGenerator(NetOwner, BaseGenerator):
    """Base class of generators with one net, whose module maps normal noise to rows in ``coordinates_``.

    A subclass writes ``_build_net(device, **architecture)``, which returns an initialised net whose module is the
    generator. The architecture is a dict of plain values: classes of networks, and their arguments with skorch's names.

    Parameters
    ----------
    generator : specification of `sklearn_ot.networks` or nn.Module class, default=None
        The network from noise to rows. None is ``Dense((128, 128, 128), "relu")``; use ``Convolutional()`` for images.
        A class of modules is called with ``latent_dim`` and ``n_features``, and maps noise of shape (n, latent_dim) to
        rows of shape (n, n_features), where ``n_features`` counts the columns that vary. If the attribute
        ``output_activation`` of the specification, or of the class, is "tanh", data are scaled from their range to −1
        to 1, and all samples lie in the range.
    scaling : "auto", "columns" or "common", default="auto"
        How the training rows are brought to size 1 before they reach the networks, also in ``score``. "columns" gives
        each column its own scale, as tables need, whose columns have different units; see
        `sklearn_ot.solvers.units.UnitCoordinates.of_columns`. "common" gives all columns one scale, as images need, and
        rows whose distances have a meaning, such as principal components. "auto" is "common" for a ``generator`` with
        "tanh", else "columns".
    latent_dim : int or "auto", default="auto"
        Number of columns of the normal noise. "auto" is the number of features, but at most 100.
    device : str or torch.device, default="auto"
        Device of the training: "auto" (CUDA if there is a device, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
        With "accelerate", several processes train together, see :ref:`together`.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, noise and batches. With None each fit has a new seed. The global random states of NumPy
        and PyTorch are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar over the rounds.

    Attributes
    ----------
    coordinates_ : UnitCoordinates
        The units in which the net works.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.
    """

    _: KW_ONLY
    generator: object = None
    scaling: str = "auto"
    latent_dim: int | str = "auto"
    learning_rate: float = 1e-3
    batch_size: int = 128
    max_iter: int = 8000
    warm_start: bool = False
    device: str | torch.device = "auto"
    callbacks: list | None = None
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "generator": "no_validation",  # module_of validates it, with a better message
        "scaling": [StrOptions({"auto", "columns", "common"})],
        "latent_dim": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # The attribute of the net that holds the generator of the samples.
    _sampled = "module_"

    @abstractmethod
    def _build_net(self, device, **architecture):
        """Build and initialise a net."""

    def _net_parameters(self, device):
        return super()._net_parameters(device) | {"optimizer__betas": (0.9, 0.99)}

    def _spec(self, role):
        network = getattr(self, role)
        return Dense() if network is None else network

    def _architecture(self, n_features, n_classes=0):
        """The class of the generator and its arguments."""
        latent_dim = min(n_features, MAX_LATENT_DIM) if self.latent_dim == "auto" else int(self.latent_dim)
        shape = {"latent_dim": latent_dim + n_classes, "n_features": n_features}
        return named_module("module", *module_of(self._spec("generator"), "generator", **shape))

    def _architecture_of(self, net):
        return named_module("module", net.module, net.get_params_for("module"))

    @property
    def _is_bounded(self):
        return getattr(self._spec("generator"), "output_activation", "identity") == "tanh"

    def _units(self, sample):
        """The coordinates of the networks and of scores; a fit that continues another one keeps those of the other."""
        if self.warm_start and hasattr(self, "net_"):
            n_features = len(self.coordinates_.center)
            refuse_changes({"n_features": n_features}, {"n_features": sample.rows.shape[1]})
            return kept_units(self, sample, self._is_bounded)
        return fit_units(sample, self.scaling, self._is_bounded)

    def _check_shapes(self, net, n_features):
        """Raise an error if networks of the user have wrong shapes of inputs or outputs."""
        latent_dim = net.get_params_for("module")["latent_dim"]
        check_shape("generator", net.module_, latent_dim, (n_features,), net.device)

    def _sample(self, n_samples, rng):
        return self._rows(self._noise(n_samples, self._noise_shape[0], rng))

    @property
    def _noise_shape(self):
        """Numbers of columns of the noise and of classes."""
        return self.net_.get_params_for("module")["latent_dim"], 0

    def _noise_arguments(self, n_samples, rng):
        return (self._noise(n_samples, self._noise_shape[0], rng).numpy(),)

    def _module(self, inverse):
        correction = getattr(self, "correction_", None)
        parts = [getattr(self.net_, self._sampled)] + ([] if correction is None else [correction.to_torch()])
        return Chain(*parts, self.coordinates_.to_torch("from_coordinates"))

    @staticmethod
    def _noise(n_samples, latent_dim, rng):
        # Drawn on the CPU, so that a seed gives the same samples on every device.
        generator = torch.Generator().manual_seed(rng.randint(2**31))
        return torch.randn(n_samples, latent_dim, dtype=torch.float32, generator=generator)

    def _rows(self, noise):
        """Map noise to rows, in the units of the data."""
        return self.coordinates_.from_coordinates(self._generate(noise).astype(self._dtype, copy=False))

    def _generate(self, noise):
        """Map noise to rows in ``coordinates_``, of float32."""
        rows, correction = self._uncorrected(noise), getattr(self, "correction_", None)
        return rows if correction is None else correction.apply(rows)

    def _uncorrected(self, noise):
        """Outputs of the network of the samples, in ``coordinates_``."""
        module, device = getattr(self.net_, self._sampled).eval(), self.net_.device
        with torch.no_grad():
            rows = [module(noise[rows].to(device)).cpu().numpy() for rows in gen_batches(len(noise), CHUNK_ROWS)]
        return np.concatenate(rows)

    def _find_correction(self, noise, sample):
        """The correction of samples, from those of this noise, for training rows; None for bounded samples."""
        if self._is_bounded:
            return None
        points = self.coordinates_.to_coordinates(sample.rows).astype(float)
        return Correction.between(self._uncorrected(noise), sample._replace(rows=points))

    def _net_to_resume(self, architecture):
        """The net of the last fit if this fit continues it, else None; a ValueError if the architecture differs."""
        if not self.warm_start or not hasattr(self, "net_"):
            return None
        refuse_changes(*map(_parameters, (self._architecture_of(self.net_), architecture)))
        return self.net_

    def _set(self, **attributes):
        """Set fitted attributes, and remove those that are None, which this fit does not have."""
        for name, value in attributes.items():
            if value is None:
                self.__dict__.pop(name, None)
            else:
                setattr(self, name, value)

    def _store(self, net, keys):
        """Store a trained net, its number of rounds and the given columns of its history."""
        if net.interrupted_:
            warn_user(
                f"Training was interrupted after {net.n_fitted_} of {self.max_iter} rounds; the generator is the "
                "result of these rounds."
            )
        self.net_, self.n_iter_ = net, net.n_iter_
        self.history_ = [{key: row[key] for key in keys if key in row} for row in net.history]


@torch.no_grad()
def check_shape(name, module, n_inputs, outputs, device):
    """Raise a ValueError if a module does not map ``n_inputs`` columns to outputs of this shape for each row."""
    shape, expected = tuple(module.eval()(torch.zeros(2, n_inputs, device=device)).shape), (2, *outputs)
    if shape != expected:
        raise ValueError(f"{name} must map rows of shape (2, {n_inputs}) to shape {expected}, not {shape}.")


def _parameters(architecture):
    """An architecture by the names of the parameters of the estimator."""
    names = {"module": "generator", "module__latent_dim": "latent_dim", "parametrise": "constraint"}
    return {names.get(name, name.replace("module__", "generator__")): value for name, value in architecture.items()}

"""What the generators that train networks share."""

import inspect
from abc import abstractmethod
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sklearn_ot.base import BaseGenerator
from sklearn_ot.nets import NetOwner
from sklearn_ot.nn import DCGANGenerator, MLPGenerator
from sklearn_ot.solvers.chunks import CHUNK_ROWS
from sklearn_ot.solvers.coordinates import UnitCoordinates

MAX_LATENT_DIM = 100
GENERATORS = {"mlp": MLPGenerator, "dcgan": DCGANGenerator}


class NeuralGenerator(NetOwner, BaseGenerator):
    """Base class of generators that train one net, whose module makes rows of normal noise, in ``coordinates_``.

    A subclass writes ``_build_net(device, module, **architecture)``, an initialised net whose module is the generator.
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        "generator": [StrOptions(set(GENERATORS)), type],
        "latent_dim": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions({"relu", "silu", "celu", "softplus"})],
        "output_activation": [StrOptions({"auto", "identity", "tanh"})],
        "generator_params": [dict, None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @abstractmethod
    def _build_net(self, device, module, **architecture):
        """An initialised net."""

    def _net_parameters(self, device, module, architecture):
        """The arguments of a net that do not depend on the method."""
        return {
            "module": module,
            **{f"module__{name}": value for name, value in architecture.items()},
            "optimizer": torch.optim.Adam,
            "optimizer__betas": (0.9, 0.99),
            "optimizer__fused": device.type != "mps",
            "lr": self.learning_rate,
            "batch_size": self.batch_size,
            "max_iter": self.max_iter,
            "callbacks": [clone(callback) for callback in self.callbacks or []],
            "device": device,
            "verbose": int(self.verbose),
        }

    def set_params(self, **params):
        """Set parameters; ``generator__name`` and ``critic__name`` set one argument of a network.

        Parameters
        ----------
        **params : dict
            Parameters of this estimator, or single entries of ``generator_params`` and ``critic_params``, the others
            of which stay: a search over ``generator__n_channels`` needs no list of dicts.

        Returns
        -------
        self : object
            The estimator.
        """
        for own in ("generator_params", "critic_params"):
            prefix = own.removesuffix("params") + "_"
            arguments = {name: value for name, value in params.items() if name.startswith(prefix)}
            if arguments and own in self.get_params(deep=False):
                params = {name: value for name, value in params.items() if name not in arguments}
                arguments = {name.removeprefix(prefix): value for name, value in arguments.items()}
                params[own] = {**(params.get(own, getattr(self, own)) or {}), **arguments}
        return super().set_params(**params)

    def _output_activation(self):
        if self.output_activation == "auto":
            return "tanh" if self.generator == "dcgan" else "identity"
        return self.output_activation

    def _architecture(self, n_features):
        """The class of the generator and its arguments: plain values, which is what a pickle stores."""
        latent_dim = min(n_features, MAX_LATENT_DIM) if self.latent_dim == "auto" else int(self.latent_dim)
        architecture = {"latent_dim": latent_dim, "n_features": n_features}
        if self.generator == "mlp":
            architecture |= self._hidden_layers()
        if self.generator in GENERATORS:
            architecture["output_activation"] = self._output_activation()
        module = GENERATORS.get(self.generator, self.generator)
        if not (inspect.isclass(module) and issubclass(module, nn.Module)):
            raise ValueError(
                f"generator must be one of {sorted(GENERATORS)} or a subclass of torch.nn.Module, got {module!r}."
            )
        return {"module": module, **architecture, **(self.generator_params or {})}

    def _hidden_layers(self):
        """The arguments of an "mlp" that generator and critic share."""
        sizes = tuple(self.hidden_layer_sizes)
        if not sizes or not all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in sizes):
            raise ValueError(
                f"hidden_layer_sizes must be one or more positive integers, got {self.hidden_layer_sizes!r}. "
                "Give for example (128, 128) for two hidden layers."
            )
        return {"hidden_layer_sizes": tuple(map(int, sizes)), "activation": self.activation}

    def _balance(self, X, weights):
        """Fit the coordinates to the training rows."""
        bounded = self._output_activation() == "tanh"
        self.coordinates_ = UnitCoordinates.bounded(X) if bounded else UnitCoordinates.standard(X, weights)

    def _sample(self, n_samples, rng):
        return self._rows(self._noise(n_samples, self.net_.get_params_for("module")["latent_dim"], rng))

    @staticmethod
    def _noise(n_samples, latent_dim, rng):
        # On the CPU whatever the device, for one sample from one seed.
        return torch.randn(n_samples, latent_dim, generator=torch.Generator().manual_seed(rng.randint(2**31)))

    def _rows(self, noise):
        """Rows of noise, in the units of the data."""
        module = self._module(np.float32).eval()
        device = next(module.parameters()).device
        with torch.no_grad():
            rows = [module(noise[rows].to(device)).cpu().numpy() for rows in gen_batches(len(noise), CHUNK_ROWS)]
        return self.coordinates_.from_coordinates(np.concatenate(rows).astype(self._dtype, copy=False))

    def _net_to_resume(self, architecture):
        """The net of the last fit if this one goes on from it, else None."""
        if not self.warm_start or not hasattr(self, "net_"):
            return None
        self._refuse_changes({"module": self.net_.module, **self.net_.get_params_for("module")}, architecture)
        return self.net_

    @staticmethod
    def _refuse_changes(before, after):
        changed = [
            f"{name} from {before.get(name)!r} to {after.get(name)!r}"
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        ]
        if changed:
            raise ValueError(
                f"warm_start=True goes on with the network there is, but these changed: {', '.join(changed)}. "
                "Change them back, or set warm_start=False."
            )

    def _architecture_of(self, net):
        return {"module": net.module, **super()._architecture_of(net)}

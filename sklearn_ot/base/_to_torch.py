"""Fitted estimators as torch modules."""

import copy

import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sklearn_ot.nn import FittedMap
from sklearn_ot.settings import OwnSettings


class ToTorch(OwnSettings):
    """Mixin of estimators with a method ``to_torch``.

    A subclass writes ``_module(inverse)``, which returns the map as a module of rows of shape (n, n_columns).
    """

    def to_torch(self, inverse=False):
        """The fitted map as a torch module, in the units of the data.

        Parameters
        ----------
        inverse : bool, default=False
            Whether to return the inverse map.

        Returns
        -------
        module : nn.Module
            The map, in float32 and on the CPU. Its argument is a floating-point tensor whose last dimension is that of
            the features; all others are those of a batch. The module holds no part of the estimator, stays in
            evaluation mode, and its weights get no gradient. Its result can be differentiated in the argument, also by
            `torch.func`. ``module.double()`` is as accurate as the estimator with float64 rows.

            An inverse map that is a search, such as that of a `sklearn_ot.transport.W2Transport`, returns a pair
            `sklearn_ot.nn.Inversion` of ``rows`` and ``residual``, the distance of the image of each row from the
            argument. It has a fixed number of steps, and no second derivative.

        Raises
        ------
        ValueError
            If ``inverse`` is True and the map has no inverse.
        """
        return self._to_torch(inverse)

    def _to_torch(self, inverse):
        check_is_fitted(self)
        if inverse and not self._is_invertible:
            raise ValueError(f"{type(self).__name__} has no inverse map: take inverse=False.")
        n_inputs = self._n_features_out if inverse and hasattr(self, "_n_features_out") else self.n_features_in_
        return finished(self._module(inverse), n_inputs)

    @property
    def _is_invertible(self):
        return hasattr(self, "inverse_transform")

    def _module(self, inverse):
        """The map, or its inverse, as a module of rows of shape (n, n_columns)."""
        raise NotImplementedError(f"{type(self).__name__} has no torch module: write its method _module(inverse).")


def finished(module: nn.Module, n_inputs: int, kind: type[nn.Module] = FittedMap, **arguments) -> nn.Module:
    """A module of rows as one that a user gets: a copy, in float32 and on the CPU.

    Parameters
    ----------
    module : nn.Module
        The map of rows.
    n_inputs : int
        Number of columns of its argument.
    kind : type, default=FittedMap
        The class of the result.
    **arguments
        Further arguments of the class.
    """
    return kind(copy.deepcopy(module), n_inputs, **arguments).to("cpu", torch.float32)


def torch_module_of(estimator, name: str, inverse: bool = False) -> nn.Module:
    """The module of a part of an estimator; a ValueError that names the part if it has none."""
    if not hasattr(estimator, "to_torch"):
        raise ValueError(f"{name}={estimator!r} has no method to_torch, so that there is no torch module of the whole.")
    return estimator.to_torch(inverse)

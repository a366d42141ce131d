"""Steps of a pipeline as torch modules."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from torch import nn

from sklearn_ot.nn import Affine
from sklearn_ot.solvers.tensors import constants


def _standard(step, inverse):
    return _scaled(step.mean_, step.scale_, inverse)


def _robust(step, inverse):
    return _scaled(step.center_, step.scale_, inverse)


def _largest(step, inverse):
    return _scaled(None, step.scale_, inverse)


def _range(step, inverse):
    if step.clip:
        raise ValueError("MinMaxScaler(clip=True) is no affine map, and has no torch module here.")
    return _scaled(-step.min_ / step.scale_, 1 / step.scale_, inverse)


def _scaled(centre, scale, inverse):
    centre, scale = constants(centre, scale)
    if inverse:
        return Affine(end=centre, before=scale)
    return Affine(centre, after=None if scale is None else 1 / scale)


def _components(step, inverse):
    # With "whiten" the components of some rows have a variance of 0, which scikit-learn replaces, too.
    sizes = np.sqrt(np.maximum(step.explained_variance_, np.finfo(step.explained_variance_.dtype).eps))
    rows = step.components_ * sizes[:, None] if step.whiten else step.components_
    columns = step.components_.T / sizes if step.whiten else step.components_.T
    mean, rows, columns = constants(step.mean_, rows, columns)
    return Affine(end=mean, core=rows) if inverse else Affine(mean, core=columns)


# The modules of steps of scikit-learn, which are functions of the fitted step and of the direction.
MODULES = {
    MaxAbsScaler: _largest,
    MinMaxScaler: _range,
    PCA: _components,
    RobustScaler: _robust,
    StandardScaler: _standard,
}


def module_of_step(step, inverse: bool) -> nn.Module:
    """A fitted step as a torch module; a ValueError if it has none."""
    if hasattr(step, "to_torch"):
        return step.to_torch(inverse)
    if type(step) not in MODULES:
        known = ", ".join(kind.__name__ for kind in MODULES)
        raise ValueError(
            f"The step {step!r} has no torch module: take a step with the method to_torch, or one of {known}."
        )
    return MODULES[type(step)](step, inverse)

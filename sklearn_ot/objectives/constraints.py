"""Constraints on the slope of a critic, and the table of their names."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sklearn_ot.nn import normalise_spectra_
from sklearn_ot.objectives.wgan import slope_penalty


class Constraint(NamedTuple):
    r"""A constraint on the slope of a critic f, which must be at most 1 for a Wasserstein-1 distance.

    A row of the table `CONSTRAINTS` gives a constraint a name: ``CONSTRAINTS["mine"] = Constraint(reg, project=f)``.
    Without functions it constrains nothing.

    Attributes
    ----------
    reg : float, default=0.0
        The strength λ for the value "auto" of an estimator.
    penalty : callable, default=None
        ``penalty(critic, real, fake) -> Tensor of shape ()``; the critic minimises its loss plus λ times the penalty.
    parametrise : callable, default=None
        ``parametrise(module)`` changes a new critic in place, so that it satisfies the constraint at every evaluation.
    project : callable, default=None
        ``project(module, reg)`` changes the weights of a critic in place after each of its steps, without gradients.
    is_bound : bool, default=False
        Whether the bound of the slope of f, ``lipschitz_bound()`` of the module, is near 1. The difference of the means
        of f, divided by this bound, is then a useful lower bound of the distance.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_ot.objectives.constraints import CONSTRAINTS
    >>> critic = nn.Linear(3, 1)
    >>> CONSTRAINTS["clip"].project(critic, reg=0.01)
    >>> bool(critic.weight.abs().max() <= 0.01)
    True
    """

    reg: float = 0.0
    penalty: Callable[..., Tensor] | None = None
    parametrise: Callable[[nn.Module], object] | None = None
    project: Callable[..., None] | None = None
    is_bound: bool = False


@torch.no_grad()
def clip_weights_(module: nn.Module, reg: float) -> None:
    """Clip all weights of a module to the interval from −reg to reg, in place.

    This is the constraint of [Arjovsky17]_.

    References
    ----------
    .. [Arjovsky17] M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein generative adversarial networks", ICML 2017.
    """
    for weight in module.parameters():
        weight.clamp_(-reg, reg)


# The constraints by their names. Estimators accept every key of this table, also keys that are added later.
CONSTRAINTS: dict[str, Constraint] = {
    "gradient-penalty": Constraint(0.1, penalty=slope_penalty),
    "one-sided-penalty": Constraint(0.1, penalty=partial(slope_penalty, one_sided=True)),
    "spectral-norm": Constraint(parametrise=normalise_spectra_, is_bound=True),
    "clip": Constraint(0.01, project=clip_weights_),
}

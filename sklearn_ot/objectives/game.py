"""Games between a critic and a generator."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Game(NamedTuple):
    """The two losses of a game between a critic and a generator, and the witness function of the critic.

    Attributes
    ----------
    critic_loss : callable
        ``critic_loss(critic, real, fake) -> Tensor of shape ()``, which the critic minimises; ``fake`` is held fixed.
    generator_loss : callable
        ``generator_loss(critic, real, fake) -> Tensor of shape ()``, which the generator minimises through ``fake``.
    witness : callable
        ``witness(outputs, real, fake) -> Tensor of shape (n,)``, a function whose values are high on data and low on
        samples. ``outputs`` are the outputs of the critic at the rows; ``real`` and ``fake`` are its outputs at data
        and at samples.
    """

    critic_loss: Callable[..., Tensor]
    generator_loss: Callable[..., Tensor]
    witness: Callable[[Tensor, Tensor, Tensor], Tensor]


def value(outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """The witness of games whose critic is a scalar function: its outputs."""
    return outputs

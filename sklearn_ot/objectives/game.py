"""What an adversarial method consists of."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Game(NamedTuple):
    """The two losses of a game between a critic and a generator, and the function that the critic stands for.

    Attributes
    ----------
    critic_loss : callable
        ``critic_loss(critic, real, fake) -> Tensor of shape ()``, which the critic minimises; ``fake`` is held fixed.
    generator_loss : callable
        ``generator_loss(critic, real, fake) -> Tensor of shape ()``, which the generator minimises through ``fake``.
    witness : callable
        ``witness(outputs, real, fake) -> Tensor of shape (n,)``, the function that tells data (high) from samples (low)
        at rows with these outputs of the critic; ``real`` and ``fake`` are its outputs at rows of both laws.
    """

    critic_loss: Callable[..., Tensor]
    generator_loss: Callable[..., Tensor]
    witness: Callable[[Tensor, Tensor, Tensor], Tensor]


def value(outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """The witness of methods whose critic is itself the function: its values."""
    return outputs

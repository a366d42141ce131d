"""GAN and FGAN: generators that descend on an f-divergence, estimated by a critic."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import StrOptions

from sklearn_ot.base import documented, sections
from sklearn_ot.generation._adversarial import AdversarialGenerator
from sklearn_ot.objectives import fgan
from sklearn_ot.objectives.game import Game


@dataclass(eq=False, repr=False)
class VariationalGenerator(AdversarialGenerator):
    """Base class of generators that descend on the f-divergence that the attribute ``_divergence`` names."""

    _: KW_ONLY
    loss: str = "linear"

    _parameter_constraints: ClassVar[dict] = {
        **AdversarialGenerator._parameter_constraints,
        "loss": [StrOptions({"linear", "non-saturating", "saturating"})],
    }

    def classify(self, X, y=None):
        """Whether the critic takes rows for data: where its T is above f'(1), the value of a ratio of 1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows anywhere.
        y : array-like of shape (n_samples,), default=None
            Their classes; needed if the generator was fitted with classes.

        Returns
        -------
        is_real : ndarray of shape (n_samples,), dtype bool
            Whether each row looks like data.
        """
        return self.critic_function(X, y) > self._threshold

    def _game(self):
        divergence = self._divergence
        return Game(
            partial(fgan.critic_loss, divergence=divergence),
            partial(fgan.generator_loss, divergence=divergence, loss=self.loss),
            partial(fgan.witness, divergence=divergence),
        )

    def _remedy(self):
        steep = self.loss == "non-saturating" and self._divergence in ("reverse-kl", "squared-hellinger")
        return (
            f"Lower learning_rate (now {self.learning_rate:g}) or raise instance_noise (now {self.instance_noise:g})"
            + ("; loss='linear' has no gradient without a bound." if steep else ".")
        )

    def _measure(self, module, real, fake):
        real, fake = (torch.from_numpy(values).double() for values in (real, fake))
        self.divergence_ = float(fgan.variational_bound(self._divergence, real, fake))
        self._threshold = np.float32(fgan.DIVERGENCES[self._divergence].threshold)


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class FGAN(VariationalGenerator):
    r"""A generator that descends on an f-divergence [Nowozin16]_.

    .. math:: \min_g D_f(P \| g_\# N), \qquad
        D_f(P \| Q) = E_Q\, f(p / q) = \max_T E_P\, T(x) - E_Q\, f^*(T(x))

    The critic is a network V followed by an activation :math:`g_f` that brings its values into the domain of
    :math:`f^*`. The best one is :math:`T = f'(p / q)`: it knows the ratio of the densities, and where it is above
    :math:`f'(1)` a row is more likely to be data (`classify`).

    ==================== ================================= ============================= ===================
    divergence           f(u)                              :math:`f^*(t)`                 :math:`g_f(v)`
    ==================== ================================= ============================= ===================
    "kl"                 u log u                           exp(t − 1)                     v
    "reverse-kl"         −log u                            −1 − log(−t)                   −exp(−v)
    "pearson"            (u − 1)²                          t²/4 + t                       v
    "squared-hellinger"  (√u − 1)²                         t / (1 − t)                    1 − exp(−v)
    "jensen-shannon"     u log u − (u + 1) log((u + 1)/2)  −log(2 − exp t)                log 2 − log(1 + exp(−v))
    "gan"                u log u − (u + 1) log(u + 1)      −log(1 − exp t)                −log(1 + exp(−v))
    ==================== ================================= ============================= ===================

    The Jensen–Shannon divergence is here the sum of two Kullback–Leibler divergences from the mixture, not their mean;
    "gan" is that minus log 4.

    A divergence does not see distances: between laws that do not overlap it is constant. ``instance_noise`` makes them
    overlap.

    Parameters
    ----------
    divergence : {"kl", "reverse-kl", "pearson", "squared-hellinger", "jensen-shannon", "gan"}, default="jensen-shannon"
        Which one.
    loss : {"linear", "non-saturating", "saturating"}, default="linear"
        What the generator minimises: :math:`-E_Q V`; :math:`-E_Q T`, which for "reverse-kl" and "squared-hellinger" has
        a gradient without a bound, and may diverge; or :math:`-E_Q f^*(T)`, the divergence itself, whose gradient fades
        where the critic knows samples for what they are. For "kl" and "pearson" the first two are one.
    <parameters>

    Attributes
    ----------
    divergence_ : float
        The variational estimate, a lower bound of the divergence but for the error of a finite sample.
    <attributes>

    See Also
    --------
    GAN : The divergence "gan" under its own name.
    WGANGenerator : With a distance in the place of the divergence.

    References
    ----------
    .. [Nowozin16] S. Nowozin, B. Cseke, R. Tomioka, "f-GAN: training generative neural samplers using variational
       divergence minimization", NeurIPS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import FGAN
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = FGAN("pearson", generator=Dense((16,)), critic=Dense((16,)), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 4)
    True
    """

    divergence: str = "jensen-shannon"

    _parameter_constraints: ClassVar[dict] = {
        **VariationalGenerator._parameter_constraints,
        "divergence": [StrOptions(fgan.DIVERGENCES.keys())],
    }

    @property
    def _divergence(self):
        return self.divergence


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class GAN(VariationalGenerator):
    r"""The generative adversarial network [Goodfellow14]_.

    .. math:: \min_g \max_D\; E_P \log D(x) + E_z \log(1 - D(g(z)))

    with D a classifier of data against samples. With the best D the value is :math:`2\,\text{JS}(P, Q) - \log 4`: this
    is `FGAN` with the divergence "gan", whose critic is :math:`T = \log D`.

    Parameters
    ----------
    loss : {"non-saturating", "saturating", "linear"}, default="non-saturating"
        What the generator minimises: :math:`-E \log D(g(z))`; :math:`E \log(1 - D(g(z)))`, the game itself, whose
        gradient fades where D knows samples for what they are; or the sum of both, :math:`-E \log\frac{D}{1-D}(g(z))`,
        which loses fewer modes.
    <parameters>

    Attributes
    ----------
    divergence_ : float
        The value of the game on data and samples: between −log 4, where they cannot be told apart, and 0. Plus log 4,
        it is a lower bound of twice the Jensen–Shannon divergence, but for the error of a finite sample.
    <attributes>

    See Also
    --------
    FGAN : Other divergences.
    WGANGenerator : With a distance in the place of the divergence.

    References
    ----------
    .. [Goodfellow14] I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import GAN
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = GAN(generator=Dense((16,)), critic=Dense((16,)), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 4)
    True
    """

    loss: str = "non-saturating"

    _divergence = "gan"

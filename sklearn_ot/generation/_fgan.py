"""GAN and FGAN: generators for an f-divergence, estimated by a critic."""

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
    """Base class of generators for an f-divergence, which the attribute ``_divergence`` names."""

    _: KW_ONLY
    loss: str = "linear"

    _parameter_constraints: ClassVar[dict] = {
        **AdversarialGenerator._parameter_constraints,
        "loss": [StrOptions({"linear", "non-saturating", "saturating"})],
    }

    def classify(self, X, y=None):
        """Classify rows as data or samples with the critic.

        A row is classified as data if T is above f'(1), the value for equal densities of data and samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes of the rows; needed if the generator was fitted with classes.

        Returns
        -------
        is_real : ndarray of shape (n_samples,), dtype bool
            Whether each row is classified as data.
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
            + (", or set loss='linear', whose gradients are bounded." if steep else ".")
        )

    def _measure(self, module, real, fake):
        real, fake = (torch.from_numpy(values).double() for values in (real, fake))
        self.divergence_ = float(fgan.variational_bound(self._divergence, real, fake))
        self._threshold = np.float32(fgan.DIVERGENCES[self._divergence].threshold)


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class FGAN(VariationalGenerator):
    r"""A generator that minimises an f-divergence between data and samples.

    .. math:: \min_g D_f(P \| g_\# N), \qquad
        D_f(P \| Q) = E_Q\, f(p / q) = \max_T E_P\, T(x) - E_Q\, f^*(T(x))

    This is the method of [Nowozin16]_. The critic is a network V followed by an activation :math:`g_f`, which maps its
    values into the domain of :math:`f^*`. The best critic is :math:`T = f'(p / q)`, a function of the ratio of the
    densities. If it is above :math:`f'(1)`, a row is more likely to be data than a sample (`classify`).

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

    "jensen-shannon" is the sum of two Kullback–Leibler divergences from the mixture, not their mean. "gan" is the same
    divergence minus log 4.

    A divergence does not depend on distances: it is constant for distributions that do not overlap. ``instance_noise``
    makes them overlap.

    If the data have clusters, do not use "reverse-kl", which misses many of them: use "pearson", or `WGANGenerator`.

    Parameters
    ----------
    divergence : {"kl", "reverse-kl", "pearson", "squared-hellinger", "jensen-shannon", "gan"}, default="jensen-shannon"
        The divergence.
    loss : {"linear", "non-saturating", "saturating"}, default="linear"
        The loss of the generator: :math:`-E_Q V` ("linear"); :math:`-E_Q T` ("non-saturating"), whose gradient has no
        bound for "reverse-kl" and "squared-hellinger", so that training may diverge; or :math:`-E_Q f^*(T)`
        ("saturating"), the divergence itself, whose gradient is small if the critic recognises samples. For "kl" and
        "pearson" the first two are equal.
    <parameters>

    Attributes
    ----------
    divergence_ : float
        The variational estimate, a lower bound of the divergence up to the error of a finite sample.
    <attributes>

    See Also
    --------
    GAN : The divergence "gan".
    WGANGenerator : A generator for a distance instead of a divergence.

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
    r"""The generative adversarial network (GAN).

    .. math:: \min_g \max_D\; E_P \log D(x) + E_z \log(1 - D(g(z)))

    This is the method of [Goodfellow14]_. D classifies rows as data or samples. With the best D the value of the game
    is :math:`2\,\text{JS}(P, Q) - \log 4`. The game is that of `FGAN` with the divergence "gan", whose critic is
    :math:`T = \log D`.

    Parameters
    ----------
    loss : {"non-saturating", "saturating", "linear"}, default="non-saturating"
        The loss of the generator: :math:`-E \log D(g(z))` ("non-saturating"); :math:`E \log(1 - D(g(z)))`
        ("saturating"), the game itself, whose gradient is small if D recognises samples; or the sum of both,
        :math:`-E \log\frac{D}{1-D}(g(z))` ("linear"), which loses fewer modes.
    <parameters>

    Attributes
    ----------
    divergence_ : float
        The value of the game on data and samples, between −log 4, if D cannot distinguish them, and 0. Plus log 4, it
        is a lower bound of twice the Jensen–Shannon divergence, up to the error of a finite sample.
    <attributes>

    See Also
    --------
    FGAN : Other divergences.
    WGANGenerator : A generator for a distance instead of a divergence.

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

"""WGANGenerator: a generator for the Wasserstein-1 distance, with a critic of slope 1."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import documented, sections
from sklearn_ot.generation._adversarial import AdversarialGenerator
from sklearn_ot.networks import Distances
from sklearn_ot.objectives import wgan
from sklearn_ot.objectives.constraints import CONSTRAINTS
from sklearn_ot.objectives.game import Game, value

# Largest number of columns for which a critic of distances to points is the default. In eight columns it was worse than
# layers with normalised weights.
MAX_DISTANCES_FEATURES = 2


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class WGANGenerator(AdversarialGenerator):
    r"""A generator that minimises the Wasserstein-1 distance between data and samples, with a critic of slope 1.

    .. math:: \min_g W_1(P, g_\# N), \qquad W_1(P, Q) = \max_{\text{Lip}(f) \le 1} E_P f(x) - E_Q f(y)

    This is the method of [Arjovsky17]_. Unlike a divergence, the distance also has a gradient if samples and data do
    not overlap. A constraint limits the slope of the critic f. It is a row of
    `sklearn_ot.objectives.constraints.CONSTRAINTS`:

    * "clip" [Arjovsky17]_: all weights are kept between −``reg`` and ``reg``. The slope then has a bound, which is not
      known. If the data have clusters, use another constraint: with this one most samples lie between the clusters.
    * "gradient-penalty" [Gulrajani17]_: ``reg`` times :math:`E (\|\nabla f\| - 1)^2` between data and samples.
    * "one-sided-penalty" [Petzka18]_: the same penalty, but only for slopes above 1.
    * "spectral-norm": the slope is at most 1 for any weights. For at most two columns ``critic=None`` is
      ``Distances()``, which needs no constraint for this. In other critics each weight matrix is divided by its norm
      [Miyato18]_. They stay nearly linear, and leave samples between clusters in the plane. In eight columns they were
      better than ``Distances()``.

    Training works in units in which the data are of size 1; samples have the units of ``X``.

    Parameters
    ----------
    constraint : {"gradient-penalty", "one-sided-penalty", "spectral-norm", "clip"}, default="gradient-penalty"
        The constraint on the slope of the critic.
    reg : float or "auto", default="auto"
        The weight λ of a penalty, or the largest weight of "clip"; "spectral-norm" does not use it. "auto" is 0.1 for
        penalties, the value of [Gulrajani17]_ for data in the plane (theirs for images is 10), and 0.01 for "clip", the
        value of [Arjovsky17]_. With 0.01 small networks are nearly flat: 0.1 is better for data in the plane.
    <parameters>

    Attributes
    ----------
    critic_value_ : float
        The difference of the means of the critic on data and on samples, :math:`E_P f - E_Q f`. It is in the units of
        ``X`` if all columns have one scale, see ``scaling``, else in ``coordinates_``.
        With classes, it is about the mean of the differences within the classes.
    wasserstein_lower_bound_ : float
        ``critic_value_`` divided by a bound of the slope of the critic. It is a lower bound of the Wasserstein-1
        distance between samples and data, up to the error of a finite sample. The attribute only exists with
        "spectral-norm" and a critic whose module has a method ``lipschitz_bound``, such as those of ``Distances`` and
        ``Dense``. With the other constraints the bound of the slope is far above 1.
    <attributes>

    See Also
    --------
    CramerGAN : A generator with unbiased gradients.
    SemiDiscreteOTGenerator : A generator without a critic.

    References
    ----------
    .. [Arjovsky17] M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein generative adversarial networks", ICML 2017.
    .. [Gulrajani17] I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin, A. Courville, "Improved training of Wasserstein
       GANs", NeurIPS 2017.
    .. [Petzka18] H. Petzka, A. Fischer, D. Lukovnikov, "On the regularization of Wasserstein GANs", ICLR 2018.
    .. [Miyato18] T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral normalization for generative adversarial
       networks", ICLR 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.generation import WGANGenerator
    >>> from sklearn_ot.networks import Dense
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = WGANGenerator(generator=Dense((16,)), critic=Dense((16,)), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 2)
    True
    """

    constraint: str = "gradient-penalty"
    _: KW_ONLY
    reg: float | str = "auto"
    n_critic: int = 2
    learning_rate: float = 3e-3

    _parameter_constraints: ClassVar[dict] = {
        **AdversarialGenerator._parameter_constraints,
        "constraint": [StrOptions(CONSTRAINTS.keys())],
        "reg": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    }

    def _constraint(self):
        row = CONSTRAINTS[self.constraint]
        return row if self.reg == "auto" else row._replace(reg=self.reg)

    def _critic_spec(self, n_features):
        if self.critic is None and self._constraint().is_bound and n_features <= MAX_DISTANCES_FEATURES:
            return Distances()
        return super()._critic_spec(n_features)

    def _game(self):
        constraint, loss = self._constraint(), wgan.critic_loss
        if constraint.penalty is not None:
            loss = partial(wgan.penalised_critic_loss, reg=constraint.reg, penalty=constraint.penalty)
        return Game(loss, wgan.generator_loss, value)

    def _remedy(self):
        constraint = self._constraint()
        hint = "" if constraint.penalty is None else f" or raise reg (now {constraint.reg:g})"
        return f"Lower learning_rate (now {self.learning_rate:g}){hint}."

    def _measure(self, critic, real, fake):
        self.critic_value_ = self.coordinates_.unit * float(real.mean(dtype=float) - fake.mean(dtype=float))
        is_bound = self._constraint().is_bound and hasattr(critic, "lipschitz_bound")
        self._set(wasserstein_lower_bound_=self.critic_value_ / critic.lipschitz_bound() if is_bound else None)

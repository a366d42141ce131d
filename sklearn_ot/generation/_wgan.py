"""WGANGenerator: a generator that descends on the Wasserstein-1 distance, by a critic of slope 1."""

from dataclasses import KW_ONLY, dataclass
from functools import partial
from numbers import Real
from typing import ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from sklearn_ot.base import documented, sections
from sklearn_ot.generation._adversarial import AdversarialGenerator
from sklearn_ot.objectives import wgan
from sklearn_ot.objectives.constraints import CONSTRAINTS
from sklearn_ot.objectives.game import Game, value


@documented(**sections(AdversarialGenerator))
@dataclass(eq=False, repr=False)
class WGANGenerator(AdversarialGenerator):
    r"""A generator that descends on the Wasserstein-1 distance, by a critic of slope 1 [Arjovsky17]_.

    .. math:: \min_g W_1(P, g_\# N), \qquad W_1(P, Q) = \max_{\text{Lip}(f) \le 1} E_P f(x) - E_Q f(y)

    Unlike a divergence, the distance has a gradient also where samples and data do not overlap. The slope of the critic
    f is held by a constraint, a row of `sklearn_ot.objectives.constraints.CONSTRAINTS`:

    * "clip" [Arjovsky17]_: no weight beyond ±``reg``. The slope is then bounded, by an unknown constant.
    * "gradient-penalty" [Gulrajani17]_: ``reg`` times :math:`E (\|\nabla f\| - 1)^2` between data and samples.
    * "one-sided-penalty" [Petzka18]_: the same of slopes above 1 only.
    * "spectral-norm" [Miyato18]_: each weight matrix is divided by its norm. The slope is then at most 1, in fact much
      less with ReLU; with ``critic=Dense((128,) * 3, "groupsort")`` it comes near 1.

    Training runs in units in which the data are of size 1; samples come back in the units of ``X``.

    Parameters
    ----------
    constraint : {"gradient-penalty", "one-sided-penalty", "spectral-norm", "clip"}, default="gradient-penalty"
        How the slope of the critic is held.
    reg : float or "auto", default="auto"
        The weight λ of a penalty, or the largest weight with "clip"; "spectral-norm" does not use it. "auto" is 0.1 for
        penalties, which [Gulrajani17]_ use for data in the plane (and 10 for images), and the 0.01 of [Arjovsky17]_ for
        "clip", which leaves small networks nearly flat: in the plane 0.1 is better.
    <parameters>

    Attributes
    ----------
    critic_value_ : float
        The difference of the means of the critic on data and on samples, :math:`E_P f - E_Q f`, in the units of ``X``.
        With classes, it is about the mean over the classes of the differences within a class.
    wasserstein_lower_bound_ : float
        ``critic_value_`` divided by a rigorous bound of the slope of the critic: a lower bound of the Wasserstein-1
        distance between samples and data, but for the error of a finite sample. The attribute exists only with
        "spectral-norm" and a critic whose module has a method ``lipschitz_bound``, as that of ``Dense`` has: no other
        constraint brings this bound of the slope near 1.
    <attributes>

    See Also
    --------
    CramerGAN : With unbiased gradients.
    SemiDiscreteOTGenerator : Without a critic.

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
        self.critic_value_ = self.coordinates_.scale * float(real.mean(dtype=float) - fake.mean(dtype=float))
        is_bound = self._constraint().is_bound and hasattr(critic, "lipschitz_bound")
        self._set(wasserstein_lower_bound_=self.critic_value_ / critic.lipschitz_bound() if is_bound else None)

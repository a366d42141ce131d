"""WGANGenerator: a generator that descends on the Wasserstein-1 distance, by a critic of slope 1."""

import math
import warnings
from functools import partial
from numbers import Real

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.generation._adversarial import AdversarialGenerator, documented
from sklearn_ot.objectives import wgan
from sklearn_ot.objectives.game import Game, value

REGS = {"clip": 0.01, "gradient-penalty": 0.1, "one-sided-penalty": 0.1, "spectral-norm": 0.0}


@documented
class WGANGenerator(AdversarialGenerator):
    r"""A generator that descends on the Wasserstein-1 distance, by a critic of slope 1 [Arjovsky17]_.

    .. math:: \min_g W_1(P, g_\# N), \qquad W_1(P, Q) = \max_{\text{Lip}(f) \le 1} E_P f(x) - E_Q f(y)

    Unlike a divergence, it has a gradient also where samples and data do not overlap. The constraint on the critic f
    is kept in one of four ways:

    * "clip" [Arjovsky17]_: no weight beyond ±``reg``. The slope is then bounded, by a constant nobody knows.
    * "gradient-penalty" [Gulrajani17]_: ``reg`` times :math:`E (\|\nabla f\| - 1)^2` between data and samples.
    * "one-sided-penalty" [Petzka18]_: the same of slopes above 1 only.
    * "spectral-norm" [Miyato18]_: each weight matrix is divided by its norm. The slope is then at most 1, in fact much
      less with ReLU; with ``critic_params={"activation": "groupsort"}`` it comes near 1.

    Training runs in units in which the data are of size 1; samples come back in the units of ``X``.

    Parameters
    ----------
    constraint : {"gradient-penalty", "one-sided-penalty", "spectral-norm", "clip"}, default="gradient-penalty"
        How the slope of the critic is held.
    reg : float or "auto", default="auto"
        The weight λ of a penalty, or the largest weight with "clip". "auto" is 0.1 for penalties, which [Gulrajani17]_
        take for data in the plane (and 10 for images), and the 0.01 of [Arjovsky17]_ for "clip", which leaves small
        networks nearly flat: in the plane 0.1 is better. It has no meaning with "spectral-norm".
    <parameters>

    Attributes
    ----------
    wasserstein_distance_ : float
        What the critic finds between samples and the data, in the units of ``X``: :math:`E_P f - E_Q f`. It is a lower
        bound of the distance, but for the error of a finite sample, only with "spectral-norm" and the critic "mlp",
        where it is divided by the exact bound of the slope; else a warning says that it is none. With classes, it is
        about the mean over the classes of the distances between rows of a class.
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
    >>> X = np.random.RandomState(0).normal(50, 4, (500, 1))
    >>> generator = WGANGenerator(hidden_layer_sizes=(16,), max_iter=100, random_state=0).fit(X)
    >>> bool(abs(generator.sample(1000, random_state=0).mean() - 50) < 2)
    True
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's protocol)
        **AdversarialGenerator._parameter_constraints,
        "constraint": [StrOptions(set(REGS))],
        "reg": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        constraint="gradient-penalty",
        *,
        reg="auto",
        n_critic=2,
        learning_rate=3e-3,
        generator="mlp",
        critic="mlp",
        latent_dim="auto",
        hidden_layer_sizes=(128, 128, 128),
        activation="relu",
        output_activation="auto",
        generator_params=None,
        critic_params=None,
        instance_noise=0.0,
        batch_size=128,
        max_iter=8000,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=20,
        tol=0.0,
        warm_start=False,
        device="auto",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            n_critic=n_critic,
            learning_rate=learning_rate,
            generator=generator,
            critic=critic,
            latent_dim=latent_dim,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            output_activation=output_activation,
            generator_params=generator_params,
            critic_params=critic_params,
            instance_noise=instance_noise,
            batch_size=batch_size,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            device=device,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
        )
        self.constraint = constraint
        self.reg = reg

    @property
    def wasserstein_distance_(self):
        check_is_fitted(self)
        if not self._is_bound:
            warnings.warn(
                f"wasserstein_distance_ is what the critic finds, not a bound of the distance: "
                f"constraint={self.constraint!r} with critic={self.critic!r} leaves its slope unknown. "
                "Use metrics.wasserstein_distance on samples, or constraint='spectral-norm' with an 'mlp' critic.",
                stacklevel=2,
            )
        return self._distance

    def _get_fitted_attr_html(self, doc_link=""):
        # scikit-learn's table of attributes reads all of them: nobody has asked for this one.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super()._get_fitted_attr_html(doc_link)

    def _game(self):
        if "penalty" not in self.constraint:
            return Game(wgan.critic_loss, wgan.generator_loss, value)
        one_sided = self.constraint == "one-sided-penalty"
        loss = partial(wgan.penalised_critic_loss, reg=self._reg(), one_sided=one_sided)
        return Game(loss, wgan.generator_loss, value)

    def _reg(self):
        return REGS[self.constraint] if self.reg == "auto" else self.reg

    def _remedy(self):
        hint = f" or raise reg (now {self._reg():g})" if "penalty" in self.constraint else ""
        return f"Lower learning_rate (now {self.learning_rate:g}){hint}."

    def _clip(self):
        return self._reg() if self.constraint == "clip" else None

    @property
    def _spectral_norm(self):
        return self.constraint == "spectral-norm"

    def _measure(self, module, real, fake):
        self._is_bound = self._spectral_norm and hasattr(module, "lipschitz_bound")
        slope = module.eval().lipschitz_bound() if self._is_bound else 1.0
        difference = float(real.mean(dtype=float) - fake.mean(dtype=float))
        self._distance = self.coordinates_.scale * difference / slope if math.isfinite(difference) else difference

"""GenerativePipeline: a pipeline whose last step draws codes, which the steps before it decode to rows."""

from copy import copy
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import (
    FLOAT_DTYPES,
    MAX_REFERENCE_ROWS,
    DocumentationLink,
    all_or_nothing,
    contained,
    finished,
    finite,
    fit_units,
    random_source,
    sliced_score,
    validated,
    weighted_sample,
)
from sklearn_ot.certificates import Certificate, certify_decoding, check_certificate
from sklearn_ot.checks import check_n_samples, check_weight
from sklearn_ot.nn import Chain, FittedGenerator
from sklearn_ot.plain import PlainState
from sklearn_ot.representation._steps import module_of_step
from sklearn_ot.settings import in_own_settings
from sklearn_ot.solvers.gap import Side
from sklearn_ot.solvers.sources import source_of


def _decodes(pipeline):
    """Raise an AttributeError that names the step if a step before the last one cannot decode."""
    for name, step in pipeline.steps[:-1]:
        if step not in (None, "passthrough") and not hasattr(step, "inverse_transform"):
            raise AttributeError(f"Step {name!r} ({type(step).__name__}) has no inverse_transform, which decodes rows.")
    return True


def _last_step_has(method):
    def check(pipeline):
        name, step = pipeline.steps[-1]
        if not hasattr(step, method):
            raise AttributeError(f"The last step {name!r} ({type(step).__name__}) has no method {method}.")
        return _decodes(pipeline)

    return check


def _is_certified(pipeline):
    """Whether the last step has a certificate of the distance between its samples and codes that it has not seen."""
    return _last_step_has("certificate")(pipeline) and _last_step_has("decode_noise")(pipeline)


def _scores(pipeline):
    """Whether the samples can be scored, or the last step is no generator and has a score of its own."""
    step = pipeline.steps[-1][1]
    return _decodes(pipeline) if hasattr(step, "sample") else hasattr(step, "score")


class GenerativePipeline(DocumentationLink, PlainState, Pipeline):
    """A pipeline that draws rows: its last step draws codes, and ``inverse_transform`` of the other steps decodes them.

    Any transformer with an ``inverse_transform`` can make the codes, such as scalers, PCA and `Autoencoder`. The last
    step is anything that draws rows by ``sample``: a generator of this package, `sklearn.neighbors.KernelDensity`, or
    `sklearn.mixture.GaussianMixture`. Everything else is as in `sklearn.pipeline.Pipeline`: names of parameters,
    slices, weights, caching. The slice ``pipeline[:-1]`` encodes rows by ``transform`` and decodes codes by
    ``inverse_transform``.

    `fit` fits copies of the given steps, as estimators with estimators as parameters do: ``get_params`` returns the
    given ones, and ``steps``, ``named_steps``, ``pipeline["name"]`` and slices the fitted ones. Therefore
    ``warm_start`` of a step has no effect.

    Parameters
    ----------
    steps : list of tuples (str, estimator)
        Names and estimators, in order.
    scaling : {"columns", "common"}, default="columns"
        The units of `score`, in which the columns of the training rows have size 1. "columns" gives each column its own
        scale, as tables need. "common" gives all columns one scale, as images need. The units are those of the data,
        not of the codes, so that scores of different encoders can be compared.
    transform_input : list of str, default=None
        See `sklearn.pipeline.Pipeline`.
    memory : str or object with the joblib.Memory interface, default=None
        See `sklearn.pipeline.Pipeline`.
    verbose : bool, default=False
        See `sklearn.pipeline.Pipeline`.

    Attributes
    ----------
    coordinates_ : UnitCoordinates
        The units of scores.

    See Also
    --------
    Autoencoder : Codes by networks.
    sklearn_ot.generation.W2Generator : A generator of codes that can be inverted.

    Notes
    -----
    Distances between principal components have a meaning: give generators after PCA ``scaling="common"``. The columns
    of a standardised code have the same size, so that both choices agree there.

    The last step learns the codes of the training rows, and decoded samples are at best as good as decoded codes of
    rows. Compare the two: a bad score of both is that of the encoder.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.mixture import GaussianMixture
    >>> from sklearn_ot.representation import GenerativePipeline
    >>> X = np.random.RandomState(0).randn(200, 2) @ np.ones((2, 5))
    >>> pipeline = GenerativePipeline([("pca", PCA(1)), ("mixture", GaussianMixture(2, random_state=0))]).fit(X)
    >>> pipeline.sample(3, random_state=0).shape
    (3, 5)
    >>> pipeline.score(X) > -0.02
    True
    >>> pipeline.interpolate(X[0], X[1], 4).shape
    (4, 5)
    """

    _parameter_constraints: ClassVar[dict] = {
        **Pipeline._parameter_constraints,
        "scaling": [StrOptions({"columns", "common"})],
    }

    @property
    def steps(self):
        """Names and estimators: the fitted ones, or before `fit` those that were given."""
        return vars(self).get("_fitted_steps", vars(self)["steps"])

    @steps.setter
    def steps(self, steps):
        vars(self).pop("_fitted_steps", None)
        vars(self)["steps"] = steps

    def __init__(self, steps, *, scaling="columns", transform_input=None, memory=None, verbose=False):
        self.scaling = scaling
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)

    @in_own_settings
    def fit(self, X, y=None, **params):
        """Fit all steps, each to the codes of the steps before it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like, default=None
            Labels for the steps that take them.
        **params : dict
            Arguments of the steps, such as ``ae__sample_weight``, or with metadata routing ``sample_weight``; see
            `sklearn.pipeline.Pipeline`. The units of scores have the weights of all steps, or those of the last step.

        Returns
        -------
        self : object
            The fitted pipeline. If a step raises an error, the pipeline keeps its previous state.
        """
        with all_or_nothing(self):
            given = vars(self)["steps"]
            # scikit-learn fits the steps that it is given, and keeps them in `steps`.
            self.steps = clone(given, safe=False)
            super().fit(X, y, **params)
            vars(self).update(steps=given, _fitted_steps=self.steps)
            vars(self).pop("coordinates_", None)
            if hasattr(self._final_estimator, "sample"):
                rows = check_array(X, dtype=FLOAT_DTYPES, input_name="X", estimator=self)
                weight = params.get("sample_weight", params.get(f"{self.steps[-1][0]}__sample_weight"))
                sample = weighted_sample(rows, weight, "sample_weight", "X", 1)
                self.coordinates_, self._dtype = fit_units(sample.merged(), self.scaling), rows.dtype
        return self

    @available_if(_last_step_has("sample"))
    @in_own_settings
    def sample(self, n_samples=1, random_state=None, **params):
        """Draw codes, and decode them.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Draws the codes, also if the last step is a `sklearn.mixture.GaussianMixture`, whose own ``random_state`` is
            replaced in a copy. With an int, each call gives the same rows. With None, each call gives new rows, and
            NumPy's global random state is neither read nor changed.
        **params : dict
            Further arguments of the ``sample`` of the last step, such as ``y``, the class of the rows.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            The rows, in the units and in the float dtype of the training data; a DataFrame after `set_output`.
        """
        names = getattr(self, "feature_names_in_", None)
        rows = self._draw(n_samples, random_state, **params)
        return contained(self, rows, [f"x{j}" for j in range(rows.shape[1])] if names is None else names)

    def _draw(self, n_samples, random_state, **params):
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng, last = random_source(random_state), self._final_estimator
        if params:
            return self._decode(np.asarray(last.sample(n_samples, random_state=rng, **params)))
        return self._decode(self._sampled_codes(n_samples, rng))

    def _sampled_codes(self, n_samples, rng):
        """Codes of the last step, in float64."""
        like = torch.zeros(1, self._final_estimator.n_features_in_, dtype=torch.float64)
        return source_of(self._final_estimator, like, rng).sample(n_samples).numpy()

    def _encode(self, X):
        """Codes of rows."""
        for _, _, step in self._iter(with_final=False):
            X = step.transform(X)
        return X

    def _decode(self, codes):
        """Rows of codes, in the dtype of the training rows."""
        for _, _, step in reversed(list(self._iter(with_final=False))):
            codes = step.inverse_transform(codes)
        return finite(np.asarray(codes, dtype=getattr(self, "_dtype", None)), "The decoded rows")

    @available_if(_last_step_has("draw_noise"))
    @in_own_settings
    def draw_noise(self, n_samples=1, random_state=None, **params):
        """The noise from which `sample` with the same arguments makes its rows.

        Parameters
        ----------
        n_samples, random_state, **params : object
            As in `sample`.

        Returns
        -------
        arguments : tuple of ndarray
            The arguments of the module of `to_torch`.
        """
        check_is_fitted(self)
        return self._final_estimator.draw_noise(n_samples, random_source(random_state), **params)

    @available_if(_last_step_has("draw_noise"))
    @in_own_settings
    def to_torch(self, inverse=False):
        """The fitted pipeline as a torch module, from noise to rows, if its last step is a generator of this package.

        Parameters
        ----------
        inverse : bool, default=False
            Whether to return the map from rows to noise, if the last step is a `sklearn_ot.generation.W2Generator`.

        Returns
        -------
        module : sklearn_ot.nn.FittedGenerator or sklearn_ot.nn.FittedMap
            See `sklearn_ot.generation.W2Generator.to_torch`. With ``inverse``, ``residual`` is the distance of the
            codes of a row from those of its noise.

        Raises
        ------
        ValueError
            If a step has no torch module. Steps with a method ``to_torch``, scalers of scikit-learn and its PCA have
            one.
        """
        check_is_fitted(self)
        steps = [step for _, _, step in self._iter(with_final=False)]
        last = self._final_estimator.to_torch(inverse)
        if inverse:
            chain = Chain(*(module_of_step(step, inverse=False) for step in steps), last)
            return finished(chain, self.n_features_in_)
        decoders = (module_of_step(step, inverse=True) for step in reversed(steps))
        return finished(Chain(last.inner, *decoders), last.latent_dim, FittedGenerator, n_classes=last.n_classes)

    @available_if(_scores)
    @in_own_settings
    def score(self, X, y=None, sample_weight=None, **params):
        """Minus the squared sliced Wasserstein-2 distance between samples of the pipeline and ``X``.

        If the last step does not draw rows, it is its score, as in `sklearn.pipeline.Pipeline`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the data, if possible rows that were not in ``fit``.
        y : array-like, default=None
            Ignored if the last step draws rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        **params : dict
            See `sklearn.pipeline.Pipeline`.

        Returns
        -------
        score : float
            Minus the squared distance, without the factor ½; higher is better. It is computed in ``coordinates_``,
            units of the data in which the training rows have size 1. The sample of 4096 rows and the projections are
            fixed, so equal arguments give equal scores.
        """
        if not hasattr(self._final_estimator, "sample"):
            return super().score(X, y, sample_weight, **params)
        check_is_fitted(self)
        if not hasattr(self, "coordinates_"):
            raise NotFittedError(
                "This slice of a pipeline has no units for a score, because it was not fitted: score the whole "
                "pipeline, or call fit."
            )
        X = validated(self, X)
        weight = check_weight(sample_weight, len(X))
        return sliced_score(self.coordinates_, self._draw(MAX_REFERENCE_ROWS, random_state=0), X, weight)

    @available_if(_decodes)
    @in_own_settings
    def interpolate(self, a, b, n_rows=8):
        """Rows between two rows: the decoded codes on the segment between their codes.

        Parameters
        ----------
        a, b : array-like of shape (n_features,)
            Two rows.
        n_rows : int, default=8
            Number of rows of the result.

        Returns
        -------
        rows : ndarray of shape (n_rows, n_features)
            The rows. The first one and the last one are ``a`` and ``b`` encoded and decoded.
        """
        check_is_fitted(self)
        check_n_samples(n_rows)
        a, b = (np.ravel(check_array(row, dtype=FLOAT_DTYPES, ensure_2d=False)) for row in (a, b))
        first, last = np.asarray(self._encode(np.stack([a, b])))
        t = np.linspace(0, 1, n_rows, dtype=first.dtype)[:, None]
        return self._decode((1 - t) * first + t * last)

    @available_if(_last_step_has("encode_noise"))
    @in_own_settings
    def encode_noise(self, X):
        """The noise of rows, if the last step can be inverted, such as `sklearn_ot.generation.W2Generator`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        noise : ndarray of shape (n_samples, latent_dim)
            The noise from which the last step makes the codes of the rows.
        """
        check_is_fitted(self)
        return self._final_estimator.encode_noise(self._encode(X))

    @available_if(_last_step_has("decode_noise"))
    @in_own_settings
    def decode_noise(self, noise):
        """The rows of given noise, the inverse of `encode_noise` but for the error of the code.

        Parameters
        ----------
        noise : array-like of shape (n_samples, latent_dim)
            Noise, see `encode_noise`.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            The rows.
        """
        check_is_fitted(self)
        return self._decode(self._final_estimator.decode_noise(noise))

    @available_if(_is_certified)
    @in_own_settings
    def certificate(
        self, X, *, confidence=0.95, plan_size=10_000, sample_weight=None, random_state=None
    ) -> Certificate:
        r"""Bounds and estimates of the distance between samples and data, if the last step is a `W2Generator`.

        .. math:: W_2(v \circ T\#P, S) \le L\, W_2(T\#P, Q) + (E_S \|s - v(u(s))\|^2)^{1/2}

        u and v encode and decode, S is the data and Q its codes, T#P the distribution of sampled codes, and v is
        L-Lipschitz: the decoding theorem of [Korotin21]_. The first distance is in the units of the last step.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Independent rows of the data that ``fit`` has not seen.
        confidence, plan_size : float, int
            See `sklearn_ot.transport.W2Transport.certificate`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None.
        random_state : int, RandomState instance or None, default=None
            Draws the samples.

        Returns
        -------
        certificate : Certificate
            The statements of `sklearn_ot.generation.W2Generator.certificate` on the codes, and in the units of the data

            - "decoder_stretch": L, an estimate that is at most L;
            - "reconstruction": the error of rows that are encoded and decoded, with an upper bound;
            - "decoding": the theorem, with this L and the smaller bound of :math:`W_2(T\#P, Q)`. It is an estimate,
              because L is one;
            - "sample_distance": the distance between decoded samples and the data, with the cost of a plan of rows;
            - "data_spread": the standard deviation of the data over all features.

        References
        ----------
        .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative
           networks", ICLR 2021.
        """
        check_is_fitted(self)
        check_certificate(confidence, plan_size)
        X, rng = validated(self, X), random_source(random_state)
        codes, last, mass = self._encode(X), self._final_estimator, check_weight(sample_weight, len(X))
        of_codes = last.certificate(
            codes,
            confidence=1 - (1 - confidence) * 2 / 3,
            plan_size=plan_size,
            sample_weight=sample_weight,
            random_state=rng,
        )
        # Not `last.sample`, which may return a DataFrame.
        samples = last.coordinates_.to_coordinates(self._sampled_codes(min(plan_size, len(X)), rng))
        rows = Side.of(X, mass)
        return certify_decoding(
            replace(of_codes, title=of_codes.title.replace(type(last).__name__, type(self).__name__, 1)),
            samples,
            lambda U: self._decode(last.coordinates_.from_coordinates(U)),
            rows,
            self._decode(codes)[mass > 0],
            confidence,
            plan_size,
        )

    def get_params(self, deep=True):
        """Get the parameters of the pipeline and of the given steps.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the steps and their parameters as well.

        Returns
        -------
        params : dict
            Values by the names of parameters.
        """
        return Pipeline.get_params(self._given(), deep)

    def set_params(self, **params):
        """Set parameters of the pipeline and of the given steps; a fitted step keeps its own until the next fit.

        Parameters
        ----------
        **params : dict
            Values by the names of parameters. A pipeline that gets another step is not fitted any more.

        Returns
        -------
        self : object
            The pipeline.
        """
        of_steps = self.get_params().keys() - self.get_params(deep=False).keys()
        if any("__" not in name for name in params.keys() & of_steps):
            self.steps = vars(self)["steps"]
        return super().set_params(**params)

    def _given(self):
        """This pipeline with the steps as they were given."""
        given = copy(self)
        given.steps = vars(self)["steps"]
        return given

    def set_output(self, *, transform=None):
        """Choose whether `sample`, and ``transform`` of the steps, return arrays or DataFrames.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            The container of rows; "default" is an array. None changes nothing.

        Returns
        -------
        self : object
            The pipeline.
        """
        super().set_output(transform=transform)
        # Copies of the given steps are fitted next.
        Pipeline.set_output(self._given(), transform=transform)
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

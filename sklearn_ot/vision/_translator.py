"""ImageTranslator: a map between two collections of pictures that are not paired."""

import warnings
from dataclasses import KW_ONLY, dataclass
from os import PathLike
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import (
    CHECKPOINT,
    FLOAT_DTYPES,
    InvertibleTransport,
    all_or_nothing,
    documented,
    draw_reference,
    seeded,
    torch_module_of,
    warn_far,
    warn_user,
)
from sklearn_ot.checks import errors_about, number_of_axes, picture_shape
from sklearn_ot.networks import ConvexConvolutional
from sklearn_ot.nn import Chain, InverseChain
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport import PatchTransport, StationaryGaussianTransport, W2Transport
from sklearn_ot.vision._report import LEAST_PICTURES, TranslationReport, compare, distances_after
from sklearn_ot.vision._rows import read_rows
from sklearn_ot.vision._statistics import StatisticsTransport

# Number of pictures of each side on which the third map is checked, and the largest ratio of distances with it and
# without it.
N_CHECKED, MAX_RATIO = 100, 1.5
# Batches of whole pictures are large arrays, and smaller ones are noisy.
CONV = {"batch_size": 64, "max_iter": 1000}


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class ImageTranslator(InvertibleTransport, auto_wrap_output_keys=None):
    r"""Translate pictures of one kind to another kind, and back, learned from two collections without pairs.

    The translation is a chain of maps, each of them fitted between the images of the one before it and the target, and
    each with an inverse:

    1. `sklearn_ot.transport.StationaryGaussianTransport`, the optimal map between stationary Gaussian pictures, in
       closed form. It moves the mean picture, and stretches each frequency.
    2. The gradient of a convex network. By default it is a `sklearn_ot.transport.PatchTransport`, which moves every
       pixel by its mean displacement in all patches around it.
    3. The statistics of each picture: its mean colour, and the contrasts between its colours in each octave of
       frequencies. A Gaussian map sends the statistics of the source to those of the target, and each picture gets the
       new ones.

    A map of pixels *grades* a picture: its light, its colours and its contrasts become those of the target. It moves no
    edge, and adds or removes no object. It lays and melts no snow.

    Parameters
    ----------
    network : {"patches", "conv"}, transport or None, default="patches"
        The second map. "patches" is a `PatchTransport` of 4 × 4 pixels. "conv" is a `W2Transport` of at most 1000 steps
        of 64 pictures with the network `sklearn_ot.networks.ConvexConvolutional`, which sees whole pictures and is
        slow: a step takes time in proportion to the number of pixels, 0.1 CPU-seconds for 16 × 16. It can also be a
        transport of flattened pictures with an inverse, such as ``PatchTransport(patch_size=8)``; a clone of it is
        fitted, and a parameter ``image_shape`` that is None is set. With None there is no second map.
    image_shape : tuple of int, default=None
        The shape of a picture, (height, width, n_channels) or (height, width). It is needed for flat rows; with None
        they are series of one channel.
    statistics : bool, default=True
        Whether there is a third map. It is left out, with a warning, if translations of 100 pictures of the fit are
        more than 1.5 times as far from real pictures with it. This happens if pictures have large areas of one value,
        as digits have.
    mirror : bool, default=False
        Whether the mirror images of the pictures, left and right exchanged, are also fitted to.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds the second map, unless it is a transport with a ``random_state`` of its own.
    verbose : int, default=0
        Whether to show a progress bar of the second map, unless it is a transport.

    Attributes
    ----------
    transports_ : list of transports
        The fitted maps, between flattened pictures with the channels last.
    image_shape_ : tuple of int
        The shape of a picture, with the channels last.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target pictures as flat rows for the comparison in `score`, if `score` gets none.
    n_features_in_ : int
        Number of pixels times number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame of flat rows.

    See Also
    --------
    ColorTransfer : The colours of one picture for another, at full resolution.

    Notes
    -----
    *Pictures* have one size and are arrays of shape (n, height, width), (n, height, width, n_channels) or
    (n, n_channels, height, width), or lists of n pictures, or flat rows with the channels last. Pictures of uint8 and
    uint16 are divided by the value of white, and results are rounded and clipped to the same dtype. Floats keep their
    units, and results may be a little out of the range of the pictures: clip them to show them. Results have the layout
    of the argument. The module of `to_torch` takes flat rows of floats, with the channels last, and gives such rows.

    The maps are optimal between the stages, each for its own model, but their chain is not an optimal map. ``fit`` uses
    all pictures.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative networks",
       ICLR 2021.
    .. [Olkin82] I. Olkin and F. Pukelsheim, "The distance between two random vectors with given dispersion matrices",
       Linear Algebra and its Applications, 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.vision import ImageTranslator
    >>> rng = np.random.RandomState(0)
    >>> dark, light = (rng.randint(low, low + 100, (50, 8, 8, 3)).astype(np.uint8) for low in (0, 120))
    >>> translator = ImageTranslator(network=None).fit(dark, light)
    >>> lighter = translator.transform(dark)
    >>> lighter.shape, lighter.dtype, bool(abs(lighter.mean() - light.mean()) < 1)
    ((50, 8, 8, 3), dtype('uint8'), True)
    """

    network: object = "patches"
    _: KW_ONLY
    image_shape: tuple[int, ...] | None = None
    statistics: bool = True
    mirror: bool = False
    checkpoint: str | PathLike | None = None
    random_state: object = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "network": [
            StrOptions({"patches", "conv"}),
            HasMethods(["fit", "transform", "inverse_transform"]),
            None,
        ],
        "image_shape": [tuple, None],
        "statistics": ["boolean"],
        "mirror": ["boolean"],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def fit(self, X, y=None, *, X_target=None, sample_weight=None, target_weight=None):
        """Learn the translation from the source ``X`` to the target.

        Parameters
        ----------
        X : array-like of pictures or flat rows, see Notes
            Source pictures.
        y : array-like, default=None
            Target pictures or rows (the short form ``fit(Xs, Xt)``). A one-dimensional ``y`` is taken as labels of the
            source, which are not used.
        X_target : array-like of pictures or flat rows, default=None
            Target pictures, any number of them; of the size of the source.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the pictures of both sides, 0 or more; all equal if None.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If pictures or a parameter are unusable; the estimator then keeps its previous state.
        """
        self._validate_params()
        with all_or_nothing(self):
            X, layout = read_rows(X, self.image_shape, "X")
            if layout.shape is not None:
                # A pixel has no unit of its own in which a few numbers could be far out.
                warn_far(self)
            self.image_shape_ = layout.shape or self.image_shape
            y, X_target = self._rows_of(y=y, X_target=X_target)
            super().fit(X, y, X_target=X_target, sample_weight=sample_weight, target_weight=target_weight)
        return self

    def _fit(self, source, target, rng):
        self.image_shape_ = picture_shape(self.image_shape_, self.n_features_in_)
        if target is None:
            target = Sample.of(draw_reference(source.rows, None, rng))
        # Weights and as many equal pictures give the same random numbers.
        sides = [self._with_mirrored(sample.merged()) for sample in (source, target)]
        self.transports_ = self._chain(rng)
        for transport in self.transports_:
            (X, Y), weights = zip(*((sample.rows, sample.count) for sample in sides), strict=True)
            transport.fit(X, X_target=Y, sample_weight=weights[0], target_weight=weights[1])
            sides[0] = sides[0]._replace(rows=transport.transform(X))
        if self.statistics:
            self._drop_harmful_statistics(source.merged(), target.merged(), rng)

    def _drop_harmful_statistics(self, source, target, rng):
        """Go without the third map if translations are much farther from real pictures with it than without it."""
        rows = [sample.rows[rng.permutation(len(sample.rows))[:N_CHECKED]] for sample in (source, target)]
        if min(map(len, rows)) < 2 * LEAST_PICTURES:
            return
        chain, after = self.transports_, []
        for self.transports_ in (chain[:-1], chain):
            with warnings.catch_warnings():
                # Preimages that are far out are one of the harms.
                warnings.simplefilter("ignore")
                moved = self._transform(rows[0]), self._inverse_transform(rows[1])
            after.append(distances_after(*rows, *moved, self.image_shape_))
        without, with_it = after
        worse = [there > MAX_RATIO * here for there, here in zip(with_it, without, strict=True)]
        if any(worse):
            self.transports_ = chain[:-1]
            direction = "source to target" if worse[0] else "target to source"
            warn_user(
                f"The statistics of each picture take translations from {direction} farther from real pictures, so "
                "they are not changed. Give statistics=False to silence this warning."
            )

    def _with_mirrored(self, sample):
        """A sample of pictures, each followed by its mirror image if ``mirror`` is True."""
        if not self.mirror:
            return sample
        pictures = sample.rows.reshape(-1, *self.image_shape_)
        both = np.stack([pictures, np.flip(pictures, axis=-2)], axis=1)
        return Sample.of(both.reshape(-1, sample.rows.shape[1]), np.repeat(sample.count, 2))

    def _chain(self, rng):
        """The maps to be fitted."""
        seed = rng.randint(2**31)
        # A series has one channel.
        shape = self.image_shape_ if len(self.image_shape_) == 3 else self.image_shape_[:1]
        if self.network == "patches":
            second = PatchTransport(shape, random_state=seed, verbose=self.verbose)
        elif self.network == "conv":
            network = ConvexConvolutional(shape)
            second = W2Transport(network=network, random_state=seed, verbose=self.verbose, **CONV)
        elif self.network is not None:
            second = seeded(self.network, seed)
            if second.get_params(deep=False).get("image_shape", ()) is None:
                second.set_params(image_shape=shape)
        chain = [StationaryGaussianTransport(shape)]
        chain += [second] if self.network is not None else []
        return [*chain, StatisticsTransport(self.image_shape_, 1 + self.mirror)] if self.statistics else chain

    def _transform(self, X):
        for transport in self.transports_:
            X = transport.transform(X)
        return X

    def _inverse_transform(self, X):
        for transport in reversed(self.transports_):
            X = transport.inverse_transform(X)
        return X

    def _module(self, inverse):
        name = "a map of transports_"
        image = Chain(*(torch_module_of(transport, name) for transport in self.transports_))
        if not inverse:
            return image
        return InverseChain([torch_module_of(step, name, inverse=True) for step in reversed(self.transports_)], image)

    def transform(self, X):
        """Translate source pictures to the target.

        Parameters
        ----------
        X : array-like of pictures or flat rows, see Notes
            Pictures like the source, also ones that were not in ``fit``.

        Returns
        -------
        X_mapped : ndarray of the layout of ``X``
            The translated pictures.
        """
        return self._in_layout(super().transform, X)

    def inverse_transform(self, X):
        """Translate target pictures to the source, by the inverse of the map.

        Parameters
        ----------
        X : array-like of pictures or flat rows, see Notes
            Pictures like the target, also ones that were not in ``fit``.

        Returns
        -------
        X_original : ndarray of the layout of ``X``
            The translated pictures.
        """
        return self._in_layout(super().inverse_transform, X)

    def interpolate(self, X, t=0.5):
        """Move source pictures a fraction of the way to their translations.

        Parameters
        ----------
        X : array-like of pictures or flat rows, see Notes
            Pictures like the source.
        t : float or array-like of shape (n_times,), default=0.5
            The fraction, from 0 (source) to 1 (target).

        Returns
        -------
        X_t : ndarray of the layout of ``X``
            The pictures; if ``t`` is an array, one block of pictures for each of its values.
        """
        return self._in_layout(lambda rows: super(ImageTranslator, self).interpolate(rows, t), X)

    def score(self, X, y=None, sample_weight=None, *, X_target=None, target_weight=None):
        """Minus the squared sliced Wasserstein-2 distance between translated pictures and the target, as flat rows.

        Parameters
        ----------
        X : array-like of pictures or flat rows, see Notes
            Source pictures.
        y : array-like, default=None
            Target pictures or rows for the comparison; a one-dimensional ``y`` is ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the pictures of ``X``.
        X_target : array-like of pictures or flat rows, default=None
            Target pictures for the comparison; pictures of the target of ``fit`` if None.
        target_weight : array-like of shape (n_target_samples,), default=None
            Weights of the target pictures for the comparison.

        Returns
        -------
        score : float
            Minus the squared distance; 0 is perfect, higher is better. See `report` for distances in features.
        """
        check_is_fitted(self)
        X, y, X_target = self._rows_of(X=X, y=y, X_target=X_target)
        return super().score(X, y, sample_weight, X_target=X_target, target_weight=target_weight)

    def report(self, X, X_target) -> TranslationReport:
        """Fréchet distances of translated pictures from real ones, in both directions, and the error there and back.

        Parameters
        ----------
        X, X_target : array-like of pictures or flat rows, see Notes
            Pictures of both sides that ``fit`` has not seen, at least 4 of each. Distances need hundreds of them.

        Returns
        -------
        report : TranslationReport
            The distances, which name their features, beside those of the pictures as they are and between real ones.
            Its text is a table.
        """
        check_is_fitted(self)
        rows = zip(self._rows_of(X=X, X_target=X_target), ("X", "X_target"), strict=True)
        options = {"dtype": FLOAT_DTYPES, "reset": False, "ensure_min_samples": LEAST_PICTURES}
        sides = []
        for part, name in rows:
            with errors_about(name):
                sides.append(validate_data(self, part, **options))
        return compare(*sides, self._transform, self._inverse_transform, self.image_shape_)

    def _in_layout(self, function, X):
        """Apply a function of flat rows to pictures, and return pictures in their layout."""
        check_is_fitted(self)
        rows, layout = read_rows(X, self.image_shape_, "X")
        return layout.pictures(function(rows))

    def _rows_of(self, **parts):
        """Flat rows of pictures with the shape of the source; arguments that are None, and labels, stay as they are."""
        return [
            part if part is None or number_of_axes(part) == 1 else read_rows(part, self.image_shape_, name)[0]
            for name, part in parts.items()
        ]

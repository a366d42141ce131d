"""ColorTransfer: the colours of one picture for another one."""

import warnings
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import (
    CHECKPOINT,
    DocumentationLink,
    all_or_nothing,
    documented,
    random_source,
    resumable,
    warn_far,
)
from sklearn_ot.networks import Convex
from sklearn_ot.plain import PlainState
from sklearn_ot.settings import OwnSettings
from sklearn_ot.transport import W2Transport
from sklearn_ot.vision._apply import move_picture
from sklearn_ot.vision._color_map import ColorMap, ColorTable, grid_of_colors
from sklearn_ot.vision._cube import write_cube
from sklearn_ot.vision._look import Look, kept_width
from sklearn_ot.vision._pictures import check_pictures, kind_of, n_colors_of
from sklearn_ot.vision._sample import draw_colors

# Share of the pixels at an end of the scale, in both pictures, from which on "auto" keeps this end.
ATOM = 1e-3
# The default transport: networks and a number of steps that are enough for three columns.
HIDDEN_LAYER_SIZES, MAX_ITER = (64, 64), 300
# Number of colours on which the error of a table is measured.
N_CHECKED = 10_000


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class ColorTransfer(
    DocumentationLink, PlainState, OwnSettings, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    r"""Give one picture the colours of another.

    The colours of the pixels of each picture are a distribution, and a transport T is fitted between the two. For the
    optimal map, the new picture has the colours of the target, and each colour moves as little as possible. The colours
    of a pixel x become

    .. math:: x + \alpha\, (T(x) - x),

    the displacement interpolation with the amount α. They are clipped once, and last.

    Parameters
    ----------
    transport : estimator with ``fit(X, X_target=...)`` and ``transform(X)``, default=None
        The map between colours, as rows with 1 or 3 columns between 0 and 1. A clone of it is fitted. None is a
        `sklearn_ot.transport.W2Transport` with at most 300 steps and the network ``Convex((64, 64))``.
    n_pixels : int, default=50000
        Number of pixels of each side on which the transport is fitted. They are drawn evenly over the pictures and over
        their colours, with uniform noise of one step of quantisation.
    amount : float, default=1.0
        The fraction α of the displacement: 0 leaves the picture as it is.
    smooth : float or None, default=12.0
        A guided filter makes the displacement constant in regions whose colours vary by less than this standard
        deviation, in levels of 255, and leaves texture alone. Without it (None or 0), a blurred background breaks into
        blotches where the target has two clusters of colours, and the colours are nearest to those of the target.
    keep_luminance : bool, default=False
        Whether only the hue and the saturation change: every colour keeps its luminance (ITU-R BT.709, of the values as
        they are stored).
    keep_black, keep_white : bool or "auto", default="auto"
        Whether black, or white, stays as it is. Without it, a blown-out sun becomes grey if the other picture has fewer
        white pixels. Before the end of the scale the displacement falls smoothly to 0. "auto" keeps an end that has at
        least 0.1 % of the pixels of both sides.
    color_space : pair of callables, default=None
        ``(to_space, from_space)``, functions of arrays of shape (n, n_colors) between the values of the pixels, from 0
        to 1, and the space in which the transport is fitted. None is the values themselves, RGB or grey. Lab stretches
        dark noise, and linear RGB is clipped much more.
    table_size : int or None, default=65
        Pictures of uint16 and of floats are mapped by a table of the displacements with so many nodes for each channel,
        with linear interpolation, see ``table_error_``. With None every pixel is mapped on its own, which takes
        minutes for large pictures. Pictures of uint8 are mapped without one, through their distinct colours.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Draws the pixels, and seeds the transport if ``transport`` is None.
    verbose : int, default=0
        Whether to show a progress bar of the fit, if ``transport`` is None.

    Attributes
    ----------
    transport_ : estimator
        The fitted transport, between rows in the colour space.
    n_colors_ : int
        Number of colour channels: 1 for grey, 3 for RGB.
    source_sample_, target_sample_ : ndarray of shape (<= n_pixels, n_colors_)
        The colours on which the transport was fitted, between 0 and 1.
    source_ends_, target_ends_ : ndarray of shape (2,)
        Shares of the pixels that are exactly black, and exactly white.
    table_error_ : float
        Mean error of the table of `transform` on 10 000 colours of the source, as the largest error of the channels, in
        levels of 255. It is computed when it is first needed.

    See Also
    --------
    sklearn_ot.transport.W2Transport : The map, and how it is trained.

    Notes
    -----
    *Pictures* are arrays of shape (height, width) or (height, width, n_channels): grey, grey with alpha, RGB, or RGB
    with alpha; of uint8, uint16, or float32 or float64 between 0 and 1. A list of them is taken as one sample of
    colours. Results have the dtype of their picture. The alpha channel is copied, and pixels with alpha 0 are not used
    in ``fit``.

    *Colours that the sample has not.* A map of a network can send a colour that it was never trained on anywhere. A
    colour more than 32 levels (of 255) from every colour of the sample therefore has the mean displacement of its
    nearest 8 colours of the sample. No image leaves the range of the sample of the other side.

    *Parameters of the result* (``amount``, ``smooth``, ``keep_*`` and ``table_size``) can be changed by ``set_params``
    after the fit.

    *The inverse.* ``inverse_transform`` gives pictures like the target the colours of the source, with the inverse of
    the map, and the same ``amount``. Both ends that are kept, the range and the rounding are not inverted.

    *Memory.* Beside the picture and the result, ``transform`` needs some hundred megabytes, for pictures of any size.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative networks",
       ICLR 2021.
    .. [Pitie07] F. Pitié, A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour
       transfer", IET 4th European Conference on Visual Media Production, 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.transport import GaussianTransport
    >>> from sklearn_ot.vision import ColorTransfer
    >>> rng = np.random.RandomState(0)
    >>> source = rng.randint(50, 100, (20, 30, 3)).astype(np.uint8)
    >>> target = rng.randint(100, 200, (25, 20, 3)).astype(np.uint8)
    >>> transfer = ColorTransfer(GaussianTransport(), random_state=0).fit(source, target)
    >>> result = transfer.transform(source)
    >>> result.shape, result.dtype, bool(abs(result.mean() - target.mean()) < 1)
    ((20, 30, 3), dtype('uint8'), True)
    """

    transport: object = None
    _: KW_ONLY
    n_pixels: int = 50_000
    amount: float = 1.0
    smooth: float | None = 12.0
    keep_luminance: bool = False
    keep_black: bool | str = "auto"
    keep_white: bool | str = "auto"
    color_space: tuple | None = None
    table_size: int | None = 65
    checkpoint: str | PathLike | None = None
    random_state: object = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "transport": [HasMethods(["fit", "transform"]), None],
        "n_pixels": [Interval(Integral, 2, None, closed="left")],
        "amount": [Interval(Real, 0, 1, closed="both")],
        "smooth": [Interval(Real, 0, 255, closed="both"), None],
        "keep_luminance": ["boolean"],
        "keep_black": ["boolean", StrOptions({"auto"})],
        "keep_white": ["boolean", StrOptions({"auto"})],
        "color_space": [tuple, None],
        "table_size": [Interval(Integral, 2, 257, closed="both"), None],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, source, target, *, masks=None):
        """Fit the transport to the colours of pictures.

        Parameters
        ----------
        source, target : array-like of shape (height, width) or (height, width, n_channels), or list of them
            The pictures of both sides, see Notes; all grey, or all colour.
        masks : pair of (array-like of bool of shape (height, width), list of them, or None), default=None
            ``(source_mask, target_mask)``: where pixels count. For a list of pictures it is a list of masks.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a picture, a mask or a parameter is unusable; the estimator then keeps its previous state.
        """
        with all_or_nothing(self):
            self._spaces()
            sides = {"source": check_pictures(source, "source"), "target": check_pictures(target, "target")}
            n_colors = [n_colors_of(pictures[0]) for pictures in sides.values()]
            if n_colors[0] != n_colors[1]:
                raise ValueError(
                    f"source is {kind_of(n_colors[0])} and target is {kind_of(n_colors[1])}: convert one of them."
                )
            rng = random_source(self.random_state)
            if masks is not None and (not isinstance(masks, list | tuple) or len(masks) != 2):
                raise ValueError("masks must be a pair, (source_mask, target_mask); either may be None.")
            samples = [
                draw_colors(pictures, check_masks(mask, pictures, f"the mask of {name}"), self.n_pixels, rng, name)
                for (name, pictures), mask in zip(sides.items(), masks or (None, None), strict=True)
            ]
            (self.source_sample_, self.source_ends_), (self.target_sample_, self.target_ends_) = samples
            self.n_colors_, self._tables = n_colors[0], {}
            with resumable(self, rng, self.source_sample_, self.target_sample_):
                self._fit_transport(rng)
        return self

    def _fit_transport(self, rng):
        # A channel has no unit in which a few colours could be far out.
        warn_far(self)
        to_space = self._spaces()[0]
        source, target = (np.asarray(to_space(sample)) for sample in (self.source_sample_, self.target_sample_))
        if self.transport is not None:
            self.transport_ = clone(self.transport).fit(source, X_target=target)
            return
        network, seed = Convex(HIDDEN_LAYER_SIZES), rng.randint(2**31)
        transport = W2Transport(max_iter=MAX_ITER, network=network, random_state=seed, verbose=self.verbose)
        with warnings.catch_warnings():
            # The number of steps is chosen for the time: more of them hardly change a picture.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.transport_ = transport.fit(source, X_target=target)

    def transform(self, X):
        """Give pictures the colours of the target.

        Parameters
        ----------
        X : array-like of shape (height, width) or (height, width, n_channels), or list of them
            Pictures like the source, also ones that were not in ``fit``.

        Returns
        -------
        X_mapped : ndarray of the shape and dtype of ``X``, or list of them
            The new pictures.
        """
        return self._transfer(X, "transform")

    def inverse_transform(self, X):
        """Give pictures the colours of the source, by the inverse map.

        Parameters
        ----------
        X : array-like of shape (height, width) or (height, width, n_channels), or list of them
            Pictures like the target, also ones that were not in ``fit``.

        Returns
        -------
        X_original : ndarray of the shape and dtype of ``X``, or list of them
            The new pictures.
        """
        return self._transfer(X, "inverse_transform")

    def to_cube(self, path):
        """Write the map of `transform` as a table that programs for pictures and films read (.cube).

        Parameters
        ----------
        path : str or path-like
            The file, which is replaced if it exists. It has ``table_size`` nodes for each channel, or 65 if that is
            None. The smoothing depends on the picture and is not in the table.
        """
        self._check_usable()
        if self.n_colors_ != 3:
            raise ValueError("A .cube file is a map of RGB, and this one is a map of grey.")
        nodes = grid_of_colors(self.table_size or 65, 3)
        write_cube(path, self._look("transform").apply(nodes, self._map("transform").displacement(nodes)))

    @property
    def table_error_(self):
        """Mean error of the table of `transform`."""
        self._check_usable()
        if self.table_size is None:
            return 0.0
        return self._table("transform").error

    def _transfer(self, pictures, method):
        self._check_usable()
        checked = check_pictures(pictures, "X")
        if n_colors_of(checked[0]) != self.n_colors_:
            raise ValueError(
                f"X is {kind_of(n_colors_of(checked[0]))}, but the pictures of fit are {kind_of(self.n_colors_)}."
            )
        results = [self._transfer_one(picture, method) for picture in checked]
        return results if isinstance(pictures, list | tuple) else results[0]

    def _transfer_one(self, picture, method):
        has_table = self.table_size is not None and picture.dtype != np.uint8
        moving = self._table(method) if has_table else self._map(method)
        return move_picture(picture, moving, self._look(method), (self.smooth or 0) / 255)

    def _map(self, method):
        """The map of colours of `transform` or of `inverse_transform`."""
        if not hasattr(self.transport_, method):
            raise AttributeError(f"{type(self.transport_).__name__} has no {method}.")
        sample = self.source_sample_ if method == "transform" else self.target_sample_
        return ColorMap(getattr(self.transport_, method), *self._spaces(), sample)

    def _table(self, method):
        key = (method, self.table_size)
        if key not in self._tables:
            color_map = self._map(method)
            checked = np.clip(color_map.sample[:: max(1, len(color_map.sample) // N_CHECKED)], 0, 1)
            self._tables[key] = ColorTable.of(color_map, self.table_size, checked)
        return self._tables[key]

    def _look(self, method):
        """The last step of `transform` or of `inverse_transform`, with the present parameters."""
        seen = self.target_sample_ if method == "transform" else self.source_sample_
        ends = np.repeat([[0.0], [1.0]], self.n_colors_, axis=1)
        at_ends = np.minimum(self.source_ends_, self.target_ends_) >= ATOM
        keeps = zip((self.keep_black, self.keep_white), at_ends, strict=True)
        kept = [at_end if keep == "auto" else keep for keep, at_end in keeps]
        widths = (None, None)
        if any(kept):
            moved = self._map(method).displacement(ends)
            widths = tuple(kept_width(d) if keep else None for keep, d in zip(kept, moved, strict=True))
        seen = np.clip([seen.min(axis=0), seen.max(axis=0)], 0, 1)
        return Look(float(self.amount), seen, self.keep_luminance, widths)

    def _spaces(self):
        space = self.color_space
        if space is None:
            return _same, _same
        if len(space) != 2 or not all(callable(function) for function in space):
            raise ValueError(f"color_space must be a pair of functions, (to_space, from_space), got {space!r}.")
        return space

    def _check_usable(self):
        check_is_fitted(self)
        self._validate_params()
        if self.keep_luminance and self.n_colors_ == 1:
            raise ValueError("keep_luminance=True would leave grey pictures as they are: set it to False.")

    def __sklearn_is_fitted__(self):
        return hasattr(self, "transport_")


def _same(colors):
    return colors


def check_masks(masks, pictures, name):
    """The masks of one side as a list, one array or None for each picture."""
    listed = masks if isinstance(masks, list | tuple) else [masks] * (1 if masks is not None else len(pictures))
    if len(listed) != len(pictures):
        raise ValueError(f"{name} is {len(listed)} masks for {len(pictures)} pictures: give one for each.")
    checked = []
    for mask, picture in zip(listed, pictures, strict=True):
        if mask is not None:
            mask = np.asarray(mask)
            if mask.dtype != bool or mask.shape != picture.shape[:2]:
                raise ValueError(
                    f"{name} has dtype {mask.dtype} and shape {mask.shape}, but must be bool with the height and width "
                    f"of the picture, {picture.shape[:2]}."
                )
        checked.append(mask)
    return checked

"""Displays of generators and critics."""

from functools import partial
from numbers import Integral

import numpy as np
from sklearn.utils import check_array, check_scalar

from sklearn_ot.base import random_source
from sklearn_ot.plotting._common import COLORS, Display, draw_rows, in_the_plane, on_grid


class GeneratorDisplay(Display):
    """Display of the samples of a generator: a grid of images, or points in the plane beside the data.

    Use `from_estimator` to make a display; all parameters are stored as attributes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, 2), or (n_samples, height, width) or (n_samples, height, width, 3)
        Points in the plane, or images. Colours with values outside 0 to 1 are scaled to 0 to 1.
    data : ndarray of shape (n_rows, 2), default=None
        Rows of the data, drawn beneath the points; not drawn with images.
    xlabel, ylabel : str, default=""
        Labels of the axes of points.

    Attributes
    ----------
    samples_ : matplotlib PathCollection or AxesImage
        The samples.
    data_ : matplotlib PathCollection or None
        The data.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    GeneratorDisplay.from_estimator : Draw a fitted generator.
    CriticDisplay : Display of the critic of a generator.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.plotting import GeneratorDisplay
    >>> display = GeneratorDisplay(np.random.default_rng(0).random((12, 8, 8))).plot()
    >>> display.samples_.get_array().shape  # 3 rows of 4, with a line of a pixel between them
    (26, 35)
    """

    def __init__(self, samples, data=None, *, xlabel="", ylabel=""):
        self.samples = samples
        self.data = data
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_estimator(
        cls, estimator, X=None, *, n_samples=None, y=None, image_shape=None, random_state=None, ax=None, **plot_kwargs
    ):
        """Draw samples of a fitted generator.

        Parameters
        ----------
        estimator : generator
            A fitted estimator with a method ``sample``, also a `sklearn_ot.representation.GenerativePipeline`.
        X : array-like of shape (n_rows, n_features), default=None
            Rows of the data to draw beneath the samples; not for images.
        n_samples : int, default=None
            Number of samples; 64 images or 1000 points if None.
        y : label or array-like of shape (n_samples,), default=None
            Classes of the samples, for a generator that was fitted with classes.
        image_shape : tuple of int, default=None
            Shape of an image, (height, width) or (height, width, 3), if the rows are flattened images.
        random_state : int, RandomState instance or None, default=None
            Draws the samples.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **plot_kwargs : dict
            Further arguments of `plot`.

        Returns
        -------
        display : GeneratorDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``estimator`` has no ``sample``.
        ValueError
            If the rows are not images of shape ``image_shape``, or if it is None and the rows have only one feature.
        """
        cls._check_method(estimator, "sample", "a fitted generator")
        if n_samples is None:
            n_samples = 1000 if image_shape is None else 64
        labels = {} if y is None else {"y": y}
        samples = np.asarray(estimator.sample(n_samples, random_state=random_state, **labels))
        n_features = samples.shape[1]
        if image_shape is not None:
            if np.prod(image_shape) != n_features:
                raise ValueError(f"A row of {n_features} features is not an image of shape {tuple(image_shape)}.")
            return cls(samples.reshape(n_samples, *image_shape)).plot(ax, **plot_kwargs)
        if n_features < 2:
            raise ValueError(
                f"{cls.__name__} draws in the plane, but there is only one feature: draw a histogram instead."
            )
        data = None if X is None else check_array(X, input_name="X")
        points = [samples] if data is None else [samples, data]
        # The components are those of the data, if there are any.
        points, labels = in_the_plane(points, points[-1], estimator)
        return cls(*points, xlabel=labels[0], ylabel=labels[1]).plot(ax, **plot_kwargs)

    def plot(self, ax=None, *, n_columns=None, **artist_kwargs):
        """Draw the samples.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        n_columns : int, default=None
            Number of images in a row of the grid; if None, the grid is as square as possible.
        **artist_kwargs : dict
            Arguments of `matplotlib.axes.Axes.scatter` (the samples) or `matplotlib.axes.Axes.imshow`.

        Returns
        -------
        display : GeneratorDisplay
            The display itself.
        """
        self._set_axes(ax)
        self.data_ = None
        if self.samples.ndim > 2:
            self.samples_ = self.ax_.imshow(self._grid(n_columns), **{"cmap": "gray", **artist_kwargs})
            self.ax_.set_axis_off()
            return self
        if self.data is not None:
            self.data_ = self.ax_.scatter(*self.data.T, s=20, color="0.8", linewidths=0, label="data")
        style = {"s": 6, "color": COLORS["transported"], "linewidths": 0, "label": "samples"} | artist_kwargs
        self.samples_ = self.ax_.scatter(*self.samples.T, **style)
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel)
        self.ax_.set_aspect("equal")
        self.ax_.legend()
        return self

    def _grid(self, n_columns):
        """Arrange all images in one, with one pixel of background between them."""
        images = np.asarray(self.samples, dtype=float)
        n_images, height, width, *colours = images.shape
        if colours and (images.min() < 0 or images.max() > 1):
            # matplotlib does not scale colours, and clips them to 0 to 1.
            images = (images - images.min()) / (np.ptp(images) or 1.0)
        if n_columns is None:
            n_columns = int(np.ceil(np.sqrt(n_images)))
        n_lines = -(-n_images // n_columns)
        grid = np.full((n_lines, n_columns, height + 1, width + 1, *colours), images.max())
        for place, image in enumerate(images):
            grid[place // n_columns, place % n_columns, :height, :width] = image
        lines = np.moveaxis(grid, 2, 1).reshape(n_lines * (height + 1), n_columns * (width + 1), *colours)
        return lines[:-1, :-1]


class CriticDisplay(Display):
    """Display of the critic of a generator in the plane: its values are high near data and low near samples.

    Use `from_estimator` to make a display; all parameters are stored as attributes.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_rows, n_columns)
        Coordinates of the points, as `numpy.meshgrid` makes them.
    values : ndarray of shape (n_rows, n_columns)
        Values of the critic at these points.
    data, samples : ndarray of shape (n, 2), default=None
        Rows of the data and samples of the generator, drawn over the values.
    xlabel, ylabel : str, default=""
        Labels of the axes.

    Attributes
    ----------
    surface_ : matplotlib QuadContourSet
        The values of the critic.
    data_, samples_ : matplotlib PathCollection or None
        The rows and the samples.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    CriticDisplay.from_estimator : Draw the critic of a fitted generator.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.plotting import CriticDisplay
    >>> xx0, xx1 = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5))
    >>> display = CriticDisplay(xx0, xx1, xx0**2 + xx1**2).plot()
    >>> display.data_ is None
    True
    """

    def __init__(self, xx0, xx1, values, *, data=None, samples=None, xlabel="", ylabel=""):
        self.xx0 = xx0
        self.xx1 = xx1
        self.values = values
        self.data = data
        self.samples = samples
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_estimator(
        cls, estimator, X, *, y=None, n_samples=300, resolution=100, random_state=None, ax=None, **plot_kwargs
    ):
        """Draw the critic of a fitted generator.

        Parameters
        ----------
        estimator : generator
            A generator of two features with a method ``critic_function``.
        X : array-like of shape (n_rows, 2)
            Rows of the data, at most ``n_samples`` of which are drawn.
        y : label, default=None
            The class to show, for a generator that was fitted with classes; ``X`` should hold rows of this class.
        n_samples : int, default=300
            Number of rows and of samples to draw.
        resolution : int, default=100
            Number of points along each side.
        random_state : int, RandomState instance or None, default=None
            Draws the rows and the samples.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **plot_kwargs : dict
            Further arguments of `plot`.

        Returns
        -------
        display : CriticDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``estimator`` has no ``critic_function``.
        ValueError
            If ``estimator`` does not have two features.
        """
        cls._check_method(estimator, "critic_function", "the critic of a generator")
        cls._check_plane(estimator)
        check_scalar(resolution, "resolution", Integral, min_val=2)
        rng = random_source(random_state)
        names = getattr(estimator, "feature_names_in_", ("x0", "x1"))
        X = check_array(X, input_name="X")
        data = X[draw_rows(len(X), n_samples, rng)]
        labels = {} if y is None else {"y": y}
        samples = estimator.sample(n_samples, random_state=rng, **labels)
        low, high = np.minimum(X.min(0), samples.min(0)), np.maximum(X.max(0), samples.max(0))
        margin = (high - low) / 20
        xx0, xx1 = np.meshgrid(*np.linspace(low - margin, high + margin, resolution).T)
        labels = {} if y is None else {"y": np.full(xx0.size, y)}
        values = on_grid(partial(estimator.critic_function, **labels), xx0, xx1)
        display = cls(xx0, xx1, values, data=data, samples=samples, xlabel=names[0], ylabel=names[1])
        return display.plot(ax, **plot_kwargs)

    def plot(self, ax=None, *, levels=20, cmap="RdBu_r", **contour_kwargs):
        """Draw the values of the critic, the rows and the samples.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        levels : int or array-like, default=20
            Number of contour levels, or the levels.
        cmap : str or matplotlib Colormap, default="RdBu_r"
            Colour map of the values.
        **contour_kwargs : dict
            Further arguments of `matplotlib.axes.Axes.contourf`.

        Returns
        -------
        display : CriticDisplay
            The display itself.
        """
        self._set_axes(ax)
        self.surface_ = self.ax_.contourf(self.xx0, self.xx1, self.values, levels=levels, cmap=cmap, **contour_kwargs)
        self.data_, self.samples_ = (
            None if rows is None else self.ax_.scatter(*rows.T, s=8, linewidths=0, **style)
            for rows, style in (
                (self.data, {"color": "black", "label": "data"}),
                (self.samples, {"color": "gold", "label": "samples"}),
            )
        )
        if self.data_ or self.samples_:
            self.ax_.legend()
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel)
        self.ax_.set_aspect("equal")
        return self

"""Pictures of transport maps and their cells, of generators and critics, in the manner of scikit-learn's Displays."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_array, check_scalar
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_ot.base import random_source

# Okabe & Ito's palette: one hue for the points that move, light before and dark after, and its opposite for the target.
COLORS = {"source": "#56B4E9", "target": "#E69F00", "transported": "#0072B2", "arrows": "0.3"}


class TransportDisplay:
    """Picture of a transport map: source, target, transported points and displacement arrows.

    Use `from_estimator` to make one from a fitted transport; the constructor takes coordinates that are already in the
    plane or on the line. All parameters are stored as attributes.

    Parameters
    ----------
    source : array-like of shape (n_samples, n_dims)
        Source points, ``n_dims`` being 1 or 2.
    target : array-like of shape (n_target_samples, n_dims)
        Target points; any number of them.
    transported : array-like of shape (n_samples, n_dims)
        Image of each source point, row by row.
    xlabel, ylabel : str, default=""
        Labels of the axes.

    Attributes
    ----------
    source_, target_, transported_ : matplotlib PathCollection or StepPatch
        The points in two dimensions, the histograms in one.
    arrows_ : matplotlib Quiver
        The displacements.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    TransportDisplay.from_estimator : Draw a fitted transport.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.plotting import TransportDisplay
    >>> source = np.array([[0.0, 0.0], [1.0, 0.0]])
    >>> display = TransportDisplay(source, target=source + 2, transported=source + 2).plot()
    >>> display.arrows_.N
    2
    """

    def __init__(self, source, target, transported, *, xlabel="", ylabel=""):
        self.source = source
        self.target = target
        self.transported = transported
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        X_target=None,
        *,
        subsample=500,
        n_arrows=30,
        random_state=None,
        xlabel=None,
        ylabel=None,
        scatter_kwargs=None,
        arrow_kwargs=None,
        ax=None,
    ):
        """Draw a fitted transport.

        Beyond two features the points are projected on the first two principal axes of the source and target rows
        together; a displacement seen there is the projection of the true one. With one feature, the source is a
        histogram below, the target and the transported points are histograms above, and arrows join the two.

        Parameters
        ----------
        estimator : object
            A fitted transport, or a fitted `sklearn.pipeline.Pipeline` that ends with one: the picture is then drawn
            in the space in which the transport works, after the other steps.
        X : array-like of shape (n_samples, n_features)
            Source rows.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows. If None, those that the transport kept from ``fit``.
        subsample : int or None, default=500
            Largest number of rows drawn on each side, chosen at random; None draws every row.
        n_arrows : int, default=30
            Largest number of arrows.
        random_state : int, RandomState instance or None, default=None
            Determines the rows drawn if there are more than ``subsample``.
        xlabel, ylabel : str, default=None
            Labels of the axes. If None: the names of the features, or the principal components with the share of the
            variance that each explains.
        scatter_kwargs, arrow_kwargs : dict, default=None
            Arguments for `matplotlib.axes.Axes.scatter` (three calls; none in one dimension) and
            `matplotlib.axes.Axes.quiver`.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.

        Returns
        -------
        display : TransportDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``estimator`` has no ``transform``.
        ValueError
            If the arrays do not fit each other or the estimator.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_ot.plotting import TransportDisplay
        >>> from sklearn_ot.transport import GaussianTransport
        >>> rng = np.random.default_rng(0)
        >>> Xs, Xt = rng.normal(size=(200, 5)), rng.normal(3, 2, size=(300, 5))
        >>> display = TransportDisplay.from_estimator(GaussianTransport().fit(Xs, Xt), Xs, Xt)
        >>> display.ax_.get_xlabel()
        'PC 1 (... % of variance)'
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "transform"):
            raise TypeError(
                f"{cls.__name__} draws a fitted transport, got {type(estimator).__name__}, which has no transform. "
                "Of a DomainAdapter, pass the fitted transport_."
            )
        check_is_fitted(estimator)
        if subsample is not None:
            check_scalar(subsample, "subsample", Integral, min_val=1)
        if isinstance(estimator, Pipeline):
            estimator, X, X_target = _last_step(estimator, X, X_target)
        if X_target is None:
            X_target = getattr(estimator, "target_reference_", None)
            if X_target is None:
                raise ValueError(f"{type(estimator).__name__} keeps no target rows: pass X_target=...")

        rng = random_source(random_state)
        rows = _draw_rows(_num_samples(X), subsample, rng)
        transported = check_array(estimator.transform(_safe_indexing(X, rows)), input_name="The transported rows")
        X, X_target = check_array(X, input_name="X"), check_array(X_target, input_name="X_target")
        if not X.shape[1] == X_target.shape[1] == transported.shape[1]:
            raise ValueError(
                f"X has {X.shape[1]} features, X_target {X_target.shape[1]} and the transported rows "
                f"{transported.shape[1]}; all must have the same, in the space in which the map works."
            )
        target_rows = _draw_rows(len(X_target), subsample, rng)
        points = [X[rows], X_target[target_rows], transported]
        if X.shape[1] > 2:
            # Fitted on all rows: the axes do not depend on those drawn.
            pca = PCA(2, random_state=0).fit(np.vstack([X, X_target]))
            points = [pca.transform(part) for part in points]
            shares = 100 * pca.explained_variance_ratio_
            labels = [f"PC {i} ({share:.0f} % of variance)" for i, share in enumerate(shares, start=1)]
        else:
            labels = [*getattr(estimator, "feature_names_in_", ["x0", "x1"][: X.shape[1]]), ""]
        display = cls(
            *points,
            xlabel=labels[0] if xlabel is None else xlabel,
            ylabel=labels[1] if ylabel is None else ylabel,
        )
        return display.plot(ax, n_arrows=n_arrows, scatter_kwargs=scatter_kwargs, arrow_kwargs=arrow_kwargs)

    def plot(self, ax=None, *, n_arrows=30, scatter_kwargs=None, arrow_kwargs=None):
        """Draw the points and the arrows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        n_arrows : int, default=30
            Largest number of arrows; they start at evenly spaced rows of ``source``.
        scatter_kwargs, arrow_kwargs : dict, default=None
            Arguments for `matplotlib.axes.Axes.scatter` (three calls; none in one dimension) and
            `matplotlib.axes.Axes.quiver`.

        Returns
        -------
        display : TransportDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        check_scalar(n_arrows, "n_arrows", Integral, min_val=0)
        source, target, transported = (np.asarray(points) for points in (self.source, self.target, self.transported))
        if source.shape != transported.shape or source.ndim != 2 or source.shape[1] not in (1, 2):
            raise ValueError(
                f"source has shape {source.shape} and transported {transported.shape}; both must have one row a point "
                "and 1 or 2 columns. TransportDisplay.from_estimator projects what has more."
            )
        self.ax_ = plt.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure

        draw = self._plot_plane if source.shape[1] == 2 else self._plot_line
        tails, heads = draw(source, target, transported, scatter_kwargs or {})
        moved = np.linspace(0, len(source) - 1, min(n_arrows, len(source))).astype(int)
        tails, heads = tails[moved], heads[moved]
        arrow_style = {"color": COLORS["arrows"], "width": 0.003, "headwidth": 5, "alpha": 0.8, "zorder": 2}
        arrow_style |= arrow_kwargs or {}
        self.arrows_ = self.ax_.quiver(
            *tails.T, *(heads - tails).T, angles="xy", scale_units="xy", scale=1, **arrow_style
        )
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel)
        self.ax_.legend()
        return self

    def _plot_plane(self, source, target, transported, scatter_kwargs):
        def scatter(points, name, **style):
            style = {"color": COLORS[name], "label": name, "s": 12, "linewidths": 0} | style | scatter_kwargs
            return self.ax_.scatter(*points.T, **style)

        self.source_ = scatter(source, "source", alpha=0.8, zorder=1.5)
        self.target_ = scatter(target, "target", marker="s", alpha=0.5, zorder=1)
        self.transported_ = scatter(transported, "transported", marker="^", alpha=0.8, zorder=2.5)
        # A displacement is a length, and lengths compare only if both axes have one scale.
        self.ax_.set_aspect("equal")
        return source, transported

    def _plot_line(self, source, target, transported, _):
        edges = np.histogram_bin_edges(np.concatenate([source, target, transported]), bins=40)
        source_part, target_part, transported_part = (
            np.histogram(points, edges)[0] / len(points) for points in (source, target, transported)
        )
        height = max(part.max() for part in (source_part, target_part, transported_part))

        def stairs(part, name, baseline, **style):
            color = COLORS[name]
            return self.ax_.stairs(baseline + part / height, edges, baseline=baseline, color=color, label=name, **style)

        self.source_ = stairs(-source_part, "source", 0.0, fill=True, alpha=0.8)
        self.target_ = stairs(target_part, "target", 1.0, fill=True, alpha=0.5)
        self.transported_ = stairs(transported_part, "transported", 1.0, linewidth=1.5)
        # The heights mean nothing but "before" and "after".
        self.ax_.set_yticks([])
        return np.hstack([source, np.zeros_like(source)]), np.hstack([transported, np.ones_like(transported)])


class CellsDisplay:
    """Picture of the cells of a semi-discrete transport in the plane.

    Each pixel has the colour of the point that it is sent to. Points are coloured by their direction from their mean,
    so that neighbours look alike and a cell is found by its colour.

    Use `from_estimator` to make one; all parameters are stored as attributes.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_rows, n_columns)
        Coordinates of the pixels, as `numpy.meshgrid` makes them.
    index : ndarray of shape (n_rows, n_columns)
        The point of each pixel.
    points : ndarray of shape (n_points, 2)
        The points.
    xlabel, ylabel : str, default=""
        Labels of the axes.

    Attributes
    ----------
    cells_ : matplotlib AxesImage
        The pixels.
    boundaries_ : matplotlib LineCollection
        The boundaries between cells.
    points_ : matplotlib PathCollection
        The points.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    CellsDisplay.from_estimator : Draw a fitted transport.

    Examples
    --------
    >>> from sklearn_ot.plotting import CellsDisplay
    >>> from sklearn_ot.transport import SemiDiscreteTransport
    >>> transport = SemiDiscreteTransport("normal", random_state=0).fit([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    >>> display = CellsDisplay.from_estimator(transport, resolution=50)
    >>> display.index.shape
    (50, 50)
    """

    def __init__(self, xx0, xx1, index, points, *, xlabel="", ylabel=""):
        self.xx0 = xx0
        self.xx1 = xx1
        self.index = index
        self.points = points
        self.xlabel = xlabel
        self.ylabel = ylabel

    @classmethod
    def from_estimator(cls, estimator, X=None, *, resolution=400, xlabel=None, ylabel=None, ax=None, **plot_kwargs):
        """Draw a fitted transport.

        Parameters
        ----------
        estimator : SemiDiscreteTransport
            A fitted transport of two features.
        X : array-like of shape (n_samples, 2), default=None
            Source rows that the picture must hold; if None, the points themselves.
        resolution : int, default=400
            Pixels along each side.
        xlabel, ylabel : str, default=None
            Labels of the axes; the names of the features if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **plot_kwargs : dict
            Arguments for `plot`.

        Returns
        -------
        display : CellsDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``estimator`` has no ``assign``.
        ValueError
            If it has not two features.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "assign"):
            raise TypeError(
                f"{cls.__name__} draws a fitted SemiDiscreteTransport, got {type(estimator).__name__}, which has no "
                "assign."
            )
        check_is_fitted(estimator)
        check_scalar(resolution, "resolution", Integral, min_val=2)
        if estimator.n_features_in_ != 2:
            raise ValueError(f"{cls.__name__} draws in the plane, but there are {estimator.n_features_in_} features.")
        X = estimator.points_ if X is None else check_array(X, input_name="X")
        low, high = X.min(axis=0), X.max(axis=0)
        # The same half-width on both axes: cells are compared by their areas.
        centre, half = (low + high) / 2, 0.55 * (high - low).max()
        axes = (np.linspace(middle - half, middle + half, resolution) for middle in centre)
        xx0, xx1 = np.meshgrid(*axes)
        with warnings.catch_warnings():
            # An estimator fitted to a DataFrame misses the names of the pixels.
            warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
            index = estimator.assign(np.column_stack([xx0.ravel(), xx1.ravel()]))
        names = getattr(estimator, "feature_names_in_", ("x0", "x1"))
        display = cls(
            xx0,
            xx1,
            index.reshape(xx0.shape),
            estimator.points_,
            xlabel=names[0] if xlabel is None else xlabel,
            ylabel=names[1] if ylabel is None else ylabel,
        )
        return display.plot(ax, **plot_kwargs)

    def plot(self, ax=None, *, cmap="hsv", scatter_kwargs=None, line_kwargs=None):
        """Draw the cells, their boundaries and the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        cmap : str or matplotlib Colormap, default="hsv"
            Colours of the directions; a cyclic map.
        scatter_kwargs, line_kwargs : dict, default=None
            Arguments for `matplotlib.axes.Axes.scatter` (the points) and for `matplotlib.collections.LineCollection`
            (the boundaries).

        Returns
        -------
        display : CellsDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib as mpl
        import matplotlib.pyplot as plt
        from matplotlib.collections import LineCollection

        self.ax_ = plt.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        offset = self.points - self.points.mean(axis=0)
        angle = np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi) + 0.5
        colors = mpl.colormaps[cmap](angle)[:, :3] if isinstance(cmap, str) else cmap(angle)[:, :3]
        # A shade of its own tells a cell from a neighbour in the same direction; halfway to white lets points show.
        shade = 0.35 + 0.3 * (np.arange(len(colors)) * 0.618 % 1)
        pale = 1 - (1 - colors) * shade[:, None]
        (left, right), (bottom, top) = self.xx0[0, [0, -1]], self.xx1[[0, -1], 0]
        self.cells_ = self.ax_.imshow(
            pale[self.index], origin="lower", extent=(left, right, bottom, top), interpolation="nearest"
        )
        style = {"colors": "white", "linewidths": 0.6} | (line_kwargs or {})
        self.boundaries_ = self.ax_.add_collection(LineCollection(self._boundaries(left, right, bottom, top), **style))
        style = {"color": 0.75 * colors, "s": 12, "edgecolors": "white", "linewidths": 0.4, "zorder": 3}
        self.points_ = self.ax_.scatter(*self.points.T, **(style | (scatter_kwargs or {})))
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel, xlim=(left, right), ylim=(bottom, top))
        return self

    def _boundaries(self, left, right, bottom, top):
        """Edges between pixels of different cells, as segments."""
        n_rows, n_columns = self.index.shape
        width, height = (right - left) / n_columns, (top - bottom) / n_rows
        row, column = np.nonzero(self.index[:, 1:] != self.index[:, :-1])
        x, y = left + (column + 1) * width, bottom + row * height
        upright = np.stack([np.stack([x, y], 1), np.stack([x, y + height], 1)], 1)
        row, column = np.nonzero(self.index[1:] != self.index[:-1])
        x, y = left + column * width, bottom + (row + 1) * height
        level = np.stack([np.stack([x, y], 1), np.stack([x + width, y], 1)], 1)
        return np.concatenate([upright, level])


def _last_step(pipeline, X, X_target):
    """The last step of a pipeline, and the samples as the steps before it hand them on."""
    if len(pipeline) == 1:
        return pipeline[-1], X, X_target
    before = pipeline[:-1]
    return pipeline[-1], before.transform(X), None if X_target is None else before.transform(X_target)


def _draw_rows(n_rows, subsample, rng):
    """Sorted indices of at most ``subsample`` rows."""
    if subsample is None or n_rows <= subsample:
        return np.arange(n_rows)
    return np.sort(rng.permutation(n_rows)[:subsample])


class GeneratorDisplay:
    """Picture of what a generator draws: a grid of images, or points in the plane beside the data.

    Use `from_estimator` to make one; all parameters are stored as attributes.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, 2), or (n_samples, height, width) or (n_samples, height, width, 3)
        Points in the plane, or images.
    data : ndarray of the same kind, default=None
        Rows of the data, drawn beneath points; images have none.
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
    CriticDisplay : What the critic of a generator makes of the plane.

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
            With a method ``sample``.
        X : array-like of shape (n_rows, n_features), default=None
            Rows to draw beneath; not for images.
        n_samples : int, default=None
            Number of samples; 64 images or 1000 points if None.
        y : label or array-like of shape (n_samples,), default=None
            Their class, for a generator that was fitted with classes.
        image_shape : tuple of int, default=None
            Shape of an image, (height, width) or (height, width, 3), if the rows are flattened images.
        random_state : int, RandomState instance or None, default=None
            Draws the samples.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **plot_kwargs : dict
            Arguments for `plot`.

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
            If the rows are not images of this shape, or, without one, have only one feature.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "sample"):
            raise TypeError(f"{cls.__name__} draws a fitted generator, got {type(estimator).__name__}: no sample.")
        if n_samples is None:
            n_samples = 1000 if image_shape is None else 64
        labels = {} if y is None else {"y": y}
        samples = estimator.sample(n_samples, random_state=random_state, **labels)
        n_features = samples.shape[1]
        if image_shape is not None:
            if np.prod(image_shape) != n_features:
                raise ValueError(f"A row of {n_features} features is not an image of shape {tuple(image_shape)}.")
            return cls(samples.reshape(n_samples, *image_shape)).plot(ax, **plot_kwargs)
        if n_features < 2:
            raise ValueError(f"{cls.__name__} draws in the plane, but there is one feature: draw a histogram instead.")
        data = None if X is None else check_array(X, input_name="X")
        names = list(getattr(estimator, "feature_names_in_", ["x0", "x1"]))
        if n_features > 2:
            pca = PCA(2, random_state=0).fit(samples if data is None else data)
            names = [
                f"PC {i} ({100 * share:.0f} % of variance)" for i, share in enumerate(pca.explained_variance_ratio_, 1)
            ]
            samples, data = pca.transform(samples), None if data is None else pca.transform(data)
        return cls(samples, data, xlabel=names[0], ylabel=names[1]).plot(ax, **plot_kwargs)

    def plot(self, ax=None, *, n_columns=None, **artist_kwargs):
        """Draw the samples.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        n_columns : int, default=None
            Images in a row of the grid; a grid as square as possible if None.
        **artist_kwargs : dict
            Arguments for `matplotlib.axes.Axes.scatter` (the samples) or `matplotlib.axes.Axes.imshow`.

        Returns
        -------
        display : GeneratorDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        self.ax_ = plt.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure
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
        """All images in one, in lines, with a pixel of background between them."""
        n_images, height, width, *colours = self.samples.shape
        if n_columns is None:
            n_columns = int(np.ceil(np.sqrt(n_images)))
        n_lines = -(-n_images // n_columns)
        grid = np.full((n_lines, n_columns, height + 1, width + 1, *colours), self.samples.max(), dtype=float)
        for place, image in enumerate(self.samples):
            grid[place // n_columns, place % n_columns, :height, :width] = image
        lines = np.moveaxis(grid, 2, 1).reshape(n_lines * (height + 1), n_columns * (width + 1), *colours)
        return lines[:-1, :-1]


class CriticDisplay:
    """Picture of what the critic of a generator makes of the plane: high where it sees data, low where samples.

    Use `from_estimator` to make one; all parameters are stored as attributes.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_rows, n_columns)
        Coordinates of the points, as `numpy.meshgrid` makes them.
    values : ndarray of shape (n_rows, n_columns)
        The critic there.
    data, samples : ndarray of shape (n, 2), default=None
        Rows of both to draw on it.
    xlabel, ylabel : str, default=""
        Labels of the axes.

    Attributes
    ----------
    surface_ : matplotlib QuadContourSet
        The values.
    data_, samples_ : matplotlib PathCollection or None
        The rows.
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
            The class to show, for a generator that was fitted with classes; ``X`` should be rows of it.
        n_samples : int, default=300
            Rows and samples to draw.
        resolution : int, default=100
            Points along each side.
        random_state : int, RandomState instance or None, default=None
            Draws rows and samples.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **plot_kwargs : dict
            Arguments for `plot`.

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
            If it has not two features.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "critic_function"):
            raise TypeError(
                f"{cls.__name__} draws the critic of a generator, got {type(estimator).__name__}: no critic_function."
            )
        check_is_fitted(estimator)
        check_scalar(resolution, "resolution", Integral, min_val=2)
        if estimator.n_features_in_ != 2:
            raise ValueError(f"{cls.__name__} draws in the plane, but there are {estimator.n_features_in_} features.")
        rng = random_source(random_state)
        names = getattr(estimator, "feature_names_in_", ("x0", "x1"))
        X = check_array(X, input_name="X")
        data = X[_draw_rows(len(X), n_samples, rng)]
        labels = {} if y is None else {"y": y}
        samples = estimator.sample(n_samples, random_state=rng, **labels)
        low, high = np.minimum(X.min(0), samples.min(0)), np.maximum(X.max(0), samples.max(0))
        margin = (high - low) / 20
        xx0, xx1 = np.meshgrid(*np.linspace(low - margin, high + margin, resolution).T)
        points = np.column_stack([xx0.ravel(), xx1.ravel()])
        labels = {} if y is None else {"y": np.full(len(points), y)}
        with warnings.catch_warnings():
            # An estimator fitted to a DataFrame misses the names of the points.
            warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
            values = estimator.critic_function(points, **labels).reshape(xx0.shape)
        display = cls(xx0, xx1, values, data=data, samples=samples, xlabel=names[0], ylabel=names[1])
        return display.plot(ax, **plot_kwargs)

    def plot(self, ax=None, *, levels=20, cmap="RdBu_r", **contour_kwargs):
        """Draw the surface and the rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        levels : int or array-like, default=20
            Levels of the contours.
        cmap : str or matplotlib Colormap, default="RdBu_r"
            Colours of the values.
        **contour_kwargs : dict
            Further arguments for `matplotlib.axes.Axes.contourf`.

        Returns
        -------
        display : CriticDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        self.ax_ = plt.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure
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

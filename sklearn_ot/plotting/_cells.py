"""Display of the cells of a semi-discrete map."""

from numbers import Integral

import numpy as np
from sklearn.utils import check_array, check_scalar

from sklearn_ot.plotting._common import Display, on_grid


class CellsDisplay(Display):
    """Display of the cells of a semi-discrete transport in the plane.

    Each pixel has the colour of its image, one of the points. The colour of a point shows its direction from the mean
    of the points, so that neighbours have similar colours and the colour of a cell shows its point.

    Use `from_estimator` to make a display; all parameters are stored as attributes.

    Parameters
    ----------
    xx0, xx1 : ndarray of shape (n_rows, n_columns)
        Coordinates of the pixels, as `numpy.meshgrid` makes them.
    index : ndarray of shape (n_rows, n_columns)
        Index of the point to which each pixel is sent.
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
            Rows that set the limits of the picture, for example source rows. If None, the points set them.
        resolution : int, default=400
            Number of pixels along each side.
        xlabel, ylabel : str, default=None
            Labels of the axes; the names of the features if None.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **plot_kwargs : dict
            Further arguments of `plot`.

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
            If ``estimator`` or ``X`` does not have two features.
        """
        cls._check_method(estimator, "assign", "a fitted SemiDiscreteTransport")
        cls._check_plane(estimator)
        check_scalar(resolution, "resolution", Integral, min_val=2)
        X = estimator.points_ if X is None else check_array(X, input_name="X")
        if X.shape[1] != 2:
            raise ValueError(f"X has {X.shape[1]} columns; {cls.__name__} draws in the plane and needs 2.")
        low, high = X.min(axis=0), X.max(axis=0)
        # Both axes have the same half-width, because the areas of cells are to be compared. A single row has no extent:
        # the picture then reaches to the origin.
        centre, half = (low + high) / 2, 0.55 * (high - low).max() or np.abs(low).max() or 1.0
        axes = (np.linspace(middle - half, middle + half, resolution) for middle in centre)
        xx0, xx1 = np.meshgrid(*axes)
        names = getattr(estimator, "feature_names_in_", ("x0", "x1"))
        display = cls(
            xx0,
            xx1,
            on_grid(estimator.assign, xx0, xx1),
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
            A cyclic colour map for the directions.
        scatter_kwargs, line_kwargs : dict, default=None
            Arguments of `matplotlib.axes.Axes.scatter` (the points) and of `matplotlib.collections.LineCollection` (the
            boundaries).

        Returns
        -------
        display : CellsDisplay
            The display itself.
        """
        self._set_axes(ax)
        import matplotlib as mpl
        from matplotlib.collections import LineCollection

        offset = self.points - self.points.mean(axis=0)
        angle = np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi) + 0.5
        colors = mpl.colormaps[cmap](angle)[:, :3] if isinstance(cmap, str) else cmap(angle)[:, :3]
        # Each cell has its own shade, so that neighbours in the same direction differ. Cells are paler than points.
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

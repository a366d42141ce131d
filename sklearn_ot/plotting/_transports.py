"""Display of maps."""

from numbers import Integral

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_array, check_scalar
from sklearn.utils.validation import _num_samples, check_is_fitted

from sklearn_ot.base import random_source
from sklearn_ot.plotting._common import COLORS, Display, draw_rows, in_the_plane


class TransportDisplay(Display):
    """Display of a map: source, target and transported points, with arrows for displacements.

    Use `from_estimator` to draw a fitted transport; the constructor takes points with one or two features. All
    parameters are stored as attributes.

    Parameters
    ----------
    source : array-like of shape (n_samples, n_dims)
        Source points; ``n_dims`` is 1 or 2.
    target : array-like of shape (n_target_samples, n_dims)
        Target points; any number of them.
    transported : array-like of shape (n_samples, n_dims)
        Image of each source point, row by row.
    xlabel, ylabel : str, default=""
        Labels of the axes.

    Attributes
    ----------
    source_, target_, transported_ : matplotlib PathCollection or StepPatch
        The points (two features) or the histograms (one feature).
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

        With more than two features, the points and their displacements are projected on the first two principal axes
        of all source and target rows. With one feature, the source is a histogram below, the target and the transported
        points are histograms above, and arrows join the two.

        Parameters
        ----------
        estimator : object
            A fitted transport, or a fitted `sklearn.pipeline.Pipeline` that ends with one. A pipeline is drawn in the
            features that its last step gets from the other steps.
        X : array-like of shape (n_samples, n_features)
            Source rows.
        X_target : array-like of shape (n_target_samples, n_features), default=None
            Target rows. If None, the target rows that the transport kept from ``fit``.
        subsample : int or None, default=500
            Largest number of rows of the source and of the target, chosen at random; None draws every row.
        n_arrows : int, default=30
            Largest number of arrows.
        random_state : int, RandomState instance or None, default=None
            Chooses the rows if there are more than ``subsample``.
        xlabel, ylabel : str, default=None
            Labels of the axes. If None, the names of the features, or of the principal components with the share of the
            variance that each explains.
        scatter_kwargs, arrow_kwargs : dict, default=None
            Arguments of `matplotlib.axes.Axes.scatter` (three calls; none with one feature) and
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
        hint = " To draw the transport of a DomainAdapter, pass its transport_."
        cls._check_method(estimator, "transform", "a fitted transport", hint)
        check_is_fitted(estimator)
        if subsample is not None:
            check_scalar(subsample, "subsample", Integral, min_val=1)
        if isinstance(estimator, Pipeline):
            estimator, X, X_target = _last_step(estimator, X, X_target)
        X_target = _target_of(estimator, X_target)
        rng = random_source(random_state)
        rows = draw_rows(_num_samples(X), subsample, rng)
        transported = check_array(estimator.transform(_safe_indexing(X, rows)), input_name="The transported rows")
        X, X_target = _check_features(X, X_target, transported)
        target_rows = draw_rows(len(X_target), subsample, rng)
        # The components are those of all rows, so that the axes do not depend on the choice of rows.
        both = np.vstack([X, X_target])
        points, labels = in_the_plane([X[rows], X_target[target_rows], transported], both, estimator)
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
            Largest number of arrows. They start at rows of ``source`` with evenly spaced indices.
        scatter_kwargs, arrow_kwargs : dict, default=None
            Arguments of `matplotlib.axes.Axes.scatter` (three calls; none with one feature) and
            `matplotlib.axes.Axes.quiver`.

        Returns
        -------
        display : TransportDisplay
            The display itself.
        """
        check_scalar(n_arrows, "n_arrows", Integral, min_val=0)
        source, target, transported = (np.asarray(points) for points in (self.source, self.target, self.transported))
        if source.shape != transported.shape or source.ndim != 2 or source.shape[1] not in (1, 2):
            raise ValueError(
                f"source has shape {source.shape} and transported {transported.shape}; both must have one row for each "
                "point and 1 or 2 columns. TransportDisplay.from_estimator projects points with more columns."
            )
        self._set_axes(ax)
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
        # Both axes have the same scale, because the lengths of displacements are to be compared.
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
        # The heights 0 and 1 have no meaning as numbers.
        self.ax_.set_yticks([])
        return np.hstack([source, np.zeros_like(source)]), np.hstack([transported, np.ones_like(transported)])


def _last_step(pipeline, X, X_target):
    """The last step of a pipeline, and both samples after the other steps."""
    if len(pipeline) == 1:
        return pipeline[-1], X, X_target
    before = pipeline[:-1]
    return pipeline[-1], before.transform(X), None if X_target is None else before.transform(X_target)


def _target_of(estimator, X_target):
    """The target rows of the caller, or those that the transport kept from ``fit``."""
    if X_target is None:
        X_target = getattr(estimator, "target_reference_", None)
    if X_target is None:
        raise ValueError(f"{type(estimator).__name__} keeps no target rows: pass X_target=...")
    return X_target


def _check_features(X, X_target, transported):
    X, X_target = check_array(X, input_name="X"), check_array(X_target, input_name="X_target")
    if not X.shape[1] == X_target.shape[1] == transported.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} features, X_target {X_target.shape[1]} and the transported rows "
            f"{transported.shape[1]}; all three must have the same number, after the other steps of a pipeline."
        )
    return X, X_target

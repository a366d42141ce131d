"""Display of the history of a training."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.plotting._common import Display

# The quantity that measures the quality of the result: of generators with a critic, of those without, of transports.
QUALITIES = ("score", "distance", "valid_loss")


class HistoryDisplay(Display):
    """Display of quantities that an estimator recorded during training.

    Use `from_estimator` to make a display; all parameters are stored as attributes.

    Parameters
    ----------
    n_iter : array-like of shape (n_rows,)
        Number of steps or rounds before each row of the history.
    curves : dict of str to array-like of shape (n_rows,)
        Values of each quantity.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        One curve for each quantity.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    HistoryDisplay.from_estimator : Draw the ``history_`` of a fitted estimator.

    Examples
    --------
    >>> from sklearn_ot.plotting import HistoryDisplay
    >>> display = HistoryDisplay([100, 200], {"score": [-0.5, -0.1]}).plot()
    >>> [line.get_label() for line in display.lines_]
    ['score']
    """

    def __init__(self, n_iter, curves):
        self.n_iter = n_iter
        self.curves = curves

    @classmethod
    def from_estimator(cls, estimator, names=None, *, ax=None, **line_kwargs):
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with an attribute ``history_``.
        names : str or list of str, default=None
            The quantities to draw, keys of the rows of ``history_``. If None, the one that measures the quality of the
            result: ``score`` of generators with a critic, ``distance`` of generators without a critic,
            ``valid_loss`` of transports.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **line_kwargs : dict
            Arguments of `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : HistoryDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the estimator has no history, or its history does not have these quantities.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        history = getattr(estimator, "history_", [])
        if not history:
            raise ValueError(f"{type(estimator).__name__} has no history_: its fit trained no network.")
        recorded = list(dict.fromkeys(name for row in history for name in row))
        if names is None:
            names = next((name for name in QUALITIES if name in recorded), QUALITIES[0])
        names = [names] if isinstance(names, str) else list(names)
        if missing := [name for name in names if name not in recorded]:
            raise ValueError(f"history_ has no {missing[0]!r}; it has {', '.join(recorded)}.")
        # Rows of some training stages lack some quantities, which leaves a gap in their curves.
        curves = {name: np.array([row.get(name, np.nan) for row in history], dtype=float) for name in names}
        return cls(np.array([row["n_iter"] for row in history]), curves).plot(ax, **line_kwargs)

    def plot(self, ax=None, **line_kwargs):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **line_kwargs : dict
            Arguments of `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : HistoryDisplay
            The display itself.
        """
        self._set_axes(ax)
        self.lines_ = []
        for name, values in self.curves.items():
            style = {"marker": ".", "label": name, **line_kwargs}
            self.lines_ += self.ax_.plot(self.n_iter, values, **style)
        self.ax_.set(xlabel="n_iter", ylabel=next(iter(self.curves)) if len(self.curves) == 1 else "")
        self.ax_.legend()
        return self

"""Display of distances from training rows."""

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_ot.metrics import copying
from sklearn_ot.plotting._common import COLORS, Display


class CopyingDisplay(Display):
    """Display of the distances of samples from the training rows, beside those of held-out rows.

    Each curve is the share of rows within a distance of a training row. The curve of samples that follow the
    distribution of the data lies on that of the held-out rows. A curve above it belongs to copies, and one below it to
    samples that are farther away than data. A vertical line shows the largest excess, ``copied`` of
    `~sklearn_ot.metrics.copying`.

    Use `from_estimator` or `from_samples` to make a display; all parameters are stored as attributes.

    Parameters
    ----------
    copying : Copying
        The result of `~sklearn_ot.metrics.copying`.

    Attributes
    ----------
    samples_, held_out_ : matplotlib StepPatch
        The curves.
    copied_ : matplotlib Line2D
        The largest excess of the samples.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sklearn_ot.metrics.copying : The distances and two numbers that compare them.
    GeneratorDisplay : Display of the samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_ot.plotting import CopyingDisplay
    >>> training, held_out = np.random.RandomState(0).standard_normal((2, 200, 2))
    >>> display = CopyingDisplay.from_samples(training[:100], training, held_out)
    >>> display.copying.nearer
    1.0
    """

    def __init__(self, copying):
        self.copying = copying

    @classmethod
    def from_estimator(
        cls,
        estimator,
        training,
        held_out,
        *,
        n_samples=1000,
        scale_columns=True,
        random_state=None,
        ax=None,
        **curve_kwargs,
    ):
        """Draw the distances of samples of a fitted generator.

        Parameters
        ----------
        estimator : generator
            A fitted estimator with a method ``sample``.
        training : array-like of shape (n_training_rows, n_features)
            The rows that it was fitted to, all of them.
        held_out : array-like of shape (n_held_out, n_features)
            Other rows of the data.
        n_samples : int, default=1000
            Number of samples.
        scale_columns : bool, default=True
            Whether each column is divided by its spread; False for images.
        random_state : int, RandomState instance or None, default=None
            Draws the samples.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **curve_kwargs : dict
            Further arguments of `plot`.

        Returns
        -------
        display : CopyingDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``estimator`` has no ``sample``.
        ValueError
            If the arrays do not have the features of the samples.
        """
        cls._check_method(estimator, "sample", "a fitted generator")
        samples = estimator.sample(n_samples, random_state=random_state)
        return cls.from_samples(samples, training, held_out, scale_columns=scale_columns, ax=ax, **curve_kwargs)

    @classmethod
    def from_samples(cls, samples, training, held_out, *, scale_columns=True, ax=None, **curve_kwargs):
        """Draw the distances of samples.

        Parameters
        ----------
        samples : array-like of shape (n_samples, n_features)
            Samples of a generator.
        training : array-like of shape (n_training_rows, n_features)
            The rows that it was fitted to, all of them.
        held_out : array-like of shape (n_held_out, n_features)
            Other rows of the data.
        scale_columns : bool, default=True
            Whether each column is divided by its spread; False for images.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **curve_kwargs : dict
            Further arguments of `plot`.

        Returns
        -------
        display : CopyingDisplay
            The display, with its artists as attributes.
        """
        check_matplotlib_support(f"{cls.__name__}.from_samples")
        return cls(copying(samples, training, held_out, scale_columns=scale_columns)).plot(ax, **curve_kwargs)

    def plot(self, ax=None, **curve_kwargs):
        """Draw both curves and the largest excess.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **curve_kwargs : dict
            Arguments of `matplotlib.axes.Axes.stairs` for both curves.

        Returns
        -------
        display : CopyingDisplay
            The display itself.
        """
        self._set_axes(ax)
        samples, held_out = (np.sort(part) for part in (self.copying.distances, self.copying.held_out_distances))
        # A few far samples must not squeeze the curves.
        end = 1.05 * max(np.quantile(part, 0.98) for part in (samples, held_out)) or 1.0
        style = {"baseline": None, "linewidth": 1.8, **curve_kwargs}
        self.held_out_ = self._curve(held_out, end, label="held-out rows", color=COLORS["target"], **style)
        self.samples_ = self._curve(samples, end, label="samples", color=COLORS["transported"], **style)
        both = np.concatenate([samples, held_out])
        shares = [np.searchsorted(part, both, side="right") / len(part) for part in (samples, held_out)]
        widest = np.argmax(shares[0] - shares[1])
        ends = [part[widest] for part in shares] if self.copying.copied > 0 else [0, 0]
        (self.copied_,) = self.ax_.plot(
            [both[widest]] * 2,
            ends,
            color=COLORS["arrows"],
            linestyle=":",
            marker="_",
            label=f"largest excess: {100 * self.copying.copied:.0f} %",
        )
        self.ax_.set(
            xlabel="distance from the nearest training row",
            ylabel="share of rows within the distance",
            xlim=(-0.02 * end, end),
            ylim=(0, 1.02),
            title=f"nearer than a held-out row: {100 * self.copying.nearer:.0f} %",
        )
        self.ax_.legend(loc="lower right")
        return self

    def _curve(self, distances, end, **style):
        """A step at each distance, from the left edge of the picture to the right one."""
        edges = np.concatenate([[min(-0.02 * end, distances[0])], distances, [max(end, distances[-1])]])
        return self.ax_.stairs(np.arange(len(distances) + 1) / len(distances), edges, **style)

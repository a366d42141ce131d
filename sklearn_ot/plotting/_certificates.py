"""Display of certificates."""

from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_ot.plotting._common import COLORS, Display

# Statements that are no lengths.
NOT_LENGTHS = {"excess", "stretch", "decoder_stretch", "spread"}


class CertificateDisplay(Display):
    """Display of the lengths of a certificate: a bar from bound to bound, and a point for each estimate.

    The lengths are the distance between source and target, the error of the map and the distance that is left between
    images and target. An upper bound without a lower one is a bar from the left edge. A dotted line shows the standard
    deviation of the target: a bound of the error of the map beyond it is vacuous.

    Use `from_estimator` or the certificate to make a display; all parameters are stored as attributes.

    Parameters
    ----------
    certificate : Certificate
        The result of a method ``certificate``.

    Attributes
    ----------
    bars_ : list of matplotlib Line2D
        The bounds, one bar for each statement that has bounds.
    estimates_ : matplotlib Line2D
        The estimates.
    spread_ : matplotlib Line2D or None
        The standard deviation of the target, if the certificate has it.
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sklearn_ot.certificates.Certificate : The numbers, as a table.

    Examples
    --------
    >>> from sklearn_ot.certificates import Certificate, Statement
    >>> from sklearn_ot.plotting import CertificateDisplay
    >>> certificate = Certificate("A map", 0.95, {"distance": Statement("W2(P, Q)", 1.02, 0.97, 1.06)})
    >>> display = CertificateDisplay(certificate).plot()
    >>> display.estimates_.get_xdata().tolist()
    [1.02]
    """

    def __init__(self, certificate):
        self.certificate = certificate

    @classmethod
    def from_estimator(cls, estimator, *samples, ax=None, bar_kwargs=None, **certificate_kwargs):
        """Compute the certificate of a fitted estimator and draw it.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator with a method ``certificate``.
        *samples : array-like of shape (n_samples, n_features)
            The positional arguments of ``certificate``: rows that ``fit`` has not seen.
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        bar_kwargs : dict, default=None
            Arguments of `matplotlib.axes.Axes.plot` for the bars.
        **certificate_kwargs : dict
            Further arguments of ``certificate``, such as ``confidence``.

        Returns
        -------
        display : CertificateDisplay
            The display, with its artists as attributes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``estimator`` has no ``certificate``.
        """
        cls._check_method(estimator, "certificate", "a fitted estimator with a convex potential")
        return cls(estimator.certificate(*samples, **certificate_kwargs)).plot(ax, **(bar_kwargs or {}))

    def plot(self, ax=None, **bar_kwargs):
        """Draw the bounds and the estimates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; a new figure is made if None.
        **bar_kwargs : dict
            Arguments of `matplotlib.axes.Axes.plot` for the bars.

        Returns
        -------
        display : CertificateDisplay
            The display itself.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        self._set_axes(ax)
        lengths = {name: part for name, part in self.certificate.items() if name not in NOT_LENGTHS}
        style = {"color": COLORS["source"], "linewidth": 8, "solid_capstyle": "butt", **bar_kwargs}
        self.bars_, points = [], []
        for place, statement in enumerate(lengths.values()):
            if statement.high is not None:
                self.bars_ += self.ax_.plot([statement.low or 0.0, statement.high], [place, place], **style)
            if statement.estimate is not None:
                points.append((statement.estimate, place))
        (self.estimates_,) = self.ax_.plot(*zip(*points, strict=True), "o", color=COLORS["transported"])
        self.spread_ = None
        if "spread" in self.certificate:
            spread = self.certificate["spread"]
            self.spread_ = self.ax_.axvline(spread.estimate, color=COLORS["arrows"], linestyle=":")
            self.spread_.set_label(spread.label)
        self.ax_.set_yticks(range(len(lengths)), [statement.label for statement in lengths.values()])
        self.ax_.set(xlabel="length", title=f"bounds hold with probability {100 * self.certificate.confidence:g} %")
        self.ax_.set_xlim(left=0)
        self.ax_.invert_yaxis()
        self._legend()
        return self

    def _legend(self):
        """Name one bar, the estimates and the line."""
        named = [(self.bars_[:1], "bounds"), ([self.estimates_], "estimates")]
        if self.spread_ is not None:
            named.append(([self.spread_], self.spread_.get_label()))
        artists, labels = zip(*((artist, label) for artists, label in named for artist in artists), strict=True)
        self.ax_.legend(artists, labels)

"""Shared parts of displays: axes, checks of estimators, projections, grids, colours and the choice of rows."""

import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from sklearn_ot.settings import OwnSettings

# From Okabe & Ito's palette: light blue for points before the move, dark blue after it, and orange for the target.
COLORS = {"source": "#56B4E9", "target": "#E69F00", "transported": "#0072B2", "arrows": "0.3"}


class Display(OwnSettings):
    """Base class of displays."""

    @classmethod
    def _check_method(cls, estimator, method, kind, hint=""):
        """Refuse an estimator without the method that the display needs."""
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, method):
            raise TypeError(
                f"{cls.__name__} draws {kind}, got {type(estimator).__name__}, which has no method {method}.{hint}"
            )

    @classmethod
    def _check_plane(cls, estimator):
        """Refuse an estimator that is not fitted, or not in the plane."""
        check_is_fitted(estimator)
        if estimator.n_features_in_ != 2:
            raise ValueError(f"{cls.__name__} draws in the plane, but there are {estimator.n_features_in_} features.")

    def _set_axes(self, ax):
        """Draw on the axes of the caller, or on a new figure if None."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        self.ax_ = plt.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure


def draw_rows(n_rows, subsample, rng):
    """Draw sorted indices of at most ``subsample`` rows; all rows if it is None."""
    if subsample is None or n_rows <= subsample:
        return np.arange(n_rows)
    return np.sort(rng.permutation(n_rows)[:subsample])


def in_the_plane(points, rows, estimator):
    """Project arrays with more than two features on the principal components of rows; also the labels of the axes."""
    n_features = rows.shape[1]
    if n_features <= 2:
        return points, [*getattr(estimator, "feature_names_in_", ["x0", "x1"][:n_features]), ""]
    pca = PCA(2, random_state=0).fit(rows)
    shares = 100 * pca.explained_variance_ratio_
    labels = [f"PC {i} ({share:.0f} % of variance)" for i, share in enumerate(shares, start=1)]
    return [pca.transform(part) for part in points], labels


def on_grid(function, xx0, xx1):
    """Values of a method of an estimator at the points of a grid."""
    with warnings.catch_warnings():
        # The points have no feature names, which an estimator fitted to a DataFrame would warn about.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        return function(np.column_stack([xx0.ravel(), xx1.ravel()])).reshape(xx0.shape)

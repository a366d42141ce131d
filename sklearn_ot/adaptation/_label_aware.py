"""LabelAwareTransport: a transport of features and labels, with predicted labels in the target."""

from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import type_of_target

from sklearn_ot.adaptation._domains import contains, row_keys
from sklearn_ot.adaptation._labelled_map import LabelledMap
from sklearn_ot.adaptation._neighbors import SHORT, nearest_mean, neighbor_graph, proportional, reach_of, spread
from sklearn_ot.adaptation._weights import Weighting
from sklearn_ot.base import CHECKPOINT, BaseTransport, documented, torch_module_of
from sklearn_ot.checks import check_weight
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.solvers.tensors import constants
from sklearn_ot.transport import GaussianTransport


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class LabelAwareTransport(MetaEstimatorMixin, BaseTransport):
    r"""A transport that sends each class to the target rows that are predicted to be of this class.

    A transport without labels moves all the mass at the lowest cost, also if the cheapest map sends rows of one class
    to another. Here the cost is that of features and labels together, as in joint distribution optimal transport
    [Courty17b]_:

    .. math:: c\big((x, y), (x', y')\big) = |x - x'|^2 + \beta \, v \, |y - y'|^2

    The number :math:`v` is the total variance of the target's features. Source rows have one-hot labels, target rows
    have predicted probabilities of the classes:

    1. The transport moves the source by its features alone.
    2. Each target row gets the shares of the classes among its nearest moved source rows.
    3. These shares are spread over the graph of nearest neighbours of the target [Zhou04]_, so far that a cluster gets
       the labels of most of its rows. Then they are multiplied by factors of rows and of classes, so that the classes
       have the proportions of the source [Deming40]_: otherwise a class can take rows of another one from round to
       round.
    4. The transport is fitted again, to the features and labels of both samples. The features of its images are the
       moved source. Steps 2 to 4 are repeated.

    Parameters
    ----------
    transport : transport, default=None
        The transport of features and labels; the estimator fits clones of it. None is ``GaussianTransport()``, which is
        an affine map of features and labels.
    beta : float, default=10.0
        Weight :math:`\beta` of the labels in the cost. With 0 the labels have no effect.
    n_rounds : int, default=5
        How often the labels of the target are predicted.
    n_neighbors : int, default=10
        Number of nearest rows in steps 2 and 3, and for the labels of new rows.
    label_type : {"auto", "classes", "numbers"}, default="auto"
        Whether labels are classes, or numbers to be used as they are, divided by their standard deviation. "auto" takes
        labels with fractions, and labels in several columns, as numbers.
    <checkpoint>

    Attributes
    ----------
    transport_ : transport
        The fitted transport of features and labels. The features are divided by ``unit_``, and the labels multiplied by
        ``label_scale_``.
    unit_ : float
        A power of 2 near the largest number of both samples; 1 if ``fit`` got no target.
    label_scale_ : float
        The number :math:`\sqrt{\beta v}` for the divided features; 0 if ``fit`` got no target.
    encoder_ : transformer
        The fitted encoder of the labels, from scikit-learn.
    target_reference_ : ndarray of shape (<= 4096, n_features_in_)
        Target rows for the comparison in `score`, if `score` gets none.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features of both samples.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the source is a DataFrame.

    See Also
    --------
    DomainAdapter : Gives the labels of the source to this transport.

    Notes
    -----
    ``fit`` requires labels, ``fit(X, y, X_target=...)``. In ``transform``, rows of the source of ``fit`` have the
    labels of ``fit``, and other rows have the shares of the classes among their nearest source rows.

    The target is assumed to have the classes in the proportions of the source, with its weights. If it has not, rows of
    one class are sent to another.

    The time of a round grows with the number of source rows times that of target rows: with 5000 of both and 84
    features, and a `GaussianTransport`, all rounds take some seconds.

    References
    ----------
    .. [Courty17b] N. Courty, R. Flamary, A. Habrard and A. Rakotomamonjy, "Joint distribution optimal transportation
       for domain adaptation", NeurIPS 2017.
    .. [Deming40] W. E. Deming and F. F. Stephan, "On a least squares adjustment of a sampled frequency table when the
       expected marginal totals are known", Annals of Mathematical Statistics, 1940.
    .. [Zhou04] D. Zhou, O. Bousquet, T. N. Lal, J. Weston and B. Schölkopf, "Learning with local and global
       consistency", NeurIPS 2003.

    Examples
    --------
    The class 1 lies right of the class 0 in the source, and below it in the target. The cheapest map of the features is
    no rotation.

    >>> import numpy as np
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_ot.adaptation import DomainAdapter, LabelAwareTransport
    >>> from sklearn_ot.transport import GaussianTransport
    >>> rng = np.random.RandomState(0)
    >>> y = np.arange(400) % 2
    >>> Xs = 0.3 * rng.randn(400, 2) + np.c_[y, 0 * y]
    >>> Xt = 0.3 * rng.randn(400, 2) + np.c_[0.5 * y, -1.5 * y]
    >>> for transport in (GaussianTransport(), LabelAwareTransport()):
    ...     adapter = DomainAdapter(transport, KNeighborsClassifier()).fit(Xs, y, X_target=Xt)
    ...     print(round(adapter.score(Xt, y), 2))
    0.64
    0.99
    """

    transport: object = None
    beta: float = 10.0
    n_rounds: int = 5
    n_neighbors: int = 10
    label_type: str = "auto"
    checkpoint: str | PathLike | None = None

    # The transport inside warns.
    _extrapolates: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict] = {
        "transport": [HasMethods(["fit", "transform"]), None],
        "beta": [Interval(Real, 0, None, closed="left")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "label_type": [StrOptions({"auto", "classes", "numbers"})],
        "checkpoint": [str, PathLike, None],
    }

    def _labels(self, X, y, X_target, sample_weight):
        if y is not None:
            y = check_array(y, dtype=None, ensure_2d=False, input_name="y", estimator=self)
        # A 2-d y without a target is the target.
        if y is None or (X_target is None and y.ndim == 2):
            raise ValueError(
                "LabelAwareTransport requires y to be passed, but the target y is None. Give the labels of the source "
                "rows, fit(X, y, X_target=...). Without labels use the transport inside alone."
            )
        check_consistent_length(X, y)
        columns = y.reshape(len(y), -1)
        is_numbers = self.label_type == "numbers"
        if self.label_type == "auto":
            is_numbers = columns.shape[1] > 1 or type_of_target(y).startswith("continuous")
        if is_numbers:
            share = check_weight(sample_weight, len(X))
            self.encoder_ = StandardScaler().fit(columns.astype(np.float64), sample_weight=share)
        else:
            self.encoder_ = OneHotEncoder(sparse_output=False).fit(columns)
        return (Sample.of(self.encoder_.transform(columns), sample_weight).rows,)

    def _fit(self, source, target, rng, labels):
        self.label_scale_ = 0.0
        # N(0, I) has a unit of its own.
        self.unit_ = 1.0 if target is None else unit_of(source.rows, target.rows)
        rows = self._in_units(source.rows)
        # Equal rows become one row, so that integer weights have the effect of as many equal rows.
        source = source._replace(rows=np.hstack([rows, labels])).merged()
        rows, labels = np.split(source.rows, [rows.shape[1]], axis=1)
        self._remember(rows, labels, source.count)
        if target is None:
            self._fit_inside(source, rows, None, None)
            return
        target = target._replace(rows=self._in_units(target.rows)).merged()
        self._fit_inside(source, rows, target, target.rows)
        centred = target.rows - target.mass @ target.rows
        scale = float(np.sqrt(self.beta * np.sum(target.mass @ centred**2)))
        if not scale:
            return
        has_classes = isinstance(self.encoder_, OneHotEncoder)
        reach = reach_of(len(target.rows), self.n_neighbors, labels.shape[1]) if has_classes else SHORT
        graph = neighbor_graph(target.rows, self.n_neighbors)
        for _ in range(self.n_rounds):
            moved = self._moved(rows, labels)
            predicted = nearest_mean(moved, labels, source.count, target.rows, self.n_neighbors)
            self.label_scale_ = scale
            predicted = spread(graph, predicted, reach)
            if has_classes:
                predicted = proportional(predicted, target.mass, source.mass @ labels)
            joint = np.hstack([target.rows, scale * predicted])
            self._fit_inside(source, self._joint(rows, labels), target, joint)

    def _fit_inside(self, source, rows, target, target_rows):
        """Fit the transport inside to rows with the weights of two samples."""
        transport = GaussianTransport() if self.transport is None else self.transport
        start = Weighting.of(transport, None if source.weight is None else source.count)
        params = start.params
        if target is not None:
            end = Weighting.of(transport, None if target.weight is None else target.count, "target_weight")
            params = params | end.params | {"X_target": at_least_two(end.rows(target_rows))}
        self.transport_ = clone(transport).fit(at_least_two(start.rows(rows)), **params)

    def _remember(self, rows, labels, weight):
        """Keep the labelled rows for `_labels_of`; rows that occur with several labels get the mean of these."""
        self._known = rows, labels, weight
        self._keys, group = np.unique(row_keys(rows), return_inverse=True)
        members = sparse.csr_array((weight, (group, np.arange(len(rows)))), shape=(len(self._keys), len(rows)))
        self._own_labels = members @ labels / members.sum(axis=1)[:, None]

    def _labels_of(self, X):
        """Labels of source rows: their own for rows of the fit, else the mean of the nearest rows of the fit."""
        keys = row_keys(X)
        labels = self._own_labels[np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)]
        is_new = ~contains(self._keys, keys)
        if is_new.any():
            labels[is_new] = nearest_mean(*self._known, X[is_new], self.n_neighbors)
        return labels

    def _joint(self, rows, labels):
        return np.hstack([rows, self.label_scale_ * labels]) if self.label_scale_ else rows

    def _moved(self, rows, labels):
        """The features of the images of rows with labels."""
        return np.asarray(self.transport_.transform(self._joint(rows, labels)))[:, : rows.shape[1]]

    def _transform(self, X):
        rows = self._in_units(X)
        return (self._moved(rows, self._labels_of(rows)) * self.unit_).astype(X.dtype, copy=False)

    def _module(self, inverse):
        rows, labels, weight = self._known
        return LabelledMap(
            torch_module_of(self.transport_, "transport"),
            self.unit_,
            self.label_scale_,
            constants(rows, labels, weight, self._labels_of(rows)),
            self.n_neighbors,
        )

    def _in_units(self, X):
        return X.astype(np.float64) / self.unit_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def at_least_two(rows):
    """The rows, or a single one twice, because a transport needs two rows."""
    return rows if len(rows) > 1 else np.vstack([rows, rows])


def unit_of(*samples):
    """A power of 2 near the largest number of some samples, so that squares do not overflow and no digit is lost."""
    largest = max(np.abs(rows).max() for rows in samples)
    return float(np.ldexp(1.0, np.frexp(np.float64(largest))[1] - 1)) if largest else 1.0

"""Proportions of the classes in a target without labels."""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from sklearn_ot.plain import stored
from sklearn_ot.solvers.samples import Sample
from sklearn_ot.transport import GaussianTransport

FOLDS, DAMPING = 3, 0.5
# Rounds that start at the source's proportions, and at those that are found without a map. The latter are right if the
# features do not shift, and each round leads away from them.
ROUNDS, FEW_ROUNDS = 10, 3
# The latter are used if the target lies no farther from the source than this, in distances between source rows.
NEAR = 2
# No ratio at which rounds start is smaller, so that the first map knows all classes.
SMALLEST_RATIO = 0.01
# The ratios of the proportions are drawn to 1 with this weight, divided by the number of classes; their mean is 1 with
# the second weight.
RIDGE, TOTAL = 0.2, 10.0
# Weight of the loss of confidence in the target: the ratios usually differ from 1 by about a third.
DOUBT = 3.0


def with_proportions(proportions, source, target, is_moved):
    """Labelled rows with the weights that give their classes other proportions.

    Parameters
    ----------
    proportions : "source", "estimate" or array-like of shape (n_classes,)
        The parameter of `DomainAdapter`.
    source : Source
        The rows of all sources; each source gets weights of its own, and keeps its total weight.
    target : Sample
        Target rows.
    is_moved : bool
        Whether the features shift.

    Returns
    -------
    source : Source
        The rows with new weights; unchanged for "source".
    """
    if isinstance(proportions, str) and proportions == "source":
        return source
    if type_of_target(source.y) not in ("binary", "multiclass"):
        raise ValueError(f"proportions={proportions!r} needs classes: y has the type {type_of_target(source.y)}.")
    classes, codes = np.unique(np.asarray(source.y), return_inverse=True)
    given = None if isinstance(proportions, str) else read_proportions(proportions, classes)
    weight = np.ones(len(codes)) if source.weight is None else source.weight.copy()
    for part in source.parts:
        rows = source.table.rows[part]
        is_used = weight[part] > 0
        present, own = np.unique(codes[part][is_used], return_inverse=True)
        sample = Sample.of(
            np.column_stack([rows[is_used], own]).astype(np.float64),
            None if source.weight is None else weight[part][is_used],
        ).merged()
        rows, own = sample.rows[:, :-1], sample.rows[:, -1].astype(int)
        # Equal rows are one row, so that integer weights have the effect of as many equal rows.
        sample = sample._replace(rows=rows)
        shares = np.bincount(own, sample.mass)
        ratios = class_ratios(sample, own, target, is_moved) if given is None else given[present] / shares
        ratio_of = np.zeros(len(classes))
        ratio_of[present] = ratios / (shares @ ratios)
        weight[part] *= ratio_of[codes[part]]
    return source._replace(weight=weight)


def read_proportions(proportions, classes):
    """Proportions of the classes as an array with sum 1."""
    proportions = check_array(proportions, dtype=np.float64, ensure_2d=False, input_name="proportions")
    if proportions.shape != classes.shape or proportions.min() < 0 or proportions.sum() == 0:
        raise ValueError(
            f"proportions must be {len(classes)} numbers of 0 or more, one for each of the classes {classes[:5]}, and "
            f"not all 0; got {proportions!r}."
        )
    return proportions / proportions.sum()


def class_ratios(source, codes, target, is_moved):
    r"""Ratios of the proportions of the classes in the target to those in the source.

    This is black box shift estimation [Lipton18]_: a classifier is fitted to the source, :math:`C_{ij}` is the share of
    source rows of class j for which it predicts class i when they are held out, and :math:`q_i` is the share of the
    target rows for which it predicts i. The ratios are

    .. math:: \min_{r \ge 0} |C r - q|^2 + \lambda^2 |r - 1|^2

    If the classifier is less sure of target rows than of held-out source rows, more than their classes differs, and
    predictions of the target are wrong by about this share: :math:`\lambda` grows with it, so that the ratios are
    nearly 1. Otherwise :math:`\lambda` is inversely proportional to the number of classes.

    If the features shift too, the classifier is fitted to moved source rows, whose map needs the ratios as weights: map
    and ratios are found in turn, in damped rounds. Whatever the ratios are, the map brings nearly as many rows to the
    classes as they say, so rounds end near their start. There are two of them: equal ratios, and the ratios without a
    map if most target rows lie among those of the source. The result whose map displaces rows most alike is kept: a map
    with the right ratios need not move rows of one class to another, and costs less [Redko19]_.

    Parameters
    ----------
    source : Sample
        Source rows.
    codes : ndarray of shape (n_samples,)
        Their classes as integers from 0.
    target : Sample
        Target rows.
    is_moved : bool
        Whether the features shift.

    Returns
    -------
    ratios : ndarray of shape (n_classes,)
        The ratios; their mean with the proportions of the source is 1.

    References
    ----------
    .. [Lipton18] Z. C. Lipton, Y.-X. Wang and A. J. Smola, "Detecting and correcting for label shift with black box
       predictors", ICML 2018.
    .. [Redko19] I. Redko, N. Courty, R. Flamary and D. Tuia, "Optimal transport for multi-source domain adaptation
       under target shift", AISTATS 2019.
    """
    estimate = partial(ratios_of, source, codes, target, held_out_probabilities(source, codes))
    found = estimate(source.rows)
    if is_moved:
        ends, starts = [], [(np.ones(len(found)), ROUNDS)]
        if lies_among(source.rows, target):
            starts.append((np.maximum(found, SMALLEST_RATIO), FEW_ROUNDS))
        for ratios, n_rounds in starts:
            for _ in range(n_rounds):
                ratios = (1 - DAMPING) * ratios + DAMPING * estimate(moved_by(ratios, source, codes, target))
            ends.append(ratios)
        found = min(ends, key=lambda ratios: cost_of(ratios, source, codes, target))
    return found / (np.bincount(codes, source.mass) @ found)


def lies_among(rows, target):
    """Whether most of the target is about as near to the rows as these are to each other."""
    if len(rows) < 2:
        return False
    nearest = NearestNeighbors(n_neighbors=1).fit(rows)
    typical = np.median(nearest.kneighbors()[0])
    return target.mass @ (nearest.kneighbors(target.rows)[0][:, 0] <= NEAR * typical) > 0.5


def moved_by(ratios, source, codes, target):
    """Images of the source rows by the Gaussian map between the source with ratios as weights and the target."""
    transport = GaussianTransport()
    weight = source.count * ratios[codes]
    transport.fit(source.rows, X_target=target.rows, sample_weight=weight, target_weight=target.count)
    return transport.transform(source.rows)


def cost_of(ratios, source, codes, target):
    """The variance of the displacement of the source, with ratios as weights, by its Gaussian map to the target."""
    displacement, weight = moved_by(ratios, source, codes, target) - source.rows, source.mass * ratios[codes]
    # A common displacement of all rows does not show which rows move to another class.
    displacement -= np.average(displacement, axis=0, weights=weight)
    return np.average(np.sum(displacement**2, axis=1), weights=weight)


def ratios_of(source, codes, target, held_out, rows):
    """The ratios of `class_ratios` for one map, which brings the source rows to ``rows``."""
    shares = np.bincount(codes, source.mass)
    confusion = np.zeros((len(shares), len(shares)))
    np.add.at(confusion, (held_out.argmax(axis=1), codes), source.mass)
    # Without the ratios, like the classifiers whose held-out predictions are known.
    predicted = linear_classifier(rows, codes, source.count)(target.rows)
    seen = np.bincount(predicted.argmax(axis=1), target.mass, minlength=len(shares))
    ridge = RIDGE / len(shares)
    found = shrunk_ratios(confusion, shares, seen, ridge)
    expected = np.average(held_out.max(axis=1), weights=source.count * found[codes])
    doubt = max(expected - target.mass @ predicted.max(axis=1), 0)
    return shrunk_ratios(confusion, shares, seen, np.hypot(ridge, DOUBT * doubt))


def shrunk_ratios(confusion, shares, seen, ridge):
    """The ratios of `class_ratios` for one ridge."""
    system = np.vstack([confusion, TOTAL * shares, ridge * np.eye(len(shares))])
    return nnls(system, np.concatenate([seen, [TOTAL], np.full(len(shares), ridge)]))[0]


def held_out_probabilities(source, codes):
    """Predictions of a linear classifier for the rows of each fold of a sample, by one fitted to the other folds."""
    probabilities = np.empty((len(codes), codes.max() + 1))
    for training, test in KFold(FOLDS, shuffle=True, random_state=0).split(codes):
        predict = linear_classifier(source.rows[training], codes[training], source.count[training], codes.max() + 1)
        probabilities[test] = predict(source.rows[test])
    return probabilities


def linear_classifier(rows, codes, weight, n_classes=None):
    """Fit a logistic regression on standardised columns; the result is a function from rows to probabilities.

    A weight is a number of equal rows.
    """
    scaler = StandardScaler().fit(rows, sample_weight=weight)
    present = np.unique(codes)
    model = None
    if len(present) > 1:
        model = LogisticRegression(max_iter=200).fit(scaler.transform(rows), codes, sample_weight=weight)
    return Probabilities(scaler, model, present, n_classes or codes.max() + 1)


@stored
class Probabilities(NamedTuple):
    """A function from rows to probabilities of classes, of shape (n_samples, n_classes).

    Attributes
    ----------
    scaler, model : transformer and classifier
        The rows are scaled for the classifier, which is None if there is only one class.
    present : ndarray of shape (n_present_classes,)
        The classes of the training rows, in order; the probability of other classes is 0.
    n_classes : int
        Number of classes.
    """

    scaler: StandardScaler
    model: LogisticRegression | None
    present: np.ndarray
    n_classes: int

    def __call__(self, rows):
        found = np.zeros((len(rows), self.n_classes))
        found[:, self.present] = 1 if self.model is None else self.model.predict_proba(self.scaler.transform(rows))
        return found

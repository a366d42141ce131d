"""Certificates: numbers that say how wrong a fitted map is, each of them a bound or an estimate."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from sklearn_ot.base import names_of, warn_user
from sklearn_ot.solvers.cost_potentials import CostPotentials
from sklearn_ot.solvers.costs import Cost
from sklearn_ot.solvers.gap import Side, cost_bounds, sample_gap, upper_error
from sklearn_ot.solvers.potentials import Potentials

__all__ = ["Certificate", "Statement"]

# Rows at which the stretches are estimated, and steps of the power iteration for the largest one.
N_STRETCH_ROWS, N_POWER_STEPS = 2048, 30
# Samples at which the stretch of a decoder is estimated, and the step along each axis, where samples have size 1.
N_DECODER_ROWS, DECODER_STEP = 32, 0.01
# The central limit theorem is doubtful with fewer rows, or if one row has a larger share of a variance.
FEWEST_ROWS, LARGEST_SHARE = 100, 0.25
# Halves of fewer rows have no spread.
LEAST_ROWS = 4
# Share of rows that were in the fit by chance, such as those of a few categories.
SEEN_SHARE = 0.1


class Statement(NamedTuple):
    """One line of a certificate.

    Attributes
    ----------
    label : str
        The quantity, as a phrase.
    estimate : float or None
        An estimate, which errs to both sides; None without one.
    low, high : float or None
        Bounds, which err to one side with the confidence of the certificate; None without one.
    note : str
        A remark on the bounds.
    """

    label: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def bound(self) -> str:
        """The bounds as text: "low to high", or "≤ high", with the note."""
        if self.high is None:
            return ""
        ends = f"≤ {self.high:.4g}" if self.low is None else f"{self.low:.4g} to {self.high:.4g}"
        return f"{ends} ({self.note})" if self.note else ends


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Mapping):
    """Numbers that say how wrong a fitted map is, as a mapping from names to statements, printed as a table.

    Parameters
    ----------
    title : str
        The first line of the table.
    confidence : float
        The probability that all bounds of the certificate are true at once. Bounds from rows are asymptotic: they use
        the central limit theorem.
    statements : dict of str to Statement
        The statements by name. `sklearn_ot.transport.W2Transport.certificate` lists the names.

    Examples
    --------
    >>> from sklearn_ot.certificates import Certificate, Statement
    >>> Certificate("A map", 0.95, {"distance": Statement("W2(P, Q)", 1.02, 0.97, 1.06)})
    A map. All bounds are true at once with probability 95 % (asymptotic).
              estimate  bound
    W2(P, Q)  1.02      0.97 to 1.06
    """

    title: str
    confidence: float
    statements: dict[str, Statement] = field(default_factory=dict)

    def __getitem__(self, name):
        return self.statements[name]

    def __iter__(self):
        return iter(self.statements)

    def __len__(self):
        return len(self.statements)

    def __repr__(self):
        rows = [("", "estimate", "bound")]
        for statement in self.values():
            estimate = "" if statement.estimate is None else f"{statement.estimate:.4g}"
            rows.append((statement.label, estimate, statement.bound))
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"{first:{widths[0]}}  {second:{widths[1]}}  {third}".rstrip() for first, second, third in rows]
        probability = f"{100 * self.confidence:g} % (asymptotic)"
        return "\n".join([f"{self.title}. All bounds are true at once with probability {probability}.", *lines])


def certify(
    title: str,
    potentials: Potentials,
    source: Side,
    target: Side,
    confidence: float,
    plan_size: int,
    names: tuple[str, str] = ("X", "X_target"),
) -> Certificate:
    r"""The certificate of a map, from rows that its fit has not seen.

    Parameters
    ----------
    title : str
        The name of the map.
    potentials : Potentials
        The map, with a convex potential.
    source, target : Side
        Rows of both samples, with their masses; their values are not used.
    confidence, plan_size
        See `sklearn_ot.transport.W2Transport.certificate`.
    names : tuple of str, default=("X", "X_target")
        Names of both samples, for messages.

    Returns
    -------
    certificate : Certificate
        The certificate.
    """
    _check_numbers(source, target, names=names)
    X, Y = source.rows, target.rows
    terms = potentials.dual_terms(X, Y)
    source, target = source._replace(values=2 * terms.source), target._replace(values=2 * terms.target)
    _warn_far(source, target, names=names)
    # Both ends of the distance, the excess and the plan of the images.
    level = 1 - (1 - confidence) / 4
    bounds = cost_bounds(source, target, level, plan_size)
    images = Side(potentials.transport(X), source.mass, np.zeros(len(X)))
    direct = cost_bounds(images, target._replace(values=np.zeros(len(Y))), level, plan_size)
    largest, typical = stretches(potentials, X[:N_STRETCH_ROWS])
    seen = seen_excess(source, target, images.rows, terms.preimages, plan_size) / 2
    excess, lipschitz = bounds.excess / 2, potentials.lipschitz_bound
    spread = _deviation(target)
    error = None if lipschitz is None else math.sqrt(2 * lipschitz * excess)
    note = "" if error is None or error < spread else f"vacuous: a constant map errs by {spread:.4g}"
    statements = {
        "distance": Statement("W2(P, Q)", _root(bounds.value), _root(bounds.low), _root(bounds.high)),
        "excess": Statement("excess ε of the dual, with the cost ½‖x - y‖²", seen, None, excess),
        "stretch": Statement("largest stretch M of T", max(largest, 0.0), None, lipschitz),
        "map_error": Statement("error of T: √(2 M ε)", math.sqrt(2 * typical * seen), None, error, note),
        "cautious_error": Statement("error of T: M from rows, bound of ε", math.sqrt(2 * largest * excess)),
        "push_forward": Statement("W2(T#P, Q): √(2 M ε)", None, None, error, note),
        "image_distance": Statement("W2(T#P, Q): plan of rows", _root(direct.plan_value), None, _root(direct.high)),
        "spread": Statement("deviation of Q, over all features", spread),
    }
    title = f"{title} on {len(X)} source rows and {len(Y)} target rows"
    return Certificate(title, confidence, statements)


def certify_cost(title: str, source: Side, target: Side, confidence: float, plan_size: int, cost: Cost) -> Certificate:
    """The certificate of a distance, from values of potentials at rows that they have not seen.

    Parameters
    ----------
    title, confidence, plan_size
        See `certify`.
    source, target : Side
        Rows of both sides, with values of the potentials.
    cost : Cost
        The cost. The distance is the root of its mean, of the order of its power.

    Returns
    -------
    certificate : Certificate
        The certificate, with "distance" and "excess".
    """
    _check_numbers(source, names=("X",))
    _warn_far(source, names=("X",))
    bounds = cost_bounds(source, target, 1 - (1 - confidence) / 3, plan_size, cost)
    return cost_certificate(title, bounds, confidence, cost)


def cost_certificate(title, bounds, confidence: float, cost: Cost) -> Certificate:
    """The certificate of bounds of a cost, with its value, ends, and excess if it has one."""
    value, low, high = (max(end, 0.0) ** (1 / cost.power) for end in bounds[:3])
    statements = {"distance": Statement(f"W{cost.power:g}(P, Q)", value, low, high)}
    if len(bounds) > 3:
        statements["excess"] = Statement("excess of the dual", None, None, bounds.excess)
    return Certificate(title, confidence, statements)


def certify_power(
    title: str, potentials: CostPotentials, source: Side, target: Side, confidence: float, plan_size: int
) -> Certificate:
    """The certificate of a map for a power of the distance, from rows that its fit has not seen.

    Parameters
    ----------
    title : str
        The name of the map.
    potentials : CostPotentials
        The map.
    source, target : Side
        Rows of both samples, with their masses; their values are not used.
    confidence, plan_size
        See `sklearn_ot.transport.WpTransport.certificate`.

    Returns
    -------
    certificate : Certificate
        The certificate.
    """
    _check_numbers(source, target, names=("X", "X_target"))
    cost, level = potentials.cost, 1 - (1 - confidence) / 2
    terms = potentials.dual_terms(source.rows, target.rows)
    sides = source._replace(values=terms.source), target._replace(values=terms.target)
    _warn_far(*sides, names=("X", "X_target"))
    bounds = cost_bounds(*sides, level, plan_size, cost)
    images = Side(potentials.transport(source.rows), source.mass, np.zeros(len(source.rows)))
    direct = cost_bounds(images, target._replace(values=np.zeros(len(target.rows))), level, plan_size, cost)
    name, root = f"W{cost.power:g}", 1 / cost.power
    statements = {
        "distance": Statement(f"{name}(P, Q)", max(bounds.value, 0.0) ** root, None, bounds.high**root),
        "image_distance": Statement(f"{name}(T#P, Q): plan of rows", direct.plan_value**root, None, direct.high**root),
        "spread": Statement("deviation of Q, over all features", _deviation(target)),
    }
    title = f"{title} on {len(source.rows)} source rows and {len(target.rows)} target rows"
    return Certificate(title, confidence, statements)


def certify_decoding(
    of_codes: Certificate, samples: np.ndarray, decode: Callable, rows: Side, decoded: np.ndarray, confidence, plan_size
) -> Certificate:
    r"""The certificate of decoded samples, from that of a generator of codes.

    With an encoder u and an L-Lipschitz decoder v, the distance between decoded samples v(T(z)) and the data S is

    .. math:: W_2(v \circ T\#P, S) \le L\, W_2(T\#P, Q) + (E_S \|s - v(u(s))\|^2)^{1/2} .

    Parameters
    ----------
    of_codes : Certificate
        That of the generator, with two thirds of the error probability.
    samples : ndarray of shape (n, n_axes)
        Samples of the generator, in the coordinates of its certificate.
    decode : callable
        The decoder of such samples.
    rows : Side
        Rows of the data that no fit has seen; values are not used.
    decoded : ndarray of shape (n_rows, n_features)
        The rows, encoded and decoded.
    confidence, plan_size : float, int
        See `certify`.

    Returns
    -------
    certificate : Certificate
        The certificate of the generator with more statements.
    """
    level, largest = 1 - (1 - confidence) / 6, decoder_stretch(decode, samples[:N_DECODER_ROWS])
    squares = np.sum((rows.rows - decoded) ** 2, axis=1)
    mean = rows.mass @ squares
    error = upper_error(level, len(squares), *rows.moments(rows.mass * (squares - mean)))
    lost, in_codes = _root(mean + error), of_codes["image_distance"].high
    if of_codes["push_forward"].high is not None:
        in_codes = min(in_codes, of_codes["push_forward"].high)
    images = decode(samples).astype(np.float64)
    source = Side(images, np.full(len(images), 1 / len(images)), np.zeros(len(images)))
    direct = cost_bounds(source, rows._replace(values=np.zeros(len(squares))), level, plan_size)
    empirical = _root(direct.plan_value)
    more = {
        "decoder_stretch": Statement("largest stretch L of the decoder, at samples", largest),
        "reconstruction": Statement("error of rows encoded and decoded", _root(mean), None, lost),
        "decoding": Statement("W2(samples, data): L W2(T#P, Q) + that error", largest * in_codes + lost),
        "sample_distance": Statement("W2(samples, data): plan of rows", empirical, None, _root(direct.high)),
        "data_spread": Statement("deviation of the data, over all features", _deviation(rows)),
    }
    return Certificate(of_codes.title, confidence, {**of_codes.statements, **more})


def decoder_stretch(decode: Callable, codes: np.ndarray) -> float:
    """The largest singular value of the differences of decoded codes, over a step along each axis: at most L."""
    moved = codes[:, None] + DECODER_STEP * np.eye(codes.shape[1], dtype=codes.dtype)
    flat = decode(np.concatenate([codes, moved.reshape(-1, codes.shape[1])])).astype(np.float64)
    base, moved = flat[: len(codes)], flat[len(codes) :].reshape(*moved.shape[:2], -1)
    return float(np.linalg.norm((moved - base[:, None]) / DECODER_STEP, ord=2, axis=(1, 2)).max())


def stretches(potentials: Potentials, X: np.ndarray) -> tuple[float, float]:
    r"""The largest stretch of a map at rows, and the mean one.

    The largest one is the largest eigenvalue of a Hessian H = ∇²ψ(x), by power iteration, which gives at most that. The
    mean one is :math:`E \operatorname{tr} H^2 / E \operatorname{tr} H`. An error δ of a preimage, with the same size in
    all directions, has the excess :math:`\tfrac12 E\, \delta^\top H \delta` and causes an error
    :math:`E \|H \delta\|^2` of the image, whose ratio is twice this number.
    """
    V = np.random.RandomState(0).standard_normal(X.shape)
    moved = potentials.derivative(X, V)
    typical = np.sum(moved**2) / max(np.sum(V * moved), np.finfo(float).tiny)
    for _ in range(N_POWER_STEPS):
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        moved = potentials.derivative(X, moved / np.maximum(lengths, np.finfo(float).tiny))
    return float(np.linalg.norm(moved, axis=1).max()), float(typical)


def seen_excess(source: Side, target: Side, images: np.ndarray, preimages: np.ndarray, plan_size: int) -> float:
    r"""An estimate of the excess, without the bias of a plan between samples.

    The excess G(P, Q) is the optimal cost for :math:`c(x, y) - f(x) - g(y) \ge 0`. Between samples of n rows it has a
    bias, which is about that of two samples of one distribution. Both samples are divided into halves,

    .. math:: \hat G = G(P_1, Q_1) - \tfrac12 G(P_1, T\#P_2) - \tfrac12 G(T^{-1}\#Q_2, Q_1) .
    """
    rng = np.random.RandomState(1)
    halves = []
    for side, partners in ((source, images), (target, preimages)):
        order = rng.permutation(len(side.rows))[:plan_size]
        first, second = np.array_split(order, 2)
        mass = side.mass[second] / side.mass[second].sum()
        # f(x) + g(T(x)) is the cost of x and T(x).
        values = np.sum((side.rows[second] - partners[second]) ** 2, axis=1) - side.values[second]
        halves.append((side.at(first), Side(partners[second], mass, values)))
    (x, of_x), (y, of_y) = halves
    return max(sample_gap(x, y) - (sample_gap(x, of_x) + sample_gap(of_y, y)) / 2, 0.0)


def check_certificate(confidence: float, plan_size: int) -> None:
    """Raise a ValueError unless the arguments of a certificate can be used."""
    if not isinstance(confidence, Real) or not 0 < confidence < 1:
        raise ValueError(f"confidence must be a number between 0 and 1, got {confidence!r}.")
    if not isinstance(plan_size, Integral) or isinstance(plan_size, bool) or plan_size < 4:
        raise ValueError(f"plan_size must be an integer of 4 or more, got {plan_size!r}.")


def warn_seen(rows: np.ndarray, seen: np.ndarray, name: str) -> None:
    """Warn if rows of a certificate are among rows of the fit, unless equal rows are common, as in tables."""
    n_rows = len(rows)
    rows, fitted = ({row.tobytes() for row in part.astype(np.float64)} for part in (rows, seen))
    n_seen = len(rows & fitted)
    if n_seen > SEEN_SHARE * n_rows and len(rows) > (1 - SEEN_SHARE) * n_rows:
        warn_user(
            f"At least {n_seen} of {n_rows} rows of {name} were in fit. A certificate needs rows that the fit has not "
            "seen: on its own rows a map seems better than it is."
        )


def _check_numbers(*sides, names):
    """Raise an error if there are too few rows for a certificate, and warn if they are few."""
    for side, name in zip(sides, names, strict=True):
        n_rows = len(side.rows)
        if n_rows < LEAST_ROWS:
            raise ValueError(
                f"{name} has {n_rows} row{'' if n_rows == 1 else 's'} with a positive weight; a certificate needs "
                f"{LEAST_ROWS} or more."
            )
        if n_rows < FEWEST_ROWS:
            warn_user(
                f"{name} has {n_rows} rows. The bounds of a certificate are asymptotic: give {FEWEST_ROWS} rows or "
                "more, which the fit has not seen."
            )


def _warn_far(*sides, names):
    """Warn if a few rows that are far out make a large part of a variance."""
    for side, name in zip(sides, names, strict=True):
        terms = side.mass * (side.values - side.mass @ side.values)
        # Squares of tiny or huge numbers would be no floats.
        shares = np.square(terms / (np.abs(terms).max() or 1.0))
        far = np.flatnonzero(shares > LARGEST_SHARE * shares.sum())
        if far.size and len(terms) >= FEWEST_ROWS:
            warn_user(
                f"{names_of(None, far, 'row')} of {name}: more than {100 * LARGEST_SHARE:g} % of a variance is due to "
                f"{'each of them' if far.size > 1 else 'it'}. The bounds of a certificate are asymptotic, and "
                "doubtful with such rows: give more rows, or leave far ones out."
            )


def _deviation(side):
    return math.sqrt(side.mass @ np.sum((side.rows - side.mass @ side.rows) ** 2, axis=1))


def _root(number):
    return math.sqrt(max(number, 0.0))

"""Columns of a table as columns of numbers, and back."""

from math import gcd

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import _safe_indexing

from sklearn_ot.generation._entries import is_polars, plain_column, restored_column
from sklearn_ot.plain import stored

# Deviation of the noise around the point of a code, at a distance of √2 from the others. Without noise a generator,
# which is continuous, would have to learn rows that are equal.
CODE_NOISE = 0.15
# More codes have random points in this number of columns, which are nearly orthogonal.
MAX_CODE_COLUMNS = 64
MAX_DECIMALS = 6
# Types of polars that NumPy lacks, and those of the numbers that they hold.
NUMBERS_OF_POLARS = {"Decimal": float, "Time": int}
# Temperature of the soft cells that become those of the codes, as a part of the spread of the rows.
SOFTNESS = 0.05
# Rows for the cells of many codes, and distances between rows and codes.
MIN_ROWS, MAX_NUMBERS = 2048, 2**18


def is_missing(column):
    """Whether each entry of a column is missing: None, NaN, NaT, the NA of pandas or the null of polars."""
    if hasattr(column, "isna"):
        return np.asarray(column.isna())
    if is_polars(column):
        return np.asarray((column.fill_nan(None) if column.dtype.is_float() else column).is_null())
    return np.asarray((column != column) | np.equal(column, None), dtype=bool)


def numbers_of(column):
    """The entries of a column without missing ones as an array of numbers or times; None if they are categories."""
    plain = NUMBERS_OF_POLARS.get(str(column.dtype).split("(")[0])
    values, kind = np.asarray(column if plain is None else column.cast(plain)), getattr(column.dtype, "kind", None)
    if values.dtype == object:
        # Times with a time zone are objects, too.
        values = np.asarray(column, f"M8[{column.dtype.unit}]") if kind == "M" else np.array(values.tolist())
    elif kind == "O":
        return None  # the categories are numbers
    return values if len(values) and values.dtype.kind in "iufMm" else None


@stored
class Scale:
    """The numbers of a column beside ranks, which are uniform in [0, 1].

    Each number owns an interval of ranks as long as its mass, and the scale is linear between the middles of two
    neighbours. So numbers between training numbers have ranks, too, but none outside of their range. Whole numbers,
    times and numbers with up to six decimals stay on the coarsest grid that has all training numbers.

    `sklearn.preprocessing.QuantileTransformer` has neither weights nor intervals for numbers that occur often.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,)
        Finite numbers or times.
    weight : ndarray of shape (n_samples,)
        Their positive weights.
    """

    def __init__(self, numbers, weight):
        self.dtype, self.first, self.last = numbers.dtype, numbers.min(), numbers.max()
        self.step, self.decimals, self.exponent = 1, None, 0
        if numbers.dtype.kind == "f":
            with np.errstate(over="ignore"):
                exact = (d for d in range(MAX_DECIMALS + 1) if np.array_equal(np.round(numbers, d), numbers))
                self.decimals = next(exact, None)
            # Differences of positions and slopes stay in the range of floats. A power of 2 changes no digit.
            self.exponent = int(np.frexp(np.abs(numbers).max())[1])
        else:
            self.step = gcd(*np.unique(self._steps(numbers)).tolist()) or 1
        positions, index = np.unique(self._positions(numbers), return_inverse=True)
        self.knots = np.concatenate([positions[:1], positions[:-1] / 2 + positions[1:] / 2, positions[-1:]])
        mass = np.cumsum(np.bincount(index, weight))
        self.ranks = np.concatenate([[0], mass / mass[-1]])

    def normal_scores(self, numbers, rng):
        """Normal scores of ranks, drawn from the interval of the nearest training number."""
        numbers = np.clip(numbers, self.first, self.last).astype(self.dtype)
        index = np.searchsorted(self.knots[1:-1], self._positions(numbers))
        ranks = rng.uniform(self.ranks[index], self.ranks[index + 1])
        return ndtri(np.clip(ranks, 1e-12, 1 - 1e-12))

    def numbers(self, scores):
        """The numbers at normal scores of ranks."""
        positions = np.interp(ndtr(scores), self.ranks, self.knots)
        if self.dtype.kind == "f":
            numbers = np.ldexp(positions, self.exponent)
            numbers = (numbers if self.decimals is None else np.round(numbers, self.decimals)).astype(self.dtype)
            return np.clip(numbers, self.first, self.last)
        # As a float, the last step may be 2⁶⁴ or more than the last number.
        steps = np.minimum(np.rint(np.minimum(positions, 2.0**64 - 2048)).astype(np.uint64), self._steps(self.last))
        return (steps * np.uint64(self.step) + _unsigned(self.first)).view(np.int64).astype(self.dtype)

    def _positions(self, numbers):
        if self.dtype.kind == "f":
            return np.ldexp(numbers.astype(np.float64), -self.exponent)
        return self._steps(numbers).astype(np.float64)

    def _steps(self, numbers):
        return (_unsigned(numbers) - _unsigned(self.first)) // np.uint64(self.step)


def _unsigned(numbers):
    # Modulo 2⁶⁴ all differences of 64-bit integers and times are right, even those that the signed type does not have.
    return np.asarray(numbers).astype(np.int64).reshape(-1).view(np.uint64)


@stored
class Column:
    """A column of a table as columns of numbers, and back.

    The *codes* of a column are its categories. A column of numbers has a code for each number with a large mass, and
    one for all others. Missing entries have a code. Codes are points with noise around them. Numbers without a code of
    their own become normal scores of ranks, in a further column, which is noise in rows with another code.

    Parameters
    ----------
    column : ndarray or Series of shape (n_samples,)
        The training entries.
    weight : ndarray of shape (n_samples,)
        Their positive weights, with sum 1.
    atom_share : float
        The mass from which on a number has a code of its own.
    rng : RandomState
        Draws the points of many codes.
    """

    def __init__(self, column, weight, atom_share, rng):
        missing = is_missing(column)
        present = np.flatnonzero(~missing)
        entries, self.is_number = self._entries(_safe_indexing(column, present))
        if self.is_number and entries.dtype.kind == "f" and not np.isfinite(entries).all():
            raise ValueError("it holds infinity")
        names = dict.fromkeys(entries.tolist())
        names = dict(zip(names, range(len(names)), strict=True))
        index = np.array([names[entry] for entry in entries.tolist()], dtype=int)
        mass = np.bincount(index, weight[present], minlength=len(names))
        kept = np.flatnonzero(mass >= (atom_share if self.is_number else 0))
        # A row with each code shows the type of the column.
        examples = np.unique(index, return_index=True)[1][kept]
        self.entries, masses, rows = entries[examples], [*mass[kept]], [*present[examples]]
        self.codes = self._codes()
        self.missing = self.number = -1
        self.scale = None
        if missing.any():
            self.missing = len(masses)
            masses.append(weight[missing].sum())
            rows.append(missing.argmax())
        is_scaled = ~np.isin(index, kept)
        if is_scaled.any():
            self.scale, self.number = Scale(entries[is_scaled], weight[present][is_scaled]), len(masses)
            masses.append(weight[present][is_scaled].sum())
        self.examples, self.masses = _safe_indexing(column, np.array(rows, dtype=int)), np.array(masses)
        self.points = _points(len(masses), self.scale is not None, rng)
        self.n_columns = self.points.shape[1] + (self.scale is not None)

    @staticmethod
    def _entries(column):
        numbers = numbers_of(column)
        return (np.asarray(column, dtype=object), False) if numbers is None else (numbers, True)

    def __getstate__(self):
        # Categories may be objects of any type: they are in the examples, too.
        left_out = {"codes"} if self.is_number else {"codes", "entries"}
        state = {name: value for name, value in vars(self).items() if name not in left_out}
        return {**state, "examples": plain_column(self.examples)}

    def __setstate__(self, state):
        vars(self).update(state)
        self.examples = restored_column(self.examples)
        if not self.is_number:
            n_entries = len(self.masses) - (self.missing >= 0)
            self.entries = np.asarray(_safe_indexing(self.examples, np.arange(n_entries)), dtype=object)
        self.codes = self._codes()

    def _codes(self):
        """The numbers of the codes by the entries that have one."""
        return {entry: number for number, entry in enumerate(self.entries.tolist())}

    def encode(self, column, rng):
        """Numbers of shape (n_samples, n_columns) for the entries of a column.

        An entry that the training rows did not have gets the mean of the points of all codes.
        """
        missing = is_missing(column)
        present = np.flatnonzero(~missing)
        entries, is_number = self._entries(_safe_indexing(column, present))
        if self.is_number and not is_number and present.size:
            raise ValueError("it held numbers in fit, and holds other entries now")
        index = np.full(len(missing), self.missing)
        if self.is_number and self.entries.dtype.kind in "mM":
            entries = entries.astype(self.entries.dtype)  # of one unit
        index[present] = [self.codes.get(entry, self.number) for entry in entries.tolist()]
        Z = np.vstack([self.points, self.points.mean(axis=0)])[index]
        Z = Z + CODE_NOISE * rng.standard_normal(Z.shape)
        if self.scale is None:
            return Z
        scores, is_scaled = rng.standard_normal(len(index)), index[present] == self.number
        scores[present[is_scaled]] = self.scale.normal_scores(entries[is_scaled], rng)
        return np.column_stack([Z, scores])

    def calibrate(self, Z):
        """Make the masses of codes and the distribution of numbers those of training, for the distribution of ``Z``.

        The codes are those of the optimal transport from ``Z`` to the points, and the numbers are a monotone function
        of the last column.
        """
        self.potential, self.drawn = np.zeros(len(self.masses)), np.array([[-10.0, 10.0], [-10.0, 10.0]])
        if len(self.masses) > 1:
            rows = Z[: max(MIN_ROWS, MAX_NUMBERS // len(self.masses))]
            temperature = SOFTNESS * rows[:, : self.points.shape[1]].std(axis=0).mean() or 1.0
            self.potential = soft_potential(self._distances(rows), self.masses / self.masses.sum(), temperature)
        drawn = np.sort(Z[self._index(Z) == self.number, -1])
        if len(drawn) > 1:
            scores = ndtri((np.arange(len(drawn)) + 0.5) / len(drawn))
            # Beyond the ends the function is the line through them.
            ends = [values[[0, -1]] + 10 * np.ptp(values) * np.array([-1, 1]) for values in (drawn, scores)]
            self.drawn = np.insert([drawn, scores], [0, len(drawn)], ends, axis=1)

    def _index(self, Z):
        """Numbers of the codes."""
        if len(self.masses) == 1:
            return np.full(len(Z), 0)
        return (self._distances(Z) - self.potential).argmin(axis=1)

    def _distances(self, Z):
        return euclidean_distances(Z[:, : self.points.shape[1]], self.points, squared=True)

    def decode(self, Z):
        """Entries in the type of the column."""
        index = self._index(Z)
        if not self.is_number:
            return _safe_indexing(self.examples, index)
        dtype = self.entries.dtype if self.scale is None else self.scale.dtype
        numbers, is_known, is_scaled = np.zeros(len(Z), dtype), index < len(self.entries), index == self.number
        numbers[is_known] = self.entries[index[is_known]]
        if self.scale is not None:
            numbers[is_scaled] = self.scale.numbers(np.interp(Z[is_scaled, -1], *self.drawn))
        return self._in_type(numbers, index == self.missing)

    def _in_type(self, numbers, missing):
        dtype = self.examples.dtype
        if isinstance(self.examples, np.ndarray):
            column = numbers.astype(dtype)
            column[missing] = self.examples[-1] if missing.any() else 0
            return column
        column = type(self.examples)(numbers)
        if is_polars(column):
            column = column.cast(dtype)
            return column.zip_with(type(column)(~missing), self.examples[-1:]) if missing.any() else column
        if getattr(dtype, "tz", None):
            column = column.dt.tz_localize("UTC")
        column = column.astype(dtype)
        return column.mask(missing, self.examples.iloc[-1]) if missing.any() else column


def _points(n_codes, has_scale, rng):
    """Points of codes, of shape (n_codes, n_columns)."""
    if n_codes == 1:
        return np.zeros((1, 0 if has_scale else 1))
    if n_codes == 2:
        return np.array([[-1], [1]]) / np.sqrt(2)
    if n_codes <= MAX_CODE_COLUMNS:
        return np.eye(n_codes)
    return rng.standard_normal((n_codes, MAX_CODE_COLUMNS)) / np.sqrt(MAX_CODE_COLUMNS)


def soft_potential(distances, masses, temperature):
    r"""The potential ψ that gives points their masses, for the rows of a given sample and soft cells.

    It minimises the convex function :math:`E_x \varepsilon \log \sum_j e^{(\psi_j - |x - y_j|^2) / \varepsilon} -
    \sum_j \nu_j \psi_j`. Cells between which there are no rows keep the border in the middle of their points, unlike
    those of an exact plan, and the solution is faster.
    """

    def dual(potential):
        scores = (potential - distances) / temperature
        largest = scores.max(axis=1, keepdims=True)
        mass = np.exp(scores - largest)
        total = mass.sum(axis=1, keepdims=True)
        value = temperature * (largest + np.log(total)).mean() - masses @ potential
        return value, (mass / total).mean(axis=0) - masses

    options = {"gtol": 1e-4, "ftol": 0, "maxiter": 200}
    return minimize(dual, np.zeros(len(masses)), jac=True, method="L-BFGS-B", options=options).x

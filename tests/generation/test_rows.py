"""Training rows with classes and weights: draws, masses of classes, and held-out rows."""

import numpy as np
import pytest

from sklearn_ot.generation._rows import Rows
from sklearn_ot.solvers.samples import Sample


def rows(n_rows=40, n_classes=1, weighted=False, seed=0):
    rng = np.random.RandomState(seed)
    weight = rng.exponential(1, n_rows)
    return Rows(
        np.arange(n_rows)[:, None], rng.randint(n_classes, size=n_rows), weight / weight.sum() if weighted else None
    )


def test_rows_of_equal_weight_are_drawn_once():
    drawn = rows().draw(15, np.random.RandomState(0))
    assert len(np.unique(drawn.X)) == 15
    everything = rows().draw(99, np.random.RandomState(0))
    assert sorted(everything.X[:, 0]) == list(range(40))
    assert drawn.weight is everything.weight is None


def test_rows_are_drawn_in_proportion_to_their_weights():
    """The number of draws of each row is within one of its share, and the first draws are a sample as well."""
    sample = rows(n_classes=3, weighted=True)
    drawn = sample.draw(1000, np.random.RandomState(0))
    assert drawn.weight is None
    counts = np.bincount(drawn.X[:, 0], minlength=40)
    assert (np.abs(counts - 1000 * sample.weight) < 1).all()
    np.testing.assert_array_equal(drawn.index, sample.index[drawn.X[:, 0]])
    first = np.bincount(drawn.X[:500, 0], minlength=40) / 500
    # 5 standard errors of 500 draws.
    assert (np.abs(first - sample.weight) < 5 * np.sqrt(sample.weight / 500)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_come_in_their_masses(weighted):
    sample = rows(n_classes=3, weighted=weighted)
    mass = np.bincount(sample.index, sample.weight) if weighted else np.bincount(sample.index) / 40
    counts = np.bincount(sample.classes_of(2000), minlength=3)
    # The tolerance is the rounding of the position of each row; for equal weights the first and last row count half.
    assert np.abs(counts / 2000 - mass).max() < (40 / 2000 if weighted else 1 / 40)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_held_out_rows_are_others_of_about_this_mass(weighted, fraction):
    sample = rows(n_classes=3, weighted=weighted)
    weight = np.full(40, 1 / 40) if sample.weight is None else sample.weight
    for seed in range(5):
        kept, held_out = sample.hold_out(fraction, np.random.RandomState(seed))
        assert sorted([*kept.X[:, 0], *held_out.X[:, 0]]) == list(range(40))
        assert set(kept.index) == {0, 1, 2}
        mass = weight[held_out.X[:, 0]].sum()
        # The next row would exceed the mass, or is the last one of its class.
        assert mass < fraction + 1e-9
        assert mass > fraction - weight.max() or len(kept.X) == 3
        if weighted:
            np.testing.assert_allclose(held_out.weight, weight[held_out.X[:, 0]] / mass)


def test_classes_of_one_row_leave_nothing_to_hold_out():
    with pytest.raises(ValueError, match=r"all 3 rows of X are .* of their class in y.*early_stopping=False"):
        Rows(np.arange(3)[:, None], np.arange(3), None).hold_out(0.1, np.random.RandomState(0))


@pytest.mark.parametrize("weighted", [False, True])
def test_two_rows_are_too_few_to_hold_one_out(weighted):
    with pytest.raises(ValueError, match=r"X has only 2 rows .* early_stopping=False"):
        rows(2, weighted=weighted).hold_out(0.1, np.random.RandomState(0))
    kept, held_out = rows(3, weighted=weighted).hold_out(0.9, np.random.RandomState(0))
    assert (len(kept.X), len(held_out.X)) == (2, 1)


def test_integer_weights_are_equal_rows_of_a_class():
    rng = np.random.RandomState(0)
    X, index, weight = rng.randint(4, size=(30, 2)).astype(float), rng.randint(2, size=30), rng.randint(1, 5, 30)
    order = rng.permutation(weight.sum())
    weighted = Rows.merged(Sample.of(X, weight), index)
    repeated = Rows.merged(Sample.of(np.repeat(X, weight, axis=0)[order]), np.repeat(index, weight)[order])
    for one, other in zip(weighted, repeated, strict=True):
        np.testing.assert_array_equal(one, other)
    rows = {(*row, k) for row, k in zip(X, index, strict=True)}
    assert len(weighted.X) == len(rows) < 30
    mass = weight[(X[:, 0] == X[0, 0]) & (X[:, 1] == X[0, 1]) & (index == index[0])].sum() / weight.sum()
    assert weighted.weight[(X[0] == weighted.X).all(1) & (weighted.index == index[0])] == pytest.approx([mass])


def test_a_heavy_row_is_kept_and_a_row_is_always_held_out():
    weight = np.full(20, 0.02)
    weight[3] = 0.62
    for seed in range(30):
        kept, held_out = Rows(np.arange(20)[:, None], np.zeros(20, int), weight).hold_out(
            0.01, np.random.RandomState(seed)
        )
        assert 3 in kept.X
        assert len(held_out.X) == 1

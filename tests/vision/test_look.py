"""The last step of a transfer: amount, range, luminance, and ends of the scale."""

import numpy as np
import pytest

from sklearn_ot.vision._look import LUMINANCE, Look, kept_width

RNG = np.random.RandomState(0)
COLORS, MOVED = RNG.rand(5000, 3), RNG.uniform(-1, 1, (5000, 3))
FULL = np.array([[0.0] * 3, [1.0] * 3])


def test_no_amount_changes_nothing():
    assert np.array_equal(Look(0.0, FULL).apply(COLORS, MOVED), COLORS)


def test_the_amount_is_the_fraction_of_the_displacement():
    small = 0.1 * (COLORS - 0.5)
    assert np.allclose(Look(0.25, FULL).apply(COLORS, -small), COLORS - small / 4, atol=1e-12)


@pytest.mark.parametrize("amount", [0.3, 1.0])
def test_images_stay_in_the_range_that_was_seen(amount):
    seen = np.array([[0.1, 0.2, 0.0], [0.6, 0.9, 1.0]])
    new = Look(amount, seen).apply(COLORS, MOVED)
    nearest = np.clip((new - (1 - amount) * COLORS) / amount, *seen)
    # Each new colour is an interpolation of its old one and a colour of the range, or its channels are cut off.
    assert np.all((new >= amount * seen[0]) & (new <= 1 - amount * (1 - seen[1])))
    if amount == 1:
        assert np.allclose(new, nearest)


def test_luminance_is_kept_also_out_of_range():
    new = Look(1.0, FULL, keeps_luminance=True).apply(COLORS, 3 * MOVED)
    assert np.all((new >= 0) & (new <= 1))
    assert np.allclose(new @ LUMINANCE, COLORS @ LUMINANCE, atol=1e-12)
    assert np.abs(new - COLORS).max() > 0.3


@pytest.mark.parametrize(("end", "direction"), [(1.0, -1), (0.0, 1)])
def test_an_end_stays_and_the_ramp_never_turns(end, direction):
    displacement = np.full(3, direction * 0.2)
    widths = (kept_width(displacement), None) if end == 0 else (None, kept_width(displacement))
    ramp = np.repeat(np.linspace(0, 1, 1001)[:, None], 3, axis=1)
    new = Look(1.0, FULL, widths=widths).apply(ramp, np.broadcast_to(displacement, ramp.shape))
    assert np.array_equal(new[-1 if end else 0], [end] * 3)
    steps = np.diff(new, axis=0)
    # The slope grows by at most 1.5 / SLOPE_WIDTH.
    assert np.all((steps >= 0) & (steps <= 1.76e-3))
    # Beyond the width, 0.4, the displacement is whole.
    assert np.allclose(new[500], 0.5 + displacement, atol=1e-12)

"""Classes of a generator; without classes, labels have no columns."""

import numpy as np
import pytest

from sklearn_ot.generation._classes import Classes

Y = np.array(["b", "a", "b", "b"])


@pytest.mark.parametrize(("weight", "prior"), [(None, [0.25, 0.75]), ([0.1, 0.6, 0.1, 0.2], [0.6, 0.4])])
def test_names_and_masses(weight, prior):
    classes, index = Classes.of(Y, 4, weight)
    assert classes.names.tolist() == ["a", "b"]
    assert index.tolist() == [1, 0, 1, 1]
    assert classes.prior == pytest.approx(prior)
    drawn = classes.draw(4000, np.random.RandomState(0))
    # 5 standard errors of 4000 draws.
    assert drawn.mean() == pytest.approx(prior[1], abs=0.04)


def test_labels():
    classes, index = Classes.of(Y, 4)
    assert classes.one_hot(index).tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert classes.index("a", 3).tolist() == [0, 0, 0]
    assert classes.index(["a", "b", "a"], 3).tolist() == [0, 1, 0]


def test_no_classes_are_labels_without_columns():
    classes, index = Classes.of(None, 4)
    rng = np.random.RandomState(0)
    assert len(classes) == 0
    assert index.tolist() == classes.index(Y, 4).tolist() == classes.draw(4, rng).tolist() == [0] * 4
    assert classes.one_hot(index).shape == (4, 0)
    # No random number was drawn.
    assert rng.uniform() == np.random.RandomState(0).uniform()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"], "1 classes for 3 rows"),
        (["a", "c", "b"], "holds 'c', which is not among"),
        ([1, 2, 3], "must hold classes of fit|not among"),
    ],
)
def test_labels_that_are_not_known_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        Classes.of(Y, 4)[0].index(y, 3)

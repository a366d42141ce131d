"""The map between two Gaussians whose covariances may be nearly the same."""

import numpy as np
from sklearn.model_selection import KFold

from sklearn_ot.solvers.gaussian import GaussianMap, gaussian_map
from sklearn_ot.solvers.potentials import Potentials
from sklearn_ot.solvers.samples import Sample

# Weights of the pooled covariance that are compared, on so many folds. With 1 the map only moves the mean.
SHARES, N_FOLDS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0), 5


def pooled_gaussian_map(source: Sample, target: Sample, rng: np.random.RandomState, n_copies: int = 1) -> GaussianMap:
    r"""The optimal map between two Gaussians, whose covariances are moved towards the mean of both.

    .. math:: \Sigma_s' = (1 - \alpha) \Sigma_s + \alpha \bar\Sigma, \qquad
        \Sigma_t' = (1 - \alpha) \Sigma_t + \alpha \bar\Sigma, \qquad
        \bar\Sigma = \frac{n_s \Sigma_s + n_t \Sigma_t}{n_s + n_t}

    With few rows the noise of both covariances is larger than their difference, and a map without this shrinkage
    follows the noise. The weight α is the one with the highest dual value on rows that were left out, see
    `sklearn_ot.solvers.potentials.Potentials.dual_value`; of equal ones the largest.

    Parameters
    ----------
    source, target : Sample
        Rows of both sides and their weights.
    rng : RandomState
        Divides the rows into five folds.
    n_copies : int, default=1
        So many rows that follow each other depend on each other, such as those of a picture and its mirror image. They
        are in one fold.

    Returns
    -------
    map : GaussianMap
        The map.
    """
    samples = source, target
    n_folds = min(N_FOLDS, *(len(sample.rows) // n_copies // 2 for sample in samples))
    if n_folds < 2:
        return _map(samples, 1.0)
    seeds = rng.randint(2**31, size=2)
    folds = [
        [_parts(sample, *part) for part in _folds(len(sample.rows), n_copies, n_folds, seed)]
        for sample, seed in zip(samples, seeds, strict=True)
    ]
    values = [np.mean([_held_out_value(share, *fold) for fold in zip(*folds, strict=True)]) for share in SHARES]
    return _map(samples, SHARES[len(SHARES) - 1 - int(np.argmax(values[::-1]))])


def _folds(n_rows, n_copies, n_folds, seed):
    """Indices of the rows of training and test, for each fold."""
    runs = np.arange(n_rows).reshape(-1, n_copies)
    for parts in KFold(n_folds, shuffle=True, random_state=seed).split(runs):
        yield [runs[part].ravel() for part in parts]


def _parts(sample, train, test):
    """Two parts of a sample, each with weights of sum 1."""
    return [
        Sample(sample.rows[rows], sample.mass[rows] / sample.mass[rows].sum(), sample.mass[rows].sum() * sample.size)
        for rows in (train, test)
    ]


def _held_out_value(share, source, target):
    (train, x), (target_train, y) = source, target
    potentials = Potentials.gaussian(_map((train, target_train), share))
    return potentials.dual_value(x.rows, y.rows, x.weight, y.weight)


def _map(samples, share):
    means, covariances = [], []
    for sample in samples:
        means.append(sample.mass @ sample.rows)
        covariances.append(np.cov(sample.rows.T, aweights=sample.mass, bias=True).reshape(len(means[-1]), -1))
    pooled = np.average(covariances, axis=0, weights=[sample.size for sample in samples])
    source, target = ((1 - share) * covariance + share * pooled for covariance in covariances)
    return gaussian_map(means[0], source, means[1], target)

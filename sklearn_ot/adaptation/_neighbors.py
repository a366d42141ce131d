"""Predictions from nearest neighbours: a vote of labelled rows, and the graph of a sample over which they spread."""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg
from sklearn.neighbors import NearestNeighbors

# Bounds of the share of a row's prediction that comes from its neighbours in the graph.
SHORT, FAR = 0.8, 0.99
# Relative error of the equation of the spreading.
SPREAD_TOLERANCE = 1e-5
# Steps of iterative proportional fitting.
FITTING_STEPS = 20
# The least share of a class in a row, before shares get other proportions.
SMALLEST = 1e-4


def nearest_mean(rows, values, weight, X, n_neighbors):
    """The weighted mean of values over the nearest rows.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
        Rows with values.
    values : ndarray of shape (n_samples, n_values)
        Their values; with one-hot labels, the mean is a share of votes.
    weight : ndarray of shape (n_samples,)
        Their weights.
    X : ndarray of shape (n_queries, n_features)
        Other rows.
    n_neighbors : int
        Number of rows in a mean, if there are as many.

    Returns
    -------
    means : ndarray of shape (n_queries, n_values)
        The means.
    """
    nearest = NearestNeighbors(n_neighbors=min(n_neighbors, len(rows))).fit(rows)
    index = nearest.kneighbors(X, return_distance=False)
    share = weight[index]
    return np.einsum("ij,ijk->ik", share / share.sum(axis=1, keepdims=True), values[index])


def neighbor_graph(X, n_neighbors):
    r"""The symmetric graph of nearest neighbours of a sample.

    .. math:: w_{ij} = \exp(-|x_i - x_j|^2 / (s_i s_j))

    The scale :math:`s_i` is the distance of a row to its farthest neighbour [ZelnikManor04]_, so the graph does not
    depend on units. Two rows have an edge if one is a neighbour of the other.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    n_neighbors : int
        Number of neighbours, if there are as many other rows.

    Returns
    -------
    graph : csr_array of shape (n_samples, n_samples)
        The weights of the edges.

    References
    ----------
    .. [ZelnikManor04] L. Zelnik-Manor and P. Perona, "Self-tuning spectral clustering", NeurIPS 2004.
    """
    if len(X) == 1:
        return sparse.csr_array((1, 1))
    nearest = NearestNeighbors(n_neighbors=min(n_neighbors, len(X) - 1)).fit(X)
    distance, index = nearest.kneighbors()
    scale = distance[:, -1]
    product = scale[:, None] * scale[index]
    exponent = np.divide(distance**2, product, out=np.zeros_like(distance), where=product > 0)
    starts = np.arange(len(X) + 1) * index.shape[1]
    graph = sparse.csr_array((np.exp(-exponent).ravel(), index.ravel(), starts), shape=(len(X), len(X)))
    return graph.maximum(graph.T)


def reach_of(n_rows, n_neighbors, n_classes):
    r"""The share of a prediction that comes from the neighbours, so that a class has about one prediction.

    A prediction with the share :math:`\alpha` is the mean over random walks of :math:`1 / (1 - \alpha)` steps. This is
    twice the number of separate neighbourhoods that a class has, so that walks reach most of a cluster, and leave it
    rarely; at least 5 and at most 100.
    """
    n_steps = 2 * n_rows / (n_neighbors * n_classes)
    return float(np.clip(1 - 1 / n_steps, SHORT, FAR))


def spread(graph, values, share):
    r"""Predictions that agree more with those of neighbours than the given ones.

    This is label propagation [Zhou04]_. The spread predictions :math:`F` solve

    .. math:: (1 - \alpha D^{-1/2} W D^{-1/2}) F = (1 - \alpha) V

    Here :math:`D` holds the row sums of the graph :math:`W`. The solution is divided by that for a column of ones, so
    the predictions of a row stay a weighted mean of the given ones.

    Parameters
    ----------
    graph : csr_array of shape (n_samples, n_samples)
        Weights of the edges, see `neighbor_graph`.
    values : ndarray of shape (n_samples, n_values)
        Predictions, one row for each row of the sample.
    share : float
        The number :math:`\alpha`: near 1, a cluster gets the prediction of most of its rows, see `reach_of`.

    Returns
    -------
    values : ndarray of shape (n_samples, n_values)
        The predictions after spreading.

    References
    ----------
    .. [Zhou04] D. Zhou, O. Bousquet, T. N. Lal, J. Weston and B. Schölkopf, "Learning with local and global
       consistency", NeurIPS 2003.
    """
    degree = graph.sum(axis=1)
    # A row without an edge keeps its prediction.
    root = sparse.diags_array(np.divide(1, np.sqrt(degree), out=np.zeros(len(values)), where=degree > 0))
    system = (sparse.eye_array(len(values)) - share * (root @ graph @ root)).tocsr()
    columns = np.column_stack([values, np.ones(len(values))])
    found = np.column_stack([cg(system, column, x0=column, rtol=SPREAD_TOLERANCE)[0] for column in columns.T])
    # Means are within the range of the given numbers, also with the error of the solution.
    return np.clip(found[:, :-1] / found[:, -1:], values.min(axis=0), values.max(axis=0))


def proportional(values, mass, proportions):
    """Shares of classes with given proportions, by factors for rows and for classes (iterative proportional fitting).

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        The shares of the classes in each row, with sum 1.
    mass : ndarray of shape (n_samples,)
        Weights of the rows, with sum 1.
    proportions : ndarray of shape (n_classes,)
        The proportions, with sum 1.

    Returns
    -------
    values : ndarray of shape (n_samples, n_classes)
        The shares with these factors. A class that has no share in any row keeps none.
    """
    for _ in range(FITTING_STEPS):
        found = mass @ values
        values = values * np.divide(proportions, found, out=np.zeros_like(found), where=found > 0)
        values = values / values.sum(axis=1, keepdims=True)
    return values


def is_trusted(X, codes, mass, proportions, n_neighbors=10):
    """Which predicted classes agree with those of most rows of their cluster, whatever the proportions of the classes.

    Predictions are spread over the graph of nearest neighbours. A row is trusted if its class has the largest share
    afterwards, with the proportions of the classes as they are, and with given ones: they are known roughly.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    codes : ndarray of shape (n_samples,)
        Their predicted classes as integers from 0.
    mass : ndarray of shape (n_samples,)
        Weights of the rows, with sum 1.
    proportions : ndarray of shape (n_classes,)
        The proportions, with sum 1.
    n_neighbors : int, default=10
        Number of neighbours in the graph.

    Returns
    -------
    is_trusted : ndarray of bool of shape (n_samples,)
        The rows that are trusted.
    """
    n_classes = len(proportions)
    share = reach_of(len(X), n_neighbors, n_classes)
    found = spread(neighbor_graph(X, n_neighbors), np.eye(n_classes)[codes], share)
    # A class that is far from a row can be its class, too.
    fitted = proportional((found + SMALLEST) / (1 + n_classes * SMALLEST), mass, proportions)
    return (found.argmax(axis=1) == codes) & (fitted.argmax(axis=1) == codes)

"""The objective of a classifier."""

from torch import Tensor, nn
from torch.nn import functional as F

# Share of the probability that is spread over all classes.
SMOOTHING = 0.1


def smooth_cross_entropy(classifier: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    r"""The cross-entropy of labels that are certain up to a tenth.

    .. math:: -E \sum_k \left(0.9 \cdot 1_{y = k} + \tfrac{0.1}{K}\right) \log p_k(x)

    Smooth labels bound the logits, which gathers the features of a class in one cluster [Mueller19]_.

    Parameters
    ----------
    classifier : nn.Module
        From rows to logits.
    x : Tensor of shape (n, d)
        Rows.
    y : Tensor of shape (n,)
        Their classes as integers from 0.

    Returns
    -------
    loss : Tensor of shape ()
        The objective.

    References
    ----------
    .. [Mueller19] R. Müller, S. Kornblith and G. Hinton, "When does label smoothing help?", NeurIPS 2019.
    """
    return F.cross_entropy(classifier(x), y, label_smoothing=SMOOTHING)

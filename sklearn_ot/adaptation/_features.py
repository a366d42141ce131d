"""ClassifierFeatures: features of rows from a network that is trained to classify them."""

from copy import deepcopy
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import _fit_context, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import FLOAT_DTYPES, NetTransformer, all_or_nothing, random_source, validated
from sklearn_ot.nets import ClassifierNet, LabelledSamples, NetOwner, torch_seed, training_device
from sklearn_ot.networks import Convolutional, Dense, module_of
from sklearn_ot.nn import Affine, Chain, Method
from sklearn_ot.objectives.classification import smooth_cross_entropy
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.potentials import FrozenModule, on_arrays
from sklearn_ot.solvers.tensors import constants


@dataclass(eq=False, repr=False)
class ClassifierFeatures(NetOwner, NetTransformer):
    """Features of rows: the last hidden layer of a network that was trained to classify them.

    Squared distances between pixels, or between columns of different meaning, depend little on the class of a row.
    Between these features they do, so that a transport of features can be right where one of rows is not [Korotin21]_.
    Give it as ``feature_extractor`` to a `DomainAdapter`, or use it as a step of a pipeline.

    Parameters
    ----------
    network : specification of `sklearn_ot.networks` or nn.Module class, default=None
        The network. None is ``Dense((120, 84), "relu")`` for tables; use ``Convolutional()`` for flattened square
        images. A class of modules is called with ``n_features`` and ``n_classes``, returns logits, and has a module
        ``features``.
    scaling : {"auto", "columns", "common"}, default="auto"
        How rows are brought to size 1 before they reach the network: "columns" subtracts the mean of each training
        column and divides it by its deviation, "common" divides all columns by the largest number. "auto" is "common"
        for ``Convolutional``, else "columns".
    learning_rate : float, default=3e-3
        Largest step size of Adam. The step size rises to it in the first three tenths of the steps, and then falls to
        0.
    batch_size : int, default=64
        Rows in a step.
    max_iter : int, default=1200
        Number of steps.
    device : str or torch.device, default="auto"
        Device of the training: "auto" (CUDA if there is a device, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
        With "accelerate", several processes train together, see :ref:`together`.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net, or pairs (name, callback), for which all steps are one epoch; they are cloned.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights and batches. With None each fit has a new seed. The global random states of NumPy and
        PyTorch are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar over the steps.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    center_, scale_ : ndarray of shape (n_features_in_,)
        Numbers that are subtracted from the columns, and by which they are then divided.
    n_iter_ : int
        Number of steps of the last training.
    net_ : skorch.NeuralNet
        The trained net.
    n_features_in_ : int
        Number of features of the rows.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.

    See Also
    --------
    DomainAdapter : Uses the features in two domains.

    References
    ----------
    .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin and E. Burnaev, "Wasserstein-2 generative
       networks", ICLR 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_ot.adaptation import ClassifierFeatures
    >>> from sklearn_ot.networks import Dense
    >>> X, y = load_iris(return_X_y=True)
    >>> ClassifierFeatures(Dense((16, 8)), max_iter=100, random_state=0).fit_transform(X, y).shape
    (150, 8)
    """

    network: object = None
    _: KW_ONLY
    scaling: str = "auto"
    learning_rate: float = 3e-3
    batch_size: int = 64
    max_iter: int = 1200
    device: str | torch.device = "auto"
    callbacks: list | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "network": "no_validation",  # module_of validates it, with a better message
        "scaling": [StrOptions({"auto", "columns", "common"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Train the network to classify the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Their classes.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If the rows, the classes or a parameter are unusable; the estimator then keeps its previous state.
        DivergenceError
            If numbers are not finite.
        """
        with all_or_nothing(self):
            X, y = validate_data(self, X, y, dtype=FLOAT_DTYPES)
            check_classification_targets(y)
            self.classes_, codes = np.unique(y, return_inverse=True)
            self._scale_columns(X.astype(np.float64))
            self._train([(X, codes)], self.max_iter, None)
        return self

    def fine_tune(self, X, y, X_target, y_target, max_iter):
        """Continue the training on rows of two domains, of which each step has equally many.

        Parameters
        ----------
        X, X_target : array-like of shape (n_samples, n_features) and (n_target_samples, n_features)
            Rows of both domains.
        y, y_target : array-like of shape (n_samples,) and (n_target_samples,)
            Their classes; those of the target may be predictions.
        max_iter : int
            Number of steps.

        Returns
        -------
        self : object
            The transformer.

        Raises
        ------
        ValueError
            If the rows are unusable, or a class is none of ``classes_``; the estimator then keeps its previous state.
        DivergenceError
            If numbers are not finite.
        """
        check_is_fitted(self)
        with all_or_nothing(self):
            samples = []
            for name, rows, labels in (("y", X, y), ("y_target", X_target, y_target)):
                rows, labels = validate_data(self, rows, labels, dtype=FLOAT_DTYPES, reset=False)
                if not np.isin(labels, self.classes_).all():
                    raise ValueError(f"{name} has a class that fit did not have.")
                samples.append((rows, np.searchsorted(self.classes_, labels)))
            self._train(samples, max_iter, self.net_)
        return self

    def _scale_columns(self, X):
        scaling = self.scaling
        if scaling == "auto":
            scaling = "common" if isinstance(self.network, Convolutional) else "columns"
        largest = np.abs(X).max(axis=0)
        if scaling == "common":
            self.center_, self.scale_ = np.zeros(X.shape[1]), np.full(X.shape[1], largest.max() or 1.0)
            return
        # Squares of huge numbers would overflow.
        largest[largest == 0] = 1.0
        deviation = largest * np.std(X / largest, axis=0)
        self.center_, self.scale_ = X.mean(axis=0), np.where(deviation > 0, deviation, 1.0)

    def _train(self, samples, max_iter, previous):
        device = training_device(self.device)
        network = Dense((120, 84), "relu") if self.network is None else self.network
        module, arguments = module_of(
            network, "classifier", n_features=self.n_features_in_, n_classes=len(self.classes_)
        )
        tensors = [
            (
                torch.as_tensor(self._scaled(X), dtype=torch.float32, device=device),
                torch.as_tensor(codes, dtype=torch.int64, device=device),
            )
            for X, codes in samples
        ]
        with torch_seed(random_source(self.random_state).randint(2**31), device):
            net = self._build_net(device, classifier=module, max_iter=max_iter, **arguments)
            if previous is not None:
                net.module_.load_state_dict(previous.module_.state_dict())
            if max_iter:
                net.partial_fit(LabelledSamples(*tensors))
            net.module_.eval()
        self.net_, self.n_iter_ = net, net.n_iter_

    def _build_net(self, device, classifier, max_iter, **arguments):
        return ClassifierNet(
            classifier,
            smooth_cross_entropy,
            remedy=f"Lower learning_rate (now {self.learning_rate:g}).",
            **self._net_parameters(device) | {"max_iter": max_iter},
            **{f"module__{name}": value for name, value in arguments.items()},
        ).initialize()

    def _architecture_of(self, net):
        return {"classifier": net.module, "max_iter": net.max_iter, **net.get_params_for("module")}

    def _scaled(self, X):
        return (X.astype(np.float64) - self.center_) / self.scale_

    def transform(self, X):
        """Features of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        features : ndarray of shape (n_samples, n_outputs)
            The last hidden layer, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        X = validated(self, X)
        module = FrozenModule(self.net_.module_).of(X.dtype)
        return in_chunks(on_arrays(module, module.features), self._scaled(X).astype(X.dtype, copy=False))

    def _module(self, inverse):
        centre, factor = constants(self.center_, 1 / self.scale_)
        return Chain(Affine(centre, after=factor), Method(self.net_.module_, "features"))

    @property
    def _n_features_out(self):
        return self.net_.module_.output[-1].in_features

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def fit_extractor(extractor, X, y):
    """A fitted transformer of rows.

    Parameters
    ----------
    extractor : transformer, specification of a network or nn.Module class
        A transformer that is fitted is used as it is; a clone of any other is fitted to the rows. A network is that of
        `ClassifierFeatures`.
    X, y : array-like
        Labelled rows.

    Returns
    -------
    extractor : transformer
        The transformer; a copy, if it was fitted before.
    """
    if not hasattr(extractor, "transform"):
        extractor = ClassifierFeatures(extractor, random_state=0)
    try:
        check_is_fitted(extractor)
    except NotFittedError:
        return clone(extractor).fit(X, y)
    # It may be trained further.
    return deepcopy(extractor)

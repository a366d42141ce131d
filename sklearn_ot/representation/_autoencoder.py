"""Autoencoder: codes of rows, and rows of codes, by two networks."""

from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import (
    CHECKPOINT,
    FLOAT_DTYPES,
    NetTransformer,
    all_or_nothing,
    documented,
    finite,
    fit_units,
    kept_units,
    random_source,
    resumable,
    rows_for_fit,
    rows_of_tensor,
    validated,
    warn_far,
    warn_user,
    weighted_sample,
)
from sklearn_ot.checks import check_weight
from sklearn_ot.nets import (
    AutoencoderNet,
    NetOwner,
    TensorRows,
    WeightedRows,
    hold_out,
    refuse_changes,
    torch_seed,
    training_device,
    validation_size,
)
from sklearn_ot.networks import Dense, module_of, named_module
from sklearn_ot.nn import Chain, Method, StandardCode
from sklearn_ot.objectives.reconstruction import reconstruction
from sklearn_ot.solvers.chunks import in_chunks
from sklearn_ot.solvers.components import principal_components
from sklearn_ot.solvers.potentials import FrozenModule, on_arrays
from sklearn_ot.streams import by_blocks

MAX_LATENT_DIM = 16
# Errors of the same rows by two networks differ little from row to row, so that few rows show which one is better.
MAX_VALIDATION_ROWS = 512
HISTORY_KEYS = ("n_iter", "dur", "train_loss", "valid_loss")


@documented(checkpoint=CHECKPOINT)
@dataclass(eq=False, repr=False)
class Autoencoder(NetOwner, NetTransformer):
    r"""Codes of rows by a network, from which another network restores the rows: a curved PCA.

    An encoder u and a decoder v are trained together to minimise :math:`E \|x - v(u(x))\|^2`. `transform` encodes and
    `inverse_transform` decodes, so that an autoencoder can take the place of PCA in a pipeline. A generator of codes
    followed by the decoder is a generator of rows, see `GenerativePipeline`.

    The code is standardised: in each column the codes of the training rows have mean 0 and variance 1. So the size of a
    code has no effect on the methods that follow.

    The networks of this package start at PCA with as many components, with bounds on the decoded rows at PCA followed
    by tanh. With early stopping this start is one of the candidates for the result. PCA is often the best one for
    tables with few rows.

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Number of columns of a code, at most the number of features. "auto" is half the number of features, but at least
        1 and at most 16.
    network : specification of `sklearn_ot.networks` or nn.Module class, default=None
        The two networks. None is ``Dense((400, 200), "silu")``, whose widths are those of the encoder; the decoder has
        them in reverse order. For images use ``Dense((400, 200), "silu", "tanh")`` or ``Convolutional()``. A class of
        modules is called with ``n_features``, which counts the columns that vary, and ``latent_dim``; it has the
        methods ``encode`` and ``decode``, which map rows of shape (n, n_features) to codes of shape (n, latent_dim) and
        back. If the attribute ``output_activation`` of the specification, or of the class, is "tanh", data are scaled
        from their range to −1 to 1, and all decoded rows lie in the range.
    scaling : "auto", "columns" or "common", default="auto"
        How the training rows are brought to size 1 before they reach the networks, also in `score`. "columns" gives
        each column its own scale, as tables need, whose columns have different units; see
        `sklearn_ot.solvers.units.UnitCoordinates.of_columns`. "common" gives all columns one scale, as images need, and
        rows whose distances have a meaning. "auto" is "common" for a ``network`` with "tanh", else "columns".
    learning_rate : float, default=2e-3
        Largest step size of Adam. The step size rises to it in the first three tenths of the steps, and then falls to
        0.
    batch_size : int, default=128
        Rows in a step, 2 or more. Codes are standardised within a batch.
    max_iter : int, default=1500
        Number of steps.
    early_stopping : bool, default=True
        Whether to hold out rows, keep the networks with the lowest error on them, and stop after ``n_iter_no_change``
        blocks without a lower one. If the rows are so few that none would be held out, none is.
    validation_fraction : float, default=0.1
        With early stopping, the share of the rows to hold out, but at most 512 rows.
    n_iter_no_change : int, default=10
        With early stopping, the number of blocks of 100 steps without a gain after which training stops.
    warm_start : bool, default=False
        Whether another call of ``fit`` continues the training of the previous networks, also after a pickle.
        ``coordinates_`` do not change; rows in other units raise a warning.
    device : str or torch.device, default="auto"
        Device of the training: "auto" (CUDA if there is a device, else the CPU), "cpu", "cuda", "cuda:1", "mps", ...
        With "accelerate", several processes train together, see :ref:`together`.
    callbacks : list of skorch callbacks, default=None
        Further callbacks of the net, or pairs (name, callback), for which an epoch is a block of 100 steps; they are
        cloned. If a callback such as
        `sklearn_ot.nets.TimeBudget` ends the training, the step size has not fallen to 0.
    <checkpoint>
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights and batches. With None each fit has a new seed. The global random states of NumPy and
        PyTorch are neither read nor changed.
    verbose : int, default=0
        Whether to show a progress bar over the steps.

    Attributes
    ----------
    coordinates_ : UnitCoordinates
        The units in which the net works.
    n_iter_ : int
        Number of steps; with ``warm_start``, in all fits.
    history_ : list of dict
        One row for each block of 100 steps: ``n_iter``, the number of steps so far; ``dur``, its seconds; and
        ``train_loss`` and, with early stopping, ``valid_loss``, the mean squared error of a training row and of a
        held-out row, in ``coordinates_``.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is a `sklearn_ot.nn.StandardCode` with the methods ``encode`` and ``decode``.
    n_samples_seen_ : int
        Number of rows of ``X`` that the fit has read; of a large memory map or dask array these are not all.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if ``X`` is a DataFrame.

    See Also
    --------
    GenerativePipeline : Draw rows by a generator of codes.
    sklearn.decomposition.PCA : The best linear codes.

    Notes
    -----
    Rows far from the training rows have codes as well, but the decoder does not restore them. `score` on held-out rows
    shows whether the networks are too large for the number of rows: compare it with that of fewer steps, or with PCA.

    If ``fit`` is interrupted from the keyboard, it keeps the networks of that time and raises a warning.

    Examples
    --------
    Rows on a curve have one degree of freedom, but PCA needs three components.

    >>> import numpy as np
    >>> from sklearn_ot.networks import Dense
    >>> from sklearn_ot.representation import Autoencoder
    >>> t = np.random.RandomState(0).uniform(-1, 1, 1000)
    >>> X = np.column_stack([t, t**2, t**3])
    >>> autoencoder = Autoencoder(1, network=Dense((32, 32), "silu"), random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (1000, 1)
    >>> autoencoder.score(X) > -0.02  # the columns have variances of 1
    True
    """

    latent_dim: int | str = "auto"
    _: KW_ONLY
    network: object = None
    scaling: str = "auto"
    learning_rate: float = 2e-3
    batch_size: int = 128
    max_iter: int = 1500
    early_stopping: bool = True
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    warm_start: bool = False
    device: str | torch.device = "auto"
    callbacks: list | None = None
    checkpoint: str | PathLike | None = None
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "latent_dim": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "network": "no_validation",  # module_of validates it, with a better message
        "scaling": [StrOptions({"auto", "columns", "common"})],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str, torch.device],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Train both networks on the rows of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : None
            Ignored, present for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, 0 or more; all equal if None. Integer weights have the effect of as many equal rows.

        Returns
        -------
        self : object
            The fitted autoencoder.

        Raises
        ------
        ValueError
            If the rows, the weights or a parameter are unusable; the estimator then keeps its previous state.
        DivergenceError
            If numbers are not finite.
        """
        with all_or_nothing(self):
            rng = random_source(self.random_state)
            X, sample_weight = rows_for_fit(rng, X=X, sample_weight=sample_weight)
            X = validate_data(self, rows_of_tensor(X), dtype=FLOAT_DTYPES, ensure_min_samples=2)
            self.n_samples_seen_ = len(X)
            # Sums over merged rows do not depend on the order of the rows.
            sample = weighted_sample(X, sample_weight, "sample_weight", "X", 2).merged()
            warn_far(self, X=(X, sample_weight))
            latent_dim = self._latent_dim(X.shape[1])
            previous = self.net_ if self.warm_start and hasattr(self, "net_") else None
            if previous is None:
                self.coordinates_ = fit_units(sample, self.scaling, self._is_bounded)
            architecture = self._architecture(self.coordinates_.n_axes, latent_dim)
            if previous is not None:
                self._refuse_changes(previous, X.shape[1], architecture)
                kept_units(self, sample, self._is_bounded)
            with resumable(self, rng, X, sample_weight):
                self._train(previous, sample, architecture, rng)
        return self

    def _latent_dim(self, n_features):
        if self.latent_dim == "auto":
            return min(max(n_features // 2, 1), MAX_LATENT_DIM)
        if self.latent_dim > n_features:
            raise ValueError(
                f"latent_dim={self.latent_dim} is larger than the number of features, n_features={n_features}: codes "
                "have at most as many columns as rows. Lower latent_dim."
            )
        return int(self.latent_dim)

    @property
    def _network(self):
        return Dense((400, 200), "silu") if self.network is None else self.network

    @property
    def _is_bounded(self):
        return getattr(self._network, "output_activation", "identity") == "tanh"

    def _architecture(self, n_axes, latent_dim):
        network = module_of(self._network, "autoencoder", n_features=n_axes, latent_dim=latent_dim)
        return {"network": network, "latent_dim": latent_dim}

    def _refuse_changes(self, previous, n_features, architecture):
        """Raise a ValueError if this fit cannot continue with the networks of the previous one."""
        facts = (
            {"n_features": n, "latent_dim": a["latent_dim"], **named_module("network", *a["network"])}
            for n, a in (
                (len(self.coordinates_.center), previous.get_params_for("module")),
                (n_features, architecture),
            )
        )
        refuse_changes(*facts)

    def _train(self, previous, sample, architecture, rng):
        device = training_device(self.device)
        whole, train, valid = self._split(sample, rng, device)
        seed = rng.randint(2**31)
        with torch_seed(seed, device):
            net = self._build_net(device, **architecture)
            check_shapes(net.module_, self.coordinates_.n_axes, architecture["latent_dim"], device)
            if previous is not None:
                net.resume(previous)
            elif hasattr(net.module_.network, "start_"):
                net.module_.network.start_(*principal_components(*train.whole(), architecture["latent_dim"], seed))
            net.train_on(whole, train, valid)
        if net.interrupted_:
            warn_user(
                f"Training was interrupted after {net.n_fitted_} of {self.max_iter} steps; the autoencoder is the "
                "result of these steps."
            )
        self.net_, self.n_iter_ = net, net.n_iter_
        self.history_ = [{key: row[key] for key in HISTORY_KEYS if key in row} for row in net.history]

    def _split(self, sample, rng, device):
        """All rows, training rows, and validation rows, which are None without early stopping, in coordinates."""
        rows = self.coordinates_.to_coordinates(sample.rows)
        rows = torch.as_tensor(rows, dtype=torch.float32, device=device)
        weight = None if sample.weight is None else torch.from_numpy(sample.weight)
        if not self.early_stopping or sample.size * self.validation_fraction < 1:
            return [TensorRows(rows, weight)] * 2 + [None]
        if weight is None and sample.size != len(rows):
            # Equal rows were merged, as many of each. They may be heavy rows.
            weight = torch.ones(len(rows), dtype=torch.float64)
        whole = WeightedRows(rows, weight)
        n_valid = min(validation_size(whole, sample.size, self.validation_fraction), MAX_VALIDATION_ROWS)
        return [TensorRows(*part) for part in (whole, *hold_out(whole, n_valid, rng))]

    def _build_net(self, device, **architecture):
        return AutoencoderNet(
            StandardCode,
            reconstruction,
            n_iter_no_change=self.n_iter_no_change,
            remedy=f"Lower learning_rate (now {self.learning_rate:g}).",
            **self._net_parameters(device),
            **{f"module__{name}": value for name, value in architecture.items()},
        ).initialize()

    @by_blocks
    def transform(self, X):
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, also rows that were not in ``fit``.

        Returns
        -------
        codes : ndarray of shape (n_samples, latent_dim)
            Codes of the rows, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        X = validated(self, X)
        return finite(self._encode(self.coordinates_.to_coordinates(X)), "The codes of X")

    @by_blocks
    def inverse_transform(self, X):
        """Decode codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, latent_dim)
            Codes.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            Rows in the units of the training data, in the dtype of ``X`` if it is a float dtype, else float64.
        """
        check_is_fitted(self)
        codes = check_array(rows_of_tensor(X), dtype=FLOAT_DTYPES, input_name="X", estimator=self, force_writeable=True)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(f"X has {codes.shape[1]} columns, but a code has {self._n_features_out}.")
        return finite(self.coordinates_.from_coordinates(self._decode(codes)), "The decoded rows")

    def score(self, X, y=None, sample_weight=None):
        """Minus the mean squared error of decoded codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, if possible rows that were not in ``fit``.
        y : None
            Ignored, present for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Minus the mean over the rows of the squared distance between a row and its decoded code; higher is better.
            It is in squared units of ``X`` if all columns have one scale, see ``scaling``, else in ``coordinates_``.
        """
        check_is_fitted(self)
        X = validated(self, X)
        weight = check_weight(sample_weight, len(X))
        rows = self.coordinates_.to_coordinates(X)
        errors = np.square(self._decode(self._encode(rows)) - rows, dtype=np.float64).sum(axis=1)
        error = np.sqrt(weight @ errors) * self.coordinates_.unit
        if error > np.sqrt(np.finfo(float).max):
            raise ValueError(f"The root mean square of the errors is {error:.3g}, whose square is no float.")
        return -(float(error) ** 2)

    def _module(self, inverse):
        if inverse:
            return Chain(Method(self.net_.module_, "decode"), self.coordinates_.to_torch("from_coordinates"))
        return Chain(self.coordinates_.to_torch("to_coordinates"), Method(self.net_.module_, "encode"))

    def _encode(self, rows):
        module = FrozenModule(self.net_.module_).of(rows.dtype)
        return in_chunks(on_arrays(module, module.encode), rows)

    def _decode(self, codes):
        module = FrozenModule(self.net_.module_).of(codes.dtype)
        return in_chunks(on_arrays(module, module.decode), codes)

    @property
    def _n_features_out(self):
        return self.net_.get_params_for("module")["latent_dim"]


@torch.no_grad()
def check_shapes(module, n_features, latent_dim, device):
    """Raise a ValueError if networks of the user have wrong shapes of outputs."""
    for method, n_inputs, n_outputs in (("encode", n_features, latent_dim), ("decode", latent_dim, n_features)):
        shape = tuple(getattr(module.network.eval(), method)(torch.zeros(2, n_inputs, device=device)).shape)
        if shape != (2, n_outputs):
            raise ValueError(
                f"{method} of network must map rows of shape (2, {n_inputs}) to shape {(2, n_outputs)}, not {shape}."
            )

"""TransportAdapter: a transport of this package as a step of skada's pipelines. skada is imported when it is used."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.adaptation._columns import Table
from sklearn_ot.adaptation._maps import bring_to_estimator, check_direction, fit_transport
from sklearn_ot.adaptation._sources import Source
from sklearn_ot.adaptation._weights import read_weight
from sklearn_ot.base import FLOAT_DTYPES, DocumentationLink, all_or_nothing, uses_labels
from sklearn_ot.plain import PlainState
from sklearn_ot.transport import W2Transport


@dataclass(eq=False, repr=False)
class TransportAdapter(DocumentationLink, PlainState, OneToOneFeatureMixin, BaseEstimator):
    """Move the rows of one domain onto the other, as a step of `skada.make_da_pipeline`.

    The rows of all domains are one table, and ``sample_domain`` has a number for each row: 0 or more for sources,
    negative for targets. A transport is fitted for each source, as in `DomainAdapter`, between it and the rows of all
    targets together. The next steps of the pipeline get the moved rows.

    Parameters
    ----------
    transport : estimator with ``fit(X, *, X_target)`` and ``transform(X)``, "passthrough" or None, \
            default=W2Transport()
        The map. The adapter fits a clone of it for each source. A transport that requires labels, such as
        `LabelAwareTransport`, gets those of the source. None and "passthrough" move no row, so that a search can choose
        them.
    align : {"source", "target"}, default="source"
        The domain whose rows are moved: source rows onto the target, or target rows onto the only source.

    Attributes
    ----------
    transports_ : list of estimator
        The fitted transport of each source.
    source_names_ : ndarray of shape (n_sources,)
        The number of each source in ``sample_domain``, in ascending order.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if the table is a DataFrame.

    See Also
    --------
    DomainAdapter : The same without skada, also for some columns of a table, other proportions and features of a
        network.

    Notes
    -----
    The adapter needs skada, ``pip install "sklearn-ot[skada]"``. Importing skada enables scikit-learn's metadata
    routing in the whole process; this module imports skada only when an adapter is fitted or used.

    A transport that is itself a step of such a pipeline would be fitted to the rows of both domains and would move all
    of them. It refuses this.

    Examples
    --------
    >>> import numpy as np
    >>> import sklearn
    >>> from sklearn.datasets import make_moons
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn_ot.adaptation.skada import TransportAdapter
    >>> from sklearn_ot.transport import GaussianTransport
    >>> Xs, ys = make_moons(500, noise=0.05, random_state=0)
    >>> Xt, yt = make_moons(500, noise=0.05, random_state=1)
    >>> Xt = Xt @ [[2.0, 0.3], [0.3, 1.0]] + [3.0, -2.0]
    >>> X, y, sample_domain = np.vstack([Xs, Xt]), np.append(ys, -np.ones(500)), np.repeat([1, -2], 500)
    >>> with sklearn.config_context(enable_metadata_routing=True):
    ...     from skada import make_da_pipeline
    ...
    ...     pipeline = make_da_pipeline(TransportAdapter(GaussianTransport()), KNeighborsClassifier())
    ...     pipeline.fit(X, y, sample_domain=sample_domain).score(Xt, yt)
    1.0
    """

    transport: object = field(default_factory=W2Transport)
    align: str = "source"

    __metadata_request__fit: ClassVar[dict] = {"sample_domain": True}
    __metadata_request__transform: ClassVar[dict] = {"sample_domain": True, "allow_source": True}
    _parameter_constraints: ClassVar[dict] = {
        "transport": [HasMethods(["fit", "transform"]), StrOptions({"passthrough"}), None],
        "align": [StrOptions({"source", "target"})],
    }

    # The transport validates its own parameters.
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, *, sample_domain=None, sample_weight=None):
        """Fit a transport between each source and the target.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of all domains.
        y : array-like of shape (n_samples,), default=None
            Labels; only those of source rows are used, and only by a transport that requires labels.
        sample_domain : array-like of shape (n_samples,), default=None
            The domain of each row, 0 or more for a source and negative for a target. If None, rows with the masked
            label of skada, -1 or NaN, are target rows and all others source rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; all equal if None.

        Returns
        -------
        self : object
            The fitted adapter.

        Raises
        ------
        ImportError
            If skada is not installed.
        ValueError
            If there are no rows of a source or of a target, or an argument is unusable; the adapter then keeps its
            previous state.
        """
        self._fit(X, y, sample_domain, sample_weight)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X, y=None, *, sample_domain=None, sample_weight=None):
        """Fit the transports and move the rows; see `fit` for the parameters.

        Returns
        -------
        X_moved : ndarray of shape (n_samples, n_features)
            The rows as the next step of the pipeline is fitted on them.
        """
        rows, domain = self._fit(X, y, sample_domain, sample_weight)
        return bring_to_estimator(self, rows, self._origin(domain), {})

    def transform(self, X, y=None, *, sample_domain=None, allow_source=False):
        """Move rows of the domain that is moved, and return all others as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like, default=None
            Ignored.
        sample_domain : array-like of shape (n_samples,), default=None
            The domain of each row; all are target rows if None.
        allow_source : bool, default=False
            Whether source rows are allowed.

        Returns
        -------
        X_moved : ndarray of shape (n_samples, n_features)
            The rows.

        Raises
        ------
        ValueError
            If there are source rows that are not allowed, or rows of a source that was not in ``fit``.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        domain = given_domains(rows, sample_domain, allow_source=allow_source)
        return bring_to_estimator(self, rows, self._origin(domain), {})

    def _fit(self, X, y, sample_domain, sample_weight):
        """Fit the transports, and return the validated rows with their domains."""
        with all_or_nothing(self):
            rows = validate_data(self, X, dtype=FLOAT_DTYPES, ensure_min_samples=4)
            domain = read_domains(rows, y, sample_domain)
            weight = read_weight(sample_weight, len(rows), "sample_weight", "X")
            is_source = domain >= 0
            self.source_names_ = np.unique(domain[is_source])
            origin = self._origin(domain)
            source = Source(
                Table(rows, rows, np.arange(rows.shape[1])),
                y,
                weight,
                [np.flatnonzero(origin == number) for number in range(len(self.source_names_))],
                self.source_names_,
            )
            if y is None and uses_labels(self.transport):
                raise ValueError(f"{type(self.transport).__name__} needs the labels of source rows: pass y.")
            check_direction(self, source)
            target = rows[~is_source], None if weight is None else weight[~is_source]
            self.transports_ = [fit_transport(self, source, part, *target, {}) for part in source.parts]
        return rows, domain

    def _origin(self, domain):
        """For each row the number of its source, or -1 for the target."""
        unknown = np.setdiff1d(domain[domain >= 0], self.source_names_)
        if len(unknown):
            raise ValueError(
                f"sample_domain has the sources {unknown.tolist()}, but those of fit are "
                f"{self.source_names_.tolist()}: there is no transport for the others."
            )
        return np.where(domain >= 0, np.searchsorted(self.source_names_, domain), -1)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "transports_")


def read_domains(rows, y, sample_domain):
    """The domain of each row of a fit, checked; from masked labels if it is not given."""
    if sample_domain is not None:
        domain = given_domains(rows, sample_domain)
    elif y is not None:
        domain = np.asarray(skada_utils().check_X_y_domain(rows, y)[2])
    else:
        raise ValueError("TransportAdapter needs the domain of each row: pass sample_domain, or y with masked labels.")
    labels, counts = np.unique(domain, return_counts=True)
    n_target = np.sum(domain < 0)
    if labels[-1] < 0 or n_target < 2 or counts[labels >= 0].min() < 2:
        raise ValueError(
            "A transport needs two rows or more of the target and of each source, negative numbers and numbers from 0 "
            f"on in sample_domain, got {dict(zip(labels.tolist(), counts.tolist(), strict=True))} rows of each number."
        )
    return domain


def given_domains(rows, sample_domain, **options):
    """The domain of each row, checked by skada, which takes no lists."""
    if sample_domain is not None and not np.isscalar(sample_domain):
        sample_domain = np.asarray(sample_domain)
    return np.asarray(skada_utils().check_X_domain(rows, sample_domain, **options)[1])


def skada_utils():
    """The module ``skada.utils``."""
    try:
        from skada import utils
    except ImportError as error:
        raise ImportError(
            'TransportAdapter needs skada: install it, for example by pip install "sklearn-ot[skada]".'
        ) from error
    return utils

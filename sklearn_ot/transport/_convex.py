"""Base class of transports whose map is the gradient of a convex potential."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import FLOAT_DTYPES, InvertibleTransport, warn_user
from sklearn_ot.checks import check_weight, errors_about


class ConvexTransport(InvertibleTransport):
    """Base class of transports whose map is the gradient of a convex potential.

    The map of a subclass is its attribute ``potentials_``, a `sklearn_ot.solvers.potentials.Potentials`.
    """

    def _transform(self, X):
        return self.potentials_.transport(X)

    def _inverse_transform(self, X):
        potentials = self.potentials_
        rows, solved = potentials.inverse(X)
        if not solved.all():
            warn_user(
                f"{np.sum(~solved)} of {len(X)} rows were not inverted to "
                f"conjugate_tol={potentials.conjugate_tol:g}. return_residual=True returns the error of each row; a "
                "larger conjugate_tol accepts them.",
                ConvergenceWarning,
            )
        return rows

    def inverse_transform(self, X, *, return_residual=False):
        r"""Map target rows to the source, by the inverse map.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Target rows, also rows that were not in ``fit``.
        return_residual : bool, default=False
            Whether to return the distances between ``X`` and the images of the result as well.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Preimages of the rows, in the dtype of ``X`` if it is a float dtype, else float64.
        residual : ndarray of shape (n_samples,)
            :math:`\|T(x) - y\|` for each row y and its preimage x, in the units of the target. Only returned with
            ``return_residual``. (``conjugate_tol``, and the warning that rows were not inverted, are about residuals in
            balanced coordinates.)
        """
        X_original = super().inverse_transform(X)
        if not return_residual:
            return X_original
        return X_original, self.potentials_.residual(X_original, check_array(X, dtype=FLOAT_DTYPES))

    def dual_value(self, X, X_target, *, sample_weight=None, target_weight=None):
        r"""The value of the potential ψ in the dual problem on two samples.

        .. math:: \tfrac12 E\|x\|^2 + \tfrac12 E\|y\|^2 - E\,\psi(x) - E\,\psi^*(y) \;\le\; \tfrac12 W_2^2

        On rows that were not in ``fit`` it compares maps, solvers and parameters without the true map: higher is
        better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.
        X_target : array-like of shape (n_target_samples, n_features)
            Target rows.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both samples, 0 or more; all equal if None.

        Returns
        -------
        value : float
            A lower bound of :math:`\tfrac12 W_2^2` between the two samples, in squared units of the data. Searches for
            ψ* that end early can only lower it.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOAT_DTYPES, reset=False)
        with errors_about("X_target"):
            target = validate_data(self, X_target, dtype=X.dtype, reset=False)
        weight = check_weight(sample_weight, len(X))
        target_weight = check_weight(target_weight, len(target), "target_weight", "X_target")
        return self.potentials_.dual_value(X, target, weight, target_weight)

    def potential(self, X):
        r"""The convex potential ψ, whose gradient is `transform`; it is 0 at the mean of the source.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Source rows.

        Returns
        -------
        potential : ndarray of shape (n_samples,)
            Values of ψ, in squared units of the data (with the factor ½ in the cost), in the dtype of ``X`` if it is a
            float dtype, else float64.
        """
        check_is_fitted(self)
        return self.potentials_.potential(validate_data(self, X, dtype=FLOAT_DTYPES, reset=False))

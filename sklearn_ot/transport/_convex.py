"""Base class of transports whose map is the gradient of a convex potential."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_ot.base import InvertibleTransport, validated, warn_user
from sklearn_ot.certificates import Certificate, certify, check_certificate, warn_seen
from sklearn_ot.checks import check_weight, errors_about
from sklearn_ot.solvers.gap import Side
from sklearn_ot.streams import by_blocks


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

    def _module(self, inverse):
        return self.potentials_.to_torch(inverse)

    @by_blocks
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
        return X_original, self.potentials_.residual(X_original, validated(self, X))

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
        return self.potentials_.dual_value(*self._both_samples(X, X_target, sample_weight, target_weight))

    def _both_samples(self, X, X_target, sample_weight, target_weight):
        """Validated rows of source and target, and their weights, with sum 1."""
        X = validated(self, X)
        with errors_about("X_target"):
            target = validate_data(self, X_target, dtype=X.dtype, reset=False)
        weight = check_weight(sample_weight, len(X))
        return X, target, weight, check_weight(target_weight, len(target), "target_weight", "X_target")

    def certificate(
        self, X, X_target, *, confidence=0.95, plan_size=10_000, sample_weight=None, target_weight=None
    ) -> Certificate:
        r"""Bounds and estimates of the distance and of the error of the map, from rows that ``fit`` has not seen.

        With the cost :math:`\tfrac12 \|x - y\|^2`, the excess of the potential ψ is the amount by which its dual value
        is below the optimum, and M is a Lipschitz constant of the map :math:`T = \nabla\psi`. Then

        .. math::
            & W_2^2(T\#P, Q) \le E\|T(x) - T^*(x)\|^2 \le 2 M \varepsilon, \\
            & \varepsilon = \tfrac12 W_2^2 - \tfrac12 E\|x\|^2 - \tfrac12 E\|y\|^2 + E\,\psi(x) + E\,\psi^*(y) ,

        where :math:`T^*` is the optimal map [Korotin21]_. The dual value on rows is a lower bound of :math:`W_2^2`, and
        the cost of a plan between rows, which is too large on average, an upper bound [DelBarrio19]_; see
        `sklearn_ot.solvers.gap.cost_bounds`. P and Q are the distributions of the rows, and not the rows themselves.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Independent source rows that ``fit`` has not seen. On its own rows a map seems better than it is.
        X_target : array-like of shape (n_target_samples, n_features)
            Independent target rows that ``fit`` has not seen.
        confidence : float, default=0.95
            The probability that all bounds are true at once. A quarter of the rest is left for each of both ends of
            the distance, the excess and the plan of the images. The probability is asymptotic: it needs hundreds of
            rows, and fourth moments.
        plan_size : int, default=10_000
            Largest number of rows of each sample in a plan. More rows make the upper bounds smaller, and take time:
            certificates of 10 000 rows took 13 to 83 CPU-seconds in the benchmark of the guide.
        sample_weight, target_weight : array-like of shape (n_samples,) and (n_target_samples,), default=None
            Weights of the rows of both samples, 0 or more; all equal if None.

        Returns
        -------
        certificate : Certificate
            A mapping from names to statements, which is printed as a table. All distances have the units of the data
            and no factor ½.

            - "distance": :math:`W_2(P, Q)`, with the estimate of the dual, and both bounds.
            - "excess": ε, in squared units. The estimate subtracts the bias of the plan, and is 0 if there is no more
              than this bias.
            - "stretch": M. The bound is computed from the weights of the network, see `sklearn_ot.nn.curvature_bound`,
              and does not depend on rows. The estimate is the largest stretch at rows.
            - "map_error": :math:`(E\|T(x) - T^*(x)\|^2)^{1/2}`. The bound is :math:`\sqrt{2 M \varepsilon}` with both
              bounds; the estimate has the estimate of ε and a mean stretch.
            - "cautious_error": :math:`\sqrt{2 M \varepsilon}` with the bound of ε and the estimate of M, an estimate.
            - "push_forward": the same bound as one of :math:`W_2(T\#P, Q)`.
            - "image_distance": :math:`W_2(T\#P, Q)`, with the cost of a plan between images and target rows.
            - "spread": the standard deviation of Q over all features, the error of the best constant map.

            There is no bound of M, and of the error, if the network has squares in its skip connections (``rank`` above
            0), is convolutional, or is of a class of your own.

        References
        ----------
        .. [Korotin21] A. Korotin, V. Egiazarian, A. Asadulaev, A. Safin, E. Burnaev, "Wasserstein-2 generative
           networks", ICLR 2021.
        .. [DelBarrio19] E. del Barrio and J.-M. Loubes, "Central limit theorems for empirical transportation cost in
           general dimension", Annals of Probability, 2019.

        Examples
        --------
        >>> from sklearn_ot.datasets import make_gaussian_pair
        >>> from sklearn_ot.transport import GaussianTransport
        >>> pair = make_gaussian_pair(2, 1000, random_state=0)
        >>> transport = GaussianTransport().fit(pair.source, pair.target)
        >>> certificate = transport.certificate(pair.sample_source(1000, 1), pair.sample_target(1000, 2))
        >>> bool(certificate["distance"].low < certificate["distance"].high)
        True
        """
        check_is_fitted(self)
        check_certificate(confidence, plan_size)
        X, Y, weight, target_weight = self._both_samples(X, X_target, sample_weight, target_weight)
        sides = Side.of(X, weight), Side.of(Y, target_weight)
        warn_seen(sides[1].rows, self.target_reference_, "X_target")
        return certify(type(self).__name__, self.potentials_, *sides, confidence, plan_size)

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
        return self.potentials_.potential(validated(self, X))

"""Base class of transports whose map is affine and has a closed form."""

from sklearn.utils.validation import check_is_fitted

from sklearn_ot.base import InvertibleTransport, validated


class AffineTransport(InvertibleTransport):
    """Base class of transports whose map is affine, the gradient of a quadratic potential.

    The map of a subclass is its attribute ``map_``, a value with the methods ``transport``, ``inverse`` and
    ``potential`` on arrays of rows.
    """

    def _transform(self, X):
        return self.map_.transport(X)

    def _inverse_transform(self, X):
        return self.map_.inverse(X)

    def _module(self, inverse):
        return self.map_.to_torch(inverse)

    def potential(self, X):
        r"""The convex potential whose gradient is `transform`.

        .. math:: \psi(x) = \tfrac12 (x - m_s)^\top L\, (x - m_s) + \langle m_t, x - m_s \rangle

        L is the symmetric matrix of the map, :math:`T(x) = m_t + L (x - m_s)`. The potential is 0 at the mean of the
        source.

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
        return self.map_.potential(validated(self, X))

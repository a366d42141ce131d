"""Links from the HTML diagram of an estimator to its page in the documentation."""

from functools import cache
from importlib.metadata import metadata


@cache
def address_of_documentation():
    """The address that the metadata of the package have, with a slash at its end; empty if they have none."""
    addresses = dict(line.split(", ", 1) for line in metadata("sklearn-ot").get_all("Project-URL") or ())
    address = addresses.get("Documentation", "")
    return address if address.endswith("/") or not address else f"{address}/"


class DocumentationLink:
    """Mixin of estimators, left of scikit-learn's base class: they link their own page and not one of scikit-learn."""

    _doc_link_module = "sklearn_ot"

    @property
    def _doc_link_template(self):
        address = address_of_documentation()
        return address and f"{address}generated/{{estimator_module}}.{{estimator_name}}.html"

"""The only way out of the platform over HTTP: one door, two clients behind it."""

from dispatcher.addresses import AddressRules
from dispatcher.http.door import Client, Finished, Limits, Request

__all__ = ["Client", "Finished", "Limits", "Request", "UnknownClient", "make_client"]


class UnknownClient(ValueError):
    """No client has this name."""


def make_client(name: str, *, rules: AddressRules, limits: Limits) -> Client:
    """The client of that name, `curl` or `requests`. Raises UnknownClient.

    Imported late: a platform without libcurl can still use the other one.
    """
    if name == "curl":
        from dispatcher.http.curl import CurlClient

        return CurlClient(rules=rules, limits=limits)
    if name == "requests":
        from dispatcher.http.requests_client import RequestsClient

        return RequestsClient(rules=rules, limits=limits)
    raise UnknownClient(f"HTTP_CLIENT is {name!r}; it must be curl or requests")

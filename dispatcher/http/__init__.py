"""The only way out of the platform over HTTP: one door, two clients behind it."""

import os

from dispatcher.addresses import AddressRules
from dispatcher.http.door import Client, Finished, Limits, Request

__all__ = ["Client", "Finished", "Limits", "Request", "UnknownClient", "make_client"]

os.environ.pop("SSLKEYLOGFILE", None)
# Both clients would write the keys of every connection there: whoever has recorded the traffic could read secrets and
# payloads. Here, because libcurl reads the name once, as it is loaded.


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

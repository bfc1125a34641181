"""The platform's own worker with a client that sends nothing: all rows are written, no request leaves.

`celery -A tests.bench.instant worker -Q drain`.
"""

from unittest.mock import patch

import dispatcher.http
from config.celery import app
from dispatcher.addresses import AddressRules
from dispatcher.http.door import Finished, Limits, Request
from dispatcher.outcomes import Outcome, Phases, Reason

__all__ = ["app"]

ANSWERED = Outcome(
    Reason.DELIVERED,
    200,
    headers="Content-Type: text/plain\r\nContent-Length: 2\r\n",
    body=b"OK",
    peer="127.0.0.1:40000",
    phases=Phases(send=0.05, wait=0.5, total=0.6),
)
# As long as what the sink's answers leave in the log.


class InstantClient:
    """Answers every request at the next poll."""

    def __init__(self, *, rules: AddressRules, limits: Limits) -> None:
        self._submitted: list[Request] = []

    @property
    def in_flight(self) -> int:
        return len(self._submitted)

    def submit(self, request: Request) -> None:
        self._submitted.append(request)

    def poll(self, timeout_s: float) -> list[Finished]:
        finished = [Finished(request.key, ANSWERED) for request in self._submitted]
        self._submitted = []
        return finished

    def close(self) -> None:
        self._submitted = []


def _make_client(_name: str, *, rules: AddressRules, limits: Limits) -> InstantClient:
    return InstantClient(rules=rules, limits=limits)


# Before the engine is imported, which takes the function from there.
patch.object(dispatcher.http, "make_client", _make_client).start()

"""The one door out: what goes in, what comes back, and the three calls that every client answers to."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, Protocol

from dispatcher.outcomes import Outcome
from dispatcher.targets import Target

BODY_TOO_LARGE = "body_too_large"
# The one `body_error` that is no reason. The others are reasons: response_timeout, connection_reset, connection_closed,
# protocol_error, response_too_large_headers (trailers).


@dataclass(frozen=True, slots=True)
class Limits:
    """What one attempt may use. Sizes in bytes, the deadline in seconds from `submit` to the last byte.

    `body_bytes` is counted as the body comes over the wire, so chunk sizes and trailers may count.
    """

    deadline_s: float = 10.0
    header_bytes: int = 65_536
    body_bytes: int = 65_536
    # Bytes of the answer's body that the outcome keeps; the rest that is read is thrown away.
    excerpt_bytes: int = 16_384


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, or a HEAD, which asks for headers only and whose `body` is empty.

    `headers` are name/value pairs exactly as they go on the wire (Host, Content-Length and Connection are the client's
    own); `key` is the caller's and comes back with the outcome."""

    key: Hashable
    target: Target
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: Literal["POST", "HEAD"] = "POST"


@dataclass(frozen=True, slots=True)
class Finished:
    key: Hashable
    outcome: Outcome


class Client(Protocol):
    """Carries many requests at once. Not for sharing between threads."""

    @property
    def in_flight(self) -> int:
        """Requests that were submitted and have not come back from `poll`."""

    def submit(self, request: Request) -> None:
        """Start one request; never blocks on the network, never raises for what a receiver or a resolver does."""

    def poll(self, timeout_s: float) -> list[Finished]:
        """Drive the transfers for at most `timeout_s` and return what finished; returns early once something has."""

    def close(self) -> None:
        """Abandon what is in flight and free every socket."""

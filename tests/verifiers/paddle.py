"""Paddle's own library, which allows five seconds."""

from dataclasses import dataclass

from paddle_billing.Notifications import Secret, Verifier  # type: ignore[import-untyped]

from tests.verifiers.delivered import Delivered, Headers, require


@dataclass(frozen=True)
class Request:
    """What the library asks of a framework's request."""

    headers: Headers
    body: bytes


def verify(request: Delivered) -> None:
    is_valid = Verifier().verify(Request(request.headers, request.body), Secret(request.secret))
    require(is_valid, "the library refuses it")

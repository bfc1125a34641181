"""A server that answers as a test says, request by request."""

import json
from collections.abc import Callable
from typing import Any

from tests.receivers.receiver import Connection, Received, Receiver, Script

Step = Callable[[Connection], bool]
# Whether the connection stays open.


def answer(status: int, body: Any = None, **headers: str) -> Step:
    """An answer with a JSON body; `Retry_After="1"` becomes `Retry-After: 1`."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Length": str(len(raw)), "Content-Type": "application/json"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())

    def step(connection: Connection) -> bool:
        connection.send(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode() + raw)
        return True

    return step


def hang_up(connection: Connection) -> bool:
    """Take the request, and close without a word."""
    return False


def stay_silent(connection: Connection) -> bool:
    connection.hold()
    return False


def problem(status: int, code: str, **headers: str) -> Step:
    body = {"title": "A title", "status": status, "detail": "A sentence.", "code": code, "request_id": "r-1"}
    return answer(status, body, **headers)


def script(*steps: Step) -> Script:
    """The n-th request gets the n-th step; those after the last get the last again."""
    left = list(steps)

    def run(connection: Connection) -> None:
        while connection.read_request() is not None:
            step = left.pop(0) if len(left) > 1 else left[0]
            if not step(connection):
                return

    return run


def asked(receiver: Receiver) -> list[tuple[str, str]]:
    """Method and path of each request."""
    return [(one.line.split(" ")[0], one.path) for one in receiver.requests]


def keys(receiver: Receiver) -> list[str | None]:
    return [one.header("Idempotency-Key") for one in receiver.requests]


def base(receiver: Receiver) -> str:
    return receiver.url("")


__all__ = ["Received", "answer", "asked", "base", "hang_up", "keys", "problem", "script", "stay_silent"]

"""What a case of the suite is: how one receiver misbehaves, and the one outcome that may come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext

from dispatcher.outcomes import Reason
from tests.receivers import Connection
from tests.receivers.receiver import Script

BODY = b'{"n":1}'
CAP = 65_536
# Of a body and of headers each.


@dataclass(frozen=True, slots=True)
class Case:
    """One receiver. `requests` is how many full requests it may see, `lasts` whether only the deadline ends it."""

    name: str
    script: Script
    reason: Reason
    status: int | None = None
    body_error: str = ""
    lasts: bool = False
    requests: int = 1
    body: bytes = BODY
    # The receiver speaks TLS before its script begins; `scheme` is for scripts that answer the handshake themselves.
    tls: Callable[[], SSLContext] | None = None
    scheme: str = "http"
    receive_buffer_bytes: int | None = None

    def __str__(self) -> str:
        return self.name


def then(*acts: Callable[[Connection], object]) -> Script:
    def script(connection: Connection) -> None:
        for act in acts:
            act(connection)

    return script


def delivered(name: str, script: Script, body_error: str = "", **more: object) -> Case:
    return Case(name, script, Reason.DELIVERED, 200, body_error, **more)  # type: ignore[arg-type]


def answered(name: str, answer: bytes, reason: Reason, **more: object) -> Case:
    """The receiver reads the request, sends `answer` and says no more, but keeps the connection open."""
    return Case(name, say(answer), reason, **more)  # type: ignore[arg-type]


def say(answer: bytes, act: Callable[[Connection], object] = Connection.hold) -> Script:
    def script(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(answer)
            act(connection)

    return script


def dripping(start: bytes, slow: bytes, *, every_s: float = 0.02) -> Script:
    def script(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(start)
            connection.drip(slow, every_s=every_s)
            connection.hold()

    return script


def flooding(start: bytes, piece: bytes) -> Script:
    """`start`, then `piece` for as long as somebody listens."""

    def script(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(start)
            while not connection.receiver.stopping.is_set():
                connection.send(piece)

    return script

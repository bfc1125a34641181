"""The scripts that many tests share: how a receiver behaves on each connection."""

from collections.abc import Callable

from tests.receivers.receiver import Connection, Script

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def keep_alive(answer: bytes = OK) -> Script:
    """Answer every request on the connection."""

    def script(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answer)

    return script


def once(answer: bytes = OK) -> Script:
    """Answer one request and hang up."""

    def script(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(answer)

    return script


def then(answer: bytes, act: Callable[[Connection], None]) -> Script:
    """Read a request, send `answer`, then go on with `act`."""

    def script(connection: Connection) -> None:
        if connection.read_request() is not None:
            if answer:
                connection.send(answer)
            act(connection)

    return script


def endless(start: bytes, piece: bytes, *, every_s: float = 0.0) -> Script:
    """Read a request, send `start` and then `piece` for as long as somebody listens."""

    def script(connection: Connection) -> None:
        if connection.read_request() is not None:
            connection.send(start)
            while not connection.receiver.stopping.is_set():
                connection.send(piece)
                if every_s:
                    connection.pause(every_s)

    return script


def hold(connection: Connection) -> None:
    """Accept, and never read or write a byte."""
    connection.hold()


def canary(connection: Connection) -> None:
    """Nothing may ever come here. Answers, so that who comes anyway is told it worked."""
    keep_alive()(connection)

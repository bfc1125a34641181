"""Receivers that do not take the request as it is sent: before it, while it is written, and right after it."""

from dispatcher.outcomes import Reason
from tests.acceptance.receivers.cases import Case, delivered, then
from tests.acceptance.receivers.heads import OK
from tests.receivers import Connection
from tests.receivers.receiver import Script

LARGE = b"x" * 262_144
# What an event's body may measure.
HUGE = b"x" * 8_000_000
# More than the buffers of both kernels hold, however they grow.
SMALL_BUFFER_BYTES = 4_096


def trickle(connection: Connection) -> None:
    """Take a byte now and then."""
    while connection.sock.recv(1) and not connection.pause(0.05):
        pass


def answer_early(answer: bytes, act: Script) -> Script:
    """Answer when the headers are there, and leave the body where it is."""

    def script(connection: Connection) -> None:
        connection.read_head()
        connection.send(answer)
        act(connection)

    return script


def after(size: int, act: Script) -> Script:
    """Read so many bytes, then act."""

    def script(connection: Connection) -> None:
        left = size
        while left > 0 and (data := connection.sock.recv(min(left, 65_536))):
            left -= len(data)
        act(connection)

    return script


def greet(answer: bytes) -> Script:
    """Talk before a byte has come, as a mail server does; then read what comes."""

    def script(connection: Connection) -> None:
        connection.send(answer)
        connection.read_request()
        connection.hold()

    return script


def stuck(name: str, script: Script, body: bytes) -> Case:
    return Case(
        name,
        script,
        Reason.WRITE_TIMEOUT,
        lasts=True,
        requests=0,
        body=body,
        receive_buffer_bytes=SMALL_BUFFER_BYTES,
    )


SLOW = [
    stuck("never reads 8 MB", Connection.hold, HUGE),
    stuck("reads the headers of 8 MB", after(100, Connection.hold), HUGE),
    stuck("reads 8 MB byte by byte", trickle, HUGE),
    stuck("stops in the middle of 8 MB", after(1_000_000, Connection.hold), HUGE),
    Case(
        "never reads, and the kernels' buffers take it all",
        Connection.hold,
        Reason.RESPONSE_TIMEOUT,
        lasts=True,
        requests=0,
    ),
]

BROKEN = [
    Case("resets at once", Connection.reset, Reason.CONNECTION_RESET, requests=0),
    Case(
        "resets in the middle of a body",
        after(100_000, Connection.reset),
        Reason.CONNECTION_RESET,
        requests=0,
        body=HUGE,
    ),
    # What it has not read makes its kernel send a reset.
    Case(
        "closes in the middle of a body",
        after(100_000, Connection.close),
        Reason.CONNECTION_RESET,
        requests=0,
        body=HUGE,
    ),
]

ODD = [
    delivered("answers early, reads nothing, stays", answer_early(OK, Connection.hold), body=LARGE, requests=0),
    delivered(
        "answers early, reads nothing of 8 MB, stays",
        answer_early(OK, Connection.hold),
        Reason.RESPONSE_TIMEOUT.value,
        body=HUGE,
        requests=0,
        receive_buffer_bytes=SMALL_BUFFER_BYTES,
        lasts=True,
    ),
    Case(
        "413 early, then closes",
        answer_early(OK.replace(b"200", b"413"), Connection.close),
        Reason.HTTP_CLIENT_ERROR,
        413,
        body=HUGE,
        requests=0,
    ),
    Case(
        "413 early, then resets",
        answer_early(OK.replace(b"200", b"413"), then(lambda connection: connection.pause(0.05), Connection.reset)),
        Reason.HTTP_CLIENT_ERROR,
        413,
        body=HUGE,
        requests=0,
    ),
    Case(
        "500 before the request",
        greet(OK.replace(b"200", b"500")),
        Reason.HTTP_SERVER_ERROR,
        500,
    ),
    Case("a greeting of SMTP before the request", greet(b"220 mail\r\n"), Reason.PROTOCOL_ERROR),
]

WRITING = [*SLOW, *BROKEN, *ODD]

"""TLS that is slow, endless, broken, odd or not to be believed."""

import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from dispatcher.outcomes import Reason
from tests.acceptance.receivers.cases import Case, delivered, flooding, say, then
from tests.acceptance.receivers.heads import HEAD, OK
from tests.receivers import Connection
from tests.receivers.certificates import certificates
from tests.receivers.receiver import Script

RECORD_HEAD = 5
ALERT, HANDSHAKE, CHANGE, DATA = 21, 22, 20, 23


def context(highest: ssl.TLSVersion) -> ssl.SSLContext:
    made = certificates().valid()
    made.maximum_version = highest
    return made


def records(flight: bytes) -> Iterator[bytes]:
    while flight:
        size = RECORD_HEAD + int.from_bytes(flight[3:5], "big")
        yield flight[:size]
        flight = flight[size:]


def stall(version: ssl.TLSVersion, sent: int) -> Script:
    """An honest handshake, by hand, of which only so many records ever leave."""

    def script(connection: Connection) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context(version).wrap_bio(incoming, outgoing, server_side=True)
        left = sent
        while left > 0 and (data := connection.sock.recv(65_536)):
            incoming.write(data)
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
            for record in records(outgoing.read()):
                if left > 0:
                    connection.send(record)
                left -= 1
        connection.hold()

    return script


def after_hello(data: bytes, act: Callable[[Connection], object] = Connection.hold) -> Script:
    """Wait for the ClientHello, then send `data`."""

    def script(connection: Connection) -> None:
        connection.sock.recv(65_536)
        connection.send(data)
        act(connection)

    return script


def flood_after_hello(start: bytes, piece: bytes) -> Script:
    def script(connection: Connection) -> None:
        connection.sock.recv(65_536)
        connection.send(start)
        while not connection.receiver.stopping.is_set():
            connection.send(piece)

    return script


def drip_after_hello(data: bytes) -> Script:
    return after_hello(b"", then(lambda connection: connection.drip(data, every_s=0.02), Connection.hold))


def record(kind: int, content: bytes) -> bytes:
    return bytes([kind, 3, 3]) + len(content).to_bytes(2, "big") + content


def refused(name: str, made: Callable[[], ssl.SSLContext], reason: Reason) -> Case:
    return Case(name, Connection.hold, reason, tls=made, requests=0)


def raw(name: str, script: Script, reason: Reason, *, lasts: bool = False) -> Case:
    """The script speaks TLS itself, or does not."""
    return Case(name, script, reason, scheme="https", requests=0, lasts=lasts)


def old(version: ssl.TLSVersion) -> ssl.SSLContext:
    made = certificates().valid()
    with warnings.catch_warnings():
        # Python does not like them either.
        warnings.simplefilter("ignore", DeprecationWarning)
        made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        made.maximum_version = version
    made.set_ciphers("ALL:@SECLEVEL=0")
    return made


def tickets(count: int) -> ssl.SSLContext:
    made = context(ssl.TLSVersion.TLSv1_3)
    made.num_tickets = count
    return made


def alpn_h2() -> ssl.SSLContext:
    made = certificates().valid()
    made.set_alpn_protocols(["h2"])
    return made


TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

SLOW = [
    raw("silent after the connection", Connection.hold, Reason.TLS_TIMEOUT, lasts=True),
    raw("silent after the ClientHello", after_hello(b""), Reason.TLS_TIMEOUT, lasts=True),
    *(raw(f"TLS 1.2 stalls after record {n}", stall(TLS_1_2, n), Reason.TLS_TIMEOUT, lasts=True) for n in range(1, 6)),
    *(raw(f"TLS 1.3 stalls after record {n}", stall(TLS_1_3, n), Reason.TLS_TIMEOUT, lasts=True) for n in range(1, 5)),
    raw("half the head of a record", after_hello(b"\x16\x03"), Reason.TLS_TIMEOUT, lasts=True),
    raw(
        "a record that announces more than comes",
        after_hello(b"\x16\x03\x03\x40\x00\x02"),
        Reason.TLS_TIMEOUT,
        lasts=True,
    ),
    raw(
        "a handshake byte by byte",
        drip_after_hello(b"\x16\x03\x03\x40\x00\x02" + b"\0" * 1_000),
        Reason.TLS_TIMEOUT,
        lasts=True,
    ),
    raw("one warning, then silence", after_hello(record(ALERT, b"\x01\x5a")), Reason.TLS_TIMEOUT, lasts=True),
    Case("silent after the handshake", say(b""), Reason.RESPONSE_TIMEOUT, tls=certificates().valid, lasts=True),
]

ENDLESS = [
    raw("warnings for ever", flood_after_hello(b"", record(ALERT, b"\x01\x5a")), Reason.TLS_PROTOCOL),
    raw("empty records for ever", flood_after_hello(b"", record(HANDSHAKE, b"")), Reason.TLS_PROTOCOL),
    raw("garbage for ever", flood_after_hello(b"", b"garbage" * 1_000), Reason.TLS_PROTOCOL),
    raw(
        "a handshake message of 16 MB",
        flood_after_hello(record(HANDSHAKE, b"\x02\xff\xff\xff" + b"\0" * 9_000), record(HANDSHAKE, b"\0" * 9_000)),
        Reason.TLS_PROTOCOL,
    ),
    Case(
        "headers for ever inside TLS",
        flooding(HEAD, b"X: " + b"y" * 100 + b"\r\n"),
        Reason.RESPONSE_TOO_LARGE_HEADERS,
        tls=certificates().valid,
    ),
    delivered(
        "a body for ever inside TLS",
        flooding(HEAD + b"\r\n", b"x" * 10_000),
        "body_too_large",
        tls=certificates().valid,
    ),
]

BROKEN = [
    raw("plain HTTP on the TLS port", after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Reason.TLS_PROTOCOL),
    raw(
        "a greeting of SSH on the TLS port",
        then(lambda connection: connection.send(b"SSH-2.0-x\r\n"), Connection.hold),
        Reason.TLS_PROTOCOL,
    ),
    raw("closes after the ClientHello", after_hello(b"", Connection.close), Reason.TLS_PROTOCOL),
    raw("resets after the ClientHello", after_hello(b"", Connection.reset), Reason.CONNECTION_RESET),
    raw("resets before the ClientHello is read", Connection.reset, Reason.CONNECTION_RESET),
    raw("alert: handshake failure", after_hello(record(ALERT, b"\x02\x28")), Reason.TLS_PROTOCOL),
    raw("alert: unrecognized name", after_hello(record(ALERT, b"\x02\x70")), Reason.TLS_PROTOCOL),
    raw("alert: internal error", after_hello(record(ALERT, b"\x02\x50")), Reason.TLS_PROTOCOL),
    raw("alert: close notify", after_hello(record(ALERT, b"\x01\x00")), Reason.TLS_PROTOCOL),
    raw("data before the handshake", after_hello(record(DATA, b"hello")), Reason.TLS_PROTOCOL),
    raw("SSL 3", after_hello(b"\x16\x03\x00\x00\x04\x02\x00\x00\x00"), Reason.TLS_PROTOCOL),
    refused("TLS 1.0 only", partial(old, ssl.TLSVersion.TLSv1), Reason.TLS_PROTOCOL),
    refused("TLS 1.1 only", partial(old, ssl.TLSVersion.TLSv1_1), Reason.TLS_PROTOCOL),
    Case("closes after the request", say(b"", Connection.close), Reason.CONNECTION_CLOSED, tls=certificates().valid),
]

UNBELIEVABLE = [
    refused("expired", certificates().expired, Reason.TLS_CERT_EXPIRED),
    refused("another name", certificates().wrong_name, Reason.TLS_CERT_HOSTNAME),
    refused("an authority that nobody knows", certificates().unknown_authority, Reason.TLS_CERT_UNTRUSTED),
]

ODD = [
    delivered("TLS 1.2", say(OK), tls=partial(context, TLS_1_2)),
    delivered("TLS 1.3", say(OK), tls=partial(context, TLS_1_3)),
    delivered("nothing but HTTP/2 on offer, and HTTP/1.1 spoken", say(OK), tls=alpn_h2),
    delivered("20 tickets", say(OK), tls=partial(tickets, 20)),
    delivered("20,000 tickets", say(OK), tls=partial(tickets, 20_000)),
]

HANDSHAKES = [*SLOW, *ENDLESS, *BROKEN, *UNBELIEVABLE, *ODD]

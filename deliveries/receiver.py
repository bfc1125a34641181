"""A receiver that verifies what it gets, for demonstrations and for trying things out.

It stands where a merchant stands: it knows its secret and the published formats, and nothing of the code that signs.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, NamedTuple

TOLERANCE_S = 300
# How far a timestamp may be from our clock. Source: Standard Webhooks 1.0, "verifying webhook authenticity".
BODY_BYTES_MAX = 16 * 1024 * 1024
IDLE_S = 65.0
# A kept-alive connection without a request. Longer than senders keep theirs, so that they close first.
WHSEC = "whsec_"


class Verdict(StrEnum):
    """What became of one signature."""

    GOOD = "good"
    BAD = "bad"
    EXPIRED = "expired"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery as it came in. The verdicts are None where no secret was given to check with."""

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    hex_verdict: Verdict | None
    standard_verdict: Verdict | None
    status: int

    @property
    def event_type(self) -> str:
        return self.headers.get("x-webhook-event", "-")

    @property
    def event_id(self) -> str:
        return self.headers.get("x-webhook-id") or self.headers.get("webhook-id", "-")

    @property
    def attempt(self) -> str:
        return self.headers.get("x-webhook-attempt", "-")

    @property
    def is_genuine(self) -> bool:
        """Whether every signature that was checked holds."""
        return all(verdict in (None, Verdict.GOOD) for verdict in (self.hex_verdict, self.standard_verdict))


@dataclass(slots=True)
class Behaviour:
    """How the receiver answers at one path, and the secret that deliveries there are checked with.

    A delivery whose signature does not hold is answered 401, unless the status is a failure anyway.
    """

    secret: str | None = None
    status: int = 200
    delay_s: float = 0.0


Report = Callable[[Received], None]


class Answer(NamedTuple):
    status: int
    body: bytes = b""


class Listener:
    """An HTTP server on its own threads, which asks `answer` what to say to each POST."""

    def __init__(self, *, port: int, host: str = "127.0.0.1") -> None:
        self._server = _Server((host, port), self)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """`headers` have lower-case names. Called from many threads at once."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Serve until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        self._server.shutdown()

    def close(self) -> None:
        self._server.server_close()


class Receiver(Listener):
    """Verifies the default profile. `paths` may be changed while it runs; other paths behave as `default`."""

    def __init__(
        self,
        *,
        port: int,
        host: str = "127.0.0.1",
        paths: Mapping[str, Behaviour] | None = None,
        default: Behaviour | None = None,
        report: Report = lambda received: None,  # noqa: ARG005 - nobody wants to know
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.paths: dict[str, Behaviour] = dict(paths or {})
        self.default = default or Behaviour()
        self._report = report
        self._clock = clock
        self._lock = Lock()
        self._counts: Counter[tuple[str, int, bool]] = Counter()
        super().__init__(port=port, host=host)

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return Answer(self.receive(path, headers, body).status)

    def counts(self) -> dict[tuple[str, int, bool], int]:
        """How many deliveries came so far, by path, status answered, and whether their signatures held."""
        with self._lock:
            return dict(self._counts)

    def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> Received:
        """Judge one delivery, count and report it. `headers` have lower-case names."""
        behaviour = self.paths.get(path, self.default)
        hex_verdict = standard_verdict = None
        if behaviour.secret is not None:
            hex_verdict = check_hex(behaviour.secret, headers, body)
            standard_verdict = check_standard(behaviour.secret, headers, body, now=self._clock())
        received = Received(path, headers, body, hex_verdict, standard_verdict, behaviour.status)
        if not received.is_genuine and behaviour.status < 300:
            received = Received(path, headers, body, hex_verdict, standard_verdict, 401)
        if behaviour.delay_s:
            time.sleep(behaviour.delay_s)
        with self._lock:
            self._counts[path, received.status, received.is_genuine] += 1
            self._report(received)
        return received


def check_hex(secret: str, headers: Mapping[str, str], body: bytes) -> Verdict:
    """`X-Webhook-Signature`: hexadecimal HMAC-SHA256 of the body, keyed with the secret's UTF-8 text."""
    given = headers.get("x-webhook-signature")
    if given is None:
        return Verdict.ABSENT
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return Verdict.GOOD if hmac.compare_digest(given.encode(), expected.encode()) else Verdict.BAD


def check_standard(secret: str, headers: Mapping[str, str], body: bytes, *, now: float) -> Verdict:
    """`webhook-signature`: one of its `v1` items must be the HMAC-SHA256 of `id.timestamp.body`, in base64.

    Source: Standard Webhooks 1.0.
    """
    given, stamp = headers.get("webhook-signature"), headers.get("webhook-timestamp", "")
    if given is None:
        return Verdict.ABSENT
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(_standard_key(secret), signed, hashlib.sha256).digest())
    if not any(hmac.compare_digest(item.encode(), expected) for item in given.split(" ")):
        return Verdict.BAD
    is_recent = stamp.isascii() and stamp.isdigit() and abs(now - int(stamp)) <= TOLERANCE_S
    return Verdict.GOOD if is_recent else Verdict.EXPIRED


def _standard_key(secret: str) -> bytes:
    """The bytes behind `whsec_`, or the text itself when the secret has not that form."""
    if secret.startswith(WHSEC):
        try:
            return base64.b64decode(secret.removeprefix(WHSEC), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    # A drain opens hundreds of connections in one moment.

    def __init__(self, address: tuple[str, int], listener: Listener) -> None:
        self.listener = listener
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self._read_body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(self.server.listener.answer(self.path, headers, body))

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            self._answer(Answer(413 if length else 411))
            return None
        return self.rfile.read(int(length))

    def _answer(self, answer: Answer) -> None:
        """Head and body in one packet: two would wait for the other side's delayed acknowledgement."""
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Silent: what is worth telling goes through the report."""

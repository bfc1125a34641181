"""A small HTTP server for `listen`: judges each delivery, passes it on, and answers what came of it."""

import base64
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from dispatcher.client import SignatureError, webhooks

BODY_BYTES_MAX = 16 * 1024 * 1024
# Far above what the platform sends: 256 KiB of payload by default, and what a format puts around it.
IDLE_S = 65.0
# A kept-alive connection without a request. Longer than senders keep theirs, so that they close first.
FORWARD_TIMEOUT_S = 10.0
# As long as the platform itself waits by default.
ANSWER_BYTES_MAX = 64 * 1024
# Of the target's answer; the platform's log keeps less.

NOT_FORWARDED = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect", "host", "content-length", "accept-encoding"),
    }
)
# They concern one connection (RFC 9110, 7.6.1), or are made anew for the next.
PASSED_BACK = ("Content-Type", "Retry-After")

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Judge:
    """How deliveries are checked. Without a secret nothing is."""

    secret: str | None = field(repr=False)
    profile: str
    is_lenient: bool = False

    def signature(self, headers: Pairs, body: bytes) -> str:
        """`good`, `unchecked`, or why it is not good: `missing`, `mismatch`, `expired`, `unreadable`."""
        if self.secret is None:
            return "unchecked"
        try:
            webhooks.verify(headers, body, self.secret, profile=self.profile)
        except SignatureError as trouble:
            return trouble.reason
        return "good"

    def accepts(self, signature: str) -> bool:
        return self.is_lenient or signature in {"good", "unchecked"}


@dataclass(frozen=True, slots=True)
class Received:
    """One delivery and what became of it. `trouble`: why the target gave no answer."""

    path: str
    headers: Pairs
    body: bytes = field(repr=False)
    signature: str
    status: int
    is_forwarded: bool
    trouble: str
    at: datetime
    took_ms: float

    def header(self, *names: str) -> str:
        """The first of these that is there."""
        found = {name.lower(): value for name, value in self.headers}
        return next((found[name] for name in names if name in found), "")

    @property
    def event_id(self) -> str:
        return self.header("x-webhook-id", "webhook-id", "x-github-delivery")

    @property
    def event_type(self) -> str:
        return self.header("x-webhook-event", "x-github-event")

    def shown(self) -> dict[str, Any]:
        """For --json; the body as text, or in base64 where it is none."""
        return {
            "received_at": self.at.isoformat(),
            "event_type": self.event_type,
            "event_id": self.event_id,
            "attempt": self.header("x-webhook-attempt"),
            "path": self.path,
            "signature": self.signature,
            "status": self.status,
            "forwarded": self.is_forwarded,
            "trouble": self.trouble or None,
            "took_ms": round(self.took_ms, 1),
            "headers": [{"name": name, "value": value} for name, value in self.headers],
            **_body(self.body),
        }


Report = Callable[[Received], None]


class Receiver:
    """Listens from the moment it is made. `judge` may be set later: until then everything is told to come again."""

    def __init__(self, *, host: str, port: int, forward_to: str | None, status: int, report: Report) -> None:
        self.judge: Judge | None = None
        self._forward_to = forward_to
        self._status = status
        self._report = report
        self._server = _Server((host, port), self)

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}/" if ":" in str(host) else f"http://{host!s}:{port}/"

    def serve(self) -> None:
        """Until `stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        self._server.shutdown()

    def close(self) -> None:
        self._server.server_close()

    def take(self, path: str, headers: Pairs, body: bytes) -> Answer:
        """1. Judge. 2. Forward what is genuine. 3. Report. 4. Answer as the target did."""
        if self.judge is None:
            return Answer(503, {"Retry-After": "1"})
        at, began = datetime.now(UTC), time.monotonic()
        signature = self.judge.signature(headers, body)
        is_forwarded, trouble = False, ""
        if not self.judge.accepts(signature):
            answer = Answer(401, {"Content-Type": "text/plain"}, f"signature {signature}".encode())
        elif self._forward_to is None:
            answer = Answer(self._status)
        else:
            is_forwarded = True
            answer, trouble = forward(self._forward_to, headers, body)
        took_ms = (time.monotonic() - began) * 1000
        self._report(Received(path, headers, body, signature, answer.status, is_forwarded, trouble, at, took_ms))
        return answer


def forward(url: str, headers: Pairs, body: bytes) -> tuple[Answer, str]:
    """The target's answer, or ours in its place and why: 502 for a target that is not there, 504 for a slow one."""
    kept = {name: value for name, value in headers if name.lower() not in NOT_FORWARDED}
    session = requests.Session()
    # Neither a proxy nor a .netrc stands between two programs of one machine.
    session.trust_env = False
    session.headers.clear()
    try:
        with (
            session,
            session.post(
                url,
                data=body,
                headers={**kept, "Accept-Encoding": "identity"},
                timeout=FORWARD_TIMEOUT_S,
                allow_redirects=False,
                stream=True,
            ) as got,
        ):
            content = next(got.iter_content(ANSWER_BYTES_MAX), b"")
            told = {name: got.headers[name] for name in PASSED_BACK if name in got.headers}
            return Answer(got.status_code, told, content), ""
    except requests.Timeout:
        return Answer(504), f"no answer within {FORWARD_TIMEOUT_S:g} s"
    except requests.RequestException as trouble:
        return Answer(502), _reason(trouble)


def _reason(trouble: BaseException) -> str:
    """What the system said, under the layers around it."""
    inner: BaseException = trouble
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    return (inner.strerror if isinstance(inner, OSError) else None) or str(inner) or type(inner).__name__


def _body(body: bytes) -> dict[str, Any]:
    try:
        return {"body": body.decode(), "is_body_base64": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "is_body_base64": True}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # A target that hangs does not keep anybody from leaving.
    request_queue_size = 512
    # A drain opens many connections in one moment.

    def __init__(self, address: tuple[str, int], receiver: Receiver) -> None:
        self.receiver = receiver
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A sender that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "signet-listen"
    sys_version = ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        body = self._read_body()
        if body is not None:
            self._answer(self.server.receiver.take(self.path, list(self.headers.items()), body))

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
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status >= 200 and answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.status not in {204, 304}:
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Silent: what is worth telling goes through the report."""

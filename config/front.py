"""The web process's door: takes requests in whole, a bounded number at a time, before a thread works on any.

Django's views block, and there are few threads. A body that comes byte by byte would hold one for as long as its
sender likes; here it holds a coroutine, for a bounded time. What comes faster than the threads can work is told to
come again, while it still costs nothing.

`granian --interface rsgi --no-ws config.front:application`.
Source: the RSGI specification 1.5; PEP 3333 for what is behind.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol

from django.conf import settings
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined] # documented there

# First: it sets Django up, which what follows needs.
from config.wsgi import application as django_application

# isort: split
from config.api.problems import CONTENT_TYPE, DETAIL_OF_STATUS
from config.api.problems import RETRY_AFTER_S as DATABASE_RETRY_AFTER_S
from config.api.request_id import HEADER as REQUEST_ID
from config.api.request_id import of_header
from config.publish_door import PublishDoor, Unsure
from config.security_headers import complete
from deliveries import metrics

THREADS_VARIABLE = "SIGNET_WEB_THREADS"
THREADS = 5
WAITING_EACH = 20
# Requests that may wait for one thread. At a few milliseconds each that is a tenth of a second; more would only wait
# until their callers have given up.
BODY_S = 30.0
# From the head of a request to the last byte of its body: a batch of 8 MiB still arrives over 2.3 Mbit/s.
BODIES_BYTES = 128 * 1024 * 1024
# Of all requests that are being taken in or worked on. 16 of the largest batches, or thousands of single events.
RETRY_AFTER_S = 1
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
# A process that is busy is alive: the probes have threads of their own, and stand in no queue.
PROBE_THREADS = 2
# While one waits for Postgres, /livez is answered.

PIECE_S = 60.0
# A caller that takes no piece of a long answer for so long has gone.
MOST_LONG = 32
# Long answers that are being sent; each holds a megabyte or two.

Headers = list[tuple[str, str]]
Answer = tuple[int, Headers, bytes | Iterable[bytes]]


class Scope(Protocol):
    """What RSGI tells of a request; headers have lower-case names, and `get_all` gives all of one name."""

    proto: str
    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    headers: Any


class Refusal(Exception):
    """The request is sent away before anybody works on it."""

    def __init__(self, status: int, code: str, detail: str, retry_after_s: int = 0) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.retry_after_s = status, code, detail, retry_after_s


BUSY = (503, "overloaded", "More requests than can be worked on. Try again shortly.", RETRY_AFTER_S)
GONE = (503, "unavailable", DETAIL_OF_STATUS[503], DATABASE_RETRY_AFTER_S)


class Front:
    """One process's requests: those being taken in, those that wait for a thread, those at work."""

    def __init__(self, wsgi: Callable[..., Iterable[bytes]], *, threads: int, body_bytes: int) -> None:
        self._wsgi = wsgi
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._publishes = PublishDoor()
        self._probes = ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe")
        self._most = threads * (1 + WAITING_EACH)
        self._body_bytes = body_bytes
        self._at_work = 0
        self._held_bytes = 0
        self._long = 0

    async def __call__(self, scope: Scope, protocol: Any) -> None:
        try:
            status, headers, body = await self._answer(scope, protocol)
        except Refusal as refusal:
            status, headers, body = _problem(scope, refusal)
        if isinstance(body, bytes):
            protocol.response_bytes(status, headers, body)
        else:
            await self._send_pieces(protocol.response_stream(status, headers), body)

    async def _send_pieces(self, transport: Any, body: Iterable[bytes]) -> None:
        """A thread fetches a piece, then works for others until the caller has taken it."""
        run, pieces = asyncio.get_running_loop().run_in_executor, iter(body)
        try:
            while (piece := await run(self._pool, next, pieces, None)) is not None:
                async with asyncio.timeout(PIECE_S):
                    await transport.send_bytes(piece)
        except (ProtocolClosed, TimeoutError):
            # Whoever hung up asks for the rest, or does not.
            pass
        finally:
            self._long -= 1
            await run(self._pool, _close, body)

    async def _answer(self, scope: Scope, protocol: Any) -> Answer:
        body = bytearray()
        try:
            await self._take_in(scope, protocol, body)
            return await self._work(scope, bytes(body))
        finally:
            self._held_bytes -= len(body)

    async def _take_in(self, scope: Scope, protocol: Any, body: bytearray) -> None:
        """The whole body into `body`. Raises Refusal for one that is too large, too slow, cut off, or one too many.

        The server ends the iteration when the caller hangs up, as if the body were over; only a length that was
        announced tells the difference.
        """
        length = scope.headers.get("content-length")
        if length is not None and int(length) > self._body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in protocol:
                    self._take_chunk(body, chunk)
        except TimeoutError:
            raise Refusal(408, "request_timeout", f"The body did not arrive within {BODY_S:g} seconds.") from None
        if length is not None and len(body) != int(length):
            raise Refusal(400, "incomplete_body", "The body is shorter than was announced.")

    def _take_chunk(self, body: bytearray, chunk: bytes) -> None:
        if len(body) + len(chunk) > self._body_bytes:
            raise self._too_large()
        if self._held_bytes + len(chunk) > BODIES_BYTES:
            raise Refusal(*BUSY)
        self._held_bytes += len(chunk)
        body += chunk

    def _too_large(self) -> Refusal:
        return Refusal(413, "body_too_large", f"A body has at most {self._body_bytes} bytes.")

    async def _work(self, scope: Scope, body: bytes) -> Answer:
        run = asyncio.get_running_loop().run_in_executor
        if scope.path in PROBES:
            return await run(self._probes, self._call, environment(scope, body))
        if self._at_work >= self._most:
            raise Refusal(*BUSY)
        self._at_work += 1
        try:
            answer: Answer | None = await self._publishes.answer(scope, body)
            if answer is None:
                answer = await run(self._pool, self._call, environment(scope, body))
        except Unsure:
            raise Refusal(*GONE) from None
        finally:
            self._at_work -= 1
        if not isinstance(answer[2], bytes):
            if self._long >= MOST_LONG:
                await run(self._pool, _close, answer[2])
                raise Refusal(*BUSY)
            self._long += 1
        return answer

    def _call(self, environ: dict[str, Any]) -> Answer:
        """One WSGI call, its answer whole unless it says that it is sent in pieces."""
        told: list[tuple[str, Headers]] = []

        def start_response(status: str, headers: Headers, _exc_info: Any = None) -> None:
            told[:] = [(status, headers)]

        answer = self._wsgi(environ, start_response)
        if getattr(answer, "is_sent_in_pieces", False):
            status, headers = told[0]
            return int(status[:3]), headers, answer
        try:
            body = b"".join(answer)
        finally:
            _close(answer)
        status, headers = told[0]
        return int(status[:3]), headers, body


def _close(answer: Any) -> None:
    if hasattr(answer, "close"):
        answer.close()


def environment(scope: Scope, body: bytes) -> dict[str, Any]:
    """The request as PEP 3333 wants it.

    A header whose name has an underscore is dropped: it would look the same as its cousin with a hyphen, and so could
    pass for one that a proxy vouches for. The length is that of the body that came.
    """
    host, port = _address(scope.server)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": _address(scope.client)[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name in scope.headers:
        if "_" not in name:
            values = scope.headers.get_all(name)
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = ("; " if name == "cookie" else ",").join(values)
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ["CONTENT_LENGTH"] = str(len(body)) if body else ""
    return environ


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port


def _problem(scope: Scope, refusal: Refusal) -> Answer:
    """As the API's other problems, made without Django. Source: RFC 9457."""
    metrics.REQUESTS_TURNED_AWAY.labels(refusal.code).inc()
    request_id = of_header(scope.headers.get_all(REQUEST_ID.lower()))
    members = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": scope.path,
        "code": refusal.code,
        "request_id": request_id,
    }
    headers = {"Content-Type": CONTENT_TYPE, REQUEST_ID: request_id}
    if refusal.retry_after_s:
        headers["Retry-After"] = str(refusal.retry_after_s)
    else:
        # What is left of the body is not worth reading.
        headers["Connection"] = "close"
    complete(headers, content_type=CONTENT_TYPE)
    return refusal.status, [(name.lower(), value) for name, value in headers.items()], json.dumps(members).encode()


def _threads(variables: Mapping[str, str]) -> int:
    return max(1, int(variables.get(THREADS_VARIABLE) or THREADS))


class Application:
    """What granian loads: a Front for each process."""

    def __init__(self) -> None:
        self._front = Front(
            django_application,
            threads=_threads(os.environ),
            body_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        )

    async def __rsgi__(self, scope: Scope, protocol: Any) -> None:
        await self._front(scope, protocol)


application = Application()

"""A door of its own for `POST /api/v2/events`: requests that wait at the same moment are published as one group.

A publish alone costs a parse, two statements and a commit, and a web framework around it that costs more than those.
Here the parse is each one's own; the rest is shared. A group is what came in while the ones before were being
written: nobody waits for company, so on an idle platform a group is one.

The door takes only requests whose form is plain, and answers only with success; the key's life is asked in the very
statement that publishes. Everything else goes the long way through Django, which then refuses as it always does. So
every refusal has one place, and what is answered here is what the view would answer.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.http.request import split_domain_port, validate_host

from config.api.request_id import HEADER as REQUEST_ID
from config.api.request_id import of_header
from config.observability import request_log
from config.security_headers import complete
from deliveries import metrics, tracing
from deliveries.api.publish_groups import Call, Unsure, publish
from subscriptions.api import bodies, idempotency

PATH = "/api/v2/events"
ROUTE = "api/v2/events"
PATIENCE_S = 0.05
# One group at a time: with two the groups are half as large, and an event costs twice as much of both processors. But
# behind one that takes longer than this, which then waits for a lock or for Postgres, the next goes ahead.
GROUPS = 4
# At the most. Each holds a connection to Postgres.
GROUP_EVENTS = 50
# A few milliseconds of Postgres; more would only let the first wait longer for the last.
MOST_HOSTS = 256
LOCAL_HOSTS = (".localhost", "127.0.0.1", "[::1]")
# As Django takes them in development.

Headers = list[tuple[str, str]]
Answer = tuple[int, Headers, bytes]
Waiting = asyncio.Future[bytes | None]


class PublishDoor:
    """One process's waiting publishes. All of it belongs to the event loop; only `_work` runs in other threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(GROUPS, thread_name_prefix="publish")
        self._waiting: list[tuple[Call, Waiting]] = []
        self._groups = 0
        self._began = 0.0

    async def answer(self, scope: Any, body: bytes) -> Answer | None:
        """The 202, or None when the request has to go the long way. Raises Unsure."""
        call = read(scope, body)
        if call is None:
            return None
        loop = asyncio.get_running_loop()
        future: Waiting = loop.create_future()
        self._waiting.append((call, future))
        if len(self._waiting) == 1:
            # At the end of this round of the loop, so that those who are there already come along.
            loop.call_soon(self._start)
        said = await future
        return None if said is None else (202, _headers(scope, said), said)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        is_stuck = self._groups < GROUPS and loop.time() - self._began >= PATIENCE_S
        if not self._waiting or (self._groups and not is_stuck):
            return
        group, self._waiting = self._waiting[:GROUP_EVENTS], self._waiting[GROUP_EVENTS:]
        self._groups, self._began = self._groups + 1, loop.time()
        work = loop.run_in_executor(self._pool, _work, [call for call, _ in group])
        work.add_done_callback(partial(self._finish, [future for _, future in group]))
        loop.call_later(PATIENCE_S, self._start)

    def _finish(self, futures: Sequence[Waiting], done: "asyncio.Future[list[bytes | None]]") -> None:
        self._groups -= 1
        trouble = done.exception()
        for position, future in enumerate(futures):
            if future.done():
                continue  # its caller has gone
            if trouble is None:
                future.set_result(done.result()[position])
            else:
                future.set_exception(trouble)
        self._start()


def _work(calls: Sequence[Call]) -> list[bytes | None]:
    began = time.perf_counter()
    # What Django does before each request.
    close_old_connections()
    answers = publish(calls)
    taken = sum(answer is not None for answer in answers)
    if taken:
        metrics.REQUESTS.labels("POST", ROUTE, "202").inc(taken)
        metrics.REQUEST_SECONDS.labels(ROUTE).observe_all([time.perf_counter() - began] * taken)
    return answers


def read(scope: Any, body: bytes) -> Call | None:
    """The call in a request that asks for nothing but to publish one event; None for any other."""
    if scope.path != PATH or scope.method != "POST" or scope.query_string or not body:
        return None
    if tracing.is_on() or request_log.is_said_of_all() or not _is_at_home(scope):
        return None
    named = scope.headers.get_all
    types, tokens, keys = named("content-type"), named("authorization"), named("idempotency-key")
    if (len(types), len(tokens)) != (1, 1) or not bodies.is_json(types[0]) or "content-encoding" in scope.headers:
        return None
    if "idempotency-key" in scope.headers and not keys:
        # There, but no text: the server hands out no value that is not ASCII. It must not count as none.
        return None
    scheme, _, token = tokens[0].partition(" ")
    if scheme.lower() != "bearer" or len(keys) > 1 or not all(map(idempotency.is_key, keys)):
        return None
    return Call(token.strip(), keys[0] if keys else None, body)


def _is_at_home(scope: Any) -> bool:
    """Whether the request came to a name of ours and, where we ask for it, by https."""
    hosts = scope.headers.get_all("host")
    if len(hosts) != 1 or not _is_allowed(hosts[0]):
        return False
    return _is_secure(scope) or not settings.SECURE_SSL_REDIRECT


@lru_cache(MOST_HOSTS)
def _is_allowed(host: str) -> bool:
    """As `HttpRequest.get_host` judges it."""
    allowed = settings.ALLOWED_HOSTS or (LOCAL_HOSTS if settings.DEBUG else ())
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _is_secure(scope: Any) -> bool:
    """As `HttpRequest.is_secure` finds it."""
    if settings.SECURE_PROXY_SSL_HEADER and (told := scope.headers.get_all("x-forwarded-proto")):
        return bool(told[0].split(",")[0].strip() == "https")
    return bool(scope.scheme == "https")


def _headers(scope: Any, said: bytes) -> Headers:
    """Those that the view's answer leaves with, once every middleware has added its own."""
    headers = {
        "Content-Type": "application/json",
        "Allow": "POST",
        "Content-Length": str(len(said)),
        REQUEST_ID: of_header(scope.headers.get_all(REQUEST_ID.lower())),
    }
    if settings.SECURE_HSTS_SECONDS and _is_secure(scope):
        headers["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains"
    complete(headers, content_type="application/json")
    return [(name.lower(), value) for name, value in headers.items()]


__all__ = ["PublishDoor", "Unsure", "read"]

"""Whether this process lives and whether it can serve: /livez and /readyz, for probes, people and the supervisor.

Of a web process, /livez says that it answers. /readyz says whether the platform does what it is for: the database is
there, and deliveries move. A router must not ask that much: where deliveries stall, publishing still works, and is all
the more needed. So it asks `/readyz?exclude=deliveries`.

Of a worker, /livez says whether to restart it could help: deliveries are due, and this node gets nowhere.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import redis
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

from deliveries.models import Heartbeat
from deliveries.selectors import heartbeats

REDIS_TIMEOUT_S = 0.5
# A probe waits for a frozen Redis no longer than this: Redis is reported, but publishing works without it.
OK = "ok"
UNKNOWN = "unknown"
# What cannot be told without the database.


class Node(Protocol):
    """A worker or beat, as its own main process knows it."""

    kind: str

    @property
    def idle_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe is told. Each check says `ok`, or in words what is wrong."""

    is_good: bool
    checks: dict[str, str]

    @property
    def status(self) -> int:
        return 200 if self.is_good else 503

    @property
    def body(self) -> dict[str, Any]:
        status = {"status": OK if self.is_good else "unavailable"}
        return status | ({"checks": self.checks} if self.checks else {})


class HealthMiddleware:
    """Answers the two probe addresses; everything else goes on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path)
        if probe is None or request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        report = probe(request.GET.getlist("exclude"))
        response = JsonResponse(report.body, status=report.status)
        response["Cache-Control"] = "no-store"
        return response


def livez(_excluded: Collection[str] = ()) -> Report:
    return Report(is_good=True, checks={})


def readyz(excluded: Collection[str] = ()) -> Report:
    """Good when the database answers, has every migration, and deliveries move. Redis is told beside it and decides
    nothing. What is excluded is told, too, and decides nothing either."""
    database = _database_state()
    deliveries = _deliveries_state() if database == OK else UNKNOWN
    deciding = {"database": database} | ({} if "deliveries" in excluded else {"deliveries": deliveries})
    checks = {"database": database, "redis": _redis_state(), "deliveries": deliveries}
    return Report(is_good=all(state == OK for state in deciding.values()), checks=checks)


PROBES: dict[str, Callable[[Collection[str]], Report]] = {"/livez": livez, "/readyz": readyz}


def of_worker(node: Node, *, is_whole: bool) -> Report:
    """What a worker's own port answers: /livez, and with `is_whole` /readyz, which also wants the database."""
    database = _database_state()
    checks = {"node": _node_state(node, is_database_there=database == OK)}
    if is_whole:
        checks["database"] = database
    return Report(is_good=all(state == OK for state in checks.values()), checks=checks)


def drain_state(idle_s: float) -> str:
    """Of a node that drains: whether deliveries wait for it in vain. Raises django.db.Error."""
    flow = heartbeats.flow()
    if min(flow.oldest_due_s, idle_s) <= settings.STALL_AFTER_S:
        return OK
    return f"stalled: no turn for {idle_s:.0f} s, and a lane has been due for {flow.oldest_due_s:.0f} s"


def beat_state(idle_s: float) -> str:
    return OK if idle_s <= settings.STALL_AFTER_S else f"stalled: no tick for {idle_s:.0f} s"


def _node_state(node: Node, *, is_database_there: bool) -> str:
    """Without Redis no bell reaches a worker and no tick leaves beat; to restart them would not bring it back."""
    if node.idle_s <= settings.STALL_AFTER_S or _redis_state() != OK:
        return OK
    if node.kind == Heartbeat.Kind.BEAT:
        return beat_state(node.idle_s)
    if node.kind != Heartbeat.Kind.DRAIN or not is_database_there:
        return OK
    try:
        return drain_state(node.idle_s)
    except Error:
        return OK


def _database_state() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return OK if Migrations.are_applied() else "migrations are missing"
    except Error:
        # A broken connection must not be what the next probe finds.
        connection.close()
        return "unreachable"


def _deliveries_state() -> str:
    try:
        flow = heartbeats.flow()
    except Error:
        connection.close()
        return UNKNOWN
    if not flow.is_stalled(after_s=settings.STALL_AFTER_S):
        return OK
    return f"stalled: a lane has been due for {flow.oldest_due_s:.0f} s, and no drain took a turn meanwhile"


class Migrations:
    """Whether every migration is applied. Once true it stays true for this process, so it is looked up once."""

    _known = False

    @classmethod
    def are_applied(cls) -> bool:
        if not cls._known:
            executor = MigrationExecutor(connection)
            cls._known = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        return cls._known


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), retries=0),
    )


def _redis_state() -> str:
    try:
        _redis().ping()
    except redis.RedisError:
        return "unreachable"
    return OK

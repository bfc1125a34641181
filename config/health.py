"""Whether this process lives and whether it can serve: /livez and /readyz, for probes and the supervisor."""

from collections.abc import Callable
from functools import cache

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

REDIS_TIMEOUT_S = 0.5
# A probe waits for a frozen Redis no longer than this: Redis is reported, but publishing works without it.


class HealthMiddleware:
    """Answers the two probe addresses; everything else goes on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path)
        if probe is None or request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        response = probe()
        response["Cache-Control"] = "no-store"
        return response


def livez() -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz() -> JsonResponse:
    """200 when the database answers and has every migration. Redis is told beside it and decides nothing."""
    database = _database_state()
    is_ready = database == "ok"
    checks = {"database": database, "redis": _redis_state()}
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "checks": checks}, status=200 if is_ready else 503
    )


PROBES = {"/livez": livez, "/readyz": readyz}


def _database_state() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return "ok" if Migrations.are_applied() else "migrations are missing"
    except DatabaseError:
        # A broken connection must not be what the next probe finds.
        connection.close()
        return "unreachable"


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
    return "ok"

"""Probes tell the truth about this process, whatever host name and state they meet."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client

from config import health


@pytest.fixture(autouse=True)
def _forget_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.Migrations, "_known", False)


@pytest.mark.django_db
def test_ready_when_the_database_has_every_migration(client: Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "redis": "ok"}}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_probes_come_by_any_host_name_and_are_not_redirected(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/readyz", headers={"host": "203.0.113.9"}).status_code == 200
    assert client.get("/livez", headers={"host": "203.0.113.9"}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    call_command("migrate", "sessions", "zero", verbosity=0)
    try:
        answer = client.get("/readyz")
    finally:
        call_command("migrate", "sessions", verbosity=0)

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "migrations are missing"


def test_not_ready_without_a_database_but_alive(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseError

    monkeypatch.setattr(connection, "cursor", refuse)

    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "unreachable"
    assert client.get("/livez").status_code == 200


@pytest.mark.django_db
def test_ready_without_redis_because_publishing_works(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    health._redis.cache_clear()
    try:
        answer = client.get("/readyz")
    finally:
        health._redis.cache_clear()

    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "redis": "unreachable"}}

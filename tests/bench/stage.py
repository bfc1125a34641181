"""The bench's own PostgreSQL and Redis, with production settings, and a fresh database for every bench."""

import base64
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from config.embedded.services import Services
from tests.bench.processes import Processes
from tests.services import FOREIGN

DIRECTORY_PREFIX = "signet-bench-"
FRESH = "bench_fresh"
# The seeded database that each bench gets a copy of.
MIGRATE_S = 120.0
DRAINS = 2


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the benches play. `environment` is what every process of theirs gets."""

    directory: Path
    processes: Processes
    environment: dict[str, str]
    admin_url: str

    def keep_as_fresh(self) -> None:
        """What the database holds now is what each bench begins with."""
        _leave_database()
        self._admin(
            f"DROP DATABASE IF EXISTS {FRESH}",
            f"CREATE DATABASE {FRESH} TEMPLATE {self._database}",
        )

    def reset(self) -> None:
        """A fresh database, an empty Redis. Nothing of a former bench may be running."""
        _leave_database()
        self._admin(
            f"DROP DATABASE {self._database} WITH (FORCE)",
            f"CREATE DATABASE {self._database} TEMPLATE {FRESH}",
            "CHECKPOINT",
        )
        with redis.Redis.from_url(self.environment["REDIS_URL"]) as client:
            client.flushall()

    @property
    def _database(self) -> str:
        return self.environment["DATABASE_URL"].partition("?")[0].rpartition("/")[2]

    def _admin(self, *statements: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Start both services, migrate, set Django up in this process; stop and erase everything at the end.

    Durable: commits wait for the disk, so the directory lies where files survive a reboot and not in a memory disk.
    """
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir="/var/tmp" if Path("/var/tmp").is_dir() else None))
    services = Services(directory, is_durable=True)
    try:
        urls = services.start()
        environment = _environment(directory, urls.database_url, urls.redis_url)
        processes = Processes(directory, environment)
        try:
            processes.run("migrate", [sys.executable, "manage.py", "migrate", "-v0"], timeout_s=MIGRATE_S)
            _set_up_django(environment)
            yield Stage(directory, processes, environment, _admin_url(urls.database_url))
        finally:
            processes.close()
    finally:
        if services.stop():
            services.erase()
        shutil.rmtree(directory, ignore_errors=True)


def _admin_url(database_url: str) -> str:
    head, mark, options = database_url.partition("?")
    return f"{head.rpartition('/')[0]}/postgres{mark}{options}"


def _environment(directory: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """Production settings but for the receivers, which live on this machine and speak plain HTTP."""
    foreign = {*FOREIGN, "PYTHONPATH", "PYTHONWARNINGS", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    return environment | {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SIGNET_STATE_DIR": str(directory),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEBUG": "false",
        "LOG_LEVEL": "WARNING",
        "SECRET_KEY": secrets.token_urlsafe(64),
        "ENCRYPTION_KEYS": base64.b64encode(secrets.token_bytes(32)).decode(),
        "ALLOW_HTTP_TARGETS": "true",
        "ALLOWED_TARGET_NETWORKS": "127.0.0.0/8",
        "PYTHONUNBUFFERED": "1",
    }


def _set_up_django(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    import django

    django.setup()


def _leave_database() -> None:
    from django.db import connections

    connections.close_all()

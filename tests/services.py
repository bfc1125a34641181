"""The session's PostgreSQL and Redis, and the environment that names them."""

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import redis

from config.embedded.services import Services, start_missing

ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "DEBUG": "true",
    "LOG_LEVEL": "WARNING",
}
FOREIGN = [
    "ALLOWED_HOSTS",
    "ALLOWED_TARGET_NETWORKS",
    "ALLOW_HTTP_TARGETS",
    "BATCH_MAX_BYTES",
    "BEHIND_TLS_PROXY",
    "DEFAULT_FROM_EMAIL",
    "DELIVERY_TIMEOUT",
    "DISABLE_AFTER_DAYS",
    "DRAIN_CAPACITY",
    "EMAIL_URL",
    "ENCRYPTION_KEYS",
    "HTTP_CLIENT",
    "LOG_FORMAT",
    "METRICS_HOST",
    "METRICS_PORT",
    "METRICS_TOKEN",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PAYLOAD_MAX_BYTES",
    "PORT",
    "PROMETHEUS_MULTIPROC_DIR",
    "PUBLIC_URL",
    "RETENTION_DAYS",
    "RETRY_SCHEDULE",
    "SECRET_KEY",
    "SIGNET_ROLE",
    "SIGNET_STATE_DIR",
    "SMS_BACKEND",
    "SMS_FROM",
    "SMS_GATEWAY_TOKEN",
    "SMS_GATEWAY_URL",
    "SMS_MAX_SEGMENTS",
    "STALL_AFTER_S",
    "TRACEPARENT_TO_RECEIVERS",
    "TRACES",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_API_URL",
    "TWILIO_AUTH_TOKEN",
]
# What a developer may have exported for other work and that would change what the tests see.

DIRECTORY_PREFIX = "signet-tests-"
CLAIM = "signet:tests"
# A key that says: this Redis database belongs to test runs, they may empty it.


def prepare_environment(*, already_configured: bool) -> None:
    """Set every variable that the settings read. DATABASE_URL and REDIS_URL are kept when they are set."""
    if already_configured:
        pytest.exit("Django was set up before the tests' services: unset DJANGO_SETTINGS_MODULE.", returncode=4)
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(ENVIRONMENT)
    if os.environ.get("REDIS_URL"):
        claim_redis(os.environ["REDIS_URL"])
    start_services()


def start_services() -> None:
    """Start what no URL names. `os.environ` then names it, for the settings, for child processes and for xdist."""
    _clear_leftovers()
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
    # Commands that the tests run find their state here, never that of the checkout.
    os.environ["SIGNET_STATE_DIR"] = str(directory)
    services, urls = start_missing(directory, os.environ, is_durable=False)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    if services is None:
        return
    atexit.register(_stop, services)
    os.environ["DATABASE_URL"] = urls.database_url or os.environ["DATABASE_URL"]
    os.environ["REDIS_URL"] = urls.redis_url or os.environ["REDIS_URL"]


def claim_redis(url: str) -> None:
    """Tests empty their Redis database, so one with somebody's data in it is refused."""
    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        if client.dbsize() and not client.exists(CLAIM):
            pytest.exit(f"REDIS_URL ({url}) is not empty and the tests would empty it: name an unused database.", 4)
        client.set(CLAIM, "1")


def empty_redis(client: "redis.Redis") -> None:
    client.flushdb()
    client.set(CLAIM, "1")


def _stop(services: Services) -> None:
    if services.stop():
        services.erase()


def _clear_leftovers() -> None:
    """Stop what killed sessions left running. A living session holds its share, so it is left alone."""
    for directory in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*"):
        # Sessions that start at once look at the same leftovers; one of them is the first to remove them.
        with contextlib.suppress(FileNotFoundError):
            if directory.stat().st_uid == os.geteuid() and (directory / "in-use").exists():
                _stop(Services(directory, is_durable=False))

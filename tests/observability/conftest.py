"""Alice and the provider, a merchant whose endpoints receive, and the log as production writes it."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import structlog

from config.logging import JsonFormatter, StderrHandler, logging_config
from deliveries.engine import process, stopping
from subscriptions.models import Endpoint, Merchant
from subscriptions.services import endpoints
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive
from tests.subscriptions.conftest import NOW, alice, make_type, provider, types  # noqa: F401 - fixtures

Lines = Callable[[], list[dict[str, Any]]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged from now on at every level, as JSON."""
    out = io.StringIO()
    handler = StderrHandler(out)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    chosen = {"": "DEBUG"} | {name: one["level"] for name, one in logging_config("DEBUG")["loggers"].items()}
    before = {name: logging.getLogger(name).level for name in chosen}
    root.addHandler(handler)
    for name, level in chosen.items():
        logging.getLogger(name).setLevel(level)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.removeHandler(handler)
    for name, number in before.items():
        logging.getLogger(name).setLevel(number)
    structlog.contextvars.clear_contextvars()


class Shop:
    """A merchant with endpoints that are really sent to."""

    def __init__(self, receive: Callable[[Script], Receiver]) -> None:
        self._receive = receive
        self.merchant = Merchant.objects.create(name="Shop", reference="shop", created_at=NOW, updated_at=NOW)

    def add(self, event_type: str, script: Script | None = None, **fields: Any) -> tuple[Endpoint, Receiver]:
        """An endpoint that hears this type, and its receiver."""
        make_type(event_type)
        receiver = self._receive(script or keep_alive(OK))
        data = {"url": receiver.url(), "event_types": [event_type], **fields}
        endpoints.create(merchant=self.merchant, data=data, now=NOW, actor="system")
        return Endpoint.objects.get(event_types=[event_type]), receiver


@pytest.fixture
def shop(settings: Any, transactional_db: None, receive: Callable[[Script], Receiver]) -> Iterator[Shop]:
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.ALLOW_HTTP_TARGETS = True
    stopping.reset()
    yield Shop(receive)
    process.close()

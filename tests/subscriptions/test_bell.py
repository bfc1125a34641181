"""The bell reaches the broker, and a sick broker costs a change of an endpoint next to nothing."""

import base64
import json
import logging
import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from celery import current_app
from django.conf import settings

from subscriptions.services import bell


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The broker that the bell is pointed at: nobody answers there, unless the test listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
        monkeypatch.setattr(current_app.conf, "broker_write_url", url)
        yield url


def test_the_message_names_the_endpoints(redis_client: "redis.Redis") -> None:
    ids = [str(uuid4()), str(uuid4())]
    bell._send(ids)
    message = json.loads(redis_client.lpop(settings.CELERY_TASK_DEFAULT_QUEUE))  # type: ignore[arg-type]
    assert message["headers"]["task"] == "deliveries.settle_endpoints"
    assert json.loads(base64.b64decode(message["body"]))[0] == [ids]


def test_a_dead_broker_is_given_up_at_once(broker: str, caplog: pytest.LogCaptureFixture) -> None:
    assert seconds_of_a_ring(caplog) < 1


def test_a_frozen_broker_is_given_up_within_a_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        monkeypatch.setattr(current_app.conf, "broker_write_url", url)
        assert seconds_of_a_ring(caplog) < 1


def seconds_of_a_ring(caplog: pytest.LogCaptureFixture) -> float:
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        bell._send([str(uuid4())])
    assert [record.name for record in caplog.records] == ["subscriptions.services.bell"]
    return time.monotonic() - started

"""The doorbell: coalesces, and neither blocks nor fails whoever rings."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from django.conf import settings

from deliveries.doorbell import BELL_KEY, SILENCE_S, Doorbell


@pytest.fixture
def silent_server() -> Iterator[int]:
    """Accepts connections and never says a word, as a frozen Redis does."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def queued(client: "redis.Redis") -> int:
    return int(client.llen("drain"))


def test_rings_coalesce_until_a_drain_answers(redis_client: "redis.Redis") -> None:
    bell = Doorbell(settings.REDIS_URL)
    assert [bell.ring() for _ in range(5)] == [True] * 5
    assert queued(redis_client) == 1
    bell.answer()
    assert not redis_client.exists(BELL_KEY)
    bell.ring()
    assert queued(redis_client) == 2


def test_a_frozen_redis_costs_one_short_wait_and_then_nothing(silent_server: int) -> None:
    bell = Doorbell(f"redis://127.0.0.1:{silent_server}/0")
    began = time.monotonic()
    assert bell.ring() is False
    assert bell.failures == 1
    assert [bell.ring() for _ in range(100)] == [False] * 100
    assert bell.failures == 1
    assert time.monotonic() - began < SILENCE_S


def test_a_dead_redis_is_noticed_at_once() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    bell = Doorbell(f"redis://127.0.0.1:{port}/0")
    assert bell.ring() is False
    bell.answer()
    assert bell.drains_started() == -1

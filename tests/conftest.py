"""Gives the tests a real PostgreSQL and a real Redis, then sets Django up.

DATABASE_URL and REDIS_URL are used when they are set; otherwise both are started for this session, empty, in a
directory of their own, and are gone afterwards. Django reads its settings once, so this has to come first.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from django.conf import settings

from tests.receivers.receiver import Receiver, Script
from tests.services import empty_redis, prepare_environment

prepare_environment(already_configured=settings.configured)

import django  # noqa: E402

django.setup()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """`migrate` fills the catalogue with the platform's own types; tests begin with an empty one, also those that come
    before the first that empties all tables."""
    from subscriptions.models import EventType

    with django_db_blocker.unblock():
        EventType.objects.all().delete()


@pytest.fixture
def redis_client() -> Iterator["redis.Redis"]:
    """A client of the session's own Redis database, which is empty at the start of the test."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    empty_redis(client)
    yield client
    client.close()


@pytest.fixture
def receive() -> Iterator[Callable[[Script], Receiver]]:
    """Starts receivers that run until the test ends."""
    with ExitStack() as running:
        yield lambda script: running.enter_context(Receiver(script))

"""Alice with people who agreed to get her letters, real servers on the loopback, and drains taken by hand."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery
from deliveries.services import publish
from subscriptions.models import Endpoint, Merchant
from subscriptions.services import keys
from tests.deliveries.api.conftest import Caller
from tests.deliveries.conftest import NOW
from tests.receivers.mail import MailServer

Make = Callable[..., Any]
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture(autouse=True)
def engine(settings: Any) -> Iterator[None]:
    settings.PUBLIC_URL = "https://webhooks.example"
    settings.DEFAULT_FROM_EMAIL = "Bank <events@bank.example>"
    settings.DELIVERY_TIMEOUT = 2.0
    settings.ALLOW_HTTP_TARGETS = True
    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    stopping.reset()
    yield
    process.close()
    stopping.reset()


@pytest.fixture
def mail(settings: Any) -> Iterator[MailServer]:
    """The mail server that this installation uses."""
    with MailServer() as server:
        use(server, settings)
        yield server


def use(server: MailServer, settings: Any, **changed: Any) -> None:
    settings.EMAIL_BACKEND = SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    for name, value in changed.items():
        setattr(settings, name, value)


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid", description="An invoice was paid.")
    merchant: Merchant = make_merchant("alice")
    return merchant


@pytest.fixture
def reader(alice: Merchant, make_endpoint: Make) -> Endpoint:
    """An address whose owner said yes."""
    made: Endpoint = make_endpoint(
        alice, channel="email", target="mailto:reader@shop.example", verified_at=NOW, profile="default"
    )
    return made


@pytest.fixture
def phone(alice: Merchant, make_endpoint: Make) -> Endpoint:
    """A number whose owner said yes."""
    made: Endpoint = make_endpoint(alice, channel="sms", target="sms:+37060000000", verified_at=NOW)
    return made


@pytest.fixture
def caller_of(db: None) -> Callable[[Merchant], Caller]:
    """What calls with a key of the merchant."""
    return lambda merchant: Caller(
        keys.create(name="test", merchant=merchant, now=timezone.now(), actor="test").text, Client()
    )


def send(payload: Any = b'{"id":"in_1","total":1.10}', **options: Any) -> str:
    """Publish one event and drain."""
    event = publish("invoice.paid", payload, merchant="alice", **options)
    process.drain()
    return event.id


def make_due() -> None:
    """Let every retry come due, instead of waiting for it."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries_laneentry SET due_at = clock_timestamp()")
        cursor.execute("UPDATE deliveries_lane SET due_at = clock_timestamp(), retry_at = NULL, paced_until = NULL")


def last() -> tuple[Delivery, Attempt]:
    """The one delivery, and its latest attempt."""
    return Delivery.objects.get(), Attempt.objects.latest("number")


def headers_of(attempt: Attempt) -> dict[str, str]:
    """As the log shows them."""
    return dict(line.split(": ", 1) for line in attempt.request_headers.split("\r\n"))

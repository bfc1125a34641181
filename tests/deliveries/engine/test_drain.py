"""The drain whole: real Postgres, real sockets, the real client; outcomes as the receiver makes them."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import svix
from django.db import connection

from deliveries.engine import process, stopping
from deliveries.models import Attempt, Delivery, Lane, LaneEntry
from deliveries.services import publish
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.conftest import add_secret
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import hold, keep_alive, once

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Any]
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
PAYLOAD = '{"b":1.10,"a":  [1e2, "é"]}'.encode()


@pytest.fixture(autouse=True, params=["curl", "requests"])
def engine(request: pytest.FixtureRequest, settings: Any) -> Iterator[None]:
    settings.HTTP_CLIENT = request.param
    settings.ALLOWED_TARGET_NETWORKS = ("127.0.0.0/8",)
    settings.ALLOW_HTTP_TARGETS = True
    settings.DELIVERY_TIMEOUT = 2.0
    from ipaddress import ip_network

    settings.ALLOWED_TARGET_NETWORKS = (ip_network("127.0.0.0/8"),)
    stopping.reset()
    yield
    process.close()
    stopping.reset()


@pytest.fixture
def alice(make_merchant: Make, make_type: Make) -> Merchant:
    make_type("invoice.paid")
    merchant: Merchant = make_merchant("alice")
    return merchant


def make_due() -> None:
    """Let every retry come due, instead of waiting for it."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE deliveries_laneentry SET due_at = clock_timestamp()")
        cursor.execute("UPDATE deliveries_lane SET due_at = clock_timestamp()")


def test_the_receiver_gets_the_very_bytes_and_every_verifier_accepts_them(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    receiver = receive(keep_alive())
    make_endpoint(alice, secret=SECRET, target=receiver.url("/in?x=1"))
    accepted = publish("invoice.paid", PAYLOAD, merchant="alice")
    assert process.drain() == 1
    [request] = receiver.requests
    assert request.line == "POST /in?x=1 HTTP/1.1"
    assert request.body == PAYLOAD
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["content-type"] == "application/json"
    assert headers["x-webhook-event"] == "invoice.paid"
    assert headers["x-webhook-id"] == headers["webhook-id"] == accepted.id
    assert headers["x-webhook-attempt"] == "1"
    assert headers["x-webhook-signature"] == hmac.new(SECRET.encode(), PAYLOAD, hashlib.sha256).hexdigest()
    standardwebhooks.Webhook(SECRET).verify(request.body, headers)
    svix.Webhook(SECRET).verify(request.body, headers)


def test_the_log_shows_what_was_sent_and_what_came_back(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    receiver = receive(keep_alive(b"HTTP/1.1 201 Created\r\nX-Trace: 7\r\nContent-Length: 5\r\n\r\nhello"))
    make_endpoint(alice, target=receiver.url("/in"))
    publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    [request], attempt, delivery = receiver.requests, Attempt.objects.get(), Delivery.objects.get()
    assert (delivery.status, delivery.last_status, delivery.attempts_made) == ("delivered", 201, 1)
    assert (attempt.reason, attempt.response_status, bytes(attempt.response_body)) == ("delivered", 201, b"hello")
    assert "X-Trace: 7" in attempt.response_headers
    assert attempt.url == receiver.url("/in")
    assert attempt.request_body is None
    shown = [tuple(line.split(": ", 1)) for line in attempt.request_headers.splitlines()]
    ours = {"host", "content-length", "connection", "accept-encoding", "accept"}
    assert shown == [pair for pair in request.headers if pair[0].lower() not in ours]
    assert attempt.total_ms > 0
    assert not LaneEntry.objects.exists()


def test_unsigned_without_a_secret(alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]) -> None:
    receiver = receive(keep_alive())
    make_endpoint(alice, target=receiver.url())
    publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    names = {name.lower() for name, _ in receiver.requests[0].headers}
    assert not names & {"x-webhook-signature", "webhook-signature"}
    assert {"webhook-id", "webhook-timestamp"} <= names


def test_a_retry_carries_the_same_id_and_body_and_the_next_number(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    receiver = receive(keep_alive(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    make_endpoint(alice, target=receiver.url())
    publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    make_due()
    process.drain()
    first, second = receiver.requests
    assert (first.body, first.header("webhook-id")) == (second.body, second.header("webhook-id"))
    assert [first.header("x-webhook-attempt"), second.header("x-webhook-attempt")] == ["1", "2"]
    assert [(a.number, a.trigger) for a in Attempt.objects.order_by("number")] == [(1, "event"), (2, "retry")]


def test_410_disables_the_endpoint_and_holds_the_rest(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    receiver = receive(keep_alive(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"))
    endpoint = make_endpoint(alice, target=receiver.url(), max_in_flight=1)
    for _ in range(3):
        publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    endpoint.refresh_from_db()
    assert (endpoint.is_active, endpoint.disabled_reason) == (False, "http_gone")
    make_due()
    process.drain()
    assert len(receiver.requests) <= 2
    assert Delivery.objects.filter(status="pending").count() == 0
    assert Delivery.objects.filter(status="held").count() == 3 - len(receiver.requests)


def test_one_poison_row_harms_no_neighbour(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = receive(keep_alive())
    poisoned = make_endpoint(alice, secret=SECRET, target=receiver.url("/poisoned"))
    healthy = make_endpoint(alice, secret=SECRET, target=receiver.url("/healthy"))
    moved = add_secret(make_endpoint(alice, is_active=False), "other")
    poisoned.secrets.update(ciphertext=moved.ciphertext)
    publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    assert [request.path for request in receiver.requests] == ["/healthy"]
    assert Delivery.objects.get(endpoint_id=healthy.id).status == "delivered"
    delivery = Delivery.objects.get(endpoint_id=poisoned.id)
    assert (delivery.status, delivery.last_reason, delivery.attempts_counted) == ("pending", "internal_error", 0)
    assert SECRET not in caplog.text


def test_an_answer_that_postgres_cannot_store_harms_no_neighbour(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = receive(keep_alive())
    bad = make_endpoint(alice, target=receiver.url("/bad"))
    make_endpoint(alice, target=receiver.url("/good"))
    from deliveries.engine import store

    honest = store._result_arrays

    def spoiled(results: Any) -> dict[str, Any]:
        arrays = honest(results)
        marks = ["x" * 300 if r.pick.endpoint_id == bad.id and r.sent.headers else "" for r in results]
        return arrays | {"details": marks}

    monkeypatch.setattr(store, "_result_arrays", spoiled)
    publish("invoice.paid", PAYLOAD, merchant="alice")
    assert process.drain() == 2
    assert {delivery.status for delivery in Delivery.objects.all()} == {"delivered"}


def test_blocked_address_sends_no_packet(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver], settings: Any
) -> None:
    settings.ALLOWED_TARGET_NETWORKS = ()
    receiver = receive(keep_alive())
    make_endpoint(alice, target=receiver.url())
    publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    assert receiver.connections == 0
    attempt = Attempt.objects.get()
    assert (attempt.reason, attempt.is_counted) == ("blocked_address", True)


def test_a_hanging_receiver_ends_at_the_deadline_and_makes_its_lane_a_suspect(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver], settings: Any
) -> None:
    settings.DELIVERY_TIMEOUT = 0.5
    make_endpoint(alice, target=receive(hold).url())
    publish("invoice.paid", PAYLOAD, merchant="alice")
    process.drain()
    attempt, lane = Attempt.objects.get(), Lane.objects.get()
    assert attempt.reason == "response_timeout"
    assert 500 <= attempt.total_ms <= 1000
    assert (lane.window, lane.is_suspect, lane.in_flight) == (1, True, [])


def test_stopping_finishes_what_is_in_the_air_and_claims_no_more(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    def slow(connection: Any) -> None:
        connection.read_request()
        stopping.stop()
        connection.pause(0.3)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    receiver = receive(slow)
    make_endpoint(alice, target=receiver.url(), max_in_flight=1)
    for _ in range(3):
        publish("invoice.paid", PAYLOAD, merchant="alice")
    assert process.drain() == 1
    lane = Lane.objects.get()
    assert [d.status for d in Delivery.objects.order_by("id")] == ["delivered", "pending", "pending"]
    assert (lane.lease_token, lane.in_flight) == (None, [])
    assert lane.due_at is not None
    assert lane.due_at <= datetime.now(UTC)


def test_many_events_to_many_endpoints_arrive_once_each(
    alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    hangs_up = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    receivers = [receive(keep_alive()), receive(once(hangs_up))]
    endpoints: list[Endpoint] = [make_endpoint(alice, target=r.url(f"/{n}")) for n, r in enumerate(receivers)]
    for number in range(50):
        publish("invoice.paid", {"n": number}, merchant="alice")
    process.drain()
    for receiver, endpoint in zip(receivers, endpoints, strict=True):
        bodies = sorted(request.body for request in receiver.requests)
        assert bodies == sorted(b'{"n": %d}' % n for n in range(50))
        assert Delivery.objects.filter(endpoint_id=endpoint.id, status="delivered").count() == 50
    assert Attempt.objects.count() == 100


@pytest.mark.parametrize("mode", ["live", "test"])
def test_receivers_are_told_the_mode_at_publish(
    mode: str, alice: Merchant, make_endpoint: Make, receive: Callable[[Script], Receiver]
) -> None:
    """The mode of the day, whatever the merchant's is when the event is sent."""
    receiver = receive(keep_alive())
    for profile, secret in (("stripe", SECRET), ("paysafe", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")):
        make_endpoint(alice, target=receiver.url("/in"), profile=profile, secret=secret)
    Merchant.objects.update(mode=mode)
    publish("invoice.paid", b'{"object": {}, "id": "1"}', merchant="alice")
    Merchant.objects.update(mode="live" if mode == "test" else "test")
    process.drain()
    bodies = [json.loads(request.body) for request in receiver.requests]
    assert sorted(str(body.get("livemode", body.get("mode"))) for body in bodies) == sorted([str(mode == "live"), mode])
